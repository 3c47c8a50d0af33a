"""The forecast before a run, and runs that take as many images as a tolerance needs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import spectrobe as sb
from spectrobe.engine import local
from spectrobe.studies.decompose.pilot import N_PILOT
from tests.toys import PLAIN, Counting, Recorder, exact, pixels, planted, self_check_passes

FORECAST = r"forecast: standard error of the score ([\d.]+) at (\d+) images"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the pilot is a small part of these runs."""
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 10)


def test_the_forecast_is_told_before_the_rest_is_played() -> None:
    net, data = planted(240, (1, 8, 8))
    progress = Recorder()
    result = sb.decompose(net, data, progress=progress, **PLAIN)
    kinds = [kind if kind != "note" or "forecast" not in value else "forecast" for kind, value in progress.events]
    before = sum(v for (kind, v) in progress.events[: kinds.index("forecast")] if kind == "advance")
    assert before == N_PILOT * 7
    assert progress.advanced == progress.expected == 240 * 7
    (found,) = [match for note in progress.notes if (match := re.fullmatch(FORECAST, note))]
    assert int(found[2]) == 240
    # a standard deviation estimated from 50 images is within a third of that of 240, but for bad luck
    assert float(found[1]) == pytest.approx(result.score.stderr, rel=0.35)


@pytest.mark.parametrize("design", ["exact", "permutation"])
def test_no_image_is_played_twice(design: str) -> None:
    net, data = planted(60, (1, 8, 8))
    model = Counting(net)
    result = sb.decompose(model, data, **PLAIN | {"design": design, "bands": 4})
    assert model.images == result.forward_passes + self_check_passes(60)


def test_a_tolerance_takes_as_many_images_as_forecast(tmp_path: Path) -> None:
    net, data = planted(400, (1, 8, 8))
    whole = sb.decompose(exact(net), data, **PLAIN)
    half = (whole.score.high - whole.score.low) / 2
    tolerance = half * np.sqrt(400 / 160)  # what about 160 images should give
    progress, model = Recorder(), Counting(exact(net))
    found = sb.decompose(model, data, tolerance=tolerance, progress=progress, out=tmp_path / "run", **PLAIN)
    (told,) = [note for note in progress.notes if note.startswith("forecast")]
    match = re.fullmatch(r"forecast: (\d+) images for a half-width of [\d.]+ on the score", told)
    assert match is not None
    assert found.n_images == int(match[1])
    assert 80 <= found.n_images <= 320
    assert progress.advanced == progress.expected == found.n_images * 7
    assert model.images == found.forward_passes + self_check_passes(400)
    reached = (found.score.high - found.score.low) / 2
    assert reached == pytest.approx(tolerance, rel=0.35)
    # they are the first images of the whole run in seeded order, and the same call goes on from its folder
    first = [int(name) for name in whole.about()["images"][: found.n_images]]
    assert sorted(first) == found.table().position.tolist()
    before = (tmp_path / "run/result.json").read_bytes()
    (tmp_path / "run/result.json").unlink()
    sb.decompose(Counting(exact(net)), data, tolerance=tolerance, out=tmp_path / "run", **PLAIN)
    assert (tmp_path / "run/result.json").read_bytes() == before


def test_too_few_images_are_told_with_the_number_needed() -> None:
    net, data = planted(60, (1, 8, 8))
    progress = Recorder()
    found = sb.decompose(net, data, tolerance=0.001, progress=progress, **PLAIN)
    assert found.n_images == 60
    (warning,) = [text for text in found.warnings if "too few images" in text]
    match = re.search(
        r"half-width of 0\.001 on the score needs about ([\d,]+), there are 60 \(which reach about", warning
    )
    assert match is not None
    needed = int(match[1].replace(",", ""))
    half = (found.score.high - found.score.low) / 2
    assert needed == pytest.approx(60 * (half / 0.001) ** 2, rel=0.6)
    assert progress.advanced == progress.expected == 60 * 7


def test_a_wide_tolerance_stops_after_the_pilot() -> None:
    net, data = planted(120, (1, 8, 8))
    progress = Recorder()
    found = sb.decompose(net, data, tolerance=5.0, progress=progress, **PLAIN)
    assert found.n_images == N_PILOT
    assert progress.advanced == progress.expected == N_PILOT * 7
    assert not any("too few" in warning for warning in found.warnings)


def test_images_and_tolerance_together() -> None:
    net, data = planted(120, (1, 8, 8))
    found = sb.decompose(net, data, tolerance=0.001, images=70, **PLAIN)
    assert found.n_images == 70
    assert any("there are 70" in warning for warning in found.warnings)


def test_a_score_that_is_not_defined_cannot_be_planned_for() -> None:
    """The same answer to everything: no band changes it, so there is nothing to share out."""
    x, labels = pixels(60, (1, 8, 8)), [i % 2 for i in range(60)]
    progress, settings = Recorder(), PLAIN | {"value": "accuracy", "tolerance": 0.1}
    found = sb.decompose(lambda batch: torch.tensor([[1.0, 0.0]]).repeat(len(batch), 1), (x, labels),
                         progress=progress, **settings)  # fmt: skip
    assert np.abs(found.shapley).max() < 1e-12 and np.isnan(found.score.value)
    assert found.n_images == 60
    assert any("tolerance 0.1 could not be planned for" in warning for warning in found.warnings)
    assert any(note.startswith("forecast: none, the score is not defined") for note in progress.notes)
    assert progress.advanced == progress.expected == 60 * 7
