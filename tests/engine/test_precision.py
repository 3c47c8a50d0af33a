"""bfloat16 is taken where it is faster and does not move the answer, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.engine import batching
from spectrobe.engine import precision as precision_module
from spectrobe.engine.precision import check_precision
from spectrobe.errors import InputError, ModelOutputError
from spectrobe.models.base import Geometry, Model, Precision
from tests.toys import N_CLASSES, PLAIN, Recorder, linear, planted


class Planted(Model):
    """A linear model whose bfloat16 is as fast and as wrong as told, by a clock of its own."""

    name, geometry, n_classes = "planted", Geometry(), N_CLASSES
    precisions = ("float32", "bfloat16")

    def __init__(self, speed: float, change: Callable[[Tensor], Tensor] = lambda logits: logits) -> None:
        """speed: how many times as fast bfloat16 is.   change: what it does to the logits."""
        self.net, self.speed, self.change = linear(), speed, change
        self.now, self.played = 0.0, {"float32": 0, "bfloat16": 0}

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net(pixels).detach()

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name}

    @contextmanager
    def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Callable[[Tensor], Tensor]]:
        def forward(pixels: Tensor) -> Tensor:
            self.now += len(pixels) * (1.0 if precision == "float32" else 1 / self.speed)
            self.played[precision] += len(pixels)
            logits = self.forward(pixels)
            return logits if precision == "float32" else self.change(logits)

        yield forward


@pytest.fixture
def settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, Any], sb.DecomposeResult, list[str]]]:
    """Run a model under precision="auto" and give what run.json says was settled, the result and the notes."""

    def run(model: Model, precision: str = "auto") -> tuple[dict[str, Any], sb.DecomposeResult, list[str]]:
        _, data = planted(24)
        if isinstance(model, Planted):
            monkeypatch.setattr(batching, "time", SimpleNamespace(perf_counter=lambda: model.now))
        progress = Recorder()
        settings = PLAIN | {"precision": precision}
        result = sb.decompose(model, data, out=tmp_path / "run", progress=progress, **settings)
        return json.loads((tmp_path / "run/run.json").read_text())["settled"], result, progress.notes

    return run


def test_fast_and_right_is_taken(settled: Any) -> None:
    model = Planted(2.0, lambda logits: logits + 1e-4 * torch.sin(7 * logits))
    found, result, notes = settled(model)
    assert found["precision"] == "bfloat16"
    assert found["why"].startswith("bfloat16 is 2.00 times as fast here and moves a Shapley value by 0.0")
    assert f"precision bfloat16 ({found['why']}), batches of 32" in notes
    assert model.played["bfloat16"] > result.forward_passes


def test_fast_and_wrong_is_not(settled: Any) -> None:
    model = Planted(2.0, lambda logits: logits + 0.5 * torch.sin(7 * logits))
    found, result, _ = settled(model)
    assert found["precision"] == "float32"
    assert "2.00 times as fast here and moves a Shapley value by" in found["why"]
    expected = sb.decompose(linear(), planted(24)[1], **PLAIN)
    assert result.shapley == pytest.approx(expected.shapley, abs=1e-6)


def test_fast_and_broken_is_not(settled: Any) -> None:
    found, _, _ = settled(Planted(2.0, lambda logits: logits * float("nan")))
    assert found["precision"] == "float32"
    assert found["why"] == "bfloat16 is 2.00 times as fast here, and its logits are not finite"


@pytest.mark.parametrize(("speed", "said"), [(1.05, "1.05"), (0.5, "0.50")])
def test_not_faster_is_not_even_tried_on_images(settled: Any, speed: float, said: str) -> None:
    model = Planted(speed)
    found, _, _ = settled(model)
    assert (found["precision"], found["why"]) == ("float32", f"bfloat16 is {said} times as fast here")
    assert model.played["bfloat16"] == 2 + 3 * 2 * 32  # one image to see whether there is hope, then batches


def test_hopelessly_slow_costs_two_images(settled: Any) -> None:
    model = Planted(0.01)
    found, _, _ = settled(model)
    assert found["why"] == "bfloat16 is 0.01 times as fast here"
    assert model.played["bfloat16"] == 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken_unseen(settled: Any, precision: str) -> None:
    model = Planted(0.01, lambda logits: logits.flip(1))
    found, _, _ = settled(model, precision)
    assert (found["precision"], found["why"]) == (precision, "asked for")
    assert (model.played["bfloat16"] > 0) == (precision == "bfloat16")


def test_models_with_one_precision_keep_it(settled: Any) -> None:
    model = Planted(2.0)
    model.precisions = ("float32",)
    assert settled(model)[0]["why"] == "this kind of model has a precision of its own"
    net, data = planted(6)
    with pytest.raises(InputError, match="expected precision float32, got bfloat16"):
        sb.decompose(lambda x: net(x), data, **PLAIN | {"precision": "bfloat16"})


def test_nan_in_float32_is_the_models_own(settled: Any) -> None:
    """Seen on coalition images in the guard already: intact images pass the self-check."""

    class Picky(Planted):
        def forward(self, pixels: Tensor) -> Tensor:
            logits = super().forward(pixels).clone()
            logits[pixels.std((1, 2, 3)) < 0.05] = float("nan")  # images without their low frequencies
            return logits

    with pytest.raises(ModelOutputError, match="NaN or infinite logits for image"):
        settled(Picky(2.0))


def test_a_module_in_bfloat16_stays_near(tmp_path: Path) -> None:
    net, data = planted(40)
    one = sb.decompose(net, data, **PLAIN)
    other = sb.decompose(net, data, **PLAIN | {"precision": "bfloat16"})
    assert one.shapley != pytest.approx(other.shapley, abs=1e-9)
    assert one.shapley == pytest.approx(other.shapley, abs=0.02)
    assert next(net.parameters()).dtype == torch.float32


@pytest.mark.parametrize("precision", ["float16", "bf16", "", None])
def test_unknown_precisions(precision: object) -> None:
    with pytest.raises(InputError, match="expected precision 'auto', 'float32', 'tf32' or 'bfloat16', got"):
        check_precision(precision)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gains", "shifts", "taken", "why"),
    [
        ({"tf32": 2.0, "bfloat16": 3.0}, {"tf32": 0.0, "bfloat16": 0.0}, "bfloat16", "bfloat16 is 3.00 times"),
        # too far off in the fastest: the next one is looked at, and both are told
        ({"tf32": 2.0, "bfloat16": 3.0}, {"tf32": 0.001, "bfloat16": 1.0}, "tf32", "bfloat16 is 3.00 times as fast"),
        ({"tf32": 1.0, "bfloat16": 3.0}, {"tf32": 0.0, "bfloat16": 1.0}, "float32", "tf32 is 1.00 times as fast here"),
        ({"tf32": 2.0, "bfloat16": 1.5}, {"tf32": 0.0, "bfloat16": 0.0}, "tf32", "tf32 is 2.00 times as fast here"),
    ],
)
def test_on_cuda_the_fastest_that_does_not_move_the_answer(
    gains: dict[str, float], shifts: dict[str, float], taken: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Named(Planted):
        precisions = ("float32", "tf32", "bfloat16")

        @contextmanager
        def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Any]:
            yield precision

    spread = np.linspace(-1, 1, 40)[:, None] * np.ones((1, 3))  # standard error 0.1 at 36 images
    monkeypatch.setattr(precision_module, "_gain", lambda model, device, batch, name: gains[name])
    monkeypatch.setattr(precision_module, "noise", lambda *_: None)
    found = precision_module.choose_precision(
        "auto",
        Named(1.0),
        torch.device("cuda"),
        32,
        torch.Size((3, 8, 8)),
        lambda name: spread + shifts.get(name, 0),
        36,
    )
    assert found.precision == taken and why in found.why
