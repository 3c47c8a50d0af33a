"""`spectrobe study feature-snr DATA`."""

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
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="A-B,C-D,...", help="Groups of bands to train on, lowest first.", show_default="low, middle, high"
        ),
    ] = None,
    perturb: Annotated[
        str,
        typer.Option(
            metavar="ITEM[,ITEM]",
            help="Tried on the networks, without attacks (list perturbations).",
            show_default="white noise, and noise within each group",
        ),
    ] = "",
    inject: Annotated[
        str | None,
        typer.Option(metavar="DB|none", help="SNR of the noise injected in the condition apart.", show_default="10"),
    ] = None,
    seeds: shared.Seeds = 3,
    epochs: shared.Epochs = None,
    arch: shared.Arch = None,
    batch: shared.Batch = None,
    rate: shared.Rate = 0.1,
    images: shared.Images = None,
    test_images: Annotated[
        int | None, typer.Option(help="Held-out images to measure on, at most.", show_default="2,000")
    ] = None,
    size: options.Size = None,
    bands: shared.Bands = None,
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
    """Are networks that were trained on bands of a higher SNR under a perturbation more robust to it?"""
    from spectrobe import figures
    from spectrobe.cli.outcome import finish
    from spectrobe.studies.feature_snr.study import feature_snr

    terminal = Terminal(quiet, json)
    none = inject is not None and inject.lower() == "none"
    level = None if none else shared.numbers(inject, "the SNR to inject")
    for_data = {"class_map": class_map, "image_column": image_column, "label_column": label_column}
    with run_folder(out, "study-feature-snr", data) as folder:
        with terminal.progress("image passes") as progress:
            result = feature_snr(
                data, test=test, groups=groups, perturbations=perturb, inject=not none,
                inject_db=None if level is None else level[0], seeds=seeds, epochs=epochs, arch=arch, batch_size=batch,
                rate=rate, images=images, test_images=test_images, size=size, bands=bands, confidence=confidence,
                seed=seed, precision=precision, device=device, for_data=for_data, budget_only=budget, out=folder,
                progress=progress,
            )  # fmt: skip
        if result is None:
            return 0
        return finish(terminal, folder, "snr-training", lambda: figures.snr_training(result), [result.summary()])
