"""`spectrobe study label-noise DATA`."""

from __future__ import annotations

from typing import Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.commands.study import shared
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal


def command(
    data: shared.Data,
    test: shared.Test = None,
    rates: Annotated[
        str | None, typer.Option(metavar="R[,R]", help="Of label noise, 0 among them.", show_default="0,.2,.4,.6,.8")
    ] = None,
    kind: Annotated[str, typer.Option(help="symmetric (any other class) or class-pair (the next).")] = "symmetric",
    seeds: shared.Seeds = 3,
    epochs: shared.Epochs = None,
    arch: shared.Arch = None,
    batch: shared.Batch = None,
    rate: shared.Rate = 0.1,
    images: shared.Images = None,
    size: options.Size = None,
    bands: shared.Bands = None,
    value: Annotated[str, typer.Option(help="What is shared out: list values.")] = "usable-information",
    absence: Annotated[str, typer.Option(help="mean or zero.")] = "mean",
    forward_passes: shared.ForwardPasses = None,
    budget: shared.BudgetOnly = False,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    precision: shared.Precision = "auto",
    class_map: options.ClassMap = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    out: options.Out = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """How wrong labels move what a model relies on: its profile at every epoch, for several rates of label noise."""
    from spectrobe import figures
    from spectrobe.cli.outcome import finish
    from spectrobe.studies.label_noise.study import label_noise

    terminal, wanted = Terminal(quiet, json), shared.numbers(rates, "rates")
    for_data = {"class_map": class_map, "image_column": image_column, "label_column": label_column}
    with run_folder(out, "study-label-noise", data) as folder:
        with terminal.progress("image passes") as progress:
            result = label_noise(
                data, test=test, rates=wanted, kind=kind, seeds=seeds, epochs=epochs, arch=arch, batch_size=batch,
                rate=rate, images=images, size=size, bands=bands, value=value, absence=absence,
                forward_passes=forward_passes, budget_only=budget, confidence=confidence, seed=seed,
                precision=precision, device=device,
                for_data=for_data, out=folder, progress=progress,
            )  # fmt: skip
        if result is None:
            return 0
        return finish(terminal, folder, "label-noise", lambda: figures.label_noise(result), [result.summary()])
