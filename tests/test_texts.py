"""Texts from outside: what is read, what is refused, and what of a string may be printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spectrobe.errors import InputError
from spectrobe.texts import MOST_BYTES, first_line, parse_json, printable, read_text


def test_letters_of_any_script_stay() -> None:
    text = "naïve 猫の写真 \U0001f408 می\u200cخواهم tab\tnewline\nnbsp\u00a0"
    assert printable(text) == text


@pytest.mark.parametrize("code", [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0x2028, 0x202E, 0x2066, 0xD800])
def test_what_steers_a_terminal_goes(code: int) -> None:
    assert printable(f"a{chr(code)}[31mb") == "a[31mb"


def test_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfna\xc3\xafve\n")
    assert read_text(tmp_path / "x", "the list", "names") == "naïve\n"


def test_files_that_are_no_small_text(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"na\xefve")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name, message in {
        "absent": "^the list does not exist: expected names$",
        ".": "^the list is a folder: expected names$",
        "pipe": "^the list is no regular file: expected names$",
        "device": "^the list is no regular file: expected names$",
        "large": "^the list has 16,777,217 bytes, more than 16,777,216: expected names$",
        "latin": r"^the list is not UTF-8 text \(byte 2\): expected names$",
        "x" * 300: r"^the list cannot be read \(File name too long\)$",
    }.items():
        with pytest.raises(InputError, match=message):
            read_text(tmp_path / name, "the list", "names")


@pytest.mark.parametrize("text, message", [
    ("", r"^the map is not JSON \(line 1: Expecting value\): expected a map$"),
    ('{"a": 1,\n "b": }', r"^the map is not JSON \(line 2: Expecting value\): expected a map$"),
    ("[" * 100_000, "^the map is nested too deeply: expected a map$"),
    ("[1" + "0" * 5000 + "]", "^the map holds a number of too many digits: expected a map$"),
    ('{"a": 1, "a": 1}', r"^the map has the key 'a' more than once: which entry counts\?$"),
    ('[{"b": {"a": 1, "a": 2}}]', r"^the map has the key 'a' more than once: which entry counts\?$"),
])  # fmt: skip
def test_json_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_json(text, "the map", "a map")
    assert "\n" not in str(caught.value)


def test_json() -> None:
    assert parse_json('{"a": [1, {"a": null}], "b": {"a": 1.5}}', "the map", "a map") == {
        "a": [1, {"a": None}],
        "b": {"a": 1.5},
    }


def test_the_first_line_of_an_error() -> None:
    assert first_line(ValueError("\n one\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 999))) == 200
