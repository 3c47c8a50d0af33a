"""The sentence that a run ends with, for every pattern of survival."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spectrobe.bands import BandPartition
from spectrobe.studies.snr.result import SnrResult
from spectrobe.studies.snr.statistics import NON_ROBUST, ROBUST, UNDECIDED, exceptions
from spectrobe.studies.snr.wording import sentence

KINDS = {"r": ROBUST, "u": UNDECIDED, "n": NON_ROBUST}


def said(kinds: str, dc: str = "in-band") -> str:
    category = tuple(KINDS[kind] for kind in kinds)
    below, above = exceptions(category)
    bands = BandPartition.square(len(kinds) - (dc == "own"), dc=dc)
    found = SimpleNamespace(perturbation="noisy", category=category, prefix=not below and not above, n_images=30,
                            bands=bands, non_robust_below=below, robust_above=above)  # fmt: skip
    found.pattern = SnrResult.pattern.fget(found)  # type: ignore[attr-defined]
    return sentence(found)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kinds,expected",
    [
        ("rrnn", "Low frequencies survive noisy (below 0.25 cycles/pixel, waves longer than 4 pixels), high ones are "
                 "lost (above 0.25, waves shorter than 4 pixels)."),
        ("rrun", "Low frequencies survive noisy (below 0.25 cycles/pixel, waves longer than 4 pixels), high ones are "
                 "lost (above 0.375, waves shorter than 2.67 pixels); band 2 undecided."),
        ("rrrr", "All frequencies survive noisy, low and high ones alike."),
        ("nnnn", "No frequency survives noisy, neither low nor high ones."),
        ("uuuu", "These 30 images cannot tell which frequencies survive noisy."),
        ("rruu", "These 30 images cannot tell whether noisy spares low frequencies: bands 0-1 survive; bands 2-3 "
                 "undecided."),
        ("unnn", "These 30 images cannot tell whether noisy spares low frequencies: bands 1-3 lost; band 0 undecided."),
        ("nrrn", "What survives noisy is not the lowest frequencies: band 0 lost below a surviving one, bands 1-2 "
                 "surviving above a lost one."),
    ],
)  # fmt: skip
def test_says_what_survives(kinds: str, expected: str) -> None:
    assert said(kinds) == expected


def test_the_mean_alone() -> None:
    assert said("rnnn", dc="own") == "The mean alone survives noisy, frequencies from low to high are lost."
