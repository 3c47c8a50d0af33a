"""spectrobe: which spatial frequencies an image model relies on, and whether they survive your images' noise."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectrobe import data as data
    from spectrobe import figures as figures
    from spectrobe import integrations as integrations
    from spectrobe.bands import BandPartition as BandPartition
    from spectrobe.data import open_data as open_data
    from spectrobe.engine.executor import RayOptions as RayOptions
    from spectrobe.errors import SpectrobeError as SpectrobeError
    from spectrobe.game import published as published
    from spectrobe.game.intervals import Estimate as Estimate
    from spectrobe.game.shapley import shapley_values as shapley_values
    from spectrobe.models import open_model as open_model
    from spectrobe.perturbations import perturbation as perturbation
    from spectrobe.report.build import report as report
    from spectrobe.spectrum import band_images as band_images
    from spectrobe.spectrum import coalition_images as coalition_images
    from spectrobe.studies.compare import compare as compare
    from spectrobe.studies.decompose.result import DecomposeResult as DecomposeResult
    from spectrobe.studies.decompose.study import decompose as decompose
    from spectrobe.studies.feature_snr.result import FeatureSnrResult as FeatureSnrResult
    from spectrobe.studies.feature_snr.study import feature_snr as feature_snr
    from spectrobe.studies.label_noise.result import LabelNoiseResult as LabelNoiseResult
    from spectrobe.studies.label_noise.study import label_noise as label_noise
    from spectrobe.studies.relate.result import RelateResult as RelateResult
    from spectrobe.studies.relate.study import relate as relate
    from spectrobe.studies.response.result import ResponseResult as ResponseResult
    from spectrobe.studies.response.study import response as response
    from spectrobe.studies.robustness.result import RobustnessResult as RobustnessResult
    from spectrobe.studies.robustness.study import robustness as robustness
    from spectrobe.studies.runs import load as load
    from spectrobe.studies.score_under import score_under as score_under
    from spectrobe.studies.snr.result import SnrResult as SnrResult
    from spectrobe.studies.snr.result import SnrStudy as SnrStudy
    from spectrobe.studies.snr.study import snr_study as snr_study
    from spectrobe.studies.snr.study import spectral_snr as spectral_snr
    from spectrobe.studies.track.result import TrackResult as TrackResult
    from spectrobe.studies.track.study import track as track
    from spectrobe.studies.watch.probe import Probe as Probe

_WHERE = {
    "BandPartition": "bands",
    "DecomposeResult": "studies.decompose.result",
    "Estimate": "game.intervals",
    "FeatureSnrResult": "studies.feature_snr.result",
    "LabelNoiseResult": "studies.label_noise.result",
    "ResponseResult": "studies.response.result",
    "RelateResult": "studies.relate.result",
    "Probe": "studies.watch.probe",
    "RayOptions": "engine.executor",
    "RobustnessResult": "studies.robustness.result",
    "SnrResult": "studies.snr.result",
    "SnrStudy": "studies.snr.result",
    "SpectrobeError": "errors",
    "TrackResult": "studies.track.result",
    "band_images": "spectrum",
    "coalition_images": "spectrum",
    "compare": "studies.compare",
    "data": "data",
    "decompose": "studies.decompose.study",
    "feature_snr": "studies.feature_snr.study",
    "figures": "figures",
    "integrations": "integrations",
    "label_noise": "studies.label_noise.study",
    "load": "studies.runs",
    "open_data": "data",
    "open_model": "models",
    "perturbation": "perturbations",
    "published": "game.published",
    "relate": "studies.relate.study",
    "report": "report",
    "response": "studies.response.study",
    "robustness": "studies.robustness.study",
    "score_under": "studies.score_under",
    "shapley_values": "game.shapley",
    "snr_study": "studies.snr.study",
    "spectral_snr": "studies.snr.study",
    "track": "studies.track.study",
}
"""Name -> the module that has it. Loaded on first use, so that `import spectrobe` is quick and needs torch alone."""

_MODULES = ("data", "figures", "integrations", "published", "report")

__all__ = [*_WHERE, "__version__"]  # the names above, as strings


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("spectrobe")
    if name not in _WHERE:
        raise AttributeError(f"module 'spectrobe' has no attribute {name!r}")
    module = import_module(f"spectrobe.{_WHERE[name]}")
    if name == "BandPartition":
        from spectrobe import equal_energy

        equal_energy.open_images = _open_images
    found = module if name in _MODULES else getattr(module, name)
    globals()[name] = found
    return found


def _open_images(data: Any, size: Any) -> Any:
    """For bands of equal energy: geometry is the lowest layer and cannot read data itself."""
    from spectrobe.data.batches import image_batches

    return image_batches(data, size)


def __dir__() -> list[str]:
    return sorted(__all__)
