"""The zoo's training: each augmentation does what it says, and a training that was stopped ends as one that was not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.zoo import images as cifar10
from benchmarks.zoo import training
from benchmarks.zoo.plan import ZOO, Entry, chosen
from benchmarks.zoo.recipes import (
    RECIPES,
    adversarial,
    crop_and_flip,
    gaussian_blur,
    gaussian_noise,
    low_pass,
    mixup,
    noisy_labels,
)
from benchmarks.zoo.store import assemble, evaluate, keep, pack, unpack
from benchmarks.zoo.training import OutOfTime, Settings, train
from spectrobe.models import open_model
from spectrobe.models.zoo_networks import PlainCNN, SmallResNet, SmallViT
from tests.shared import SHARED
from tests.toys import pixels

TARGET = F.one_hot(torch.arange(8) % 10, 10).float()
TINY = Settings(epochs=3, batch=16, attack_steps=1, every=1)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def waves(n: int = 8) -> Tensor:
    return pixels(n, (3, 32, 32))


class TestAugmentations:
    def test_crop_and_flip_takes_windows_of_the_reflected_image(self) -> None:
        x = waves(64)
        y, target = crop_and_flip(x, TARGET.repeat(8, 1), draws())
        assert target is not None and y.shape == x.shape
        padded = F.pad(x, (4,) * 4, mode="reflect")
        places, mirrored = set(), 0
        for image, window in zip(padded, y, strict=True):
            found = [
                (top, left, flip)
                for top in range(9)
                for left in range(9)
                for flip in (False, True)
                if torch.equal(image[:, top : top + 32, left : left + 32].flip(2) if flip else
                               image[:, top : top + 32, left : left + 32], window)
            ]  # fmt: skip
            assert len(found) == 1
            places.add(found[0][:2])
            mirrored += found[0][2]
        assert len(places) > 30 and 16 < mirrored < 48

    def test_mixup_mixes_images_and_targets_alike(self) -> None:
        x = torch.eye(8).reshape(8, 1, 8, 1).expand(8, 3, 8, 1)  # image i is the i-th unit vector
        target = torch.eye(8)
        y, mixed = mixup(x, target, draws())
        torch.testing.assert_close(y[:, 0, :, 0], mixed)
        torch.testing.assert_close(mixed.sum(1), torch.ones(8))
        shares = mixed.diagonal()
        assert 0.2 < float(shares.mean()) < 0.9 and float(shares.std()) > 0.1

    @pytest.mark.parametrize("most", [0.08, 0.25])
    def test_noise_has_a_standard_deviation_between_none_and_most(self, most: float) -> None:
        x = torch.full((400, 3, 32, 32), 0.5)
        y, _ = gaussian_noise(most)(x, TARGET, draws())
        std = (y - x).std((1, 2, 3))
        assert float(std.min()) < 0.05 * most and 0.9 * most < float(std.max()) < 1.05 * most
        assert float(std.mean()) == pytest.approx(most / 2, rel=0.08)
        assert abs(float((y - x).mean())) < 1e-3

    def test_noise_stays_in_the_range_of_pixels(self) -> None:
        y, _ = gaussian_noise(0.25)(torch.zeros(4, 3, 8, 8), TARGET, draws())
        assert float(y.min()) == 0 and 0 < float(y.max()) <= 1

    def test_blur_is_a_gaussian_of_the_sigma_it_draws(self) -> None:
        x = torch.full((1, 1, 32, 32), 0.2)
        x[0, 0, 16, 16] = 0.8
        y, _ = gaussian_blur(1.5)(x.expand(2, 3, 32, 32), TARGET, draws(1))
        assert not torch.equal(y[0], y[1])  # each image its own
        spot = (y[0, 0] - 0.2).clamp(min=0)
        offsets = torch.arange(32.0) - 16
        variance = float((spot.sum(0) * offsets**2).sum() / spot.sum())
        sigma = 1.5 * float(torch.rand(2, 1, 1, 1, generator=draws(1))[0])
        assert sigma > 0.3 and variance == pytest.approx(sigma**2, rel=0.05)
        assert float(y[0, 0].sum()) == pytest.approx(float(x.sum()), rel=1e-4)  # nothing is lost

    def test_low_pass_leaves_nothing_above_the_cut_and_all_below(self) -> None:
        x = 0.4 + 0.2 * (waves() - 0.5)  # far from 0 and 1, where clipping would make new frequencies
        y, _ = low_pass(0.5)(x, TARGET, draws())
        fy, fx = np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None]
        kept = 2 * np.maximum(abs(fy), abs(fx)) < 0.5
        before, after = (np.fft.fft2(part.double().numpy()) for part in (x, y))
        np.testing.assert_allclose(after[..., kept], before[..., kept], atol=1e-3)
        assert abs(after[..., ~kept]).max() < 1e-3 < 0.01 * abs(before[..., ~kept]).max()

    def test_what_is_drawn_depends_on_the_generator_alone(self) -> None:
        for recipe in RECIPES.values():
            one, other, third = (recipe(waves(), TARGET, draws(seed)) for seed in (5, 5, 6))
            assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
            assert not recipe.steps or not torch.equal(one[0], third[0])
            assert one[0].shape == (8, 3, 32, 32) and float(one[0].min()) >= 0 and float(one[0].max()) <= 1


class TestLabelNoise:
    labels = torch.arange(20_000) % 10

    @pytest.mark.parametrize("rate", [0.2, 0.5])
    def test_a_share_becomes_another_class_each_as_likely(self, rate: float) -> None:
        noisy = noisy_labels(self.labels, rate, seed=0)
        wrong = noisy != self.labels
        assert float(wrong.float().mean()) == pytest.approx(rate, abs=0.012)  # 3.5 standard deviations
        shifts = ((noisy - self.labels) % 10)[wrong].bincount(minlength=10)
        assert shifts[0] == 0 and shifts[1:].float().std() / shifts[1:].float().mean() < 0.08
        assert int(noisy.min()) >= 0 and int(noisy.max()) <= 9

    def test_is_the_same_for_any_number_of_images_and_nested(self) -> None:
        low, high = (noisy_labels(self.labels, rate, seed=0) for rate in (0.2, 0.5))
        assert torch.equal(noisy_labels(self.labels[:100], 0.2, seed=0), low[:100])
        replaced = low != self.labels
        assert torch.equal(high[replaced], low[replaced])
        assert not torch.equal(noisy_labels(self.labels, 0.2, seed=1), low)
        assert torch.equal(noisy_labels(self.labels, 0.0, seed=0), self.labels)


class TestAdversarialImages:
    def net(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))

    @pytest.mark.parametrize("steps", [1, 3])
    def test_stay_in_the_ball_and_the_box_and_raise_the_loss(self, steps: int) -> None:
        net, x, eps = self.net(), waves(), 8 / 255
        y = adversarial(net, x, TARGET, eps, steps, draws())
        assert float((y - x).abs().max()) <= eps + 1e-6 and float(y.min()) >= 0 and float(y.max()) <= 1
        noise = (x + eps * (2 * torch.rand(x.shape, generator=draws()) - 1)).clamp(0, 1)
        loss = [F.cross_entropy(net(part), TARGET).item() for part in (x, noise, y)]
        assert loss[2] > loss[0] + 0.05 and loss[2] > loss[1] + 0.05
        assert all(parameter.grad is None for parameter in net.parameters())

    def test_reach_the_optimum_of_a_linear_model(self) -> None:
        # two classes: the worst point of the ball moves every pixel by eps against the weights
        net, eps = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)), 4 / 255
        x = torch.full((2, 3, 32, 32), 0.5)
        target = torch.eye(2)
        y = adversarial(net, x, target, eps, 3, draws())
        with torch.no_grad():
            gap = net[1].weight[1] - net[1].weight[0]
        expected = torch.stack([x[0].flatten() + eps * gap.sign(), x[1].flatten() - eps * gap.sign()])
        torch.testing.assert_close(y.flatten(1), expected, atol=1e-6, rtol=0)


def test_the_plan_has_what_the_zoo_is_for() -> None:
    assert len(ZOO) == len({entry.name for entry in ZOO}) == 16
    assert {entry.architecture for entry in ZOO} == {"resnet", "cnn", "vit"}
    assert {entry.recipe for entry in ZOO} == set(RECIPES)
    assert sum(entry.rules.eps > 0 for entry in ZOO) == 4
    assert [e.recipe for e in ZOO if e.seed] == ["standard"]
    assert len({entry.rules.group for entry in ZOO}) == 8
    with pytest.raises(SystemExit, match=r"unknown model\(s\) resnet-x; the zoo has resnet-standard"):
        chosen(["resnet-x"])


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zoo's networks with few channels, which train in a moment."""
    narrow = {
        "resnet": lambda: SmallResNet(width=8),
        "cnn": lambda: PlainCNN(width=8),
        "vit": lambda: SmallViT(width=32, depth=1),
    }
    monkeypatch.setattr(training, "NETWORKS", narrow)


def images(n: int = 48) -> tuple[Tensor, Tensor]:
    labels = torch.arange(n) % 10
    shade = (labels.float() / 10)[:, None, None, None]
    x = (0.6 * shade + 0.4 * torch.rand(n, 3, 32, 32, generator=draws())).mul(255).to(torch.uint8)
    return x, labels


@pytest.mark.usefixtures("narrow")
class TestTraining:
    @pytest.mark.parametrize("architecture, recipe", [("cnn", "mixup"), ("vit", "labels-50"), ("resnet", "at-8")])
    def test_a_stopped_training_ends_in_the_same_weights(
        self, architecture: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entry = Entry("tiny", architecture, recipe)
        whole, told = train(entry, *images(), TINY, tmp_path / "whole")
        assert (told["epochs"], told["images"], told["batch"]) == (3, 48, 16) and 0 < told["loss"] < 10
        assert told.get("attack_steps") == (1 if recipe == "at-8" else None)
        with pytest.raises(OutOfTime):
            train(entry, *images(), TINY, tmp_path / "stopped", deadline=0.0)
        went_on, _ = train(entry, *images(), TINY, tmp_path / "stopped")
        for key, value in whole.state_dict().items():
            assert torch.equal(value, went_on.state_dict()[key]), key
        # a second call of a finished training trains no more
        monkeypatch.setattr(training, "_epoch", None)
        train(entry, *images(), TINY, tmp_path / "whole")

    def test_a_checkpoint_of_other_settings_is_refused(self, tmp_path: Path) -> None:
        entry = Entry("tiny", "cnn", "standard")
        train(entry, *images(), Settings(epochs=1, batch=16), tmp_path)
        with pytest.raises(SystemExit, match=r"of another training \(epochs 1 there, 2 now"):
            train(entry, *images(), Settings(epochs=2, batch=16), tmp_path)

    def test_seeds_give_other_weights(self, tmp_path: Path) -> None:
        one, other = (
            train(Entry(f"tiny{seed}", "cnn", "standard", seed), *images(), Settings(1, batch=48), tmp_path)[0]
            for seed in (0, 1)
        )
        assert not torch.equal(one.state_dict()["head.weight"], other.state_dict()["head.weight"])

    def test_learns_what_is_there_to_learn(self, tmp_path: Path) -> None:
        x, y = images(100)
        net, _ = train(Entry("tiny", "cnn", "no-augmentation"), x, y, Settings(12, batch=20), tmp_path)
        with torch.no_grad():
            right = float((net(x.float() / 255).argmax(1) == y).float().mean())
        assert right > 0.4  # chance is 0.1

    def test_bfloat16_on_a_device_runs_every_recipe(self) -> None:
        # what a GPU does, in the processor's own bfloat16: types must fit together
        for recipe in ("mixup", "at-2"):
            net = training.NETWORKS["vit"]()
            x, target = RECIPES[recipe](waves(), TARGET, draws())
            with torch.autocast("cpu", torch.bfloat16):
                x = adversarial(net, x, target, RECIPES[recipe].eps or 1 / 255, 1, draws())
                loss = F.cross_entropy(net(x).float(), target)
            loss.backward()
            assert loss.dtype == torch.float32 and np.isfinite(loss.item())


class TestStore:
    def test_stored_models_open_by_name_and_reach_what_the_manifest_says(self, tmp_path: Path) -> None:
        out, work = tmp_path / "zoo", tmp_path / "work"
        entry = next(e for e in ZOO if e.name == "cnn-standard")
        net, told = train(entry, *images(16), Settings(2, batch=8), work)
        test_x, test_y = images(20)
        facts = keep(entry, net, told, test_x, test_y, out, work)
        assert list(assemble(out, work)) == ["cnn-standard"]
        manifest = json.loads((out / "manifest.json").read_text())["models"]["cnn-standard"]
        assert manifest == facts and manifest["group"] == "standard" and manifest["test_images"] == 20
        model = open_model(f"demo:zoo/cnn-standard?folder={out}")
        right = float((model.forward(test_x.float() / 255).argmax(1) == test_y).float().mean())
        assert manifest["accuracy"] == pytest.approx(right, abs=1e-6)
        assert manifest["accuracy"] >= manifest["pgd20_2"] >= manifest["pgd20_8"] >= 0
        assert (out / manifest["file"]).stat().st_size < 1e6

    def test_packed_and_unpacked_it_is_the_same(self, tmp_path: Path) -> None:
        out, work = tmp_path / "zoo", tmp_path / "work"
        begun, done = Entry("resnet-standard", "resnet", "standard"), Entry("cnn-standard", "cnn", "standard")
        with pytest.raises(OutOfTime):
            train(begun, *images(8), TINY, work, deadline=0.0)
        keep(done, *train(done, *images(8), Settings(1, batch=8), work), *images(4), out, work)
        assemble(out, work)
        pack(out, work, tmp_path / "zoo.tar")
        unpack(tmp_path / "zoo.tar", tmp_path / "zoo2", tmp_path / "work2")
        names = {path.name for path in (tmp_path / "work2").iterdir()}
        assert names == {"cnn-standard.json", "resnet-standard.checkpoint"}  # finished ones need no checkpoint
        for name in ("manifest.json", "cnn-standard.safetensors"):
            assert (tmp_path / "zoo2" / name).read_bytes() == (out / name).read_bytes()

    def test_accuracy_is_of_all_images_in_any_batches(self) -> None:
        x, y = images(30)
        net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
        assert evaluate(net, x, y, batch=7) == evaluate(net, x, y, batch=30)


def test_carried_images_are_those_of_the_source(tmp_path: Path) -> None:
    if not (SHARED / "data/cifar10/train.parquet").exists():
        pytest.skip("needs ../shared/data/cifar10")
    size = cifar10.carry(target=tmp_path / "c.npz")
    assert 40e6 < size < 60 * 2**20
    for split in ("train", "test"):
        one, other = cifar10.load(split, 50, tmp_path / "c.npz"), cifar10.load(split, 50, SHARED / "data/cifar10")
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
        assert one[0].shape == (50, 3, 32, 32) and one[0].dtype == torch.uint8


@pytest.mark.long
def test_the_script_trains_resumes_and_shares_out(tmp_path: Path) -> None:
    if not (SHARED / "data/cifar10/train.parquet").exists():
        pytest.skip("needs ../shared/data/cifar10")
    names = ["cnn-standard", "resnet-mixup"]
    call = [sys.executable, "-m", "benchmarks.train_zoo", "--only", *names, "--epochs", "1", "--images", "64",
            "--test-images", "20", "--out", str(tmp_path / "zoo"), "--threads", "1", "--jobs", "2"]  # fmt: skip
    root = Path(__file__).resolve().parents[2]
    first = subprocess.run(call, cwd=root, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert set(json.loads((tmp_path / "zoo/manifest.json").read_text())["models"]) == set(names)
    again = subprocess.run(call, cwd=root, capture_output=True, text=True)
    assert again.returncode == 0 and "epoch" not in again.stdout
