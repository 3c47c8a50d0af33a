"""Batch sizes: the fastest of those that fit, halved when memory runs out, the caller's own where one is given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.engine import batching
from spectrobe.engine.batching import best_batch_size, check_batch_size, halved, is_out_of_memory, noise
from spectrobe.errors import InputError, SpectrobeError
from tests.toys import PLAIN, SHAPE, Counting, Recorder, exact, linear, pixels, planted

CPU, IMAGE = torch.device("cpu"), torch.Size(SHAPE)


class Machine:
    """A model with a clock of its own: `seconds(n)` for a batch of n."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: object, most: int | None = None) -> None:
        self.seconds, self.now = seconds, 0.0
        self.model = Counting(self._forward, most)
        monkeypatch.setattr(batching, "time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(batching, "CANDIDATES_CPU", (16, 32, 64, 128))

    def _forward(self, x: Tensor) -> Tensor:
        self.now += self.seconds(len(x))
        return x.mean((2, 3))

    def best(self, forward_passes: int = 100_000) -> int:
        return best_batch_size(self.model, IMAGE, CPU, forward_passes)


def test_best_throughput_wins_not_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Machine(monkeypatch, lambda n: 0.001 + 1e-4 * n).best() == 128  # what a batch costs besides weighs less
    assert Machine(monkeypatch, lambda n: 0.001 + (1e-4 if n <= 32 else 2e-4) * n).best() == 32  # the cache
    assert Machine(monkeypatch, lambda n: 1e-4 * n**1.5).best() == 16


def test_search_stays_within_the_run_and_its_share_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Machine(monkeypatch, lambda n: 0.001 + 1e-4 * n)
    assert few.best(forward_passes=40) == 32
    assert max(few.model.batches) == 32
    assert Machine(monkeypatch, lambda n: 0.01).best(forward_passes=5) == 5
    slow = Machine(monkeypatch, lambda n: 0.1 * n)  # 1.6 s for the smallest batch
    assert slow.best(forward_passes=1000) == 16
    assert slow.now < 0.06 * 0.1 * 1000  # of the 100 s that the run takes


@pytest.mark.parametrize(("most", "expected"), [(40, 32), (127, 64), (16, 16), (9, 8), (5, 4), (1, 1)])
def test_sizes_that_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch, most: int, expected: int) -> None:
    assert Machine(monkeypatch, lambda n: 0.001 + 1e-4 * n, most).best() == expected


def test_a_model_that_fits_nowhere_and_other_errors_come_through() -> None:
    with pytest.raises(SpectrobeError, match="memory ran out with one image a batch: use a smaller model"):
        best_batch_size(Counting(linear(), most=0), IMAGE, CPU, 1000)

    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        best_batch_size(broken, IMAGE, CPU, 1000)


def test_what_is_out_of_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 12 bytes"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 12 bytes"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_real_allocation_that_cannot_be_met() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_halving() -> None:
    assert (halved(64), halved(7), halved(2)) == (32, 3, 1)
    with pytest.raises(SpectrobeError, match="one image a batch"):
        halved(1)


def test_batches_to_take_times_with_are_seeded_and_leave_the_generators_alone() -> None:
    before = torch.random.get_rng_state()
    batch = noise(5, IMAGE, CPU)
    assert torch.equal(batch, noise(5, IMAGE, CPU))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert batch.shape == (5, *SHAPE) and batch.is_contiguous(memory_format=torch.channels_last)
    assert 0.25 < float(batch.mean()) < 0.75 and float(batch.std()) > 0.2


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "large", None, "16"])
def test_wrong_batch_sizes(size: object) -> None:
    with pytest.raises(InputError, match=r"expected batch_size 'auto' or a whole number, at least 1, got"):
        check_batch_size(size)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected batch_size"):
        sb.decompose(linear(), (pixels(4), [0, 1, 2, 3]), batch_size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [20, 7, 3])
def test_memory_that_runs_out_halves_the_batches(most: int) -> None:
    """Also in the self-check, whose sample is larger than what fits."""
    net, data = planted(12)
    model, progress = Counting(exact(net), most), Recorder()
    result = sb.decompose(model, data, progress=progress, **PLAIN | {"batch_size": 64})
    fits = 2 ** int(np.log2(most))
    assert f"memory ran out: batches went from 64 to {fits} on the way" in result.warnings
    assert f"memory ran out: batches of {fits} from here on" in progress.notes
    assert max(model.batches) <= most
    undisturbed = sb.decompose(exact(net), data, **PLAIN | {"batch_size": 64})
    assert np.allclose(result.payoffs, undisturbed.payoffs, rtol=0, atol=1e-5)
    assert np.allclose(result.shapley, undisturbed.shapley, rtol=0, atol=1e-5)
    assert not any("memory" in warning for warning in undisturbed.warnings)


def test_memory_that_runs_out_before_the_run_has_begun() -> None:
    """A module is timed in both precisions at the caller's batch size first, which does not fit."""

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.sizes = linear(), []

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 16:
                raise torch.OutOfMemoryError("planted")
            self.sizes.append(len(x))
            return self.net(x)

    net, data = planted(12)
    progress = Recorder()
    module = Small()
    module.net = net
    result = sb.decompose(module, data, progress=progress, **PLAIN | {"batch_size": 64, "precision": "auto"})
    assert any("batches of 16" in note for note in progress.notes)
    assert result.n_images == 12


def test_one_image_that_does_not_fit_is_told() -> None:
    net, data = planted(4)
    with pytest.raises(SpectrobeError, match="memory ran out with one image a batch"):
        sb.decompose(Counting(net, most=0), data, **PLAIN)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_callers_batch_size_is_kept(size: int) -> None:
    net, data = planted(10)
    model = Counting(net)
    sb.decompose(model, data, **PLAIN | {"batch_size": size, "bands": 4})
    played = model.batches[8:]  # after the self-check and the four answers that go into the identity
    assert max(played) == min(size, 10 * 15)
    assert played.count(size) == 150 // size if size > 1 else played == [1] * 151
