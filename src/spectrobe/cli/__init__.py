"""The command line. A command is one file in `commands/` and one name in `app.COMMANDS`: parse, call a study, show.

Commands import studies inside their functions, so that `--help` and typing mistakes are answered before torch loads.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; argv without the program's name, by default the process's.

    Returns the exit code: 0 done, 1 a gate failed or part of the work failed (listed), 2 bad input (one line on
    stderr), 130 interrupted (what was done is kept).
    """
    from spectrobe.cli.interrupts import Interrupted, calm_interrupts

    with calm_interrupts(stay_calm=argv is None) as interrupts:
        try:
            from spectrobe.cli.app import run  # imports for half a second, in which Ctrl-C may come

            return run(argv, interrupts)
        except (Interrupted, KeyboardInterrupt):
            return interrupts.leave()
