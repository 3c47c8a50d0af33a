"""Run folders, results on disk, and what a result holds."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.errors import RunFolderError, SpectrobeError
from spectrobe.studies.response.study import response
from tests.studies.response.cases import BANDS
from tests.studies.response.runs import run
from tests.studies.robustness.cases import Stopped, stopping
from tests.toys import Recorder, planted

DRIVER = Path(__file__).parent / "driver.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(out)
    return out


@pytest.mark.long  # in one process: the test below
def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "run"
    killed = subprocess.run(
        [sys.executable, str(DRIVER), str(out), "between write and rename", "4"], capture_output=True
    )
    assert killed.returncode == -9, killed.stderr.decode()
    assert len(list((out / "response").glob("*.parquet"))) == 1 and not (out / "result.json").exists()
    run(out)
    assert (out / "result.json").read_bytes() == (folder / "result.json").read_bytes()


@pytest.mark.parametrize("phase,count", [("shard done", 2), ("shard write", 3), ("result write", 1)])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(tmp_path: Path, folder: Path, phase: str, count: int) -> None:
    out = tmp_path / "run"
    with pytest.raises(Stopped), stopping(phase, count):
        run(out)
    run(out)
    assert (out / "result.json").read_bytes() == (folder / "result.json").read_bytes()


def test_what_was_begun_is_not_played_again_and_a_finished_run_is_only_read(folder: Path) -> None:
    recorder = Recorder()
    again = run(folder, recorder)
    assert recorder.advanced == 0
    assert json.dumps(again.to_dict(), default=str) == json.dumps(sb.load(folder).to_dict(), default=str)


def test_the_price_is_told_before_and_kept(tmp_path: Path) -> None:
    recorder = Recorder()
    found = run(tmp_path / "run", recorder)
    views = 1 + 4 * 3 + 2 * 3 + (1 + 2 * 3) + 12  # clean, masked, cut off, the same under a perturbation, perturbed
    vectors = 4 * 4 // 2 + 2  # of the 16 pairs of multiples of 4, four are their own partners
    assert recorder.expected == recorder.advanced == found.forward_passes == 60 * (views + 1) + 20 * vectors
    (price,) = [note for note in recorder.notes if "forward passes" in note]
    assert f"60 images x {views + 1} forward passes" in price and f"{vectors} basis vectors x 20 images" in price
    assert "standard error of an accuracy at most 0.065" in price


def test_batches_change_nothing(folder: Path) -> None:
    one, other = sb.load(folder), run(None, batch_size=7)
    np.testing.assert_array_equal(one.masking.accuracy.value, other.masking.accuracy.value)
    np.testing.assert_allclose(one.rows.log_q, other.rows.log_q, atol=1e-5)
    np.testing.assert_allclose(one.gradient.energy.value, other.gradient.energy.value, rtol=1e-4)


def test_other_settings_are_refused(folder: Path) -> None:
    with pytest.raises(RunFolderError, match=r"powers: there \[0\.01, 0\.04, 0\.16\], now \[0\.01\]"):
        run(folder, powers=(0.01,))
    net, data = planted(60)
    with pytest.raises(RunFolderError, match="holds a run of response, not of robustness"):
        sb.robustness(net, data, "fog:1", out=folder, batch_size=20)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    kept = run(None)
    kept.save(tmp_path / "saved")
    loaded = sb.load(tmp_path / "saved")
    assert isinstance(loaded, sb.ResponseResult)
    assert loaded.summary() == kept.summary()
    assert json.dumps(loaded.to_dict(), default=str) == json.dumps(kept.to_dict(), default=str)
    for name in ("right", "log_q", "power", "gradient"):
        np.testing.assert_array_equal(getattr(loaded.rows, name), getattr(kept.rows, name))
    assert loaded.heat_rows is not None and kept.heat_rows is not None
    np.testing.assert_array_equal(loaded.heat_rows.l2, kept.heat_rows.l2)
    with pytest.raises(RunFolderError, match="found a run"):
        kept.save(tmp_path / "saved")


def test_damage_is_named(tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = run(out, heat_map=None, perturbations=())
    content = json.loads((out / "result.json").read_text())
    del content["masking"]
    (out / "result.json").write_text(json.dumps(content))
    with pytest.raises(RunFolderError, match=r"result\.json is damaged"):
        sb.load(out)
    without = sb.ResponseResult.from_dict(json.loads(json.dumps(found.to_dict(), default=str).replace("NaN", "null")))
    with pytest.raises(SpectrobeError, match="no rows"):
        _ = without.rows


def arrays(thing: object) -> list[np.ndarray]:
    """Every array of a result."""
    if isinstance(thing, np.ndarray):
        return [thing]
    if isinstance(thing, dict) or hasattr(thing, "items"):
        return [a for value in thing.values() for a in arrays(value)]  # type: ignore[union-attr, attr-defined]
    if hasattr(thing, "__dataclass_fields__"):
        return [a for f in fields(thing) if f.name[0] != "_" for a in arrays(getattr(thing, f.name))]  # type: ignore[arg-type]
    return []


def test_results_are_frozen(folder: Path) -> None:
    for result in (sb.load(folder), run(None)):
        found = arrays(result)
        assert len(found) > 40 and not any(array.flags.writeable for array in found)
        with pytest.raises(TypeError):
            result.failed["x"] = "y"


def test_the_frame_has_every_number(folder: Path) -> None:
    pytest.importorskip("pandas")
    result = sb.load(folder)
    frame = result.to_frame()
    named = frame[frame.measure == "high-pass accuracy"]
    assert named.value.iloc[0] == result.high_pass_accuracy.value == result.numbers["high-pass accuracy"].value
    assert frame[frame.measure == "gradient norm"].value.iloc[0] == result.gradient_norm.value
    noise = frame[(frame.measure == "accuracy under band noise") & (frame.band == 2)]
    assert noise.value.tolist() == result.masking.of_band(2).value.tolist()
    assert noise.power.tolist() == [0.01, 0.04, 0.16] and set(noise.low_frequency) == {0.25}
    drops = frame[frame.measure == "drop of accuracy"]
    assert (
        drops.perturbation.tolist() == list(result.claim.names) and drops.value.tolist() == result.claim.drop.tolist()
    )
    under = frame[frame.measure == "low-pass accuracy under"]
    assert len(under) == 3 and set(under.perturbation) == {"gaussian_noise:3"}


def test_the_summary_tells_all_of_it(folder: Path) -> None:
    told = sb.load(folder).summary()
    for part in (
        "60 images of 16 x 16, bands square:4",
        "cycles/image",
        "half-way noise",
        "low-pass under",
        "predictor of the drop of accuracy",
        "Gradient: most of its power",
        "Delivered after clipping, at the strongest noise: standard deviation",
        "Under gaussian_noise:3 accuracy is",
        "Fourier basis noise of L2 norm 2 after clipping, 10 vectors on 20 images",
        "12 perturbations, each predicted from the 3 other kinds (weather, digital, noise, blur)",
        "masking response (accuracy under band noise): off by",
        "forward passes at most",
    ):
        assert part in told


def test_memory_that_runs_out_halves_the_batches() -> None:
    from tests.toys import Counting

    net, data = planted(60)
    small = Counting(net, most=35)
    found = response(small, data, bands=BANDS, under=None, powers=0.04, batch_size=50)
    assert max(small.batches) <= 35 and any("went from 50 to 25" in warning for warning in found.warnings)


def test_a_damaged_shard_is_named_and_a_lost_one_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(out, perturbations=())
    before = (out / "result.json").read_bytes()
    (of_heat_map,) = sorted((out / "response").glob("*.parquet"))[-1:]
    of_heat_map.unlink()
    run(out, perturbations=())
    assert (out / "result.json").read_bytes() == before
    (out / "result.json").unlink()
    of_heat_map.write_bytes(b"torn")
    with pytest.raises(RunFolderError, match=r"response/00000\d\.parquet is damaged"):
        run(out, perturbations=())
