"""How a command ends: result and figure written, result shown or given as JSON, files named, exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from spectrobe.cli.interrupts import INTERRUPTED as INTERRUPTED
from spectrobe.cli.terminal import Terminal, say
from spectrobe.errors import RunFolderError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DONE, FAILED, BAD_INPUT = 0, 1, 2


def write_result(folder: str, content: dict[str, Any]) -> None:
    """Write result.json of a command that has no payoff table; RunFolderError when the folder holds another result."""
    from spectrobe.engine.store import RunFolder, json_text

    run = RunFolder(folder)
    if run.exists("run.json") or (
        run.exists("result.json") and run.read_bytes("result.json") != json_text(content).encode()
    ):
        raise RunFolderError(f"{folder} holds another result: choose another --out")
    run.write_json("result.json", content)


def finish(terminal: Terminal, folder: str, figure: str, draw: Callable[[], Figure], parts: Sequence[Any]) -> int:
    """Write figures/FIGURE.svg and .png, show `parts` (or give result.json), say where the files are; the exit code."""
    from spectrobe.engine.store import RunFolder

    run = RunFolder(folder)
    pictures = [f"figures/{figure}.{kind}" for kind in ("svg", "png")]
    problem = "" if all(map(run.exists, pictures)) else _draw(folder, figure, draw)
    if terminal.json:
        terminal.give(run.read_bytes("result.json").decode())
    rows = ("payoffs", "predictions", "snr", "response", "readings", "checkpoints")
    kept = ("run.json", *rows, "result.json", *pictures)
    files = [name for name in kept if run.exists(name)]
    terminal.show(*parts, "", f"{folder}: {', '.join(files)}")
    if problem:
        say(problem)
    return FAILED if problem else DONE


def _draw(folder: str, figure: str, draw: Callable[[], Figure]) -> str:
    """Draw and write a figure; what went wrong, empty for nothing."""
    from spectrobe.figures import save_figure

    try:
        save_figure(draw(), f"{folder}/figures", figure)
    except OSError as error:
        return f"the result is kept in {folder}, but figures/{figure} could not be written ({error.strerror or error})"
    return ""
