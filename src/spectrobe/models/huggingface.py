"""Adapter for Hugging Face image classifiers: `hf:NAME`, a name on the hub or a local folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models.adapter import agreed_classes
from spectrobe.models.base import Geometry, Model
from spectrobe.models.checkpoints import Misfit, read_checkpoint
from spectrobe.models.image_processor import processor_preprocessing
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.models.random_weights import NOTE, fixed_seed
from spectrobe.models.registry import Scheme
from spectrobe.models.weight_files import refused_pickle
from spectrobe.remote import unlogged
from spectrobe.texts import first_line

T = TypeVar("T")


def _open(target: str, options: ModelOptions) -> Model:
    name = f"hf:{target}"
    require_transformers(name)
    with quiet_transformers():
        return _opened(name, hub_or_folder(target), options)


def _opened(name: str, source: str, options: ModelOptions) -> Model:
    from transformers import AutoConfig

    config = fetched(name, "configuration", lambda: AutoConfig.from_pretrained(source, trust_remote_code=False))
    if getattr(config, "problem_type", None) == "multi_label_classification":
        raise InputError(f"{name} is a multi-label classifier: expected a model of exclusive classes")
    preprocessing = hub_preprocessing(name, source, options)
    module, notes = _create(name, source, config, options)
    module.to(options.device or "cpu")
    classes = agreed_classes(name, options.num_classes, _head_classes(config))
    class_names = options.class_names or _class_names(config)
    return ModuleModel(module, name, preprocessing, classes, class_names, notes, ("torch", "transformers"))


def require_transformers(name: str) -> None:
    """Raise MissingExtraError where transformers is not installed."""
    try:
        import transformers  # noqa: F401  # whether it can be
    except ImportError:
        raise MissingExtraError("transformers", "hf", name) from None


def hub_or_folder(target: str) -> str:
    """A local folder where there is one, else the name for the hub; raises InputError for a path that leads nowhere."""
    folder = Path(target).expanduser()
    if (folder / "config.json").is_file():
        return str(folder)
    if folder.is_dir() or target.startswith((".", "/", "~")) or target.count("/") > 1:
        without = ", a folder without one" if folder.is_dir() else ""
        raise InputError(
            f"expected a folder with config.json, or a hub name such as google/vit-base-patch16-224, got "
            f"{target}{without}"
        )
    return target


def fetched(name: str, what: str, fetch: Callable[[], T]) -> T:
    """fetch(), its failure told in one line with what to do."""
    try:
        return fetch()
    except Exception as error:  # hub, network, cache, configuration and weight errors have no common base
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{name} brings code of its own, which is never run: for code that you trust, write a function that "
                f"returns the model, python:FILE.py:FUNCTION"
            ) from error
        raise refused_pickle(name, error) or InputError(
            f"{name}: its {what} could not be loaded ({first_line(error)}): give the name of a local folder, "
            f"or download it first where there is a network"
        ) from error


def hub_preprocessing(name: str, source: str, options: ModelOptions) -> Preprocessing:
    """What the model's image processor does, unless the options say otherwise.

    A model without a processor is taken only where mean, std and size are all given: a guess would be silent.
    """
    if options.mean and options.std and options.size:
        return Preprocessing(Geometry()).overridden(options)
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # as in `fetched`
        raise InputError(
            f"{name}: its image processor could not be loaded ({first_line(error)}): give mean, std and size "
            f"(mean=0 and std=1 where the model normalises itself)"
        ) from error
    return processor_preprocessing(name, processor).overridden(options)


def _create(name: str, source: str, config: Any, options: ModelOptions) -> tuple[Any, tuple[str, ...]]:
    import torch
    from transformers import AutoModelForImageClassification as Classifier

    if type(config) not in Classifier._model_mapping:
        raise InputError(f"{name} is a {config.model_type} model, for which transformers has no image classifier")
    if options.pretrained and options.checkpoint is None:
        agreed_classes(name, options.num_classes, _head_classes(config))
        module, report = fetched(
            name,
            "weights",
            lambda: Classifier.from_pretrained(
                source, config=config, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
            ),
        )
        missing = sorted(report["missing_keys"])
        if missing:  # transformers would fill them with random numbers
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise InputError(
                f"{name} has no trained classifier, its {shown} are missing: give ?checkpoint=FILE&num_classes=K"
            )
        return module, ()
    if options.num_classes is not None:
        config.num_labels = options.num_classes
    with fixed_seed():
        module = Classifier.from_config(config, dtype=torch.float32)
    return (
        (module, (NOTE,)) if options.checkpoint is None else _with_checkpoint(name, module, options.checkpoint, options)
    )


def _with_checkpoint(name: str, module: Any, path: Path, options: ModelOptions) -> tuple[Any, tuple[str, ...]]:
    """Loaded by transformers itself, which knows the names that its models' tensors had in older versions."""
    import torch

    state, notes = read_checkpoint(path, module.state_dict(), options.allow_pickle)
    loaded, report = type(module).from_pretrained(
        None,
        config=module.config,
        state_dict=state,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    misfit = Misfit(
        missing=sorted(report["missing_keys"]),
        extra=sorted(report["unexpected_keys"]),
        shapes={key: (tuple(has), tuple(needs)) for key, has, needs in sorted(report["mismatched_keys"])},
    )
    if misfit:
        raise misfit.error(name, path, options.num_classes)
    return loaded, notes


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no loading report: what matters of it is said in our own words."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with unlogged("huggingface_hub"):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _head_classes(config: Any) -> int | None:
    """How many classes the model tells apart; a head of one logit is left to `num_classes=2`."""
    labels = getattr(config, "num_labels", None)
    return labels if isinstance(labels, int) and labels > 1 else None


def _class_names(config: Any) -> tuple[str, ...]:
    names = getattr(config, "id2label", None) or {}
    named = tuple(str(names[key]) for key in sorted(names))
    return () if len(named) != _head_classes(config) or all(item.startswith("LABEL_") for item in named) else named


SCHEME = Scheme(_open, options=("checkpoint", "pretrained"), example="hf:google/vit-base-patch16-224")
