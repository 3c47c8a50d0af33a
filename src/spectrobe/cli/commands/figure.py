"""`spectrobe figure NAME RUN... -o fig.pdf`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.terminal import Terminal


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="profile, snr_bias, robustness, ... (list figures).")],
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Finished run folders of the figure's study.")],
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="FILE", help="Ends in .pdf, .svg or .png.", show_default="NAME.pdf"),
    ] = None,
    width: Annotated[
        str, typer.Option(metavar="double|single", help="6.75 inches, or 3.25 with the main panel alone.")
    ] = "double",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """A figure for a paper: vector, one or two columns wide, told apart with every colour vision."""
    from spectrobe.engine.store import json_text
    from spectrobe.figures.publication import check_choices, format_of, publication, write

    path = out or f"{name}.pdf"
    check_choices(name, width)
    format_of(path)
    write(publication(name, results_of(runs), width), path)
    terminal = Terminal(quiet, json)
    if json:
        terminal.give(json_text({"kind": "figure", "file": path}))
    elif not quiet:
        terminal.show(path)
    return 0


def results_of(runs: list[str]) -> list[Any]:
    """The results of run folders; models of one name are told apart as a report tells them, by their weights."""
    from spectrobe.report.material import Material
    from spectrobe.report.runs import open_runs
    from spectrobe.studies.runs import load

    results = [load(run) for run in runs]
    names = [name for result in results if (name := getattr(result, "model_name", ""))]
    if len(set(names)) == len(names):
        return results
    return [run.result for run in Material(open_runs(runs), show_paths=True).runs]
