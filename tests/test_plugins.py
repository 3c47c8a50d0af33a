"""Names that other packages add: found without an import, loaded alone, refused in one line that says whose."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from spectrobe import plugins
from spectrobe.errors import InputError
from spectrobe.plugins import check_name, load_plugin, load_subclass, plugin_names

GROUP = "spectrobe.things"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("pi", "math:pi", GROUP),
        EntryPoint("fraction", "fractions:Fraction", GROUP),
        EntryPoint("broken", "no.such.module:thing", GROUP),
        EntryPoint("twice", "math:pi", GROUP),
        EntryPoint("twice", "math:e", GROUP),
        EntryPoint("same", "math:e", GROUP),
        EntryPoint("same", "math:e", GROUP),
        EntryPoint("else", "math:e", "spectrobe.others"),
    ]
    monkeypatch.setattr(plugins, "entry_points", EntryPoints(points).select)


def test_names_are_listed_once_and_nothing_is_imported() -> None:
    assert plugin_names(GROUP) == ("pi", "fraction", "broken", "twice", "same")
    assert plugin_names("spectrobe.nothing") == ()


def test_one_is_loaded_whatever_the_others_are() -> None:
    assert load_plugin(GROUP, "pi", "thing") == pytest.approx(3.14159, abs=1e-5)
    assert load_plugin(GROUP, "same", "thing") == pytest.approx(2.71828, abs=1e-5)
    assert load_plugin(GROUP, "absent", "thing") is None
    assert load_plugin(GROUP, "else", "thing") is None


@pytest.mark.parametrize("name, message", [
    ("broken", r"^the thing 'broken' \(no\.such\.module:thing\) of the package no\.such\.module:thing could not be "
               r"imported: ModuleNotFoundError: No module named 'no'$"),
    ("twice", r"^the thing 'twice' is offered more than once \(math:pi, math:e\): uninstall one of them$"),
])  # fmt: skip
def test_what_cannot_be_loaded(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_plugin(GROUP, name, "thing")


def test_subclasses() -> None:
    from fractions import Fraction
    from numbers import Rational

    assert load_subclass(GROUP, "fraction", "thing", Rational) is Fraction
    assert load_subclass(GROUP, "absent", "thing", Rational) is None
    with pytest.raises(InputError, match=r"^expected the thing 'pi' to be a subclass of Rational, got 3\.14159"):
        load_subclass(GROUP, "pi", "thing", Rational)


def test_names_are_texts() -> None:
    assert check_name("x", "a thing") == "x"
    with pytest.raises(InputError, match=r"^expected the name of a thing, a text, got \['x'\]$"):
        check_name(["x"], "a thing")
