"""The payoff table against a slow computation written from the method alone, and what must not change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.data import open_data
from spectrobe.data.checks import content_digest
from spectrobe.engine import local
from spectrobe.engine.absence import Surroundings, absence_class
from spectrobe.engine.evaluate import Evaluator, Shard, check_flat, mixing
from spectrobe.engine.local import ImageLoader
from spectrobe.engine.progress import Silent
from spectrobe.errors import BadImageError, ModelOutputError
from spectrobe.game.coalitions import Design, make_design, members
from spectrobe.game.table import PayoffTable
from spectrobe.game.temperature import TEMPERATURES
from spectrobe.models.base import Geometry
from spectrobe.models.tensor_cores import float32_products, rounding
from tests.toys import N_CLASSES, PLAIN, SHAPE, Counting, exact, labels_of, linear, pixels, planted, self_check_passes

CPU = torch.device("cpu")
ABSENCES = ("zero", "mean", "noise", "donor")
DESIGNS = ("exact", "permutation")


def evaluator(
    forward: Callable[[Tensor], Tensor],
    x: Tensor,
    absence: str = "mean",
    design: str = "exact",
    bands: int = 3,
    batch_size: int = 16,
    clip: bool = False,
) -> Evaluator:
    loader = ImageLoader(open_data(x), Geometry())
    surroundings = Surroundings(loader.data.ids, loader.each, seed=0)
    kind = absence_class(absence)
    chosen: Design = make_design(design, bands)
    absent = kind(kind.measure(surroundings), surroundings)
    return Evaluator(forward, N_CLASSES, sb.BandPartition.square(bands), chosen, absent, CPU, batch_size, clip)


def shard_of(x: Tensor, labels: Tensor | None, positions: Sequence[int] | None = None) -> Shard:
    chosen = list(range(len(x)) if positions is None else positions)
    picked = None if labels is None else labels[chosen].numpy()
    return Shard(tuple(chosen), tuple(map(str, chosen)), picked, x[chosen])


def by_hand(player: Evaluator, net: Callable[[Tensor], Tensor], shard: Shard, labels: Tensor) -> dict[str, np.ndarray]:
    """Every cell on its own, in float64 after the network: an image, a coalition, a temperature at a time."""
    absent = player.absence.images(shard.position, shard.pixels.shape[1:]).expand_as(shard.pixels)
    cells: dict[str, list[float]] = {"log_q": [], "predicted": [], "margin": [], "confidence": []}
    cells |= {"clipped": []} if player.clip else {}
    for image, base, image_id, label in zip(shard.pixels, absent, shard.ids, labels.tolist(), strict=True):
        for mask in player.design.coalitions(image_id):
            present = torch.from_numpy(members(mask, player.bands.n_bands))[None]
            x = sb.coalition_images(image[None], player.bands, present, absence=base)[0]
            if player.clip:
                cells["clipped"].append(float(((x < -1e-5) | (x > 1 + 1e-5)).double().mean()))
                x = x.clamp(0, 1)
            with torch.no_grad():
                z = net(x)[0].double()
            cells["log_q"] += torch.log_softmax(torch.tensor(TEMPERATURES)[:, None] * z, 1)[:, label].tolist()
            cells["predicted"].append(int(z.argmax()))
            cells["margin"].append(float(z[label] - max(z[k] for k in range(len(z)) if k != label)))
            cells["confidence"].append(float(torch.softmax(z, 0).max()))
    n = len(shard.ids)
    return {name: np.reshape(values, (n, -1)) for name, values in cells.items()}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("absence", ABSENCES)
def test_table_is_the_slow_one(absence: str, design: str) -> None:
    module, (x, labels) = planted(6, scale=0.25)
    net = exact(module)
    player = evaluator(net, x, absence, design)
    shard = shard_of(x, labels)
    table = player.payoff_table(shard, Silent())
    expected = by_hand(player, net, shard, labels)
    assert table.log_q.shape == (6, player.design.n_coalitions, len(TEMPERATURES))
    assert expected["log_q"].std() > 0.5
    for name, values in expected.items():
        assert np.allclose(getattr(table, name).reshape(6, -1), values, rtol=0, atol=1e-5), name
    assert table.coalition[:, 0].tolist() == [7] * 6 and table.coalition[:, -1].tolist() == [0] * 6
    assert table.label.tolist() == labels.tolist()


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("absence", ABSENCES)
def test_clipped_table_is_the_slow_one(absence: str, design: str) -> None:
    module, (x, labels) = planted(6, scale=0.25)
    x = (x > 0.5).float()
    net = exact(module)
    player = evaluator(net, x, absence, design, clip=True)
    table = player.payoff_table(shard_of(x, labels), Silent())
    expected = by_hand(player, net, shard_of(x, labels), labels)
    assert expected["clipped"].max() > 0.1
    for name, values in expected.items():
        assert np.allclose(getattr(table, name).reshape(6, -1), values, rtol=0, atol=1e-5), name
    kept = PayoffTable.from_columns(table.columns())
    assert np.array_equal(kept.clipped, table.clipped)
    assert evaluator(net, x, absence, design).payoff_table(shard_of(x, labels), Silent()).clipped is None


@pytest.mark.parametrize("shape", [(1, 9, 14), (3, 7, 7), (2, 15, 8), (1, 6, 6)])
@pytest.mark.parametrize("absence", ABSENCES)
def test_grey_odd_and_oblong_images(shape: tuple[int, int, int], absence: str) -> None:
    module, (x, labels) = planted(4, shape, scale=0.25)
    net = exact(module)
    player = evaluator(net, x, absence)
    table = player.payoff_table(shard_of(x, labels), Silent())
    expected = by_hand(player, net, shard_of(x, labels), labels)
    assert np.allclose(table.log_q.reshape(4, -1), expected["log_q"], rtol=0, atol=1e-5)


def test_full_and_empty_coalition_go_through_the_same_path() -> None:
    """The full one gives the logits of the image itself, the empty one those of the absence image."""
    net, (x, labels) = planted(5, scale=0.25)
    for absence in ABSENCES:
        player = evaluator(net, x, absence)
        table = player.payoff_table(shard_of(x, labels), Silent())
        base = player.absence.images(range(5), torch.Size(SHAPE)).expand_as(x)
        for column, images in ((0, x), (-1, base)):
            with torch.no_grad():
                expected = torch.log_softmax(net(images), 1)[torch.arange(5), labels]
            assert np.allclose(table.log_q[:, column, 19], expected, atol=1e-5), (absence, column)


def test_images_in_any_order_give_the_same_rows() -> None:
    net, (x, labels) = planted(7)
    for absence in ABSENCES:
        player = evaluator(net, x, absence, "permutation", bands=4)
        order = [5, 0, 3, 6, 1, 4, 2]
        table = player.payoff_table(shard_of(x, labels), Silent()).rows(np.asarray(order))
        found = player.payoff_table(shard_of(x, labels, order), Silent())
        for field in fields(PayoffTable):
            one, other = getattr(table, field.name), getattr(found, field.name)
            same = np.allclose(one, other, atol=1e-5) if isinstance(one, np.ndarray) else one == other
            assert same, (absence, field.name)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("absence", ["mean", "donor"])
def test_batch_size_changes_nothing(absence: str, design: str) -> None:
    net, data = planted(12, scale=3.0)
    settings = PLAIN | {"absence": absence, "design": design}
    results = [sb.decompose(exact(net), data, **settings | {"batch_size": size}) for size in (1, 7, 12 * 8)]
    assert results[0].stderr.max() > 1e-3
    for other in results[1:]:
        assert np.allclose(results[0].payoffs, other.payoffs, rtol=0, atol=1e-5, equal_nan=True)
        assert np.allclose(results[0].shapley, other.shapley, rtol=0, atol=1e-5)
        assert results[0].forward_passes == other.forward_passes


def test_shard_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net, data = planted(13, scale=3.0)
    whole = sb.decompose(exact(net), data, **PLAIN)
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 3)
    pieces = sb.decompose(exact(net), data, **PLAIN)
    assert np.allclose(whole.payoffs, pieces.payoffs, rtol=0, atol=1e-5)
    assert np.allclose(whole.shapley, pieces.shapley, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("design", "absence", "an_image", "for_all"),
    [
        ("exact", "zero", 2**4 - 1, 1),
        ("exact", "mean", 2**4 - 1, 1),
        ("exact", "noise", 2**4, 0),
        ("exact", "donor", 2**4, 0),
        ("permutation", "mean", 2 * (4 - 1) + 1, 1),
        ("permutation", "donor", 2 * 4, 0),
    ],
)
def test_forward_passes_are_those_of_the_method(
    design: str, absence: str, an_image: int, for_all: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, data = planted(30)
    model = Counting(net)
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 8)  # the empty coalition is played once, not once a shard
    result = sb.decompose(model, data, **PLAIN | {"bands": 4, "design": design, "absence": absence})
    assert result.forward_passes == 30 * an_image + for_all
    assert model.images == result.forward_passes + self_check_passes(30)
    assert max(model.batches) == 32


def test_without_labels_the_model_is_its_own_reference() -> None:
    net, x = linear(scale=1.0), pixels(9)
    player = evaluator(exact(net), x)
    table = player.payoff_table(shard_of(x, None), Silent())
    with torch.no_grad():
        answers = net(x).argmax(1)
    assert table.label.tolist() == answers.tolist() and len(set(answers.tolist())) > 1
    expected = by_hand(player, exact(net), shard_of(x, None), answers)
    assert np.allclose(table.log_q.reshape(9, -1), expected["log_q"], rtol=0, atol=5e-5)
    result = sb.decompose(net, x, **PLAIN | {"value": "agreement"})
    assert np.array_equal(result.payoffs[:, ::-1], expected["predicted"] == answers.numpy()[:, None])
    assert result.accuracy is None


def spoiling(net: Callable[[Tensor], Tensor], target: Tensor, with_: float) -> Callable[[Tensor], Tensor]:
    """The network, but for one image, whose logits are spoilt."""

    def model(x: Tensor) -> Tensor:
        logits = net(x).clone()
        logits[(x - target).abs().amax((1, 2, 3)) < 1e-4, 1] = with_
        return logits

    return model


@pytest.mark.parametrize("with_", [float("nan"), float("inf")])
def test_broken_logits_name_image_and_coalition(with_: float) -> None:
    net, (x, labels) = planted(6)
    present = torch.tensor([[True, False, True]])
    target = sb.coalition_images(x[4:5], 3, present)[0, 0]
    with pytest.raises(ModelOutputError, match=r"image '4' with bands \[0, 2\] present.*precision='float32'") as caught:
        sb.decompose(spoiling(net, target, with_), (x, labels), **PLAIN | {"absence": "zero"})
    assert "\n" not in str(caught.value)
    black = torch.zeros(SHAPE)
    with pytest.raises(ModelOutputError, match=r"for image 'the absence image' with bands none present"):
        sb.decompose(spoiling(net, black, with_), (x, labels), **PLAIN | {"absence": "zero"})


def test_outputs_of_another_shape_are_refused() -> None:
    net, (x, labels) = planted(4)
    player = evaluator(lambda batch: net(batch)[:, :2], x)
    with pytest.raises(ModelOutputError, match=r"expected logits of shape \(16, 4\), got \(16, 2\)"):
        player.payoff_table(shard_of(x, labels), Silent())


def test_logits_that_are_a_view_of_the_input_are_kept() -> None:
    """So are those of compiled models, whose output buffer the next pass overwrites."""
    x = pixels(6, (4, 8, 8))

    def corner(batch: Tensor) -> Tensor:
        return batch[:, :, 0, 0]

    player = evaluator(corner, x, "zero")
    table = player.payoff_table(shard_of(x, None), Silent())
    copied = replace(player, forward=lambda batch: corner(batch).clone()).payoff_table(shard_of(x, None), Silent())
    assert np.array_equal(table.log_q, copied.log_q)


def test_models_that_write_into_their_input_change_no_absence() -> None:
    x = pixels(6, (1, 8, 8))
    net = linear((1, 8, 8))

    def in_place(batch: Tensor) -> Tensor:
        return net(batch.mul_(0.5))

    player = evaluator(in_place, x)
    before = player.absence.state["mean"].clone()
    table = player.payoff_table(shard_of(x, None), Silent())
    assert torch.equal(player.absence.state["mean"], before)
    halved = replace(player, forward=lambda batch: net(batch * 0.5)).payoff_table(shard_of(x, None), Silent())
    assert np.allclose(table.log_q, halved.log_q, atol=1e-5)


def test_rows_say_what_the_images_are() -> None:
    net, (x, labels) = planted(3)
    player = evaluator(net, x)
    table = player.payoff_table(shard_of(x, labels), Silent())
    contrast = (x - x.mean((2, 3), keepdim=True)).double().square().sum((1, 2, 3)) * 16 * 16
    assert np.allclose(table.band_power.sum(1), contrast, rtol=1e-5)
    assert table.band_power.dtype == np.float64
    assert table.digest == tuple(content_digest(image) for image in x)


def test_bands_are_mixed_in_whole_float32_where_the_model_is_played_in_tf32() -> None:
    with float32_products(True):
        with mixing(torch.device("cuda")):
            assert {rounding()[name] for name in ("cuda.matmul", "cudnn.conv")} == {"ieee"}
        assert rounding()["cuda.matmul"] == "tf32"
        with mixing(torch.device("cpu")):
            assert rounding()["cuda.matmul"] == "tf32"  # nothing is set where it would mean nothing


def test_no_gradient_is_recorded() -> None:
    net, (x, labels) = planted(3)
    seen: list[bool] = []

    def model(batch: Tensor) -> Tensor:
        logits = net(batch)
        seen.append(logits.requires_grad)
        return logits

    evaluator(model, x).payoff_table(shard_of(x, labels), Silent())
    assert seen and not any(seen)


def test_flat_images_are_named() -> None:
    check_flat("fine", pixels(1)[0])
    with pytest.raises(BadImageError, match="image grey: flat: all its pixels have one colour"):
        check_flat("grey", torch.full(SHAPE, 0.5))


def test_sums_are_in_float64() -> None:
    net, data = planted(20)
    result = sb.decompose(net, data, **PLAIN)
    for name in ("shapley", "stderr", "interval", "values", "tau", "payoffs", "shapley_by_image"):
        assert getattr(result, name).dtype == np.float64, name
    assert np.array_equal(result.shapley, result.shapley_by_image.mean(axis=0))
    assert abs(result.efficiency_gap) < 1e-12


def test_a_planted_share_of_wrong_labels_is_the_accuracy() -> None:
    net, x = linear(), pixels(40)
    labels = labels_of(net, x, wrong=0.5)
    with torch.no_grad():
        right = float((net(x).argmax(1) == labels).double().mean())
    result = sb.decompose(net, (x, labels), **PLAIN)
    assert result.accuracy is not None
    assert float(result.accuracy) == pytest.approx(right, abs=1e-12)
    assert 0.5 < right < 0.8
