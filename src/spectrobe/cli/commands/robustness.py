"""`spectrobe robustness MODEL [DATA]`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal, say


def command(
    model: options.ModelArgument,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]", help="Clean images: a folder of class folders, hf:NAME, ... Not needed with --tree."
        ),
    ] = None,
    perturb: Annotated[
        str,
        typer.Option(
            metavar="ITEM[,ITEM]",
            help="NAME[:SEVERITY|:FROM-TO][:key=value;...], such as imagenet-c,pgd_linf:eps=1/255..8/255 "
            "(list perturbations).",
        ),
    ] = "",
    tree: Annotated[
        str | None, typer.Option(metavar="ROOT", help="Stored images, ROOT/CORRUPTION/SEVERITY/CLASS/image.jpg.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="NOISY", help="Perturbed data of the same images as DATA, paired by path.")
    ] = None,
    relative_to: Annotated[
        str | None, typer.Option(metavar="RUN", help="A robustness run of another model, for mCE relative to it.")
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
    """What is left of MODEL's accuracy under corruptions, attacks, or your own perturbed images."""
    from spectrobe import figures
    from spectrobe.cli import show_robustness
    from spectrobe.cli.outcome import FAILED, finish
    from spectrobe.engine.devices import resolve_device
    from spectrobe.models import open_model
    from spectrobe.studies.robustness.study import check_choices, load_reference, robustness

    size_of_batch = options.number_or_auto(batch_size)
    played_by = options.engine_of(engine, address, ray_workers, gpus_per_worker)
    given: Any = perturb or ()
    check_choices(given, tree, against, data, images, confidence, size_of_batch, on_bad_image)
    reference = load_reference(relative_to)
    terminal = Terminal(quiet, json)
    with run_folder(out, "robustness", model) as folder:
        with terminal.progress() as progress:
            opened = open_model(
                model, checkpoint=checkpoint, num_classes=num_classes, mean=mean, std=std, size=size, crop=crop,
                interpolation=interpolation, allow_pickle=allow_pickle,
            )  # fmt: skip
            place = str(resolve_device(device, opened, given_by_name=True))
            result = robustness(
                opened, data, given, tree=tree, against=against, images=images, confidence=confidence, seed=seed,
                batch_size=size_of_batch, device=place, workers=workers, class_map=class_map, on_bad_image=on_bad_image,
                image_column=image_column, label_column=label_column, reference=reference, engine=played_by,
                out=folder, progress=progress,
            )  # fmt: skip
        shown = show_robustness.parts(result)
        code = finish(terminal, folder, "robustness", lambda: figures.robustness(result), shown)
        if not result.failed:
            return code
        total = len(result.accuracy)
        say(f"{len(result.failed)} of {total} perturbations could not be measured: {', '.join(result.failed)}")
        return FAILED
