"""The command that repeats a run, from what its run.json says."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.report.runs import Run

Words = list[str]


def command_of(run: Run) -> str:
    """One line for a shell; only the command's name and data where run.json does not say more."""
    identity = run.identity
    if not identity:
        return f"spectrobe {run.kind} ...  (made from Python: no run.json says how)"
    words = _WRITTEN.get(run.kind, _plain)(identity)
    return shlex.join(["spectrobe", *_CALLED.get(run.kind, run.kind).split(), *words])


def _decompose(identity: Mapping[str, Any]) -> Words:
    settings, selection = identity["settings"], identity.get("selection") or {}
    words = [settings["model_name"], settings["data_name"], "--bands", str(BandPartition.from_dict(settings["bands"]))]
    for name in ("value", "absence", "design", "confidence", "seed"):
        words += [f"--{name}", str(settings[name])]
    return words + _given(selection, "images", "tolerance") + ["--force"] * bool(settings.get("force"))


def _snr(identity: Mapping[str, Any]) -> Words:
    settings, selection = identity["settings"], identity.get("selection") or {}
    words = [settings["data_name"], "--bands", str(BandPartition.from_dict(settings["bands"]))]
    items = [one["item"] for one in identity.get("perturbations") or []]
    words += ["--perturb", ",".join(items)] if items else ["--against", "NOISY"]
    words += ["--model", settings["model_name"]] if settings["model_name"] else []
    for name in ("dc", "summary", "confidence", "seed"):
        words += [f"--{name}", str(settings[name])]
    words += _given(settings, "border", "quantize") + ["--luminance"] * bool(settings["luminance"])
    return words + _given(selection, "size", "patch", "images")


def _robustness(identity: Mapping[str, Any]) -> Words:
    settings, selection = identity["settings"], identity.get("selection") or {}
    words = [settings["model_name"], settings["data_name"]]
    items = [one["name"] for one in identity.get("conditions") or [] if one["kind"] != "folder"]
    words += ["--perturb", ",".join(items)] if items else []
    for name in ("confidence", "seed"):
        words += [f"--{name}", str(settings[name])]
    return words + _given(selection, "images")


def _study(identity: Mapping[str, Any]) -> Words:
    """What label-noise and feature-snr share."""
    settings = identity["settings"]
    recipe, train, held_out = settings["recipe"], identity["train"]["name"], identity["held_out"]["name"]
    words = ["demo" if settings.get("demo") else train]
    words += ["--test", held_out] if held_out != train else []
    for option, value in (
        ("arch", recipe["architecture"]), ("epochs", recipe["epochs"]), ("batch", recipe["batch_size"]),
        ("rate", recipe["rate"]), ("images", identity["train"]["images"] if held_out != train else None),
        ("seeds", settings["seeds"]), ("confidence", settings["confidence"]), ("seed", settings["seed"]),
    ):  # fmt: skip
        words += [f"--{option}", str(value)] if value is not None else []
    return words


def _label_noise(identity: Mapping[str, Any]) -> Words:
    settings = identity["settings"]
    words = [*_study(identity), "--rates", ",".join(f"{rate:g}" for rate in settings["rates"])]
    words += ["--bands", str(BandPartition.from_dict(settings["bands"]))]
    for name in ("kind", "value", "absence", "forward_passes"):
        words += [f"--{name.replace('_', '-')}", str(settings[name])]
    return words


def _feature_snr(identity: Mapping[str, Any]) -> Words:
    settings = identity["settings"]
    groups = BandPartition.from_dict(settings["groups"])
    words = [*_study(identity), "--bands", str(groups), "--groups", ",".join(map(str, range(groups.n_bands)))]
    words += ["--perturb", settings["perturbations"]] if settings["perturbations"] else []
    words += ["--inject", "none" if settings["inject_db"] is None else str(settings["inject_db"])]
    return [*words, "--test-images", str(settings["test_images"])]


def _plain(identity: Mapping[str, Any]) -> Words:
    settings = identity.get("settings")
    known = settings if isinstance(settings, Mapping) else {}
    return [str(known[name]) for name in ("model_name", "data_name") if known.get(name)]


def _given(source: Mapping[str, Any], *names: str) -> Words:
    """Options that were given."""
    words: Words = []
    for name in names:
        value = source.get(name)
        if value is not None:
            text = "x".join(map(str, value)) if isinstance(value, list) else str(value)
            words += [f"--{name}", text]
    return words


_WRITTEN: dict[str, Callable[[Mapping[str, Any]], Words]] = {
    "decompose": _decompose,
    "feature_snr": _feature_snr,
    "label_noise": _label_noise,
    "robustness": _robustness,
    "snr": _snr,
}

_CALLED = {"feature_snr": "study feature-snr", "label_noise": "study label-noise"}
"""Kinds of runs that are not called as their command is."""
