"""Commands by name, and how each of their endings becomes an exit code and at most one line."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer
from typer.main import get_command

from spectrobe.cli.interrupts import Interrupts
from spectrobe.cli.outcome import BAD_INPUT, DONE, FAILED, INTERRUPTED
from spectrobe.cli.terminal import say
from spectrobe.errors import ShardsFailedError, SpectrobeError
from spectrobe.texts import printable

COMMANDS = (
    "decompose",
    "snr",
    "robustness",
    "response",
    "score",
    "zoo",
    "plan",
    "relate",
    "compare",
    "track",
    "study",
    "show",
    "report",
    "figure",
    "poster",
    "explore",
    "demo",
    "list",
)
"""Modules of `commands/`, in the order in which --help shows them."""

_LONG = (
    "batch_size",
    "class_map",
    "heat_map",
    "heat_map_images",
    "heat_map_step",
    "image_column",
    "label_column",
    "num_classes",
    "on_bad_image",
    "allow_pickle",
    "test_images",
)
_ARGUMENTS = (
    *_LONG, "absence", "bands", "checkpoint", "crop", "design", "device", "images", "interpolation", "mean",
    "precision", "seed", "size", "std", "tolerance", "value", "workers",
)  # fmt: skip

# Click's base of usage errors, or that of the copy of Click which newer versions of typer bring along.
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]


def build_app() -> typer.Typer:
    """The command line with all its commands."""
    app = typer.Typer(
        name="spectrobe",
        help="Which spatial frequencies an image model relies on, with intervals.",
        rich_markup_mode="rich",
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_top)
    for name in COMMANDS:
        module = import_module(f"spectrobe.cli.commands.{name}")
        found = module.build_group() if hasattr(module, "build_group") else module.command
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"spectrobe {installed('spectrobe')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(argv: Sequence[str] | None, interrupts: Interrupts) -> int:
    """Run one command and return its exit code."""
    try:
        code = get_command(build_app()).main(args=argv, prog_name="spectrobe", standalone_mode=False)
        if code == INTERRUPTED:  # newer versions of typer make an exit code of Ctrl-C
            return interrupts.leave()
        return code if isinstance(code, int) else DONE
    except ShardsFailedError as error:
        say(as_options(str(error)))
        return FAILED
    except SpectrobeError as error:
        say(as_options(str(error)))
        return BAD_INPUT
    except _UsageError as error:
        say(_usage(error))
        return BAD_INPUT
    except typer.Abort:
        return interrupts.leave()
    except Exception:
        if interrupts.presses:  # libraries that are interrupted while they load raise whatever they come to
            return interrupts.leave()
        print(printable(traceback.format_exc()), end="", file=sys.stderr)
        say("unexpected error: unless the lines above point to code of your own, please report them with this call")
        return FAILED


def as_options(message: str) -> str:
    """A message written for callers in Python, with the names of arguments as they are on the command line.

    batch_size -> --batch-size, size=224 -> --size 224, allow_pickle=True (--allow-pickle) -> --allow-pickle; not inside
    model strings (?num_classes=10).
    """
    message = re.sub(r"\w+=True \((--[a-z-]+)\)", r"\1", message)
    said = re.sub(rf"(?<![\w?&/=-])({'|'.join(_ARGUMENTS)})=(?=\S)", lambda m: f"{_option(m[1])} ", message)
    return re.sub(rf"(?<![\w?&/=-])({'|'.join(_LONG)})(?![\w=])", lambda m: _option(m[1]), said)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _usage(error: Exception) -> str:
    message = getattr(error, "format_message", error.__str__)().rstrip(".")
    message += "" if message.endswith("?") else ";"
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "spectrobe"
    return f"{message[:1].lower()}{message[1:]} see {command} --help"
