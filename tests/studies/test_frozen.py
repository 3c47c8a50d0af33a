"""Results cannot be changed, and can be copied, pickled and sent to other processes, kept in memory or in a folder."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.engine.store import plain
from tests.studies.runs import ROWS, pictures, run

STUDIES = list(ROWS)
COPIES = {
    "pickle": lambda result: pickle.loads(pickle.dumps(result)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def arrays(result: Any) -> dict[str, np.ndarray]:
    """All arrays of a result's fields."""
    found = {name: value for name, value in vars(result).items() if not name.startswith("_")}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def one_of(result: Any) -> Any:
    return next(iter(result.results.values())) if isinstance(result, sb.SnrStudy) else result


def table_of(result: Any) -> np.ndarray:
    if isinstance(result, sb.DecomposeResult):
        return result.payoffs
    return result.rows().noise if isinstance(result, sb.SnrResult) else result.predictions.log_q


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("study", STUDIES)
def test_copies_are_the_same_and_frozen(study: str, in_memory: bool, tmp_path: Path) -> None:
    result = run(study, pictures(tmp_path / "images"), None if in_memory else tmp_path / "run")
    for name, copied in ((name, make(result)) for name, make in COPIES.items()):
        one, other = one_of(result), one_of(copied)
        assert type(copied) is type(result)
        assert copied.summary() == result.summary(), name
        np.testing.assert_array_equal(table_of(other), table_of(one))
        assert arrays(other).keys() == arrays(one).keys()
        for key, array in arrays(other).items():
            np.testing.assert_array_equal(array, arrays(one)[key])
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        if study != "snr":
            assert plain(copied.to_dict()) == plain(result.to_dict())
        mapping = {"decompose": "scores", "robustness": "accuracy", "snr": "results"}[study]
        with pytest.raises(TypeError):
            getattr(copied, mapping)["signed"] = 0


def test_what_was_derived_can_be_copied_too(tmp_path: Path) -> None:
    data = pictures(tmp_path / "images")
    one, other = run("decompose", data, None), run("decompose", data, None, absence="mean", images=9)
    again = pickle.loads(pickle.dumps(one.with_value("accuracy")))
    assert again.with_value("usable-information").summary() == one.summary()
    assert again.about()["identity"]["settings"]["value"] == "accuracy"
    compared = sb.compare(one, pickle.loads(pickle.dumps(other)))
    copied = copy.deepcopy(compared)
    np.testing.assert_array_equal(copied.difference, compared.difference)
    assert copied.summary() == compared.summary() and copied.worse() == compared.worse()
    with pytest.raises(ValueError, match="read-only"):
        compared.difference[0] = 1
    restricted = pickle.loads(pickle.dumps(one.table().subset(np.arange(4))))
    assert len(restricted) == 4 and sum(len(chunk) for chunk in restricted.chunks()) == 4


def test_a_copy_does_not_carry_what_was_worked_out(tmp_path: Path) -> None:
    result = run("decompose", pictures(tmp_path / "images"), tmp_path / "run")
    before = len(pickle.dumps(result))
    assert result.fit.rows.shape == (12, 3)
    assert len(pickle.dumps(result)) == before
