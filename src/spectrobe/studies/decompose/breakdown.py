"""Where a profile comes from: profiles by class, and the images whose profiles are most unlike the others'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game.intervals import mean_intervals

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult


@dataclass(frozen=True)
class ClassProfiles:
    """The profile of each class with at least two images; C classes, M bands, float64.

    predicted: classes are the model's own answers on the intact images, which had no labels.
    classes: (C,) class indices, ascending.   n_images: (C,).   shapley, stderr: (C, M).
    interval: (C, M, 2), Student t.
    alone: classes with one image, left out.

    Inverse temperatures are those fitted on all images, so that classes add up to the whole. They are not refitted on a
    class: where there is one class, the constant prediction is right, and the empty coalition would seem to know it.
    """

    classes: np.ndarray
    n_images: np.ndarray
    shapley: np.ndarray
    stderr: np.ndarray
    interval: np.ndarray
    alone: tuple[int, ...]
    predicted: bool = False


@dataclass(frozen=True)
class UnusualImage:
    """One image whose profile is unlike the others'.   label: the model's own answer where there are no labels.

    distance: Mahalanobis', in standard deviations of profiles."""

    position: int
    id: str
    label: int
    distance: float
    shapley: np.ndarray


def class_profiles(result: DecomposeResult) -> ClassProfiles:
    """Shapley values by class, from the stored table. Raises InputError when no class has two images."""
    labels = _labels(result)
    classes, counts = np.unique(labels, return_counts=True)
    several = classes[counts > 1]
    if len(several) == 0:
        raise InputError(f"expected a class with at least 2 images, got one image for each of {len(classes)} classes")
    seed = result.settings.seed
    found = [mean_intervals(result.fit.rows[labels == label], result.confidence, seed) for label in several]
    return ClassProfiles(
        classes=several,
        n_images=counts[counts > 1],
        shapley=np.stack([means.mean for means in found]),
        stderr=np.stack([means.stderr for means in found]),
        interval=np.stack([means.pointwise for means in found]),
        alone=tuple(int(label) for label in classes[counts == 1]),
        predicted=not result.settings.labelled,
    )


def unusual_images(result: DecomposeResult, n: int = 10) -> list[UnusualImage]:
    """The n images whose per-image Shapley values lie furthest from the mean profile, furthest first.

    The distance is Mahalanobis' with the covariance of the profiles (pseudo-inverse), so bands that always vary much
    count less. Raises InputError for n < 1.
    """
    if n < 1:
        raise InputError(f"expected at least 1 image, got {n}")
    rows = result.fit.rows
    apart = rows - rows.mean(axis=0)
    precision = np.linalg.pinv(np.cov(rows, rowvar=False), hermitian=True)
    distance = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", apart, precision, apart), 0.0))
    names: dict[int, str] = {}
    for chunk in result.table().chunks():
        names |= dict(zip(chunk.position.tolist(), chunk.ids, strict=True))
    labels, position = _labels(result), result.table().position
    furthest = np.argsort(-distance, kind="stable")[:n]
    return [
        UnusualImage(int(position[i]), names[int(position[i])], int(labels[i]), float(distance[i]), rows[i])
        for i in furthest
    ]


def _labels(result: DecomposeResult) -> np.ndarray:
    """Labels by position, as the rows of the fit are."""
    payoffs = result.table()
    labels = np.empty(len(payoffs), dtype=np.int64)
    for chunk in payoffs.chunks():
        labels[np.searchsorted(payoffs.position, chunk.position)] = chunk.label
    return labels
