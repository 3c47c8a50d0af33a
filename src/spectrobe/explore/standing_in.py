"""What stands in for bands that are switched off, for any photo; measured on the data set when first asked for."""

from __future__ import annotations

from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.engine.absence import Absence, Surroundings, absence_class
from spectrobe.engine.local import ImageLoader
from spectrobe.explore.photos import UPLOADED, Photo
from spectrobe.models.base import Geometry


class StandIns:
    """Absences by name. Photos of the data set get what they get in a decomposition with the same seed."""

    def __init__(self, data: ImageData, geometry: Geometry, seed: int) -> None:
        each = ImageLoader(data, geometry, on_bad_image="skip").each
        self._of_data = Surroundings(data.ids, each, seed)
        self._of_uploads = Surroundings((*data.ids, UPLOADED), each, seed)
        self._states: dict[str, dict[str, Tensor]] = {}

    def absence(self, name: str, photo: Photo) -> Absence:
        """The absence called `name`, as it is played for `photo`; InputError for an unknown name."""
        kind = absence_class(name)
        if name not in self._states:
            self._states[name] = kind.measure(self._of_data)
        uploaded = photo.position == len(self._of_data.ids)
        return kind(self._states[name], self._of_uploads if uploaded else self._of_data)

    def image(self, name: str, photo: Photo) -> Tensor:
        """The absence image b of one photo: (C, H, W)."""
        shape = photo.pixels.shape
        return self.absence(name, photo).images([photo.position], shape).expand(1, *shape)[0]
