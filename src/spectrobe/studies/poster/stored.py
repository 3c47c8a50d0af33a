"""What the poster claims beyond the user's models, from runs made before: a zoo's, and studies of training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, RunFolderError, SpectrobeError
from spectrobe.models.zoo import FOLDER_VARIABLE, zoo_folder
from spectrobe.studies.kinds import kind_of
from spectrobe.studies.relate.result import RelateResult
from spectrobe.studies.runs import load

ZOO_RUN = "relate"
"""Folder of the stored run that relates scores to robustness, in the zoo's own folder."""
_NONE = (
    "There are no stored runs of spectrobe's zoo here: they belong into zoo/relate of its repository, not into "
    f"the package. Give a run of relate with --zoo, or the zoo's folder in {FOLDER_VARIABLE}"
)
TRAINING = ("feature_snr", "label_noise")
"""Studies that train models: the second and the sixth claim."""


def zoo_run(given: str | os.PathLike[str] | None) -> tuple[str, str]:
    """The folder of a stored run of `relate`, and why there is none where nothing was given: one of them is empty.

    given: a run of `relate`, or a folder with one in relate/; None: the repository's zoo. Raises RunFolderError where
    what was given holds none.
    """
    if given is None:
        try:
            return _relation(zoo_folder()), ""
        except SpectrobeError:
            return "", _NONE
    return _relation(given), ""


def _relation(folder: str | os.PathLike[str]) -> str:
    where = os.fspath(folder)
    inside = f"{where.rstrip('/')}/{ZOO_RUN}"
    found = where if RunFolder(where).exists("result.json") else inside
    if not RunFolder(found).exists("result.json"):
        raise RunFolderError(
            f"{where}: expected a finished run of relate, or a folder with one in {ZOO_RUN}/, found none"
        )
    if not isinstance(load(found), RelateResult):
        raise RunFolderError(f"{found}: expected a run of relate, got a run of another command")
    return found


def check_studies(folders: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Results of stored studies of training by their folder; InputError for one of another kind."""
    found = {os.fspath(folder): load(folder) for folder in folders}
    for where, result in found.items():
        if kind_of(result) not in TRAINING:
            wanted = " or ".join(name.replace("_", "-") for name in TRAINING)
            raise InputError(f"expected a run of the study {wanted}, got one of {kind_of(result)} in {where}")
    return found
