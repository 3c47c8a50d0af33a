"""Model and data as commands open them, with what is said on the command line instead of their own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectrobe.data import ImageData
    from spectrobe.models import Model


def open_both(
    model: str, data: str, device: str, for_model: Mapping[str, Any], for_data: Mapping[str, Any]
) -> tuple[Model, ImageData, str]:
    """The model, the images with labels in the model's order, and the device ("auto": the accelerator, if any)."""
    from spectrobe.data import open_data
    from spectrobe.engine.devices import resolve_device
    from spectrobe.models import open_model

    opened = open_model(model, **for_model)
    place = resolve_device(device, opened, given_by_name=True)
    images = open_data(data, n_classes=opened.n_classes, class_names=opened.class_names, **for_data)
    return opened, images, str(place)
