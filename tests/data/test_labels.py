"""Names to class indices: every rule, every wrong class map, and never a guess."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from spectrobe.data.base import DataOptions
from spectrobe.data.labels import imagenet_wordnet_ids, map_numbers, match_names, match_sorted, shorten
from spectrobe.errors import InputError

PETS = ("cat", "dog", "horse")


def by_name(names: tuple[str, ...], **options: object) -> dict[str, int]:
    mapping = match_names(names, DataOptions(**options), "class folders")  # type: ignore[arg-type]
    assert mapping is not None
    return dict(mapping.indices)


def test_wordnet_ids_are_imagenets_in_its_order() -> None:
    ids = imagenet_wordnet_ids()
    assert (len(ids), len(set(ids)), ids[0], ids[207], ids[999]) == (1000, 1000, "n01440764", "n02099601", "n15075141")
    assert list(ids) == sorted(ids)


@pytest.mark.parametrize("n_classes", [None, 1000])
def test_some_wordnet_ids_get_imagenets_indices(n_classes: int | None) -> None:
    assert by_name(("n02099601", "n15075141"), n_classes=n_classes) == {"n02099601": 207, "n15075141": 999}


def test_words_may_follow_a_wordnet_id() -> None:
    names = ("n01440764_tench", "n02099601 golden retriever", "n03888257-parachute", "n15075141")
    assert list(by_name(names, n_classes=1000).values()) == [0, 207, 701, 999]
    assert match_names(("n01440764tench",), DataOptions(n_classes=1000), "class folders") is None
    with pytest.raises(InputError, match="'n01440764' and 'n01440764_tench' are one class of the model: merge or ren"):
        by_name(("n01440764", "n01440764_tench"), n_classes=1000)


def test_wordnet_ids_mean_nothing_to_a_model_of_ten_classes() -> None:
    assert match_names(("n02099601", "n15075141"), DataOptions(n_classes=10), "class folders") is None


def test_model_class_names_match_whatever_the_case_and_win_over_wordnet_ids() -> None:
    assert by_name(("Dog", "CAT"), n_classes=3, class_names=PETS) == {"Dog": 1, "CAT": 0}
    backwards = imagenet_wordnet_ids()[::-1]
    assert by_name(("n15075141", "n02099601"), n_classes=1000, class_names=backwards) == {
        "n15075141": 0,
        "n02099601": 792,
    }


def test_a_class_name_that_stands_for_two_classes_is_refused() -> None:
    with pytest.raises(InputError, match=r"'crane' is the name of classes 0 and 2 .* --class-map"):
        by_name(("crane",), n_classes=3, class_names=("crane", "kite", "crane"))


def test_folders_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(InputError, match="'cat' and 'Cat' are one class"):
        by_name(("cat", "Cat"), n_classes=3, class_names=PETS)


def test_class_map_wins_over_every_other_rule() -> None:
    assert by_name(("cat", "dog"), n_classes=3, class_names=PETS, class_map={"cat": 2, "dog": 0, "more": 1}) == {
        "cat": 2,
        "dog": 0,
    }


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("map.json", '{"a": 0, "b": 4}'),
        ("map.json", '{"a": "0", "b": "eel"}'),
        ("map.csv", "a,0\nb,4\n"),
        ("map.csv", "name,index\n\na , 0\nb,EEL\nunused,99\n"),
        ("MAP.CSV", '\ufeff"a","0"\r\n"b","4"\r\n'),
    ],
)
def test_class_map_files(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text, "utf-8")
    names = ("ape", "bat", "cow", "doe", "eel")
    assert by_name(("a", "b"), n_classes=5, class_names=names, class_map=tmp_path / file) == {"a": 0, "b": 4}
    assert by_name(("a", "b"), n_classes=5, class_names=names, class_map=str(tmp_path / file)) == {"a": 0, "b": 4}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("map.json", '{"a": 0}', "no entry for 1 of 2 class folders: b"),
        ("map.json", '{"0": "a", "1": "b"}', "no entry for 2 of 2 class folders: a, b; .*other way round"),
        ("map.json", '{"a": 0, "b": 5}', "maps 'b' to 5: expected an index from 0 to 4"),
        ("map.json", '{"a": 0, "b": -1}', "maps 'b' to -1"),
        ("map.json", '{"a": 0, "b": 1.5}', r"maps 'b' to 1\.5: expected a class index"),
        ("map.json", '{"a": 0, "b": true}', "maps 'b' to True"),
        ("map.json", '{"a": 0, "b": "bee"}', "maps 'b' to 'bee'"),
        ("map.json", "[1, 2]", "holds a list"),
        ("map.json", '{"a": 0,', "is not JSON .line 1"),
        ("map.json", "", "is not JSON"),
        ("map.csv", "a,0\nb,1,2\n", "line 2: expected 2 columns .name,index., got 3"),
        ("map.json", '{"a": 0, "a": 1, "b": 2}', "has the key 'a' more than once"),
        ("map.json", '{"a": 0, "b": 1, "b": 1}', "has the key 'b' more than once"),
        ("map.json", '{"a": 0, "b": {"index": 1}}', r"maps 'b' to \{'index': 1\}: expected a class index"),
        ("map.json", '{"a": 0, "b": [1]}', r"maps 'b' to \[1\]: expected a class index"),
        ("map.json", '{"a": 0, "b": null}', "maps 'b' to None: expected a class index"),
        ("map.json", '{"a": 0, "b": NaN}', "maps 'b' to nan: expected a class index"),
        ("map.json", '{"a": 0, "b": 1' + "0" * 30 + "}", "maps 'b' to a number of more than 18 digits"),
        ("map.json", '{"a": 0, "b": 1' + "0" * 5000 + "}", "holds a number of too many digits"),
        ("map.json", '{"a": 0, "b": "1' + "0" * 5000 + '"}', "maps 'b' to '10{78}: expected a class index"),
        ("map.json", '{"a":' * 100_000 + "0" + "}" * 100_000, "is nested too deeply"),
        ("map.json", "null", "holds a NoneType"),
        ("map.csv", "a,0\nb,1\na,1\n", "line 3: 'a' has two entries, 0 and 1"),
        ("map.csv", "a;0\nb;1\n", "line 1: expected 2 columns .name,index., got 1; a comma stands between them"),
        ("map.csv", '"a,0\nb,1\n', "line 2: expected 2 columns"),
        ("map.csv", "a,0\nb," + "1" * 200_000 + "\n", "line 2: field larger than field limit"),
        ("map.csv", "a,0\nb,1" + "0" * 5000 + "\n", "maps 'b' to '10{78}: expected a class index"),
        ("map.csv", "a,0\nb,1.0\n", r"maps 'b' to '1\.0': expected a class index"),
        ("map.csv", "", "no entry for 2 of 2 class folders: a, b"),
        ("map.txt", "a\nb\n", r"\.json or \.csv"),
        (None, "", "does not exist"),
    ],
)
def test_class_maps_that_do_not_fit(tmp_path: Path, file: str | None, text: str, message: str) -> None:
    path = tmp_path / (file or "absent.json")
    if file:
        path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=message) as caught:
        by_name(("a", "b"), n_classes=5, class_map=path)
    assert "\n" not in str(caught.value)


def test_class_map_of_another_kind(tmp_path: Path) -> None:
    for content, message in (
        (b"\xff\xfea\x00,\x000\x00", r"is not UTF-8 text \(byte 0\): expected a JSON object"),
        (bytes(range(256)), r"is not UTF-8 text \(byte 128\)"),
        (b" " * (16 * 2**20 + 1), "has 16,777,217 bytes, more than 16,777,216"),
    ):
        (tmp_path / "map.csv").write_bytes(content)
        with pytest.raises(InputError, match=message):
            by_name(("a",), class_map=tmp_path / "map.csv")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "device.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.csv")
    for name, message in (("folder.json", "a folder"), ("device.json", "no regular file"), ("pipe.csv", "no regular")):
        with pytest.raises(InputError, match=f"{name}' is {message}"):
            by_name(("a",), class_map=tmp_path / name)
    with pytest.raises(InputError, match="expected class_map to be a mapping or the path of a file, got int"):
        by_name(("a",), class_map=3)
    with pytest.raises(InputError, match="class_map has two entries for '1', a text and a number"):
        by_name(("1",), class_map={1: 0, "1": 2})
    with pytest.raises(InputError, match="maps 'a' to a number of more than 18 digits"):
        by_name(("a",), class_map={"a": 10**5000})
    assert by_name(("a",), class_map={"a": np.int64(3)}, n_classes=5) == {"a": 3}


def test_class_names_follow_the_map() -> None:
    mapping = match_names(("a", "b"), DataOptions(n_classes=3, class_map={"a": 2, "b": 0}), "class folders")
    assert mapping is not None
    assert (mapping.class_names, mapping.how) == (("b", "1", "a"), "class folders by class map")


def test_sorted_order_is_for_all_classes_at_once() -> None:
    mapping = match_sorted(("b", "a", "B"), DataOptions(n_classes=3), "class folders")
    assert mapping.indices == {"B": 0, "a": 1, "b": 2}  # by code point, as torchvision sorts
    assert "torchvision's ImageFolder" in mapping.how


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (PETS, {}, "number of classes is unknown: give num_classes, or --class-map"),
        (
            PETS,
            {"n_classes": 1000},
            r"3 class folders \(cat, dog, horse\) cannot be matched to the model's 1,000 classes: ",
        ),
        (PETS, {"n_classes": 4, "class_names": ("cat", "dog", "x", "y")}, "not among the model's class names: horse"),
        (("n02099601", "n00000001"), {"n_classes": 1000}, "not among ImageNet's WordNet ids: n00000001"),
        (("n02099601_dog", "n00000001_x"), {"n_classes": 1000}, "not among ImageNet's WordNet ids: n00000001_x\\)"),
        ((*"0123456789", "10"), {"n_classes": 11}, "sorted order differs from their numeric order"),
        (
            ("ape", "cat", "dog"),
            {"n_classes": 3, "class_names": PETS},
            "would make 'cat' class 1, but the model calls class 0",
        ),
    ],
)
def test_names_that_cannot_be_numbered(names: tuple[str, ...], options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        match_sorted(names, DataOptions(**options), "class folders")  # type: ignore[arg-type]
    assert "--class-map" in str(caught.value)


def test_ten_digits_are_in_order_either_way() -> None:
    assert match_sorted(tuple("0123456789"), DataOptions(n_classes=10), "class folders").indices["7"] == 7


def test_numbers_pass_or_go_through_the_map(tmp_path: Path) -> None:
    assert map_numbers([3, 1, 3], DataOptions()) == ([3, 1, 3], "as given")
    (tmp_path / "map.json").write_text(json.dumps({"1": 10, "3": 30}))
    assert map_numbers([3, 1, 3], DataOptions(class_map=tmp_path / "map.json")) == ([30, 10, 30], "labels by class map")


def test_long_lists_are_shortened() -> None:
    assert shorten([str(i) for i in range(8)]) == "0, 1, 2, 3, 4 and 3 more"
