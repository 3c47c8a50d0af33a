"""Bands as wavelengths."""

from __future__ import annotations

from spectrobe.bands import BandPartition
from spectrobe.explore.naming import BandName, band_names


def test_bands_are_named_by_their_waves() -> None:
    names = band_names(BandPartition.square(8), 224, 300)
    assert names[0] == BandName("16 px and longer", "0.000–0.062", "0–14")
    assert names[1] == BandName("8 to 16 px", "0.062–0.125", "14–28")
    assert names[7] == BandName("2 to 2.3 px", "0.438–0.500", "98–112")


def test_the_mean_of_its_own_has_no_waves() -> None:
    first, second, *_ = band_names(BandPartition.octaves(3, dc="own"), 32, 32)
    assert first == BandName("the mean", "0", "0")
    assert second == BandName("8 px and longer", "0.000–0.125", "0–4")
