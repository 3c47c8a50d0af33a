"""Does the answer depend on what stands in for an absent band? The same decomposition with every absence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from spectrobe.engine.absence import absence_classes
from spectrobe.engine.executor import Engine, executor_of
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.run import refuse_other_kind
from spectrobe.engine.store import RunFolder
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.study import decompose
from spectrobe.studies.frozen import Frozen

KIND = "absences"


@dataclass(frozen=True)
class AbsenceAgreement(Frozen):
    """Decompositions that differ in the absence alone.

    results: absence -> result.   rank_agreement: (A, A) Spearman correlation of the bands' order between absences, in
    the order of `results`; NaN where a profile is constant.
    """

    results: Mapping[str, DecomposeResult]
    rank_agreement: np.ndarray

    def summary(self) -> str:
        """Scores by absence, and how far the absences agree on the order of the bands."""
        names = list(self.results)
        width = max(map(len, names))
        lines = [f"{name:>{width}}: score {self.results[name].score}" for name in names]
        lines.append("rank agreement of the bands (Spearman): " + ", ".join(names))
        for name, row in zip(names, self.rank_agreement, strict=True):
            lines.append(f"{name:>{width}}: " + "  ".join(f"{r:+.2f}" for r in row))
        return "\n".join(lines)


def decompose_with_all_absences(
    model: Any,
    data: Any,
    *,
    out: str | os.PathLike[str] | None = None,
    engine: Engine = "local",
    progress: Progress | None = None,
    **settings: Any,
) -> AbsenceAgreement:
    """`decompose` once for each absence, with the same settings and images; out: a folder of run folders.

    Raises RunFolderError, before anything is written, when `out` is itself a run or holds another result.
    """
    progress = progress or Silent()
    if out is not None:
        refuse_other_kind(RunFolder(out), KIND)
    results = {}
    with executor_of(engine) as executor:
        for name in absence_classes():
            progress.note(f"absence {name}")
            folder = None if out is None else f"{os.fspath(out)}/{name}"
            settings |= {"absence": name, "out": folder, "engine": executor, "progress": progress}
            results[name] = decompose(model, data, **settings)
            settings["design"] = results[name].design  # "auto" is settled once: absences differ in nothing else
    return AbsenceAgreement(results, rank_agreement([result.shapley for result in results.values()]))


def rank_agreement(profiles: list[np.ndarray]) -> np.ndarray:
    """Spearman correlation between profiles (M,): (A, A), NaN where one is constant."""
    ranks = np.stack([stats.rankdata(profile) for profile in profiles])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.corrcoef(ranks))
