"""What `spectrobe study NAME DATA` is for every study that trains: arguments, options, the call, the ending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.signatures import parameters, taken, with_parameters
from spectrobe.cli.terminal import Terminal
from spectrobe.errors import InputError


def _data(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="Labelled images to train on (list data), or demo: small digits, under 3 minutes."
        ),
    ],
    test: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Images to measure on.", show_default="a fifth of DATA, held out"),
    ] = None,
) -> None:
    """What comes before the options of one study."""


def _training(
    seeds: Annotated[int, typer.Option(help="Trainings of each kind.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Of each training.", show_default="12")] = None,
    arch: Annotated[
        str | None, typer.Option(metavar="NAME[:WIDTH]", help="resnet:12, cnn:16, ...", show_default="resnet:24")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", "--batch-size", help="Images a step.", show_default="128")
    ] = None,
    rate: Annotated[
        float, typer.Option("--learning-rate", "--rate", help="The highest learning rate (OneCycle).")
    ] = 0.1,
    images: Annotated[int | None, typer.Option(help="How many images to train on.", show_default="all")] = None,
    size: options.Size = None,
    bands: Annotated[
        str | None, typer.Option(help="8, radial:8, octaves:5, edges:0,.1,.3,1.", show_default="8")
    ] = None,
    budget: Annotated[bool, typer.Option("--budget", help="Say what it costs, and end.")] = False,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    precision: Annotated[
        str, typer.Option(help="Of training: auto (what is faster here), float32, bfloat16.")
    ] = "auto",
    class_map: options.ClassMap = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    out: options.Out = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """What comes after them."""


def study_command(name: str, figure: str, own: Callable[..., dict[str, Any]]) -> Callable[..., int]:
    """The command of a study: the arguments and options of all studies, and those of `own`, whose text it is.

    name: of the study in `spectrobe`, such as label_noise.   figure: in `spectrobe.figures`.
    own: its options -> keywords of the study.
    """
    words = name.replace("_", "-")

    def run(**given: Any) -> int:
        import spectrobe
        from spectrobe import figures
        from spectrobe.cli.outcome import finish

        terminal, out, data = Terminal(given.pop("quiet"), given.pop("json")), given.pop("out"), given.pop("data")
        asked = {
            **own(**taken(given, [one.name for one in parameters(own)])), "for_data": taken(given, options.FOR_DATA),
            "batch_size": given.pop("batch"), "budget_only": given.pop("budget"),
        }  # fmt: skip
        with run_folder(out, f"study-{words}", data) as folder:
            with terminal.progress("image passes") as progress:
                result = getattr(spectrobe, name)(data, **given, **asked, out=folder, progress=progress)
            if result is None:
                return 0
            draw = getattr(figures, figure)
            return finish(terminal, folder, figure.replace("_", "-"), lambda: draw(result), [result.summary()])

    return with_parameters(run, [*parameters(_data), *parameters(own), *parameters(_training)], own.__doc__)


def numbers(text: str | None, name: str) -> list[float] | None:
    """0,.2,.4 -> [0.0, 0.2, 0.4]; InputError for what is no number."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"expected {name} as numbers with commas between, such as 0,.2,.4, got {text!r}") from None
