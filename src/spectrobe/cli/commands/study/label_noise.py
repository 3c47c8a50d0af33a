"""`spectrobe study label-noise DATA`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spectrobe.cli.commands.study.shared import numbers, study_command


def _own(
    rates: Annotated[
        str | None, typer.Option(metavar="R[,R]", help="Of label noise, 0 among them.", show_default="0,.2,.4,.6,.8")
    ] = None,
    kind: Annotated[str, typer.Option(help="symmetric (any other class) or class-pair (the next).")] = "symmetric",
    value: Annotated[str, typer.Option(help="What is shared out: list values.")] = "usable-information",
    absence: Annotated[str, typer.Option(help="mean or zero.")] = "mean",
    forward_passes: Annotated[
        int | None, typer.Option(help="Of one reading of the profile, at most.", show_default="10,000")
    ] = None,
) -> dict[str, Any]:
    """How wrong labels move what a model relies on: its profile at every epoch, for several rates of label noise."""
    return {
        "rates": numbers(rates, "rates"), "kind": kind, "value": value, "absence": absence,
        "forward_passes": forward_passes,
    }  # fmt: skip


command = study_command("label_noise", "label_noise", _own)
