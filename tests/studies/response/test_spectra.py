"""The spectra of tested perturbations, where they are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.studies.response.spectra import perturbation_spectra
from tests.studies.response.cases import RIPPLES, measure, one_band, ripples


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of waves of known power, one in the middle of which cannot be made."""
    path = tmp_path_factory.mktemp("ripples") / "run"
    model, data = one_band(40)
    measure(model, data, ripples(broken_at=3), out=path)
    return path


def test_each_perturbation_has_its_power_in_its_band(folder: Path) -> None:
    found = sb.load(folder)
    spectra = perturbation_spectra(found)
    assert list(spectra) == [name for name, _, _ in RIPPLES] == list(found.claim.names) and "broken" in found.failed
    for name, band, amplitude in RIPPLES:
        expected = np.zeros(4)
        expected[band] = amplitude**2 / 2  # the mean square of a wave
        np.testing.assert_allclose(spectra[name].value, expected, rtol=1e-5, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(spectra[name].interval, np.stack([expected] * 2, axis=1), rtol=1e-4, atol=1e-12)


def test_without_a_claim_or_without_rows_it_is_said(folder: Path) -> None:
    found = sb.load(folder)
    with pytest.raises(InputError, match="expected a result with a test of perturbations: too few"):
        perturbation_spectra(replace(found, claim=None, untested="too few"))
    with pytest.raises(SpectrobeError, match="has no rows: load the run folder"):
        perturbation_spectra(sb.ResponseResult.from_dict(found.to_dict()))
