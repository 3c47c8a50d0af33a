"""Options that the studies which train share, said once."""

from __future__ import annotations

from typing import Annotated

import typer

from spectrobe.errors import InputError

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="Labelled images to train on (list data), or demo: small digits, under 3 minutes."
    ),
]
Test = Annotated[
    str | None, typer.Option(metavar="DATA", help="Images to measure on.", show_default="a fifth of DATA, held out")
]
Seeds = Annotated[int, typer.Option(help="Trainings of each kind.")]
Epochs = Annotated[int | None, typer.Option(help="Of each training.", show_default="12")]
Arch = Annotated[
    str | None, typer.Option(metavar="NAME[:WIDTH]", help="resnet:12, cnn:16, ...", show_default="resnet:24")
]
Batch = Annotated[int | None, typer.Option(help="Images a step.", show_default="128")]
Rate = Annotated[float, typer.Option(help="The highest learning rate (OneCycle).")]
Images = Annotated[int | None, typer.Option(help="How many images to train on.", show_default="all")]
Bands = Annotated[str | None, typer.Option(help="8, radial:8, octaves:5, edges:0,.1,.3,1.", show_default="8")]
ForwardPasses = Annotated[
    int | None, typer.Option(help="Of one reading of the profile, at most.", show_default="10,000")
]
Precision = Annotated[str, typer.Option(help="Of training: auto (what is faster here), float32, bfloat16.")]

BudgetOnly = Annotated[bool, typer.Option("--budget", help="Say what it costs, and end.")]


def numbers(text: str | None, name: str) -> list[float] | None:
    """0,.2,.4 -> [0.0, 0.2, 0.4]; InputError for what is no number."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"expected {name} as numbers with commas between, such as 0,.2,.4, got {text!r}") from None
