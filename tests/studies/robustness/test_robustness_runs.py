"""Runs: bad input, resuming to the same bytes, saving, mCE afterwards, progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.engine.store import json_text
from spectrobe.errors import InputError, RunFolderError
from spectrobe.studies.robustness import preparation as robustness_preparation
from tests.perturbations.attack_models import SmallNet, images
from tests.studies.robustness.cases import (
    Stopped,
    condition,
    hand_made,
    identity,
    linear_case,
    measure,
    stopping,
)

BAD = [
    ("gausian_noise:3", {}, ["unknown perturbation: 'gausian_noise'", "gaussian_noise"]),
    ("snow:6", {}, ["severity from 1 to 5, got 6"]),
    ("pgd_linf:eps=8", {}, ["at most 1 in Linf, got 8", "8/255"]),
    ("pgd_linf:eps=4/255;stps=3", {}, ["unknown setting of pgd_linf: 'stps'", "steps"]),
    ("pgd_linf", {}, ["pgd_linf needs eps"]),
    ([3], {}, ["expected a perturbation", "got int"]),
    ([], {}, ["expected perturbations, a tree"]),
    ("snow:3", {"images": 1}, ["at least 2"]),
    ("snow:3", {"images": 99}, ["at most 20 images"]),
    ("snow:3", {"confidence": 95}, ["confidence"]),
    ("snow:3", {"batch_size": 0}, ["batch_size"]),
    ("snow:3", {"on_bad_image": "ignore"}, ["on_bad_image"]),
    ("snow:3", {"reference": "nowhere"}, ["nowhere", "run folder"]),
    ("snow:3", {"tree": "nowhere"}, ["no such folder: 'nowhere'", "ROOT/CORRUPTION/SEVERITY"]),
]


class TestBadInput:
    @pytest.mark.parametrize("perturbations,settings,parts", BAD, ids=[str(case[:2]) for case in BAD])
    def test_is_refused_in_one_line(self, perturbations: Any, settings: dict[str, Any], parts: list[str]) -> None:
        model, x, y, _ = linear_case(n=20)
        with pytest.raises((InputError, RunFolderError)) as caught:
            measure(model, x, y, perturbations, **settings)
        for part in parts:
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unlabelled_images(self) -> None:
        model, x, _, _ = linear_case(n=20)
        with pytest.raises(InputError, match="has no labels"):
            sb.robustness(model, x, "snow:3")

    def test_no_images(self) -> None:
        with pytest.raises(InputError, match="expected clean images"):
            sb.robustness(linear_case()[0], None, "snow:3")

    def test_settings_are_refused_before_the_model_is_opened(self) -> None:
        with pytest.raises(InputError, match="at most 1 in Linf"):
            sb.robustness("timm:no_such_model", "no/such/folder", "pgd_linf:eps=8")


def read(out: Path) -> dict[str, bytes]:
    """The run's files that must not depend on when it was made; of run.json all but times."""
    files = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*.parquet")}
    run = json.loads((out / "run.json").read_text())
    return files | {"result.json": (out / "result.json").read_bytes(), "run.json": repr({**run, "times": 0}).encode()}


class TestResuming:
    ITEMS = "gaussian_noise:1-2,pgd_linf:eps=1/64..1/32;steps=3,noise_linf:eps=1/32"

    def go(self, out: Path, **settings: Any) -> sb.RobustnessResult:
        model, x, y, _ = linear_case(n=20)
        return measure(model, x, y, self.ITEMS, **{"batch_size": 3, "out": out, **settings})

    @pytest.fixture(autouse=True)
    def small_shards(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(robustness_preparation, "shard_size", lambda *_: 6)

    @pytest.mark.parametrize(
        "phase,count",
        [
            ("shard write", 2),
            ("between write and rename", 1),
            ("between write and rename", 3),
            ("shard done", 4),
            ("between write and rename", 6),
            ("result write", 1),
            ("between write and rename", 7),
        ],
    )
    def test_stopped_anywhere_it_ends_in_the_same_bytes(self, tmp_path: Path, phase: str, count: int) -> None:
        undisturbed = self.go(tmp_path / "whole")
        with stopping(phase, count), pytest.raises(Stopped):
            self.go(tmp_path / "stopped")
        went_on = self.go(tmp_path / "stopped")
        assert went_on == undisturbed
        assert len(undisturbed.predictions) == 20
        assert read(tmp_path / "stopped") == read(tmp_path / "whole")
        assert len(read(tmp_path / "whole")) == 4 + 2

    def test_a_finished_run_is_not_played_again(self, tmp_path: Path) -> None:
        self.go(tmp_path)
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")}
        self.go(tmp_path)
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*") if p.name != ".lock"} == {
            p: t for p, t in before.items() if p.name != ".lock"
        }

    @pytest.mark.parametrize(
        "changes,difference",
        [
            ({"seed": 1}, "seed: there"),
            ({"images": 10}, "images: there all"),
            ({"batch_size": 4}, "batch_size: there 3"),
        ],
    )
    def test_other_settings_are_refused(self, tmp_path: Path, changes: dict[str, Any], difference: str) -> None:
        self.go(tmp_path)
        with pytest.raises(RunFolderError, match=difference):
            self.go(tmp_path, **changes)

    def test_other_perturbations_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go(tmp_path)
        identity = json.loads((tmp_path / "run.json").read_text())["identity"]
        assert [c["name"] for c in identity["conditions"]][:2] == ["gaussian_noise:1", "gaussian_noise:2"]
        assert identity["conditions"][3]["settings"]["steps"] == 3
        monkeypatch.setattr(self, "ITEMS", self.ITEMS.replace("steps=3", "steps=4"), raising=False)
        with pytest.raises(RunFolderError, match=r"perturbation pgd_linf:eps=0\.015625;steps=3 removed"):
            self.go(tmp_path)

    def test_shards_and_batches_do_not_change_corruptions(self, tmp_path: Path) -> None:
        one, other = self.go(tmp_path / "a"), self.go(tmp_path / "b", batch_size=7)
        a, b = one.predictions, other.predictions
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.l2[:, :2], b.l2[:, :2])
        np.testing.assert_allclose(a.log_q, b.log_q, rtol=0, atol=1e-5)


class TestFolder:
    def test_save_and_load(self, tmp_path: Path) -> None:
        pytest.importorskip("foolbox")
        model, x, y, _ = linear_case(n=20)
        found = measure(model, x, y, ["gaussian_noise:1-2,deepfool_l2,fgsm_linf:eps=1/64..1/32", lambda x: x[0]])
        found = found.relative_to(found)
        found.save(tmp_path / "run")
        loaded = sb.load(tmp_path / "run")
        assert json_text(loaded.to_dict()) == json_text(found.to_dict())
        assert loaded.summary() == found.summary()
        np.testing.assert_array_equal(loaded.predictions.log_q, found.predictions.log_q)
        assert loaded.mce.value == pytest.approx(1.0, abs=1e-12)
        with pytest.raises(RunFolderError, match="expected a new folder"):
            found.save(tmp_path / "run")

    def test_infinite_distances_survive(self, tmp_path: Path) -> None:
        one = condition("deepfool_l2", kind="minimum-norm", norm="l2")
        found = hand_made({"deepfool_l2": [1, 1, 1, 0]}, [one])
        found.save(tmp_path / "run")
        median = sb.load(tmp_path / "run").median_distance["deepfool_l2"]
        assert median.value == np.inf and median.high == np.inf and median.low == 0.0

    def test_mce_is_added_to_a_finished_run(self, tmp_path: Path) -> None:
        model, x, y, _ = linear_case(n=30)
        other = linear_case(n=30, seed=5)[0]
        reference = measure(other, x, y, "gaussian_noise:1-2,snow:1", out=tmp_path / "reference")
        plain = measure(model, x, y, "gaussian_noise:1-2,snow:1", out=tmp_path / "run")
        assert plain.mce is None
        found = measure(
            model, x, y, "gaussian_noise:1-2,snow:1", out=tmp_path / "run", reference=tmp_path / "reference"
        )
        noise, snow = (
            found.corruption_error[n].value / reference.corruption_error[n].value for n in ("gaussian_noise", "snow")
        )
        assert found.mce.value == pytest.approx((noise + snow) / 2, abs=1e-12)
        assert sb.load(tmp_path / "run").mce == found.mce

    def test_a_reference_that_does_not_fit_is_refused_before_anything_runs(self, tmp_path: Path) -> None:
        model, x, y, _ = linear_case(n=20)
        reference = measure(model, x, y, "snow:1", out=tmp_path / "reference")
        with pytest.raises(InputError, match="mCE compares the same corruptions"):
            measure(model, x, y, "snow:1-2", out=tmp_path / "run", reference=reference)
        with pytest.raises(InputError, match="other data"):
            measure(model, x.flip(3), y, "snow:1", out=tmp_path / "run", reference=reference)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("damage", [b"{", b'{"schema_version": 1, "kind": "robustness"}'])
    def test_a_damaged_result_is_named(self, tmp_path: Path, damage: bytes) -> None:
        model, x, y, _ = linear_case(n=20)
        measure(model, x, y, [identity], out=tmp_path)
        (tmp_path / "result.json").write_bytes(damage)
        with pytest.raises(RunFolderError, match=r"result\.json is damaged"):
            sb.load(tmp_path)

    def test_the_result_is_read_only(self) -> None:
        found = hand_made({"a:1": [1, 0], "a:2": [0, 0]}, [condition("a:1"), condition("a:2")])
        with pytest.raises(TypeError):
            found.accuracy["a:1"] = found.accuracy["a:2"]  # type: ignore[index]
        with pytest.raises(AttributeError):
            found.n_images = 3  # type: ignore[misc]

    def test_to_frame(self) -> None:
        pytest.importorskip("pandas")
        model, x, y, _ = linear_case(n=20)
        frame = measure(model, x, y, "gaussian_noise:1,fgsm_linf:eps=1/32").to_frame().set_index("condition")
        assert list(frame.index) == ["clean", "gaussian_noise:1", "fgsm_linf:eps=0.03125"]
        assert frame.loc["fgsm_linf:eps=0.03125", "linf_median"] == pytest.approx(1 / 32, rel=1e-5)
        assert frame.loc["gaussian_noise:1", "severity"] == 1 and frame.loc["clean", "l2_median"] == 0
        assert frame.loc["clean", "accuracy_low"] < frame.loc["clean", "accuracy"] < frame.loc["clean", "accuracy_high"]


class TestProgress:
    def test_forward_passes_add_up_to_what_was_announced(self) -> None:
        class Counter:
            expected = done = 0

            def note(self, text: str) -> None:
                pass

            def expect(self, forward_passes: int) -> None:
                self.expected = forward_passes

            def advance(self, forward_passes: int) -> None:
                self.done += forward_passes

        model, x, y, _ = linear_case(n=60)
        counter = Counter()
        found = measure(model, x, y, "snow:1,pgd_linf:eps=1/32;steps=4,noise_l2:eps=0.1", progress=counter)
        assert counter.done == counter.expected == found.forward_passes

    def test_batches_are_halved_when_memory_runs_out(self) -> None:
        model, x, y, _ = linear_case(n=40)

        class Large(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                if 16 < len(x) < 30:
                    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
                logits: Tensor = model(x)
                return logits

        found = measure(Large(), x, y, "fgsm_linf:eps=1/256,contrast:1", batch_size=24)
        assert found.failed == {} and found.accuracy == measure(model, x, y, "fgsm_linf:eps=1/256,contrast:1").accuracy
        assert found.warnings == ("memory ran out: batches went from 24 to 12 on the way",)

    def test_the_caller_s_model_comes_back_as_it_was(self) -> None:
        model = SmallNet().train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        x = images(12, (3, 16, 16))
        measure(model, x, torch.arange(12) % 10, "fgsm_linf:eps=1/255,snow:1")
        assert model.training and all(p.grad is None for p in model.parameters())
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())

    def test_an_attack_made_for_the_module_is_bound_to_the_run_s_model(self) -> None:
        model, x, y, _ = linear_case(n=30)
        own = sb.perturbation("fgsm_linf", eps=1 / 32, model=model)
        found = measure(model, x, y, [own])
        assert found.accuracy == measure(model, x, y, "fgsm_linf:eps=1/32").accuracy
        assert found.sanity.images == 30
        transferred = sb.perturbation("fgsm_linf", eps=1 / 32, model=linear_case(seed=9)[0])
        other = measure(model, x, y, [transferred])
        assert other.accuracy["fgsm_linf:eps=0.03125"].value > found.accuracy["fgsm_linf:eps=0.03125"].value
        assert other.sanity.images == 0  # it is not an attack on this model
