"""Parquet files and `datasets` sets: columns found or named, labels matched, rows read in any order."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from spectrobe.data import open_data
from spectrobe.data.parquet import ParquetData
from spectrobe.errors import BadImageError, InputError, MissingExtraError
from spectrobe.models.base import Geometry
from tests.data.hostile import encode, photo
from tests.shared import SHARED

CIFAR = SHARED / "data" / "cifar10"
PETS = ("cat", "dog", "horse")
needs_cifar = pytest.mark.skipif(not CIFAR.is_dir(), reason="CIFAR-10 (../shared/data) is not here")


def content(seed: int) -> bytes:
    return encode(Image.fromarray(photo(seed=seed)), "PNG")


def cells(count: int = 6) -> list[dict[str, object]]:
    return [{"bytes": content(seed), "path": None} for seed in range(count)]


def write(path: Path, columns: dict[str, object], names: tuple[str, ...] | None = None, rows_per_group: int = 2) -> str:
    """A Parquet file; `names` makes `label` a ClassLabel column, as the `datasets` library writes it."""
    table = pa.table(columns)
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_per_group)
    return f"parquet:{path}"


LABELS = [0, 1, 2, 2, 1, 0]


def test_rows_are_read_in_any_order_across_groups_and_files(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", {"image": cells()[3:], "label": [7, 8, 9]})
    write(tmp_path / "a.parquet", {"image": cells()[:3], "label": [4, 5, 6]})
    data = open_data(f"parquet:{tmp_path}")
    assert data.ids == ("0", "1", "2", "3", "4", "5")
    assert data.labels is not None
    assert data.labels.tolist() == [4, 5, 6, 7, 8, 9]
    for index in (5, 0, 3, 2, 4, 1, 5):
        assert torch.equal(
            data.pixels(index, Geometry()), torch.from_numpy(photo(seed=index)).permute(2, 0, 1).float() / 255
        )
    assert data.identity() == {**data.identity(), "name": f"parquet:{tmp_path.name}", "images": 6, "labels": "as given"}
    assert data.loader_settings(Geometry())["codec"] == ["PNG"]
    assert open_data(f"parquet:{tmp_path}/[b]*.parquet").labels.tolist() == [7, 8, 9]  # type: ignore[union-attr]


def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spectrobe.data.parquet._CACHE_BYTES", 3000)
    data = open_data(write(tmp_path / "x.parquet", {"image": cells()}))
    assert isinstance(data, ParquetData)
    for index in range(6):
        data.pixels(index, Geometry())
        assert 1 <= len(data._cache) <= 2
    assert len(pickle.loads(pickle.dumps(data))._cache) == 0


@pytest.mark.parametrize("column", ["image", "picture_bytes"])
def test_plain_bytes_columns(tmp_path: Path, column: str) -> None:
    path = write(tmp_path / "x.parquet", {column: [content(seed) for seed in range(6)], "label": LABELS, "id": LABELS})
    data = open_data(path, image_column=None if column == "image" else column)
    assert data.pixels(3, Geometry()).shape == (3, 16, 24)
    if column != "image":
        with pytest.raises(
            InputError, match=r"no column of images: name one with --image-column; columns: picture_bytes"
        ):
            open_data(path)


@pytest.mark.parametrize("metadata", [
    "no JSON", "[" * 100_000, "[]", '{"info": []}', '{"info": {"features": [1]}}',
    '{"info": {"features": {"label": {"_type": "ClassLabel", "names": 3}}}}',
    '{"info": {"features": {"label": {"_type": "ClassLabel", "names": [1, 2, 3]}}}}',
])  # fmt: skip
def test_damaged_metadata_is_told_in_one_line(tmp_path: Path, metadata: str) -> None:
    table = pa.table({"image": cells(), "label": LABELS}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"^'x\.parquet' holds damaged metadata of the datasets library") as caught:
        open_data(f"parquet:{tmp_path}/x.parquet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metadata", ["{}", '{"info": {}}', '{"info": {"features": null}}'])
def test_metadata_that_says_nothing(tmp_path: Path, metadata: str) -> None:
    table = pa.table({"image": cells(), "label": LABELS}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "x.parquet")
    assert open_data(f"parquet:{tmp_path}/x.parquet").identity()["labels"] == "as given"


def test_class_labels_are_matched_by_name_to_the_models_order(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"image": cells(), "label": LABELS}, PETS)

    def labels(**options: object) -> list[int]:
        found = open_data(path, **options).labels  # type: ignore[arg-type]
        assert found is not None
        return found.tolist()

    assert labels() == labels(n_classes=3) == LABELS
    assert labels(n_classes=3, class_names=("tabby", "hound", "pony")) == LABELS
    assert labels(n_classes=3, class_names=("Horse", "Dog", "Cat")) == [2, 1, 0, 0, 1, 2]
    assert labels(n_classes=9, class_map={"cat": 8, "dog": 7, "horse": 6}) == [8, 7, 6, 6, 7, 8]
    with pytest.raises(InputError, match=r"has 3 classes \(cat, dog, horse\), the model has 1,000: give --class-map"):
        labels(n_classes=1000)
    with pytest.raises(InputError, match="no entry for 1 of 3 class names: horse"):
        labels(n_classes=9, class_map={"cat": 8, "dog": 7})


def test_wordnet_class_labels_get_imagenets_indices(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"image": cells(2), "label": [1, 0]}, ("n02099601", "n15075141"))
    assert open_data(path, n_classes=1000).labels.tolist() == [999, 207]  # type: ignore[union-attr]


def test_text_labels_need_a_rule(tmp_path: Path) -> None:
    texts = ["dog", "cat", "dog", "horse", "cat", "dog"]
    path = write(tmp_path / "x.parquet", {"image": cells(), "label": texts})
    by_name = open_data(path, n_classes=3, class_names=PETS)
    assert by_name.labels.tolist() == [1, 0, 1, 2, 0, 1]  # type: ignore[union-attr]
    dictionary = write(tmp_path / "d.parquet", {"image": cells(), "label": pa.array(texts).dictionary_encode()})
    by_map = open_data(dictionary, class_map={"dog": 5, "cat": 4, "horse": 3})
    assert by_map.labels.tolist() == [5, 4, 5, 3, 4, 5]  # type: ignore[union-attr]
    for n_classes in (None, 3, 1000):  # never by sorted order
        with pytest.raises(InputError, match=r"label column 'label' is text \(cat, dog, horse\) .* --class-map"):
            open_data(path, n_classes=n_classes)


def test_unlabelled_tables(tmp_path: Path) -> None:
    data = open_data(write(tmp_path / "x.parquet", {"image": cells(), "age": LABELS}))
    assert data.labels is None
    assert "age (int64); --label-column" in str(data.unlabelled_because)
    hidden = open_data(write(tmp_path / "y.parquet", {"image": cells(), "label": [-1] * 6}))
    assert hidden.labels is None
    assert hidden.unlabelled_because == "every label of parquet:y.parquet is -1"


TABLES: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "missing image column": (
        {},
        {"image_column": "img"},
        r"no column 'img'; columns: image \(bytes and path\), label \(int64\)",
    ),
    "missing label column": ({}, {"label_column": "y"}, "no column 'y'; columns: "),
    "label as image": ({}, {"image_column": "label"}, "'label' of .* holds int64, not images"),
    "image as label": ({}, {"label_column": "image"}, "label column 'image' .*: expected class indices or text"),
    "float labels": ({"label": [0.5] * 6}, {"label_column": "label"}, "holds double: expected class indices"),
    "empty label": ({"label": [0, 1, None, 0, 1, 0]}, {}, "label column 'label' is empty in row 2"),
    "two images": ({"second": cells()}, {}, r"several image columns \(image, second\): name one with --image-column"),
    "two labels": ({"target": LABELS}, {}, r"several label columns \(label, target\): name one with --label-column"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_without_an_answer(tmp_path: Path, case: str) -> None:
    columns, options, message = TABLES[case]
    path = write(tmp_path / "x.parquet", {"image": cells(), "label": LABELS, **columns})
    with pytest.raises(InputError, match=message) as caught:
        open_data(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_labels_outside_a_class_label_column(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"image": cells(), "label": [0, 1, 2, 3, -1, 0]}, PETS)
    with pytest.raises(InputError, match="holds 3: expected 0 to 2, or -1 in every row"):
        open_data(path, n_classes=3)


def test_rows_without_an_image_are_named(tmp_path: Path) -> None:
    rows = [{"bytes": None, "path": "/home/me/a.png"}, {"bytes": None, "path": None}, {"bytes": b"", "path": None}]
    data = open_data(write(tmp_path / "x.parquet", {"image": [*rows, None, *cells(2)]}))
    reasons = []
    for index in range(4):
        with pytest.raises(BadImageError) as caught:
            data.pixels(index, Geometry())
        assert caught.value.image == str(index)
        reasons.append(caught.value.reason)
    assert reasons[0].startswith("the row holds the path 'a.png'")
    assert reasons[1:] == ["the row holds no image", "the file is empty (0 bytes)", "the row holds no image"]
    assert data.pixels(4, Geometry()).shape == (3, 16, 24)
    assert data.loader_settings(Geometry())["codec"] == ["PNG", "unreadable"]


def test_paths_that_are_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    (tmp_path / "folder").mkdir()
    empty = write(tmp_path / "empty.parquet", {"image": pa.array([], pa.binary())})
    for path, message in [
        (f"parquet:{tmp_path}/text.parquet", r"cannot read 'text\.parquet': not a Parquet file"),
        (f"parquet:{tmp_path}/absent.parquet", "no such file or folder"),
        (f"parquet:{tmp_path}/folder", "no Parquet files in"),
        (f"parquet:{tmp_path}/folder/*.parquet", "no Parquet files in"),
        ("parquet:", "expected parquet:PATH"),
        (empty, "has no rows"),
        (f"{tmp_path}/empty.parquet", "give it as parquet:"),
    ]:
        with pytest.raises(InputError, match=message):
            open_data(path)


def test_files_of_one_set_must_share_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": cells(2), "label": [0, 1]})
    write(tmp_path / "b.parquet", {"image": cells(2), "target": [0, 1]})
    with pytest.raises(InputError, match=r"'b\.parquet' lacks the column\(s\) label"):
        open_data(f"parquet:{tmp_path}")


@pytest.mark.parametrize("layout", ["{}-00000-of-00001.parquet", "default/{}/0000.parquet"])
def test_splits_in_one_folder_are_not_mixed(tmp_path: Path, layout: str) -> None:
    write(tmp_path / layout.format("train"), {"image": cells(4), "label": [0, 1, 0, 1]})
    write(tmp_path / layout.format("test"), {"image": cells(2), "label": [1, 0]})
    with pytest.raises(InputError, match="holds the splits test, train"):
        open_data(f"parquet:{tmp_path}")
    data = open_data(f"parquet:{tmp_path}", split="test")
    assert (len(data), data.name) == (2, f"parquet:{tmp_path.name}:test")
    with pytest.raises(InputError, match="splits: test, train"):
        open_data(f"parquet:{tmp_path}", split="val")


def test_remote_parquet(tmp_path: Path) -> None:
    import fsspec

    write(tmp_path / "x.parquet", {"image": cells(), "label": LABELS})
    fsspec.filesystem("memory").pipe("/bucket/t/x.parquet", (tmp_path / "x.parquet").read_bytes())
    for path in ("memory://bucket/t/x.parquet", "memory://bucket/t", "memory://bucket/t/*.parquet"):
        data = open_data(f"parquet:{path}")
        assert data.labels is not None
        assert data.labels.tolist() == LABELS
        assert data.pixels(5, Geometry()).shape == (3, 16, 24)


@needs_cifar
def test_cifar_parquet() -> None:
    data = open_data(f"parquet:{CIFAR / 'test.parquet'}", n_classes=10)
    assert (len(data), data.name, data.ids[-1]) == (5000, "parquet:test.parquet", "4999")
    assert data.labels is not None
    assert sorted(set(data.labels.tolist())) == list(range(10))
    row = pq.read_table(CIFAR / "test.parquet").slice(4321, 1).to_pylist()[0]
    assert data.labels[4321] == row["label"]
    expected = np.array(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))
    assert torch.equal(
        data.pixels(4321, Geometry(size=(32, 32), resize=32)), torch.from_numpy(expected).permute(2, 0, 1) / 255
    )
    assert data.loader_settings(Geometry())["codec"] == ["JPEG"]
    with pytest.raises(InputError, match="holds the splits test, train"):
        open_data(f"parquet:{CIFAR}")


def dataset(**columns: object) -> object:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(PETS))})
    table = datasets.Dataset.from_dict({"image": cells(), "label": LABELS}, features=features)
    for name, values in columns.items():
        table = table.add_column(name, values)
    return table


def test_datasets_objects_equal_their_parquet(tmp_path: Path) -> None:
    table = dataset()
    table.to_parquet(tmp_path / "x.parquet")  # type: ignore[attr-defined]
    ours, theirs = open_data(table, n_classes=3), open_data(f"parquet:{tmp_path}/x.parquet", n_classes=3)
    assert ours.ids == theirs.ids
    assert ours.class_names == theirs.class_names == PETS
    assert ours.labels is not None
    assert theirs.labels is not None
    assert ours.labels.tolist() == theirs.labels.tolist() == LABELS
    for index in range(6):
        assert torch.equal(ours.pixels(index, Geometry()), theirs.pixels(index, Geometry()))
    assert ours.loader_settings(Geometry())["codec"] == ["PNG"]
    shuffled = table.select([5, 0])  # type: ignore[attr-defined]
    assert torch.equal(open_data(shuffled).pixels(0, Geometry()), ours.pixels(5, Geometry()))


def test_datasets_columns_follow_the_same_rules() -> None:
    with pytest.raises(InputError, match=r"no column 'img'; columns: image \(Image\), label \(ClassLabel\)"):
        open_data(dataset(), image_column="img")
    with pytest.raises(InputError, match="label column 'text' is text"):
        open_data(dataset(text=list("aabbcc")), label_column="text")
    with pytest.raises(InputError, match=r"has 3 classes .* the model has 10"):
        open_data(dataset(), n_classes=10)


def test_datasets_dicts_and_streams_are_refused_with_advice() -> None:
    datasets = pytest.importorskip("datasets")
    both = datasets.DatasetDict({"train": dataset(), "test": dataset()})
    with pytest.raises(InputError, match=r"all of them \(train, test\): give data\['train'\]"):
        open_data(both)
    assert len(open_data(both, split="test")) == 6
    with pytest.raises(InputError, match="without streaming=True"):
        open_data(dataset().to_iterable_dataset())  # type: ignore[attr-defined]


def test_hub_strings_read_local_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    dataset().save_to_disk(tmp_path / "single")  # type: ignore[attr-defined]
    datasets.DatasetDict({"train": dataset(), "test": dataset()}).save_to_disk(tmp_path / "both")
    dataset().to_parquet(tmp_path / "files" / "test.parquet")  # type: ignore[attr-defined]
    assert len(open_data(f"hf:{tmp_path}/single")) == 6
    assert open_data(f"hf:{tmp_path}/both:test").name == "hf:both:test"
    files = open_data(f"hf:{tmp_path}/files:test[:4]")
    assert (len(files), files.name) == (4, "hf:files:test[:4]")
    assert open_data(f"hf:{tmp_path}/files").labels.tolist() == LABELS  # type: ignore[union-attr]
    for string, message in [
        (f"hf:{tmp_path}/both", r"splits train, test: give hf:.*both:test"),
        (f"hf:{tmp_path}/both:val", "no split 'val', but train, test"),
        (f"hf:{tmp_path}/single:test", "leave out 'test'"),
        ("hf:", r"expected hf:NAME\[:split\]"),
    ]:
        with pytest.raises(InputError, match=message):
            open_data(string)


def test_a_hub_set_that_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("Couldn't reach the Hub\nmany lines")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(InputError, match=r"^cannot load hf:owner/set:test: Couldn't reach the Hub$"):
        open_data("hf:owner/set:test")


def test_hub_strings_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spectrobe\[hf\]'"):
        open_data("hf:owner/set")
