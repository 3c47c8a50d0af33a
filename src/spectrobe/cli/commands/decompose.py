"""`spectrobe decompose MODEL DATA`."""

from __future__ import annotations

from typing import Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal


def command(
    model: options.ModelArgument,
    data: options.DataArgument,
    bands: Annotated[str, typer.Option(help="8, radial:8, octaves:5, edges:0,.1,.3,1.")] = "8",
    value: Annotated[str, typer.Option(help="What is shared out (list values).")] = "usable-information",
    absence: Annotated[str, typer.Option(help="What stands in for absent bands (list absences).")] = "mean",
    design: Annotated[str, typer.Option(help="exact or permutation (list designs).")] = "exact",
    images: Annotated[int | None, typer.Option(help="How many images to take.", show_default="all")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Half-width of the score's interval to reach; images are taken as needed.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16.")] = "auto",
    batch_size: Annotated[str, typer.Option(help="auto or a number.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Allow 13 to 16 bands in the exact design.")] = False,
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
    """How much information each frequency band gives MODEL on the images of DATA."""
    from spectrobe.cli.decomposing import keep_figure, opened, show_result
    from spectrobe.studies.decompose import check_choices, decompose

    terminal = Terminal(quiet, json)
    settings = {
        "bands": bands, "value": value, "absence": absence, "design": design, "images": images, "tolerance": tolerance,
        "confidence": confidence, "precision": precision, "batch_size": options.number_or_auto(batch_size),
        "on_bad_image": on_bad_image, "workers": workers, "force": force,
    }  # fmt: skip
    check_choices(**settings)  # before the model is opened, which may take minutes
    with run_folder(out, "decompose", model) as folder:
        with terminal.progress() as progress:
            classifier, photographs, place = opened(
                model, data, device,
                {"checkpoint": checkpoint, "num_classes": num_classes, "mean": mean, "std": std, "size": size,
                 "crop": crop, "interpolation": interpolation, "allow_pickle": allow_pickle},
                {"class_map": class_map, "image_column": image_column, "label_column": label_column},
            )  # fmt: skip
            result = decompose(
                classifier, photographs, **settings, seed=seed, device=place, out=folder, progress=progress
            )
        ...
