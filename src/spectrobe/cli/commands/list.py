"""`spectrobe list WHAT`: every name that can be written for something, other packages' included."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

import typer

from spectrobe.cli import options
from spectrobe.cli.terminal import Terminal
from spectrobe.errors import InputError, SpectrobeError


def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="models|perturbations|values|absences|bands|scores|data|designs|figures", help="What to list."
        ),
    ],
    json: options.Json = False,
) -> int:
    """Names that can be written for models, perturbations, values, ..., with their meanings."""
    if what not in LISTS:
        raise InputError(f"expected one of {', '.join(LISTS)}, got {what!r}")
    names = LISTS[what]()
    terminal = Terminal(json=json)
    if json:
        from spectrobe.engine.store import json_text

        terminal.give(json_text({"kind": "list", what: dict(names)}))
    width = max(map(len, names))
    terminal.show(*(f"{name:{width}}  {meaning}".rstrip() for name, meaning in names.items()))
    return 0


def _models() -> Mapping[str, str]:
    from spectrobe.models import model_schemes

    return {f"{scheme}:": f"such as {example}" for scheme, example in model_schemes().items()}


def _perturbations() -> Mapping[str, str]:
    from spectrobe.perturbations import SETS, names
    from spectrobe.perturbations.registry import lookup

    sets = {name: f"set: {', '.join(members)}" for name, members in SETS.items()}
    return _meanings(names(), lambda name: f"{lookup(name).kind}: {lookup(name).summary}") | sets


def _values() -> Mapping[str, str]:
    from spectrobe.game.values import DEFAULT_VALUE, value_class, value_names

    return _meanings(value_names(), lambda name: _first_line(value_class(name)), DEFAULT_VALUE)


def _absences() -> Mapping[str, str]:
    from spectrobe.engine.absence import DEFAULT_ABSENCE, absence_class, absence_names

    meanings = _meanings(absence_names(), lambda name: _first_line(absence_class(name)), DEFAULT_ABSENCE)
    return meanings | {"all": "Each of them in turn, and how far they agree."}


def _designs() -> Mapping[str, str]:
    from spectrobe.game.coalitions import AUTO, DESIGNS, ExactDesign, PermutationDesign

    auto = "One of these, by the number of bands and images and, with a tolerance, a pilot."
    return _described(dict(zip(DESIGNS, (ExactDesign, PermutationDesign), strict=True)), DESIGNS[0]) | {AUTO: auto}


def _bands() -> Mapping[str, str]:
    from spectrobe.bands import BandPartition

    written = {"8": BandPartition.square, "radial:8": BandPartition.radial, "octaves:5": BandPartition.octaves,
               "edges:0,.1,.3,1": BandPartition.from_edges}  # fmt: skip
    return _described(written, "8")


def _scores() -> Mapping[str, str]:
    from spectrobe.game.scores import DEFAULT_SCORE, MEANINGS

    return {name: meaning + " (default)" * (name == DEFAULT_SCORE) for name, meaning in MEANINGS.items()}


def _data() -> Mapping[str, str]:
    from spectrobe.data import source_names

    own = {
        "FOLDER": "Image files, in one folder a class; a local folder or an fsspec URL such as s3://bucket/images.",
        "hf": "hf:NAME[:split], a data set of the Hugging Face hub, or one saved on disk.",
        "parquet": "parquet:PATH, a Parquet file or a folder of them, with columns of images and labels.",
        "demo": "The 20 ImageNet photographs that the package foolbox ships.",
        "planted": "planted:bands=8;dprime=2:1.5,5:1, synthetic images whose information sits in those bands.",
    }
    return own | {name: f"{name}:..., from an installed package" for name in source_names() if name not in own}


def _figures() -> Mapping[str, str]:
    from spectrobe import figures
    from spectrobe.figures.publication import KINDS

    drawn = _described({name: getattr(figures, name) for name in KINDS}, "")
    return {name: f"of {KINDS[name]}: {meaning}" for name, meaning in drawn.items()}


LISTS: dict[str, Callable[[], Mapping[str, str]]] = {
    "models": _models,
    "perturbations": _perturbations,
    "values": _values,
    "absences": _absences,
    "bands": _bands,
    "scores": _scores,
    "data": _data,
    "designs": _designs,
    "figures": _figures,
}


def _meanings(names: Iterable[str], meaning: Callable[[str], str], default: str = "") -> dict[str, str]:
    """Each name's meaning; of one whose package is broken, what is wrong, as that is no fault of the others."""
    found = {}
    for name in names:
        try:
            found[name] = meaning(name) + " (default)" * (name == default)
        except SpectrobeError as error:
            found[name] = f"(cannot be used: {error})"
    return found


def _described(things: Mapping[str, object], default: str) -> dict[str, str]:
    """Each thing's own description."""
    return {name: _first_line(thing) + " (default)" * (name == default) for name, thing in things.items()}


def _first_line(thing: object) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]
