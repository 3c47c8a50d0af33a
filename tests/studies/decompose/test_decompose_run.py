"""The run folder of a decomposition: what stands in it, that it goes on and is not played twice, and loading it."""

from __future__ import annotations

import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

import spectrobe as sb
from spectrobe.engine import local
from spectrobe.engine.store import SCHEMA_VERSION, plain
from spectrobe.errors import RunFolderError
from tests.toys import PLAIN, Counting, NamedData, Recorder, planted, self_check_passes

ARRAYS = (
    "shapley", "stderr", "interval", "simultaneous", "interactions", "values", "tau", "power_db", "payoffs",
    "shapley_by_image",
)  # fmt: skip


def assert_same(one: sb.DecomposeResult, other: sb.DecomposeResult) -> None:
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None and b is None) or np.array_equal(a, b, equal_nan=True), name
        assert a is None or not b.flags.writeable, name
    assert plain(one.to_dict()) == plain(other.to_dict())
    assert str(one.summary()) == str(other.summary())


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 4)


def test_run_json_says_what_the_run_is(tmp_path: Path) -> None:
    net, (x, labels) = planted(20)
    began = time.time()
    found = sb.decompose(net, (x, labels), out=tmp_path / "run", images=12, **PLAIN | {"seed": 7})
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert list(run)[:2] == ["schema_version", "command"]
    assert (run["schema_version"], run["command"]) == (SCHEMA_VERSION, "decompose")
    identity = run["identity"]
    assert identity["settings"]["seed"] == 7
    assert {name: identity["settings"][name] for name in ("value", "absence", "design")} == {
        "value": "usable-information",
        "absence": "mean",
        "design": "exact",
    }
    assert identity["settings"]["bands"]["edges"] == [0.0, 1 / 3, 2 / 3, 1.0]
    assert identity["selection"] == {"images": 12, "tolerance": None}
    assert len(identity["model"]["weights_sha256"]) == 64
    assert identity["data"]["images"] == 20 and len(identity["data"]["digest"]) == 64
    assert identity["loader"]["on_bad_image"] == "error" and "resize" in identity["loader"]
    assert len(identity["absence"]["mean"]) == 64
    assert (identity["device"], identity["threads"]) == ("cpu", torch.get_num_threads())
    assert run["settled"] == {"batch_size": 32, "precision": "float32", "why": "asked for", "images_per_shard": 256}
    assert run["defaults"] == {"value": "usable-information", "absence": "mean", "score": "signed"}
    assert len(run["images"]) == len(set(run["images"])) == 12
    assert sorted(map(int, run["images"])) == found.table().position.tolist()
    assert run["environment"]["versions"]["torch"] == version("torch")
    assert run["warnings"] == list(found.warnings) and run["skipped"] == {}
    assert began <= run["times"]["started"] <= run["times"]["finished"] <= time.time()


def test_times_stand_in_run_json_alone(tmp_path: Path) -> None:
    sb.decompose(*planted(6), out=tmp_path / "run", **PLAIN)
    content = json.loads((tmp_path / "run/result.json").read_text())
    assert content["schema_version"] == SCHEMA_VERSION

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | set().union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    assert not [key for key in keys(content) if "time" in key or "date" in key or "second" in key]
    now = str(int(time.time()))[:7]
    assert now not in (tmp_path / "run/result.json").read_text()


def test_skipped_images_are_listed(tmp_path: Path) -> None:
    net, (x, labels) = planted(12)
    x[5] = 0.25
    data = NamedData(x, labels, [f"image {i}" for i in range(12)], bad=["image 2"])
    found = sb.decompose(net, data, out=tmp_path / "run", on_bad_image="skip", **PLAIN | {"absence": "donor"})
    assert found.n_images == 10
    assert found.skipped.keys() == {"image 2", "image 5"}
    assert found.skipped["image 2"] == "image image 2: truncated"  # no advice to leave it out
    assert found.skipped["image 5"].endswith(" flat: all its pixels have one colour, so its bands are empty")
    assert json.loads((tmp_path / "run/run.json").read_text())["skipped"] == dict(found.skipped)
    assert sb.load(tmp_path / "run").skipped == found.skipped


def test_a_pilot_of_bad_images_alone_is_survived(tmp_path: Path, small_shards: None) -> None:
    net, (x, labels) = planted(30)
    ids = [f"image {i}" for i in range(30)]
    order = sb.decompose(net, NamedData(x, labels, ids), **PLAIN, out=tmp_path / "whole").about()["images"]
    data, progress = NamedData(x, labels, ids, bad=order[:8]), Recorder()
    found = sb.decompose(net, data, on_bad_image="skip", progress=progress, **PLAIN)
    assert found.n_images == 22
    assert "forecast: none, the score is not defined on the pilot's 0 images" in progress.notes


def test_a_finished_run_is_given_back_without_being_played(tmp_path: Path) -> None:
    net, data = planted(15)
    first = sb.decompose(Counting(net), data, out=tmp_path / "run", **PLAIN)
    files = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    model, progress = Counting(net), Recorder()
    again = sb.decompose(model, data, out=tmp_path / "run", progress=progress, **PLAIN)
    assert model.images == self_check_passes(15)
    assert progress.advanced == 0
    assert_same(first, again)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == files


def test_only_what_is_missing_is_played(tmp_path: Path, small_shards: None) -> None:
    net, data = planted(14)
    sb.decompose(Counting(net), data, out=tmp_path / "run", **PLAIN)
    whole = (tmp_path / "run/result.json").read_bytes()
    shards = sorted((tmp_path / "run/payoffs").iterdir())
    assert len(shards) == 4
    (tmp_path / "run/result.json").unlink()
    shards[2].unlink()
    model, progress = Counting(net), Recorder()
    sb.decompose(model, data, out=tmp_path / "run", progress=progress, **PLAIN)
    assert model.images == self_check_passes(14) + 4 * 7 + 1
    assert progress.advanced == progress.expected == 14 * 7  # what was there counts as done
    assert (tmp_path / "run/result.json").read_bytes() == whole


def test_the_precision_and_batch_size_of_the_first_call_are_kept(tmp_path: Path) -> None:
    """They are found by timing, so a second search might end elsewhere."""
    net, data = planted(14)
    settings = PLAIN | {"precision": "auto", "batch_size": "auto"}
    sb.decompose(net, data, out=tmp_path / "run", **settings)
    whole = (tmp_path / "run/result.json").read_bytes()
    settled = json.loads((tmp_path / "run/run.json").read_text())["settled"]
    (tmp_path / "run/result.json").unlink()
    progress = Recorder()
    sb.decompose(net, data, out=tmp_path / "run", progress=progress, **settings)
    assert progress.notes[0] == (
        f"precision {settled['precision']} ({settled['why']}), batches of {settled['batch_size']}"
    )
    assert (tmp_path / "run/result.json").read_bytes() == whole


def test_a_damaged_shard_is_named_and_made_anew(tmp_path: Path, small_shards: None) -> None:
    net, data = planted(10)
    sb.decompose(net, data, out=tmp_path / "run", **PLAIN)
    whole = (tmp_path / "run/result.json").read_bytes()
    (tmp_path / "run/result.json").unlink()
    damaged = tmp_path / "run/payoffs/000001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(RunFolderError, match=r"payoffs/000001\.parquet is damaged .*delete it") as caught:
        sb.decompose(net, data, out=tmp_path / "run", **PLAIN)
    assert "\n" not in str(caught.value)
    damaged.unlink()
    sb.decompose(net, data, out=tmp_path / "run", **PLAIN)
    assert (tmp_path / "run/result.json").read_bytes() == whole


@pytest.mark.parametrize("name", ["run.json", "result.json"])
def test_newer_schemas_are_refused(tmp_path: Path, name: str) -> None:
    net, data = planted(6)
    sb.decompose(net, data, out=tmp_path / "run", **PLAIN)
    content = json.loads((tmp_path / "run" / name).read_text())
    (tmp_path / "run" / name).write_text(json.dumps(content | {"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(RunFolderError, match=rf"{name} has schema version {SCHEMA_VERSION + 1}.*update spectrobe"):
        sb.decompose(net, data, out=tmp_path / "run", **PLAIN)


@pytest.mark.parametrize("name", ["run.json", "result.json"])
@pytest.mark.parametrize("content", ["", "{}", '{"schema_version": 1}', "[]"])
def test_damaged_json_is_named(tmp_path: Path, name: str, content: str) -> None:
    net, data = planted(6)
    sb.decompose(net, data, out=tmp_path / "run", **PLAIN)
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(RunFolderError) as caught:
        sb.decompose(net, data, out=tmp_path / "run", **PLAIN)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value) or "other settings" in str(caught.value)


@pytest.mark.parametrize("design", ["exact", "permutation"])
def test_loading_gives_the_result_back(tmp_path: Path, design: str) -> None:
    net, data = planted(12)
    settings = PLAIN | {"design": design, "bands": 4}
    in_memory = sb.decompose(net, data, **settings)
    stored = sb.decompose(net, data, out=tmp_path / "run", **settings)
    loaded = sb.load(tmp_path / "run")
    assert_same(in_memory, stored)
    assert_same(stored, loaded)
    assert_same(stored.with_value("accuracy"), loaded.with_value("accuracy"))


def test_saving_and_loading(tmp_path: Path) -> None:
    net, data = planted(12)
    in_memory = sb.decompose(net, data, **PLAIN)
    in_memory.save(tmp_path / "saved")
    assert_same(in_memory, sb.load(tmp_path / "saved"))
    with pytest.raises(RunFolderError, match="expected a new folder, found a run"):
        in_memory.save(tmp_path / "saved")
    stored = sb.decompose(net, data, out=tmp_path / "run", **PLAIN)
    saved, ran = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("saved", "run"))
    assert {**saved, "times": 0} == {**ran, "times": 0}
    assert (tmp_path / "saved/result.json").read_bytes() == (tmp_path / "run/result.json").read_bytes()
    again = sb.decompose(Counting(net).net, data, out=tmp_path / "saved", **PLAIN)  # a run folder like any other
    assert_same(stored, again)
    loaded = sb.load(tmp_path / "run").with_value("accuracy")
    loaded.save(tmp_path / "accuracy")
    about = json.loads((tmp_path / "accuracy/run.json").read_text())
    assert about["identity"]["settings"]["value"] == "accuracy"
    assert about["identity"]["model"] == ran["identity"]["model"]


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"expected a run folder \(with run\.json in it\), found none"):
        sb.load(tmp_path)
    sb.decompose(*planted(6), out=tmp_path / "run", **PLAIN)
    (tmp_path / "run/result.json").rename(tmp_path / "run/aside")
    with pytest.raises(RunFolderError, match="this run is not finished: the call that began it goes on"):
        sb.load(tmp_path / "run")


def test_any_fsspec_location_is_a_folder() -> None:
    net, data = planted(10)
    place = "memory://runs/first"
    files = fsspec.filesystem("memory")
    try:
        stored = sb.decompose(net, data, out=place, **PLAIN)
        assert_same(sb.decompose(net, data, **PLAIN), sb.load(place))
        names = {name.removeprefix("/runs/first/") for name in files.find("/runs/first")}
        assert names == {"run.json", "result.json", "absence.safetensors", "payoffs/000000.parquet"}
        model = Counting(net)
        with pytest.raises(RunFolderError, match="other settings"):
            sb.decompose(model, data, out=place, **PLAIN)  # a callable is another model than the module in it
        assert_same(stored, sb.decompose(net, data, out=place, **PLAIN))
    finally:
        files.rm("/runs", recursive=True)


def test_paths_and_strings_name_the_same_folder(tmp_path: Path) -> None:
    net, data = planted(6)
    one = sb.decompose(net, data, out=tmp_path / "run", **PLAIN)
    assert_same(one, sb.decompose(net, data, out=f"{tmp_path}/run/", **PLAIN))
    assert_same(one, sb.load(f"{tmp_path}/run"))


def test_another_function_of_the_same_name_is_refused(tmp_path: Path) -> None:
    draws = torch.Generator().manual_seed(0)
    images, labels = torch.rand(8, 1, 8, 8, generator=draws), torch.arange(8) % 2

    def run(sign: float) -> sb.DecomposeResult:
        model = lambda x: sign * torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], dim=1)  # noqa: E731  # no name
        return sb.decompose(model, (images, labels), bands=2, value="accuracy", absence="zero", out=tmp_path / "run")

    first = run(1.0)
    assert np.array_equal(run(1.0).shapley, first.shapley)
    with pytest.raises(RunFolderError, match="the model answers the same images otherwise"):
        run(-1.0)
