"""The metric: numbers of the whole data set whatever batches and processes, and torchmetrics' own ways with it."""

from __future__ import annotations

import copy
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import nn
from torchmetrics import MetricCollection

import spectrobe as sb
from spectrobe.errors import InputError, ModelOutputError
from spectrobe.integrations import SpectralImportance
from tests.integrations.nets import Net, generators, modes
from tests.toys import Counting, planted

NET, (X, Y) = planted(64)


def shown(batches: list[list[int]], net: nn.Module = NET, **settings: object) -> SpectralImportance:
    metric = SpectralImportance(bands=3, **settings)
    for batch in batches:
        metric.update(net, X[batch], Y[batch])
    return metric


def halves(n: int, parts: int) -> list[list[int]]:
    return [list(range(n))[i::parts] for i in range(parts)]


@pytest.mark.parametrize("design", ["exact", "permutation"])
def test_batches_add_up_to_the_whole(design: str) -> None:
    one, many = shown(halves(64, 1), design=design).compute(), shown(halves(64, 5), design=design).compute()
    assert set(one) == set(many)
    for name in set(one) - {"forward_passes"}:
        assert torch.allclose(one[name], many[name], atol=1e-6, rtol=0), name
    assert one["n_images"] == 64 and one["shapley"].shape == (3,) and one["interval"].shape == (3, 2)


def test_the_numbers_of_decompose() -> None:
    found = shown(halves(64, 3)).compute()
    wanted = sb.decompose(
        NET, (X, Y), bands=3, value="usable-information", absence="zero", design="exact", precision="float32"
    )
    assert np.allclose(found["shapley"], wanted.shapley, atol=1e-5)
    assert np.allclose(found["stderr"], wanted.stderr, atol=1e-5)
    assert found["score"] == pytest.approx(wanted.score.value, abs=1e-4)
    assert found["information"] == pytest.approx(wanted.information.value, abs=1e-5)
    assert wanted.accuracy is not None and found["accuracy"] == pytest.approx(wanted.accuracy.value)


def test_an_absence_image_of_ones_own() -> None:
    mean = X.mean(0)
    found = SpectralImportance(bands=3, absence=mean)
    found.update(NET, X, Y)
    wanted = sb.decompose(NET, (X, Y), bands=3, absence="mean", value="usable-information", precision="float32")
    assert np.allclose(found.compute()["shapley"], wanted.shapley, atol=1e-5)


def test_repeated_images_count_once() -> None:
    metric = shown([list(range(64)), [3, 4, 5]])
    assert metric.reading().repeated == 3 and metric.compute()["n_images"] == 64
    assert torch.equal(metric.compute()["shapley"], shown([list(range(64))]).compute()["shapley"])


def test_states_merge() -> None:
    left, right = shown([list(range(20))]), shown([list(range(20, 64))])
    left.merge_state(right)
    whole = shown([list(range(64))]).compute()
    merged = left.compute()
    assert torch.allclose(merged["shapley"], whole["shapley"], atol=1e-6)
    assert merged["forward_passes"] == whole["forward_passes"] + 1  # each played the absence image


def test_forward_gives_the_batch_and_keeps_the_whole() -> None:
    metric = SpectralImportance(bands=3)
    batch = metric(NET, X[:30], Y[:30])
    metric(NET, X[30:], Y[30:])
    assert torch.equal(batch["shapley"], shown([list(range(30))]).compute()["shapley"])
    assert torch.allclose(metric.compute()["shapley"], shown([list(range(64))]).compute()["shapley"], atol=1e-6)
    metric.reset()
    with pytest.raises(InputError, match="expected images, got none"):
        metric.table()


def test_it_can_be_copied_pickled_and_collected() -> None:
    metric = shown([list(range(40))])
    for other in (copy.deepcopy(metric), metric.clone(), pickle.loads(pickle.dumps(metric))):
        assert torch.equal(other.compute()["shapley"], metric.compute()["shapley"])
    collection = MetricCollection({"spectral": SpectralImportance(bands=3)})
    collection.update(NET, X[:40], Y[:40])
    assert torch.equal(collection.compute()["shapley"], metric.compute()["shapley"])


def test_a_model_that_holds_the_metric_can_be_measured_by_it() -> None:
    class Trained(Net):
        def __init__(self) -> None:
            super().__init__()
            self.metric = SpectralImportance(bands=3)

    net = Trained().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    kept = modes(net), generators(), net.calls
    net.metric.update(net, X, Y)
    assert (modes(net), generators(), net.calls) == kept
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.metric.compute()["n_images"] == 64
    assert not any(name.startswith("metric.") for name, _ in net.named_parameters())


def test_training_is_the_same_bit_for_bit() -> None:
    """Updated between backward and step, in a loop that draws random numbers, with batch norm, dropout and momentum."""
    ends = []
    for watched in (False, True):
        random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
        net, metric = Net(noisy=True).train(), SpectralImportance(bands=3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        for batch in torch.randperm(64).split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(X[batch]), Y[batch]).backward()
            if watched:
                metric.update(net, X, Y)
            optimizer.step()
        gradients = {name: part.grad for name, part in net.named_parameters()}
        ends.append((net, gradients, optimizer.state_dict()["state"], (generators(), modes(net), net.calls)))
    (plain, gradients, moments, rest), (net, others, further, same) = ends
    assert rest == same
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in plain.state_dict().items())
    assert all((a is None and others[n] is None) or torch.equal(a, others[n]) for n, a in gradients.items())
    assert all(torch.equal(kept["momentum_buffer"], further[i]["momentum_buffer"]) for i, kept in moments.items())


def test_a_budget_cuts_batches_to_the_same_images_whatever_their_order() -> None:
    counting = Counting(NET)
    metric = SpectralImportance(bands=3, forward_passes=100)
    metric.update(counting, X, Y)
    assert counting.images == 14 * 7 + 1 == metric.compute()["forward_passes"]
    assert metric.compute()["n_images"] == 14 and metric.compute()["left_out"] == 50
    again = SpectralImportance(bands=3, forward_passes=100)
    again.update(NET, X.flip(0), Y.flip(0))
    assert torch.equal(metric.compute()["shapley"], again.compute()["shapley"])
    with pytest.raises(InputError, match=r"at least 15 forward passes \(2 images\), got 14"):
        SpectralImportance(bands=3, forward_passes=14)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="absence 'zero' or one image"):
        SpectralImportance(absence="mean")
    with pytest.raises(InputError, match="expected a value out of"):
        SpectralImportance(value="surprise")
    metric = SpectralImportance(bands=3)
    with pytest.raises(InputError, match=r"pixels in \[0, 1\]"):
        metric.update(NET, X - 1, Y)
    with pytest.raises(ModelOutputError, match="expected one tensor of logits"):
        metric.update(lambda x: (NET(x), NET(x)), X, Y)
    metric.update(NET, X[:0], Y[:0])  # an empty batch is none
    metric.update(NET, X[:1], Y[:1])
    with pytest.raises(InputError, match="at least 2 different images, got 1"):
        metric.compute()


SHARES: dict[str, tuple[str, list[list[int]]]] = {
    "exact": ("exact", halves(64, 2)),
    "permutation": ("permutation", halves(64, 2)),
    "unequal": ("exact", [list(range(11)), list(range(11, 64))]),
    "repeated to fill up": ("exact", [list(range(33)), [*range(33, 64), 0, 1]]),
    "one has none": ("exact", [list(range(64)), []]),
}


def _process(rank: int, folder: Path) -> None:
    """What one of two processes does, in all cases one after the other."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    kept = {}
    for case, (design, shares) in SHARES.items():
        metric = SpectralImportance(bands=3, design=design)
        for batch in (shares[rank][:7], shares[rank][7:]):
            if batch:
                metric.update(NET, X[batch], Y[batch])
        found = metric.compute()
        kept[case] = {"found": found, "own": sum(len(part) for part in metric.label)}
    torch.save(kept, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    """What two processes of one gloo group found, by case. Forked: starting anew would import for half a minute."""
    folder = tmp_path_factory.mktemp("processes")
    mp.start_processes(_process, args=(folder,), nprocs=2, start_method="fork")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", SHARES)
def test_two_processes_find_what_one_finds(case: str, two_processes: list[dict[str, dict[str, Any]]]) -> None:
    design, shares = SHARES[case]
    one = shown([list(range(64))], design=design).compute()
    both = [process[case] for process in two_processes]
    for rank, process in enumerate(both):
        for name in ("shapley", "stderr", "interval", "score", "score_stderr", "information", "accuracy", "n_images"):
            assert torch.allclose(process["found"][name], one[name], atol=1e-6, rtol=0), name
        assert process["own"] == len(shares[rank])  # afterwards each has its own state again
    assert all(torch.equal(both[0]["found"][name], both[1]["found"][name]) for name in one)
