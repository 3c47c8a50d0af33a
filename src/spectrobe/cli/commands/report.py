"""`spectrobe report RUN... -o report.html`."""

from __future__ import annotations

from typing import Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.terminal import Terminal

_PHOTOGRAPHS = "Photographs"


def command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, or folders of them, of any kinds.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="The page to write.")] = "report.html",
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA", help="The images of the runs again; may come several times.", rich_help_panel=_PHOTOGRAPHS
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="A model of the runs again, where it has moved or would run code; may come several times.",
            rich_help_panel=_PHOTOGRAPHS,
        ),
    ] = None,
    photographs: Annotated[
        int, typer.Option(metavar="N", help="How many a run, 0 to 12.", rich_help_panel=_PHOTOGRAPHS)
    ] = 3,
    class_map: options.ClassMap = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    show_paths: Annotated[
        bool, typer.Option("--show-paths", help="Leave paths of this machine in; else only their last parts appear.")
    ] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """One self-contained HTML page from any mix of runs: opens from the disk, asks for nothing from elsewhere."""
    from spectrobe.engine.store import json_text
    from spectrobe.report.build import report

    path = report(
        runs, out, images=images, models=model, photographs=photographs, show_paths=show_paths, class_map=class_map,
        image_column=image_column, label_column=label_column,
    )  # fmt: skip
    terminal = Terminal(quiet, json)
    if json:
        terminal.give(json_text({"kind": "report", "file": path}))
    elif not quiet:
        terminal.show(path)
    return 0
