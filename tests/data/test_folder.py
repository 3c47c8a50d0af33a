"""Image folders: layouts, labels, order, links, and folders from which no label can be told."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from spectrobe.data import open_data
from spectrobe.data.folder import FileData
from spectrobe.data.labels import imagenet_wordnet_ids
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry
from tests.data.hostile import photo, png
from tests.shared import SHARED

SAMPLE = SHARED / "data" / "imagenet-sample"


def make(root: Path, *paths: str) -> Path:
    for number, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".jpg":
            Image.fromarray(photo(seed=number)).save(file)
        else:
            file.write_text("not an image")
    return root


def test_class_folders_are_read_in_order_with_relative_ids(tmp_path: Path) -> None:
    root = make(
        tmp_path / "pets", "dog/b.jpg", "cat/a.jpg", "dog/a.jpg", "cat/.hidden.jpg", ".git/x.jpg", "cat/notes.txt"
    )
    make(root, "__MACOSX/cat/a.jpg", "readme.md")
    data = open_data(str(root), n_classes=2)
    assert data.ids == ("cat/a.jpg", "dog/a.jpg", "dog/b.jpg")
    assert data.labels is not None
    assert data.labels.dtype == np.int64
    assert data.labels.tolist() == [0, 1, 1]
    assert data.class_names == ("cat", "dog")
    assert data.name == "pets"
    identity = data.identity()
    assert identity["labels"] == "class folders in sorted order, as torchvision's ImageFolder"
    assert identity["images"] == 3
    assert str(tmp_path) not in str(identity)


def test_labels_equal_torchvisions_when_all_classes_are_there(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    root = make(tmp_path, "b/1.jpg", "B/1.jpg", "a b/1.jpg", "ä/1.jpg", "10/1.jpg")
    theirs = datasets.ImageFolder(root)
    data = open_data(root, n_classes=5)
    assert data.labels is not None
    ours = dict(zip(data.ids, data.labels.tolist(), strict=True))
    assert ours == {Path(path).relative_to(root).as_posix(): label for path, label in theirs.samples}


def test_identity_follows_content_and_not_the_place(tmp_path: Path) -> None:
    one = make(tmp_path / "here" / "pets", "cat/a.jpg", "dog/a.jpg")
    two = make(tmp_path / "there" / "pets", "cat/a.jpg", "dog/a.jpg")
    assert open_data(one, n_classes=2).identity() == open_data(two, n_classes=2).identity()
    digest = open_data(one, n_classes=2).identity()["digest"]
    assert open_data(one, n_classes=3, class_map={"cat": 2, "dog": 0}).identity()["digest"] != digest
    (two / "cat" / "a.jpg").write_bytes(png() + b"\0")  # the same name, other content
    assert open_data(two, n_classes=2).identity()["digest"] != digest


def test_a_flat_folder_is_unlabelled(tmp_path: Path) -> None:
    data = open_data(make(tmp_path / "flat", "b.jpg", "a.JPG.jpg"))
    assert data.ids == ("a.JPG.jpg", "b.jpg")
    assert data.labels is None
    assert data.unlabelled_because == "'flat' holds images without class folders (FOLDER/CLASS/image.jpg)"
    assert data.identity()["labels"] is None


def test_extensions_of_pillow_are_read_whatever_their_case(tmp_path: Path) -> None:
    for name in ("a.JPEG", "b.Png", "c.webp", "d.tiff", "e.bmp"):
        (tmp_path / name).write_bytes(png())
    data = open_data(tmp_path)
    assert len(data) == 5
    assert data.loader_settings(Geometry())["codec"] == ["BMP", "JPEG", "PNG", "TIFF", "WEBP"]


def test_some_classes_of_a_larger_model_are_never_numbered(tmp_path: Path) -> None:
    root = make(tmp_path, "cat/a.jpg", "dog/a.jpg")
    for n_classes in (None, 1, 3, 1000):
        with pytest.raises(InputError, match="--class-map"):
            open_data(root, n_classes=n_classes)
    data = open_data(root, n_classes=1000, class_map={"cat": 281, "dog": 207})
    assert data.labels is not None
    assert data.labels.tolist() == [281, 207]


def test_folders_of_folders_count_where_a_name_tells_the_class(tmp_path: Path) -> None:
    root = make(tmp_path, "n02099601/x/1.jpg", "n02099601/y/z/2.jpg", "n15075141/3.jpg")
    data = open_data(root, n_classes=1000)
    assert data.ids == ("n02099601/x/1.jpg", "n02099601/y/z/2.jpg", "n15075141/3.jpg")
    assert data.labels is not None
    assert data.labels.tolist() == [207, 207, 999]


LAYOUTS: dict[str, tuple[tuple[str, ...], dict[str, object], str]] = {
    "folders of folders of folders": (
        ("a/b/c/1.jpg", "d/e/f/2.jpg"),
        {"n_classes": 2},
        r"folders of folders .*a/b/c/1\.jpg",
    ),
    "splits": (
        ("train/cat/1.jpg", "val/cat/1.jpg"),
        {"n_classes": 2},
        "splits train, val: give one of them, such as .*/val",
    ),
    "one split": (("Train/cat/1.jpg", "Train/dog/1.jpg"), {"n_classes": 1}, "holds the splits Train"),
    "splits without classes": (("train/1.jpg", "test/1.jpg"), {"n_classes": 2}, "holds the splits test, train"),
    "split and more": (("train/cat/1.jpg", "extra/1.jpg"), {"n_classes": 2}, "holds the splits train"),
    "images beside class folders": (("cat/1.jpg", "2.jpg"), {"n_classes": 1}, r"images beside them \(2\.jpg\)"),
    "class inside class": (("cat/dog/1.jpg", "dog/1.jpg"), {"n_classes": 2}, "class folder 'dog' inside another"),
    "id inside id": (("n02099601/n15075141/1.jpg",), {"n_classes": 1000}, "inside another one"),
    "no images": (("cat/notes.txt",), {"n_classes": 2}, "no images in .*: expected FOLDER/CLASS/image.jpg"),
    "hidden only": ((".cat/1.jpg",), {"n_classes": 2}, "no images"),
    "an empty class": (("cat/1.jpg", "dog/notes.txt"), {"n_classes": 1}, r"class folders without images \(dog\)"),
    "column of a table": (("cat/1.jpg",), {"image_column": "image"}, "image_column='image' says nothing about"),
    "map of a flat folder": (("1.jpg",), {"class_map": {}}, "class_map={} says nothing about"),
    "absent split": (("train/cat/1.jpg",), {"split": "val"}, "no such folder: .*val"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_without_an_answer(tmp_path: Path, layout: str) -> None:
    paths, options, message = LAYOUTS[layout]
    with pytest.raises(InputError, match=message) as caught:
        open_data(str(make(tmp_path, *paths)), **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        open_data(tmp_path)


def test_a_split_can_be_named(tmp_path: Path) -> None:
    data = open_data(
        make(tmp_path / "set", "train/cat/1.jpg", "val/cat/1.jpg", "val/dog/1.jpg"), split="val", n_classes=2
    )
    assert (data.name, data.ids) == ("set/val", ("cat/1.jpg", "dog/1.jpg"))


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, "bus/1.jpg", "train/1.jpg"), n_classes=2)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1]
    only_named = make(tmp_path / "more", "train/1.jpg", "test/1.jpg")
    labels = open_data(only_named, n_classes=9, class_map={"train": 8, "test": 0}).labels
    assert labels is not None
    assert labels.tolist() == [0, 8]


def test_link_loops_end_and_links_are_followed(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "cat/1.jpg")
    elsewhere = make(tmp_path / "elsewhere", "2.jpg")
    (root / "cat" / "loop").symlink_to(root)
    (root / "cat" / "self").symlink_to(root / "cat")
    (root / "dog").symlink_to(elsewhere)
    assert open_data(root, n_classes=2).ids == ("cat/1.jpg", "dog/2.jpg")


def test_broken_links_and_pipes_are_named_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    make(tmp_path, "there.jpg")
    data = open_data(tmp_path)
    assert data.ids == ("gone.jpg", "pipe.jpg", "there.jpg")
    with pytest.raises(BadImageError, match=r"gone\.jpg: no such file"):
        data.pixels(0, Geometry())
    with pytest.raises(BadImageError, match=r"pipe\.jpg: not a regular file"):
        data.pixels(1, Geometry())
    assert data.pixels(2, Geometry()).shape == (3, 16, 24)


def test_a_file_removed_after_opening_is_named(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, "a.jpg", "b.jpg"))
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(BadImageError, match=r"image b\.jpg: no such file"):
        data.pixels(1, Geometry())


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "fsencode"), reason="file names are bytes on POSIX alone")
def test_a_file_name_that_cannot_be_an_id_is_refused(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", b"two\nlines.jpg"):
        folder = tmp_path / str(len(name))
        folder.mkdir()
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(png())
        with pytest.raises(InputError, match="rename it") as caught:
            open_data(folder)
        str(caught.value).encode()
        assert "\n" not in str(caught.value)


def test_remote_folders_read_as_local_ones() -> None:
    filesystem = fsspec.filesystem("memory")
    for path in ("cat/a.png", "cat/.hidden.png", "dog/b.png", "dog/notes.txt"):
        filesystem.pipe(f"/bucket/pets/{path}", png())
    data = open_data("memory://bucket/pets", n_classes=2)
    assert (data.name, data.ids) == ("pets", ("cat/a.png", "dog/b.png"))
    assert torch.equal(data.pixels(1, Geometry()), torch.from_numpy(photo()).permute(2, 0, 1).float() / 255)
    with pytest.raises(InputError, match="no such folder"):
        open_data("memory://bucket/absent")
    with pytest.raises(InputError, match="cannot open"):
        open_data("nosuchprotocol://bucket/pets")


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of ImageNet (../shared/data) is not here")
def test_the_imagenet_sample_is_labelled_by_wordnet_id() -> None:
    data = open_data(SAMPLE, n_classes=1000)
    assert isinstance(data, FileData)
    assert len(data) == 500
    assert data.labels is not None
    ids = imagenet_wordnet_ids()
    assert [ids[label] for label in data.labels] == [image_id.split("/")[0] for image_id in data.ids]
    assert len(set(data.labels.tolist())) == 500
    assert data.labels.max() > 900  # 0..499 would be the sorted numbering
    assert data.identity()["labels"] == "class folders by WordNet id"
    assert data.pixels(0, Geometry((224, 224), 256)).shape == (3, 224, 224)
