"""Label noise: the profile over epochs at each rate, and which bands left the clean curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.figures.style import nth_look
from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.charts.chart import Axis, Chart, Panels, Point, Series, Tick, round_ticks, span
from spectrobe.report.material import Material
from spectrobe.report.numbers import NOT_DEFINED, interval, number, places, plural
from spectrobe.studies.label_noise.wording import RULE, drawn, intervals, over
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.label_noise.result import Departure, LabelNoiseResult

READING = (
    "Networks trained on labels of which a known share is wrong on purpose; after every epoch their profile is read on "
    "clean held-out images, a panel a band."
)


def section(material: Material) -> Section | None:
    """For each study its sentence, every band over epochs, and the numbers at the end."""
    blocks: list[object] = []
    for number_, run in enumerate(material.of("label_noise")):
        result: LabelNoiseResult = run.result
        identity = f"label-noise-{number_}"
        blocks.append(Text((result.sentence(), f"{RULE} {intervals(result)}")))
        blocks.append(_panels(result, _Curves.of_profile(result), identity))
        blocks.append(_panels(result, _Curves.of_shares(result), f"{identity}-share"))
        blocks += [_outcomes(result, f"{identity}-outcome"), _table(result)]
    return Section("label-noise", "Label noise", "Under label noise", tuple(blocks), READING) if blocks else None


def rate_name(rate: float) -> str:
    """0 -> clean labels, 0.4 -> 40% wrong."""
    return "clean labels" if rate == 0 else f"{percent(rate)} wrong"


@dataclass(frozen=True)
class _Curves:
    """A number of each rate, epoch and band, (R, E, M), with the ends of its bars.

    title: of the panels, in front of the network.   label: of the axis.   unit: behind a number.   bars: what they are;
    empty, and NaN their ends, where there are none.
    """

    title: str
    label: str
    unit: str
    bars: str
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of_profile(cls, result: LabelNoiseResult) -> _Curves:
        level = percent(result.settings.confidence)
        return cls(
            "Shapley value of each band", f"Shapley value ({result.unit})", f" {result.unit}",
            f"simultaneous {level} intervals over {over(result)}", result.profile, result.profile_low,
            result.profile_high,
        )  # fmt: skip

    @classmethod
    def of_shares(cls, result: LabelNoiseResult) -> _Curves:
        """NaN where one seed has nothing above 0."""
        shares, seeds = result.shares, result.settings.seeds
        low, high = (
            (shares.min(axis=1), shares.max(axis=1)) if seeds > 1 else (np.full(shares[:, 0].shape, np.nan),) * 2
        )
        return cls(
            "Share of each band in the profile", "share of the profile", "",
            f"the range of {seeds} seeds, which is no interval" if seeds > 1 else "", shares.mean(axis=1), low, high,
        )  # fmt: skip


def _panels(result: LabelNoiseResult, curves: _Curves, identity: str) -> Panels:
    low, high = span(
        [end for part in (curves.value, curves.low, curves.high) for end in part.ravel().tolist()], zero=True
    )
    y = Axis(curves.label, low, high, round_ticks(low, high, 5))
    charts = [
        _chart(result, curves, f"{identity}-{band}", band, f"band {band}: {place} cycles/pixel", y)
        for band, place in enumerate(places(result.bands))
    ]
    return Panels(
        identity=identity,
        title=f"{curves.title} over epochs: {result.model_name}, {plural(result.settings.seeds, 'seed')} a rate",
        charts=tuple(charts),
        table=_bands(result, curves),
        legend="Labels",
        intervals=f"Bars: {curves.bars}; points: means over seeds." if curves.bars else "One seed: no bars.",
    )


def _chart(result: LabelNoiseResult, curves: _Curves, identity: str, band: int, title: str, y: Axis) -> Chart:
    def point(r: int, e: int, epoch: int) -> Point:
        value, low, high = (float(part[r, e, band]) for part in (curves.value, curves.low, curves.high))
        bar = None if np.isnan(low) else (low, high)
        says = f"{rate_name(result.rates[r])}, epoch {epoch}, {title}\n{number(value, 3)}{curves.unit}"
        says += f"\n{interval(low, high, 3)} ({curves.bars})" if bar else ""
        return Point(float(epoch), value, bar, says=says)

    return _over_epochs(result, identity, title, y, point)


def _over_epochs(
    result: LabelNoiseResult, identity: str, title: str, y: Axis, point: Callable[[int, int, int], Point]
) -> Chart:
    """A line a rate; points at which the number is not defined are left out. point: of rate r at place e, the epoch."""
    series = []
    for r, rate in enumerate(result.rates):
        points = [point(r, e, epoch) for e, epoch in enumerate(result.epochs.tolist())]
        there = tuple(one for one in points if not np.isnan(one.y))
        series.append(Series(f"rate-{r}", rate_name(rate), nth_look(r), there, "solid"))
    ends = ", ".join(f"{one.name} {number(one.points[-1].y)}" for one in series if one.points)
    return Chart(
        identity=identity, title=title, description=f"{title}, at the last epoch: {ends or NOT_DEFINED}.",
        x=_epochs(result), y=y, series=tuple(series), table=Table("", (), ()), small=True,
    )  # fmt: skip


def _bands(result: LabelNoiseResult, curves: _Curves) -> Table:
    rows = []
    for r, rate in enumerate(result.rates):
        for e, epoch in enumerate(result.epochs.tolist()):
            each = zip(curves.value[r, e], curves.low[r, e], curves.high[r, e], strict=True)
            cells = [_estimate(float(value), float(low), float(high), digits=3) for value, low, high in each]
            rows.append((Cell(rate_name(rate), rate), Cell(str(epoch), epoch), *cells))
    columns = ("labels", "epoch", *(f"{band}: {place}" for band, place in enumerate(places(result.bands))))
    caption = f"{curves.label}: means over seeds" + f", and {curves.bars}" * bool(curves.bars)
    return Table(caption, columns, tuple(rows), frozenset(range(1, len(columns))))


def _outcomes(result: LabelNoiseResult, identity: str) -> Panels:
    """Usable information and score over epochs."""
    told = (
        (result.settings.value.replace("-", " "), f"v(all) − v(empty) ({result.unit})", result.information_band),
        ("score", "score (1 low, 0 flat)", result.score_band),
    )
    charts = [_course(result, f"{identity}-{i}", *parts) for i, parts in enumerate(told)]
    rows = []
    for r, rate in enumerate(result.rates):
        for e, epoch in enumerate(result.epochs.tolist()):
            cells = [_estimate(*band[:, r, e].tolist()) for _, _, band in told]
            rows.append((Cell(rate_name(rate), rate), Cell(str(epoch), epoch), *cells))
    level = percent(result.settings.confidence)
    caption, columns = "Means over seeds with simultaneous intervals", ("labels", "epoch", *(one[0] for one in told))
    return Panels(
        identity=identity,
        title="Information and score over epochs",
        charts=tuple(charts),
        table=Table(caption, columns, tuple(rows), frozenset({1, 2, 3})),
        legend="Labels",
        intervals=f"Bars: simultaneous {level} intervals over {drawn(result)}, for all epochs at once; points: means "
        "over seeds.",
    )


def _course(result: LabelNoiseResult, identity: str, title: str, label: str, band: np.ndarray) -> Chart:
    """One number over epochs."""
    lowest, highest = span(band.ravel().tolist(), zero=True)

    def point(r: int, e: int, epoch: int) -> Point:
        value, low, high = band[:, r, e].tolist()
        says = f"{rate_name(result.rates[r])}, epoch {epoch}\n{title} {number(value, 3)}\n{interval(low, high, 3)}"
        return Point(float(epoch), value, None if np.isnan(low) else (low, high), says=says)

    y = Axis(label, lowest, highest, round_ticks(lowest, highest, 5))
    return _over_epochs(result, identity, title, y, point)


def _epochs(result: LabelNoiseResult) -> Axis:
    last = int(result.epochs[-1])
    shown = sorted({1, (1 + last) // 2, last})
    return Axis("epoch", 0.5, last + 0.5, tuple(Tick(float(at), str(at)) for at in shown))


def _estimate(value: float, low: float, high: float, digits: int = 2) -> Cell:
    if np.isnan(value):
        return Cell(NOT_DEFINED, float("-inf"))
    return Cell(number(value, digits), value, "" if np.isnan(low) else interval(low, high, digits))


def _left(found: Sequence[Departure], rate: float) -> str:
    return "; ".join(f"band {one.band} from epoch {one.epoch}" for one in found if one.rate == rate)


def _table(result: LabelNoiseResult) -> Table:
    """A row a rate: what came of the noise, and where training ended."""
    rows = []
    for r, rate in enumerate(result.rates):
        share = float(np.mean([one["share"] for one in result.noise[r]]))
        gain, score = (_estimate(*band[:, r, -1].tolist()) for band in (result.information_band, result.score_band))
        accuracy, fitted = float(result.accuracy[r, :, -1].mean()), float(result.fitted[r, :, -1].mean())
        left, moved = (_left(found, rate) for found in (result.departures, result.moves))
        rows.append(
            (
                Cell(rate_name(rate), rate),
                Cell(number(share, 3), share),
                Cell(number(accuracy, 3), accuracy),
                gain,
                score,
                Cell("" if np.isnan(fitted) else number(fitted, 3), -1.0 if np.isnan(fitted) else fitted),
                Cell(left),
                Cell(moved),
            )
        )
    columns = (
        "labels", "share wrong", "accuracy on the profile's images", f"information ({result.unit})", "score",
        "wrong labels fitted", "leaves the clean curve", "share of the profile does",
    )  # fmt: skip
    return Table("At the last epoch, means over seeds", columns, tuple(rows), frozenset({1, 2, 3, 4, 5}), True)
