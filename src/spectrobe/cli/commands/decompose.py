"""`spectrobe decompose MODEL DATA`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal


def command(
    model: options.ModelArgument,
    data: options.DataArgument,
    bands: Annotated[str, typer.Option(help="8, radial:8, octaves:5, edges:0,.1,.3,1.")] = "8",
    value: Annotated[str, typer.Option(help="What is shared out: list values.")] = "usable-information",
    absence: Annotated[str, typer.Option(help="What stands in for absent bands: list absences, or all.")] = "mean",
    design: Annotated[str, typer.Option(help="exact, permutation or auto: list designs.")] = "exact",
    images: Annotated[int | None, typer.Option(help="How many images to take.", show_default="all")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Take as many images as this half-width of the score's interval needs.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    precision: Annotated[str, typer.Option(help="auto, float32, tf32, bfloat16.")] = "auto",
    batch_size: Annotated[str, typer.Option(help="auto or a number.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Allow 13 to 16 bands in the exact design.")] = False,
    clip: Annotated[bool, typer.Option("--clip", help="Clip coalition images to [0, 1].")] = False,
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
    engine: options.EngineName = "local",
    address: options.Address = None,
    ray_workers: options.RayWorkers = None,
    gpus_per_worker: options.GpusPerWorker = None,
    out: options.Out = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """How much information each frequency band gives MODEL on the images of DATA."""
    from spectrobe import figures
    from spectrobe.cli import show
    from spectrobe.cli.opening import open_both
    from spectrobe.cli.outcome import finish, write_result
    from spectrobe.engine.absence import DEFAULT_ABSENCE
    from spectrobe.studies.decompose.absences import KIND, decompose_with_all_absences
    from spectrobe.studies.decompose.study import check_choices, decompose
    from spectrobe.studies.decompose.wording import sentence

    every_absence = absence == "all"
    settings: dict[str, Any] = {
        "bands": bands, "value": value, "design": design, "images": images, "tolerance": tolerance, "force": force,
        "confidence": confidence, "precision": precision, "batch_size": options.number_or_auto(batch_size),
        "on_bad_image": on_bad_image, "seed": seed, "workers": workers,
    }  # fmt: skip
    played_by = options.engine_of(engine, address, ray_workers, gpus_per_worker)
    check_choices(absence=DEFAULT_ABSENCE if every_absence else absence, **settings)
    terminal = Terminal(quiet, json)
    with run_folder(out, "decompose", model) as folder:
        with terminal.progress() as progress:
            opened, photographs, place = open_both(
                model,
                data,
                device,
                {"checkpoint": checkpoint, "num_classes": num_classes, "mean": mean, "std": std, "size": size,
                 "crop": crop, "interpolation": interpolation, "allow_pickle": allow_pickle},
                {"class_map": class_map, "image_column": image_column, "label_column": label_column},
            )  # fmt: skip
            settings |= {"clip": clip, "device": place, "engine": played_by, "out": folder, "progress": progress}
            if not every_absence:
                result = decompose(opened, photographs, absence=absence, **settings)
            else:
                agreement = decompose_with_all_absences(opened, photographs, **settings)
        if not every_absence:
            parts = [*show.decomposition([result], terminal.out), sentence(result)]
            return finish(terminal, folder, "profile", lambda: figures.profile(result), parts)
        results = list(agreement.results.values())
        content = {name: result.to_dict() for name, result in agreement.results.items()}
        write_result(folder, {"kind": KIND, "rank_agreement": agreement.rank_agreement, "results": content})
        parts = [*show.agreement(agreement), f"a run each: {', '.join(f'{folder}/{name}' for name in content)}"]
        return finish(terminal, folder, "profile", lambda: figures.profile(results), parts)
