"""Which orders of the bands the permutation design should show an image: variance for the same forward passes.

    python benchmarks/permutation_designs.py [--images 1000] [--large-images 16] [--out FILE]

Every image is shown the chains of eight orders (four shifts of a random one, and their reverses). Each scheme is a
choice of these chains, so all are compared on the same images and payoffs: the variance of per-image Shapley values at
the same temperatures, times the forward passes an image, relative to an order and its reverse. Below 1 is cheaper for
the same standard error. Brackets: 95 % of resamples of the images. Then: what the intervals cost beside the game.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import cifar10, cifar_resnet8, machine

import spectrobe as sb
from spectrobe.bands import BandPartition
from spectrobe.engine.absence import Mean, Surroundings
from spectrobe.engine.evaluate import Evaluator, Shard
from spectrobe.engine.progress import Silent
from spectrobe.game.coalitions import PermutationDesign
from spectrobe.game.fit import Payoffs, fit, fit_temperatures, replicate
from spectrobe.game.intervals import bootstrap_weights
from spectrobe.game.orders import Orders
from spectrobe.game.scores import score_functions
from spectrobe.game.table import PayoffTable
from spectrobe.game.temperature import UNIT, at_temperature
from spectrobe.game.values import make_value

LOG = Path(__file__).resolve().parents[1] / "docs" / "logs" / "permutation-designs.txt"
SHIFTS = 4
# chains of the full scheme, shift by shift, each followed by its reverse: which ones a scheme is made of, all ways
SCHEMES: dict[str, tuple[int, bool, list[list[int]]]] = {
    "one order": (1, False, [[chain] for chain in range(8)]),
    "order and reverse": (1, True, [[0, 1], [2, 3], [4, 5], [6, 7]]),
    "two shifts": (2, False, [[0, 4], [2, 6], [1, 5], [3, 7]]),
    "two shifts and reverses": (2, True, [[0, 1, 4, 5], [2, 3, 6, 7]]),
    "four shifts": (4, False, [[0, 2, 4, 6], [1, 3, 5, 7]]),
    "four shifts and reverses": (4, True, [list(range(8))]),
}


def chain_rows(table: PayoffTable, design: PermutationDesign, payoffs: np.ndarray) -> np.ndarray:
    """Shapley values by each chain alone: (chains, N, M)."""
    rows = np.zeros((design.orders.n_chains, len(table), design.n_bands))
    image = np.arange(len(table))[:, None]
    for own, chain in zip(rows, design.orders.chains, strict=True):
        more, less = chain[:-1], chain[1:]
        band = np.log2(table.coalition[:, more] ^ table.coalition[:, less]).astype(int)
        own[image, band] = payoffs[:, more] - payoffs[:, less]
    return rows


def position_share(table: PayoffTable, design: PermutationDesign, rows: np.ndarray) -> np.ndarray:
    """Share of a single order's variance that lies between places in the order, by band: (M,)."""
    shares = []
    for own, chain in zip(rows, design.orders.chains, strict=True):
        place = np.empty((len(table), design.n_bands), dtype=int)
        band = np.log2(table.coalition[:, chain[:-1]] ^ table.coalition[:, chain[1:]]).astype(int)
        place[np.arange(len(table))[:, None], band] = np.arange(design.n_bands)
        between = np.zeros(design.n_bands)
        for i in range(design.n_bands):
            sums = np.bincount(place[:, i], own[:, i], design.n_bands)
            counts = np.bincount(place[:, i], minlength=design.n_bands)
            means = np.divide(sums, counts, out=np.zeros(design.n_bands), where=counts > 0)
            noise = (design.n_bands - 1) / len(table) * own[:, i].var()
            between[i] = (counts * (means - own[:, i].mean()) ** 2).sum() / len(table) - noise
        shares.append(between / own.var(axis=0))
    return np.mean(shares, axis=0)


def play(model: Any, pixels: torch.Tensor, labels: np.ndarray, n_bands: int) -> tuple[PayoffTable, PermutationDesign]:
    """The payoff table of all chains, in shards of 8 images."""
    design, bands = PermutationDesign(n_bands, shifts=SHIFTS), BandPartition.square(n_bands)
    ids = tuple(str(i) for i in range(len(pixels)))
    surroundings = Surroundings(ids, lambda positions: ((p, pixels[p]) for p in positions), 0)
    absence = Mean(Mean.measure(surroundings), surroundings)
    with torch.no_grad(), model.prepared(torch.device("cpu")) as forward:
        evaluator = Evaluator(forward, model.n_classes, bands, design, absence, torch.device("cpu"), 32)
        parts = []
        for start in range(0, len(pixels), 8):
            some = slice(start, min(start + 8, len(pixels)))
            shard = Shard(tuple(range(len(pixels)))[some], ids[some], labels[some], pixels[some])
            parts.append(evaluator.payoff_table(shard, Silent()))
        return PayoffTable.concatenate(parts), design


def compared(name: str, table: PayoffTable, design: PermutationDesign, value: str) -> Iterator[str]:
    """A row a scheme: passes an image; bands and the score, relative to an order and its reverse."""
    if value == "usable-information":
        tau = fit_temperatures(Payoffs.of(table), design, np.ones((1, len(table))))[0][0]
        payoffs = at_temperature(table.log_q, np.nan_to_num(tau)[design.groups(table.coalition)])
    else:
        payoffs = table.log_q[:, :, UNIT].astype(float)
    rows = chain_rows(table, design, payoffs)
    score = score_functions(BandPartition.square(design.n_bands))["signed"]
    phi, step = rows.mean(axis=(0, 1)), 1e-5
    bumps = step * np.eye(design.n_bands)
    slope = (score(phi + bumps) - score(phi - bumps)) / (2 * step)
    draws = np.random.default_rng(0).integers(len(table), size=(200, len(table)))
    costs: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}
    for scheme, (shifts, reverse, ways) in SCHEMES.items():
        passes = len(Orders(design.n_bands, shifts, reverse).places) - 1
        per_image = [rows[way].mean(axis=0) for way in ways]
        quantities = np.stack([np.concatenate([one, (one @ slope)[:, None]], axis=1) for one in per_image])
        whole = quantities.var(axis=1, ddof=1).mean(axis=0)
        again = np.stack([quantities[:, draw].var(axis=1, ddof=1).mean(axis=0) for draw in draws])
        costs[scheme] = passes, passes * whole, passes * again
    _, base, base_again = costs["order and reverse"]
    share = position_share(table, design, rows)
    yield (
        f"{name}, {value}, M = {design.n_bands}, {len(table)} images; "
        f"place in the order explains {share.mean():.0%} of one order's variance (worst band {share.max():.0%})"
    )
    yield f"  {'scheme':<26}{'passes':>8}{'mean of bands':>24}{'worst band':>12}{'best band':>12}{'score':>24}"
    for scheme, (passes, cost, again) in costs.items():
        ratio, drawn = cost / base, again / base_again
        mean, means = ratio[:-1].mean(), drawn[:, :-1].mean(axis=1)
        cells = [
            f"{value:.2f} [{np.quantile(some, 0.025):.2f}, {np.quantile(some, 0.975):.2f}]"
            for value, some in ((mean, means), (ratio[-1], drawn[:, -1]))
        ]
        yield (
            f"  {scheme:<26}{passes:>8}{cells[0]:>24}{ratio[:-1].max():>12.2f}{ratio[:-1].min():>12.2f}{cells[1]:>24}"
        )


def intervals_beside_game(model: Any, pixels: torch.Tensor, labels: np.ndarray, n_bands: int) -> str:
    """CPU seconds of forward passes, and of temperatures and intervals, on the same images."""
    start = time.process_time()
    full, wide = play(model, pixels, labels, n_bands)
    played = (time.process_time() - start) * 2 * n_bands / wide.n_coalitions
    design = PermutationDesign(n_bands)
    cells = [
        [row.tolist().index(mask) for mask in design.coalitions(image)]
        for row, image in zip(full.coalition, full.ids, strict=True)
    ]
    image, place = np.arange(len(full))[:, None], np.asarray(cells)
    columns = {name: getattr(full, name)[image, place] for name in ("coalition", "log_q", "predicted", "margin")}
    table = PayoffTable(
        full.position, full.ids, full.label, full.digest, full.band_power, **columns,
        confidence=full.confidence[image, place], n_classes=full.n_classes,
    )  # fmt: skip
    payoffs, value = Payoffs.of(table), make_value("usable-information")
    start = time.process_time()
    fitted = fit(payoffs, design, value)
    weights = np.concatenate([np.ones((1, len(table))), bootstrap_weights(len(table), 0)])
    replicate(payoffs, design, value, fitted.rows, weights)
    intervals = time.process_time() - start
    return (
        f"M = {n_bands}, {len(table)} images: {played:.1f} s for the game, {intervals:.1f} s for temperatures and "
        f"intervals: {intervals / played:.2f} of it"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="CIFAR-10 images for cifar-resnet8")
    parser.add_argument("--large-images", type=int, default=16, help="photographs for EfficientNet-Lite0; 0: none")
    parser.add_argument("--out", type=Path, default=LOG)
    options = parser.parse_args()
    lines: list[str] = []

    def tell(line: str = "") -> None:
        lines.append(line)
        print(line, flush=True)

    tell(f"$ python benchmarks/permutation_designs.py --images {options.images} --large-images {options.large_images}")
    tell(f"absence mean, square bands; {machine()}")
    tell("variance x forward passes, relative to an order and its reverse; below 1 is cheaper")
    small = sb.open_model(cifar_resnet8())
    small.n_classes = 10
    pixels, labels = cifar10(options.images)
    for n_bands in (8, 16):
        table, design = play(small, pixels, labels.numpy(), n_bands)
        for value in ("usable-information", "log-likelihood"):
            tell()
            for line in compared("cifar-resnet8 on CIFAR-10", table, design, value):
                tell(line)
    if options.large_images:
        data = sb.open_data("demo")
        large = sb.open_model("demo:efficientnet-lite0")
        some = range(0, len(data), max(1, len(data) // options.large_images))[: options.large_images]
        photographs = torch.stack([data.pixels(i, large.geometry) for i in some])
        table, design = play(large, photographs, data.labels[list(some)], 16)
        tell()
        for line in compared("EfficientNet-Lite0 on demo photographs", table, design, "log-likelihood"):
            tell(line)
    tell()
    tell("CPU seconds, 1,000 replicates, cifar-resnet8 on CIFAR-10 at 48 px")
    larger = torch.nn.functional.interpolate(
        pixels[:300], size=48, mode="bilinear", antialias=True
    )  # room for 20 rings
    for n_bands in (16, 20):
        tell(intervals_beside_game(small, larger, labels.numpy()[:300], n_bands))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
