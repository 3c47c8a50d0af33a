"""`spectrobe compare RUN_A RUN_B`."""

from __future__ import annotations

from typing import Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.terminal import Terminal
from spectrobe.errors import InputError


def command(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="Run folder of the model to beat.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Run folder of the other model, on the same images.")],
    fail_if_worse: Annotated[
        bool, typer.Option("--fail-if-worse", help="Exit with 1 when B is worse: one-sided at 95%.")
    ] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="score|information", help="What the gate looks at (default score); may be repeated."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write result.json and the figure here. [default: nothing]")
    ] = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """Paired differences between two decompositions of the same images, B minus A."""
    if metric and not fail_if_worse:
        raise InputError("expected --metric together with --fail-if-worse, which it is for")
    from spectrobe import figures
    from spectrobe.cli import show
    from spectrobe.cli.outcome import DONE, FAILED, finish, write_result
    from spectrobe.engine.store import json_text
    from spectrobe.studies.compare import compare
    from spectrobe.studies.runs import load_decomposition

    a, b = load_decomposition(run_a), load_decomposition(run_b)
    found = compare(a, b)
    p_values = found.p_worse(metric or ["score"]) if fail_if_worse else {}
    worse = found.worse(list(p_values)) if p_values else {}
    content = {**found.to_dict(), "run_a": run_a, "run_b": run_b, "p_worse": p_values, "worse": list(worse)}
    parts = [*show.comparison(found, a, b), *_verdict(p_values, worse)]
    terminal, code = Terminal(quiet, json), DONE
    if out is not None:
        write_result(out, content)
        code = finish(terminal, out, "profile", lambda: figures.profile([a, b]), parts)
    elif json:
        terminal.give(json_text(content))
    else:
        terminal.show(*parts)
    return FAILED if worse else code


def _verdict(p_values: dict[str, float], worse: dict[str, float]) -> list[str]:
    """What the gate found, a line a metric."""
    adjusted = ", Holm-adjusted" if len(p_values) > 1 else ""
    found = {metric: "worse" if metric in worse else "not shown to be worse" for metric in p_values}
    return [
        f"gate: {metric} of B is {found[metric]} (one-sided p = {p:.3g}{adjusted})" for metric, p in p_values.items()
    ]
