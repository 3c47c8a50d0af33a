"""Readings of a model in training: the numbers of decompose, within the budget, and the model untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.data.checks import content_digest
from spectrobe.errors import InputError, ModelOutputError
from spectrobe.studies.watch.game import Game
from spectrobe.studies.watch.probe import Probe
from spectrobe.studies.watch.reading import read
from tests.integrations.nets import MEAN, STD, Net, generators, held_out, modes
from tests.toys import Counting, NamedData, planted

NET, (X, Y) = planted(150)


@pytest.mark.parametrize("design", ["exact", "permutation"])
@pytest.mark.parametrize("absence", ["zero", "mean"])
def test_a_reading_is_what_decompose_finds(design: str, absence: str) -> None:
    probe = Probe.of((X, Y), bands=3, absence=absence, design=design)
    reading = probe.read(NET)
    # called by their content, images have the same orders of bands and the same sequence here and there
    order = sorted(range(150), key=lambda i: content_digest(X[i]))
    named = NamedData(X[order], Y[order], [content_digest(X[i]) for i in order])
    wanted = sb.decompose(
        NET, named, bands=3, absence=absence, design=design, value="usable-information", precision="float32",
        batch_size=128,
    )  # fmt: skip
    # the mean image is that of the data in another order: equal to float32
    assert np.allclose(reading.shapley, wanted.shapley, atol=1e-5)
    assert np.allclose(reading.stderr, wanted.stderr, atol=1e-5)
    assert np.allclose(reading.interval, wanted.interval, atol=1e-5)
    assert reading.score.value == pytest.approx(wanted.score.value, abs=1e-4)
    assert reading.score.stderr == pytest.approx(wanted.score.stderr, abs=1e-4)
    assert reading.information.value == pytest.approx(wanted.information.value, abs=1e-5)
    assert wanted.accuracy is not None and reading.accuracy == wanted.accuracy
    assert reading.forward_passes == wanted.forward_passes


def test_the_full_result_too() -> None:
    probe = Probe.of((X, Y), bands=3)
    result, reading = probe.measure(NET, "net"), probe.read(NET)
    assert isinstance(result, sb.DecomposeResult) and result.model_name == "net" and result.absence == "mean"
    assert np.array_equal(result.shapley, reading.shapley)
    assert result.score.low < result.score.value < result.score.high


def test_a_full_result_can_be_kept(tmp_path: Path) -> None:
    result = Probe.of((X[:40], Y[:40]), bands=3).measure(NET)
    result.save(tmp_path / "run")
    assert np.array_equal(sb.load(tmp_path / "run").shapley, result.shapley)


@pytest.mark.parametrize("most", [1051, 720, 4000])
def test_the_budget_is_kept_to_the_forward_pass(most: int) -> None:
    counting = Counting(NET)
    probe = Probe.of((X, Y), bands=4, forward_passes=most, design="permutation" if most < 1000 else "auto")
    counting.batches.clear()
    reading = probe.read(counting)
    assert counting.images == probe.plan.forward_passes == reading.forward_passes <= most
    assert reading.n_images == probe.plan.n_images == len(probe.images)


def test_images_of_a_smaller_budget_are_among_those_of_a_larger() -> None:
    few, many = (Probe.of((X, Y), bands=3, design="exact", forward_passes=most, seed=4) for most in (200, 700))
    assert len(few.images) == 28 < len(many.images)
    assert torch.equal(few.images, many.images[:28])


def test_a_score_without_information_is_not_a_number() -> None:
    reading = Probe.of((X, Y), bands=3).read(lambda x: torch.zeros(len(x), 4))
    logged = reading.to_log("net")
    assert np.isnan(logged["net/score"]) and "not above 0" in reading.score.reason
    assert logged["net/usable_information"] == 0


def test_names_of_what_is_logged() -> None:
    logged = Probe.of((X, Y), bands=3, value="accuracy").read(NET).to_log()
    names = ["band_0", "band_1", "band_2", "score", "accuracy_gain", "accuracy"]
    assert list(logged) == [f"spectral/{name}{end}" for name in names for end in ("", "_stderr")]


def test_a_module_is_left_as_it_was() -> None:
    net = Net(noisy=True)
    net.train()
    net.stem[3].eval()
    net(torch.rand(4, 3, 16, 16)).sum().backward()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    gradients = {
        name: parameter.grad.clone() for name, parameter in net.named_parameters() if parameter.grad is not None
    }
    kept = modes(net), generators(), net.calls, [id(p) for p in net.parameters()]
    x, y = held_out()
    probe = Probe.of((x, y), bands=3, mean=MEAN, std=STD)
    assert (modes(net), generators(), net.calls, [id(p) for p in net.parameters()]) == kept
    probe.check(net)
    probe.read(net)
    assert (modes(net), generators(), net.calls, [id(p) for p in net.parameters()]) == kept
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, gradients[n]) for n, p in net.named_parameters() if p.grad is not None)


def test_autocast_of_the_caller_does_not_matter() -> None:
    probe = Probe.of((X, Y), bands=3)
    plain = probe.read(NET).shapley
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        assert np.array_equal(probe.read(NET).shapley, plain)


def test_normalisation_is_the_readers() -> None:
    x, y = held_out()
    net = Net().eval()
    told = Probe.of((x, y), bands=3, mean=MEAN, std=STD).read(net).shapley
    inside = Probe.of((x, y), bands=3).read(lambda pixels: net((pixels - MEAN) / STD)).shapley
    assert np.allclose(told, inside, atol=1e-5)
    assert np.abs(Probe.of((x, y), bands=3).read(net).shapley - told).max() > 1e-3


def test_grey_images_and_a_module_that_does_not_say_how_many_channels_it_takes() -> None:
    x, y = held_out()
    grey, net = x[:, :1], nn.Sequential(nn.Flatten(), nn.Linear(256, 4))
    told = Probe.of((grey, y), bands=3, mean=0.5, std=0.25).read(net).shapley
    inside = Probe.of((grey, y), bands=3).read(lambda pixels: net((pixels - 0.5) / 0.25)).shapley
    assert np.allclose(told, inside, atol=1e-5)


class Parts(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"features": x.mean((2, 3)), "scores": self.net(x)}


def test_a_model_without_logits_is_refused_and_a_forward_of_ones_own_helps() -> None:
    probe = Probe.of((X, Y), bands=3)
    with pytest.raises(ModelOutputError, match="Parts: expected one tensor of logits"):
        probe.check(Parts(NET))
    told = Probe.of((X, Y), bands=3, forward=lambda module, x: module(x)["scores"])
    assert np.array_equal(told.read(Parts(NET)).shapley, probe.read(NET).shapley)
    with pytest.raises(InputError, match=r"expected an nn\.Module, which forward=\.\.\. is called with, got function"):
        told.read(lambda x: x)
    with pytest.raises(InputError, match="expected a model, got str"):
        probe.read("timm:resnet18")
    with pytest.raises(InputError, match="a Model has its own"):
        told.read(sb.open_model(NET))


def _process(rank: int, folder: Path, world: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    counting = Counting(NET)
    reading = Probe.of((X, Y), bands=3, design="exact").read(counting, rank, world)
    torch.save(
        {"shapley": reading.shapley.tolist(), "images": counting.images, "passes": reading.forward_passes},
        folder / f"{rank}.pt",
    )
    torch.distributed.destroy_process_group()


def test_processes_share_the_images_and_find_what_one_finds(tmp_path: Path) -> None:
    mp.start_processes(_process, args=(tmp_path, 2), nprocs=2, start_method="fork")
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    one = Probe.of((X, Y), bands=3, design="exact").read(NET)
    assert both[0]["shapley"] == both[1]["shapley"] == pytest.approx(one.shapley.tolist(), abs=1e-6)
    assert both[0]["images"] == both[1]["images"] == 75 * 7 + 1  # half of the images each, and the absence image
    assert both[0]["passes"] == 150 * 7 + 2


@pytest.mark.parametrize("settings, message", [
    ({"absence": "donor"}, "same for all images, such as mean or zero, got 'donor'"),
    ({"forward_passes": 10}, "expected at least 141 forward passes"),
    ({"batch_size": "auto"}, "expected a number as batch_size"),
    ({"value": "entropy"}, "expected a value out of"),
    ({"bands": 12}, "the largest number of square bands that works is 9"),
    ({"confidence": 95}, "between 0.5 and 1"),
    ({"num_classes": 2}, "has label"),
])  # fmt: skip
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"bands": 3} | settings
    with pytest.raises(InputError, match=message):
        Probe.of((X, Y), **given)


def test_bad_images() -> None:
    with pytest.raises(InputError, match="has no labels"):
        Probe.of(X)
    with pytest.raises(InputError, match="all of one class"):
        Probe.of((X, torch.zeros(150, dtype=torch.int64)), bands=3)
    game = Game(sb.BandPartition.square(3))
    with pytest.raises(InputError, match=r"pixels in \[0, 1\]"):
        game.table(NET, X * 4 - 2, Y)
    with pytest.raises(InputError, match=r"class indices \(150,\)"):
        game.table(NET, X, Y[:3])
    with pytest.raises(InputError, match="labels below 4, the model's classes, got 9"):
        game.table(NET, X[:3], torch.tensor([0, 1, 9]))
    with pytest.raises(InputError, match="at least 2 different images, got 1"):
        read(game.table(NET, X[[0, 0]], Y[[0, 0]]), game, 0)
    with pytest.raises(InputError, match=r"absence image of shape \(3, 16, 16\), got \(3, 8, 8\)"):
        Game(sb.BandPartition.square(3), absence=torch.zeros(3, 8, 8)).table(NET, X, Y)
