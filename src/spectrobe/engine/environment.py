"""Where a run was made: library versions and the machine's kind, for run.json."""

from __future__ import annotations

from typing import Any


def environment() -> dict[str, Any]:
    """Library versions and the machine's kind, for run.json."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("spectrobe", "torch", "torchvision", "timm", "numpy", "scipy", "pillow", "pyarrow"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
