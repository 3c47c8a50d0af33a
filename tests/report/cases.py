"""Runs whose answer is planted, and small ones of every kind, made once a session."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import spectrobe as sb

SIDE, N_IMAGES = 16, 60
PLAIN: dict[str, Any] = {
    "bands": 4, "value": "usable-information", "absence": "mean", "design": "exact", "precision": "float32",
    "batch_size": 64,
}  # fmt: skip


def fastest_waves() -> Tensor:
    """Three waves of 1/2 cycle/pixel, (3, H, W): diagonal, upright, level."""
    alternating = (-1.0) ** torch.arange(SIDE)
    down = alternating[:, None].expand(SIDE, SIDE)
    return torch.stack([down * down.T, down, down.T])


def coarse(x: Tensor) -> Tensor:
    """Sees mean colour alone: band 0."""
    return 300 * x.mean((2, 3))


def fine(x: Tensor) -> Tensor:
    """Sees the fastest waves alone: the last band."""
    return 150 * torch.einsum("nhw,khw->nk", x.mean(1), fastest_waves()) / SIDE**2


def mixed(x: Tensor) -> Tensor:
    """Sees both, about equally."""
    return coarse(x) / 2 + fine(x)


Function = Callable[[Tensor], Tensor]


def labelled(model: Function, n: int) -> tuple[Tensor, Tensor]:
    """The first n of 60 images of noise, with labels drawn from the model's own prediction."""
    draws = torch.Generator().manual_seed(0)
    x = torch.rand(N_IMAGES, 3, SIDE, SIDE, generator=draws)
    shares = model(x).softmax(1)
    y = torch.multinomial(shares, 1, generator=torch.Generator().manual_seed(1))[:, 0]
    return x[:n], y[:n]


def decomposed(model: Function, n: int = N_IMAGES, out: Path | None = None, **changes: Any) -> sb.DecomposeResult:
    """The decomposition of one of these models."""
    return sb.decompose(model, labelled(model, n), **{**PLAIN, "out": out, **changes})


@dataclass(frozen=True)
class Page:
    """What a report shows: its source, the texts of its elements, its tags with their attributes."""

    source: str
    text: str
    tags: tuple[tuple[str, dict[str, str | None]], ...]

    def having(self, **attributes: str) -> list[dict[str, str | None]]:
        """The attributes of every tag that has these values."""
        return [found for _, found in self.tags if attributes.items() <= found.items()]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.texts.append(data)


def read(source: str) -> Page:
    """A page's tags and texts."""
    reader = _Reader()
    reader.feed(source)
    text = re.sub(r"\s+", " ", " ".join(reader.texts))
    return Page(source, text, tuple(reader.tags))


def reported(results: Any, folder: Path, **options: Any) -> Page:
    """The report on some results, without photographs unless asked for."""
    path = sb.report(results, folder / "report.html", **{"photographs": 0, **options})
    return read(Path(path).read_text(encoding="utf-8"))
