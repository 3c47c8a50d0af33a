"""`spectrobe explore MODEL DATA`: a page on this machine, to look at one photo at a time."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.terminal import Terminal
from spectrobe.errors import InputError


def command(
    model: options.ModelArgument,
    data: options.DataArgument,
    bands: Annotated[str, typer.Option(help="8, radial:8, octaves:5, edges:0,.1,.3,1; at most 12 bands.")] = "8",
    absence: Annotated[str, typer.Option(help="What stands in for absent bands at first: list absences.")] = "mean",
    port: Annotated[
        int | None, typer.Option(help="Of 127.0.0.1; 0 for any that is free.", show_default="the first free from 8765")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Say the address, open nothing.")] = False,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Look for no labels: photos in any folders.")
    ] = False,
    class_map: options.ClassMap = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    checkpoint: options.Checkpoint = None,
    num_classes: options.NumClasses = None,
    mean: options.Mean = None,
    std: options.Std = None,
    size: options.Size = None,
    crop: options.Crop = None,
    interpolation: options.Interpolation = None,
    allow_pickle: options.AllowPickle = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> int:
    """A local page: switch bands of a photo on and off, and see what MODEL makes of it."""
    import torch

    from spectrobe.cli.opening import open_both
    from spectrobe.explore.server import check_port, listen
    from spectrobe.explore.session import check_choices, open_session

    check_choices(bands, absence)
    check_port(port)
    if unlabelled and class_map is not None:
        raise InputError("expected --class-map or --unlabelled, got both: a class map says what labels mean")
    terminal = Terminal(quiet)
    opened, photos, place = open_both(
        model,
        data,
        device,
        {"checkpoint": checkpoint, "num_classes": num_classes, "mean": mean, "std": std, "size": size, "crop": crop,
         "interpolation": interpolation, "allow_pickle": allow_pickle},
        {"class_map": class_map, "image_column": image_column, "label_column": label_column,
         "labelled": not unlabelled},
    )  # fmt: skip
    with (
        open_session(opened, photos, torch.device(place), bands=bands, absence=absence, seed=seed) as session,
        listen(session, port) as server,
    ):
        for warning in session.warnings:
            terminal.note(f"warning: {warning}")
        terminal.note(f"{opened.name} on {photos.name}; nothing leaves this machine; Ctrl-C ends it")
        print(server.address, flush=True)
        if not no_browser:
            _show(server.address, terminal)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _show(address: str, terminal: Terminal) -> None:
    """Open a browser window where there are windows; a browser of the terminal would take it over."""
    import webbrowser

    windows = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not (windows and webbrowser.open(address)):
        terminal.note("no browser could be opened here: open the address yourself")
