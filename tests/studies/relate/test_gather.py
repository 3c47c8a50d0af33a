"""Which runs are of one model, and tables of the user's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.errors import InputError, RunFolderError
from spectrobe.studies.relate.gather import ModelRuns, gather
from spectrobe.studies.relate.tables import read_table
from tests.studies.relate.cases import FAST, NAMES, bare_models, by_model, data, decomposed, measured, model


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three models in folders, by kind, as two commands with --out would leave them."""
    root = tmp_path_factory.mktemp("runs")
    for which in range(3):
        decomposed(which, out=root / f"d/{NAMES[which]}")
        measured(which, "contrast:2", out=root / f"r/{NAMES[which]}")
    return root


@pytest.fixture
def runs(stored: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(stored, tmp_path / "runs"))


def change(path: Path, **identity: Any) -> None:
    """Give a run's model another identity."""
    content = json.loads((path / "run.json").read_text())
    content["identity"]["model"] |= identity
    (path / "run.json").write_text(json.dumps(content))


def names(models: list[ModelRuns]) -> list[tuple[str, int, int]]:
    return [(m.title, len(m.decompositions), len(m.robustness)) for m in models]


def test_a_parent_folder_and_single_folders_give_the_same(stored: Path) -> None:
    found = gather(stored)
    models, left_out = found.models, found.left_out
    assert names(models) == [(name, 1, 1) for name in "abc"] and left_out == {}
    each = [stored / kind / name for kind in "rd" for name in "abc"]
    assert names(gather(each).models) == names(models)
    assert sb.relate(stored, **FAST).models == sb.relate(map(str, each), **FAST).models == ("a", "b", "c")


def test_the_hash_of_the_weights_counts_before_the_name(runs: Path) -> None:
    renamed = json.loads((runs / "r/a/result.json").read_text())
    renamed["settings"]["model_name"] = "the same weights"
    (runs / "r/a/result.json").write_text(json.dumps(renamed))
    models = gather(runs).models
    assert names(models)[0] == ("a", 1, 1) and models[0].names == {"a", "the same weights"}
    change(runs / "r/b", weights_sha256="0" * 64)  # trained on since
    models = gather(runs).models
    assert ("c", 1, 1) in names(models)
    apart = [m for m in models if m.title.startswith("b (")]
    assert [(len(m.decompositions), len(m.robustness)) for m in apart] == [(1, 0), (0, 1)]
    with pytest.raises(InputError, match=r"got 2 \(left out: b \(\w{8}\): no robustness run; b \(0{8}\): no"):
        sb.relate(runs, **FAST)


def test_results_without_a_hash_join_by_name(stored: Path) -> None:
    in_memory = [measured(which, "contrast:2") for which in range(3)]
    found = sb.relate([stored / "d", *in_memory], **FAST)
    assert found.models == ("a", "b", "c")


def test_one_network_behind_two_normalisations_is_refused(runs: Path) -> None:
    change(runs / "r/a", mean=[0.5, 0.5, 0.5])
    with pytest.raises(InputError, match=r"of one network with two inputs: mean is None in .*d/a and \[0.5"):
        sb.relate(runs, **FAST)


def test_an_unfinished_run_is_named(runs: Path) -> None:
    (runs / "r/c/result.json").unlink()
    with pytest.raises(InputError, match=r"left out: r/c: .*this run is not finished.*; c: no robustness run"):
        sb.relate(runs, **FAST)
    with pytest.raises(RunFolderError, match="this run is not finished"):
        sb.relate([runs / "r/c"], **FAST)


def test_a_zoo_brings_names_and_recipes_along(stored: Path, tmp_path: Path) -> None:
    for name in "abc":
        shutil.copytree(stored / "d" / name, tmp_path / f"{name}-folder/decompose-mean")
        shutil.copytree(stored / "r" / name, tmp_path / f"{name}-folder/robustness")
    entries = [{"folder": f"{n}-folder", "name": f"my {n}", "recipe": "at" if n == "c" else "plain"} for n in "abc"]
    (tmp_path / "zoo.json").write_text(json.dumps({"schema_version": 1, "models": entries}))
    sb.relate(tmp_path, **FAST).save(tmp_path / "relate")
    found = sb.relate(tmp_path, **FAST)  # what it made itself is no run
    assert found.models == ("my a", "my b", "my c") and found.recipes == ("plain", "plain", "at")
    assert found.left_out == {}
    for inside in ("*-folder", "*-folder/*"):  # whatever of it is named
        again = sb.relate(sorted(tmp_path.glob(inside)), **FAST)
        assert (again.models, again.recipes) == (found.models, found.recipes)


def test_snr_runs_lie_in_folders_too(stored: Path, tmp_path: Path) -> None:
    sb.spectral_snr(data()[0], "contrast:2", bands=3, out=tmp_path / "snr")
    together = sb.relate([stored, tmp_path], values=["accuracy"], **FAST)  # among the other runs, too
    found = sb.relate(stored, snr=tmp_path / "snr", values=["accuracy"], **FAST)
    assert list(together.scores) == list(found.scores)
    assert "surviving-information/accuracy/mean for accuracy/contrast:2" in found.scores


def test_numbers_of_other_studies_are_baselines(stored: Path) -> None:
    extra = bare_models({"gradient norm": [1.0, 2.0, 4.0]})
    renamed = [type(one)(name, one.numbers) for one, name in zip(extra, "abc", strict=True)]
    found = sb.relate([stored, *renamed], **FAST)
    assert found.scores["gradient norm"].kind == "baseline"
    assert found.relation("gradient norm", "accuracy/contrast:2").n_models == 3
    with pytest.raises(InputError, match="a has 'gradient norm' from two runs"):
        sb.relate([stored, *renamed, renamed[0]], **FAST)


TABLE = "model,top1,family,params\nm00,71.5,x,1\nm01,60,y,2\nm02,55.25,x,3\n\n"


class TestTables:
    def table(self, folder: Path, text: str) -> Path:
        (folder / "results.csv").write_text(text, encoding="utf-8")
        return folder / "results.csv"

    def relate(self, against: Any, **more: Any) -> sb.RelateResult:
        scores = {"score": by_model([1, 2, 3, 4])}
        return sb.relate(bare_models({"clean": [0.0, 1, 2, 3]}), scores=scores, against=against, **FAST, **more)

    def test_measured_numbers_come_from_a_column(self, tmp_path: Path) -> None:
        found = self.relate(self.table(tmp_path, TABLE), value_column="top1")
        assert list(found.measures) == ["top1"]
        assert [e.value for e in found.measures["top1"].estimates] == [71.5, 60, 55.25]
        assert found.models == ("m00", "m01", "m02")
        assert dict(found.left_out) == {"m03": "no robustness run, and no row in results.csv"}
        assert np.isnan(found.measures["top1"].estimates[0].low)

    def test_all_columns_of_numbers_are_taken_unless_named(self, tmp_path: Path) -> None:
        path = self.table(tmp_path, TABLE)
        assert list(self.relate(path).measures) == ["top1", "params"]
        assert list(self.relate(path, value_column=["params"]).measures) == ["params"]

    def test_a_model_without_a_row_that_has_runs_is_named(self, stored: Path, tmp_path: Path) -> None:
        path = self.table(tmp_path, "model,x\na,1\nb,2\n")
        found = sb.relate(stored, against=path, **FAST)
        assert found.left_out == {"c in results.csv": "no row of that name"} and found.n_models == 3
        assert found.relation("clean-accuracy", "x").missing == ("c",)

    def test_recipes_come_from_a_column(self, tmp_path: Path) -> None:
        found = self.relate(self.table(tmp_path, TABLE), group_column="family")
        assert found.recipes == ("x", "y", "x") and list(found.measures) == ["top1", "params"]

    def test_spellings_separators_and_marks_of_spreadsheets(self, tmp_path: Path) -> None:
        path = self.table(tmp_path, "\ufeffName; value\nresnet18; 1\n'b'; 2\n")
        table = read_table(path, "Name")
        assert table.columns == ("Name", "value")
        one = ModelRuns("mine", "r", {"timm:resnet18?checkpoint=x"}, None)
        assert table.row(one) == {"Name": "resnet18", "value": " 1"}
        assert table.number(one, "value").value == 1  # type: ignore[union-attr]

    @pytest.mark.parametrize("cell", ["", "nan", "N/A", "-"])
    def test_a_cell_without_a_number_leaves_the_model_out(self, cell: str, tmp_path: Path) -> None:
        path = self.table(tmp_path, f"model,x\nm00,1\nm01,{cell}\nm02,3\nm03,4\n")
        found = self.relate(path)
        assert found.relation("score", "x").missing == ("m01",) and found.n_models == 4

    @pytest.mark.parametrize(
        "text, more, message",
        [
            (
                "model,x\nm00,1\nm01,high\nm02,3\n",
                {"value_column": "x"},
                r"number in column 'x' for m01, got 'high'",
            ),
            (
                "model,x\nm00,1\nm01,inf\nm02,3\n",
                {"value_column": "x"},
                r"number in column 'x' for m01, got 'inf'",
            ),
            ("model,x\nm00,1\nm01,high\nm02,3\n", {}, r"results.csv has no column of numbers for these models"),
            ("model,x\nm00,1\nm00,2\nm02,3\n", {}, r"results.csv: 'm00' has two rows that differ"),
            ("model,x\nm00,1,2\n", {}, r"results.csv: line 2 has another number of cells than the header's 2"),
            ("name,x\nm00,1\n", {}, r"results.csv has no column 'model'; it has name, x"),
            (TABLE, {"value_column": "top5"}, r"results.csv has no column 'top5'; it has model, top1, family, params"),
            (
                TABLE,
                {"group_column": "recipe"},
                r"a column 'recipe' with the models' recipes in scores, results",
            ),
            ("", {}, r"results.csv has no column 'model'; it has none"),
        ],
    )
    def test_tables_that_cannot_be_used(self, text: str, more: dict[str, Any], message: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=message):
            self.relate(self.table(tmp_path, text), **more)

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"cannot read '.*none.csv' as a CSV table"):
            self.relate(tmp_path / "none.csv")
        (tmp_path / "results.csv").write_bytes(b"\xff\xfe\x00model")
        with pytest.raises(InputError, match="as a CSV table"):
            self.relate(tmp_path / "results.csv")

    def test_a_score_of_the_same_name_twice(self) -> None:
        with pytest.raises(InputError, match="two scores are called 'clean'"):
            sb.relate(
                bare_models({"clean": [0.0, 1, 2]}), scores={"clean": by_model([1, 2, 3])},
                against={"y": by_model([1, 2, 3])}, **FAST,
            )  # fmt: skip


def test_a_model_whose_name_two_networks_share_must_be_told_apart(stored: Path) -> None:
    twin = measured(0, "contrast:2")
    run = decomposed(1)
    object.__setattr__(run.settings, "model_name", "a")
    with pytest.raises(InputError, match=r"has no weights' hash, and 2 models have that name"):
        sb.relate([stored / "d", run, twin], **FAST)
    assert model(0).name == "a"
