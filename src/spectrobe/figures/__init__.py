"""Figures: functions that take results and return a matplotlib figure; nothing is recomputed, and no window is opened.

    fig = spectrobe.figures.profile(result)
    spectrobe.figures.save_figure(fig, "figures", "profile")

Every name is loaded when it is first used, so that importing spectrobe does not load matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectrobe.figures.band_strip_figure import band_strip
    from spectrobe.figures.heat_map_figure import fourier_heat_map
    from spectrobe.figures.label_noise_figure import label_noise
    from spectrobe.figures.label_noise_shares_figure import label_noise_shares
    from spectrobe.figures.overview_figure import overview
    from spectrobe.figures.prediction_figure import prediction
    from spectrobe.figures.profile_figure import profile
    from spectrobe.figures.response_figure import response
    from spectrobe.figures.response_spectra_figure import response_spectra
    from spectrobe.figures.robustness_figure import robustness
    from spectrobe.figures.score_robustness_figure import score_robustness
    from spectrobe.figures.scores_figure import scores
    from spectrobe.figures.snr_bias_figure import snr_bias
    from spectrobe.figures.snr_training_figure import snr_training
    from spectrobe.figures.style import save_figure, styled
    from spectrobe.figures.track_figure import track

__all__ = [
    "band_strip",
    "fourier_heat_map",
    "label_noise",
    "label_noise_shares",
    "overview",
    "prediction",
    "profile",
    "response",
    "response_spectra",
    "robustness",
    "save_figure",
    "score_robustness",
    "scores",
    "snr_bias",
    "snr_training",
    "styled",
    "track",
]

# No module may be named like a function: importing it would put the module in the function's place.
_HOME = {
    "band_strip": "band_strip_figure",
    "fourier_heat_map": "heat_map_figure",
    "label_noise": "label_noise_figure",
    "label_noise_shares": "label_noise_shares_figure",
    "overview": "overview_figure",
    "prediction": "prediction_figure",
    "profile": "profile_figure",
    "response": "response_figure",
    "response_spectra": "response_spectra_figure",
    "robustness": "robustness_figure",
    "save_figure": "style",
    "score_robustness": "score_robustness_figure",
    "scores": "scores_figure",
    "snr_bias": "snr_bias_figure",
    "snr_training": "snr_training_figure",
    "styled": "style",
    "track": "track_figure",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
