"""Decompose as a whole: what comes out, what is borrowed, and that the same call gives the same answer."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import spectrobe as sb
from spectrobe.game.fit import Payoffs
from tests.toys import N_CLASSES, PLAIN, SHAPE, NamedData, Recorder, exact, labels_of, linear, pixels, planted

ABSENCES = ("zero", "mean", "noise", "donor")


@pytest.fixture(scope="module")
def result() -> sb.DecomposeResult:
    torch.set_num_threads(1)
    net, data = planted(20)
    return sb.decompose(net, data, **PLAIN)


def test_the_public_result(result: sb.DecomposeResult) -> None:
    assert result.shapley.shape == result.stderr.shape == (3,)
    assert result.interval.shape == result.simultaneous.shape == (3, 2)
    assert result.values.shape == result.tau.shape == (8,)
    assert result.payoffs.shape == (20, 8) and result.shapley_by_image.shape == (20, 3)
    assert result.interactions.shape == (3, 3)
    assert np.isnan(np.diag(result.interactions)).all()
    assert np.array_equal(result.interactions, result.interactions.T, equal_nan=True)
    assert float(result.score) == result.score.value == result.scores["signed"].value
    assert result.score.low < result.score.value < result.score.high
    assert (result.interval[:, 0] < result.shapley).all() and (result.shapley < result.interval[:, 1]).all()
    assert (result.simultaneous[:, 0] <= result.interval[:, 0]).all()
    for name in ("shapley", "stderr", "interval", "interactions", "values", "tau", "payoffs"):
        array = getattr(result, name)
        assert array.dtype == np.float64 and not array.flags.writeable, name
    with pytest.raises(AttributeError):
        result.shapley = np.zeros(3)  # type: ignore[misc]


def test_the_parts_agree(result: sb.DecomposeResult) -> None:
    assert np.allclose(result.payoffs.mean(axis=0), result.values, atol=1e-12)
    assert np.allclose(sb.shapley_values(result.values), result.shapley, atol=1e-12)
    assert result.shapley.sum() == pytest.approx(result.values[7] - result.values[0], abs=1e-12)
    assert result.information.value == pytest.approx(result.values[7] - result.values[0], abs=1e-12)
    assert result.information.value > 0.1  # the planted network knows something
    assert (result.values >= -1e-7).all() and (result.values <= np.log(N_CLASSES)).all()  # stored as float32
    assert result.power_db.shape == (3,) and 10 ** (result.power_db / 10) @ np.ones(3) == pytest.approx(1)


def test_the_permutation_design_fills_only_what_it_played() -> None:
    net, data = planted(12)
    found = sb.decompose(net, data, **PLAIN | {"bands": 4, "design": "permutation"})
    assert found.interactions is None
    assert (~np.isnan(found.payoffs)).sum(axis=1).tolist() == [8] * 12
    assert not np.isnan(found.payoffs[:, [0, 15]]).any()
    assert np.isnan(found.values).sum() == np.isnan(found.tau).sum() < 16


class TwoClasses(nn.Module):
    """z = (0, w x + b): the margin is linear in the pixels, so every band's share of it is known."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(linear()[1].weight[0].detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        z = x.flatten(1).double() @ self.w.double() - 0.5 * self.w.double().sum()
        return torch.stack([torch.zeros_like(z), z], 1).float()


@pytest.mark.parametrize("design", ["exact", "permutation"])
@pytest.mark.parametrize("absence", ["zero", "mean"])
def test_a_linear_margin_is_shared_out_exactly(absence: str, design: str) -> None:
    net, x = TwoClasses(), pixels(15)
    labels = torch.arange(15) % 2
    found = sb.decompose(net, (x, labels), **PLAIN | {"value": "margin", "absence": absence, "design": design})
    base = x.double().mean(0) if absence == "mean" else torch.zeros(SHAPE).double()
    parts = sb.band_images(x.double() - base, 3).flatten(2) @ net.w.detach().double()
    expected = (parts * (labels * 2 - 1)[:, None]).numpy()
    assert np.abs(expected).max() > 0.1
    assert np.allclose(found.shapley_by_image, expected, rtol=0, atol=1e-5)
    assert np.allclose(found.shapley, expected.mean(axis=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("design", ["exact", "permutation"])
@pytest.mark.parametrize("value", ["log-likelihood", "accuracy", "margin", "agreement"])
def test_with_value_is_what_a_fresh_run_gives(value: str, design: str) -> None:
    net, data = planted(12)
    first = sb.decompose(exact(net), data, **PLAIN | {"design": design})
    fresh = sb.decompose(exact(net), data, **PLAIN | {"value": value, "design": design})
    found = first.with_value(value)
    assert found.to_dict()["scores"].keys() == fresh.to_dict()["scores"].keys()
    for name in ("shapley", "stderr", "interval", "simultaneous", "values", "tau", "payoffs"):
        assert np.array_equal(getattr(found, name), getattr(fresh, name), equal_nan=True), name
    assert found.warnings == fresh.warnings
    assert found.forward_passes == fresh.forward_passes
    assert found.unit == fresh.unit
    back = found.with_value(first.value)
    assert np.array_equal(back.shapley, first.shapley) and back.warnings == first.warnings


@pytest.mark.parametrize("design", ["exact", "permutation"])
def test_clipping_is_reported_by_size(design: str, tmp_path: Path) -> None:
    """All or nothing in every pixel, so that filtered images overshoot; full and empty coalitions are in range."""
    net, (x, labels) = planted(12)
    settings = {**PLAIN, "absence": "zero", "design": design}
    data = ((x > 0.5).float(), labels)
    clipped, plain = (sb.decompose(net, data, clip=clip, **settings) for clip in (True, False))
    share = clipped.by_size["clipped"]
    assert share[0] == share[-1] == 0 and (share[1:-1] > 0.1).all()
    assert clipped.clipped_share == pytest.approx(share.mean())
    assert plain.clipped_share is None and "clipped" not in plain.by_size
    assert np.abs(clipped.shapley - plain.shapley).max() > 1e-3
    clipped.save(tmp_path)
    assert sb.load(tmp_path).with_value("accuracy").clipped_share == clipped.clipped_share


def test_with_value_knows_of_missing_labels() -> None:
    found = sb.decompose(linear(), pixels(6), **PLAIN | {"value": "agreement"})
    with pytest.raises(sb.SpectrobeError, match="tensors has no labels, which value 'accuracy' needs"):
        found.with_value("accuracy")
    with pytest.raises(sb.SpectrobeError, match="expected a value out of"):
        found.with_value("acuracy")


def test_two_images_are_enough() -> None:
    x = pixels(2)
    found = sb.decompose(linear(), (x, torch.tensor([0, 1])), **PLAIN)
    assert found.n_images == 2 and np.isfinite(found.stderr).all()


def test_pixels_of_eight_bits_are_those_of_floats() -> None:
    net, (x, labels) = planted(8)
    eight = (x * 255).round().to(torch.uint8)
    for other in (eight, eight.numpy()):
        found = sb.decompose(net, (other, labels), **PLAIN)
        assert np.allclose(found.shapley, sb.decompose(net, (eight / 255, labels), **PLAIN).shapley, atol=1e-6)


# what is borrowed


class Mixed(nn.Module):
    """Everything that a careless borrower changes: modes of parts, running statistics, a gradient in store."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.head = nn.Linear(4, N_CLASSES)
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
        self.train()
        self.drop.eval()
        self.head.bias.requires_grad_(False)
        self.conv.weight.grad = torch.ones_like(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(torch.relu(self.norm(self.conv(x)))).mean((2, 3)))


def state_of(net: nn.Module) -> dict[str, object]:
    flags: dict[str, object] = {name: part.training for name, part in net.named_modules()}
    for name, x in (*net.named_parameters(), *net.named_buffers()):
        flags[name] = (id(x), x.data_ptr(), x.stride(), x.device, x.dtype, x.requires_grad, id(x.grad))
    return flags


@pytest.mark.parametrize("changed", [{}, {"precision": "auto", "batch_size": "auto"}, {"precision": "bfloat16"}])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_callers_model_comes_back_as_it_was(changed: dict[str, object], channels_last: bool) -> None:
    net, x = Mixed(), pixels(10)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    before, bits = state_of(net), {name: tensor.clone() for name, tensor in net.state_dict().items()}
    sb.decompose(net, (x, torch.arange(10) % N_CLASSES), **PLAIN | changed)
    assert state_of(net) == before
    assert all(torch.equal(tensor, bits[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(net.conv.weight.grad, torch.ones_like(net.conv.weight))
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_it_comes_back_after_an_error_too() -> None:
    net, x = Mixed(), pixels(10)
    before = state_of(net)

    class Interrupting(Recorder):
        def advance(self, forward_passes: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sb.decompose(net, (x, torch.arange(10) % N_CLASSES), progress=Interrupting(), **PLAIN)
    assert state_of(net) == before


@pytest.mark.parametrize("absence", ABSENCES)
def test_global_generators_are_untouched(absence: str) -> None:
    net, (x, labels) = planted(70)
    data = NamedData(x, labels, [f"image {i}" for i in range(70)])
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  # the very generator that must not be drawn from
    random.seed(1)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    settings = {"absence": absence, "design": "permutation", "precision": "auto", "batch_size": "auto"}
    sb.decompose(net, data, workers=1 if absence == "donor" else 0, **PLAIN | settings)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]


class Squares(Dataset):  # type: ignore[type-arg]
    """A torch Dataset with a transform of its own, which is the caller's affair."""

    def __init__(self, x: Tensor, labels: Tensor) -> None:
        self.x, self.labels = x, labels
        self.transform = lambda image: image.square()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.x[index]), int(self.labels[index])


def test_a_datasets_transform_is_used_and_left_alone() -> None:
    net, (x, labels) = planted(10)
    dataset = Squares(x, labels)
    transform, item = dataset.transform, dataset[3]
    found = sb.decompose(net, dataset, **PLAIN)
    assert dataset.transform is transform
    assert torch.equal(dataset[3][0], item[0]) and torch.equal(dataset.x, x)
    assert np.allclose(found.shapley, sb.decompose(net, (x.square(), labels), **PLAIN).shapley, atol=1e-6)


def test_the_callers_tensors_are_left_alone() -> None:
    net, (x, labels) = planted(8)
    kept = x.clone(), labels.clone()
    sb.decompose(net, (x, labels), **PLAIN | {"absence": "donor"})
    assert torch.equal(x, kept[0]) and torch.equal(labels, kept[1])


# the same answer


@pytest.mark.parametrize("design", ["exact", "permutation"])
@pytest.mark.parametrize("absence", ABSENCES)
def test_the_same_call_gives_the_same_bytes(tmp_path: Path, absence: str, design: str) -> None:
    net, data = planted(12)
    settings = PLAIN | {"absence": absence, "design": design}
    for name in ("one", "other"):
        sb.decompose(net, data, out=tmp_path / name, **settings)
    assert (tmp_path / "one/result.json").read_bytes() == (tmp_path / "other/result.json").read_bytes()
    shards = sorted((tmp_path / "one/payoffs").iterdir())
    assert shards
    assert all(shard.read_bytes() == (tmp_path / "other/payoffs" / shard.name).read_bytes() for shard in shards)


def test_workers_change_nothing(tmp_path: Path) -> None:
    net, (x, labels) = planted(80)
    data = NamedData(x, labels, [f"image {i}" for i in range(80)])
    for workers in (0, 2):
        sb.decompose(net, data, out=tmp_path / str(workers), workers=workers, **PLAIN | {"absence": "donor"})
    assert (tmp_path / "0/result.json").read_bytes() == (tmp_path / "2/result.json").read_bytes()


@pytest.mark.parametrize("design", ["exact", "permutation"])
@pytest.mark.parametrize("absence", ABSENCES)
def test_the_order_of_the_data_set_does_not_matter(absence: str, design: str) -> None:
    net, (x, labels) = planted(14)
    ids = [f"image {i}" for i in range(14)]
    moved = torch.randperm(14, generator=torch.Generator().manual_seed(1)).tolist()
    settings = PLAIN | {"absence": absence, "design": design, "images": 9}
    one = sb.decompose(exact(net), NamedData(x, labels, ids), **settings)
    other = sb.decompose(exact(net), NamedData(x[moved], labels[moved], [ids[i] for i in moved]), **settings)
    rows = [
        dict(
            zip([name for chunk in found.table().chunks() for name in chunk.ids], log_q_of(found.table()), strict=True)
        )
        for found in (one, other)
    ]
    assert rows[0].keys() == rows[1].keys()
    for name, payoffs in rows[0].items():
        assert np.allclose(payoffs, rows[1][name], rtol=0, atol=1e-6), name
    assert np.allclose(one.shapley, other.shapley, rtol=0, atol=1e-6)


def log_q_of(payoffs: Payoffs) -> np.ndarray:
    """Every cell, in the order of the table's chunks."""
    return np.concatenate([chunk.log_q for chunk in payoffs.chunks()])


def test_subsets_are_nested(tmp_path: Path) -> None:
    net, data = planted(20)
    few = sb.decompose(exact(net), data, **PLAIN | {"images": 6})
    more = sb.decompose(exact(net), data, **PLAIN | {"images": 11})
    positions = few.table().position
    assert len(positions) == 6 and set(positions) < set(more.table().position) < set(range(20))
    same = more.table().subset(positions)
    assert np.array_equal(log_q_of(same), log_q_of(few.table()))
    others = sb.decompose(exact(net), data, **PLAIN | {"images": 6, "seed": 1}).table().position
    assert set(others) != set(positions)


def test_progress_adds_up() -> None:
    """Also where the pilot has been played first and images are skipped."""
    net, (x, labels) = planted(40)
    data = NamedData(x, labels, [f"image {i}" for i in range(40)], bad=["image 3", "image 30"])
    for settings in ({"bands": 6}, {"bands": 6, "design": "permutation"}, {}):
        progress = Recorder()
        found = sb.decompose(net, data, progress=progress, on_bad_image="skip", **PLAIN | settings)
        an_image = 2 * 6 - 1 if "design" in settings else 2 ** PLAIN["bands"] - 1 if not settings else 2**6 - 1
        assert progress.expected == progress.advanced == 40 * an_image
        assert found.forward_passes == 38 * an_image + 1


def test_labels_that_are_right_by_chance_are_told() -> None:
    x = pixels(30)
    net = linear()
    found = sb.decompose(net, (x, (labels_of(net, x, wrong=0) + 1) % N_CLASSES), **PLAIN)
    assert any("normalisation or label order?" in warning for warning in found.warnings)
    assert np.isnan(found.score.value) and "is not above 0" in found.score.reason
    assert "cannot tell" in found.summary()


def test_repeated_images_are_told() -> None:
    net, (x, labels) = planted(8)
    doubled = torch.cat([x, x[:3]]), torch.cat([labels, labels[:3]])
    found = sb.decompose(net, doubled, **PLAIN)
    assert any("3 of 11 images repeat another one" in warning for warning in found.warnings)
    assert not any("another label" in warning for warning in found.warnings)
    doubled[1][-1] = (labels[2] + 1) % N_CLASSES
    found = sb.decompose(net, doubled, **PLAIN)
    assert any("1 of them have another label than the image they repeat" in warning for warning in found.warnings)
    unlabelled = sb.decompose(net, doubled[0], **PLAIN | {"value": "agreement"})
    assert any(warning.startswith("3 of 11 images repeat") for warning in unlabelled.warnings)
    assert not any("another label" in warning for warning in unlabelled.warnings)
