"""Which files are meant by files, folders and patterns, in which order, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from spectrobe.errors import InputError
from spectrobe.studies.track.files import find_checkpoints


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for epoch in (1, 2, 10):
        put(f"ckpts/epoch={epoch}.ckpt", epoch)
        put(f"hf/checkpoint-{epoch}/model.safetensors", epoch)
    put("ckpts/notes.txt")
    put("other/epoch=2.ckpt", 7)
    put("hf/checkpoint-10/optimizer.pt")
    Path("empty").mkdir()
    return tmp_path


def put(name: str, content: int = 0) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(bytes([content]))


@pytest.mark.parametrize("given, names", [
    ("ckpts/epoch=2.ckpt", ["epoch=2"]),
    (["ckpts/epoch=10.ckpt", "ckpts/epoch=1.ckpt"], ["epoch=10", "epoch=1"]),           # files as given
    ("ckpts", ["epoch=1", "epoch=2", "epoch=10"]),                                      # folders in natural order
    ("ckpts/*.ckpt", ["epoch=1", "epoch=2", "epoch=10"]),
    (["ckpts/epoch=10.ckpt", "ckpts"], ["epoch=10", "epoch=1", "epoch=2"]),             # each once
    ("hf", ["checkpoint-1", "checkpoint-2", "checkpoint-10"]),
    ("hf/checkpoint-*", ["checkpoint-1", "checkpoint-2", "checkpoint-10"]),
    ("hf/checkpoint-10", ["checkpoint-10"]),
    (["ckpts/epoch=2.ckpt", "other/epoch=2.ckpt"], ["ckpts/epoch=2", "other/epoch=2"]),
])  # fmt: skip
def test_what_is_found(root: Path, given: str | Sequence[str], names: list[str]) -> None:
    assert [found.name for found in find_checkpoints(given)] == names


def test_another_file_of_the_same_name_has_another_folder(root: Path) -> None:
    [before] = find_checkpoints(Path("ckpts/epoch=2.ckpt"))
    assert before.folder.startswith("checkpoints/epoch=2-") and len(before.folder) == len("checkpoints/epoch=2-") + 8
    put("ckpts/epoch=2.ckpt", 9)
    [after] = find_checkpoints(Path("ckpts/epoch=2.ckpt"))
    assert after.folder != before.folder


@pytest.mark.parametrize("given, message", [
    ("ckpts/epoch=3.ckpt", "there is nothing at ckpts/epoch=3.ckpt"),
    ("nothing/*.pt", "expected files that match 'nothing/\\*.pt', found none"),
    ("empty", "expected checkpoints .* in the folder empty, found none"),
    ([], "at least one checkpoint, got none"),
])  # fmt: skip
def test_what_names_no_file_is_refused(root: Path, given: str | Sequence[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_checkpoints(given)
