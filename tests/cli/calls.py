"""Calls of the command line, and what a user brings along: tiny models and images."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

MODELS = '''
import torch

def colour(x):
    """Three classes, told apart by mean colour: band 0 alone."""
    return 40 * x.mean((2, 3))


def blunt(x):
    """The same, less sure of itself."""
    return 4 * x.mean((2, 3))


def confused(x):
    """The same, but takes one colour for another where the first pixel is bright."""
    swapped = torch.where(x[:, :1, :1, :1] > 0.3, x.roll(1, 1), x)
    return 4 * swapped.mean((2, 3))


def constant(x):
    return torch.zeros(len(x), 3)


def nan(x):
    return torch.full((len(x), 3), torch.nan)


def nan_without_colour(x):
    """NaN where band 0 is absent, which intact images never are."""
    out = 40 * x.mean((2, 3))
    out[x.mean((1, 2, 3)) < 0.2] = torch.nan
    return out


def one_logit(x):
    return x.mean((1, 2, 3))[:, None]


def boxes(x):
    return {"boxes": torch.zeros(len(x), 4), "logits": None}


def raises(x):
    raise KeyError("no such layer")


def needs_an_argument(depth, width):
    return colour


def probabilities(x):
    return colour(x).softmax(1)


def sigmoids(x):
    return (colour(x) - 8).sigmoid()


def another_order(x):
    return colour(x).roll(1, 1)


def batch_statistics(x):
    return colour(x) - colour(x).mean(0)


def dropout(x):
    return colour(x) + 3 * torch.randn(len(x), 3)


def detections(x):
    return [{"boxes": torch.zeros(4, 4), "scores": torch.zeros(4)} for _ in x]


def dense(x):
    return x


def indices(x):
    return colour(x).argmax(1)


def nothing(x):
    return None


def chatty(x):
    print("from inside the model")
    return colour(x)


def imagenet(x):
    """Three of ImageNet's 1,000 classes, told apart by mean colour."""
    out = torch.full((len(x), 1000), -50.0)
    out[:, [0, 217, 701]] = colour(x)
    return out


class Net(torch.nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.head = torch.nn.Linear(3, num_classes)

    def forward(self, x):
        return self.head(x.mean((2, 3)))


class InTraining(torch.nn.Module):
    """Left in training mode, as a module is made."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)

    def forward(self, x):
        return 40 * self.norm(x).mean((2, 3))


text = "not a model"
'''


@dataclass(frozen=True)
class Outcome:
    """What a call printed and returned."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, object]:
        """Standard output as JSON."""
        return dict(json.loads(self.out))


Cli = Callable[..., Outcome]


def assert_refused(outcome: Outcome, parts: list[str], folder: Path) -> None:
    """Exit code 2, one line on standard error that holds every part, nothing on standard output or in `folder`."""
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    *before, last = outcome.err.splitlines()
    assert last.startswith("spectrobe: ") and not before, outcome.err
    missing = [part for part in parts if part not in last]
    assert not missing, f"{missing} not in {last}"
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert not list(folder.glob("runs/*"))


def photo(index: int, number: int, size: int = 16) -> np.ndarray:
    """A noisy uint8 image (size, size, 3) whose colour says which class it is; every fourth is hard to tell."""
    draws = np.random.default_rng([index, number, size])
    image = draws.integers(0, 120, (size, size, 3))
    image[..., index] += 30 if number % 4 else 5
    return image.astype(np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
