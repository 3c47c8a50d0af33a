"""From a payoff table to Shapley values: fit the temperatures, take payoffs at them, resample the images.

Goes over the table in chunks and adds up, so that memory does not grow with the number of images (but for N x M rows).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from spectrobe.game import shapley
from spectrobe.game.coalitions import Design, ExactDesign, sizes
from spectrobe.game.intervals import Replicates, weighted_covariance
from spectrobe.game.table import PayoffTable
from spectrobe.game.temperature import CAP, TEMPERATURES, at_temperature, best_temperature, interpolation_weights
from spectrobe.game.values import Value

_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Payoffs:
    """A payoff table that may be too large for memory.

    position: int64 (N,), ascending: the images' places in the data set.
    chunks: goes once over all rows, in any order.
    """

    position: np.ndarray
    chunks: Callable[[], Iterator[PayoffTable]]
    n_bands: int
    n_classes: int

    @classmethod
    def of(cls, table: PayoffTable) -> Payoffs:
        """A table in memory."""
        return cls(np.sort(table.position), _Whole(table), table.n_bands, table.n_classes)

    def subset(self, position: np.ndarray) -> Payoffs:
        """The rows of some images only."""
        kept = np.intersect1d(self.position, position)
        return Payoffs(kept, _Part(self.chunks, kept), self.n_bands, self.n_classes)

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True)
class _Whole:
    """Chunks of a table in memory; no closure, so that it can be pickled, as `_Part`."""

    table: PayoffTable

    def __call__(self) -> Iterator[PayoffTable]:
        return iter((self.table,))


@dataclass(frozen=True)
class _Part:
    """Chunks with the rows of some images only."""

    chunks: Callable[[], Iterator[PayoffTable]]
    position: np.ndarray

    def __call__(self) -> Iterator[PayoffTable]:
        for chunk in self.chunks():
            keep = np.isin(chunk.position, self.position)
            if keep.any():
                yield chunk.rows(np.flatnonzero(keep))


@dataclass(frozen=True)
class Fit:
    """One game, one value, solved. Images ascend by position.

    rows: (N, M) per-image Shapley values, with each image's effect on shared temperatures.
    coalition, payoffs: (N, K) masks and payoffs at the fitted temperatures.
    values, tau: (2**M,), NaN where not evaluated.   tau_at_cap: how many temperatures ended at the cap.
    by_size: {accuracy, tau, confidence} -> (M + 1,) means over coalitions of each size; with `clipped`, the share of
        pixel values, where coalition images were clipped.
    """

    rows: np.ndarray
    coalition: np.ndarray
    payoffs: np.ndarray
    values: np.ndarray
    tau: np.ndarray
    tau_at_cap: int
    by_size: dict[str, np.ndarray]


def fit_temperatures(payoffs: Payoffs, design: Design, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best inverse temperature of every group of coalitions for each row of image weights (R, N).

    Returns tau (R, G), NaN for a group without payoffs, and the weighted mean curves (R, G, T) they maximise.
    """
    n_groups, n_tau = design.n_groups, len(TEMPERATURES)
    total = np.zeros((len(weights), n_groups, n_tau))
    count = np.zeros((len(weights), n_groups))
    for chunk in payoffs.chunks():
        own = weights[:, np.searchsorted(payoffs.position, chunk.position)]
        if isinstance(design, ExactDesign):
            total += (own @ chunk.log_q[:, ::-1].reshape(len(chunk), -1).astype(np.float64)).reshape(total.shape)
            count += own.sum(axis=1, keepdims=True)
            continue
        for group, image, cell in _by_group(chunk, design):
            of_cells = own[:, image]
            total[:, group] += of_cells @ chunk.log_q[image, cell].astype(np.float64)
            count[:, group] += of_cells.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = total / count[:, :, None]
    return np.where(count > 0, best_temperature(mean), np.nan), mean


def fit(payoffs: Payoffs, design: Design, value: Value, tau: np.ndarray | None = None) -> Fit:
    """Per-image Shapley values at the temperatures fitted on all rows (or at given ones, (G,))."""
    fitted = tau is None
    if tau is None:
        tau = fit_temperatures(payoffs, design, np.ones((1, len(payoffs))))[0][0]
    n, k, m = len(payoffs), design.n_coalitions, design.n_bands
    rows, coalition, cells = np.empty((n, m)), np.empty((n, k), dtype=np.int64), np.empty((n, k))
    by_size: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(m + 1))
    for chunk in payoffs.chunks():
        at = np.searchsorted(payoffs.position, chunk.position)
        tau_cells = tau[design.groups(chunk.coalition)]
        cells[at] = value.payoffs(chunk, _row_if_shared(tau_cells, design))
        coalition[at] = chunk.coalition
        rows[at] = design.shapley_rows(chunk.coalition, cells[at])
        for name, what in (
            ("count", np.ones_like(tau_cells)),
            ("accuracy", chunk.predicted == chunk.label[:, None]),
            ("tau", tau_cells),
            ("confidence", chunk.confidence),
            ("clipped", chunk.clipped),
        ):
            if what is not None:
                by_size[name] += np.bincount(sizes(chunk.coalition).ravel(), np.ravel(what), m + 1)
    if fitted and value.fits_temperature and not isinstance(design, ExactDesign):
        rows += _effect_of_fitting(payoffs, design, tau)
    count = by_size.pop("count")
    seen = np.bincount(coalition.ravel(), minlength=2**m)
    with np.errstate(invalid="ignore"):
        values = np.bincount(coalition.ravel(), cells.ravel(), 2**m) / seen
    tau_table = np.full(2**m, np.nan)
    tau_table[coalition.ravel()] = tau[design.groups(coalition)].ravel()
    at_cap = int((tau[~np.isnan(tau)] >= CAP).sum())
    return Fit(rows, coalition, cells, values, tau_table, at_cap, {k: v / count for k, v in by_size.items()})


def replicate(payoffs: Payoffs, design: Design, value: Value, rows: np.ndarray, weights: np.ndarray) -> Replicates:
    """Shapley values for each row of image weights (R, N), temperatures refitted, with their covariances.

    rows: (N, M) per-image Shapley values at the temperatures fitted on all images, which give the covariances.
    """
    if value.fits_temperature:
        block = max(1, _BLOCK_BYTES // (8 * len(TEMPERATURES) * design.n_groups))
        blocks = [weights[start : start + block] for start in range(0, len(weights), block)]
        phi = np.concatenate([_refitted(payoffs, design, block) for block in blocks])
    else:
        phi = weights @ rows / weights.sum(1, keepdims=True)
    return Replicates(phi, weighted_covariance(rows, rows, weights))


def _refitted(payoffs: Payoffs, design: Design, weights: np.ndarray) -> np.ndarray:
    tau, curves = fit_temperatures(payoffs, design, weights)
    if isinstance(design, ExactDesign):
        # every image is in every group: the mean payoff is the mean curve at tau, but for a constant
        return shapley.shapley_values(at_temperature(curves, tau))
    at = interpolation_weights(np.nan_to_num(tau))
    total = np.zeros((len(weights), design.n_bands))
    for chunk in payoffs.chunks():
        own = weights[:, np.searchsorted(payoffs.position, chunk.position)]
        in_shapley = design.shapley_weights(chunk.coalition)
        for group, image, cell in _by_group(chunk, design):
            payoff = at[:, group] @ chunk.log_q[image, cell].astype(np.float64).T
            total += (own[:, image] * payoff) @ in_shapley[image, cell]
    return np.asarray(total / weights.sum(1, keepdims=True))


def _effect_of_fitting(payoffs: Payoffs, design: Design, tau: np.ndarray) -> np.ndarray:
    """How each image moves the Shapley values through the temperatures fitted on it, to first order: (N, M), sum zero.

    A group's mean curve is level at its temperature, those of its coalitions are not; left out, standard errors of
    bands that hold little come out 12 % too large. (In the exact design a group is one coalition: no effect.)
    """
    at = np.nan_to_num(tau)
    slope, bend = interpolation_weights(at, 1), interpolation_weights(at, 2)
    own_slope, total_bend = np.zeros((len(payoffs), design.n_groups)), np.zeros(design.n_groups)
    phi_slope = np.zeros((design.n_groups, design.n_bands))
    for chunk in payoffs.chunks():
        image = np.searchsorted(payoffs.position, chunk.position)[:, None]
        groups = design.groups(chunk.coalition)
        cell_slope = np.einsum("nkt,nkt->nk", chunk.log_q, slope[groups])
        np.add.at(own_slope, (image, groups), cell_slope)
        np.add.at(total_bend, groups, np.einsum("nkt,nkt->nk", chunk.log_q, bend[groups]))
        np.add.at(phi_slope, groups, cell_slope[:, :, None] * design.shapley_weights(chunk.coalition))
    free = (tau > 0) & (tau < CAP) & (total_bend < 0)
    tau_moves = np.where(free, -own_slope / np.where(free, total_bend, 1.0), 0.0)
    return np.asarray(tau_moves @ phi_slope)


def _by_group(chunk: PayoffTable, design: Design) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The cells of each group that there is: group, and image and place of each cell.

    A group holds few of the cells: going through them costs as many steps as there are cells, not groups times cells.
    """
    groups = design.groups(chunk.coalition).ravel()
    order = np.argsort(groups, kind="stable")
    found, first = np.unique(groups[order], return_index=True)
    for group, cells in zip(found, np.split(order, first[1:]), strict=True):
        image, cell = np.divmod(cells, chunk.coalition.shape[1])
        yield int(group), image, cell


def _row_if_shared(tau_cells: np.ndarray, design: Design) -> np.ndarray:
    """In the exact design all images have the same temperatures: one row of them, which is faster."""
    return tau_cells[0] if isinstance(design, ExactDesign) else tau_cells
