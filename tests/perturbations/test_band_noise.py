"""Band-limited noise, against a full-plane FFT of numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.perturbations import parse_perturbations, perturbation
from spectrobe.perturbations.band_noise import BandNoise
from tests.test_bands import expected_labels

IDS = ["a", "b", "c"]


def power_by_band(delta: np.ndarray, bands: BandPartition) -> np.ndarray:
    """Mean square over pixels and channels that lies in each band, the mean apart in the last column: (N, M + 1)."""
    height, width = delta.shape[-2:]
    spectrum = np.abs(np.fft.fft2(delta)) ** 2
    labels = expected_labels(bands, height, width)
    mean = spectrum[..., 0, 0].copy()
    spectrum[..., 0, 0] = 0
    energy = np.stack([(spectrum * (labels == band)).sum((1, 2, 3)) for band in range(bands.n_bands)], axis=1)
    return np.column_stack([energy, mean.sum(1)]) / ((height * width) ** 2 * delta.shape[1])


@pytest.mark.parametrize("bands", ["8", "octaves:3", "radial:4"])
@pytest.mark.parametrize("size", [(32, 32), (17, 24), (20, 33)])
def test_all_of_its_power_is_in_its_band(bands: str, size: tuple[int, int]) -> None:
    partition = BandPartition.of(bands)
    x = torch.full((3, 3, *size), 0.5)
    for band in (0, partition.n_bands - 1):
        noise = BandNoise(power=0.0004, band=band, bands=bands)
        delta = (noise(x, ids=IDS, seed=1).double() - 0.5).numpy()
        found = power_by_band(delta, partition)
        np.testing.assert_allclose(found[:, band], 0.0004, rtol=1e-4)
        assert np.delete(found, band, axis=1).max() < 1e-10  # float32 rounding of pixels near 1/2
        np.testing.assert_array_equal(delta[:, 0], delta[:, 1])  # no colour


def test_the_mean_stays_but_for_a_band_of_its_own() -> None:
    own = BandPartition.square(4, dc="own")
    noise = BandNoise(power=0.01, band=0, bands=own).noise((2, 1, 16, 16), ["a", "b"], 0)
    np.testing.assert_allclose(noise.abs().numpy(), 0.1, rtol=1e-6)
    assert float(noise.std((2, 3)).max()) < 1e-7
    assert (
        float(BandNoise(power=0.01, band=1, bands=own).noise((2, 1, 16, 16), IDS[:2], 0).mean((2, 3)).abs().max())
        < 1e-7
    )
    with pytest.raises(InputError, match="band 0 of octaves:4 holds nothing but the mean on images of 16 x 16"):
        BandNoise(power=0.01, band=0, bands="octaves:4").noise((1, 1, 16, 16), ["a"], 0)


def test_the_draw_depends_on_seed_and_id_alone_and_powers_share_it() -> None:
    small, large = (BandNoise(power=power, band=2, bands=4) for power in (0.0001, 0.0004))
    shape = (3, 1, 16, 16)
    fields = small.noise(shape, IDS, 0)
    torch.testing.assert_close(large.noise(shape, IDS, 0), 2 * fields, rtol=1e-6, atol=1e-8)
    assert torch.equal(small.noise((1, 1, 16, 16), ["b"], 0), fields[1:2])
    other = small.noise(shape, IDS, 1)
    assert abs(float(np.corrcoef(other.flatten().numpy(), fields.flatten().numpy())[0, 1])) < 0.2
    between = np.corrcoef(fields.flatten(1).numpy())
    assert np.abs(between[np.triu_indices(3, 1)]).max() < 0.3  # 120 independent numbers an image: standard error .09


def test_what_clipping_leaves_is_told() -> None:
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    noise = BandNoise(power=0.04, band=1, bands=4)
    y = noise(x, seed=0)
    delta = (y.double() - x.double()).numpy()
    record = noise.record
    assert record is not None
    np.testing.assert_allclose(record.power, (delta**2).mean((1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(record.l2, np.sqrt((delta**2).sum((1, 2, 3))), rtol=1e-12)
    found = power_by_band(delta, BandPartition.square(4))
    np.testing.assert_allclose(record.in_band, found[:, 1] / found.sum(1), rtol=1e-9)
    wanted = x + noise.noise(x.shape, list(map(str, range(4))), 0)
    outside = ((wanted < 0) | (wanted > 1)).flatten(1).double().mean(1)
    np.testing.assert_allclose(record.clipped, outside.numpy(), rtol=1e-12)
    assert 0.7 < record.in_band.min() < record.in_band.max() < 0.999  # there was something to tell
    assert 0.01 < record.power.min() < record.power.max() < 0.04
    with pytest.raises(ValueError, match="read-only"):
        record.power[0] = 0


def test_its_text_reads_back_with_bands_that_hold_a_colon() -> None:
    (spec,) = parse_perturbations("band_noise:power=0.0064;bands=octaves:4;band=3")
    made = spec.build()
    assert isinstance(made, BandNoise)
    assert (made.power, made.band, made.bands) == (0.0064, 3, BandPartition.octaves(4))
    assert str(made) == "band_noise:power=0.0064;band=3;bands=octaves:4"
    (again,) = parse_perturbations(str(made))
    assert str(again.build()) == str(made)
    assert str(perturbation("band_noise", power=0.25, band=0)) == "band_noise:power=0.25;band=0;bands=square:8"
    powers = [spec.settings["power"] for spec in parse_perturbations("band_noise:power=0.001..0.004;band=1")]
    assert powers == [0.001, 0.002, 0.004]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"power": 0, "band": 0}, "above 0 and at most 1"),
        ({"power": 4, "band": 0}, "above 0 and at most 1, .* got 4"),
        ({"power": "much", "band": 0}, "got 'much'"),
        ({"power": 0.01, "band": 8}, r"expected band as one of 0\.\.7 of square:8, got 8"),
        ({"power": 0.01, "band": 1.5}, "got 1.5"),
        ({"power": 0.01}, "needs band"),
        ({"power": 0.01, "band": 0, "bands": "octave:3"}, "expected bands such as"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        perturbation("band_noise", **settings)
