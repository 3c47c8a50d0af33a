"""A model and a data set that are ready to be looked at, without a web server; several threads may ask at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data.base import ImageData
from spectrobe.data.checks import check_data
from spectrobe.engine.absence import DEFAULT_ABSENCE, absence_class
from spectrobe.engine.local import ImageLoader, stack_images
from spectrobe.errors import InputError
from spectrobe.explore.naming import class_names
from spectrobe.explore.perturbing import offered
from spectrobe.explore.photos import Photo, Photos
from spectrobe.explore.standing_in import StandIns
from spectrobe.models.base import Model
from spectrobe.models.check import check_model
from spectrobe.models.output import check_finite
from spectrobe.spectrum import band_images

MAX_BANDS = 12
_SELF_CHECK = 16  # photos
_REMEMBERED_BYTES, _LEAST_REMEMBERED = 2**28, 6  # of tensors that the next question is likely to need again


@dataclass(frozen=True)
class Question:
    """What is asked: a photo's key, which bands are present (M of them), the absence, a perturbation and its level."""

    photo: int | str
    present: tuple[bool, ...]
    absence: str = DEFAULT_ABSENCE
    perturbation: str | None = None
    level: int = 1


class Session:
    """What every question is answered with.

    image_size: (height, width) of photos at the model's input.   names: of all classes.   perturbations: what can be
    chosen, by name.   warnings: of the self-check.   lock: held while the model or a cache is in use.
    """

    def __init__(
        self,
        model: Model,
        forward: Callable[[Tensor], Tensor],
        device: torch.device,
        data: ImageData,
        bands: BandPartition,
        absence: str,
        seed: int,
    ) -> None:
        self.model, self.device, self.data, self.bands = model, device, data, bands
        self.absence, self.seed = absence, seed
        self.lock = threading.RLock()
        self.photos = Photos(data, model.geometry)
        self.stand_ins = StandIns(data, model.geometry, seed)
        self.perturbations = offered(model)
        self._forward = forward
        self._remembered: OrderedDict[Hashable, Tensor] = OrderedDict()
        positions, sample = self._sample()
        self.image_size: tuple[int, int] = (sample.shape[2], sample.shape[3])
        bands.labels(*self.image_size)
        labels = None if data.labels is None else torch.from_numpy(data.labels[positions])
        self.warnings = check_model(model, sample.to(device), labels, [data.ids[i] for i in positions])
        n_classes = self.forward(sample[:1]).shape[1]
        self.warnings += check_data(data, n_classes)
        self.names = class_names(model, data, n_classes)
        self.stand_ins.image(
            absence, self.photos.get(positions[0])
        )  # measured now, so that the first press need not wait

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Pixels (N, C, H, W) -> finite logits (N, K) on the CPU; one call at a time."""
        with self.lock:
            logits = self._forward(images.to(self.device)).float().cpu()
        check_finite(logits, self.model.name)
        return logits

    def probabilities(self, image: Tensor) -> Tensor:
        """Of every class, for one image (C, H, W): (K,)."""
        return self.forward(image[None])[0].softmax(0)

    def intact_probabilities(self, photo: Photo) -> Tensor:
        """Of every class, for the photo as it is."""
        return self._once(("intact", photo.key), lambda: self.probabilities(photo.pixels))

    def perturbed(self, question: Question) -> Tensor:
        """The photo that bands are taken from: (C, H, W) in [0, 1]. Attacks lead away from the model's own answer."""
        photo = self.photos.get(question.photo)
        name, level = question.perturbation, question.level
        if name is None:
            return photo.pixels
        if name not in self.perturbations:
            raise InputError(f"expected a perturbation out of {', '.join(self.perturbations)}, got {name!r}")
        perturbation = self.perturbations[name].build(level, self.model)
        return self._once(
            ("perturbed", photo.key, name, level),
            lambda: perturbation(photo.pixels[None], ids=[photo.id], seed=self.seed)[0],
        )

    def parts(self, question: Question) -> Tensor:
        """Every band's part of the perturbed photo: (M, C, H, W)."""
        key = ("parts", question.photo, question.perturbation, question.level)
        return self._once(key, lambda: band_images(self.perturbed(question)[None], self.bands)[0])

    def stand_in_parts(self, question: Question) -> Tensor:
        """Every band's part of what stands in for absent bands: (M, C, H, W)."""
        photo = self.photos.get(question.photo)

        def measure() -> Tensor:
            return band_images(self.stand_ins.image(question.absence, photo)[None], self.bands)[0]

        return self._once(("stand-in", photo.key, question.absence), measure)

    def check(self, question: Question) -> None:
        """Raise InputError for a question that does not fit this session."""
        if len(question.present) != self.bands.n_bands:
            raise InputError(f"expected {self.bands.n_bands} bands, switched on or off, got {len(question.present)}")
        absence_class(question.absence)

    def _once(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, remembered for the next questions."""
        with self.lock:
            if key not in self._remembered:
                self._remembered[key] = make()
            self._remembered.move_to_end(key)
            found = self._remembered[key]
            while len(self._remembered) > _LEAST_REMEMBERED and self._size() > _REMEMBERED_BYTES:
                self._remembered.popitem(last=False)
            return found

    def _size(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self._remembered.values())

    def _sample(self) -> tuple[list[int], Tensor]:
        """The first photos that can be read, for the self-check; InputError when there are none."""
        loader = ImageLoader(self.data, self.model.geometry, on_bad_image="skip")
        tried = range(min(_SELF_CHECK, len(self.data)))
        found = {position: image for position, image in loader.each(tried) if isinstance(image, Tensor)}
        if not found:
            raise InputError(f"none of the first {len(tried)} images of {self.data.name} can be used")
        images = stack_images(list(found.values()))
        if images.shape[1] not in (1, 3):
            raise InputError(f"expected grey or RGB images (1 or 3 channels), got {images.shape[1]} channels")
        return list(found), images


def check_choices(bands: int | str | BandPartition, absence: str) -> BandPartition:
    """The band partition; InputError for what fits no model and no data, so that it is told before they are opened."""
    partition = BandPartition.of(bands)
    if not 2 <= partition.n_bands <= MAX_BANDS:
        raise InputError(
            f"expected 2 to {MAX_BANDS} bands, since the profile of a photo takes 2^M forward passes, "
            f"got {partition.n_bands}"
        )
    absence_class(absence)
    return partition


@contextmanager
def open_session(
    model: Model,
    data: ImageData,
    device: torch.device,
    *,
    bands: int | str | BandPartition = 8,
    absence: str = DEFAULT_ABSENCE,
    seed: int = 0,
) -> Iterator[Session]:
    """Check model and data, and lend the model on `device` to a session for as long as the context lasts.

    Raises InputError or ModelOutputError: bands that do not fit the images, more than 12 of them, an unknown absence,
    images or outputs that cannot be used.
    """
    partition = check_choices(bands, absence)
    with model.prepared(device, "float32") as forward:
        yield Session(model, forward, device, data, partition, absence, seed)
