"""How all this was made: settings, versions, the command that repeats each run, how to cite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from spectrobe.report.blocks import Facts, Section
from spectrobe.report.commands import command_of
from spectrobe.report.material import Material
from spectrobe.report.numbers import joined
from spectrobe.report.runs import Run

PAPER = """@article{luo2024interpreting,
  title   = {Interpreting Global Perturbation Robustness of Image Models
             using Axiomatic Spectral Importance Decomposition},
  author  = {Luo, Róisín and McDermott, James and O'Riordan, Colm},
  journal = {Transactions on Machine Learning Research},
  year    = {2024},
  note    = {arXiv:2408.01139}
}"""
SOFTWARE = """@software{{spectrobe,
  title   = {{spectrobe}},
  author  = {{{{The spectrobe developers}}}},
  version = {{{version}}}
}}"""
GLOSSARY = (
    ("frequency band", "a range of spatial frequencies; low ones are coarse structure, high ones fine detail"),
    ("cycles/pixel", "how fast brightness goes up and down; 1/2 is the fastest that pixels can show (Nyquist)"),
    ("cycles/image", "the same, counted over the shorter side of the image"),
    ("Shapley value", "what a band adds to what the model tells about the labels, averaged over all orders of bands"),
    ("usable information", "what a calibrated reading of the model's outputs tells about the label, in nats"),
    ("score", "1: everything from the lowest band; 0: the same from every band; negative: more from high bands"),
    ("SNR", "signal-to-noise ratio: energy of the image over energy of the perturbation, in dB"),
    ("robustness modulus", "the share of a band that a perturbation leaves: 1 intact, 0 gone"),
    ("interval", "where the number would lie with other images of the same kind, at the confidence stated"),
)
_LEFT_OUT = ("bands", "model_name", "data_name")


def section(material: Material) -> Section:
    """A part a run, folded away; words; citation."""
    runs = [_facts(number, run) for number, run in enumerate(material.runs, start=1)]
    words = Facts("What the words mean", GLOSSARY)
    return Section("provenance", "How it was made", "How this was made", (*runs, words, _citation(material)))


def _facts(number: int, run: Run) -> Facts:
    title = f"Run {number}: {run.kind}" + (f" of {run.model_name}" if run.model_name else "")
    code = (("Command to repeat it", command_of(run)),)
    return Facts(title, tuple(_pairs(run)), code)


def _pairs(run: Run) -> Iterator[tuple[str, str]]:
    if run.folder:
        yield "run folder", run.folder
    yield "state", f"not finished: {run.progress}" if run.progress else "finished"
    identity, settings = run.identity, _settings(run)
    for name in _LEFT_OUT:
        if settings.get(name):
            yield name.removesuffix("_name"), str(settings[name])
    yield from ((name.replace("_", " "), _plain(value)) for name, value in settings.items() if name not in _LEFT_OUT)
    for part in ("model", "data", "loader"):
        if isinstance(identity.get(part), Mapping):
            yield f"{part} identity", _plain(identity[part])
    for part in ("settled", "device", "threads"):
        known = run.about.get(part, identity.get(part))
        if known is not None:
            yield part, _plain(known)
    environment = run.about.get("environment") or {}
    versions = {"python": environment.get("python", ""), **environment.get("versions", {})}
    yield "versions", _plain({name: version for name, version in versions.items() if version})
    finished = (run.about.get("times") or {}).get("finished")
    if isinstance(finished, int | float):
        yield "finished", f"{datetime.fromtimestamp(finished, UTC):%Y-%m-%d %H:%M} UTC"


def _settings(run: Run) -> Mapping[str, Any]:
    """Of the first result, where a run has several."""
    settings: Any = getattr(run.parts[0], "settings", None) if run.parts else None
    if not hasattr(settings, "to_dict"):
        known = run.identity.get("settings")
        return known if isinstance(known, Mapping) else {}
    bands = getattr(settings, "bands", None)
    return {**settings.to_dict(), **({} if bands is None else {"bands": str(bands)})}


def _plain(value: Any) -> str:
    """Mappings and lists on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items() if item not in (None, [], {}))
    if isinstance(value, list | tuple):
        return (
            " × ".join(map(str, value))
            if all(isinstance(item, int | float) for item in value)
            else ", ".join(map(_plain, value))
        )
    return str(value)


def _citation(material: Material) -> Facts:
    from importlib.metadata import version

    known = {
        str((run.about.get("environment") or {}).get("versions", {}).get("spectrobe", "")) for run in material.runs
    }
    versions = sorted(known - {""}) or [version("spectrobe")]
    text = (
        ("The method", PAPER),
        ("The software", SOFTWARE.format(version=", ".join(versions))),
    )
    return Facts(
        "How to cite", (("in words", f"spectrobe {joined(versions)}, following Luo et al. (TMLR 2024)"),), text
    )
