"""Whether a folder holds this very run: every setting that numbers depend on counts, and the difference is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import spectrobe as sb
from spectrobe.engine.identity import differing, images_in_words, refuse_other
from spectrobe.errors import RunFolderError
from tests.toys import PLAIN, linear, planted

Change = Callable[[dict[str, Any]], None]


def test_differences_are_found_at_any_depth() -> None:
    one = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": "x"}
    assert differing(one, dict(one)) == []
    other = {"a": 1, "b": {"c": [1, 3], "d": None, "f": 0}, "e": "x"}
    assert differing(one, other) == [(("b", "c"), [1, 2], [1, 3]), (("b", "f"), None, 0)]
    assert differing({"a": {"b": 1}}, {"a": None}) == [(("a",), {"b": 1}, None)]


def test_named_things_differ_by_name_and_in_their_order() -> None:
    snow, fog = {"name": "snow:3", "settings": {"severity": 3}}, {"name": "fog:1", "settings": {"severity": 1}}
    assert differing([snow, fog], [snow, fog]) == []
    assert differing([snow], [snow, fog]) == [(("fog:1",), None, fog)]
    assert differing([snow, fog], [fog, snow]) == [((), ["snow:3", "fog:1"], ["fog:1", "snow:3"])]
    other = {"name": "snow:3", "settings": {"severity": 3, "size": 2}}
    assert differing([snow], [other]) == [(("snow:3", "settings", "size"), None, 2)]
    assert differing([snow, snow], [snow]) == [((), [snow, snow], [snow])]  # names say nothing here


def told(was: dict[str, Any], now: dict[str, Any], about_images: Sequence[str] = ()) -> str:
    with pytest.raises(RunFolderError) as caught:
        refuse_other(was, now, "runs/7", about_images)
    said = re.fullmatch(
        r"runs/7 holds a run of other settings \((.*)\): choose another --out, or repeat that call", str(caught.value)
    )
    assert said is not None, str(caught.value)
    return said[1]


def test_refusal_names_three_and_counts_the_rest() -> None:
    refuse_other({"a": 1}, {"a": 1}, "folder")
    assert told(dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2)) == (
        "a: there 1, now 2; b: there 1, now 2; c: there 1, now 2 and 2 more"
    )


DIGESTS = ("a" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("path", "values", "words"),
    [
        ("settings.seed", (0, 1), "seed: there 0, now 1"),
        ("selection.images", (None, 5), "images: there all, now 5"),
        ("asked.batch_size", ("auto", 8), "batch_size: there 'auto', now 8"),
        ("model.weights_sha256", DIGESTS, "the weights of the model are others"),
        ("model.answers", ([[1.0]], [[2.0]]), "the model answers the same images otherwise"),
        ("model.mean", (None, [0.5]), "mean of the model: there none, now [0.5]"),
        ("model.geometry.size", ([32, 32], [64, 64]), "geometry.size of the model: there [32, 32], now [64, 64]"),
        ("model.versions.timm", ("1.0", "1.1"), "version of timm: there '1.0', now '1.1'"),
        ("versions.torch", ("2.6", "2.7"), "version of torch: there '2.6', now '2.7'"),
        ("loader.crop", (None, [3, 4]), "crop of the images: there none, now [3, 4]"),
        ("absence.mean", DIGESTS, "the absence image (mean) is another"),
        ("conditions.snow:3.settings.size", (1, 2), "snow:3: size: there 1, now 2"),
        ("perturbations.fog:1", (None, {"item": "fog:1"}), "perturbation fog:1 added"),
        ("perturbations.fog:1", ({"item": "fog:1"}, None), "perturbation fog:1 removed"),
        ("anything.new", DIGESTS, "anything.new is another"),
        ("threads", (1, "x" * 200), f"threads: there 1, now '{'x' * 59}..."),
    ],
)  # fmt: skip
def test_a_difference_is_told_in_words(path: str, values: tuple[Any, Any], words: str) -> None:
    was, now = values
    for key in reversed(path.split(".")):
        was, now = {key: was}, {key: now}
    assert told(was, now) == words


def test_images_that_were_added_removed_or_relabelled_are_named() -> None:
    was = {"data": {"digest": DIGESTS[0], "images": 6}, "settings": {"data_digest": DIGESTS[0]}}
    now = {"data": {"digest": DIGESTS[1], "images": 5}, "settings": {"data_digest": DIGESTS[1]}}
    some = images_in_words(list("abcdef"), list("cdefg"), [0] * 6, [0, 0, 1, 1, 1])
    assert some == ["1 image added: g", "2 images removed: a, b", "2 images relabelled: e, f"]
    assert told(was, now, some) == "; ".join(some)
    assert images_in_words(list("abcdef"), [], None, None) == ["6 images removed: a, b, c and 3 more"]
    assert images_in_words(list("ab"), list("ba"), [0, 1], [1, 0]) == []
    assert told({"settings": {"seed": 0}}, {"settings": {"seed": 1}}, some) == "seed: there 0, now 1"  # data as before
    assert told({"a": 1}, {"a": 1}, some) == "; ".join(some)  # somebody's data whose identity does not tell
    assert told({"data": {"digest": DIGESTS[0]}}, {"data": {"digest": DIGESTS[1]}}) == (
        "images were added, removed, renamed or relabelled, or their files have other sizes"
    )


def other_weights(call: dict[str, Any]) -> None:
    call["model"] = linear(seed=9)


def other_labels(call: dict[str, Any]) -> None:
    x, y = call["data"]
    call["data"] = (x, (y + 1) % 4)


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
        (setting(bands=4), "bands: there square:3, now square:4"),
        (setting(bands="radial:3"), "bands: there square:3, now radial:3"),
        (setting(bands=sb.BandPartition.square(3, dc="own")), "bands: there square:3, now square:3:dc"),
        (setting(value="accuracy"), "value: there 'usable-information', now 'accuracy'"),
        (setting(absence="zero"), "absence: there 'mean', now 'zero'"),
        (setting(design="permutation"), "design: there 'exact', now 'permutation'"),
        (setting(confidence=0.9), r"confidence: there 0\.95, now 0\.9"),
        (setting(seed=1), "seed: there 0, now 1"),
        (setting(images=5), "images: there all, now 5"),
        (setting(tolerance=0.1), r"tolerance: there none, now 0\.1"),
        (setting(batch_size=16), "batch_size: there 32, now 16"),
        (setting(precision="bfloat16"), "precision: there 'float32', now 'bfloat16'"),
        (setting(on_bad_image="skip"), "on_bad_image: there 'error', now 'skip'"),
        (other_weights, "the weights of the model are others"),
        (other_labels, "10 images relabelled: "),
        (fewer_images, r"1 image removed: 9\)"),
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


def test_other_pixels_are_named_image_by_image(finished: Path) -> None:
    net, (x, y) = planted(10)
    x = x.clone()
    x[3, 0, 0, 0] += 0.01
    with pytest.raises(RunFolderError, match=r"a run on other images \(1 of 10 changed since: 3\): choose another"):
        sb.decompose(net, (x, y), out=finished, **PLAIN)


def test_threads_count(finished: Path) -> None:
    torch.set_num_threads(2)
    with pytest.raises(RunFolderError, match="threads: there 1, now 2"):
        sb.decompose(*planted(10), out=finished, **PLAIN)


def test_a_run_of_another_command_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema_version": 1, "command": "snr"}')
    with pytest.raises(RunFolderError, match="holds a run of snr, not of decompose: choose another --out"):
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
