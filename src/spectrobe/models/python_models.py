"""Adapter for models from the user's own code: `python:package.module:NAME` or `python:path/to/file.py:NAME`.

NAME is an nn.Module (used as it is), a class or function that is called without arguments and returns a module or a
callable (with `num_classes`, where it has a parameter of that name), or a function of one batch (N, C, H, W) -> (N, K).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from spectrobe.errors import InputError
from spectrobe.models.base import Geometry, Model
from spectrobe.models.callables import CallableModel
from spectrobe.models.checkpoints import load_checkpoint
from spectrobe.models.messages import nearest
from spectrobe.models.module import ModuleModel, module_channels
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.models.registry import Scheme
from spectrobe.texts import first_line


def wrap(model: object, name: str | None, options: ModelOptions, notes: tuple[str, ...] = ()) -> Model:
    """An adapter for a module or a callable: no normalisation, images as they are, unless the options say otherwise."""
    if isinstance(model, nn.Module):
        preprocessing = Preprocessing(Geometry(channels=module_channels(model))).overridden(options)
        return ModuleModel(model, name, preprocessing, options.num_classes, options.class_names, notes)
    if callable(model) and not isinstance(model, type):
        return CallableModel(model, name, Preprocessing().overridden(options), options.num_classes, options.class_names)
    got = f"the class {model.__name__}: give an instance" if isinstance(model, type) else type(model).__name__
    raise InputError(f"expected a model: a model string, an nn.Module or a callable (N, C, H, W) -> (N, K), got {got}")


def _open(target: str, options: ModelOptions) -> Model:
    name = f"python:{target}"
    source, colon, attribute = target.rpartition(":")
    if not colon or not source or not attribute:
        raise InputError(f"expected python:package.module:NAME or python:file.py:NAME, got {name}")
    model = _made(name, _attribute(name, _import(name, source), attribute), options)
    if isinstance(model, Model):
        return model
    notes: tuple[str, ...] = ()
    if options.checkpoint is not None:
        if not isinstance(model, nn.Module):
            raise InputError(f"{name}: expected an nn.Module to load a checkpoint into, got {type(model).__name__}")
        notes = load_checkpoint(model, options.checkpoint, name, options.num_classes, options.allow_pickle)
    if options.device is not None and isinstance(model, nn.Module):
        model.to(options.device)
    return wrap(model, name, options, notes)


def _made(name: str, found: object, options: ModelOptions) -> object:
    """The model that NAME stands for: itself, or what it returns when it can be called without arguments."""
    if isinstance(found, (nn.Module, Model)) or not callable(found):
        return found
    try:
        signature = inspect.signature(found)
    except ValueError:  # some compiled functions have none: taken for the model itself
        return found
    given = (
        {"num_classes": options.num_classes} if options.num_classes and "num_classes" in signature.parameters else {}
    )
    try:
        signature.bind(**given)
    except TypeError:
        if isinstance(found, type):
            raise InputError(
                f"{name}: expected a class that is made without arguments, got {found.__name__}{signature}"
            ) from None
        return found
    try:
        made = found(**given)
    except SystemExit:
        raise InputError(f"{name} failed: it ended the process (sys.exit)") from None
    except Exception as error:  # the user's code: whatever it raises
        raise InputError(f"{name} failed: {type(error).__name__}: {first_line(error)}") from error
    if not callable(made) and not isinstance(made, Model):
        raise InputError(f"{name}: expected it to return an nn.Module or a callable, got {type(made).__name__}")
    return made


def _attribute(name: str, module: ModuleType, attribute: str) -> object:
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [key for key in dir(found) if not key.startswith("_")]
            raise InputError(
                f"{name}: there is no {part} in {getattr(found, '__name__', found)}{nearest(part, public)}"
            )
        found = getattr(found, part)
    return found


def _import(name: str, source: str) -> ModuleType:
    try:
        if source.endswith(".py"):
            return _import_file(Path(source).expanduser())
        with _working_directory_importable():
            return importlib.import_module(source)
    except InputError:
        raise
    except SystemExit:
        raise InputError(
            f"{name} could not be imported: it is a script that ends the process (sys.exit, or arguments of its own); "
            f"guard its main part with if __name__ == '__main__'"
        ) from None
    except Exception as error:  # the user's code: whatever it raises
        raise InputError(f"{name} could not be imported: {type(error).__name__}: {first_line(error)}") from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"expected a Python file, there is none at {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"expected a Python file, {path} is none that Python imports")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """A console script, unlike `python -m`, does not see the folder it was started in."""
    folder = os.getcwd()
    if folder in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


SCHEME = Scheme(_open, options=("checkpoint",), example="python:package.module:function")
