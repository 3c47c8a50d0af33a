"""Two runs are compared only where the same stood in for absent bands: the same image, not only the same name."""

from __future__ import annotations

from pathlib import Path

import pytest

import spectrobe as sb
from spectrobe.errors import InputError
from tests.toys import PLAIN, linear, planted


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("absence", ["zero", "mean", "noise", "donor"])
def test_absences_made_from_other_images_are_refused(absence: str, stored: bool, tmp_path: Path) -> None:
    net, (x, labels) = planted(14)
    settings = PLAIN | {"absence": absence}

    def folder(name: str) -> Path | None:
        return tmp_path / name if stored else None

    a = sb.decompose(net, (x, labels), out=folder("a"), **settings)
    b = sb.decompose(linear(seed=7), (x, labels), out=folder("b"), images=9, **settings)
    assert sb.compare(a, b).n_images == 9  # the same data: the same mean, noise and donors
    fewer = sb.decompose(linear(seed=7), (x[:12], labels[:12]), out=folder("c"), **settings)
    if absence == "zero":
        assert sb.compare(a, fewer).n_images == 12
        return
    with pytest.raises(
        InputError,
        match=rf"absent bands \({absence}\) was made from other images in A than in B; repeat one on the other",
    ) as caught:
        sb.compare(a, fewer)
    assert "\n" not in str(caught.value)
    loaded = sb.load(tmp_path / "c") if stored else fewer.with_value("accuracy").with_value("usable-information")
    with pytest.raises(InputError, match="made from other images"):
        sb.compare(a, loaded)
