"""Labels of which a known share is wrong on purpose, drawn once for each image, to train on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.data.tensors import as_labels
from spectrobe.errors import InputError
from spectrobe.models.base import Geometry
from spectrobe.seeding import numpy_generator

KINDS = ("symmetric", "class-pair")
_MOST_ERRORS = 5.0  # standard errors between rate and share; one draw in two million is further off


@dataclass(frozen=True)
class LabelNoise:
    """Labels with noise, N images, all arrays read-only.

    labels: int64 (N,), with the noise.   clean: int64 (N,), as they were.   changed: bool (N,), where they differ.
    kind, rate, seed, n_classes: how they were drawn.   pairs: class -> the class it is taken for, of class-pair noise.
    """

    labels: np.ndarray
    clean: np.ndarray
    changed: np.ndarray
    kind: str
    rate: float
    seed: int
    n_classes: int
    pairs: Mapping[int, int]

    @property
    def share(self) -> float:
        """The share of labels that are wrong now; it differs from the rate as counts of independent draws do."""
        return float(self.changed.mean())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: how the noise was drawn, and the share that it came to."""
        return {
            "kind": self.kind,
            "rate": self.rate,
            "seed": self.seed,
            "n_classes": self.n_classes,
            "pairs": {str(wrong): right for wrong, right in self.pairs.items()},
            "share": self.share,
            "changed": int(self.changed.sum()),
        }


def noisy_labels(
    labels: object,
    rate: float,
    *,
    kind: str = "symmetric",
    n_classes: int | None = None,
    ids: Sequence[object] | None = None,
    seed: int = 0,
    pairs: Mapping[int, int] | None = None,
) -> LabelNoise:
    """Make each label wrong with probability `rate`: integer labels (N,) -> LabelNoise.

    kind: "symmetric" (any other class, each as likely) or "class-pair" (class k becomes k + 1, the last one the first:
        Han et al., NeurIPS 2018, arXiv 1804.06872; or what `pairs` says, classes that it leaves out stay clean).
    rate: in [0, 1]; 1 makes all labels wrong, and symmetric noise of (K - 1) / K leaves no information.
    n_classes: K; by default one more than the largest label.
    ids: one an image (default 0..N-1). An image's draw depends on the seed and its id alone: on no other image, and an
        image whose label is wrong at one rate has the same wrong label at every higher rate.

    Raises InputError for a rate outside [0, 1], an unknown kind, labels outside the classes, pairs of other classes,
    and where the share that came out is not what the rate allows, as with ids that are not distinct.
    """
    clean = as_labels(labels)
    if clean is None or len(clean) == 0:
        raise InputError("expected labels (N,), one an image, got none: label noise needs labels")
    _check(rate, kind, seed)
    k = int(clean.max()) + 1 if n_classes is None else n_classes
    if k < 2 or clean.min() < 0 or clean.max() >= k:
        raise InputError(
            f"expected labels from 0 to K - 1, K at least 2, got {clean.min()} to {clean.max()} with K={k}"
        )
    names = [str(name) for name in (range(len(clean)) if ids is None else ids)]
    if len(names) != len(clean):
        raise InputError(f"expected {len(clean)} ids, one an image, got {len(names)}")
    partner = _pairs(kind, pairs, k)
    noisy = np.array([_drawn(int(y), name, rate, k, partner, seed) for y, name in zip(clean, names, strict=True)])
    changed = noisy != clean
    _check_share(changed, np.isin(clean, list(partner)) if partner else np.ones(len(clean), bool), rate)
    for array in (noisy, clean, changed):
        array.setflags(write=False)
    return LabelNoise(noisy, clean, changed, kind, float(rate), int(seed), k, partner)


class NoisyLabels(ImageData):
    """A data set whose labels are those of `noise`; images and ids are the data set's own."""

    def __init__(self, data: ImageData, noise: LabelNoise) -> None:
        self.data, self.noise = data, noise
        self.name = f"{data.name} with {noise.kind} label noise {noise.rate:g}"
        self.ids, self.labels, self.class_names = data.ids, noise.labels, data.class_names
        self.in_memory = data.in_memory

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        return self.data.pixels(index, geometry)

    def fingerprint(self, index: int, geometry: Geometry, pixels: Tensor | None = None) -> str:
        return self.data.fingerprint(index, geometry, pixels)

    def identity(self) -> Mapping[str, Any]:
        return {**self.data.identity(), "name": self.name, "label_noise": self.noise.to_dict()}

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        return self.data.loader_settings(geometry)


def with_label_noise(
    data: ImageData,
    rate: float,
    *,
    kind: str = "symmetric",
    n_classes: int | None = None,
    seed: int = 0,
    pairs: Mapping[int, int] | None = None,
) -> NoisyLabels:
    """The data set with noisy labels, drawn once by image id; see `noisy_labels`. InputError also without labels."""
    if isinstance(data, NoisyLabels):
        raise InputError(f"expected data without label noise, got {data.name}: noise is applied once")
    if data.labels is None:
        why = f" ({data.unlabelled_because})" if data.unlabelled_because else ""
        raise InputError(f"{data.name} has no labels{why}: label noise needs labels")
    return NoisyLabels(
        data, noisy_labels(data.labels, rate, kind=kind, n_classes=n_classes, ids=data.ids, seed=seed, pairs=pairs)
    )


def _check(rate: object, kind: str, seed: object) -> None:
    if not isinstance(rate, Real) or isinstance(rate, bool) or not 0 <= float(rate) <= 1:
        raise InputError(f"expected a rate of label noise in [0, 1], got {rate!r}")
    if kind not in KINDS:
        raise InputError(f"expected label noise of kind {' or '.join(KINDS)}, got {kind!r}")
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise InputError(f"expected a whole number as seed, got {seed!r}")


def _pairs(kind: str, pairs: Mapping[int, int] | None, k: int) -> dict[int, int]:
    """Class -> the class it is taken for; empty for symmetric noise."""
    if kind == "symmetric":
        if pairs is not None:
            raise InputError("expected pairs with kind='class-pair' only: symmetric noise knows none")
        return {}
    found = {int(a): int(b) for a, b in pairs.items()} if pairs else {y: (y + 1) % k for y in range(k)}
    bad = [f"{a}: {b}" for a, b in found.items() if a == b or not (0 <= a < k and 0 <= b < k)]
    if bad:
        raise InputError(f"expected pairs of two different classes from 0 to {k - 1}, got {', '.join(bad[:3])}")
    return found


def _drawn(label: int, name: str, rate: float, k: int, partner: Mapping[int, int], seed: int) -> int:
    draws = numpy_generator(seed, name, "label noise")
    # both numbers are drawn whatever the rate, so that a label that is wrong stays the same wrong one at higher rates
    wrong, step = draws.random() < rate, int(draws.integers(1, k))
    if not wrong:
        return label
    return partner.get(label, label) if partner else (label + step) % k


def _check_share(changed: np.ndarray, could_change: np.ndarray, rate: float) -> None:
    """Labels of some share are wrong; InputError where independent draws at this rate would not give that share."""
    n = int(could_change.sum())
    if n == 0:
        raise InputError("expected pairs of classes that occur among the labels, got none that does: nothing changed")
    share = float(changed[could_change].mean())
    if abs(share - rate) > _MOST_ERRORS * math.sqrt(rate * (1 - rate) / n):
        raise InputError(
            f"label noise of rate {rate:g} came out as {share:.3g} of {n} labels, further off than chance allows: "
            "expected ids that tell images apart"
        )
