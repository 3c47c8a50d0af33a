"""Options and arguments that commands share, said once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spectrobe.errors import InputError

if TYPE_CHECKING:
    from spectrobe.engine.executor import Engine

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="timm:NAME, torchvision:NAME, hf:NAME, onnx:PATH, python:MODULE:NAME, ... (list models)"
    ),
]
DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="A folder of class folders, hf:NAME, parquet:PATH, demo (list data).")
]

_RUN = "Of every command"
Out = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Run folder; the same call with the same folder goes on where it was.",
        show_default="the first free runs/COMMAND-MODEL-N",
        rich_help_panel=_RUN,
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.", rich_help_panel=_RUN)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_RUN)]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no notes.", rich_help_panel=_RUN)]
Json = Annotated[
    bool, typer.Option("--json", help="result.json and nothing else on standard output.", rich_help_panel=_RUN)
]

_ENGINE = "Who does the work"
EngineName = Annotated[
    str,
    typer.Option("--engine", metavar="local|ray", help="This process, or workers on Ray.", rich_help_panel=_ENGINE),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto",
        help="Of a Ray cluster that runs.",
        show_default="Ray on this machine, for the time of the run",
        rich_help_panel=_ENGINE,
    ),
]
RayWorkers = Annotated[
    int | None,
    typer.Option(help="Processes that hold the model.", show_default="as many as fit", rich_help_panel=_ENGINE),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(help="GPUs a Ray worker, or a share of one.", show_default="1 on cuda", rich_help_panel=_ENGINE),
]

_MODEL = "What the model's own configuration says, overridden"
Mean = Annotated[
    str | None, typer.Option(metavar="M[,M,M]", help="Mean, for pixels in [0, 1].", rich_help_panel=_MODEL)
]
Std = Annotated[
    str | None, typer.Option(metavar="S[,S,S]", help="Standard deviation, likewise.", rich_help_panel=_MODEL)
]
Size = Annotated[
    str | None, typer.Option(metavar="N|HxW|none", help="Input size; none: images as they are.", rich_help_panel=_MODEL)
]
Crop = Annotated[
    float | None, typer.Option(help="Part of the resized shorter side that is kept.", rich_help_panel=_MODEL)
]
Interpolation = Annotated[str | None, typer.Option(help="bilinear, bicubic, ...", rich_help_panel=_MODEL)]
Checkpoint = Annotated[
    str | None, typer.Option(metavar="FILE", help="Your own weights (safetensors or torch).", rich_help_panel=_MODEL)
]
NumClasses = Annotated[int | None, typer.Option(help="Classes of those weights.", rich_help_panel=_MODEL)]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Open files that can run code.", rich_help_panel=_MODEL)
]

_DATA = "Images"
Workers = Annotated[int, typer.Option(help="Processes that decode images.", rich_help_panel=_DATA)]
ClassMap = Annotated[
    str | None, typer.Option(metavar="FILE", help="JSON or CSV: class folder -> class index.", rich_help_panel=_DATA)
]
OnBadImage = Annotated[
    str, typer.Option(metavar="error|skip", help="What to do with unreadable images.", rich_help_panel=_DATA)
]
ImageColumn = Annotated[str | None, typer.Option(help="Of Parquet files and hub sets.", rich_help_panel=_DATA)]
LabelColumn = Annotated[str | None, typer.Option(help="Of Parquet files and hub sets.", rich_help_panel=_DATA)]
FOR_DATA = ("class_map", "image_column", "label_column")
"""The options that say how DATA are read."""


def engine_of(engine: str, address: str | None, workers: int | None, gpus_per_worker: float | None) -> Engine:
    """What studies take as `engine`; InputError for an unknown one, or where Ray's options stand without Ray."""
    from spectrobe.engine.executor import ENGINES, RayOptions

    if engine not in ENGINES:
        raise InputError(f"expected --engine {' or '.join(ENGINES)}, got {engine!r}")
    if engine == "ray":
        return RayOptions(address, workers, gpus_per_worker)
    given = {"--address": address, "--ray-workers": workers, "--gpus-per-worker": gpus_per_worker}
    said = [name for name, value in given.items() if value is not None]
    if said:
        raise InputError(f"expected {', '.join(said)} together with --engine ray, which it is about")
    return engine


def number_or_auto(text: str) -> int | str:
    """A batch size as it is written: "auto" or a number; anything else is left to the study, which refuses it."""
    return int(text) if text.lstrip("-").isdigit() else text
