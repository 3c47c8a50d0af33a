"""Fail unless the spectrobe that is imported is an installed wheel that carries its data files."""

import importlib.metadata
import importlib.resources
import sysconfig
from pathlib import Path

import spectrobe

installed = Path(sysconfig.get_path("purelib"))
where = Path(spectrobe.__file__)
if not where.is_relative_to(installed):
    raise SystemExit(f"expected spectrobe from the wheel in {installed}, got {where}")
if spectrobe.__version__ != importlib.metadata.version("spectrobe"):
    raise SystemExit(f"expected version {importlib.metadata.version('spectrobe')}, got {spectrobe.__version__}")
for name in ("py.typed", "data/imagenet_wnids.txt", "explore/page/index.html"):
    if not (importlib.resources.files("spectrobe") / name).is_file():
        raise SystemExit(f"expected {name} in the wheel, it is not there")
