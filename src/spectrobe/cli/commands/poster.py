"""`spectrobe poster MODEL... DATA`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal, say

if TYPE_CHECKING:
    from spectrobe.studies.poster.budget import Cost

PAGE = "poster.html"
_STORED = "What takes training, or a zoo: from stored runs"


def command(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="One model string or several (list models).")],
    data: options.DataArgument,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A first look in minutes: 20 images, 6 bands, 10 corruptions, a one-step attack."),
    ] = False,
    perturb: Annotated[
        str | None,
        typer.Option(
            metavar="ITEM[,ITEM]",
            help="Corruptions and attacks (list perturbations).",
            show_default="imagenet-c:3,pgd_linf:eps=2/255",
        ),
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="Of SNR and profile: 8, radial:8, octaves:5, ...", show_default="8")
    ] = None,
    images: Annotated[int | None, typer.Option(help="How many images to take, at most.", show_default="200")] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="A run of the study feature-snr or label-noise; may come several times.",
            rich_help_panel=_STORED,
        ),
    ] = None,
    zoo: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="A run of relate over a zoo.",
            show_default="the zoo of spectrobe's repository",
            rich_help_panel=_STORED,
        ),
    ] = None,
    budget: Annotated[bool, typer.Option("--budget", help="Say what it costs, and end.")] = False,
    photographs: Annotated[int, typer.Option(metavar="N", help="On the page, how many a run, 0 to 12.")] = 3,
    show_paths: Annotated[bool, typer.Option("--show-paths", help="Leave paths of this machine in the page.")] = False,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    batch_size: Annotated[str, typer.Option(help="auto or a number.")] = "auto",
    class_map: options.ClassMap = None,
    on_bad_image: options.OnBadImage = "error",
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    allow_pickle: options.AllowPickle = False,
    out: options.Out = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """The poster's six claims on one page: SNR, profile and response of MODELs, the others from stored runs."""
    from spectrobe.cli import show_poster
    from spectrobe.cli.outcome import DONE, FAILED
    from spectrobe.engine.store import json_text
    from spectrobe.report.build import check_photographs
    from spectrobe.report.poster import poster
    from spectrobe.studies.poster.stored import check_studies, zoo_run
    from spectrobe.studies.poster.study import measure_poster

    check_photographs(photographs)
    stored, why = zoo_run(zoo)
    studies = list(check_studies(study or []))
    terminal = Terminal(quiet, json)

    def tell(costs: Sequence[Cost]) -> None:
        for part in () if quiet or budget else show_poster.budget(costs):
            terminal.err.print(part)

    with run_folder(out, "poster", models[0]) as folder:
        with terminal.progress() as progress:
            found = measure_poster(
                models, data, out=folder, quick=quick, perturbations=perturb, bands=bands, images=images,
                confidence=confidence, seed=seed, batch_size=options.number_or_auto(batch_size), device=device,
                class_map=class_map, on_bad_image=on_bad_image, image_column=image_column, label_column=label_column,
                allow_pickle=allow_pickle, budget_only=budget, tell_budget=tell, progress=progress,
            )  # fmt: skip
            if not budget:
                progress.note("writing the page")
                opened = list(found.opened.values())
                page = poster(
                    found.folders, f"{folder}/{PAGE}", studies=studies, zoo=stored,
                    zoo_given=zoo is not None, no_zoo=why, failed=found.failed,
                    quick=quick, images=opened[0][1], models=[model for model, _ in opened], count=photographs,
                    show_paths=show_paths,
                )  # fmt: skip
        if budget:
            terminal.show(*show_poster.budget(found.costs))
            content: dict[str, Any] = {"kind": "budget", "models": [asdict(cost) for cost in found.costs]}
        else:
            terminal.show(*(() if quiet else (page,)))
            content = {"kind": "poster", "file": page, "runs": list(found.folders), "failed": dict(found.failed)}
        if json:
            terminal.give(json_text(content))
        for name, reason in found.failed.items():
            say(f"{name}: {reason}")
        return FAILED if found.failed else DONE
