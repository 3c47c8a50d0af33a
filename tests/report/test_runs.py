"""What may be reported on: folders, results, folders of folders; and what is refused, and how."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, RunFolderError
from spectrobe.report.runs import open_runs
from spectrobe.studies.kinds import kind_of
from tests.report.cases import PLAIN, coarse, labelled, reported
from tests.studies.response.cases import measure, one_band, ripples


def rewritten(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | changes))


@pytest.fixture
def copy(runs: Path, tmp_path: Path) -> Path:
    """A run of decompose that may be spoiled."""
    return Path(shutil.copytree(runs / "coarse", tmp_path / "copy"))


class TestWhatIsRead:
    def test_folders_and_results_and_folders_of_folders(self, runs: Path, low: sb.DecomposeResult) -> None:
        found = open_runs([runs, low, runs / "snr"])
        assert [run.kind for run in found] == [
            "decompose", "robustness", "decompose", "robustness", "snr", "decompose", "snr",
        ]  # fmt: skip
        assert [Path(run.folder).name for run in found][:2] == ["coarse", "coarse-robustness"]
        assert found[5].result is low and found[5].folder == ""

    def test_one_result_alone(self, low: sb.DecomposeResult) -> None:
        assert [run.result for run in open_runs(low)] == [low]

    def test_every_absence_is_a_run_of_its_own(self, tmp_path: Path, low: sb.DecomposeResult) -> None:
        for name in ("mean", "zero"):
            low.save(tmp_path / "all" / name)
        content = {"kind": "absences", "results": {name: low.to_dict() for name in ("mean", "zero")}}
        RunFolder(tmp_path / "all").write_json("result.json", content)
        assert [run.kind for run in open_runs(tmp_path / "all")] == ["decompose", "decompose"]

    def test_a_result_in_memory_knows_how_it_was_made(self, low: sb.DecomposeResult) -> None:
        [run] = open_runs(low)
        assert run.identity["data"]["images"] == 60 and run.model_name == "coarse"


class TestWhatIsRefused:
    @pytest.mark.parametrize("name", ["run.json", "result.json"])
    @pytest.mark.parametrize("version, said", [(99, "up to 1: update spectrobe"), (0, "repeat the run")])
    def test_another_schema(self, name: str, version: int, said: str, copy: Path) -> None:
        rewritten(copy, name, schema_version=version)
        with pytest.raises(RunFolderError, match=f"{name} has schema version {version}.*{said}"):
            open_runs(copy)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError, match="expected a run folder"):
            open_runs(tmp_path)
        with pytest.raises(RunFolderError, match="expected a run folder"):
            open_runs(tmp_path / "nowhere")

    def test_a_comparison_is_no_run(self, tmp_path: Path) -> None:
        RunFolder(tmp_path / "both").write_json("result.json", {"kind": "compare"})
        with pytest.raises(RunFolderError, match="a result of compare, which is made from runs: give the runs"):
            open_runs(tmp_path / "both")

    @pytest.mark.parametrize("given", [3, [{}], [None]])
    def test_anything_else(self, given: Any) -> None:
        with pytest.raises(InputError, match="the result of a study, got"):
            open_runs(given)

    def test_nothing_at_all(self) -> None:
        with pytest.raises(InputError, match="at least one run"):
            open_runs([])

    def test_a_damaged_result(self, copy: Path) -> None:
        (copy / "result.json").write_text("{")
        with pytest.raises(RunFolderError, match="damaged"):
            open_runs(copy)


class TestUnfinished:
    """A run without its result is what its complete shards say."""

    def test_a_decomposition_shows_the_images_that_are_there(self, copy: Path, low: sb.DecomposeResult) -> None:
        (copy / "result.json").unlink()
        [run] = open_runs(copy)
        assert str(run.progress) == "60 of 60 images"
        np.testing.assert_allclose(run.result.shapley, low.shapley, atol=1e-6)
        assert run.result.score.low == pytest.approx(low.score.low, abs=1e-6)
        assert "not finished" in reported(copy, copy.parent).text

    def test_some_shards_are_some_images(self, tmp_path: Path) -> None:
        sb.decompose(coarse, labelled(coarse, 60), **{**PLAIN, "bands": 7, "out": tmp_path / "run"})
        shards = sorted((tmp_path / "run" / "payoffs").iterdir())
        assert len(shards) > 2
        for path in (*shards[2:], tmp_path / "run" / "result.json"):
            path.unlink()
        [run] = open_runs(tmp_path / "run")
        assert run.progress is not None
        assert 2 <= run.progress.done == run.result.n_images < 60 == run.progress.of

    @pytest.mark.parametrize("name", ["coarse-robustness", "snr"])
    def test_the_other_kinds_too(self, name: str, runs: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(runs / name, tmp_path / name))
        whole = open_runs(folder)[0].result
        (folder / "result.json").unlink()
        [run] = open_runs(folder)
        assert str(run.progress) == "20 of 20 images" and run.kind == kind_of(whole)
        if run.kind == "snr":
            for item, result in whole.results.items():
                np.testing.assert_allclose(run.result.results[item].db, result.db, rtol=1e-12)
        else:
            assert {name: float(e) for name, e in run.result.accuracy.items()} == {
                name: float(e) for name, e in whole.accuracy.items()
            }

    @pytest.mark.parametrize("heat_map", [None, 1.0], ids=["", "before its heat map"])
    def test_a_response_run_too(self, heat_map: float | None, tmp_path: Path) -> None:
        model, data = one_band(20)
        whole = measure(model, data, ripples(broken_at=3), heat_map=heat_map, heat_map_step=4, out=tmp_path / "run")
        (tmp_path / "run" / "result.json").unlink()
        if heat_map is not None:
            sorted((tmp_path / "run" / "response").iterdir())[-1].unlink()
        [run] = open_runs(tmp_path / "run")
        assert str(run.progress) == "20 of 20 images" and run.result.heat_map is None
        assert (run.result.accuracy, run.result.failed) == (whole.accuracy, whole.failed)
        np.testing.assert_allclose(run.result.masking.sensitivity.value, whole.masking.sensitivity.value, rtol=1e-12)
        assert run.result.claim.names == whole.claim.names  # type: ignore[union-attr]
        page = reported(tmp_path / "run", tmp_path)
        assert "So far, with 20 of 20 images done: " in page.text and "cannot be drawn" not in page.text

    def test_a_run_that_has_just_begun_is_named_and_nothing_is_made_up(self, copy: Path, tmp_path: Path) -> None:
        (copy / "result.json").unlink()
        shutil.rmtree(copy / "payoffs")
        [run] = open_runs(copy)
        assert run.result is None and str(run.progress) == "0 of 60 images"
        page = reported(copy, tmp_path)
        assert "None of these runs has a result yet." in page.text
        assert "this run is not finished (0 of 60 images); an interval needs at least 2 images" in page.text

    def test_a_kind_that_cannot_be_shown_in_part(self, copy: Path) -> None:
        (copy / "result.json").unlink()
        rewritten(copy, "run.json", command="relate")
        [run] = open_runs(copy)
        assert run.result is None and run.progress is not None and "once they are finished" in run.progress.why

    def test_a_finished_run_is_not_called_unfinished(self, runs: Path, tmp_path: Path) -> None:
        assert all(run.progress is None for run in open_runs(runs))
        assert "not finished" not in reported(runs / "coarse", tmp_path).text


def test_results_say_of_which_study_they_are(runs: Path, low: sb.DecomposeResult) -> None:
    assert kind_of(low) == "decompose"
    assert kind_of(sb.load(runs / "snr")) == "snr"
    with pytest.raises(InputError, match="got int"):
        kind_of(3)


def test_decomposed_twice_the_same_page(runs: Path, tmp_path: Path) -> None:
    pages = [reported(runs, tmp_path / name).source for name in "ab"]
    assert pages[0] == pages[1]
