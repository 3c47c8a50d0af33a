"""Image folders: FOLDER/CLASS/image for labelled images, FOLDER/image for unlabelled ones.

The folder is a local one, or an fsspec URL (`s3://...`). Hidden files, and files whose extension is none of Pillow's,
are passed over. A class folder may have folders of its own as long as its name, not its place, says which class it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spectrobe.data.base import DataOptions, identity_of
from spectrobe.data.decode import image_extensions
from spectrobe.data.encoded import EncodedData, read_regular
from spectrobe.data.labels import LabelMapping, is_wordnet_id, match_names, match_sorted, shorten
from spectrobe.errors import BadImageError, InputError
from spectrobe.remote import filesystem_of, reaching, unreachable

SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "dev"})
_LAYOUT = "expected FOLDER/CLASS/image.jpg, or FOLDER/image.jpg without labels"


@dataclass(frozen=True)
class _File:
    path: str  # POSIX, relative to the folder
    size: int  # bytes; -1 where it cannot be told (a broken link)


class FileData(EncodedData):
    """Image files below one root, local or behind fsspec.

    paths: POSIX paths relative to `root`; they are the ids.    sizes: bytes of each file, part of the identity.
    """

    def __init__(
        self,
        root: str,
        name: str,
        paths: Sequence[str],
        sizes: Sequence[int],
        labels: Sequence[int] | None,
        how_labelled: str | None,
        class_names: tuple[str, ...] | None = None,
        unlabelled_because: str | None = None,
    ) -> None:
        self.name = name
        self.ids = tuple(paths)
        self.labels = None if labels is None else np.asarray(labels, dtype=np.int64)
        self.class_names = class_names
        self.unlabelled_because = unlabelled_because
        self._root, self._sizes, self._how_labelled = root, tuple(sizes), how_labelled

    def read(self, index: int) -> bytes:
        """The bytes of file `index`. Raises BadImageError naming it."""
        image_id = self.ids[index]
        try:
            if _is_remote(self._root):
                return _read_remote(self._root, image_id)
            return read_regular(os.path.join(self._root, image_id), image_id)
        except FileNotFoundError:
            raise BadImageError(image_id, "no such file (moved, or a broken link)") from None
        except OSError as error:
            raise BadImageError(image_id, f"cannot be read ({error.strerror or type(error).__name__})") from error

    def codecs(self) -> list[str]:
        """The file types, by extension."""
        return sorted({image_extensions()[Path(path).suffix.lower()] for path in self.ids})

    def identity(self) -> Mapping[str, Any]:
        """Name, count, digest over ids, labels and file sizes, and how labels were found."""
        return identity_of(self, how_labelled=self._how_labelled, sizes=self._sizes)


def open_folder(path: str, options: DataOptions) -> FileData:
    """The images of a folder; raises InputError that says which layout is expected, or what would give labels."""
    options.refuse("an image folder", "image_column", "label_column")
    root = path.rstrip("/") or "/"
    name = root.rsplit("/", 1)[-1] if _is_remote(root) else Path(root).resolve().name or root
    if options.split is not None:
        root, name = f"{root}/{options.split}", f"{name}/{options.split}"
    files = sorted(_list_remote(root) if _is_remote(root) else _list_local(root), key=lambda file: file.path)
    if not files:
        raise InputError(f"no images in {path!r}: {_LAYOUT}")
    paths, sizes = [file.path for file in files], [file.size for file in files]
    for p in paths:
        if (
            not p.isprintable()
        ):  # ids go into JSON, Parquet and one-line messages; surrogates stand for bytes that are not UTF-8
            raise InputError(
                f"the file name {p!a} in {name!r} cannot be an id: rename it with printable UTF-8 characters"
            )
    if not options.labelled:
        return FileData(root, name, paths, sizes, None, None, None, "labels were not asked for")
    loose = [p for p in paths if "/" not in p]
    if len(loose) == len(paths):
        options.refuse("a folder without class folders", "class_map")
        because = f"{name!r} holds images without class folders (FOLDER/CLASS/image.jpg)"
        return FileData(root, name, paths, sizes, None, None, None, because)
    if loose:
        raise InputError(f"{name!r} holds both class folders and images beside them ({shorten(loose)}): {_LAYOUT}")
    mapping = _match_folders(root, name, paths, options)
    labels = [mapping.indices[p.split("/", 1)[0]] for p in paths]
    return FileData(root, name, paths, sizes, labels, mapping.how, mapping.class_names)


def _match_folders(root: str, name: str, paths: Sequence[str], options: DataOptions) -> LabelMapping:
    folders = sorted({path.split("/", 1)[0] for path in paths})
    deep = {parts[0]: path for path in paths if len(parts := path.split("/")) > 2}
    splits = [folder for folder in folders if folder.lower() in SPLIT_NAMES]
    if any(split in deep for split in splits) or (len(splits) == len(folders) and options.class_map is None):
        raise InputError(
            f"{name!r} holds the splits {', '.join(splits)}: give one of them, such as {name}/{splits[-1]}"
        )
    _refuse_nested_classes(name, paths, folders)
    mapping = match_names(folders, options, "class folders")
    if mapping is not None:
        return mapping
    if deep:
        raise InputError(
            f"{name!r} holds folders of folders ({next(iter(deep.values()))}), so that its classes cannot be told: "
            f"{_LAYOUT}; give the folder that holds the class folders, or --class-map for {shorten(folders)}"
        )
    empty = [] if _is_remote(root) else sorted(_visible_folders(root) - set(folders))
    if empty:
        raise InputError(
            f"{name!r} has class folders without images ({shorten(empty)}), so that the others cannot be numbered by "
            "their order: remove them, or give --class-map"
        )
    return match_sorted(folders, options, "class folders")


def _refuse_nested_classes(name: str, paths: Sequence[str], folders: Sequence[str]) -> None:
    """A class folder inside another one: which of the two is the label?"""
    for path in paths:
        inner = path.split("/")[1:-1]
        nested = [part for part in inner if part in folders or is_wordnet_id(part)]
        if nested:
            raise InputError(f"{name!r} has a class folder {nested[0]!r} inside another one ({path}): {_LAYOUT}")


def _list_local(root: str) -> Iterator[_File]:
    if not os.path.exists(root):
        raise InputError(f"no such folder: {root!r}")
    if not os.path.isdir(root):
        raise InputError(f"expected a folder, got the file {root!r}: {_LAYOUT}")
    yield from _walk(root, "", (os.path.realpath(root),))


def _walk(folder: str, prefix: str, ancestors: tuple[str, ...]) -> Iterator[_File]:
    """Image files below `folder`; links are followed unless they lead back to a folder that this one lies in."""
    try:
        with os.scandir(folder) as entries:
            visible = [(entry, entry.is_dir()) for entry in entries if not _is_hidden(entry.name)]
    except OSError as error:
        raise InputError(f"cannot list the folder {folder!r} ({error.strerror})") from error
    for entry, is_folder in visible:
        if is_folder:
            real = os.path.realpath(entry.path)
            if real not in ancestors:
                yield from _walk(entry.path, f"{prefix}{entry.name}/", (*ancestors, real))
        elif _is_image(entry.name):
            # A broken link is listed, so that reading it names it, rather than left out in silence.
            yield _File(prefix + entry.name, entry.stat().st_size if os.path.exists(entry.path) else -1)


def _visible_folders(root: str) -> set[str]:
    with os.scandir(root) as entries:
        return {entry.name for entry in entries if entry.is_dir() and not _is_hidden(entry.name)}


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in image_extensions()


def _is_remote(root: str) -> bool:
    return "://" in root


def _list_remote(root: str) -> Iterator[_File]:
    filesystem, base = _filesystem(root)
    with reaching(root):
        if not filesystem.isdir(base):
            raise InputError(f"no such folder: {root!r}")
        found = filesystem.find(base, detail=True)
    for path, info in found.items():
        relative = path[len(base) :].lstrip("/")
        if _is_image(relative) and not any(map(_is_hidden, relative.split("/"))):
            yield _File(relative, int(info["size"]) if info.get("size") is not None else -1)


def _read_remote(root: str, path: str) -> bytes:
    filesystem, base = _filesystem(root)
    try:
        return bytes(filesystem.cat_file(f"{base}/{path}"))
    except OSError:
        raise
    except Exception as error:  # not the file's fault, but the connection's: no image after it would come either
        raise unreachable(f"{root}/{path}", error) from error


def _filesystem(root: str) -> tuple[Any, str]:
    filesystem, base = filesystem_of(root)
    return filesystem, base.rstrip("/")
