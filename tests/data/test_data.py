"""The data strings: which there are, what an unknown one prints, the demo, extensions, and the checks on any data."""

from __future__ import annotations

import subprocess
import sys
from hashlib import blake2b
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest
import torch

from spectrobe import plugins
from spectrobe.data import (
    DataOptions,
    ImageData,
    check_data,
    content_digest,
    duplicate_warning,
    open_data,
    source_names,
)
from spectrobe.data.demo import open_demo
from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models.base import Geometry


def images(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("nowhere", "no such folder: 'nowhere'; data is a folder, hf:NAME"),
        ("./demo", "no such folder"),
        ("/no/such/folder", "no such folder: '/no/such/folder'"),
        ("some/colon:here", "no such folder"),
        (
            "hugging:cifar10",
            "unknown data 'hugging:cifar10': expected a folder, .* schemes here: demo, digits, hf, parquet",
        ),
        ("demo:2", "the data string 'demo' alone"),
        ("", "expected a data string, got an empty one"),
    ],
)
def test_strings_that_mean_nothing(string: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_data(string)
    assert "\n" not in str(caught.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="expected a folder, got the file"):
        open_data(tmp_path / "photo.jpg")


def test_open_data_is_returned_as_it_is() -> None:
    opened = open_data(images())
    assert open_data(opened, n_classes=3, class_names=("a", "b", "c")) is opened
    with pytest.raises(InputError, match="open already"):
        open_data(opened, class_map={"a": 0})


def test_the_demo_photographs() -> None:
    pytest.importorskip("foolbox")
    data = open_data("demo", n_classes=1000)
    assert (data.name, len(data), data.ids[0], data.ids[-1]) == (
        "demo",
        20,
        "imagenet_00_243.jpg",
        "imagenet_19_305.jpg",
    )
    assert data.labels is not None
    assert data.labels[:7].tolist() == [243, 559, 438, 990, 949, 853, 609]
    shapes = [tuple(data.pixels(index, Geometry()).shape) for index in range(20)]
    assert shapes.count((3, 512, 512)) == 19
    assert sorted(set(shapes))[-1] in [(3, 683, 1024), (3, 1024, 683)]
    assert "/" not in str(data.identity())
    assert check_data(data, 1000) == []
    with pytest.raises(InputError, match="ImageNet's 1,000 classes, the model has 10"):
        open_data("demo", n_classes=10)


def test_the_demo_without_foolbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spectrobe.data.demo.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spectrobe\[demo\]'"):
        open_demo("", DataOptions())


@pytest.mark.slow
def test_plain_tensors_load_no_optional_library() -> None:
    script = """
import sys, torch
from spectrobe.data import open_data, load_images
from spectrobe.models.base import Geometry
list(load_images(open_data((torch.rand(2, 3, 4, 4), torch.tensor([0, 1]))), [0, 1], Geometry()))
print(sorted({"PIL", "pyarrow", "datasets", "foolbox", "torchvision", "timm", "pandas"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_demo_does_not_import_foolbox(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("foolbox")
    for name in [name for name in sys.modules if name.partition(".")[0] == "foolbox"]:
        monkeypatch.delitem(sys.modules, name)
    open_data("demo")
    assert "foolbox" not in sys.modules


class Stripes(ImageData):
    """An extension's source."""

    def __init__(self, argument: str, options: DataOptions) -> None:
        self.name, self.ids = f"stripes:{argument}", tuple(map(str, range(int(argument))))
        self.labels = np.arange(int(argument)) % (options.n_classes or 2)

    def pixels(self, index: int, geometry: Geometry) -> torch.Tensor:
        return torch.zeros(3, 4, 4)

    def identity(self) -> dict[str, object]:
        return {"name": self.name}


def test_extensions_add_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        [
            EntryPoint("stripes", "tests.data.test_data:Stripes", "spectrobe.data"),
            EntryPoint("broken", "no.such.module:opener", "spectrobe.data"),
        ]
    )
    monkeypatch.setattr(plugins, "entry_points", points.select)
    monkeypatch.setitem(sys.modules, "tests.data.test_data", sys.modules[__name__])
    data = open_data("stripes:6", n_classes=3)
    assert isinstance(data, Stripes)
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert source_names() == ["broken", "demo", "digits", "hf", "parquet", "planted", "stripes"]
    with pytest.raises(
        InputError, match=r"the data scheme 'broken' \(no\.such\.module:opener\) .* could not be imported"
    ):
        open_data("broken:1")


@pytest.mark.parametrize(
    ("data", "n_classes", "message"),
    [
        ((images(1), [0]), 2, "at least 2 images, got 1"),
        (
            (images(), [0, 1, 5, 7]),
            5,
            r"image 2 of tensors has label 5, expected 0 to 4 \(2 images in all\).*--class-map",
        ),
        ((images(), [0, -1, 1, 1]), None, "image 1 of tensors has label -1, expected 0:"),
    ],
)
def test_data_that_no_study_can_work_with(data: object, n_classes: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_data(open_data(data), n_classes)
    assert "\n" not in str(caught.value)


def test_a_label_without_a_class_is_named() -> None:
    data = open_data((images(), [0, 1, 2, 0]))
    data.class_names = ("ape", "bat", "cow")
    with pytest.raises(InputError, match=r"has label 2 \(cow\), expected 0 to 1: "):
        check_data(data, 2)


def test_sound_data_passes() -> None:
    assert check_data(open_data((images(), [0, 1, 2, 0])), 3) == []
    assert check_data(open_data((images(), [0, 1, 2, 0])), None) == []
    assert check_data(open_data(images()), 3) == []


def test_one_class_only_is_told_and_left_to_the_study() -> None:
    warnings = check_data(open_data((images(), [3, 3, 3, 3])), 5)
    assert warnings == ["all 4 images of tensors are of class 3: any constant output is right on them"]


def test_missing_classes_among_many_images_are_told() -> None:
    data = open_data((images(60), [0, 2] * 30))
    assert check_data(data, 3) == ["only 2 of the model's 3 classes occur among 60 images"]


def test_ids_that_repeat_and_labels_of_another_length_are_refused() -> None:
    data = Stripes("4", DataOptions())
    data.ids = ("a", "b", "a", "c")
    with pytest.raises(InputError, match="got 'a' more than once"):
        check_data(data, 2)
    data = Stripes("4", DataOptions())
    data.labels = np.zeros(3, np.int64)
    with pytest.raises(InputError, match="expected 4 labels"):
        check_data(data, 2)


def test_digests_tell_content_and_shape() -> None:
    x = images(2)
    assert content_digest(x[0]) == content_digest(x[0].clone())
    assert content_digest(x[0]) != content_digest(x[1])
    assert content_digest(x[0]) != content_digest(x[0].reshape(1, 2, 8))
    assert content_digest(torch.zeros(3, 4, 4)) == blake2b(b"(3, 4, 4)" + bytes(192), digest_size=8).hexdigest()
    assert content_digest(x[0].mT.contiguous().mT) == content_digest(x[0])  # whatever the memory format


def test_duplicates_are_counted_and_two_are_named() -> None:
    warning = duplicate_warning(["a", "b", "c", "d"], ["1", "2", "1", "1"])
    assert warning is not None
    assert warning.startswith("2 of 4 images repeat another one pixel for pixel (such as c, equal to a)")
    assert duplicate_warning(["a", "b"], ["1", "2"]) is None


def test_duplicates_that_contradict_each_other_are_singled_out() -> None:
    ids, digests = list("abcdef"), list("112331")
    agreeing = duplicate_warning(ids, digests, [5, 5, 2, 3, 3, 5])
    assert agreeing == duplicate_warning(ids, digests)
    assert agreeing is not None and agreeing.startswith("3 of 6 images") and "label" not in agreeing
    contrary = duplicate_warning(ids, digests, np.array([5, 5, 2, 3, 4, 1]))
    assert contrary == agreeing + (
        "; 2 of them have another label than the image they repeat (such as e, of class 4, and d, of class 3): "
        "one of the two must be wrong"
    )
