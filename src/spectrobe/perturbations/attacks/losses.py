"""What attacks raise: one loss per image from logits (N, K) and labels (N,), in double precision where there is any.

Single precision loses the gradient of confident models: 1 - q_y rounds to 0 long before the other classes' shares do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from spectrobe.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]


def _precise(logits: Tensor) -> Tensor:
    return logits.float() if logits.device.type == "mps" else logits.double()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """- log q_y in nats: (N, K), (N,) -> (N,)."""
    return F.cross_entropy(_precise(logits), labels, reduction="none")


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """max_{i != y} z_i - z_y, positive once the model is fooled: (N, K), (N,) -> (N,)."""
    logits = _precise(logits)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return others - logits.gather(1, labels[:, None])[:, 0]


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
