"""The price of a job against the run itself: forward passes to the last one, storage within 10 %."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import spectrobe as sb
from spectrobe.engine import local
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError
from spectrobe.studies.plan.measure import Measured
from spectrobe.studies.plan.result import Plan
from spectrobe.studies.plan.study import READS, _intervals, plan_decompose, plan_robustness, plan_snr
from spectrobe.studies.snr.study import snr_study
from tests.toys import PLAIN, Counting, exact, planted

STORAGE_MARGIN = 0.1


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 16)


def stored(folder: Path) -> int:
    return sum(shard.stat().st_size for shard in folder.glob("*.parquet"))


@pytest.mark.parametrize(
    "game",
    [
        {"design": "exact"},
        {"design": "exact", "absence": "donor"},
        {"design": "permutation", "bands": 5},
        {"design": "auto", "bands": 5, "images": 50},
        {"design": "auto", "bands": 5, "tolerance": 0.5},
    ],
)
def test_a_decomposition(game: dict[str, Any], tmp_path: Path) -> None:
    net, data = planted(120, (1, 12, 12))
    model, settings = exact(net), PLAIN | game
    plan = plan_decompose(model, data, **settings)
    result = sb.decompose(model, data, out=tmp_path / "run", **settings)
    assert (plan.passes, plan.n_images, plan.exact) == (result.forward_passes, result.n_images, True)
    assert plan.shards == len(list((tmp_path / "run/payoffs").glob("*.parquet")))
    assert plan.storage == pytest.approx(stored(tmp_path / "run/payoffs"), rel=STORAGE_MARGIN)


def test_images_that_are_not_there_yet_are_stood_for() -> None:
    net, data = planted(20)
    plan = plan_decompose(net, data, images=50_000, models=3, gpus=2, cores=4, **PLAIN)
    assert plan.passes == 50_000 * 7 + 1 and plan.n_models == 3
    assert "the 20 images of" in plan.notes[0] and "stand for 50,000 like them" in plan.notes[0]
    assert plan.storage == pytest.approx(3 * plan_decompose(net, data, images=50_000, **PLAIN).storage)


@pytest.mark.parametrize("game", [{"design": "exact"}, {"design": "exact", "tolerance": 0.05}])
def test_many_images_are_as_many_files_as_the_run_makes(
    game: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_PASSES_PER_SHARD", 14)  # two images a shard, 60 files
    monkeypatch.setattr(local, "_MANY_SHARDS", 20)
    net, data = planted(120, (1, 12, 12))
    settings = PLAIN | game
    plan = plan_decompose(exact(net), data, **settings)
    sb.decompose(exact(net), data, out=tmp_path / "run", **settings)
    assert plan.images_per_shard == 6 and plan.files <= 20
    assert plan.files == len(list((tmp_path / "run/payoffs").glob("*.parquet")))


def test_the_price_is_of_the_images_that_are_stood_for() -> None:
    net, data = planted(20)
    plans = [
        plan_decompose(net, data, images=50_000, **PLAIN),
        plan_robustness(net, data, "contrast:1-5", images=50_000, batch_size=8),
        plan_snr(data[0], "contrast:1", bands=3, images=50_000),
    ]
    assert [plan.images_per_shard for plan in plans] == [98, 98, 98]


def test_robustness(tmp_path: Path) -> None:
    net, data = planted(40)
    items = "gaussian_noise:1,contrast:2-3"
    plan = plan_robustness(net, data, items, batch_size=8)
    result = sb.robustness(net, data, items, batch_size=8, out=tmp_path / "run")
    assert plan.passes == result.forward_passes == 40 * 4
    assert plan.exact
    assert plan.storage == pytest.approx(stored(tmp_path / "run/predictions"), rel=STORAGE_MARGIN)


def test_attacks_take_at_most_what_is_said() -> None:
    net, data = planted(24)
    plan = plan_robustness(net, data, "pgd_linf:eps=2/255;steps=3", batch_size=8)
    result = sb.robustness(net, data, "pgd_linf:eps=2/255;steps=3", batch_size=8)
    assert not plan.exact
    assert plan.passes == pytest.approx(result.forward_passes, rel=0.05)


def test_snr(tmp_path: Path) -> None:
    _, (images, _) = planted(40)
    plan = plan_snr(images, "gaussian_noise:1-2", bands=3, batch_size=8)
    study = snr_study(images, "gaussian_noise:1-2", bands=3, batch_size=8, out=tmp_path / "run")
    assert len(study.results) == 2
    assert plan.passes == 80 and plan.unit == "perturbed images"
    assert plan.shards == len(list((tmp_path / "run/snr").glob("*.parquet")))
    assert plan.storage == pytest.approx(stored(tmp_path / "run/snr"), rel=STORAGE_MARGIN)
    with pytest.raises(InputError, match=r"unknown option\(s\) band of snr"):
        plan_snr(images, "gaussian_noise:1", band=3)


def test_nothing_is_left_where_writing_was_timed(tmp_path: Path) -> None:
    net, data = planted(20)
    (tmp_path / "mine.txt").write_text("mine")
    assert plan_decompose(net, data, store=str(tmp_path), **PLAIN).measured.write > 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_plan_plays_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    net, data = planted(120)
    model = Counting(exact(net))
    plan = plan_decompose(model, data, **PLAIN)
    assert model.images < plan.passes


@pytest.mark.parametrize("design", ["exact", "permutation"])
def test_shards_are_read_as_often_as_is_priced(design: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: Counter[int] = Counter()
    read_shard = RunFolder.read_shard

    def counted(self: RunFolder, index: int) -> Any:
        reads[index] += 1
        return read_shard(self, index)

    monkeypatch.setattr(RunFolder, "read_shard", counted)
    net, data = planted(120)
    sb.decompose(net, data, out=tmp_path / "run", **PLAIN | {"design": design, "bands": 5})
    assert reads[max(reads)] == READS[design]  # the first shards are read more often: for the figure


@pytest.mark.slow
def test_intervals_grow_with_the_images_they_are_drawn_out_to() -> None:
    net, data = planted(60)
    few, many = (plan_decompose(net, data, images=n, **PLAIN | {"bands": 5}) for n in (1_000, 200_000))
    assert few.measured.read > 0
    assert many.intervals - few.intervals > READS["exact"] * (many.shards - few.shards) * few.measured.read / 4
    # what is no reading grows too: the line through two sizes must not be flat
    result = sb.decompose(net, data, **PLAIN | {"bands": 5})
    assert _intervals(result.table(), result.settings, 200_000) > 5 * _intervals(result.table(), result.settings, 512)


MEASURED = Measured(images=8, decode=0.01, play=0.5, write=0.2, row_bytes=1000, shard_bytes=500)
JOB = Plan("decompose", "m", "d", "cuda", "forward passes", 255_001, True, 1000, 10, 8, 4, 2, 30.0, 15.0, MEASURED)


def test_the_sums() -> None:
    assert JOB.shards == 125 and JOB.files == 1250
    assert JOB.storage == 10 * (1000 * 1000 + 125 * 500)
    assert JOB.device_hours == pytest.approx(10 * 1000 * 0.5 / 3600)
    assert JOB.decode_hours == pytest.approx(10 * 1000 * 0.01 / 3600)
    assert JOB.seconds == pytest.approx(30 + 1000 * 0.51 + 125 * 0.2 + 15)
    # a worker takes .525 s an image; two cores decode 200 a second, the store takes 8 in .2 s
    assert JOB.worker_seconds == pytest.approx(0.525)
    assert JOB.workers_decode == pytest.approx(105)
    assert JOB.workers_store == pytest.approx(21)
    assert JOB.bottleneck == "the store"
    assert JOB.hours == pytest.approx((10 * 1000 * 0.525 / 4 + 10 * 45 / 4) / 3600)
    many = replace(JOB, workers=64)
    assert many.hours == pytest.approx((10 * 1000 * 0.025 + 45) / 3600)  # 21 are busy; one model each to open
    slow = replace(JOB, measured=replace(MEASURED, decode=1.0))
    assert slow.bottleneck == "decoding" and slow.workers_decode == pytest.approx(1.05)


def test_it_is_told() -> None:
    told = JOB.summary()
    assert told.splitlines()[0] == "decompose m on 1,000 images of d x 10 models"
    assert "forward passes: 255,001 a model, 2,550,010 in all" in told
    assert "GPU-hours: 1.39; decoding: 0.0278 core-hours" in told
    assert "storage: 10.6 MB in 1,250 files, a shard each" in told
    assert "2 cores can decode for 105 workers" in told and "more wait for the store" in told
    content = JOB.to_dict()
    assert content["kind"] == "plan" and content["measured"]["play"] == 0.5 and content["hours"] == JOB.hours


@pytest.mark.parametrize(("name", "value"), [("models", 0), ("gpus", -1), ("cores", 0), ("models", 2.5)])
def test_bad_input(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"expected {name} as a whole number, at least 1, got {value}"):
        plan_decompose(lambda x: torch.zeros(len(x), 2), planted(20)[1], **{name: value})
