"""`spectrobe study NAME ...`: studies that train networks of their own. A study is a file here and a row of STUDIES."""

from __future__ import annotations

from importlib import import_module

import typer

STUDIES = {"label-noise": "label_noise", "feature-snr": "feature_snr"}
"""Name on the command line -> module, in the order in which --help shows them."""

command = typer.Typer(help="Train small networks and see what moves their profiles.", no_args_is_help=True)
for _name, _module in STUDIES.items():
    command.command(_name)(import_module(f"{__name__}.{_module}").command)
