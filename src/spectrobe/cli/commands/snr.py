"""`spectrobe snr DATA --perturb ...` and `spectrobe snr CLEAN --against NOISY`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal
from spectrobe.errors import InputError

_MEASURE = "What is measured"


def command(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="The clean images: a folder, hf:NAME, parquet:PATH, demo (list data).")
    ],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NOISY", help="The same images with your own noise, under the same names. No model needed."
        ),
    ] = None,
    perturb: Annotated[
        str | None,
        typer.Option(
            metavar="ITEM[,ITEM]",
            help="gaussian_noise:1-5, jpeg_compression:3, imagenet-c:3, pgd_linf:eps=4/255, ... (list perturbations).",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="What attacks attack; images are taken at its input size (list models)."),
    ] = None,
    bands: Annotated[str, typer.Option(help="8, radial:8, octaves:5, edges:0,.1,.3,1.")] = "8",
    images: Annotated[int | None, typer.Option(help="How many images to take.", show_default="all")] = None,
    patch: Annotated[
        str | None,
        typer.Option(metavar="N|HxW", help="The middle of each image only, as it is: for images of many sizes."),
    ] = None,
    dc: Annotated[
        str, typer.Option(metavar="apart|in-band", help="Where the mean (DC) counts.", rich_help_panel=_MEASURE)
    ] = "apart",
    summary: Annotated[
        str, typer.Option(metavar="median|ratio-of-sums|mean-of-bins", help="Over images.", rich_help_panel=_MEASURE)
    ] = "median",
    luminance: Annotated[
        bool, typer.Option("--luminance", help="Of the luminance instead of each channel.", rich_help_panel=_MEASURE)
    ] = False,
    border: Annotated[
        str | None,
        typer.Option(
            metavar="periodic-plus-smooth", help="Take out the jump at the borders.", rich_help_panel=_MEASURE
        ),
    ] = None,
    quantize: Annotated[
        int | None, typer.Option(metavar="BITS", help="Round perturbed images first.", rich_help_panel=_MEASURE)
    ] = None,
    labels: Annotated[
        str, typer.Option(metavar="given|prediction", help="What attacks lead away from.", rich_help_panel=_MEASURE)
    ] = "given",
    confidence: Annotated[float, typer.Option(help="Of all intervals.", rich_help_panel=_MEASURE)] = 0.95,
    batch_size: Annotated[str, typer.Option(help="auto or a number.", rich_help_panel=_MEASURE)] = "auto",
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
    """Which spatial frequencies of the images survive a perturbation, or your own noise."""
    from spectrobe import figures
    from spectrobe.cli.outcome import FAILED, finish
    from spectrobe.studies.snr.study import snr_study

    asked: dict[str, Any] = {
        "data": data, "against": against, "perturb": perturb, "model": model, "bands": bands, "dc": dc,
        "summary": summary, "images": images, "patch": patch, "confidence": confidence, "seed": seed,
        "luminance": luminance, "border": border, "quantize": quantize, "labels": labels, "device": device,
        "batch_size": options.number_or_auto(batch_size), "workers": workers, "on_bad_image": on_bad_image,
        "engine": options.engine_of(engine, address, ray_workers, gpus_per_worker),
        "class_map": class_map, "image_column": image_column, "label_column": label_column, "checkpoint": checkpoint,
        "num_classes": num_classes, "mean": mean, "std": std, "size": size, "crop": crop,
        "interpolation": interpolation, "allow_pickle": allow_pickle,
    }  # fmt: skip
    check(asked)
    terminal = Terminal(quiet, json)
    with run_folder(out, "snr", data) as folder:
        with terminal.progress("perturbed images") as progress:
            photographs, specs, settings = opened(asked)
            study = snr_study(photographs, specs, out=folder, progress=progress, **settings)
        results = list(study.results.values())
        told = results[0].summary() if len(results) == 1 and not study.failed else study.summary()
        code = finish(terminal, folder, "snr-bias", lambda: figures.snr_bias(study), [told])
    return FAILED if study.incomplete else code


_FOR_MODEL = ("checkpoint", "num_classes", "mean", "std", "crop", "interpolation", "allow_pickle")
_COLUMNS = ("image_column", "label_column", "class_map")


def check(asked: dict[str, Any]) -> None:
    """Raise InputError for options that do not go together, before anything is opened. asked: every option, by name."""
    if (asked["against"] is None) == (asked["perturb"] is None):
        raise InputError("expected --against NOISY (the same images with your noise) or --perturb ITEM: one of the two")
    if asked["model"] is None:
        said = [f"--{name.replace('_', '-')}" for name in _FOR_MODEL if asked[name] not in (None, False)]
        if said:
            raise InputError(f"expected {', '.join(said)} together with --model, which it is about")


def opened(asked: dict[str, Any]) -> tuple[Any, list[Any] | None, dict[str, Any]]:
    """The clean images, the perturbations asked for, and the other arguments of the study, opened where they name data
    or a model."""
    settings = dict(asked)
    taken = {name: settings.pop(name) for name in (*_FOR_MODEL, *_COLUMNS, "data", "against", "perturb", "model")}
    classifier = None
    if taken["model"] is not None:
        said = {name: taken[name] for name in _FOR_MODEL}
        classifier = settings["model"] = _opened_model(taken["model"], {**said, "size": settings.pop("size")})
    columns = {name: taken[name] for name in _COLUMNS}
    specs = None if taken["perturb"] is None else _specs(taken["perturb"])
    labelled = settings["labels"] == "given" and any(spec.needs_model for spec in specs or [])
    against = taken["against"]
    settings["perturbed"] = None if against is None else _opened_data(against, columns, None)
    return _opened_data(taken["data"], columns, classifier if labelled else None), specs, settings


def _opened_model(model: str, said: dict[str, Any]) -> Any:
    from spectrobe.models import open_model

    return open_model(model, **{**said, "allow_pickle": bool(said["allow_pickle"])})


def _specs(perturb: str) -> list[Any]:
    from spectrobe.perturbations import parse_perturbations

    return list(parse_perturbations(perturb))


def _opened_data(data: str, columns: dict[str, Any], classifier: Any) -> Any:
    """The data string as it is, unless there is something to say about labels or columns."""
    from spectrobe.data import open_data

    if classifier is not None:
        return open_data(data, n_classes=classifier.n_classes, class_names=classifier.class_names, **columns)
    if any(value is not None for value in columns.values()):
        return open_data(data, labelled=False, **columns)
    return data
