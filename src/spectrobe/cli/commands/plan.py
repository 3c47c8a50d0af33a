"""`spectrobe plan decompose|robustness|snr ...`: the arguments of the command itself, and what the job is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectrobe.cli import options
from spectrobe.cli.commands import decompose, robustness, snr
from spectrobe.cli.signatures import parameters, taken, with_parameters
from spectrobe.cli.terminal import Terminal
from spectrobe.errors import InputError

if TYPE_CHECKING:
    from spectrobe.engine.progress import Progress
    from spectrobe.studies.plan.result import Plan

_JOB = "The job"
_ELSEWHERE = ("out", "engine", "address", "ray_workers", "gpus_per_worker")
"""Options of the commands that say where a job runs, which is no part of its price."""


def _job(
    models: Annotated[int, typer.Option(help="How many models like MODEL.", rich_help_panel=_JOB)] = 1,
    gpus: Annotated[
        int, typer.Option(help="Devices that work at the same time, a worker each.", rich_help_panel=_JOB)
    ] = 1,
    cores: Annotated[
        int | None,
        typer.Option(help="CPU cores that decode for them.", show_default="this machine's", rich_help_panel=_JOB),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the shards would go, also s3://...: writing is timed there, and nothing is left behind.",
            show_default="a temporary folder",
            rich_help_panel=_JOB,
        ),
    ] = None,
) -> None:
    """What a job is asked besides what the command itself takes."""


def build_group() -> typer.Typer:
    """The commands of `spectrobe plan`, each with the options of the command that it prices."""
    group = typer.Typer(
        help="What a job will take before it runs: forward passes, time, storage, and what more workers wait for.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, command, without, price in (
        ("decompose", decompose.command, _ELSEWHERE, _decompose),
        ("robustness", robustness.command, (*_ELSEWHERE, "tree", "against", "relative_to"), _robustness),
        ("snr", snr.command, _ELSEWHERE, _snr),
    ):
        group.command(name)(_priced(command, without, price))
    return group


def _priced(command: Callable[..., int], without: tuple[str, ...], price: Callable[..., Plan]) -> Callable[..., int]:
    """A command with the parameters of `command`, those of the job besides, that shows what `price` finds."""
    own = [one for one in parameters(command) if one.name not in without]

    def run(**given: Any) -> int:
        terminal = Terminal(given.pop("quiet"), given.pop("json"))
        with terminal.progress() as progress:
            found = price(given, progress)
        if terminal.json:
            from spectrobe.engine.store import json_text

            terminal.give(json_text(found.to_dict()))
        terminal.show(found.summary())
        return 0

    name = command.__module__.rpartition(".")[2]
    told = f"What `{name}` will take with these arguments; nothing is kept."
    return with_parameters(run, [*own, *parameters(_job)], told)


_FOR_MODEL = ("checkpoint", "num_classes", "mean", "std", "size", "crop", "interpolation", "allow_pickle")


def _opened(given: dict[str, Any]) -> dict[str, Any]:
    """Options as the studies take them, model and data opened as the commands open them."""
    from spectrobe.cli.opening import open_both

    given["batch_size"] = options.number_or_auto(given["batch_size"])
    opened = open_both(
        given.pop("model"),
        given.pop("data"),
        given.pop("device"),
        taken(given, _FOR_MODEL),
        taken(given, options.FOR_DATA),
    )
    return {**dict(zip(("model", "data", "device"), opened, strict=True)), **given}


def _decompose(given: dict[str, Any], progress: Progress) -> Plan:
    from spectrobe.engine.absence import absence_names
    from spectrobe.studies.plan.study import plan_decompose

    if given["absence"] == "all":
        raise InputError(f"expected one absence to price, out of {', '.join(absence_names())}, got 'all'")
    return plan_decompose(**_opened(given), progress=progress)


def _robustness(given: dict[str, Any], progress: Progress) -> Plan:
    from spectrobe.studies.plan.study import plan_robustness

    if given["data"] is None:
        raise InputError("expected clean images (DATA) to price")
    perturbations = given.pop("perturb") or ()
    return plan_robustness(**_opened(given), perturbations=perturbations, progress=progress)


def _snr(given: dict[str, Any], progress: Progress) -> Plan:
    from spectrobe.studies.plan.study import plan_snr

    job = taken(given, tuple(one.name for one in parameters(_job)))
    given["batch_size"] = options.number_or_auto(given["batch_size"])
    snr.check(given)
    data, specs, settings = snr.opened(given)
    return plan_snr(data, specs, **settings, **job, progress=progress)
