"""The same bytes on Ray as in this process, whatever happens on the way: faults, bad input, two drivers."""

from __future__ import annotations

import os
import pickle
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import spectrobe as sb
from spectrobe.cli import main, outcome
from spectrobe.engine import local
from spectrobe.engine import ray as ray_engine
from spectrobe.engine.executor import RayOptions
from spectrobe.engine.ray import RayExecutor
from spectrobe.engine.ray_cluster import Cluster
from spectrobe.engine.ray_worker import Surroundings
from spectrobe.engine.store import RunFolder, json_text
from spectrobe.errors import InputError, RunFolderError, ShardsFailedError
from spectrobe.models.tensor_cores import float32_products
from spectrobe.studies.relate.study import relate
from tests.engine.ray_driver import go
from tests.engine.ray_faults import attempt, drive, failing_at, kill_workers, on_flaky_store, same
from tests.studies.runs import picture, pictures

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray")

STUDIES = {"exact": "payoffs", "snr": "snr", "robustness": "predictions"}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[str]:
    """Ray on this machine, as spectrobe starts it, with room for two drivers; its address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 8, "GPU": 1}')
        started = Cluster(None, 60)
        started.connect()
    yield ray.get_runtime_context().gcs_address
    started.leave()


@pytest.fixture(scope="module")
def engine(cluster: str) -> Iterator[RayExecutor]:
    """Two workers, for all tests that leave them well."""
    with RayExecutor(RayOptions(workers=2)) as executor:
        yield executor


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders of this process alone."""
    place = tmp_path_factory.mktemp("local")
    before = torch.get_num_threads()
    for what in STUDIES:
        go(what, place / what, place, "local")
    torch.set_num_threads(before)
    return {what: place / what for what in STUDIES}


@pytest.mark.parametrize("what", STUDIES)
def test_result_and_shards_are_the_bytes_of_this_process(
    tmp_path: Path, engine: RayExecutor, expected: dict[str, Path], what: str
) -> None:
    go(what, tmp_path / "run", tmp_path, engine)
    assert same(tmp_path / "run", expected[what], STUDIES[what])
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in expected[what].iterdir()}


@pytest.mark.parametrize("workers", [1, 3])
def test_so_they_are_at_other_numbers_of_workers(tmp_path: Path, expected: dict[str, Path], workers: int) -> None:
    go("exact", tmp_path / "run", tmp_path, RayOptions(workers=workers))
    assert same(tmp_path / "run", expected["exact"])


def test_without_a_folder_the_result_is_the_same(tmp_path: Path, engine: RayExecutor) -> None:
    found, here = (go("permutation", None, tmp_path, one) for one in (engine, "local"))
    assert json_text(found.to_dict()) == json_text(here.to_dict())


def test_a_model_and_images_by_name(tmp_path: Path, engine: RayExecutor) -> None:
    """Opened again from the string in each worker, with the options that stand beside it."""
    name, data = "planted:bands=4;dprime=1:1.5;size=16", "planted:bands=4;dprime=1:1.5;size=16;images=100"
    model = sb.open_model(name)
    assert model.opened_from == (name, {"allow_pickle": False})
    for out, played_by in (("ray", engine), ("local", "local")):
        sb.decompose(model, data, bands=4, value="accuracy", absence="zero", design="exact", batch_size=16,
                     precision="float32", engine=played_by, out=tmp_path / out)  # fmt: skip
    assert (tmp_path / "ray/result.json").read_bytes() == (tmp_path / "local/result.json").read_bytes()


def test_poisoned_shard_is_set_aside_with_its_traceback(
    tmp_path: Path, engine: RayExecutor, expected: dict[str, Path]
) -> None:
    (tmp_path / "poison").touch()
    with pytest.raises(ShardsFailedError, match=r"1 failed \(shard \d: RuntimeError: poison\); all others are done"):
        go("exact", tmp_path / "run", tmp_path, engine)
    (failed,) = (tmp_path / "run/failed").iterdir()
    assert "Traceback" in failed.read_text() and 'raise RuntimeError("poison")' in failed.read_text()
    shards = {path.name for path in (expected["exact"] / "payoffs").iterdir()}
    there = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run/payoffs").iterdir()}
    assert shards - there.keys() == {f"{failed.stem}.parquet"}
    (tmp_path / "poison").unlink()
    go("exact", tmp_path / "run", tmp_path, "local")
    assert same(tmp_path / "run", expected["exact"]) and not (tmp_path / "run/failed").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run/payoffs").iterdir()}
    assert all(kept[name] == time for name, time in there.items())


POISONED = """
import os
from pathlib import Path

def net(x):
    if Path("poison").exists() and os.getpid() != int(Path("driver").read_text()):
        if bool(((x.mean((1, 2, 3)) - float(Path("poison").read_text())).abs() < 1e-5).any()):
            raise RuntimeError("poison")
    return 40 * x.mean((2, 3))
"""


def test_the_command_line_ends_with_1_and_the_list(
    tmp_path: Path, engine: RayExecutor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 4)
    monkeypatch.setattr("spectrobe.cli.options.engine_of", lambda *given: engine)
    pictures(tmp_path / "images")
    (tmp_path / "poisoned.py").write_text(POISONED)
    (tmp_path / "driver").write_text(str(os.getpid()))
    (tmp_path / "poison").write_text(str((picture(7) / 255).mean()))
    call = ["decompose", "python:poisoned:net?num_classes=3", "images", "--bands", "2", "--batch-size", "4",
            "--absence", "mean", "--precision", "float32", "--out", "run", "--engine", "ray", "--quiet"]  # fmt: skip
    assert main(call) == 1
    *_, said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"spectrobe: 1 failed \(shard \d: RuntimeError: poison\); all others are done and kept; tracebacks are in "
        r"run/failed; the same call goes on with what is missing",
        said,
    )
    assert len(list(Path("run/payoffs").iterdir())) == 2 and not Path("run/result.json").exists()


def test_shard_that_fails_twice_is_played_a_third_time(
    tmp_path: Path, engine: RayExecutor, expected: dict[str, Path]
) -> None:
    for number in range(2):
        (tmp_path / f"raise-{number}").touch()
    go("exact", tmp_path / "run", tmp_path, engine)
    assert same(tmp_path / "run", expected["exact"]) and not list(tmp_path.glob("raise-*"))


def test_when_nothing_goes_well_it_stops(tmp_path: Path, engine: RayExecutor) -> None:
    for number in range(100):
        (tmp_path / f"raise-{number}").touch()
    with pytest.raises(ShardsFailedError, match=r"RuntimeError: boom.*were not tried, since none went well"):
        go("exact", tmp_path / "run", tmp_path, engine)


def test_bad_image_is_reported_as_such(tmp_path: Path, engine: RayExecutor) -> None:
    images = torch.rand(40, 3, 16, 16)
    images[33] = 0.5
    data = (images, torch.arange(40) % 5)
    with pytest.raises(ShardsFailedError, match=r"1 failed \(shard \d: image 33: flat.*--on-bad-image skip\)"):
        sb.decompose(Plain(), data, bands=8, absence="zero", batch_size=32, precision="float32", engine=engine,
                     out=tmp_path / "run")  # fmt: skip
    result = sb.decompose(Plain(), data, bands=8, absence="zero", batch_size=32, precision="float32", engine=engine,
                          on_bad_image="skip")  # fmt: skip
    assert list(result.skipped) == ["33"]


class Plain(torch.nn.Module):
    """Means of five columns of pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2))[:, :5]


class Counted(RayExecutor):
    """Notes how many shards it was given, call by call; waits longer for a worker on a busy machine."""

    calls: ClassVar[list[int]] = []

    def __init__(self, options: RayOptions) -> None:
        assert (options.address, options.workers) == (None, 2)
        super().__init__(replace(options, timeout=600))

    def run_shards(self, player: Any, loader: Any, shards: Any, *more: Any) -> Any:
        self.calls.append(len(shards))
        return super().run_shards(player, loader, shards, *more)


ZOO = """
import torch

def of(sharpness):
    return lambda x: sharpness * x.mean((2, 3)) + x[:, :, 3, 3]

a, b, c = of(40), of(4), of(0.4)
"""


@pytest.mark.timeout(900)
def test_zoo(tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Three models from the command line, each run in three shards: workers stay up from one to the next."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 4)
    monkeypatch.setattr(ray_engine, "RayExecutor", Counted)
    monkeypatch.setattr(outcome, "_draw", lambda folder, figure, draw: "")
    for name, few in (("n_resamples", 199), ("n_permutations", 199)):
        monkeypatch.setitem(relate.__kwdefaults__, name, few)
    pictures(tmp_path / "images")
    (tmp_path / "raynets.py").write_text(ZOO)
    listed = ", ".join(f'"python:raynets:{name}?num_classes=3"' for name in "abc")
    (tmp_path / "models.toml").write_text(f"models = [{listed}]")
    call = ["zoo", "models.toml", "images", "--perturb", "contrast:2,gaussian_noise:1", "--bands", "2",
            "--batch-size", "4", "--absence", "donor", "--quiet"]  # fmt: skip
    assert main([*call, "--engine", "ray", "--ray-workers", "2", "--out", "ray"]) == 0, capsys.readouterr().err
    assert Counted.calls == [2, 1, 3] * 3  # the pilot, what is left, and robustness
    assert main([*call, "--out", "here"]) == 0
    places = [path.relative_to("here") for path in Path("here").rglob("*") if path.suffix in (".json", ".parquet")]
    kept = [place for place in places if place.name != "run.json"]
    assert len([place for place in kept if place.name == "result.json"]) == 7 and len(kept) == 7 + 6 * 3 + 1
    assert [place for place in kept if Path("ray", place).read_bytes() != Path("here", place).read_bytes()] == []


# ---- faults (those of drivers and nodes are in test_ray_faults.py)


@pytest.mark.parametrize("what,times", [("exact", 1), ("exact", 2), ("robustness", 1)])
def test_killed_worker(tmp_path: Path, engine: RayExecutor, expected: dict[str, Path], what: str, times: int) -> None:
    """kill -9 in the middle of a shard: another worker plays it again, in the same call."""
    kill_workers(tmp_path, times)
    go(what, tmp_path / "run", tmp_path, engine)
    assert not list(tmp_path.glob("kill-*"))
    assert same(tmp_path / "run", expected[what], STUDIES[what])


@pytest.mark.parametrize("count,what", [(3, "exact"), (6, "exact"), (3, "robustness")])
def test_disk_full_in_the_middle_of_a_shard(
    tmp_path: Path, engine: RayExecutor, expected: dict[str, Path], count: int, what: str
) -> None:
    free = failing_at("between write and rename", count)  # the absence and run.json are written so before any shard
    try:
        with pytest.raises(RunFolderError, match=rf"{STUDIES[what]}/.*No space left on device.*the same call goes on"):
            go(what, tmp_path / "run", tmp_path, engine)
    finally:
        free()
    assert not list((tmp_path / "run").rglob("*.part")) and not (tmp_path / "run/result.json").exists()
    go(what, tmp_path / "run", tmp_path, engine)
    assert same(tmp_path / "run", expected[what], STUDIES[what])


@pytest.mark.parametrize("share,seed", [(0.05, 0), (0.1, 1), (0.7, 2)])
def test_store_that_fails_now_and_then(
    tmp_path: Path, engine: RayExecutor, expected: dict[str, Path], monkeypatch: pytest.MonkeyPatch, share: float,
    seed: int,
) -> None:  # fmt: skip
    """Most failures are waited out; where a store fails four times running, the same call goes on."""
    failed = on_flaky_store(monkeypatch, share, seed, most=60)
    ended = [False]
    while not ended[-1]:
        ended.append(attempt(lambda: go("exact", str(tmp_path / "run"), tmp_path, engine)))
        assert len(ended) < 40
    assert failed[0] >= 5 and (len(ended) == 2) is (share < 0.5)
    assert same(tmp_path / "run", expected["exact"])


@pytest.mark.parametrize("where", ["{}/run", "memory://{}/run"])
def test_two_drivers(tmp_path: Path, engine: RayExecutor, expected: dict[str, Path], where: str) -> None:
    """The second is refused, and told who is there; it writes nothing."""
    out = where.format(tmp_path)
    with RunFolder(out).lock():
        with pytest.raises(
            RunFolderError, match=rf"another run is writing here \(process {os.getpid()} on .*, since 20"
        ):
            go("exact", out, tmp_path, engine)
        assert not RunFolder(out).exists("run.json")
    go("exact", out, tmp_path, engine)
    assert RunFolder(out).read_bytes("result.json") == (expected["exact"] / "result.json").read_bytes()


def test_a_second_driver_in_a_process_of_its_own(
    tmp_path: Path, cluster: str, engine: RayExecutor, expected: dict[str, Path]
) -> None:
    with RunFolder(tmp_path / "run").lock():
        refused = drive(tmp_path / "run", "never", 1, "exact", tmp_path, cluster)
        assert refused.returncode == 1 and f"another run is writing here (process {os.getpid()} on" in refused.stderr
        assert not RunFolder(tmp_path / "run").exists("run.json")
    go("exact", tmp_path / "run", tmp_path, engine)
    assert same(tmp_path / "run", expected["exact"])


def test_a_driver_sends_its_rounding_while_a_model_is_lent() -> None:
    """On CUDA a model is lent with switches set by their new names, after which torch refuses to read the old ones."""
    before = Surroundings.here()
    for tf32 in (False, True):
        with float32_products(tf32):
            sent = pickle.loads(pickle.dumps(Surroundings.here()))
            assert sent.rounding["cuda.matmul"] == ("tf32" if tf32 else "ieee")
        sent.take_over()
        assert Surroundings.here().rounding == sent.rounding
        before.take_over()
    assert Surroundings.here() == before


# ---- bad input


@pytest.mark.parametrize("name", ["spectrobe", "torch"])
def test_workers_of_another_version(tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    here = ray_engine.environment()
    monkeypatch.setattr(ray_engine, "environment", lambda: {**here, "versions": {**here["versions"], name: "99.1"}})
    has = here["versions"][name]
    with pytest.raises(InputError, match=rf"the Ray worker on .* has {name} {has}, this process has 99\.1"):
        go("exact", tmp_path / "run", tmp_path, RayOptions(workers=1))


@pytest.mark.parametrize("options,told", [
    ({"workers": 3, "gpus_per_worker": 0.5}, "3 Ray workers with 0.5 GPUs each need 2 GPUs, the cluster has 1"),
    ({"workers": 2, "gpus_per_worker": 1}, "2 Ray workers with 1 GPUs each need 2 GPUs, the cluster has 1"),
    ({"gpus_per_worker": 2}, "a Ray worker with 2 GPUs needs 2 GPUs, the cluster has 1"),
    ({"workers": 9}, "9 Ray workers with 1 CPUs each .* need 9 CPUs, the cluster has 8"),
])  # fmt: skip
def test_more_than_there_is(tmp_path: Path, cluster: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        go("exact", tmp_path / "run", tmp_path, RayOptions(**options))
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_sent_is_said(tmp_path: Path, engine: RayExecutor) -> None:
    model = Plain()
    model.lock = threading.Lock()
    data = (torch.rand(20, 3, 16, 16), torch.arange(20) % 5)
    with pytest.raises(InputError, match="cannot be sent to Ray workers"):
        sb.decompose(model, data, bands=4, absence="zero", batch_size=8, precision="float32", engine=engine)


def test_listens_on_this_machine_alone(cluster: str) -> None:
    assert cluster.startswith("127.0.0.1:")
    assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"]
    assert np.all([os.environ.get(name) is None for name in ("RAY_USAGE_STATS_ENABLED", "RAY_OVERRIDE_RESOURCES")])
