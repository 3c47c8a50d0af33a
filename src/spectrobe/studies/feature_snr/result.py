"""The frozen result of feature-snr: native SNR of what was trained on, and robustness of what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.errors import RunFolderError
from spectrobe.studies.decompose.result_json import array_from_json
from spectrobe.studies.feature_snr.relation import Relation, relate
from spectrobe.studies.feature_snr.settings import Settings
from spectrobe.studies.frozen import Frozen

if TYPE_CHECKING:
    import pandas as pd

    from spectrobe.engine.store import RunFolder
    from spectrobe.studies.snr.result import SnrResult

VIEWS = ("same-band", "full-band")
"""What a network is measured on: images of the bands it was trained on, and of all bands."""


@dataclass(frozen=True, eq=False)
class FeatureSnrResult(Frozen):
    """G groups of bands, S seeds, P perturbations; arrays float64 and read-only; axis 0 of size 2 is VIEWS.

    modulus: (G, P), native feature robustness modulus of a group under a perturbation, on held-out images;
    modulus_interval: (G, P, 2), over images.   db: (G, P), the SNR, infinite where a group is untouched.
    clean: (2, S, G), accuracy on intact images.   accuracy: (2, S, G, P), under each perturbation.
    relations: of modulus and accuracy, for each of VIEWS, without the trainings with injected noise.
    injected_clean, injected_accuracy: the same of networks trained with noise injected into the kept bands; None
    without such.   injected: for each group the median SNR that training images had, images that could not have it,
    share of the noise outside the group.
    """

    settings: Settings
    data_name: str
    held_out_name: str
    demo: bool
    n_train: int
    n_images: int
    n_classes: int
    image_size: tuple[int, int]
    perturbations: tuple[str, ...]
    modulus: np.ndarray
    modulus_interval: np.ndarray
    db: np.ndarray
    clean: np.ndarray
    accuracy: np.ndarray
    relations: Mapping[str, Relation]
    injected_clean: np.ndarray | None
    injected_accuracy: np.ndarray | None
    injected: tuple[Mapping[str, float], ...]
    warnings: tuple[str, ...] = ()

    @property
    def bands(self) -> BandPartition:
        """A band for each group."""
        return self.settings.groups

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, lowest first."""
        return self.settings.names

    @property
    def model_name(self) -> str:
        """What was trained."""
        return str(self.settings.recipe.architecture)

    def summary(self) -> str:
        """The settings, the table of groups, what it says of the claim, and the condition apart."""
        from spectrobe.studies.feature_snr.wording import summary

        return summary(self)

    def sentence(self) -> str:
        """Whether higher native SNR goes with higher robustness, as far as these trainings tell."""
        from spectrobe.studies.feature_snr.wording import sentence

        return sentence(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a view, seed, group and perturbation. Needs pandas."""
        from spectrobe.studies.frames import import_pandas

        seeds = range(self.settings.seeds)
        axes = np.meshgrid(VIEWS, seeds, self.groups, self.perturbations, indexing="ij")
        columns = dict(zip(("view", "seed", "group", "perturbation"), (axis.ravel() for axis in axes), strict=True))
        shape = self.accuracy.shape
        columns |= {
            "modulus": np.broadcast_to(self.modulus, shape).ravel(),
            "clean": np.broadcast_to(self.clean[..., None], shape).ravel(),
            "accuracy": self.accuracy.ravel(),
        }
        return import_pandas().DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        own |= {"settings": self.settings.to_dict(), "injected": [dict(one) for one in self.injected]}
        own |= {"relations": {name: asdict(one) for name, one in self.relations.items()}}
        return {"kind": "feature_snr", **own}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: RunFolder | None = None) -> FeatureSnrResult:
        """The result that `to_dict` described."""
        where = folder.path if folder else "result.json"
        try:
            own = {f.name: content[f.name] for f in fields(cls)}
            for name in ("modulus", "modulus_interval", "clean", "accuracy", "injected_clean", "injected_accuracy"):
                own[name] = None if own[name] is None else array_from_json(own[name])
            own["db"] = array_from_json(own["db"])
            own["db"][np.isnan(own["db"])] = np.inf  # JSON has no infinity
            own["settings"] = Settings.from_dict(own["settings"])
            own["relations"] = {name: _relation(one) for name, one in own["relations"].items()}
            for name in ("perturbations", "injected", "warnings", "image_size"):
                own[name] = tuple(own[name])
            return cls(**own)
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"{where}: result.json is damaged ({error!r}): delete it, and the same call makes it anew"
            ) from None


def _relation(content: Mapping[str, Any]) -> Relation:
    numbers = {name: np.nan if content[name] is None else content[name] for name in ("plain", "partial", "p")}
    seeds = tuple(np.nan if one is None else float(one) for one in content["seeds"])
    return Relation(seeds=seeds, points=int(content["points"]), **numbers)


def summarise(
    rows: Sequence[Any],
    snr: Sequence[SnrResult],
    settings: Settings,
    facts: Mapping[str, Any],
    warnings: tuple[str, ...],
) -> FeatureSnrResult:
    """The result of all trainings: rows of each, without injected noise first, seed by seed, group by group."""
    groups, seeds, p = settings.groups.n_bands, settings.seeds, len(snr)
    shares = np.array([np.asarray(one["right"], dtype=np.float64).mean(axis=0) for one in rows])
    shares = shares.reshape(-1, seeds, groups, 2, 1 + p).transpose(0, 3, 1, 2, 4)
    clean, accuracy = shares[..., 0], shares[..., 1:]
    modulus = np.stack([one.modulus for one in snr], axis=1)
    relations = {view: relate(modulus, accuracy[0, v], clean[0, v], settings.seed) for v, view in enumerate(VIEWS)}
    told: tuple[Mapping[str, float], ...] = ()
    if len(shares) > 1:
        first = rows[groups * seeds : groups * seeds + groups]
        told = tuple({name: float(one[name][0]) for name in ("median_db", "unreachable", "leaked")} for one in first)
    return FeatureSnrResult(
        settings=settings, modulus=modulus, modulus_interval=np.stack([one.modulus_interval for one in snr], axis=1),
        db=np.stack([one.db for one in snr], axis=1), clean=clean[0], accuracy=accuracy[0], relations=relations,
        injected_clean=clean[1] if told else None, injected_accuracy=accuracy[1] if told else None, injected=told,
        warnings=warnings, **facts,
    )  # fmt: skip
