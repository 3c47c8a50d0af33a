"""One self-contained HTML page from any mix of runs: opens from the disk, asks for nothing from elsewhere.

    spectrobe.report(["runs/a", "runs/b"], "report.html")

The package is called as the function is: `spectrobe.report` is this package, and calling it writes a report.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package that is called like the one function people want of it, however it was imported."""

    def __call__(self, results: Any, path: Any, **options: Any) -> str:
        from spectrobe.report.build import report

        return report(results, path, **options)


sys.modules[__name__].__class__ = _Callable
