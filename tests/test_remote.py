"""Locations behind fsspec: a library that is missing, a scheme nobody knows, a store that does not answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from matplotlib.figure import Figure

import spectrobe as sb
from spectrobe.data import open_data
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, MissingExtraError
from spectrobe.figures.style import save_figure
from spectrobe.models import Geometry
from spectrobe.remote import filesystem_of
from spectrobe.studies.robustness.folders import tree_folders
from tests.data.hostile import png

WAYS: dict[str, Callable[[str], object]] = {
    "folder": open_data,
    "parquet": lambda url: open_data(f"parquet:{url}"),
    "run": RunFolder,
    "load": sb.load,
    "figure": lambda url: save_figure(Figure(), url, "x"),
    "tree": tree_folders,
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[str], object]:
    return WAYS[request.param]


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_missing_library_is_named_with_its_install_command(
    scheme: str, way: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError) as caught:
        way(f"{scheme}://bucket/x")
    expected = f"{scheme}://bucket/x needs s3fs, which is not installed: pip install 'spectrobe[s3]'"
    assert str(caught.value) == expected


def test_a_scheme_nobody_knows(way: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match=r"^cannot open 'foo://bucket/x': Protocol not known: foo$"):
        way("foo://bucket/x")


def test_a_library_that_no_extra_installs(way: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"^cannot open 'gs://bucket/x': .*install gcsfs"):
        way("gs://bucket/x")


class NoCredentials(Exception):
    """As clients of object stores have them: no OSError."""


def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the file system in memory is out of reach."""

    def raises(*args: object, **kwargs: object) -> None:
        raise NoCredentials("Unable to locate credentials\nsee the manual")

    for name in ("info", "cat_file", "_open"):
        monkeypatch.setattr(MemoryFileSystem, name, raises)


@pytest.mark.parametrize("name", ["folder", "parquet", "tree"])
def test_a_store_that_does_not_answer_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(monkeypatch)
    message = "^cannot reach 'memory://bucket/x': NoCredentials: Unable to locate credentials$"
    with pytest.raises(InputError, match=message):
        WAYS[name]("memory://bucket/x")


def test_a_store_that_goes_away_in_the_middle_ends_the_run_and_is_no_bad_image(monkeypatch: pytest.MonkeyPatch) -> None:
    filesystem = fsspec.filesystem("memory")
    for name in ("a/0.png", "b/1.png"):
        filesystem.pipe(f"/cut/pets/{name}", png())
    data = open_data("memory://cut/pets", n_classes=2)
    assert data.pixels(1, Geometry()).shape == (3, 16, 24)
    cut_off(monkeypatch)
    with pytest.raises(InputError, match=r"cannot reach 'memory://cut/pets/b/1\.png': NoCredentials") as caught:
        data.pixels(1, Geometry())
    assert type(caught.value) is InputError


def test_local_paths_pass(tmp_path: Path) -> None:
    filesystem, path = filesystem_of(str(tmp_path))
    assert path == str(tmp_path) and filesystem.exists(path)
