"""Is one model's profile different from another's on the same images? Paired: what the images share cancels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game.intervals import (
    Estimate,
    bootstrap_weights,
    holm,
    mean_intervals,
    one_sided_p,
    weighted_covariance,
)
from spectrobe.game.scores import DEFAULT_SCORE, ScoreFunction, score_estimate, score_functions
from spectrobe.studies.frozen import Frozen
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult

GATES = {"score": DEFAULT_SCORE, "information": "information"}
"""What a gate may look at: the metric's name on the command line -> the score."""


@dataclass(frozen=True)
class Comparison(Frozen):
    """A paired comparison, always B - A, on the images both models were measured on.

    difference: (M,) Shapley values of B minus A.   stderr: (M,).   interval, simultaneous: (M, 2).
    scores: B minus A for every score.   n_images: shared images.
    """

    model_a: str
    model_b: str
    difference: np.ndarray
    stderr: np.ndarray
    interval: np.ndarray
    simultaneous: np.ndarray
    scores: Mapping[str, Estimate]
    n_images: int
    confidence: float
    _p_worse: Mapping[str, float]

    def worse(self, metrics: Sequence[str] = ("score",), level: float = 0.95) -> dict[str, float]:
        """The gate: which of the metrics ("score", "information") are lower in B than in A, and their p-values.

        One-sided at `level`, Holm-adjusted over the metrics chosen; bands are shown, never gated.
        """
        return {metric: p for metric, p in self.p_worse(metrics).items() if p <= 1 - level}

    def p_worse(self, metrics: Sequence[str] = ("score",)) -> dict[str, float]:
        """One-sided p-values of "lower in B than in A" for the metrics, Holm-adjusted over them.

        Raises InputError for a metric that is unknown, or not defined for one of the models.
        """
        metrics = list(dict.fromkeys(metrics))
        unknown = [metric for metric in metrics if metric not in GATES]
        if unknown or not metrics:
            raise InputError(f"expected metrics out of {', '.join(GATES)}, got {', '.join(unknown) or 'none'}")
        undefined = [metric for metric in metrics if np.isnan(self.scores[GATES[metric]].value)]
        if undefined:
            raise InputError(
                f"{', '.join(undefined)} cannot be gated: {self.scores[GATES[undefined[0]]].reason or 'not defined'}"
            )
        return dict(zip(metrics, holm([self._p_worse[GATES[metric]] for metric in metrics]), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}
        return {"kind": "compare", **plain, "scores": {name: asdict(score) for name, score in self.scores.items()}}

    def summary(self) -> str:
        """The differences as text."""
        level = percent(self.confidence)
        lines = [f"{self.model_b} minus {self.model_a}, {self.n_images} shared images, {level} intervals"]
        for i, d in enumerate(self.difference):
            lines.append(f"band {i}: {d:+.4f} [{self.interval[i, 0]:+.4f}, {self.interval[i, 1]:+.4f}]")
        lines += [f"{name}: {estimate}" for name, estimate in self.scores.items()]
        return "\n".join(lines)


def compare(result_a: DecomposeResult, result_b: DecomposeResult) -> Comparison:
    """Paired differences B - A of two decompositions on the same images.

    Images are paired by position and id, and must have the same pixels. Raises InputError naming the difference when
    bands, value, absence, design or images do not match; when only some images are shared, those are compared.
    """
    _check_comparable(result_a, result_b)
    shared = _shared_positions(result_a, result_b)
    a, b = _restricted(result_a, shared), _restricted(result_b, shared)
    confidence = result_a.confidence
    rows = b.fit.rows - a.fit.rows
    means = mean_intervals(rows, confidence, result_a.settings.seed)
    n = len(shared)
    weights = np.concatenate([np.ones((1, n)), bootstrap_weights(n, result_a.settings.seed)])
    both = a.replicates().paired(b.replicates(), weighted_covariance(a.fit.rows, b.fit.rows, weights))
    scores, p_worse = {}, {}
    for name, statistic in score_functions(result_a.bands).items():
        if name not in a.scores or name not in b.scores:
            continue  # a run of a version that did not have this score yet
        undefined = [r for r in (a, b) if np.isnan(r.scores[name].value)]
        if undefined:
            scores[name] = Estimate.undefined(
                f"{undefined[0].model_name}: {undefined[0].scores[name].reason}", confidence
            )
            p_worse[name] = 1.0
            continue
        difference = _difference(statistic, result_a.bands.n_bands)
        scores[name] = score_estimate(name, difference, both, confidence)
        p_worse[name] = one_sided_p(difference, both)
    return Comparison(
        result_a.model_name, result_b.model_name, means.mean, means.stderr, means.pointwise, means.simultaneous,
        scores, n, confidence, p_worse,
    )  # fmt: skip


def _difference(statistic: ScoreFunction, n_bands: int) -> ScoreFunction:
    return lambda phi: statistic(phi[..., n_bands:]) - statistic(phi[..., :n_bands])


def _check_comparable(a: DecomposeResult, b: DecomposeResult) -> None:
    for what in ("bands", "value", "absence", "design", "clip", "confidence", "seed"):
        one, other = getattr(a.settings, what), getattr(b.settings, what)
        if one != other:
            raise InputError(
                f"these runs cannot be compared: {what} is {one} in A and {other} in B; repeat one with the other's"
            )

    made = [_absence_made(result) for result in (a, b)]
    if a.image_size == b.image_size and None not in made and made[0] != made[1]:
        raise InputError(
            f"these runs cannot be compared: what stands in for absent bands ({a.absence}) was made from other images "
            "in A than in B; repeat one on the other's data, or both with absence='zero'"
        )


def _absence_made(result: DecomposeResult) -> Any:
    """Digests of the absence's images, and of how many images donors were drawn; None where that is not known."""
    identity = result.about().get("identity", {})
    if "absence" not in identity:
        return None
    return identity["absence"], identity["data"].get("images") if result.absence == "donor" else None


def _shared_positions(a: DecomposeResult, b: DecomposeResult) -> np.ndarray:
    """Positions of the images both runs have; InputError when an image of one place differs."""
    images = [images_of(result) for result in (a, b)]
    shared = sorted(images[0].keys() & images[1].keys())
    if len(shared) < 2:
        raise InputError(f"these runs share {len(shared)} image(s): expected two runs on the same data set")
    same_size = a.image_size == b.image_size
    for position in shared:
        (id_a, pixels_a), (id_b, pixels_b) = images[0][position], images[1][position]
        if id_a != id_b or (same_size and pixels_a != pixels_b):
            raise InputError(
                f"these runs are not on the same images: image {position} is {id_a!r} in A and {id_b!r} in B, "
                "or has other pixels"
            )
    return np.asarray(shared)


def images_of(result: DecomposeResult) -> dict[int, tuple[str, str]]:
    """Position -> id and content digest of every image."""
    found: dict[int, tuple[str, str]] = {}
    for chunk in result.table().chunks():
        found |= dict(zip(chunk.position.tolist(), zip(chunk.ids, chunk.digest, strict=True), strict=True))
    return found


def _restricted(result: DecomposeResult, positions: np.ndarray) -> DecomposeResult:
    """The result on some of its images only."""
    if len(positions) == result.n_images:
        return result
    from spectrobe.studies.decompose.summary import summarise

    return summarise(result.table().subset(positions), result.settings, result.forward_passes, {}, ())
