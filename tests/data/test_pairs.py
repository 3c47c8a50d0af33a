"""Which image of one data set is which of another."""

from __future__ import annotations

import pytest

from spectrobe.data.pairs import matched


@pytest.mark.parametrize(
    "wanted,there,expected",
    [
        (["a.png", "b.png"], ["b.png", "a.png", "c.png"], {"a.png": 1, "b.png": 0}),  # more there do no harm
        (["x/a.png", "y/a.png"], ["y/a.jpg", "x/a.tif"], {"x/a.png": 1, "y/a.png": 0}),  # folders are of the name
        (["a.b.png"], ["a.c.jpg", "a.b.jpg"], {"a.b.png": 1}),  # the last ending alone is the extension
        (["a.png", "b.png"], ["a.jpg"], {"a.png": 0}),
        (["a.png", "a.jpg"], ["a.jpg", "a.png"], {"a.png": 1, "a.jpg": 0}),
        (["a.png", "a.jpg"], ["a.jpg"], {"a.jpg": 0}),  # which of the two is a.jpg? the one of its name
        (["a.png"], ["a.jpg", "a.bmp"], {}),
        (["a.png", "b.png"], ["a.png", "b.jpg", "b.bmp"], {"a.png": 0}),
        (["0", "1"], ["0", "1"], {"0": 0, "1": 1}),
        (["a.png"], [], {}),
    ],
)
def test_by_id_or_without_the_extension_where_that_is_unambiguous(
    wanted: list[str], there: list[str], expected: dict[str, int]
) -> None:
    found = matched(wanted, there)
    assert found == expected
    assert list(found) == [image for image in wanted if image in expected]  # in the order asked for
