"""A response result as flat rows, a number each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectrobe.studies.response.result import Curve, ResponseResult


def frame_rows(result: ResponseResult) -> list[dict[str, Any]]:
    """measure, perturbation, band, low_frequency, high_frequency (cycles/pixel), power, value, stderr, low, high."""
    rows = [
        _row(name, estimate.value, estimate.stderr, estimate.low, estimate.high)
        for name, estimate in result.numbers.items()
    ]
    edges = result.bands.cycles_per_pixel()
    per_band: dict[str, Curve] = {"masking sensitivity": result.masking.sensitivity}
    if result.gradient is not None:
        gradient = result.gradient
        per_band |= {
            "gradient energy": gradient.energy,
            "gradient energy per bin": gradient.per_bin,
            "gradient share": gradient.share,
        }
    for name, curve in per_band.items():
        rows += [_of_curve(name, curve, k, k, edges[k]) for k in range(len(edges))]
    powers = result.masking.powers
    for name, curve in {
        "accuracy under band noise": result.masking.accuracy,
        "log-likelihood under band noise": result.masking.log_likelihood,
    }.items():
        for place in range(len(curve.value)):
            band = place // len(powers)
            row = _of_curve(name, curve, place, band, edges[band])
            rows.append(row | {"power": float(powers[place % len(powers)])})
    return [*rows, *_cutoff_rows(result), *_claim_rows(result)]


def _cutoff_rows(result: ResponseResult) -> Iterator[dict[str, Any]]:
    cutoffs = result.cutoffs
    curves = {
        "low-pass accuracy": cutoffs.low_pass,
        "high-pass accuracy": cutoffs.high_pass,
        "low-pass log-likelihood": cutoffs.low_log_likelihood,
        "high-pass log-likelihood": cutoffs.high_log_likelihood,
        "low-pass accuracy under": cutoffs.low_pass_under,
        "high-pass accuracy under": cutoffs.high_pass_under,
    }
    for name, curve in curves.items():
        for place, frequency in enumerate(cutoffs.frequency if curve is not None else ()):
            span = (0.0, frequency) if name.startswith("low") else (frequency, 0.5)
            row = _of_curve(name, curve, place, None, span)
            yield row | {"perturbation": cutoffs.under if name.endswith("under") else None}


def _claim_rows(result: ResponseResult) -> Iterator[dict[str, Any]]:
    if result.claim is None:
        return
    claim = result.claim
    for place, name in enumerate(claim.names):
        low, high = claim.drop_interval[place]
        yield _row("drop of accuracy", float(claim.drop[place]), None, float(low), float(high)) | {"perturbation": name}
        for predictor, prediction in claim.predictions.items():
            value = float(prediction.predicted[place])
            yield _row(f"drop predicted from {predictor}", value, None, None, None) | {"perturbation": name}


def _of_curve(name: str, curve: Curve | None, place: int, band: int | None, span: Any) -> dict[str, Any]:
    if curve is None:
        return _row(name, None, None, None, None)
    low, high = curve.interval[place]
    row = _row(name, float(curve.value[place]), float(curve.stderr[place]), float(low), float(high))
    return row | {"band": band, "low_frequency": float(span[0]), "high_frequency": float(span[1])}


def _row(name: str, value: float | None, stderr: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    blank = dict.fromkeys(("perturbation", "band", "low_frequency", "high_frequency", "power"))
    return {"measure": name, **blank, "value": value, "stderr": stderr, "low": low, "high": high}
