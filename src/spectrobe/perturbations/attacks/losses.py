"""What attacks raise: one loss per image from logits (N, K) and labels (N,), in double precision where there is any."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spectrobe.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]


def _others(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits with the label's own at minus infinity."""
    return _precise(logits).scatter(1, labels[:, None], -torch.inf)


def _of_label(logits: Tensor, labels: Tensor) -> Tensor:
    return _precise(logits).gather(1, labels[:, None])[:, 0]


def _precise(logits: Tensor) -> Tensor:
    return logits.to(double(logits.device))


def double(device: torch.device) -> torch.dtype:
    """float64, or float32 on Apple's GPUs, which have nothing better."""
    return torch.float32 if device.type == "mps" else torch.float64


def log_odds_against(logits: Tensor, labels: Tensor) -> Tensor:
    """log((1 - q_y) / q_y): (N, K), (N,) -> (N,), the cross-entropy's rising function log(exp(-log q_y) - 1).

    It orders points as the cross-entropy does and its gradient has the same direction, so that attacks which use no
    more than that (steepest steps, comparisons) are attacks on the cross-entropy. But it does not saturate: for a
    confident model 1 - q_y rounds to 0, and the gradient of the cross-entropy with it.
    """
    return torch.logsumexp(_others(logits, labels), 1) - _of_label(logits, labels)


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """max_{i != y} z_i - z_y, positive once the model is fooled: (N, K), (N,) -> (N,)."""
    return _others(logits, labels).amax(1) - _of_label(logits, labels)


def difference_of_logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """DLR (Croce and Hein 2020, arXiv 2003.01690), which rescaling the logits does not change: (N, K), (N,) -> (N,).

    Raises InputError for fewer than 4 classes, where its denominator has too little to stand on.
    """
    if logits.shape[1] < 4:
        raise InputError(
            f"the DLR loss needs 4 classes or more, the model has {logits.shape[1]}: use the cross-entropy instead, "
            "apgd_ce_linf or apgd_ce_l2"
        )
    ranked = _precise(logits).sort(dim=1, descending=True).values
    return negative_margin(logits, labels) / (ranked[:, 0] - ranked[:, 2] + 1e-12)
