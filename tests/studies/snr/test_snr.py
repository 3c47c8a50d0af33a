"""Spectral SNR against a full-plane numpy FFT, Parseval, and perturbations whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.bands import BandPartition
from spectrobe.engine import phases
from spectrobe.errors import RunFolderError
from spectrobe.spectrum import CleanSpectra, band_images
from spectrobe.studies.snr.study import snr_study, spectral_snr
from tests.shared import SHARED
from tests.studies.snr import oracle


def images(
    n: int = 12, channels: int = 3, height: int = 32, width: int = 32, seed: int = 0, spread: float = 0.04
) -> Tensor:
    """White images around mid-grey that stay far from 0 and 1."""
    draws = torch.Generator().manual_seed(seed)
    return 0.5 + spread * torch.randn(n, channels, height, width, generator=draws)


def centred(x: Tensor) -> Tensor:
    return x - x.mean((2, 3), keepdim=True)


class TestKnownAnswers:
    def test_white_noise_has_the_ratio_of_variances_in_every_band(self) -> None:
        x, noise = (
            images(40, spread=0.08),
            0.04 * torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(1)),
        )
        snr = spectral_snr(x, perturbed=x + noise)
        # a band's ratio of mean squares of n values each has a relative error of about 2 / sqrt(n)
        bins = BandPartition.square(8).bins(32, 32).numpy() * 3
        for band, ratio in enumerate(10 ** (snr.db / 10)):
            assert ratio == pytest.approx(4.0, rel=3 * np.sqrt(4 / bins[band]))
        np.testing.assert_allclose(snr.modulus, 4 / 5, atol=0.06)  # SNR / (1 + SNR): the Wiener gain
        assert set(snr.category) == {"robust"}
        assert snr.pattern == "all"
        assert snr.prefix

    @pytest.mark.parametrize("h", [0.9, 0.6, 0.3])
    def test_attenuation_by_h_has_modulus_h_squared_and_the_same_snr_everywhere(self, h: float) -> None:
        x = images(8)
        y = x.mean((2, 3), keepdim=True) + h * centred(x)
        snr = spectral_snr(x, perturbed=y)
        np.testing.assert_allclose(snr.modulus, h**2, atol=1e-5)
        np.testing.assert_allclose(snr.db, -20 * np.log10(1 - h), atol=1e-3)
        assert snr.decay.db_per_octave.value == pytest.approx(0, abs=1e-3)
        assert set(snr.category) == {"robust" if h**2 > 0.5 else "non-robust"}
        assert snr.pattern == ("all" if h**2 > 0.5 else "none")

    def test_amplification_keeps_the_modulus(self) -> None:
        x = images(8)
        snr = spectral_snr(x, perturbed=x.mean((2, 3), keepdim=True) + 1.5 * centred(x))
        np.testing.assert_allclose(snr.modulus, 1.0, atol=1e-5)  # <X, Y>^2 / (|X|^2 |Y|^2): the same content, louder

    def test_a_removed_band_has_0_db_and_modulus_0_and_the_others_are_untouched(self) -> None:
        x = images(8)
        parts = band_images(x.double(), 8)
        snr = spectral_snr(x.double(), perturbed=parts[:, [0, 1, 2, 3, 6]].sum(1))
        removed = [4, 5, 7]
        kept = [0, 1, 2, 3, 6]
        np.testing.assert_allclose(snr.db[removed], 0.0, atol=1e-5)
        np.testing.assert_allclose(snr.modulus[removed], 0.0, atol=1e-9)
        assert np.isposinf(snr.db[kept]).all()
        assert np.isposinf(snr.interval[kept]).all()
        np.testing.assert_allclose(snr.modulus[kept], 1.0, atol=1e-9)
        assert snr.category == ("robust",) * 4 + ("non-robust",) * 2 + ("robust", "non-robust")
        assert not snr.prefix
        assert snr.pattern == "not the lowest"
        assert snr.non_robust_below == (4, 5)
        assert snr.robust_above == (6,)
        assert snr.decay.left_out == (0, 1, 2, 3, 6)

    def test_phase_noise_has_modulus_0_though_every_amplitude_is_kept(self) -> None:
        x = images(40)
        draws = torch.Generator().manual_seed(3)
        turned = torch.fft.rfft2(torch.randn(40, 3, 32, 32, generator=draws))
        turned /= turned.abs()
        turned[..., 0, 0] = 1
        y = torch.fft.irfft2(torch.fft.rfft2(x) * turned, s=(32, 32))
        snr = spectral_snr(x, perturbed=y)
        np.testing.assert_allclose(snr.db[1:], -10 * np.log10(2), atol=0.35)  # |X - Y|^2 = 2 |X|^2 on average
        assert snr.modulus.max() < 0.05
        assert snr.pattern == "none"

    def test_the_mean_alone_is_apart_in_band_or_a_band_of_its_own(self) -> None:
        x = images(8)
        y = x + 0.1
        apart, within = spectral_snr(x, perturbed=y), spectral_snr(x, perturbed=y, dc="in-band")
        own = spectral_snr(x, perturbed=y, bands=BandPartition.square(8, dc="own"))
        of_mean = np.median(10 * np.log10((x.double().mean((2, 3)) ** 2).sum(1).numpy() / (3 * 0.1**2)))
        assert apart.dc_db.value == pytest.approx(of_mean, abs=1e-4)
        assert np.isposinf(apart.db).all()
        assert within.db[0] == pytest.approx(np.median(oracle.snr_db(x, y, 8, "in-band")[:, 0]), abs=1e-4)
        assert within.db[0] > of_mean
        assert own.db[0] == pytest.approx(of_mean, abs=1e-4)
        assert np.isnan(own.frequency[0])
        assert np.isposinf(own.db[1:]).all()

    def test_the_identity_touches_nothing(self) -> None:
        snr = spectral_snr(images(), lambda x: x)
        assert np.isposinf([*snr.db, snr.dc_db.value]).all()
        np.testing.assert_array_equal(snr.modulus, 1.0)
        assert np.isnan(snr.decay.db_per_octave.value)
        assert "there are 0" in snr.decay.db_per_octave.reason
        assert any("changed nothing in 12 of 12" in warning for warning in snr.warnings)
        assert snr.delivered == {"l2": 0.0, "linf": 0.0}

    @pytest.mark.parametrize("slope", [-6.0206, -12.0412, 3.0103])
    def test_a_planted_power_law_is_found(self, slope: float) -> None:
        x = images(20, height=64, width=64)
        frequency = torch.sqrt(torch.fft.fftfreq(64)[:, None] ** 2 + torch.fft.rfftfreq(64)[None, :] ** 2)
        gain = torch.where(frequency > 0, frequency.clamp_min(1e-9) ** (-slope / 20 / np.log10(2)), torch.zeros(()))
        noise = torch.fft.irfft2(
            torch.fft.rfft2(torch.randn(x.shape, generator=torch.Generator().manual_seed(5))) * gain
        )
        snr = spectral_snr(x, perturbed=x + 0.02 * noise / noise.std())
        found = snr.decay.db_per_octave
        assert found.value == pytest.approx(
            slope, rel=0.12
        )  # bands are wide: the mean gain is not that at the mean |f|
        assert found.low <= found.value <= found.high
        assert found.high - found.low < 0.6
        assert snr.decay.aic_difference.low > 0  # the power law fits better, in nearly every resampling

    def test_a_planted_exponential_is_found(self) -> None:
        x = images(20, height=64, width=64)
        frequency = torch.sqrt(torch.fft.fftfreq(64)[:, None] ** 2 + torch.fft.rfftfreq(64)[None, :] ** 2)
        white = torch.fft.rfft2(torch.randn(x.shape, generator=torch.Generator().manual_seed(5)))
        noise = torch.fft.irfft2(white * 10 ** (40 * frequency / 20))  # SNR falls by 40 dB per cycle/pixel
        snr = spectral_snr(x, perturbed=x + 0.03 * noise / noise.std())
        assert snr.decay.db_per_cycle.value == pytest.approx(-40, rel=0.1)
        assert snr.decay.aic_difference.high < 0
        assert snr.decay.aic_cycle < snr.decay.aic_octave


class TestAgainstTheFullPlane:
    @pytest.mark.parametrize(
        "channels,height,width,n_bands",
        [(3, 32, 32, 8), (1, 31, 33, 5), (3, 24, 37, 6), (1, 15, 64, 7), (4, 20, 20, 4)],
    )
    @pytest.mark.parametrize("dc", ["apart", "in-band"])
    def test_every_image_and_band(self, channels: int, height: int, width: int, n_bands: int, dc: str) -> None:
        x = images(6, channels, height, width)
        y = (0.7 * x + 0.05 * torch.rand(x.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
        snr = spectral_snr(x, perturbed=y, bands=n_bands, dc=dc)
        db, mu = oracle.snr_db(x, y, n_bands, dc), oracle.modulus(x, y, n_bands, dc)
        np.testing.assert_allclose(snr.db, np.median(db, axis=0), atol=1e-6)
        np.testing.assert_allclose(snr.modulus, np.median(mu, axis=0), atol=1e-9)
        energies = snr.rows().energies(dc, 1)
        assert energies.signal.shape == (6, n_bands)
        np.testing.assert_allclose(
            np.sort(energies.signal, 0), np.sort(oracle.terms(x, y, n_bands, dc)[0], 0), rtol=1e-9
        )

    def test_energies_add_up_to_those_of_the_pixels(self) -> None:
        x, y = images(4, 3, 21, 18), images(4, 3, 21, 18, seed=9)
        found = CleanSpectra(x, 5).terms(y)
        pixels = 21 * 18 * (y - x).double().square().sum((1, 2, 3))
        np.testing.assert_allclose((found.noise.sum(1) + found.dc[:, 1]).numpy(), pixels.numpy(), rtol=1e-12)

    def test_jpeg_on_photographs(self) -> None:
        photographs = sorted((SHARED / "data/imagenet-sample").glob("*/*"))[:6]
        if not photographs:
            pytest.skip("needs ../shared/data/imagenet-sample")
        from PIL import Image

        stacked = np.stack([np.asarray(Image.open(path).convert("RGB").resize((96, 96))) for path in photographs])
        x = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
        jpeg = sb.perturbation("jpeg_compression", severity=3)
        snr = spectral_snr(x, jpeg, bands=6)
        y = jpeg(x)
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(x, y, 6), axis=0), atol=1e-6)
        np.testing.assert_allclose(snr.modulus, np.median(oracle.modulus(x, y, 6), axis=0), atol=1e-9)
        assert snr.decay.db_per_octave.high < 0

    def test_luminance(self) -> None:
        x, y = images(6), images(6, seed=1)
        grey = [(part * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True) for part in (x, y)]
        snr = spectral_snr(x, perturbed=y, luminance=True)
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(grey[0], grey[1], 8), axis=0), atol=1e-4)
        np.testing.assert_allclose(
            spectral_snr(x[:, :1], perturbed=y[:, :1], luminance=True).db, spectral_snr(x[:, :1], perturbed=y[:, :1]).db
        )

    @pytest.mark.parametrize("height,width", [(16, 16), (15, 20)])
    def test_periodic_plus_smooth(self, height: int, width: int) -> None:
        ramp = torch.linspace(0.2, 0.6, width).expand(6, 3, height, width)  # all of its border is a jump
        x = ramp + 0.1 * torch.rand(6, 3, height, width, generator=torch.Generator().manual_seed(0))
        y = (0.8 * x + 0.1 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
        snr = spectral_snr(x, perturbed=y, bands=4, border="periodic-plus-smooth")
        # the component of a difference is the difference of the components
        clean, perturbed = torch.from_numpy(oracle.periodic(x)), torch.from_numpy(oracle.periodic(y))
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(clean, perturbed, 4), axis=0), atol=1e-6)
        assert np.abs(snr.db - spectral_snr(x, perturbed=y, bands=4).db).max() > 0.5

    def test_clipping_is_part_of_the_perturbation_and_its_share_is_exact(self) -> None:
        x = images(6, spread=0.15).clamp(0.05, 0.95)
        noise = 0.4 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        snr = spectral_snr(x, lambda x, ids: x + noise[[int(i) for i in ids]])
        y = (x + noise).clamp(0, 1)
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(x, y, 8), axis=0), atol=1e-6)
        assert snr.clipped_share == pytest.approx(float(((y == 0) | (y == 1)).double().mean()), abs=1e-12)
        assert snr.delivered["l2"] == pytest.approx(float(np.median((y - x).flatten(1).norm(dim=1))), rel=1e-6)
        assert snr.delivered["linf"] == pytest.approx(float(np.median((y - x).abs().flatten(1).amax(1))), abs=1e-6)

    def test_pixels_at_the_border_before_are_not_clipped(self) -> None:
        x = (images(6) > 0.5).float()
        assert spectral_snr(x, lambda x: x).clipped_share == 0

    def test_quantising(self) -> None:
        x = images(6)
        noise = 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        snr = spectral_snr(x, perturbed=x + noise, quantize=4)
        y = torch.round((x + noise) * 15) / 15
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(x, y, 8), axis=0), atol=1e-6)


class TestSummaries:
    def test_ratio_of_sums(self) -> None:
        x = images(20) * torch.linspace(0.3, 1.2, 20)[:, None, None, None]
        y = (x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
        snr = spectral_snr(x, perturbed=y, summary="ratio-of-sums")
        signal, noise, cross = (part.sum(0) for part in oracle.terms(x, y, 8))
        np.testing.assert_allclose(snr.db, 10 * np.log10(signal / noise), atol=1e-6)
        perturbed = oracle.terms(y, y, 8)[0].sum(0)
        np.testing.assert_allclose(snr.modulus, cross**2 / (signal * np.maximum(signal, perturbed)), atol=1e-9)
        assert (snr.interval[:, 0] < snr.db).all()
        assert (snr.db < snr.interval[:, 1]).all()
        assert (snr.stderr > 0).all()

    @pytest.mark.parametrize("dc", ["apart", "in-band"])
    def test_mean_of_bins(self, dc: str) -> None:
        x, y = images(6, height=17, width=20), images(6, height=17, width=20, seed=1)
        snr = spectral_snr(x, perturbed=y, bands=4, summary="mean-of-bins", dc=dc)
        power = [np.abs(np.fft.fft2(part.double().numpy())) ** 2 for part in (x, y.double() - x.double())]
        db = 10 * np.log10(power[0].sum(1) / power[1].sum(1))
        labels = oracle.square_labels(17, 20, 4)
        if dc == "apart":
            labels[0, 0] = -1
        expected = np.stack([db[:, labels == band].mean(1) for band in range(4)], axis=1)
        np.testing.assert_allclose(snr.db, np.median(expected, axis=0), atol=1e-6)

    def test_summed_up_anew_from_the_stored_rows(self, tmp_path: Path) -> None:
        x, y = images(10), images(10, seed=1)
        stored = spectral_snr(x, perturbed=y, out=tmp_path / "run")
        for choice in (
            {"dc": "in-band"},
            {"summary": "ratio-of-sums"},
            {"summary": "mean-of-bins"},
            {"confidence": 0.8},
        ):
            direct = spectral_snr(x, perturbed=y, **choice)
            again = stored.resummarised(**choice)
            np.testing.assert_array_equal(again.db, direct.db)
            np.testing.assert_array_equal(again.interval, direct.interval)

    def test_batches_and_order_never_change_a_number(self) -> None:
        x = images(9)
        noise = sb.perturbation("gaussian_noise", severity=2)
        whole, single = (spectral_snr(x, noise, batch_size=size) for size in (9, 1))
        np.testing.assert_allclose(single.db, whole.db, rtol=1e-12)
        few = snr_study(x, [noise], images=4).results["gaussian_noise:2"]
        rows = dict(zip(whole.rows().ids, whole.rows().noise, strict=True))
        for image, signal in zip(few.rows().ids, few.rows().noise, strict=True):
            np.testing.assert_allclose(signal, rows[image], rtol=1e-12)

    def test_too_few_images_for_a_median_say_so(self) -> None:
        x = images(4)
        snr = spectral_snr(x, perturbed=images(4, seed=1))
        (warning,) = (warning for warning in snr.warnings if "too few" in warning)
        assert "needs 6" in warning
        assert "87.5%" in warning


class TestRuns:
    def test_goes_on_to_the_same_bytes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        x = images(150, height=16, width=16)
        call = {"perturbations": "gaussian_noise:1-2,contrast:3", "bands": 4}
        snr_study(x, **call, out=tmp_path / "whole")
        for phase, count in (("shard done", 1), ("between write and rename", 3), ("result write", 1)):
            seen = 0

            def stop(reached: str, phase: str = phase, count: int = count) -> None:
                nonlocal seen
                seen += reached == phase
                if reached == phase and seen == count:
                    raise KeyboardInterrupt

            with monkeypatch.context() as patch:
                patch.setattr(phases, "_listeners", [stop])
                with pytest.raises(KeyboardInterrupt):
                    snr_study(x, **call, out=tmp_path / "cut")
        assert not (tmp_path / "cut" / "result.json").exists()
        snr_study(x, **call, out=tmp_path / "cut")
        for name in ("result.json", "snr/000000.parquet", "snr/000002.parquet"):
            assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    def test_a_finished_run_is_given_back_and_another_call_refused(self, tmp_path: Path) -> None:
        x = images(8)
        first = spectral_snr(x, "contrast:2", out=tmp_path / "run")
        again = spectral_snr(x, "contrast:2", out=tmp_path / "run")
        np.testing.assert_array_equal(again.db, first.db)
        with pytest.raises(RunFolderError, match="other settings"):
            spectral_snr(x, "contrast:3", out=tmp_path / "run")
        with pytest.raises(RunFolderError, match="other images"):
            spectral_snr(images(8, seed=1), "contrast:2", out=tmp_path / "run")

    @pytest.mark.parametrize("in_memory", [True, False])
    def test_saved_and_loaded(self, tmp_path: Path, in_memory: bool) -> None:
        x = images(8)
        low = band_images(x, 8)[:, :3].sum(1)
        snr = spectral_snr(x, perturbed=low, out=None if in_memory else tmp_path / "first")
        snr.save(tmp_path / "saved")
        found = sb.load(tmp_path / "saved")
        assert isinstance(found, sb.SnrResult)
        for name in ("db", "stderr", "interval", "modulus", "modulus_interval", "frequency"):
            np.testing.assert_array_equal(getattr(found, name), getattr(snr, name))
        assert found.summary() == snr.summary()
        assert found.decay.left_out == snr.decay.left_out
        np.testing.assert_array_equal(found.rows().noise, snr.rows().noise)
        with pytest.raises(ValueError, match="read-only"):
            found.db[0] = 0
        with pytest.raises(RunFolderError, match="found a run"):
            snr.save(tmp_path / "saved")

    def test_several_are_loaded_as_a_study(self, tmp_path: Path) -> None:
        study = snr_study(images(8), ["contrast:2", "gaussian_noise:1"], out=tmp_path / "run")
        found = sb.load(tmp_path / "run")
        assert isinstance(found, sb.SnrStudy)
        assert list(found.results) == ["contrast:2", "gaussian_noise:1"]
        assert found.summary() == study.summary()
        assert not found.incomplete

    def test_a_frame_has_a_row_a_band(self) -> None:
        pytest.importorskip("pandas")
        study = snr_study(images(8), "contrast:1-2")
        frame = study.to_frame()
        assert len(frame) == 16
        np.testing.assert_array_equal(frame["db"][:8], study.results["contrast:1"].db)
        assert frame["bins"].sum() == 2 * 32 * 32
