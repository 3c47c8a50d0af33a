"""Input that is odd and is used all the same: what is made of it, and what is said about it; and disks that fill."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.cli.calls import Cli, Outcome, photo, png, save
from tests.data.hostile import encode

pytestmark = pytest.mark.usefixtures("undrawn")

SETTINGS = ("--num-classes", 3, "--bands", 2, "--batch-size", 32, "--precision", "float32")
Maker = Callable[[Path], None]


def told(outcome: Outcome) -> list[str]:
    """Warnings of a run that was done."""
    assert outcome.code == 0, outcome.err
    return [line.removeprefix("warning: ") for line in outcome.out.splitlines() if line.startswith("warning: ")]


def like(mode: str) -> Image.Image:
    return Image.fromarray(photo(0, 9)).convert(mode)


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(like("RGB"), "JPEG", exif=exif)


ODD_IMAGES: dict[str, Callable[[], bytes]] = {
    "cmyk.jpg": lambda: encode(like("CMYK"), "JPEG"),
    "palette.png": lambda: encode(like("P"), "PNG"),
    "alpha.png": lambda: encode(like("RGBA"), "PNG"),
    "grey.png": lambda: encode(like("L"), "PNG"),
    "one-bit.png": lambda: encode(like("1"), "PNG"),
    "16-bits.png": lambda: encode(Image.fromarray(photo(0, 9)[..., 0].astype(np.uint16) * 257), "PNG"),
    "rotated.jpeg": rotated,
    "animated.gif": lambda: encode(like("RGB"), "GIF", save_all=True, append_images=[like("RGB")]),
    "a PNG called.JPG": lambda: encode(like("RGB"), "PNG"),
}


def test_images_that_anyone_would_convert_are_converted(cli: Cli, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "images", tmp_path / "data")
    for name, make in ODD_IMAGES.items():
        (tmp_path / "data" / "a" / name).write_bytes(make())
    told(cli("decompose", "python:toys:blunt", tmp_path / "data", *SETTINGS, "--out", "run"))
    run = json.loads(Path("run/run.json").read_text())
    assert run["skipped"] == {}
    assert {f"a/{name}" for name in ODD_IMAGES} < set(run["images"]) and len(run["images"]) == 12 + len(ODD_IMAGES)
    assert set(run["identity"]["loader"]["codec"]) == {"GIF", "JPEG", "PNG"}


def test_images_that_repeat_are_told(cli: Cli, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "images", tmp_path / "data")
    shutil.copy(tmp_path / "data/b/1.png", tmp_path / "data/b/again.png")
    warnings = told(cli("decompose", "python:toys:blunt", tmp_path / "data", *SETTINGS))
    (warning,) = [warning for warning in warnings if "repeat" in warning]
    assert warning.startswith("1 of 13 images repeat another one pixel for pixel (such as b/")


WARNED = {
    "probabilities": "returns probabilities, not logits (rows sum to 1)",
    "sigmoids": "returns values in [0, 1] that do not sum to 1: sigmoid outputs of a multi-label head?",
    "another_order": "gets 0 of 12 intact images right, near chance (33.3%): normalisation or label order?",
    "dropout": "is not repeatable: two passes of the same images differ",
    "constant": "gives the same output for every image: untrained, or its input is not used",
}


@pytest.mark.parametrize("name", WARNED)
def test_models_that_look_wrong_are_warned_of(name: str, cli: Cli, world: Path) -> None:
    outcome = cli("decompose", f"python:toys:{name}", world / "images", *SETTINGS, "--out", "run")
    said = f"python:toys:{name} {WARNED[name]}"
    assert any(warning.startswith(said) for warning in told(outcome)), outcome.out
    assert f"warning: {said}" in outcome.err  # before the game, not only after it
    assert any(said in warning for warning in json.loads(Path("run/run.json").read_text())["warnings"])


def test_a_module_in_training_mode_is_played_in_eval_mode(cli: Cli, world: Path) -> None:
    call = ("decompose", "python:toys:InTraining", world / "images", *SETTINGS)
    first, second = cli(*call, "--json"), cli(*call, "--json", "--batch-size", 4)
    assert first.result["shapley"] == pytest.approx(second.result["shapley"], abs=1e-5)
    assert first.result["accuracy"]["value"] > 0.6  # by running statistics


def test_what_a_model_prints_stays_out_of_the_result(cli: Cli, world: Path) -> None:
    outcome = cli("decompose", "python:toys:chatty", world / "images", *SETTINGS, "--json")
    assert outcome.code == 0 and outcome.result["kind"] == "decompose"
    assert "from inside the model" in outcome.err


def graph(path: Path, shape: tuple[int | str, ...], dtype: str = "FLOAT", nodes: tuple[str, ...] = ()) -> None:
    """An ONNX graph that tells three classes apart by mean colour."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make, floats = onnx.helper, onnx.TensorProto.FLOAT
    steps = [("Cast", {"to": floats})]
    steps += [("Transpose", {"perm": [0, 3, 1, 2]})] * ("Transpose" in nodes)
    steps += [("ReduceMean", {"axes": [2, 3], "keepdims": 0})]
    made = [make.make_node(op, [f"x{i}"], [f"x{i + 1}"], **options) for i, (op, options) in enumerate(steps)]
    made.append(make.make_node("MatMul", [f"x{len(steps)}", "w"], ["y"]))
    scale = 4 / 255 if dtype == "UINT8" else 4
    onnx.save(
        make.make_model(
            make.make_graph(
                made,
                "net",
                [make.make_tensor_value_info("x0", getattr(onnx.TensorProto, dtype), shape)],
                [make.make_tensor_value_info("y", floats, [shape[0], 3])],
                [onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32) * np.float32(scale), "w")],
            ),
            opset_imports=[make.make_opsetid("", 17)],
            ir_version=8,
        ),
        str(path),
    )


GRAPHS = {
    "fixed batch": ((5, 3, 16, 16), "FLOAT", (), "graph of fixed batch 5: batches are cut, the last one is filled up"),
    "NHWC": (("n", 16, 16, 3), "FLOAT", ("Transpose",), "NHWC graph input: pixels are transposed"),
    "uint8": (("n", 3, 16, 16), "UINT8", (), "uint8 graph input: pixels are clipped to [0, 1], scaled to 255"),
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_graphs_of_every_make_give_the_same_profile(kind: str, cli: Cli, world: Path, tmp_path: Path) -> None:
    shape, dtype, nodes, note = GRAPHS[kind]
    graph(tmp_path / "net.onnx", shape, dtype, nodes)
    settings = (*SETTINGS, "--absence", "zero", "--json")
    found = cli("decompose", f"onnx:{tmp_path}/net.onnx", world / "images", *settings, "--out", "run").result
    wanted = cli("decompose", "python:toys:blunt", world / "images", *settings).result
    moved = np.abs(np.subtract(found["shapley"], wanted["shapley"])).max()
    assert 1e-3 < moved < 0.05 if kind == "uint8" else moved < 1e-5  # bytes clip what coalition images hold below 0
    identity = json.loads(Path("run/run.json").read_text())["identity"]["model"]
    assert any(said.startswith(note) for said in identity["notes"])


def test_a_single_logit_is_two_classes_when_asked(cli: Cli, world: Path, tmp_path: Path) -> None:
    for name in "ab":
        shutil.copytree(world / "images" / name, tmp_path / "data" / name)
    call = ("decompose", "python:toys:one_logit", tmp_path / "data", "--num-classes", 2, "--bands", 2, "--json")
    assert len(cli(*call).result["values"]) == 4


def test_some_of_imagenets_classes_get_their_own_numbers(cli: Cli, world: Path, tmp_path: Path) -> None:
    for name, wordnet in (("a", "n01440764"), ("b", "n02102040"), ("c", "n03888257")):  # classes 0, 217 and 701
        shutil.copytree(world / "images" / name, tmp_path / "data" / wordnet)
    call = ("decompose", "python:toys:imagenet", tmp_path / "data", "--num-classes", 1000, "--bands", 2)
    assert cli(*call, "--json").result["accuracy"]["value"] > 0.9


@pytest.mark.parametrize("file, text", [
    ("map.csv", "\ufeffname,index\r\na,0\r\nb,1\r\nc,2\r\n"),
    ("map.json", '\ufeff{"c": 2, "b": "1", "a": 0, "unused": 99}'),
])  # fmt: skip
def test_class_maps_as_spreadsheets_and_editors_write_them(
    file: str, text: str, cli: Cli, world: Path, tmp_path: Path
) -> None:
    (tmp_path / file).write_text(text, "utf-8")
    outcome = cli("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--class-map", file, "--json")
    assert outcome.code == 0 and outcome.result["accuracy"]["value"] > 0.6


def test_text_labels_with_a_class_map(cli: Cli, tmp_path: Path) -> None:
    cells = [{"bytes": png(photo(index % 3, index)), "path": None} for index in range(9)]
    pq.write_table(pa.table({"image": cells, "label": ["cat", "dog", "cow"] * 3}), tmp_path / "pets.parquet")
    (tmp_path / "map.json").write_text('{"cat": 0, "dog": 1, "cow": 2}')
    call = ("decompose", "python:toys:blunt", "parquet:pets.parquet", *SETTINGS)
    assert cli(*call).code == 2
    assert cli(*call, "--class-map", "map.json", "--json").result["accuracy"]["value"] > 0.6


def test_a_folders_name_is_printed_without_its_escape_codes(cli: Cli, world: Path, tmp_path: Path) -> None:
    name = "evil\x1b[31m\x1b]0;title\x07"
    shutil.copytree(world / "images", tmp_path / name)
    outcome = cli("decompose", "python:toys:blunt", tmp_path / name, *SETTINGS)
    assert outcome.code == 0
    assert "\x1b" not in outcome.out + outcome.err and "\x07" not in outcome.out + outcome.err
    assert "on evil[31m]0;title: 12 images" in outcome.out


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("write", [0, 1, 2], ids=["at once", "at the first shard", "at the result"])
def test_a_disk_that_fills_keeps_what_was_done(
    write: int, cli: Cli, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--absence", "zero")
    whole = cli(*call, "--json").out
    left = [write]
    flush = os.fsync

    def full(number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(number)

    monkeypatch.setattr(os, "fsync", full)
    outcome = cli(*call, "--out", "run")
    assert outcome.code == 2 and outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert last.startswith("spectrobe: run: could not write ") and "(No space left on device)" in last
    assert "make room or choose another folder, and the same call goes on" in last
    kept = [path for path in files(Path("run")) if not path.endswith(".lock")]
    assert len(kept) == write and not [path for path in kept if path.endswith(".part")]
    monkeypatch.setattr(os, "fsync", flush)
    assert cli(*call, "--out", "run", "--json").out == whole


def test_a_folder_that_may_not_be_written(cli: Cli, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the refusal is planted."""
    make = os.makedirs

    def refused(path: str, *args: object, **kwargs: object) -> None:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        make(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "makedirs", refused)
    outcome = cli("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--out", "locked")
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert "locked: cannot make or write this folder (Permission denied): choose another --out" in outcome.err
    assert not Path("locked").exists()


def test_two_images_suffice_and_one_class_does_not(cli: Cli, tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / "data" / "ab"[index] / "0.png", photo(index, 1))
    (tmp_path / "map.json").write_text('{"a": 0, "b": 1}')
    call = ("decompose", "python:toys:blunt", tmp_path / "data", *SETTINGS, "--class-map", "map.json")
    assert cli(*call).code == 0
    outcome = cli(*call[:2], tmp_path / "data" / "a", *SETTINGS, "--value", "agreement")
    assert outcome.code == 2 and "at least 2 images, got 1" in outcome.err
