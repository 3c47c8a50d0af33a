"""`spectrobe demo`: the main job on a real model and real photographs, without a download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spectrobe.cli import options
from spectrobe.cli.folders import run_folder
from spectrobe.cli.terminal import Terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from spectrobe.studies.decompose.result import DecomposeResult

MODEL, DATA, FOLDER = "demo:efficientnet-lite0", "demo", "runs/demo"
PHOTOGRAPH = 17  # of those in `demo`, the one under the profile: an eagle, feathers in front of a smooth ground
NEXT = (
    "Next, your own model and images (one folder a class): "
    "spectrobe decompose 'timm:resnet50?checkpoint=weights.safetensors&num_classes=10' path/to/images"
)


def command(
    out: options.Out = FOLDER,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """Decompose EfficientNet-Lite0 (ImageNet weights) on 20 labelled photographs, and say what it means."""
    from spectrobe.cli import show
    from spectrobe.cli.opening import open_both
    from spectrobe.cli.outcome import finish
    from spectrobe.studies.decompose.study import decompose
    from spectrobe.studies.decompose.wording import sentence

    terminal = Terminal(quiet, json)
    settings: dict[str, Any] = {"value": "usable-information", "absence": "mean", "design": "exact", "seed": seed}
    with run_folder(out, "demo", MODEL) as folder:
        result = _kept(folder, settings)
        if result is None:
            with terminal.progress() as progress:
                model, data, place = open_both(MODEL, DATA, device, {}, {})
                result = decompose(model, data, bands=8, **settings, device=place, out=folder, progress=progress)
        both = [result, result.with_value("log-likelihood")]
        parts = [*show.decomposition(both, terminal.out), sentence(result), "", NEXT]
        return finish(terminal, folder, "overview", lambda: _figure(both), parts)


def _kept(folder: str, settings: dict[str, Any]) -> DecomposeResult | None:
    """The demo's own result where it is kept, so that a second call returns at once."""
    from spectrobe.engine.store import RunFolder
    from spectrobe.studies.runs import load

    if not RunFolder(folder).exists("result.json"):
        return None
    result = load(folder)
    expected = settings | {"model_name": MODEL, "data_name": DATA}
    return result if all(getattr(result.settings, name) == value for name, value in expected.items()) else None


def _figure(results: list[DecomposeResult]) -> Figure:
    from spectrobe import figures
    from spectrobe.data import open_data
    from spectrobe.models import open_model
    from spectrobe.studies.decompose.wording import sentence

    photograph = open_data(DATA).pixels(PHOTOGRAPH, open_model(MODEL).geometry)
    return figures.overview(results, photograph, sentence(results[0]))
