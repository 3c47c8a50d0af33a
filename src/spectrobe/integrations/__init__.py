"""The tool inside other people's training loops: a torchmetrics metric, callbacks for Lightning and Hugging Face.

    metric = spectrobe.integrations.SpectralImportance(bands=8)
    lightning.Trainer(callbacks=[spectrobe.integrations.SpectralCallback((images, labels))])
    trainer.add_callback(spectrobe.integrations.SpectralTrainerCallback(trainer, (images, labels)))

Every name is loaded when it is first used; a library that is not installed is named, with the command to install it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spectrobe.errors import MissingExtraError

if TYPE_CHECKING:
    from spectrobe.integrations.huggingface import SpectralTrainerCallback
    from spectrobe.integrations.lightning_callback import SpectralCallback
    from spectrobe.integrations.metric import SpectralImportance

__all__ = ["SpectralCallback", "SpectralImportance", "SpectralTrainerCallback"]

_HOME = {
    "SpectralCallback": "lightning_callback",
    "SpectralImportance": "metric",
    "SpectralTrainerCallback": "huggingface",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing == "transformers":
            raise MissingExtraError("transformers", "hf", name) from None
        if missing in ("lightning", "torchmetrics"):
            raise MissingExtraError(missing, "train", name) from None
        raise
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
