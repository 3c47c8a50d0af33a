"""`design="auto"`: the rule, case by case, and runs that follow it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.studies.decompose.design import DesignChoice, choose_design
from tests.toys import PLAIN, Counting, Recorder, exact, planted, self_check_passes


def choice(n_bands: int, n_images: int, tolerance: float | None = None, stderr: float = np.nan) -> DesignChoice:
    def pilot() -> tuple[float, int]:
        assert tolerance is not None, "no pilot without a tolerance"
        return stderr, 50

    return choose_design("auto", n_bands, n_images, tolerance, 0.95, pilot)


@pytest.mark.parametrize(
    ("n_bands", "n_images", "tolerance", "stderr", "design"),
    [
        (13, 50, None, np.nan, "permutation"),  # the exact design would have to be forced
        (4, 10**6, 0.001, np.nan, "exact"),
        (12, 99, 0.001, np.nan, "exact"),  # too few images to share temperatures
        (12, 100, None, np.nan, "permutation"),
        (8, 10**6, None, np.nan, "exact"),
        (9, 10**6, None, np.nan, "permutation"),
        (8, 10**6, 0.1, np.nan, "exact"),  # no score on the pilot
        (12, 10**6, 0.1, np.nan, "permutation"),
        # 50 images with a standard error of .1: 0.1 wants 50 * 1.96^2 = 193 images, 193 * 15 = 2,895 passes
        (8, 10**6, 0.1, 0.1, "permutation"),
        # 0.01 wants 19,208 images, 288,120 passes: as many as 1,129 images cost in the exact design
        (8, 1_129, 0.01, 0.1, "exact"),
        (8, 1_130, 0.01, 0.1, "permutation"),
    ],
)
def test_the_rule(n_bands: int, n_images: int, tolerance: float | None, stderr: float, design: str) -> None:
    assert choice(n_bands, n_images, tolerance, stderr).design == design


def test_a_design_that_is_asked_for_is_taken() -> None:
    assert choose_design("exact", 12, 10**6, 0.1, 0.95, lambda: (0.1, 50)) == DesignChoice("exact", "asked for")


def test_it_says_why() -> None:
    found = choice(8, 1_129, 0.01, 0.1)
    assert found.why == (
        "287,895 forward passes in the exact design, the tolerance needs 288,120 in the permutation design"
    )


AUTO: dict[str, Any] = PLAIN | {"design": "auto", "bands": 5}


def test_a_run_is_the_one_of_the_design_that_was_chosen(tmp_path: Path) -> None:
    net, data = planted(120, (1, 12, 12))
    progress, model = Recorder(), Counting(exact(net))
    found = sb.decompose(model, data, tolerance=0.5, out=tmp_path / "run", progress=progress, **AUTO)
    assert found.design == "permutation" and found.interactions is None
    # what it costs to choose: a pilot of 50 images (and its absence image), beside the run's own passes
    assert model.images == found.forward_passes + (50 * 9 + 1) + self_check_passes(120)
    assert any(re.match(r"design permutation \(.* forward passes in the exact design", note) for note in progress.notes)
    known = json.loads((tmp_path / "run/run.json").read_text())
    assert known["identity"]["settings"]["design"] == "auto"
    assert known["settled"]["design"] == "permutation"
    plain = sb.decompose(exact(net), data, tolerance=0.5, **AUTO | {"design": "permutation"})
    np.testing.assert_array_equal(found.shapley, plain.shapley)
    loaded = sb.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.shapley_by_image, found.shapley_by_image)
    # the same call goes on in the same design, without a pilot
    before = (tmp_path / "run/result.json").read_bytes()
    (tmp_path / "run/result.json").unlink()
    again = Counting(exact(net))
    sb.decompose(again, data, tolerance=0.5, out=tmp_path / "run", **AUTO)
    assert (tmp_path / "run/result.json").read_bytes() == before
    assert again.images == self_check_passes(120)


def test_short_of_images_it_shows_them_every_coalition() -> None:
    net, data = planted(120, (1, 12, 12))
    found = sb.decompose(net, data, tolerance=0.001, **AUTO)
    assert found.design == "exact" and found.n_images == 120


def test_all_absences_take_one_design() -> None:
    from spectrobe.studies.decompose.absences import decompose_with_all_absences

    net, data = planted(20, (1, 12, 12))
    settings = {name: value for name, value in AUTO.items() if name != "absence"}
    found = decompose_with_all_absences(net, data, **settings)
    assert {result.design for result in found.results.values()} == {"exact"}


def test_studies_of_several_models_need_to_know_it_beforehand(tmp_path: Path) -> None:
    from spectrobe.studies.zoo.study import measure_zoo

    net, data = planted(20)
    with pytest.raises(InputError, match="expected design 'exact' or 'permutation', got 'auto': models are compared"):
        measure_zoo(["demo:efficientnet-lite0"], data, (), design="auto", out=tmp_path / "zoo")
    with pytest.raises(InputError, match="got 'auto': every checkpoint is measured by one"):
        sb.track(net, [], data, design="auto")
