"""The command that repeats a run, from what its run.json says."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.engine.run import COMMANDS
from spectrobe.errors import InputError
from spectrobe.perturbations import parse_perturbations
from spectrobe.report.runs import Run

Words = list[str]
_MODEL_OPTIONS = ("num_classes", "mean", "std", "size", "crop", "interpolation")


def command_of(run: Run) -> str:
    """One line for a shell; only the command's name and data where run.json does not say more."""
    if run.kind == "relate" and run.result is not None:
        return f"spectrobe relate RUN... {shlex.join(_relate(run))}"
    if not run.identity:
        return f"spectrobe {run.kind} ...  (made from Python: no run.json says how)"
    words = _WRITTEN.get(run.kind, _plain)(run)
    command = COMMANDS.get(run.kind, run.kind).split()
    return shlex.join(["spectrobe", *command, *words, *_read_with(run), *_loading(run.identity)])


def _decompose(run: Run) -> Words:
    identity, settings, selection = _parts(run)
    words = [_model(run), _data(run)]
    words += ["--bands", str(BandPartition.from_dict(settings["bands"]))]
    for name in ("value", "absence", "design", "confidence", "seed"):
        words += [f"--{name}", str(settings[name])]
    flags = [f"--{name}" for name in ("force", "clip") if settings.get(name)]
    return words + _given(selection, "images", "tolerance") + flags + _asked(identity)


def _response(run: Run) -> Words:
    identity, settings, selection = _parts(run)
    words = [_model(run), _data(run)]
    items = [one["name"] for one in identity.get("conditions") or []]
    words += _perturb([*items, *_refused(identity)])
    words += ["--bands", str(BandPartition.from_dict(settings["bands"]))]
    words += ["--powers", ",".join(map(repr, settings["powers"])), "--under", settings["under"] or "none"]
    for name in ("absence", "confidence", "seed"):
        words += [f"--{name}", str(settings[name])]
    plan = settings.get("heat_map")
    if plan:
        words += ["--heat-map", repr(plan["norm"]), "--heat-map-step", str(plan["step"])]
        words += ["--heat-map-images", str(plan["images"])]
    return words + _given(selection, "images") + _asked(identity)


def _snr(run: Run) -> Words:
    identity, settings, selection = _parts(run)
    words = [_data(run), "--bands", str(BandPartition.from_dict(settings["bands"]))]
    items = [one["item"] for one in identity.get("perturbations") or []]
    words += _perturb([*items, *_refused(identity)]) or ["--against", "NOISY"]
    words += ["--model", _model(run)] if settings["model_name"] else []
    for name in ("dc", "summary", "confidence", "seed"):
        words += [f"--{name}", str(settings[name])]
    words += _given(settings, "border", "quantize") + ["--luminance"] * bool(settings["luminance"])
    words += ["--labels", "prediction"] if settings.get("labels") == "prediction" else []
    return words + _given(selection, "size", "patch", "images")


def _robustness(run: Run) -> Words:
    identity, settings, selection = _parts(run)
    words = [_model(run), _data(run)]
    conditions = identity.get("conditions") or []
    stored = [one for one in conditions if "digest" in one["settings"]]
    items = [one["name"] for one in conditions if one not in stored]
    words += _perturb([*items, *_refused(identity)])
    for name in ("confidence", "seed"):
        words += [f"--{name}", str(settings[name])]
    kinds = {one["kind"] for one in stored}
    words += ["--against", "NOISY"] * ("folder" in kinds) + ["--tree", "ROOT"] * ("corruption" in kinds)
    words += ["--relative-to", "RUN"] if getattr(run.result, "reference", None) else []
    return words + _given(selection, "images") + _asked(identity)


def _track(run: Run) -> Words:
    identity, settings, _ = _parts(run)
    words = [str(one["file"]) for one in (run.about.get("checkpoints") or {}).values()]
    words += ["--model", str(identity["model"]), "--data", _data(run, str(identity["data"].get("name")))]
    words += ["--bands", str(BandPartition.from_dict(settings["bands"]))]
    for name in ("value", "absence", "design", "confidence", "seed"):
        words += [f"--{name}", str(settings[name])]
    words += _given(settings, "images") + _given(identity.get("model_options") or {}, *_MODEL_OPTIONS)
    return words + _asked({"asked": settings}) + ["--force"] * bool(settings.get("force"))


def _relate(run: Run) -> Words:
    settings = run.result.settings
    words = ["--value", ",".join(settings.values)]
    words += [word for name in ("only", "without") for one in getattr(settings, name) for word in (f"--{name}", one)]
    return [*words, "--confidence", str(settings.confidence), "--seed", str(settings.seed)]


def _plain(run: Run) -> Words:
    _, settings, _ = _parts(run)
    names = (_model(run), settings.get("data_name"))
    return [str(name) for name in names if name]


def _perturb(items: Sequence[str]) -> Words:
    return ["--perturb", ",".join(items)] if items else []


def _refused(identity: Mapping[str, Any]) -> list[str]:
    """Perturbations that were asked for and could not be measured: the same call asks for them again."""
    return [name for name in identity.get("refused") or {} if _is_item(name)]


def _is_item(name: str) -> bool:
    try:
        return bool(parse_perturbations(name))
    except InputError:
        return False


def _parts(run: Run) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """What run.json says: all of it, the settings, which images were chosen."""
    identity = run.identity
    settings, selection = identity.get("settings"), identity.get("selection")
    return identity, settings if isinstance(settings, Mapping) else {}, selection or {}


def _model(run: Run) -> str:
    """The model string, with the options that were said beside it."""
    _, settings, _ = _parts(run)
    return str(run.about.get("written") or settings.get("model_name") or "")


def _data(run: Run, name: str = "") -> str:
    """The data string as it was given; of older runs, and of data that were no string, their name."""
    _, settings, _ = _parts(run)
    return str(run.about.get("data_written") or name or settings["data_name"])


def _asked(identity: Mapping[str, Any]) -> Words:
    """How it was to run, where that was said."""
    asked = {name: value for name, value in (identity.get("asked") or {}).items() if value != "auto"}
    return _given(asked, "precision", "batch_size")


def _read_with(run: Run) -> Words:
    """How the images and labels were read, where that was said; a class map that was no file stands as CLASSES.json."""
    said = dict(run.about.get("data_options") or {})
    if isinstance(said.get("class_map"), Mapping):
        said["class_map"] = "CLASSES.json"
    return _given(said, "class_map", "image_column", "label_column")


def _loading(identity: Mapping[str, Any]) -> Words:
    loader = identity.get("loader")
    return ["--on-bad-image", "skip"] if isinstance(loader, Mapping) and loader.get("on_bad_image") == "skip" else []


def _study(run: Run) -> Words:
    """What label-noise and feature-snr share."""
    identity, settings, _ = _parts(run)
    recipe, train, held_out = settings["recipe"], identity["train"]["name"], identity["held_out"]["name"]
    words = ["demo" if settings.get("demo") else train]
    words += ["--test", held_out] if held_out != train else []
    said = run.about.get("data_options")
    if said is None:  # earlier runs do not say what was asked for
        repeated = any("were left out of training" in warning for warning in run.about.get("warnings", ()))
        said = {} if repeated else {"images": identity["train"]["images"]}
    for option, value in (
        ("arch", recipe["architecture"]), ("epochs", recipe["epochs"]), ("batch", recipe["batch_size"]),
        ("learning-rate", recipe["rate"]), ("images", said.get("images")), ("size", _text(said.get("size"))),
        ("precision", None if settings["precision"] == "auto" else settings["precision"]),
        ("seeds", settings["seeds"]), ("confidence", settings["confidence"]), ("seed", settings["seed"]),
    ):  # fmt: skip
        words += [f"--{option}", str(value)] if value is not None else []
    return words


def _label_noise(run: Run) -> Words:
    _, settings, _ = _parts(run)
    words = [*_study(run), "--rates", ",".join(f"{rate:g}" for rate in settings["rates"])]
    words += ["--bands", str(BandPartition.from_dict(settings["bands"]))]
    for name in ("kind", "value", "absence", "forward_passes"):
        words += [f"--{name.replace('_', '-')}", str(settings[name])]
    return words


def _feature_snr(run: Run) -> Words:
    _, settings, _ = _parts(run)
    groups = BandPartition.from_dict(settings["groups"])
    words = [*_study(run), "--bands", str(groups), "--groups", ",".join(map(str, range(groups.n_bands)))]
    words += ["--perturb", settings["perturbations"]] if settings["perturbations"] else []
    words += ["--inject", "none" if settings["inject_db"] is None else str(settings["inject_db"])]
    return [*words, "--test-images", str(settings["test_images"])]


def _given(source: Mapping[str, Any], *names: str) -> Words:
    """Options that were given."""
    words: Words = []
    for name in names:
        value = source.get(name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(_text(value))]
    return words


def _text(value: object) -> object:
    """A size as it is written on the command line."""
    return "x".join(map(str, value)) if isinstance(value, list) else value


_WRITTEN: dict[str, Callable[[Run], Words]] = {
    "decompose": _decompose,
    "feature_snr": _feature_snr,
    "label_noise": _label_noise,
    "response": _response,
    "robustness": _robustness,
    "snr": _snr,
    "track": _track,
}
