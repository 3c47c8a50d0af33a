"""`spectrobe relate RUN...`."""

from __future__ import annotations

from typing import Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal

WIDTH_OF_FILES = 180  # columns: its tables are wide, and no terminal limits them
_TABLES = "Tables of your own (CSV, a row a model)"


def command(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Run folders of decompose and robustness, or folders of such folders."),
    ],
    snr: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="SNR runs, for surviving-information under the same perturbations."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Everything also without these models or recipes, such as 'at-*'."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Try these scores (and clean accuracy) alone.", show_default="all"),
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Show these measured robustnesses.", show_default="all")
    ] = None,
    score: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Show these scores.", show_default="all")
    ] = None,
    value: Annotated[
        str, typer.Option(metavar="V[,V]", help="Values under which scores are computed: list values.")
    ] = "usable-information,log-likelihood,accuracy",
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    against: Annotated[
        str | None, typer.Option(metavar="FILE", help="Measured robustness.", rich_help_panel=_TABLES)
    ] = None,
    scores: Annotated[str | None, typer.Option(metavar="FILE", help="More scores.", rich_help_panel=_TABLES)] = None,
    model_column: Annotated[str, typer.Option(help="Which column names the model.", rich_help_panel=_TABLES)] = "model",
    value_column: Annotated[
        list[str] | None,
        typer.Option(help="Of --against.", show_default="all with numbers", rich_help_panel=_TABLES),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(help="The recipe: its models are resampled together.", rich_help_panel=_TABLES),
    ] = None,
    out: options.Out = None,
    seed: options.Seed = 0,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """Does a score predict robustness? Every score of some models against every measured robustness of theirs."""
    from spectrobe import figures
    from spectrobe.cli import show_relate
    from spectrobe.cli.outcome import finish
    from spectrobe.studies.relate.study import relate

    terminal = Terminal(quiet, json)
    if not terminal.out.is_terminal:
        terminal.out.width = WIDTH_OF_FILES
    with run_folder(out, "relate", "models") as folder:
        with terminal.progress("measured robustnesses") as progress:
            result = relate(
                runs, snr=snr or None, scores=scores, against=against, model_column=model_column,
                value_column=value_column, group_column=group_column, only=only or (), without=without or (),
                values=[name.strip() for name in value.split(",")], confidence=confidence, seed=seed,
                progress=progress,
            )  # fmt: skip
        shown = show_relate.parts(result, measure or (), score or ())
        chosen = show_relate.matching(result.measures, measure or (), "measure") if measure else None
        names = show_relate.matching(dict.fromkeys(one.score for one in result.relations), score or (), "score")
        one = names[0] if score and len(names) == 1 else None
        result.save(folder)
        return finish(
            terminal, folder, "score-robustness", lambda: figures.score_robustness(result, one, chosen), shown
        )
