"""`spectrobe show RUN`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.terminal import Terminal
from spectrobe.errors import InputError

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder of a decomposition.")],
    value: Annotated[
        str | None, typer.Option(help="Another value, from the stored table: list values.", show_default="the run's")
    ] = None,
    by_class: Annotated[bool, typer.Option("--by-class", help="The profile of each class too.")] = False,
    unusual: Annotated[int, typer.Option(metavar="N", help="The N images with the most unusual profiles too.")] = 0,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """A finished run once more; of decompose also other values, classes, unusual images. No model is needed."""
    from spectrobe.cli import show
    from spectrobe.cli.outcome import DONE
    from spectrobe.engine.store import RunFolder, json_text
    from spectrobe.studies.decompose.result import DecomposeResult
    from spectrobe.studies.decompose.wording import sentence
    from spectrobe.studies.runs import load

    terminal, result = Terminal(quiet, json), load(run)
    if not isinstance(result, DecomposeResult):
        if value is not None or by_class or unusual:
            raise InputError(f"expected --value, --by-class and --unusual with a run of decompose, got {run}")
        terminal.show(result.summary())
        if json:
            terminal.give(RunFolder(run).read_bytes("result.json").decode())
        return DONE
    if value is not None and value != result.value:
        result = result.with_value(value)
    parts = [*show.decomposition([result], terminal.out), sentence(result)]
    content = result.to_dict()
    if by_class:
        _by_class(result, parts, content)
    if unusual:
        _unusual(result, unusual, parts, content)
    if json:
        terminal.give(json_text(content))
    else:
        terminal.show(*parts)
    return DONE


def _by_class(result: DecomposeResult, parts: list[Any], content: dict[str, Any]) -> None:
    from spectrobe.cli import show
    from spectrobe.studies.decompose.breakdown import class_profiles

    found = class_profiles(result)
    which = "predicted class (there are no labels)" if found.predicted else "class"
    said = f"Shapley values by {which}, {result.unit}; temperatures fitted on all images"
    parts += ["", said, show.classes(found)]
    if found.alone:
        parts.append(f"left out, one image each: {len(found.alone)} classes")
    content["classes"] = vars(found)


def _unusual(result: DecomposeResult, n: int, parts: list[Any], content: dict[str, Any]) -> None:
    from spectrobe.cli import show
    from spectrobe.studies.decompose.breakdown import unusual_images

    found = unusual_images(result, n)
    parts += [
        "",
        f"images with the most unusual profiles ({result.unit})",
        show.unusual(found, result.settings.labelled),
    ]
    content["unusual"] = [vars(image) for image in found]
