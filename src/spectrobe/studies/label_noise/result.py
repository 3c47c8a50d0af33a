"""The frozen result of label-noise: profiles over epochs, bands over seeds, and what left the clean curve when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.errors import RunFolderError
from spectrobe.game.scores import clipped_share, share_rows, signed_rows
from spectrobe.game.values import make_value
from spectrobe.studies.decompose.result_json import array_from_json
from spectrobe.studies.frozen import Frozen
from spectrobe.studies.label_noise.settings import Settings
from spectrobe.studies.training.over_seeds import difference_band, leaves_from, mean_band

if TYPE_CHECKING:
    import pandas as pd

    from spectrobe.engine.store import RunFolder
    from spectrobe.studies.training.readings import Stored


@dataclass(frozen=True)
class Departure:
    """A frequency band that left the clean curve: at this rate, from this epoch (counted from 1) to the last.

    difference, low, high: at the last epoch, with the simultaneous interval; in nats, or as a part of the profile.
    """

    rate: float
    band: int
    epoch: int
    difference: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class LabelNoiseResult(Frozen):
    """R rates, S seeds, E epochs, M bands; arrays float64 and read-only.

    shapley, stderr (over images): (R, S, E, M).   score, information, accuracy (on the same images): (R, S, E), the
    score NaN where it is not defined.   loss, fitted: (R, S, E), of training: cross-entropy, and the share of wrong
    labels that were predicted as given.
    profile, profile_low, profile_high: (R, E, M), mean over seeds with its simultaneous band over epochs and bands.
    difference, difference_low, difference_high: (R - 1, E, M), minus the clean curve, likewise; no rates but 0: empty.
    score_band, information_band: (3, R, E): mean over seeds, low, high, simultaneous over epochs. All intervals are
    over seeds and images; with one seed, over images.
    departures: which bands left the clean curve.   moves: whose share of the profile did, by the same rule; both with
    intervals over seeds and images, and empty with one seed, which cannot tell.
    noise: for each rate and seed how labels were made wrong, and the share that came out.   n_images: of a reading.
    """

    settings: Settings
    data_name: str
    held_out_name: str
    demo: bool
    n_train: int
    n_held_out: int
    n_images: int
    n_classes: int
    image_size: tuple[int, int]
    design: str
    forward_passes: int
    shapley: np.ndarray
    stderr: np.ndarray
    score: np.ndarray
    information: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray
    fitted: np.ndarray
    profile: np.ndarray
    profile_low: np.ndarray
    profile_high: np.ndarray
    difference: np.ndarray
    difference_low: np.ndarray
    difference_high: np.ndarray
    score_band: np.ndarray
    information_band: np.ndarray
    departures: tuple[Departure, ...]
    moves: tuple[Departure, ...]
    noise: tuple[tuple[Mapping[str, Any], ...], ...]
    warnings: tuple[str, ...] = ()

    @property
    def rates(self) -> tuple[float, ...]:
        """Rates of label noise, ascending, 0 first."""
        return self.settings.rates

    @property
    def bands(self) -> BandPartition:
        """The band partition."""
        return self.settings.bands

    @property
    def epochs(self) -> np.ndarray:
        """1 to E."""
        return np.arange(1, self.shapley.shape[2] + 1)

    @property
    def unit(self) -> str:
        """Of Shapley values and information."""
        return make_value(self.settings.value).unit

    @property
    def model_name(self) -> str:
        """What was trained."""
        return str(self.settings.recipe.architecture)

    @property
    def shares(self) -> np.ndarray:
        """What part of the profile each band is, max(phi, 0) over its sum: (R, S, E, M); NaN where nothing is above 0.

        Wrong labels take information from all bands; shares say to which bands they move what is left.
        """
        return clipped_share(self.shapley)

    def summary(self) -> str:
        """The settings, a line a rate, and what left the clean curve."""
        from spectrobe.studies.label_noise.wording import summary

        return summary(self)

    def sentence(self) -> str:
        """Which bands leave the clean curve, from which epoch on."""
        from spectrobe.studies.label_noise.wording import sentence

        return sentence(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a rate, seed, epoch and band. Needs pandas."""
        from spectrobe.studies.frames import import_pandas

        axes = np.meshgrid(
            self.rates, np.arange(self.settings.seeds), self.epochs, np.arange(self.bands.n_bands), indexing="ij"
        )
        columns = dict(zip(("rate", "seed", "epoch", "band"), (axis.ravel() for axis in axes), strict=True))
        columns |= {"shapley": self.shapley.ravel(), "stderr": self.stderr.ravel()}
        return import_pandas().DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        own |= {"settings": self.settings.to_dict(), "departures": [asdict(one) for one in self.departures]}
        own |= {"moves": [asdict(one) for one in self.moves]}
        own |= {"noise": [[dict(one) for one in row] for row in self.noise]}
        return {"kind": "label_noise", **own}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: RunFolder | None = None) -> LabelNoiseResult:
        """The result that `to_dict` described."""
        where = folder.path if folder else "result.json"
        if "moves" not in content:  # its intervals of shares and scores took the images as given, and were too narrow
            raise RunFolderError(
                f"{where}: result.json was made by an older spectrobe, without `moves`: delete it, and the same call "
                "makes it anew from the stored readings"
            )
        try:
            own = {f.name: content[f.name] for f in fields(cls)}
            for name in _ARRAYS:
                own[name] = array_from_json(own[name])
            own["settings"] = Settings.from_dict(own["settings"])
            for name in ("departures", "moves"):
                own[name] = tuple(Departure(**one) for one in own[name])
            own["noise"] = tuple(tuple(row) for row in own["noise"])
            own["warnings"], own["image_size"] = tuple(own["warnings"]), tuple(own["image_size"])
            return cls(**own)
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"{where}: result.json is damaged ({error!r}): delete it, and the same call makes it anew"
            ) from None


_ARRAYS = (
    "shapley", "stderr", "score", "information", "accuracy", "loss", "fitted", "profile", "profile_low", "profile_high",
    "difference", "difference_low", "difference_high", "score_band", "information_band",
)  # fmt: skip


def summarise(
    stored: Sequence[Sequence[Sequence[Stored]]],
    settings: Settings,
    noise: tuple[tuple[Mapping[str, Any], ...], ...],
    facts: Mapping[str, Any],
    warnings: tuple[str, ...],
) -> LabelNoiseResult:
    """The result of all readings, by rate, seed and epoch; every interval follows from them and the seed."""
    rows = np.array([[[one.rows for one in seed] for seed in rate] for rate in stored])  # (R, S, E, N, M)
    gain = np.array([[[one.gain for one in seed] for seed in rate] for rate in stored])  # (R, S, E, N)
    n_rates, seeds, epochs, n, m = rows.shape
    shapley, level, seed = rows.mean(axis=3), settings.confidence, settings.seed

    def each(take: Any) -> np.ndarray:
        return np.array([[[take(one) for one in seed] for seed in rate] for rate in stored], dtype=np.float64)

    def flat(of_seeds: np.ndarray) -> np.ndarray:
        return np.reshape(of_seeds, (n_rates, seeds, epochs * m))

    def of_images(each_row: np.ndarray) -> np.ndarray:
        return np.reshape(each_row.mean(axis=1).transpose(0, 2, 1, 3), (n_rates, n, epochs * m))

    shape = (-1, epochs, m)

    def apart(of_seeds: np.ndarray, each_row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Differences to the clean curve, with their bands."""
        if n_rates == 1:
            return (np.zeros((0, epochs, m)),) * 3
        images = of_images(each_row)
        found = difference_band(flat(of_seeds), images[1:] - images[:1], level, seed)
        return found.mean.reshape(shape), found.low.reshape(shape), found.high.reshape(shape)

    profile, difference = mean_band(flat(shapley), of_images(rows), level, seed), apart(shapley, rows)
    moved = apart(clipped_share(shapley), share_rows(rows))
    score, information = each(lambda one: one.score), gain.mean(axis=3)
    scores = mean_band(score, signed_rows(rows, settings.bands).mean(axis=1).transpose(0, 2, 1), level, seed)
    gains = mean_band(information, gain.mean(axis=1).transpose(0, 2, 1), level, seed)
    return LabelNoiseResult(
        settings=settings, n_images=n, shapley=shapley, stderr=rows.std(axis=3, ddof=1) / np.sqrt(n), score=score,
        information=information, accuracy=each(lambda one: one.right.mean()), loss=each(lambda one: one.facts.loss),
        fitted=each(lambda one: one.facts.fitted), profile=profile.mean.reshape(shape),
        profile_low=profile.low.reshape(shape), profile_high=profile.high.reshape(shape), difference=difference[0],
        difference_low=difference[1], difference_high=difference[2],
        score_band=np.stack([scores.mean, scores.low, scores.high]),
        information_band=np.stack([gains.mean, gains.low, gains.high]),
        departures=departures(settings, *difference), moves=departures(settings, *moved), noise=noise,
        warnings=warnings, **facts,
    )  # fmt: skip


def departures(settings: Settings, difference: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[Departure, ...]:
    """What left the clean curve, of differences (R - 1, E, M) with their simultaneous bands; one seed cannot tell."""
    found: list[Departure] = []
    if settings.seeds == 1:
        return ()
    for r, rate in enumerate(settings.rates[1:]):
        for band in range(settings.bands.n_bands):
            epoch = leaves_from(low[r, :, band], high[r, :, band])
            if epoch is not None:
                ends = [float(part[r, -1, band]) for part in (difference, low, high)]
                found.append(Departure(rate, band, epoch + 1, *ends))
    return tuple(found)
