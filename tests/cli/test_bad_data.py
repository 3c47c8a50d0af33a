"""Images and labels that cannot be used: the call, the one line that is printed, exit code 2, and nothing written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.calls import Cli, assert_refused, photo, png, save
from tests.data.hostile import BROKEN

MODEL = "decompose python:toys:colour --num-classes 3 --bands 4"
MAP = f"{MODEL} {{world}}/images --class-map {{album}}"
TABLE = f"{MODEL} parquet:{{album}}"

# (what is wrong, the call, parts of the line that is printed); {album} holds data, {world} sound images
CASES = [
    # folders
    ("folders of folders", f"{MODEL} {{album}}/deep", ["holds folders of folders (x/b/y/0.png)", "--class-map for x"]),
    ("no images among files", f"{MODEL} {{album}}/texts", ["no images in", "expected FOLDER/CLASS/image.jpg"]),
    ("several splits", f"{MODEL} {{album}}/splits", ["holds the splits train, val", "such as splits/val"]),
    ("images beside classes", f"{MODEL} {{album}}/loose", ["both class folders and images beside them (x.png)"]),
    ("a class without images", f"{MODEL} {{album}}/hollow", ["class folders without images (c)", "--class-map"]),
    ("a class in a class", f"{MODEL} {{album}}/nested", ["has a class folder 'b' inside another one (a/b/0.png)"]),
    ("a file, no folder", f"{MODEL} {{world}}/map.json", ["expected a folder, got the file"]),
    ("a pattern", f"{MODEL} {{world}}/images/*", ["no such folder", "data is a folder, hf:NAME"]),
    ("WordNet ids for 3 classes", f"{MODEL} {{album}}/wordnet", ["(n01440764, n02099601)", "3 classes"]),
    ("an unknown WordNet id", "decompose python:toys:imagenet --num-classes 1000 {album}/strange", ["n00000001"]),
    ("escape codes in a name", f"{MODEL} {{album}}/codes", [r"'a\x1b[31m/0.png'", "cannot be an id: rename it"]),
    ("the demo for 3 classes", f"{MODEL} demo", ["ImageNet's 1,000 classes, the model has 3"]),
    ("an empty name", f"{MODEL} ''", ["no such folder"]),
    # class maps
    ("a key twice", f"{MAP}/twice.json", ["twice.json' has the key 'a' more than once"]),
    ("a line twice", f"{MAP}/twice.csv", ["line 2: 'a' has two entries, 0 and 1"]),
    ("a map of maps", f"{MAP}/nested.json", ["maps 'a' to {'index': 0}: expected a class index"]),
    ("fractions", f"{MAP}/fraction.json", ["maps 'a' to 0.5: expected a class index"]),
    ("negative", f"{MAP}/negative.csv", ["maps 'a' to -1: expected an index from 0 to 2"]),
    ("a list", f"{MAP}/list.json", ["holds a list: expected a JSON object"]),
    ("the other way round", f"{MAP}/inverse.json", ["no entry for 3 of 3 class folders", "the other way round"]),
    ("a huge number", f"{MAP}/number.json", ["holds a number of too many digits"]),
    ("depth", f"{MAP}/depth.json", ["is nested too deeply"]),
    ("a huge field", f"{MAP}/field.csv", ["line 1: field larger than field limit"]),
    ("three columns", f"{MAP}/columns.csv", ["line 1: expected 2 columns (name,index), got 3"]),
    ("semicolons", f"{MAP}/semicolon.csv", ["got 1; a comma stands between them"]),
    ("not text", f"{MAP}/binary.json", ["is not UTF-8 text (byte 128)"]),
    ("a folder", f"{MAP}/folder.json", ["folder.json' is a folder"]),
    ("a device", f"{MAP}/device.json", ["device.json' is no regular file"]),
    ("another kind of file", f"{MAP}/map.txt", ["to be a .json or .csv file"]),
    # tables
    ("text labels", f"{TABLE}/text.parquet", ["label column 'label' is text (cat, cow, dog)", "give --class-map"]),
    ("fractional labels", f"{TABLE}/fraction.parquet", ["its column 'label' holds double: expected class indices"]),
    ("a missing label", f"{TABLE}/null.parquet", ["label column 'label' is empty in row 2"]),
    ("two label columns", f"{TABLE}/two.parquet", ["several label columns (label, target)", "--label-column"]),
    ("no such column", f"{TABLE}/two.parquet --label-column kind", ["has no column 'kind'; columns: image"]),
    ("labels for images", f"{TABLE}/two.parquet --image-column label", ["column 'label'", "holds int64, not images"]),
    ("no images", f"{TABLE}/numbers.parquet", ["has no column of images: name one with --image-column; columns: a"]),
    ("classes of others", f"{TABLE}/classes.parquet", ["has 4 classes (ape, bat, cow, doe), the model has 3"]),
    ("every label -1", f"{TABLE}/minus.parquet", ["every label", "is -1", "--value agreement"]),
    ("no rows", f"{TABLE}/rows.parquet --image-column image", ["has no rows"]),
    ("a damaged table", f"{TABLE}/torn.parquet", ["cannot read 'torn.parquet': not a Parquet file, or a damaged one"]),
    ("damaged metadata", f"{TABLE}/metadata.parquet", ["damaged metadata of the datasets library"]),
    ("no table there", f"{TABLE}/none.parquet", ["no such file or folder", "none.parquet"]),
    ("a table as a folder", f"{MODEL} {{album}}/two.parquet", ["is a Parquet file: give it as parquet:"]),
    ("rows that name files", f"{TABLE}/paths.parquet", [": the row holds the path 'zero' instead of"]),
    # sets of the `datasets` library
    ("a set's rows that name files", f"{MODEL} hf:{{album}}/set:test", ["the file zero, which is outside"]),
    ("no such set", f"{MODEL} hf:./none", ["no such folder: './none'"]),
    ("no such split", f"{MODEL} hf:{{album}}/set:val", ["cannot load hf:set:val", "val"]),
    # what is not installed
    ("a folder without s3fs", f"{MODEL} s3://bucket/images", ["s3://bucket/images needs s3fs", "'spectrobe[s3]'"]),
    ("a table without s3fs", f"{MODEL} parquet:s3://bucket/x.parquet", ["needs s3fs", "pip install 'spectrobe[s3]'"]),
    ("a map without s3fs", f"{MODEL} {{world}}/images --class-map s3://bucket/x.json", ["x.json needs s3fs"]),
    ("a run without s3fs", f"{MODEL} {{world}}/images --out s3://bucket/run", ["s3://bucket/run needs s3fs"]),
    ("a run to show without s3fs", "show s3://bucket/run", ["s3://bucket/run needs s3fs"]),
    ("an unknown protocol", f"{MODEL} s4://bucket/images", ["cannot open 's4://bucket/images': Protocol not known"]),
]  # fmt: skip

BROKEN_IMAGES = sorted(BROKEN.keys() - {"too-long-and-narrow"})


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of every unusable make."""
    root = tmp_path_factory.mktemp("album")
    for path in (
        "deep/x/a/y/0.png", "deep/x/b/y/0.png", "splits/train/a/0.png", "splits/val/a/0.png", "loose/x.png",
        "loose/a/0.png", "hollow/a/0.png", "hollow/b/0.png", "nested/a/b/0.png", "nested/b/0.png", "nested/c/0.png",
        "wordnet/n01440764/0.png", "wordnet/n02099601/0.png", "strange/n01440764/0.png", "strange/n00000001/0.png",
        "codes/a\x1b[31m/0.png", "codes/b/0.png",
    ):  # fmt: skip
        save(root / path, photo(0, 1))
    (root / "hollow" / "c").mkdir()
    (root / "texts" / "a").mkdir(parents=True)
    (root / "texts" / "a" / "x.txt").write_text("x")
    for kind in BROKEN_IMAGES:
        for index in range(3):
            save(root / kind / "abc"[index] / "0.png", photo(index, 1))
        (root / kind / "a" / "odd.png").write_bytes(BROKEN[kind][0]())
    write_maps(root)
    write_tables(root)
    return root


def write_maps(root: Path) -> None:
    rest = '"b": 1, "c": 2}'
    for name, text in {
        "twice.json": '{"a": 0, "a": 1, ' + rest, "twice.csv": "a,0\na,1\nb,1\nc,2\n",
        "nested.json": '{"a": {"index": 0}, ' + rest, "fraction.json": '{"a": 0.5, ' + rest,
        "negative.csv": "a,-1\nb,1\nc,2\n", "list.json": '["a", "b", "c"]',
        "inverse.json": '{"0": "a", "1": "b", "2": "c"}', "number.json": '{"a": 1' + "0" * 5000 + ", " + rest,
        "depth.json": '{"a":' * 100_000 + "0" + "}" * 100_000, "field.csv": "a," + "1" * 200_000 + "\nb,1\nc,2\n",
        "columns.csv": "a,0,x\nb,1,y\nc,2,z\n", "semicolon.csv": "a;0\nb;1\nc;2\n", "map.txt": "a,0\nb,1\nc,2\n",
    }.items():  # fmt: skip
        (root / name).write_text(text)
    (root / "binary.json").write_bytes(bytes(range(256)))
    (root / "folder.json").mkdir()
    os.symlink("/dev/zero", root / "device.json")


def write_tables(root: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": png(photo(index % 3, index)), "path": None} for index in range(6)], kind)
    names = pa.array([{"bytes": None, "path": "/dev/zero"}] * 6, kind)
    numbers = [0, 1, 2, 0, 1, 2]
    for name, columns in {
        "text": {"image": images, "label": ["cat", "dog", "cow"] * 2},
        "fraction": {"image": images, "label": [0.0, 1.0, 2.0] * 2},
        "null": {"image": images, "label": [0, 1, None, 0, 1, 2]},
        "two": {"image": images, "label": numbers, "target": numbers},
        "numbers": {"a": numbers, "b": numbers},
        "minus": {"image": images, "label": [-1] * 6},
        "rows": {"image": images[:0], "label": pa.array([], pa.int64())},
        "paths": {"image": names, "label": numbers},
    }.items():
        pq.write_table(pa.table(columns), root / f"{name}.parquet")
    (root / "torn.parquet").write_bytes((root / "text.parquet").read_bytes()[:200])
    table = pa.table({"image": images, "label": numbers})
    pq.write_table(table.replace_schema_metadata({"huggingface": "{"}), root / "metadata.parquet")
    named = {"image": {"_type": "Image"}, "label": {"names": ["ape", "bat", "cow", "doe"], "_type": "ClassLabel"}}
    said = {"huggingface": json.dumps({"info": {"features": named}})}
    pq.write_table(table.replace_schema_metadata(said), root / "classes.parquet")
    features = {"image": {"_type": "Image"}, "label": {"dtype": "int64", "_type": "Value"}}
    (root / "set").mkdir()
    said = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": names, "label": numbers}).replace_schema_metadata(said)
    pq.write_table(table, root / "set" / "test.parquet")


@pytest.mark.parametrize("call, line", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_data_that_cannot_be_used_is_one_line(
    call: str, line: list[str], cli: Cli, world: Path, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if " hf:" in call:
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", album.parent / "cache")
    if call.endswith(" demo"):
        pytest.importorskip("foolbox")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert_refused(cli(*call.format(world=world, album=album).split()), line, tmp_path)


@pytest.mark.parametrize("kind", BROKEN_IMAGES)
def test_a_broken_image_is_named(kind: str, cli: Cli, album: Path, tmp_path: Path) -> None:
    outcome = cli(*MODEL.split(), album / kind)
    assert_refused(outcome, ["image a/odd.png: ", BROKEN[kind][1], "leave it out with --on-bad-image skip"], tmp_path)
