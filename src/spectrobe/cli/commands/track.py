"""`spectrobe track CHECKPOINTS... --model MODEL --data DATA`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal, say


def command(
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            metavar="CHECKPOINTS...", help="Files in the order of training, folders, patterns such as 'ckpts/*.pt'."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="What the weights belong to: timm:NAME, python:MODULE:NAME, onnx:{checkpoint}, ..."
        ),
    ],
    data: Annotated[str, typer.Option(metavar="DATA", help="Images that it was not trained on (list data).")],
    bands: Annotated[str, typer.Option(help="8, radial:8, octaves:5, edges:0,.1,.3,1.")] = "8",
    value: Annotated[str, typer.Option(help="What is shared out: list values.")] = "usable-information",
    absence: Annotated[str, typer.Option(help="What stands in for absent bands: list absences.")] = "mean",
    design: Annotated[str, typer.Option(help="exact or permutation: list designs.")] = "exact",
    images: Annotated[int | None, typer.Option(help="How many images to take.", show_default="all")] = None,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    precision: Annotated[str, typer.Option(help="auto, float32, tf32, bfloat16.")] = "auto",
    batch_size: Annotated[str, typer.Option(help="auto or a number.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Allow 13 to 16 bands in the exact design.")] = False,
    workers: options.Workers = 0,
    class_map: options.ClassMap = None,
    on_bad_image: options.OnBadImage = "error",
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
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
    """What a model relied on as it trained: the profile at each of its checkpoints, on the same images."""
    from spectrobe import figures
    from spectrobe.cli import show
    from spectrobe.cli.outcome import FAILED, finish
    from spectrobe.engine.store import RunFolder
    from spectrobe.studies.track.files import find_checkpoints
    from spectrobe.studies.track.study import track

    find_checkpoints(checkpoints)
    for_model: dict[str, Any] = {
        "num_classes": num_classes, "mean": mean, "std": std, "size": size, "crop": crop,
        "interpolation": interpolation, "allow_pickle": allow_pickle,
    }  # fmt: skip
    for_data = {"class_map": class_map, "image_column": image_column, "label_column": label_column}
    settings: dict[str, Any] = {
        "bands": bands, "value": value, "absence": absence, "design": design, "images": images, "force": force,
        "confidence": confidence, "precision": precision, "batch_size": options.number_or_auto(batch_size),
        "on_bad_image": on_bad_image, "seed": seed, "workers": workers,
    }  # fmt: skip
    terminal = Terminal(quiet, json)
    with run_folder(out, "track", model) as folder:
        with terminal.progress() as progress:
            result = track(
                model, data, checkpoints, out=folder, device=device, for_model=for_model, for_data=for_data,
                progress=progress, **settings,
            )  # fmt: skip
        for kind in ("svg", "png"):  # an earlier call may have drawn fewer checkpoints
            RunFolder(folder).remove(f"figures/track.{kind}")
        code = finish(terminal, folder, "track", lambda: figures.track(result), show.tracking(result))
    if not result.failed:
        return code
    total = len(result.names) + len(result.failed)
    say(f"{len(result.failed)} of {total} checkpoints could not be measured: {', '.join(result.failed)}")
    return FAILED
