"""The 1,797 handwritten digits (8 x 8 pixels, 10 classes) that scikit-learn ships: labelled, without a download.

Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998, doi 10.24432/C50P49.
"""

from __future__ import annotations

import numpy as np

from spectrobe.data.base import DataOptions
from spectrobe.data.tensors import TensorData
from spectrobe.errors import InputError, MissingExtraError

GREYS = 16
"""The largest pixel value."""


def open_digits(argument: str, options: DataOptions) -> TensorData:
    """All digits as greys in [0, 1], one channel."""
    if argument:
        raise InputError(f"expected the data string 'digits' alone, got 'digits:{argument}'")
    options.refuse("the digits", "class_map", "image_column", "label_column", "split")
    if options.n_classes not in (None, 10):
        raise InputError(f"the digits are of 10 classes, the model has {options.n_classes}: give other data")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError("scikit-learn", "train", "the data set digits") from None
    found = load_digits()
    images = (found.images[:, None] / GREYS).astype(np.float32)
    data = TensorData(images, found.target.astype(np.int64), options)
    data.name = "digits"
    return data
