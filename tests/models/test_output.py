"""What models return: each form that is taken, each that is refused by name."""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spectrobe.errors import ModelOutputError
from spectrobe.models.output import check_finite, to_logits

LOGITS = torch.arange(12.0).view(4, 3)
Pair = namedtuple("Pair", "logits aux_logits2 aux_logits1")


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        LOGITS.double(),
        LOGITS.half(),
        LOGITS.numpy(),
        LOGITS.view(4, 3, 1, 1),
        {"logits": LOGITS, "hidden": torch.zeros(4, 7)},
        {"anything": LOGITS},
        SimpleNamespace(logits=LOGITS),
        Pair(LOGITS, torch.zeros(4, 3), torch.zeros(4, 3)),
        (LOGITS, torch.zeros(4, 7, 2, 2)),
        [LOGITS],
        ({"logits": LOGITS},) and {"logits": (LOGITS,)},
    ],
    ids=lambda output: type(output).__name__,
)
def test_taken(output):
    logits = to_logits(output, 4, None, "net")
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, LOGITS)


REFUSED = [
    (torch.zeros(3, 3), None, r"expected logits \(4, K\) for 4 images, got shape \(3, 3\)"),
    (torch.zeros(()), None, r"for 4 images, got shape \(\)"),
    (torch.zeros(4, 3, dtype=torch.int64), None, "got torch.int64: return scores, not class indices"),
    (torch.zeros(4, 3, dtype=torch.bool), None, "got torch.bool"),
    (torch.zeros(4, 21, 8, 8), None, "segmentation or dense head"),
    ({"out": torch.zeros(4, 21, 8, 8)}, None, "segmentation or dense head"),
    (torch.zeros(4, 9, 3), None, "sequence, dense or detection head"),
    ([{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}] * 4, None, "detection head is no classifier"),
    ({"logits": torch.zeros(4, 9, 3), "pred_boxes": torch.zeros(4, 9, 4)}, None, "detection head is no classifier"),
    ((LOGITS, torch.zeros(4, 7)), None, r"expected one tensor of logits .* tuple of 0 \(4, 3\), 1 \(4, 7\)"),
    ({"pooled": LOGITS, "features": torch.zeros(4, 7)}, None, r"pooled \(4, 3\), features \(4, 7\)"),
    ((), None, "tuple of nothing"),
    (None, None, "got NoneType: return a tensor"),
    ("cat", None, "got str"),
    (torch.zeros(4, 1), None, r"got 1 \(K = 1\): give num_classes=2"),
    (torch.zeros(4), None, r"got 1 \(K = 1\): give num_classes=2"),
    (torch.zeros(4, 1), 10, r"got 1 \(K = 1\)"),
    (torch.zeros(4, 0), None, "K = 0"),
    (LOGITS, 5, "expected 5 classes .* got logits of 3"),
]


@pytest.mark.parametrize("output, n_classes, message", REFUSED, ids=[row[2][:30] for row in REFUSED])
def test_refused_by_name(output, n_classes, message):
    with pytest.raises(ModelOutputError, match=f"^net: .*{message}") as caught:
        to_logits(output, 4, n_classes, "net")
    assert "\n" not in str(caught.value)


def test_one_logit_is_two_classes_when_asked():
    z = torch.tensor([[2.0], [-1.0]])
    for output in (z, z[:, 0]):
        logits = to_logits(output, 2, 2, "net")
        torch.testing.assert_close(logits, torch.tensor([[0.0, 2.0], [0.0, -1.0]]))
        torch.testing.assert_close(logits.softmax(1)[:, 1], torch.sigmoid(z[:, 0]))


def test_gradients_pass_through():
    x = torch.ones(2, 1, requires_grad=True)
    to_logits({"logits": x}, 2, 2, "net")[:, 1].sum().backward()
    torch.testing.assert_close(x.grad, torch.ones(2, 1))


def test_finite():
    check_finite(LOGITS, "net")
    bad = LOGITS.clone()
    bad[1, 2], bad[3, 0] = np.nan, np.inf
    with pytest.raises(ModelOutputError, match=r"^net: expected finite logits, .* for 2 image\(s\): 1, 3$"):
        check_finite(bad, "net")
    with pytest.raises(ModelOutputError, match=r"for 2 image\(s\): b\.png, d\.png$"):
        check_finite(bad, "net", ["a.png", "b.png", "c.png", "d.png"])
