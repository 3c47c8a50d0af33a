"""What may be reported on: folders, results, folders of folders; and what is refused, and how."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

import spectrobe as sb
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, RunFolderError
from spectrobe.report.material import Material
from spectrobe.report.runs import open_runs
from spectrobe.report.sections import score_robustness
from spectrobe.report.unfinished import Progress
from spectrobe.report.words import details
from spectrobe.studies.feature_snr.settings import Settings as SnrSettings
from spectrobe.studies.kinds import kind_of
from tests.report.cases import PLAIN, coarse, labelled, reported
from tests.studies.label_noise.cases import made_by_hand, stored
from tests.studies.response.cases import measure, one_band, ripples
from tests.toys import labels_of, linear, pixels


def rewritten(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | changes))


def described(settings: Any) -> dict[str, Any]:
    """The identity of a study that trains, as run.json has it."""
    images = {"name": "digits", "images": 100, "digest": "0"}
    plain = {"precision": "auto", "demo": False}
    return {"settings": settings.to_dict() | plain, "train": images, "held_out": images, "execution": {}}


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

    def test_wherever_its_numbers_stand_it_is_called_unfinished(self, runs: Path, tmp_path: Path) -> None:
        """In charts, tables and sentences: of a decomposition, of robustness and of SNR beside a finished model."""
        together = tmp_path / "together"
        for name in ("coarse", "coarse-robustness", "fine", "fine-robustness", "snr"):
            shutil.copytree(runs / name, together / name)
        for name in ("coarse", "coarse-robustness", "snr"):
            (together / name / "result.json").unlink()
        found = Material(open_runs(together))
        marks = [" (unfinished: 60 of 60 images)", " (unfinished: 20 of 20 images)"]
        assert {result.perturbation for result in found.snr_results} == {
            f"{name}{marks[1]}" for name in ("gaussian_noise:1", "gaussian_noise:2", "gaussian_noise:3", "contrast:3")
        }
        assert all(score.perturbation.endswith(marks[1]) for _, score in found.survivals)
        [panels] = score_robustness.section(found).blocks  # type: ignore[union-attr]
        assert [row[0].text for row in panels.table.rows] == [f"coarse{''.join(marks)}", "fine"]
        assert [one.name for one in panels.charts[0].series] == [f"coarse{''.join(marks)}", "fine"]
        assert any(f"gaussian_noise:1{marks[1]} to 3{marks[1]}" in part for part in details(found))

    def test_a_run_that_has_just_begun_is_named_and_nothing_is_made_up(self, copy: Path, tmp_path: Path) -> None:
        (copy / "result.json").unlink()
        shutil.rmtree(copy / "payoffs")
        [run] = open_runs(copy)
        assert run.result is None and str(run.progress) == "0 of 60 images"
        page = reported(copy, tmp_path)
        assert "None of these runs has a result yet." in page.text
        assert "this run is not finished (0 of 60 images); an interval needs at least 2 images" in page.text

    def test_a_track_shows_the_checkpoints_that_are_measured(self, tmp_path: Path) -> None:
        nets = {f"epoch={k}": linear(seed=1, scale=0.5 * (k + 1)) for k in (0, 2, 10)}
        for name, net in nets.items():
            save_file(net.state_dict(), tmp_path / f"{name}.safetensors")
        x = pixels(20)
        settings: dict[str, Any] = {"bands": 3, "precision": "float32", "batch_size": 32}
        out = tmp_path / "run"
        whole = sb.track(linear(), (x, labels_of(nets["epoch=10"], x)), tmp_path, **settings, out=out)
        (out / "result.json").unlink()
        assert open_runs(out)[0].result.names == whole.names
        (out / whole.folders[1] / "result.json").unlink()
        [run] = open_runs(out)
        assert str(run.progress) == "2 of 3 checkpoints" and run.result.names == ("epoch=0", "epoch=10")
        assert np.array_equal(run.result.shapley, whole.shapley[[0, 2]])
        assert np.array_equal(run.result.change.difference, whole.change.difference)  # type: ignore[union-attr]
        text = reported(out, tmp_path).text
        assert "this run is not finished (2 of 3 checkpoints); what is there is shown" in text
        assert "over checkpoints: Sequential (unfinished: 2 of 3 checkpoints)" in text
        for folder in whole.folders:
            (out / folder / "result.json").unlink(missing_ok=True)
        assert "no checkpoint is measured yet" in reported(out, tmp_path).text

    def test_label_noise_shows_the_trainings_begun(self, tmp_path: Path) -> None:
        made = made_by_hand(seeds=2)
        folder = RunFolder(tmp_path / "run", rows="readings")
        folder.write_json("run.json", {"command": "label_noise", "identity": described(made.settings)})
        assert open_runs(folder.path)[0].progress == Progress(
            0, 4, "its curves compare trainings and are drawn once all are done", "trainings"
        )
        for shard in (*range(4), 4, 5, 8):  # rate 0: both seeds, the second to epoch 2; rate .8: one epoch
            rate, (seed, epoch) = made.rates[shard // 8], divmod(shard % 8, 4)
            folder.write_shard(shard, stored(rate, seed, epoch + 1).columns(), {})
        [run] = open_runs(folder.path)
        assert run.result is None and str(run.progress) == "1 of 4 trainings"
        told = [(one.name, one.epochs) for one in run.progress.trainings]  # type: ignore[union-attr]
        assert told == [
            ("clean labels, seed 0", 4), ("clean labels, seed 1", 2),
            ("80% of the labels wrong, seed 0", 1),
        ]  # fmt: skip
        last = stored(0, 1, 2)
        accuracy, gain = run.progress.trainings[1].numbers.values()  # type: ignore[union-attr]
        assert (accuracy.value, gain.value) == (last.right.mean(), pytest.approx(last.gain.mean()))
        assert accuracy.low < accuracy.value < accuracy.high and gain.low < gain.value < gain.high
        page = reported(folder.path, tmp_path)
        assert (
            "1 of 4 trainings); its curves compare trainings and are drawn once all are done; those read" in page.text
        )
        assert (
            "label noise: 1 of 4 trainings done; 95% intervals over images" in page.text and "epoch 2 of 4" in page.text
        )

    def test_feature_snr_shows_the_trainings_measured(self, tmp_path: Path) -> None:
        settings = SnrSettings.of(4, "0-1,2-3", "resnet:8", 3, 64, 0.1, seeds=1, perturbations="fog:1,contrast:1")
        folder = RunFolder(tmp_path / "run", rows="predictions")
        folder.write_json("run.json", {"command": "feature_snr", "identity": described(settings)})
        right = np.zeros((10, 6), dtype=np.uint8)  # intact and two perturbations, on own bands and on all
        right[:8, 0], right[:6, 1], right[:2, 2], right[:, 3:] = 1, 1, 1, 1
        folder.write_shard(2, {"id": list(map(str, range(10))), "right": right}, {})
        [run] = open_runs(folder.path)
        assert str(run.progress) == "1 of 4 trainings"
        [one] = run.progress.trainings  # type: ignore[union-attr]
        assert (one.name, one.done) == ("bands group 0, injected noise, seed 0", True)
        assert [number.value for number in one.numbers.values()] == [0.8, pytest.approx(0.4)]
        assert "bands group 0, injected noise, seed 0" in reported(folder.path, tmp_path).text

    def test_trainings_whose_rows_are_damaged(self, tmp_path: Path) -> None:
        settings = SnrSettings.of(4, "0-1,2-3", "resnet:8", 3, 64, 0.1, seeds=1, perturbations="fog:1")
        folder = RunFolder(tmp_path / "run", rows="predictions")
        folder.write_json("run.json", {"command": "feature_snr", "identity": described(settings)})
        folder.write_shard(0, {"id": ["a"]}, {})
        [run] = open_runs(folder.path)
        assert run.result is None and "nothing can be read yet" in run.progress.why  # type: ignore[union-attr]
        assert str(run.progress) == "0 of 0 trainings"

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
