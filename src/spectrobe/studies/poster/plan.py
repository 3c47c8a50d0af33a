"""How much a poster measures, and what of it is measured on which model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectrobe.errors import InputError
from spectrobe.perturbations import PerturbationSpec
from spectrobe.studies.response.settings import DEFAULT_POWERS
from spectrobe.studies.robustness.conditions import plan
from spectrobe.studies.zoo.models_file import ZooEntry

SNR, DECOMPOSE, RESPONSE = "snr", "decompose", "response"
PARTS = (SNR, DECOMPOSE, RESPONSE)
"""What is measured of each model, in the poster's order: its first, third and fourth claim."""


@dataclass(frozen=True)
class Sizes:
    """images: at most so many.   bands: of SNR and profile.   perturb: corruptions and attacks.   powers: of noise."""

    images: int
    bands: str
    perturb: str
    powers: tuple[float, ...]


FULL = Sizes(200, "8", "imagenet-c:3,pgd_linf:eps=2/255", DEFAULT_POWERS)
QUICK = Sizes(
    20,
    "6",
    # ten of three kinds, the fewest that a test of what the response predicts takes; and an attack of one step
    "gaussian_noise:3,shot_noise:3,impulse_noise:3,defocus_blur:3,gaussian_blur:3,brightness:3,fog:3,contrast:3,"
    "pixelate:3,jpeg_compression:3,fgsm_linf:eps=2/255",
    (0.0016, 0.0064, 0.0256),
)
"""--quick: a first look in minutes, with intervals as wide as twenty images make them."""


@dataclass(frozen=True)
class Part:
    """One run of one model. kind: of PARTS.   name: what it is told as.   folder: of the run, below the poster's."""

    entry: ZooEntry
    kind: str

    @property
    def name(self) -> str:
        return f"{self.entry.name}, {self.kind}"

    @property
    def folder(self) -> str:
        return f"{self.entry.folder}/{self.kind}"


@dataclass(frozen=True)
class Perturbed:
    """What images are perturbed with. corruptions: the same for every model.   attacks: on each model anew."""

    corruptions: tuple[PerturbationSpec, ...]
    attacks: tuple[PerturbationSpec, ...]


def perturbed_by(text: str) -> Perturbed:
    """Corruptions and attacks told apart; InputError for unknown ones, or none."""
    specs = [one for one in plan(text) if isinstance(one, PerturbationSpec)]
    if not specs:
        raise InputError("expected at least one perturbation, such as imagenet-c:3, got none (list perturbations)")
    attacks = [one for one in specs if one.needs_model]
    return Perturbed(tuple(one for one in specs if one not in attacks), tuple(attacks))


def parts_of(entries: Sequence[ZooEntry]) -> list[Part]:
    """All runs, model by model."""
    return [Part(entry, kind) for entry in entries for kind in PARTS]
