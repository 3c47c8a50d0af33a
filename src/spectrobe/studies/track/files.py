"""Which checkpoints are meant, in which order, and what they are called."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spectrobe.errors import InputError
from spectrobe.models.identity import files_sha256

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".onnx", ".pt2")
_IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")  # what Hugging Face's Trainer saves in checkpoint-500/


@dataclass(frozen=True)
class Checkpoint:
    """One file of weights.   name: short, and unlike that of the others.   path: where it is."""

    name: str
    path: Path

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return files_sha256([self.path])

    @property
    def folder(self) -> str:
        """Its run's folder below that of the whole."""
        return folder_name(self.name, self.sha256)


def folder_name(name: str, sha256: str) -> str:
    """The folder of a checkpoint's run below that of the whole: another file of the same name has another."""
    return f"checkpoints/{re.sub(r'[^A-Za-z0-9._=-]+', '-', name).strip('.-') or 'weights'}-{sha256[:8]}"


def find_checkpoints(given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Checkpoint]:
    """The checkpoints that files, folders and patterns name, each once.

    given: files in the order given; a folder stands for the checkpoints in it, a pattern such as "ckpts/*.pt" for what
    it matches, both in natural order (epoch 9 before epoch 10). A folder with a model.safetensors is one checkpoint.
    Raises InputError for what names no file.
    """
    words = [given] if isinstance(given, str | os.PathLike) else list(given)
    paths: list[Path] = []
    for word in words:
        for path in _meant(os.fspath(word)):
            if not any(os.path.samefile(path, other) for other in paths):
                paths.append(path)
    if not paths:
        raise InputError("expected at least one checkpoint, got none")
    return [Checkpoint(name, path) for name, path in zip(_names(paths), paths, strict=True)]


def _meant(word: str) -> list[Path]:
    path = Path(word).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = _in_folder(path)
        if not found:
            raise InputError(f"expected checkpoints ({', '.join(SUFFIXES)}) in the folder {word}, found none")
        return found
    if any(character in word for character in "*?["):
        matches = [Path(match) for match in glob.glob(os.path.expanduser(word), recursive=True)]
        files = [file for match in matches for file in ([match] if match.is_file() else _in_folder(match))]
        if files:
            return sorted(files, key=_natural)
        raise InputError(f"expected files that match {word!r}, found none")
    raise InputError(f"expected a checkpoint, a folder of them or a pattern, there is nothing at {word}")


def _in_folder(folder: Path) -> list[Path]:
    for name in _IN_FOLDERS:
        if (folder / name).is_file():
            return [folder / name]
    own = [path for path in folder.iterdir() if path.is_file() and path.suffix in SUFFIXES]
    inner = [path / name for path in folder.iterdir() if path.is_dir() for name in _IN_FOLDERS[:1]]
    return sorted([*own, *(path for path in inner if path.is_file())], key=_natural)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sorts numbers in names as numbers."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def _names(paths: Sequence[Path]) -> list[str]:
    """File names without their ending, or folder and file name where those repeat; numbered where even these do."""
    short = [path.parent.name if path.name in _IN_FOLDERS else path.stem for path in paths]
    if len(set(short)) < len(short):
        short = [f"{path.parent.name}/{name}" for path, name in zip(paths, short, strict=True)]
    if len(set(short)) < len(short):
        short = [f"{number}: {name}" for number, name in enumerate(short, start=1)]
    return short
