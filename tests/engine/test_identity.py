"""Whether a folder holds this very run: every setting that numbers depend on counts, and the difference is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import spectrobe as sb
from spectrobe.engine.identity import differing, refuse_other
from spectrobe.errors import RunFolderError
from tests.toys import PLAIN, linear, planted

Change = Callable[[dict[str, Any]], None]


def test_differences_are_found_at_any_depth() -> None:
    one = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": "x"}
    assert differing(one, dict(one)) == []
    other = {"a": 1, "b": {"c": [1, 3], "d": None, "f": 0}, "e": "x"}
    assert differing(one, other) == [("b.c", [1, 2], [1, 3]), ("b.f", None, 0)]
    assert differing({"a": {"b": 1}}, {"a": None}) == [("a", {"b": 1}, None)]


def test_refusal_names_three_and_counts_the_rest() -> None:
    refuse_other({"a": 1}, {"a": 1}, "folder")
    with pytest.raises(RunFolderError) as caught:
        refuse_other(dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2), "runs/7")
    assert str(caught.value) == (
        "runs/7 holds a run of other settings (a: there 1, now 2; b: there 1, now 2; c: there 1, now 2 and 2 more): "
        "choose another --out, or repeat that call"
    )


def other_weights(call: dict[str, Any]) -> None:
    call["model"] = linear(seed=9)


def other_labels(call: dict[str, Any]) -> None:
    x, y = call["data"]
    call["data"] = (x, (y + 1) % 4)


def other_pixels(call: dict[str, Any]) -> None:
    x, y = call["data"]
    call["data"] = (x.roll(1, 3), y)


def fewer_images(call: dict[str, Any]) -> None:
    x, y = call["data"]
    call["data"] = (x[:-1], y[:-1])


def setting(**changed: Any) -> Change:
    return lambda call: call.update(changed)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("identity") / "run"
    torch.set_num_threads(1)  # made before the fixture of each test
    net, data = planted(10)
    sb.decompose(net, data, out=out, **PLAIN)
    return out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (setting(bands=4), r"settings\.bands\.edges"),
        (setting(bands="radial:3"), r"settings\.bands\.norm: there 'square', now 'radial'"),
        (setting(bands=sb.BandPartition.square(3, dc="own")), r"settings\.bands\.dc: there 'in-band', now 'own'"),
        (setting(value="accuracy"), r"settings\.value: there 'usable-information', now 'accuracy'"),
        (setting(absence="zero"), r"settings\.absence: there 'mean', now 'zero'"),
        (setting(design="permutation"), r"settings\.design: there 'exact', now 'permutation'"),
        (setting(confidence=0.9), r"settings\.confidence: there 0\.95, now 0\.9"),
        (setting(seed=1), r"settings\.seed: there 0, now 1"),
        (setting(images=5), r"selection\.images: there None, now 5"),
        (setting(tolerance=0.1), r"selection\.tolerance: there None, now 0\.1"),
        (setting(batch_size=16), r"asked\.batch_size: there 32, now 16"),
        (setting(precision="bfloat16"), r"asked\.precision: there 'float32', now 'bfloat16'"),
        (setting(on_bad_image="skip"), r"loader\.on_bad_image: there 'error', now 'skip'"),
        (other_weights, r"model\.weights_sha256"),
        (other_labels, r"data\.digest"),
        (other_pixels, r"data\.pixels"),
        (fewer_images, r"data\.images: there 10, now 9"),
    ],
)
def test_another_run_is_refused(finished: Path, change: Change, named: str) -> None:
    net, data = planted(10)
    call: dict[str, Any] = {"model": net, "data": data, **PLAIN}
    change(call)
    before = (finished / "result.json").read_bytes()
    with pytest.raises(
        RunFolderError, match=rf"holds a run of other settings \(.*{named}.*choose another --out"
    ) as caught:
        sb.decompose(call.pop("model"), call.pop("data"), out=finished, **call)
    assert "\n" not in str(caught.value)
    assert (finished / "result.json").read_bytes() == before


def test_threads_count(finished: Path) -> None:
    torch.set_num_threads(2)
    with pytest.raises(RunFolderError, match="threads: there 1, now 2"):
        sb.decompose(*planted(10), out=finished, **PLAIN)


def test_a_run_of_another_command_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema_version": 1, "command": "snr"}')
    with pytest.raises(RunFolderError, match="command: there 'snr', now 'decompose'"):
        sb.decompose(*planted(4), out=tmp_path, **PLAIN)


def test_payoffs_of_nobody_are_refused(tmp_path: Path) -> None:
    (tmp_path / "payoffs").mkdir()
    (tmp_path / "payoffs/000000.parquet").write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"holds payoffs but no run\.json"):
        sb.decompose(*planted(4), out=tmp_path, **PLAIN)


@pytest.mark.parametrize("changed", [{"workers": 1}, {"progress": None}, {"force": False}])
def test_what_changes_no_number_is_no_difference(finished: Path, changed: dict[str, Any]) -> None:
    again = sb.decompose(*planted(10), out=finished, **PLAIN | changed)
    assert again.n_images == 10
