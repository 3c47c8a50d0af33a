"""`spectrobe zoo MODELS.toml DATA`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.commands.relate import WIDTH_OF_FILES
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal, say

if TYPE_CHECKING:
    from spectrobe.studies.zoo.budget import Cost


def command(
    models: Annotated[
        str,
        typer.Argument(
            metavar="MODELS.toml", help="models = [...], or [[model]] tables (model, name, recipe, options)."
        ),
    ],
    data: options.DataArgument,
    perturb: Annotated[
        str,
        typer.Option(
            metavar="ITEM[,ITEM]",
            help="What robustness is measured under, as `robustness` takes it (list perturbations).",
        ),
    ] = "",
    bands: Annotated[str, typer.Option(help="8, radial:8, octaves:5, edges:0,.1,.3,1.")] = "8",
    value: Annotated[str, typer.Option(help="What is shared out: list values.")] = "usable-information",
    absence: Annotated[str, typer.Option(metavar="A[,A]|all", help="What stands in for absent bands.")] = "mean",
    design: Annotated[str, typer.Option(help="exact or permutation: list designs.")] = "exact",
    images: Annotated[int | None, typer.Option(help="How many images to take.", show_default="all")] = None,
    robustness_images: Annotated[
        int | None, typer.Option(help="How many for robustness.", show_default="as --images")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Relate also without these models or recipes, such as 'at-*'."),
    ] = None,
    budget: Annotated[bool, typer.Option("--budget", help="Say what it costs, and end.")] = False,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    precision: Annotated[str, typer.Option(help="Of decompose: auto, float32, tf32, bfloat16.")] = "float32",
    batch_size: Annotated[str, typer.Option(help="auto or a number.")] = "auto",
    class_map: options.ClassMap = None,
    on_bad_image: options.OnBadImage = "error",
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
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
    """Decompose and measure a list of models on the same images, then relate scores to robustness."""
    from spectrobe import figures
    from spectrobe.cli import show_relate, show_zoo
    from spectrobe.cli.outcome import DONE, FAILED, finish
    from spectrobe.engine.store import json_text
    from spectrobe.studies.zoo.study import measure_zoo

    played_by = options.engine_of(engine, address, ray_workers, gpus_per_worker)
    terminal = Terminal(quiet, json)
    if not terminal.out.is_terminal:
        terminal.out.width = WIDTH_OF_FILES

    def tell(costs: Sequence[Cost]) -> None:
        for part in () if quiet or budget else show_zoo.budget(costs):
            terminal.err.print(part)

    with run_folder(out, "zoo", models.removesuffix(".toml")) as folder:
        with terminal.progress() as progress:
            result = measure_zoo(
                models, data, perturb, bands=bands, value=value, absence=_listed(absence), design=design, images=images,
                robustness_images=robustness_images, confidence=confidence, seed=seed, precision=precision,
                batch_size=options.number_or_auto(batch_size), device=device, class_map=class_map,
                on_bad_image=on_bad_image, image_column=image_column, label_column=label_column,
                allow_pickle=allow_pickle, budget_only=budget, relate_with={"without": without or ()}, out=folder,
                engine=played_by, progress=progress, tell_budget=tell,
            )  # fmt: skip
        code, relation = DONE, result.relation
        if budget:
            terminal.show(*show_zoo.budget(result.costs))
            if json:
                terminal.give(json_text({"kind": "budget", "models": [asdict(cost) for cost in result.costs]}))
        elif relation is None:
            terminal.note(result.unrelated)
        else:
            place = f"{folder}/relate"
            relation.save(place)
            shown = show_relate.parts(relation)
            code = finish(terminal, place, "score-robustness", lambda: figures.score_robustness(relation), shown)
        for name, why in result.failed.items():
            say(f"{name}: {why}")
        return FAILED if result.failed else code


def _listed(absence: str) -> str | list[str]:
    return absence if absence == "all" else [name.strip() for name in absence.split(",")]
