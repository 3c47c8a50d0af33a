"""`hf:` sets whose images are files: folders with splits, webdataset archives, and rows that point elsewhere."""

from __future__ import annotations

import io
import json
import logging
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from spectrobe.data import load_images, open_data
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry
from tests.data.hostile import photo, png

datasets = pytest.importorskip("datasets")
PIXELS = torch.from_numpy(photo()).permute(2, 0, 1).float() / 255


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


def image_folder(root: Path) -> Path:
    for split in ("train", "test"):
        for name in ("cat/0.png", "cat/1.png", "dog/2.png"):
            path = root / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png())
    return root


def test_a_folder_of_images_with_splits(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = image_folder(tmp_path / "pets")
    data = open_data(f"hf:{folder}:test", n_classes=2)
    assert (data.name, data.class_names) == ("hf:pets:test", ("cat", "dog"))
    assert data.labels is not None and data.labels.tolist() == [0, 0, 1]
    assert torch.equal(data.pixels(2, Geometry()), PIXELS)
    assert data.loader_settings(Geometry())["codec"] == ["PNG"]
    with pytest.raises(InputError, match=r"has the splits train, test: give hf:.*pets:test"):
        open_data(f"hf:{folder}", n_classes=2)
    named = open_data(f"hf:{folder}:test", n_classes=3, class_names=("dog", "cow", "cat"))
    assert named.labels is not None and named.labels.tolist() == [2, 2, 0]
    assert capfd.readouterr() == ("", "")  # no progress bars of the library
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    assert torch.equal(open_data(f"hf:{linked}:test", n_classes=2).pixels(0, Geometry()), PIXELS)


def test_webdataset_archives(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "train-000.tar", "w") as archive:
        for index in range(4):
            for kind, content in (("png", png()), ("cls", str(index % 2).encode())):
                info = tarfile.TarInfo(f"{index}.{kind}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    data = open_data(f"hf:{tmp_path}/set", n_classes=2)
    assert data.name == "hf:set:train"
    assert data.labels is not None and data.labels.tolist() == [0, 1, 0, 1]
    assert torch.equal(data.pixels(3, Geometry()), PIXELS)


def pointing(folder: Path, *paths: str) -> str:
    """A set whose rows name files instead of holding images, and whose last row holds one."""
    cells = [{"bytes": None, "path": path} for path in paths] + [{"bytes": png(), "path": "0.png"}]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, "label": {"dtype": "int64", "_type": "Value"}}
    table = pa.table({"image": pa.array(cells, kind), "label": list(range(len(cells)))})
    folder.mkdir(exist_ok=True)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), folder / "test.parquet")
    return f"hf:{folder}:test"


def test_rows_that_point_out_of_the_set_are_not_followed(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "own.png").write_bytes(png())
    (tmp_path / "set-2").mkdir()
    (tmp_path / "set-2" / "near.png").write_bytes(png())
    (cache / "fetched.png").write_bytes(png())
    os.mkfifo(tmp_path / "set" / "pipe.png")
    outside = ["/dev/zero", f"{tmp_path}/secret.png", f"{tmp_path}/set/../secret.png", f"{tmp_path}/set-2/near.png"]
    inside = [f"{tmp_path}/set/own.png", f"{cache}/fetched.png"]
    data = open_data(pointing(tmp_path / "set", *outside, f"{tmp_path}/set/pipe.png", *inside))
    found = dict(load_images(data, range(len(data)), Geometry(), on_bad_image="skip"))
    for index, path in enumerate(outside):
        error = found[index]
        assert isinstance(error, BadImageError)
        assert error.reason == f"the row names the file {Path(path).name}, which is outside of the data set"
    assert isinstance(found[4], BadImageError) and found[4].reason == "not a regular file"
    assert all(torch.equal(found[index], PIXELS) for index in (5, 6, 7))  # type: ignore[arg-type]
    with pytest.raises(BadImageError, match="outside of the data set"):
        next(iter(load_images(data, [0], Geometry())))


def test_a_dataset_of_the_callers_own_may_name_any_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    paths = [f"{tmp_path}/a.png", f"{tmp_path}/absent.png", "/dev/zero"]
    data = open_data(datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image()))
    assert torch.equal(data.pixels(0, Geometry()), PIXELS)
    with pytest.raises(BadImageError, match=r"absent\.png cannot be read \(No such file or directory\)"):
        data.pixels(1, Geometry())
    with pytest.raises(BadImageError, match="not a regular file"):
        data.pixels(2, Geometry())


def test_a_hub_out_of_reach_is_one_line_without_log_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = logging.StreamHandler()
    log = logging.getLogger("huggingface_hub.utils._http")
    level, bars = logging.getLogger("huggingface_hub").level, datasets.are_progress_bars_disabled()

    def offline(*args: object, **kwargs: object) -> None:
        log.warning("thrown while requesting HEAD; retrying")
        raise ConnectionError("Couldn't reach the Hub\nmany lines")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    log.addHandler(handler)
    try:
        with pytest.raises(InputError, match=r"^cannot load hf:owner/set:test: Couldn't reach the Hub$"):
            open_data("hf:owner/set:test")
    finally:
        log.removeHandler(handler)
    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger("huggingface_hub").level, datasets.are_progress_bars_disabled()) == (level, bars)
