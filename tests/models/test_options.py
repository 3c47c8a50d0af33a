"""Options: read from Python values and from text, refused in one line, and what they do to a model's own geometry."""

from __future__ import annotations

import json

import fsspec
import pytest

from spectrobe.errors import InputError
from spectrobe.models import Geometry, ModelOptions, Preprocessing

CENTER = Preprocessing(Geometry((224, 224), 256), (0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
SQUASH = Preprocessing(Geometry((224, 224), (248, 248), "bilinear"), (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    "given, field, value",
    [
        ({"mean": "0.4, 0.5,0.6"}, "mean", (0.4, 0.5, 0.6)),
        ({"mean": [0.4, 0.5, 0.6]}, "mean", (0.4, 0.5, 0.6)),
        ({"mean": 0.5}, "mean", (0.5,)),
        ({"std": "1"}, "std", (1.0,)),
        ({"size": 32}, "size", (32, 32)),
        ({"size": "64x48"}, "size", (64, 48)),
        ({"size": (64, 48)}, "size", (64, 48)),
        ({"size": "none"}, "size", "none"),
        ({"crop": "0.9"}, "crop", 0.9),
        ({"num_classes": "10"}, "num_classes", 10),
        ({"pretrained": "false"}, "pretrained", False),
        ({"pretrained": True}, "pretrained", True),
        ({"class_names": ["cat", "dog"]}, "class_names", ("cat", "dog")),
        ({"prompts": "a {}"}, "prompts", ("a {}",)),
        ({"weights": "V2"}, "extra", {"weights": "V2"}),
    ],
)
def test_read(given, field, value):
    assert getattr(ModelOptions.parse(given), field) == value


@pytest.mark.parametrize(
    "given, message",
    [
        ({"mean": "123.675,116.28,103.53"}, "divide values for 0-255 by 255"),
        ({"mean": -0.1}, "expected a mean of pixels"),
        ({"mean": "half"}, "expected a number for mean, got 'half'"),
        ({"mean": "nan"}, "expected a finite number"),
        ({"std": "58.4,57.1,57.4"}, "divide values for 0-255 by 255"),
        ({"std": 0}, "expected a std above 0"),
        ({"size": "224x224x3"}, "expected a size such as 224"),
        ({"size": 0}, "expected a size such as 224, .* in whole pixels from 1 up, got 0"),
        ({"size": 32.5}, r"in whole pixels from 1 up, got 32\.5"),
        ({"size": "16x"}, "in whole pixels from 1 up, got '16x'"),
        ({"size": None}, "in whole pixels from 1 up, got None"),
        ({"crop": 1.5}, r"expected crop in \(0, 1\]"),
        ({"crop": 0}, r"expected crop in \(0, 1\]"),
        ({"interpolation": "cubic"}, "one of nearest, bilinear, bicubic, lanczos, box, hamming, got 'cubic'"),
        ({"num_classes": 1}, "expected at least 2 classes"),
        ({"num_classes": "ten"}, "expected a number for num_classes"),
        ({"pretrained": "maybe"}, "expected true or false for pretrained"),
        ({"device": "gpu"}, "expected a device such as cpu, cuda"),
        ({"checkpoint": ""}, "expected a file for checkpoint"),
        ({"class_names": []}, "expected class_names to be a list of texts"),
        ({"class_names": "nowhere.txt"}, r"the file 'nowhere\.txt' of class_names does not exist"),
    ],
)
def test_refused_in_one_line(given, message):
    with pytest.raises(InputError, match=message) as caught:
        ModelOptions.parse(given)
    assert "\n" not in str(caught.value)


def test_class_names_from_files(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n\n dog \n")
    (tmp_path / "names.json").write_text(json.dumps(["cat", "dog"]))
    for name in ("names.txt", "names.json"):
        assert ModelOptions.parse({"class_names": str(tmp_path / name)}).class_names == ("cat", "dog")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"is not JSON \(line 1"):
        ModelOptions.parse({"class_names": tmp_path / "broken.json"})
    (tmp_path / "dict.json").write_text("{}")
    with pytest.raises(InputError, match="holds a dict: expected a file with one name a line"):
        ModelOptions.parse({"class_names": tmp_path / "dict.json"})
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"is not UTF-8 text \(byte 0\)"):
        ModelOptions.parse({"class_names": tmp_path / "picture.txt"})
    (tmp_path / "numbers.json").write_text("[1, 2]")
    with pytest.raises(InputError, match=r"a list of texts, or a file of them, got \[1, 2\]"):
        ModelOptions.parse({"class_names": tmp_path / "numbers.json"})


def test_files_may_lie_behind_fsspec(tmp_path):
    fsspec.filesystem("memory").pipe("/bucket/names.json", b'["cat", "dog"]')
    assert ModelOptions.parse({"class_names": "memory://bucket/names.json"}).class_names == ("cat", "dog")
    fsspec.filesystem("memory").pipe("/bucket/weights.pt", b"content")
    copy = ModelOptions.parse({"checkpoint": "memory://bucket/weights.pt"}).checkpoint
    assert (copy.name, copy.read_bytes()) == ("weights.pt", b"content")
    with pytest.raises(InputError, match="cannot reach 'memory://bucket/absent': FileNotFoundError"):
        ModelOptions.parse({"checkpoint": "memory://bucket/absent"})


@pytest.mark.parametrize(
    "own, given, size, resize, interpolation",
    [
        (CENTER, {}, (224, 224), 256, "bicubic"),
        (CENTER, {"interpolation": "lanczos"}, (224, 224), 256, "lanczos"),
        (CENTER, {"size": 288}, (288, 288), 329, "bicubic"),  # crop .875 is kept
        (CENTER, {"size": 288, "crop": 1}, (288, 288), 288, "bicubic"),
        (CENTER, {"crop": 0.95}, (224, 224), 235, "bicubic"),
        (CENTER, {"size": "160x128"}, (160, 128), 182, "bicubic"),
        (CENTER, {"size": "none"}, None, None, "bicubic"),
        (SQUASH, {"size": 112}, (112, 112), (124, 124), "bilinear"),
        (SQUASH, {"crop": 1}, (224, 224), (224, 224), "bilinear"),
        (Preprocessing(), {}, None, None, "bicubic"),
        (Preprocessing(), {"size": 64}, (64, 64), 64, "bicubic"),
        (Preprocessing(), {"size": 64, "crop": 0.5}, (64, 64), 128, "bicubic"),
    ],
)
def test_geometry_overrides(own, given, size, resize, interpolation):
    geometry = own.overridden(ModelOptions.parse(given)).geometry
    assert (geometry.size, geometry.resize, geometry.interpolation) == (size, resize, interpolation)


def test_normalisation_overrides():
    def said(own: Preprocessing, **given: object) -> tuple[object, object]:
        new = own.overridden(ModelOptions.parse(given))
        return new.mean, new.std

    assert said(CENTER) == ((0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
    assert said(CENTER, mean=0.1) == ((0.1,) * 3, (0.2,) * 3)
    assert said(CENTER, mean=0, std=1) == (None, None)
    assert said(Preprocessing(Geometry(channels=1)), mean=0.5, std=0.5) == ((0.5,), (0.5,))
    with pytest.raises(InputError, match="expected mean and std together"):
        said(Preprocessing(), mean=0.5)
    with pytest.raises(InputError, match="expected 1 or 3 values of std, one a channel, got 2"):
        said(CENTER, std="0.1,0.2")


@pytest.mark.parametrize("given", [{"crop": 0.9}, {"crop": 0.9, "size": "none"}])
def test_crop_needs_a_size(given):
    with pytest.raises(InputError, match="expected a size with crop"):
        Preprocessing().overridden(ModelOptions.parse(given))
