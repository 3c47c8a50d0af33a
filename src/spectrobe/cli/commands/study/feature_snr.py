"""`spectrobe study feature-snr DATA`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spectrobe.cli.commands.study.shared import study_command
from spectrobe.errors import InputError


def _own(
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="A-B,C-D,...", help="Groups of bands to train on, lowest first.", show_default="low, middle, high"
        ),
    ] = None,
    perturb: Annotated[
        str,
        typer.Option(
            metavar="ITEM[,ITEM]",
            help="Tried on the networks, without attacks (list perturbations).",
            show_default="white noise, and noise within each group",
        ),
    ] = "",
    inject: Annotated[
        str | None,
        typer.Option(metavar="DB|none", help="SNR of the noise injected in the condition apart.", show_default="10"),
    ] = None,
    test_images: Annotated[
        int | None, typer.Option(help="Held-out images to measure on, at most.", show_default="2,000")
    ] = None,
) -> dict[str, Any]:
    """Are networks that were trained on bands of a higher SNR under a perturbation more robust to it?"""
    return {"groups": groups, "perturbations": perturb, "test_images": test_images, **_injected(inject)}


def _injected(text: str | None) -> dict[str, Any]:
    """Whether, and of which SNR, noise is injected."""
    if text is not None and text.lower() == "none":
        return {"inject": False}
    try:
        return {"inject_db": None if text is None else float(text)}
    except ValueError:
        raise InputError(f"expected --inject as an SNR in dB, such as 10, or none, got {text!r}") from None


command = study_command("feature_snr", "snr_training", _own)
