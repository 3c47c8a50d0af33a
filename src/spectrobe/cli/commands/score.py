"""`spectrobe score RUN --under SNR_RUN`."""

from __future__ import annotations

from typing import Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.terminal import Terminal
from spectrobe.errors import InputError


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder of decompose.")],
    under: Annotated[str, typer.Option(metavar="SNR_RUN", help="Run folder of snr: what the perturbations leave.")],
    json: options.Json = False,
) -> int:
    """How much of what a model leans on survives the perturbations of an SNR run."""
    from spectrobe.engine.store import json_text
    from spectrobe.studies.runs import load, load_decomposition
    from spectrobe.studies.score_under import score_under, summary
    from spectrobe.studies.snr.result import SnrResult, SnrStudy

    result, snr = load_decomposition(run), load(under)
    if not isinstance(snr, SnrResult | SnrStudy):
        raise InputError(f"{under}: expected a run of snr, got a run of another command")
    scores = score_under(result, snr)
    terminal = Terminal(json=json)
    terminal.show(summary(scores))
    if json:
        content = {"kind": "score-under", "run": run, "under": under}
        terminal.give(json_text(content | {"scores": [score.to_dict() for score in scores.values()]}))
    return 0
