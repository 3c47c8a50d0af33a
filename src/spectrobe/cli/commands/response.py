"""`spectrobe response MODEL DATA`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal, say
from spectrobe.errors import InputError

_HEAT_MAP = "Fourier heat map (off unless a norm is given)"


def command(
    model: options.ModelArgument,
    data: options.DataArgument,
    perturb: Annotated[
        str,
        typer.Option(
            metavar="ITEM[,ITEM]",
            help="Does response x spectrum predict what these cost? imagenet-c:3, imagenet-c:1,imagenet-c:5, ... "
            "(list perturbations).",
        ),
    ] = "",
    bands: Annotated[
        str | None, typer.Option(help="octaves:7, 8, radial:8, edges:0,.1,.3,1.", show_default="octaves")
    ] = None,
    powers: Annotated[
        str | None,
        typer.Option(
            metavar="P[,P]", help="Mean squares of the band noise.", show_default="0.0004,0.0016,0.0064,0.0256"
        ),
    ] = None,
    under: Annotated[
        str, typer.Option(metavar="ITEM|none", help="What else cut-off images are measured under.")
    ] = "gaussian_noise:3",
    absence: Annotated[
        str, typer.Option(metavar="mean|zero", help="What stands in for frequencies that are cut off.")
    ] = "mean",
    heat_map: Annotated[
        float | None,
        typer.Option(metavar="NORM", help="L2 norm after clipping, in pixels of [0, 1].", rich_help_panel=_HEAT_MAP),
    ] = None,
    heat_map_step: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Every N-th frequency.", show_default="at most 150 vectors", rich_help_panel=_HEAT_MAP
        ),
    ] = None,
    heat_map_images: Annotated[int, typer.Option(help="How many images, at most.", rich_help_panel=_HEAT_MAP)] = 100,
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="A decompose run, whose profile is drawn beside.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="How many images to take.", show_default="all")] = None,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    batch_size: Annotated[str, typer.Option(help="auto or a number.")] = "auto",
    workers: options.Workers = 0,
    class_map: options.ClassMap = None,
    on_bad_image: options.OnBadImage = "error",
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    checkpoint: options.Checkpoint = None,
    num_classes: options.NumClasses = None,
    mean: options.Mean = None,
    std: options.Std = None,
    size: options.Size = None,
    crop: options.Crop = None,
    interpolation: options.Interpolation = None,
    allow_pickle: options.AllowPickle = False,
    out: options.Out = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """How MODEL responds to each spatial frequency, and whether that predicts what perturbations cost it."""
    from spectrobe import figures
    from spectrobe.cli import show_response
    from spectrobe.cli.opening import open_both
    from spectrobe.cli.outcome import FAILED, finish
    from spectrobe.studies.response.settings import DEFAULT_POWERS
    from spectrobe.studies.response.study import check_choices, response
    from spectrobe.studies.runs import load_decomposition

    asked: dict[str, Any] = {
        "bands": bands, "powers": DEFAULT_POWERS if powers is None else _numbers(powers),
        "under": None if under == "none" else under, "absence": absence, "heat_map": heat_map,
        "heat_map_step": heat_map_step, "heat_map_images": heat_map_images, "images": images,
        "confidence": confidence, "batch_size": options.number_or_auto(batch_size), "on_bad_image": on_bad_image,
    }  # fmt: skip
    perturbations = perturb or ()
    check_choices(perturbations, **asked)
    profile = None if run is None else load_decomposition(run)
    terminal = Terminal(quiet, json)
    with run_folder(out, "response", model) as folder:
        with terminal.progress() as progress:
            opened, photographs, place = open_both(
                model,
                data,
                device,
                {"checkpoint": checkpoint, "num_classes": num_classes, "mean": mean, "std": std, "size": size,
                 "crop": crop, "interpolation": interpolation, "allow_pickle": allow_pickle},
                {"class_map": class_map, "image_column": image_column, "label_column": label_column},
            )  # fmt: skip
            result = response(
                opened, photographs, perturbations, seed=seed, workers=workers, device=place, out=folder,
                progress=progress, **asked,
            )  # fmt: skip
        figure = "response" if profile is None else "response-with-profile"
        shown = show_response.parts(result)
        code = finish(terminal, folder, figure, lambda: figures.response(result, profile=profile), shown)
        if not result.failed:
            return code
        say(f"could not be measured: {', '.join(result.failed)}")
        return FAILED


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"expected powers as numbers, such as 0.0016,0.0064, got {text!r}") from None
