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
