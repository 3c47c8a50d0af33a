"""The user's own weights: safetensors or torch files, wrappers opened, and a short account of what does not fit."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spectrobe.errors import InputError
from spectrobe.models.weight_files import archive_members, refuse_stand_in
from spectrobe.texts import first_line

_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_ema", "state_dict_ema")
_PREFIXES = ("module.", "_orig_mod.", "model.")


@dataclass(frozen=True)
class Misfit:
    """Where a file and a model differ: keys that are missing, keys too many, {key: (shape in file, in model)}."""

    missing: Sequence[str]
    extra: Sequence[str]
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.shapes)

    def error(self, name: str, path: Path, num_classes: int | None) -> InputError:
        """One line: the two class counts where only the classifier differs, else up to 3 keys of each kind."""
        head = self._head()
        if head and not self.missing and not self.extra:
            has, needs = head
            asked = f"num_classes={num_classes}" if num_classes else "no num_classes given"
            return InputError(
                f"{name}: expected a checkpoint of {needs} classes ({asked}), {path.name} has {has}: "
                f"give num_classes={has}"
            )
        shapes = [f"{key} {has} for {needs}" for key, (has, needs) in self.shapes.items()]
        kinds = {"missing": self.missing, "extra": self.extra, "mis-shaped": shapes}
        listed = "; ".join(_some(kind, keys) for kind, keys in kinds.items() if keys)
        return InputError(f"{name}: {path.name} does not fit the model: {listed}")

    def _head(self) -> tuple[int, int] | None:
        """(classes in the file, in the model) when one layer's weight and bias differ, in their first side alone."""
        if not all(has and needs and has[1:] == needs[1:] for has, needs in self.shapes.values()):
            return None
        counts = {(has[0], needs[0]) for has, needs in self.shapes.values()}
        layers = {key.rpartition(".")[0] for key in self.shapes}
        return counts.pop() if len(counts) == len(layers) == 1 else None


def load_checkpoint(
    module: nn.Module, path: Path, name: str, num_classes: int | None = None, allow_pickle: bool = False
) -> tuple[str, ...]:
    """Load `path` into `module`; returns what was unwrapped and stripped on the way, for the run's record.

    Raises InputError: no such file, a file that needs full unpickling (unless allowed), missing, extra and mis-shaped
    keys (up to 3 of each), another number of classes.
    """
    expected = module.state_dict()
    state, notes = read_checkpoint(path, expected, allow_pickle)
    wanted = {key: tuple(value.shape) for key, value in expected.items() if isinstance(value, Tensor)}
    misfit = Misfit(
        # older files lack the counters of batch norm, and eval mode needs none
        missing=[key for key in wanted if key not in state and not key.endswith("num_batches_tracked")],
        extra=[key for key in state if key not in wanted],
        shapes={
            key: (tuple(state[key].shape), shape)
            for key, shape in wanted.items()
            if key in state and tuple(state[key].shape) != shape
        },
    )
    if misfit:
        raise misfit.error(name, path, num_classes)
    module.load_state_dict(state)
    return notes


def read_checkpoint(
    path: Path, expected: Mapping[str, Any], allow_pickle: bool = False
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors in `path`, under the names that a model of state dict `expected` uses, and notes on what was done."""
    state, notes = _unwrapped(_read(path, allow_pickle), path)
    state, stripped = _stripped(state, expected)
    if stripped:
        notes.append(f"stripped {' '.join(stripped)} from the keys of {path.name}")
    return state, (f"weights from {path.name}", *notes)


def _read(path: Path, allow_pickle: bool) -> Any:
    if not path.is_file():
        raise InputError(f"expected a checkpoint file, there is none at {path}")
    refuse_stand_in(path, "a checkpoint")
    if "constants.pkl" in archive_members(path):
        raise InputError(f"expected a checkpoint, got the TorchScript archive {path}: save the module's state_dict")
    try:
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path, allow_pickle)
    except InputError:
        raise
    except Exception as error:  # of a damaged file the reader says whatever it trips over
        raise InputError(
            f"expected a safetensors or torch checkpoint, cannot read {path}: {first_line(error)}"
        ) from error


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(first_line(error)) from error


def _read_torch(path: Path, allow_pickle: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not allow_pickle:
            raise _refused_pickle(path, error) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (pickle.UnpicklingError, AttributeError, ImportError) as error:
        raise ValueError(first_line(error)) from error


def _refused_pickle(path: Path, error: pickle.UnpicklingError) -> InputError:
    """Why a file is not opened, what in it is to blame where torch says so, and how to save one that is."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    more = f"more than tensors ({named[1]})" if named else "more than tensors"
    how = "save its state_dict alone"
    if path.suffix == ".ckpt":
        how += " (Lightning keeps what save_hyperparameters() is given: give it plain values, or save"
        how += " torch.save(module.state_dict(), FILE) beside)"
    return InputError(
        f"{path} holds {more}, or is damaged, and opening it can run any code; {how}, or, if you trust it, "
        f"allow_pickle=True (--allow-pickle)"
    )


def _unwrapped(loaded: Any, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    notes: list[str] = []
    while True:
        if isinstance(loaded, nn.Module):
            loaded = loaded.state_dict()
        if not isinstance(loaded, Mapping):
            raise InputError(f"expected a state dict in {path}, got {type(loaded).__name__}")
        found = next((key for key in _WRAPPERS if isinstance(loaded.get(key), (Mapping, nn.Module))), None)
        if found is None:
            break
        others = [key for key in _WRAPPERS if key != found and isinstance(loaded.get(key), (Mapping, nn.Module))]
        unused = f"; {', '.join(others)} is there too and was not used" if others else ""
        notes.append(f"took {found!r} of {path.name}{unused}")
        loaded = loaded[found]
    state = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    if not state:
        keys = ", ".join(str(key) for key in list(loaded)[:5]) or "nothing"
        raise InputError(f"expected a state dict of tensors in {path}, got {keys}")
    return state, notes


def _stripped(state: dict[str, Tensor], expected: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """`state` with prefixes of wrappers (DataParallel, torch.compile, Lightning) taken off where more keys then fit.

    A LightningModule calls its network what it likes: what all keys begin with counts as a prefix too.
    """
    stripped: list[str] = []
    while True:
        matching = sum(key in expected for key in state)
        shared = {f"{key.partition('.')[0]}." for key in state}
        for prefix in (*_PREFIXES, *(shared if len(shared) == 1 else ())):
            bare = {_without(key, prefix): tensor for key, tensor in state.items()}
            if len(bare) == len(state) and (
                sum(key in expected for key in bare) > matching or _all_have(state, prefix, expected)
            ):
                state = bare
                stripped.append(prefix)
                break
        else:
            return state, stripped


def _without(key: str, prefix: str) -> str:
    return key.replace(prefix, "") if prefix == "_orig_mod." else key.removeprefix(prefix)


def _all_have(state: Mapping[str, Tensor], prefix: str, expected: Mapping[str, Any]) -> bool:
    """Every key starts with the prefix and the model's own keys do not: an outer one of several prefixes."""
    return all(key.startswith(prefix) for key in state) and not any(key.startswith(prefix) for key in expected)


def _some(kind: str, keys: Sequence[str]) -> str:
    return f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
