"""The frozen result of robustness: accuracy and log-likelihood under every perturbation, and their sums."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spectrobe.errors import InputError, SpectrobeError
from spectrobe.game.intervals import Estimate, mean_estimate
from spectrobe.studies.frozen import Frozen
from spectrobe.studies.robustness import summary as summary_of
from spectrobe.studies.robustness.conditions import Condition
from spectrobe.studies.robustness.measures import share_estimate
from spectrobe.studies.robustness.rows import Predictions, stored_predictions
from spectrobe.studies.robustness.sanity import Sanity

if TYPE_CHECKING:
    import pandas as pd

    from spectrobe.engine.store import RunFolder


@dataclass(frozen=True)
class CleanAccuracy(Estimate):
    """Accuracy on the clean images, an Estimate; log_likelihood: the mean of log q of the label, in nats."""

    log_likelihood: Estimate = field(default_factory=lambda: Estimate.undefined("not measured"))

    @property
    def accuracy(self) -> Estimate:
        """Itself."""
        return self


@dataclass(frozen=True)
class RobustnessSettings:
    """What was measured.

    data_digest: of ids, labels and sizes (or pixels).   clean: there are clean images, which a tree alone has not.
    """

    model_name: str
    data_name: str
    data_digest: str
    image_size: tuple[int, int]
    confidence: float
    seed: int
    clean: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"image_size": list(self.image_size)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RobustnessSettings:
        """The settings that `to_dict` described."""
        return cls(**{**content, "image_size": tuple(content["image_size"])})


@dataclass(frozen=True)
class RobustnessResult(Frozen):
    """What is left of a model's accuracy under perturbations. All mappings are read-only; intervals are over images.

    conditions: what was measured, in order; its names are the keys below.
    clean: accuracy on the clean images (with .log_likelihood); None in a run on a tree alone.
    accuracy: share of images classified as labelled, Wilson score intervals.   log_likelihood: mean log q of the label
    in nats, Student t.   Undefined, with the reason, where a perturbation failed.
    mean_corruption_error: mean error over corruptions and severities, *not* normalised; None without corruptions.
    corruption_error: the same of each corruption, over its severities.   severity_accuracy: severity ("1") -> mean
    accuracy over corruptions.
    mce: relative to a reference model's run (Hendrycks & Dietterich), 1 = as wrong as the reference; None without one.
    relative_error: the ratio of each corruption.   reference: the reference's model and data.
    worst_case: "linf:eps=4/255" -> accuracy where every attack of that norm and eps fails, image by image.
    area: family of attacks -> mean accuracy over eps from 0 to the last one (reason says from where to where).
    median_distance: minimum-norm attack -> median norm that fools the model, 0 where it is wrong already.
    failed: condition -> why it could not be measured.   sanity: what the attacks were tried on besides.
    skipped: images left out and why.   warnings: what to know about this run.
    """

    settings: RobustnessSettings
    conditions: tuple[Condition, ...]
    clean: CleanAccuracy | None
    accuracy: Mapping[str, Estimate]
    log_likelihood: Mapping[str, Estimate]
    mean_corruption_error: Estimate | None
    corruption_error: Mapping[str, Estimate]
    severity_accuracy: Mapping[str, Estimate]
    worst_case: Mapping[str, Estimate]
    area: Mapping[str, Estimate]
    median_distance: Mapping[str, Estimate]
    n_images: int
    n_classes: int
    forward_passes: int
    failed: Mapping[str, str] = field(default_factory=dict)
    sanity: Sanity = field(default_factory=Sanity)
    mce: Estimate | None = None
    relative_error: Mapping[str, Estimate] = field(default_factory=dict)
    reference: str | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    _rows: Predictions | None = field(default=None, repr=False, compare=False)
    _folder: RunFolder | None = field(default=None, repr=False, compare=False)

    @property
    def model_name(self) -> str:
        """The model, as the user named it."""
        return self.settings.model_name

    @property
    def data_name(self) -> str:
        """The data set, as the user named it."""
        return self.settings.data_name

    @property
    def confidence(self) -> float:
        """Of the intervals."""
        return self.settings.confidence

    @cached_property
    def predictions(self) -> Predictions:
        """One row an image: what was predicted clean and under each condition. SpectrobeError when loaded without."""
        if self._rows is not None:
            return self._rows
        if self._folder is None:
            raise SpectrobeError("this result has no rows: load the run folder it came from")
        return stored_predictions(self._folder, self._folder.all_shards(), self._folder.path)[0]

    def relative_to(self, reference: RobustnessResult) -> RobustnessResult:
        """The same result with mCE relative to another model's run.

        Raises InputError unless images, corruptions and severities are the same.
        mCE = mean over corruptions of (sum of errors over severities / the reference's sum), as a ratio.
        """
        check_reference(reference, self.conditions, self.settings.data_digest, ids_of(self.predictions))
        mce, each = summary_of.mce_against(
            self.predictions, self.conditions, reference.predictions, reference.conditions, self.confidence
        )
        for mean in (self.mean_corruption_error, reference.mean_corruption_error):
            if mean is not None and mean.reason:
                mce, each = Estimate.undefined(mean.reason, self.confidence), {}
        name = f"{reference.model_name} on {reference.data_name}"
        return replace(self, mce=mce, relative_error=each, reference=name)

    def summary(self) -> str:
        """The result as text."""
        from spectrobe.studies.robustness.wording import summary

        return summary(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a condition, clean first: accuracy, log-likelihood (nats), intervals, median norms. Needs pandas."""
        from spectrobe.studies.frames import import_pandas
        from spectrobe.studies.robustness.wording import frame_rows

        return import_pandas().DataFrame(frame_rows(self))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write run.json, predictions/ and result.json; `load` gives the result back."""
        from spectrobe.studies.robustness.result_json import save

        save(self, folder)

    def to_dict(self) -> dict[str, Any]:
        """The result without its rows, JSON-able."""
        from spectrobe.studies.robustness.result_json import to_dict

        return to_dict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: RunFolder | None = None) -> RobustnessResult:
        """The result that `to_dict` described; its rows are read from the folder when asked for."""
        from spectrobe.studies.robustness.result_json import from_dict

        return from_dict(content, folder)


def summarise(
    rows: Predictions,
    settings: RobustnessSettings,
    conditions: tuple[Condition, ...],
    refused: Mapping[str, str],
    forward_passes: int,
    skipped: Mapping[str, str],
    warnings: tuple[str, ...],
    sanity: Sanity,
) -> RobustnessResult:
    """From the rows to the result. refused: conditions that could not even be begun."""
    failed, confidence = {**refused, **summary_of.failures(rows)}, settings.confidence
    accuracy, log_likelihood = summary_of.accuracies(rows, conditions, failed, confidence)
    undefined = {name: Estimate.undefined(why, confidence) for name, why in refused.items()}
    mean_error, errors = summary_of.mean_corruption_error(rows, conditions, failed, confidence)
    clean = None
    worst, area, distance = {}, {}, {}
    if settings.clean:
        right = share_estimate(rows.clean_right, confidence)
        log_q = mean_estimate(rows.clean_log_q, confidence)
        clean = CleanAccuracy(right.value, right.stderr, right.low, right.high, confidence, "", log_q)
        worst = summary_of.worst_cases(rows, conditions, failed, confidence)
        area = summary_of.areas(rows, conditions, failed, confidence)
        distance = summary_of.median_distances(rows, conditions, failed, confidence)
        warnings += tuple(summary_of.suspicions(rows, conditions, failed))
    return RobustnessResult(
        settings=settings,
        conditions=conditions,
        clean=clean,
        accuracy=accuracy | undefined,
        log_likelihood=log_likelihood | undefined,
        mean_corruption_error=mean_error,
        corruption_error=errors,
        severity_accuracy=summary_of.severity_accuracy(rows, conditions, failed, confidence),
        worst_case=worst,
        area=area,
        median_distance=distance,
        n_images=len(rows),
        n_classes=rows.n_classes,
        forward_passes=forward_passes,
        failed=failed,
        sanity=sanity,
        skipped=dict(skipped),
        warnings=tuple(dict.fromkeys(warnings)),
        _rows=rows,
    )


def check_reference(
    reference: RobustnessResult, conditions: tuple[Condition, ...], data_digest: str, ids: Mapping[int, str]
) -> None:
    """Raise InputError unless mCE can be had relative to this run: the same corruptions and images (position -> id).

    Pixels may differ: each model has its own resize and crop.
    """
    if not isinstance(reference, RobustnessResult):
        raise InputError(f"expected the run of a robustness study as reference, got {type(reference).__name__}")
    summary_of.check_same_corruptions(conditions, reference.conditions)
    if data_digest != reference.settings.data_digest:
        raise InputError(
            f"mCE compares runs on the same images: the reference run is on other data ({reference.data_name}: other "
            "ids, labels or file sizes)"
        )
    summary_of.check_same_images(ids, ids_of(reference.predictions))


def ids_of(rows: Predictions) -> dict[int, str]:
    """Position -> id."""
    return dict(zip(rows.position.tolist(), rows.ids, strict=True))
