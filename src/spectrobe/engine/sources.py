"""Which images a shard was made from, and whether they are still what they were.

An image is known by its fingerprint: a digest of its encoded bytes where there are any, else of its pixels. Each shard
keeps those of its images; before a run goes on they are compared, so that rows of old and new images never mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.data.digests import bytes_digest
from spectrobe.errors import BadImageError
from spectrobe.models.base import Geometry

_UNREADABLE = "unreadable"


def _none(positions: Sequence[int]) -> Sequence[int]:
    return ()


@dataclass(frozen=True)
class Sources:
    """The images of a run as they are now.

    others: positions of images -> positions of further images that their rows depend on, such as donors.
    counterparts: image id -> fingerprint of what belongs to the image elsewhere, such as a stored perturbed version.
    """

    data: ImageData
    geometry: Geometry
    others: Callable[[Sequence[int]], Sequence[int]] = _none
    counterparts: tuple[Callable[[str], str], ...] = ()

    def of(self, positions: Sequence[int], pixels: Mapping[int, Tensor]) -> dict[str, str]:
        """Image id -> fingerprint, of these images and of all that their rows depend on.

        pixels: position -> pixels where they are at hand, so that nothing is decoded twice.
        """
        found = {self.data.ids[position]: self._fingerprint(position, pixels.get(position)) for position in positions}
        for position in self.others(positions):
            if self.data.ids[position] not in found:
                found[self.data.ids[position]] = self._fingerprint(position, pixels.get(position))
        return found

    def changed(self, recorded: Iterable[Mapping[str, str]]) -> list[str]:
        """Ids of the images that are not what was recorded (id -> fingerprint), in the order of the data set."""
        now: dict[str, str] = {}
        changed: set[str] = set()
        for sources in recorded:
            for image_id, was in sources.items():
                if image_id not in now:
                    now[image_id] = self._fingerprint(self._place[image_id]) if image_id in self._place else "gone"
                if now[image_id] != was:
                    changed.add(image_id)
        return sorted(changed, key=lambda image_id: self._place.get(image_id, -1))

    @cached_property
    def _place(self) -> dict[str, int]:
        return {image_id: position for position, image_id in enumerate(self.data.ids)}

    def _fingerprint(self, position: int, pixels: Tensor | None = None) -> str:
        try:
            own = self.data.fingerprint(position, self.geometry, pixels)
        except BadImageError:
            own = _UNREADABLE
        if not self.counterparts:
            return own
        theirs = (counterpart(self.data.ids[position]) for counterpart in self.counterparts)
        return bytes_digest(own.encode(), *(one.encode() for one in theirs))
