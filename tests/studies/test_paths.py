"""Paths of the user's machine are cut to their last part, and nothing else is touched."""

from __future__ import annotations

import pytest

from spectrobe.studies.paths import file_in, last_part, short_name, without_paths

CUT = [
    ("/home/me/photos/x.jpg is torn", "x.jpg is torn"),
    ("could not read '/home/me/my photos/x.jpg' (torn)", "could not read 'x.jpg' (torn)"),
    ("timm:r?checkpoint=/home/me/w.safetensors&num_classes=10", "timm:r?checkpoint=w.safetensors&num_classes=10"),
    ("timm:r?checkpoint=runs/w.safetensors", "timm:r?checkpoint=w.safetensors"),
    ("onnx:models/a.onnx on parquet:data/x.parquet", "onnx:a.onnx on parquet:x.parquet"),
    (r"C:\Users\me\x.jpg", "x.jpg"),
    (r"\\server\share\x.jpg", "x.jpg"),
    ("file:///home/me/x.jpg", "x.jpg"),
    ("~/x.jpg, ./a/b and ../c", "x.jpg, b and c"),
    ("(/tmp/a/b): no space left", "(b): no space left"),
]
LEFT = [
    "0.25 cycles/pixel, 4/255, -6 dB/octave, and/or",
    "n01491361/great_white.jpg",
    "https://example.com/a/b and s3://bucket/a/b",
    "hf:google/vit-base-patch16-224",
    "</script><script>alert(1)</script>",
    "clean / noisy",
]


@pytest.mark.parametrize("text, shown", CUT)
def test_a_path_is_cut_to_its_last_part(text: str, shown: str) -> None:
    assert without_paths(text) == shown


@pytest.mark.parametrize("text", LEFT)
def test_what_is_no_path_stays(text: str) -> None:
    assert without_paths(text) == text


def test_known_paths_may_hold_blanks() -> None:
    text = "runs of /data/my runs/a b and /data/my runs/a b/c"
    assert without_paths(text, ["/data/my runs/a b", "/data/my runs/a b/c"]) == "runs of a b and c"


@pytest.mark.parametrize(
    "name, file",
    [
        ("onnx:/a b/c.onnx?mean=0", "/a b/c.onnx"),
        ("parquet:c.parquet", "c.parquet"),
        ("hf:google/vit", ""),
        ("demo", ""),
    ],
)
def test_the_file_that_a_string_names(name: str, file: str) -> None:
    assert file_in(name) == file


def test_a_short_name_holds_no_folder_not_even_one_with_blanks() -> None:
    assert short_name("onnx:/my models/net 1.onnx?mean=0") == "onnx:net 1.onnx?mean=0"
    assert short_name("hf:google/vit") == "hf:google/vit"


@pytest.mark.parametrize("path, last", [("a/b/", "b"), ("a\\b", "b"), ("b", "b"), ("/", "/")])
def test_the_last_part(path: str, last: str) -> None:
    assert last_part(path) == last
