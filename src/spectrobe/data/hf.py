"""Data sets of the Hugging Face hub, local ones of the `datasets` library, and its Dataset objects (extra `hf`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spectrobe.data.base import DataOptions, identity_of
from spectrobe.data.columns import (
    Column,
    Labels,
    choose_image_column,
    choose_label_column,
    no_label_column,
    resolve_labels,
)
from spectrobe.data.decode import file_format
from spectrobe.data.encoded import EncodedData, read_regular
from spectrobe.data.parquet import image_bytes
from spectrobe.errors import BadImageError, InputError, MissingExtraError
from spectrobe.remote import unlogged
from spectrobe.texts import first_line

_CODEC_ROWS = 32


class HubData(EncodedData):
    """A `datasets.Dataset`: one image a row; ids are row numbers.

    folders: where image files that rows name may lie; None: anywhere, for a Dataset that the caller has made.
    """

    def __init__(self, table: Any, name: str, options: DataOptions, folders: tuple[str, ...] | None = None) -> None:
        import datasets

        self.name, self._folders = name, folders
        columns = {column: _column(feature) for column, feature in table.features.items()}
        self._image_column = choose_image_column(columns, options, name)
        label_column = choose_label_column(columns, options, name)
        if not len(table):
            raise InputError(f"{name} has no rows")
        self.ids = tuple(map(str, range(len(table))))
        if label_column is None:
            options.refuse("data without a label column", "class_map")
            found, self.unlabelled_because = Labels(None, None, None), no_label_column(columns, name)
        else:
            values = table.with_format(None).select_columns([label_column])[:][label_column]
            found = resolve_labels(values, columns[label_column], label_column, options)
            self.unlabelled_because = f"every label of {name} is -1" if found.labels is None else None
        self.labels, self._how_labelled, self.class_names = found.labels, found.how, found.class_names
        encoded = table.with_format(None).select_columns([self._image_column])
        if columns[self._image_column].kind == "image":
            encoded = encoded.cast_column(self._image_column, datasets.Image(decode=False))
        self._table = encoded

    def read(self, index: int) -> bytes:
        """The encoded bytes in row `index`, or of the file that it names. Raises BadImageError."""
        value = self._table[index][self._image_column]
        path = value.get("path") if isinstance(value, Mapping) and value.get("bytes") is None else None
        return self._read_file(str(path), self.ids[index]) if path else image_bytes(value, self.ids[index])

    def _read_file(self, path: str, image_id: str) -> bytes:
        full, file = os.path.abspath(path), Path(path).name
        if self._folders is not None and not any(full.startswith(f"{folder}{os.sep}") for folder in self._folders):
            raise BadImageError(image_id, f"the row names the file {file}, which is outside of the data set")
        try:
            return read_regular(full, image_id)
        except OSError as error:
            raise BadImageError(
                image_id, f"{file} cannot be read ({error.strerror or type(error).__name__})"
            ) from error

    def codecs(self) -> list[str]:
        """The file types of the first rows."""
        seen = set()
        for index in range(min(len(self), _CODEC_ROWS)):
            try:
                seen.add(file_format(self.read(index)))
            except BadImageError:
                seen.add("unreadable")
        return sorted(seen)

    def identity(self) -> Mapping[str, Any]:
        """Name, count, digest over ids and labels, and how labels were found."""
        return identity_of(self, how_labelled=self._how_labelled)


def open_hub(argument: str, options: DataOptions) -> HubData:
    """`hf:NAME[:SPLIT]`: a set of the hub, a folder that `save_to_disk` wrote, or any that `load_dataset` reads."""
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("datasets", "hf", f"the data hf:{argument}") from None
    source, _, split = argument.partition(":")
    if split and options.split not in (None, split):
        raise InputError(f"hf:{argument} names the split {split!r}, split={options.split!r} another: give one")
    split = split or options.split or ""
    if not source:
        raise InputError("expected hf:NAME[:split], got 'hf:'")
    source = os.path.expanduser(source)
    if source.startswith((".", "/", "~")) and not os.path.exists(source):
        raise InputError(f"no such folder: {source!r}; hf: takes a folder, or a name of the hub such as owner/name")
    name = f"hf:{Path(source).resolve().name if os.path.exists(source) else source}"
    try:
        with _quiet(datasets):
            table = _load(datasets, source, split)
    except InputError:
        raise
    except Exception as error:  # the library raises many kinds, of its own, of its http client and of its readers
        raise InputError(f"cannot load {name}{split and ':' + split}: {first_line(error)}") from error
    return HubData(table, f"{name}:{split or table.split}" if split or table.split else name, options, _homes(source))


def _homes(source: str) -> tuple[str, ...]:
    """Where the files of a set may lie: its own folder, and what the libraries have fetched or unpacked."""
    from datasets import config
    from huggingface_hub import constants

    fetched = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, constants.HF_HUB_CACHE)
    own = (os.path.abspath(source), os.path.realpath(source)) if os.path.exists(source) else ()
    return tuple({*own, *(os.path.abspath(folder) for folder in fetched)})


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Without progress bars and logged retries."""
    disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with unlogged("huggingface_hub", "datasets"):
            yield
    finally:
        if not disabled:
            datasets.enable_progress_bars()


def open_datasets_object(table: Any, options: DataOptions) -> HubData:
    """A `datasets.Dataset`; a DatasetDict or an iterable set is refused, with advice."""
    import datasets

    if isinstance(table, datasets.DatasetDict | datasets.IterableDatasetDict):
        if options.split not in table:
            raise InputError(
                f"expected one split, got all of them ({', '.join(table)}): give data[{next(iter(table))!r}]"
            )
        table = table[options.split]
    else:
        options.refuse("a set of one split", "split")
    if isinstance(table, datasets.IterableDataset):
        raise InputError("expected a set with row numbers, got an IterableDataset: load it without streaming=True")
    if not isinstance(table, datasets.Dataset):
        raise InputError(f"expected a datasets.Dataset, got {type(table).__name__}")
    return HubData(table, f"hf:{table.info.dataset_name or 'dataset'}", options)


def _load(datasets: Any, source: str, split: str) -> Any:
    if os.path.isfile(os.path.join(source, "state.json")):
        if split:
            raise InputError(f"hf:{source} is a single set without splits: leave out {split!r}")
        return datasets.load_from_disk(source)
    if os.path.isfile(os.path.join(source, "dataset_dict.json")):
        table = datasets.load_from_disk(source)
        return table[_choose(list(table), split, source)]
    if split:
        return datasets.load_dataset(source, split=split)
    return datasets.load_dataset(source, split=_choose(datasets.get_dataset_split_names(source), split, source))


def _choose(splits: list[str], split: str, source: str) -> str:
    if split in splits:
        return split
    if split or len(splits) != 1:
        given = f"no split {split!r}, but" if split else "the splits"
        raise InputError(f"hf:{source} has {given} {', '.join(splits)}: give hf:{source}:{splits[-1]}")
    return splits[0]


def _column(feature: Any) -> Column:
    import datasets

    if isinstance(feature, datasets.Image):
        return Column("image", "Image")
    if isinstance(feature, datasets.ClassLabel):
        return Column("number", "ClassLabel", tuple(feature.names))
    kind = getattr(feature, "dtype", None) if isinstance(feature, datasets.Value) else None
    if kind is None:
        has_bytes = isinstance(feature, Mapping) and "bytes" in feature
        return Column("image" if has_bytes else "other", "struct" if has_bytes else type(feature).__name__)
    if kind.startswith(("int", "uint")):
        return Column("number", kind)
    if kind in ("string", "large_string"):
        return Column("text", "text")
    return Column("bytes" if kind in ("binary", "large_binary") else "other", kind)
