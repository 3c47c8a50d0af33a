"""Feature SNR: groups of bands at one contrast, native SNR, the relation, the condition apart, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import spectrobe as sb
from spectrobe.engine.progress import Silent
from spectrobe.errors import InputError
from spectrobe.studies.feature_snr import study
from spectrobe.studies.feature_snr.groups import CONTRAST, View
from spectrobe.studies.feature_snr.relation import partial_spearman, relate
from spectrobe.studies.feature_snr.result import FeatureSnrResult
from spectrobe.studies.feature_snr.settings import merged_groups
from spectrobe.studies.training.images import Images, open_split
from tests.studies.training.small import run

pytest.importorskip("lightning")
pytest.importorskip("sklearn")


class TestGroups:
    def test_groups_are_neighbouring_bands(self) -> None:
        merged, names = merged_groups(sb.BandPartition.square(8), None)
        assert merged.edges == (0, 0.25, 0.625, 1) and names == ("low", "middle", "high")
        merged, names = merged_groups(sb.BandPartition.square(8), "0,1-7")
        assert merged.edges == (0, 0.125, 1) and names == ("group 0", "group 1")

    @pytest.mark.parametrize(
        "text, said",
        [
            ("0-1,2-4,5-8", "bands from 0 to 7, got band 8"), ("0-1,3-7", "leave no band out"), ("0-7", "at least 2"),
            ("0-1,2-4", "up to the last band"), ("a,b", "groups of bands such as"),
            ("1-0,2", "groups of bands such as"),
        ],
    )  # fmt: skip
    def test_bands_that_do_not_exist_or_are_left_out(self, text: str, said: str) -> None:
        with pytest.raises(InputError, match=said):
            merged_groups(sb.BandPartition.square(8), text)


class TestView:
    images = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    groups = sb.BandPartition.from_edges([0, 0.25, 0.625, 1])

    @pytest.mark.parametrize("band", [0, 1, 2, None])
    def test_one_contrast_no_mean_and_no_other_band(self, band: int | None) -> None:
        seen = View.of(self.images, self.groups, band).all(self.images).numpy() - 0.5
        assert np.sqrt(np.mean(seen.astype(np.float64) ** 2)) == pytest.approx(CONTRAST, rel=1e-4)
        power = np.abs(np.fft.fft2(seen)) ** 2
        assert power[..., 0, 0].max() < 1e-6 * power.sum(axis=(-2, -1)).min()
        k = np.abs(np.fft.fftfreq(32)) * 2
        r = np.maximum(k[:, None], k[None, :])
        if band is not None:
            low, high = self.groups.edges[band], self.groups.edges[band + 1]
            inside = (r >= low) & ((r < high) | (high == 1))
            assert power[..., ~inside].sum() < 1e-9 * power.sum()

    def test_noise_keeps_its_place_beside_the_image(self) -> None:
        """Linear: what is added to an image is scaled as the image is, so that SNR in the kept bands stays."""
        view = View.of(self.images, self.groups, 1)
        noise = 0.1 * torch.rand(self.images.shape, generator=torch.Generator().manual_seed(1))
        added = view.apply(self.images + noise) - view.apply(self.images)
        assert torch.allclose(added, view.apply(noise) - 0.5, atol=1e-5)

    def test_a_group_that_holds_nothing(self) -> None:
        with pytest.raises(InputError, match="holds nothing in these images"):
            View.of(torch.full((4, 1, 16, 16), 0.5), self.groups, 1)


class TestRelation:
    modulus = np.linspace(0.1, 0.9, 12).reshape(3, 4)

    def test_a_covariate_that_explains_all_leaves_nothing(self) -> None:
        x = np.arange(10.0)
        y = x + np.tile([0.2, -0.2], 5)
        assert abs(partial_spearman(x, y, x + 0.0)) < 0.2 or np.isnan(partial_spearman(x, y, x))
        assert partial_spearman(x, y, np.tile([0.0, 1.0], 5)) == pytest.approx(1, abs=0.05)

    def test_a_relation_that_is_there(self) -> None:
        accuracy = np.stack([0.3 + 0.5 * self.modulus] * 3)
        found = relate(self.modulus, accuracy, np.tile([0.8, 0.7, 0.75], (3, 1)))
        assert found.plain == pytest.approx(1) and found.partial > 0.99 and found.p < 0.01
        assert found.points == 12 and len(found.seeds) == 3
        other = relate(self.modulus, 1 - accuracy, np.tile([0.8, 0.7, 0.75], (3, 1)))
        assert other.partial == pytest.approx(-found.partial) and other.p == found.p

    def test_p_holds_its_level_without_a_relation(self) -> None:
        draws = np.random.default_rng(0)
        found = [
            relate(draws.random((3, 3)), draws.random((2, 3, 3)), draws.random((2, 3))).p for _ in range(60)
        ]  # fmt: skip
        assert np.mean(np.array(found) < 0.05) <= 0.14  # a standard error of .028
        assert 0.35 < np.mean(found) < 0.65

    def test_no_spread_is_not_defined(self) -> None:
        found = relate(self.modulus, np.full((2, 3, 4), 0.1), np.full((2, 3), 0.1))
        assert np.isnan(found.partial) and np.isnan(found.p)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> FeatureSnrResult:
    found: FeatureSnrResult = run("feature_snr", tmp_path_factory.mktemp("runs") / "run", epochs=3, images=512)
    return found


class TestStudy:
    def test_native_snr_is_that_of_spectral_snr(self, result: FeatureSnrResult) -> None:
        held_out = open_split("digits", images=512, progress=Silent()).held_out.rows(np.arange(100))
        snr = sb.spectral_snr(held_out.floats, "gaussian_noise:2", bands=result.bands)
        assert np.allclose(result.modulus[:, 0], snr.modulus) and np.allclose(result.db[:, 0], snr.db)

    def test_shapes_and_ranges(self, result: FeatureSnrResult) -> None:
        assert result.clean.shape == (2, 2, 3) and result.accuracy.shape == (2, 2, 3, 4)
        assert result.perturbations == ("gaussian_noise:2", "noise in low", "noise in middle", "noise in high")
        assert result.clean[0].mean() > 0.2  # digits are learned from any group of bands
        assert len(result.to_frame()) == result.accuracy.size

    def test_noise_outside_the_group_leaves_its_bands(self, result: FeatureSnrResult) -> None:
        for g in range(3):
            own = result.modulus[g, 1 + g]
            assert own == result.modulus[g, 1:].min()

    def test_injected_noise_stands_apart(self, result: FeatureSnrResult) -> None:
        assert result.injected_accuracy is not None and result.injected_accuracy.shape == result.accuracy.shape
        assert all(abs(told["median_db"] - 20) < 0.1 for told in result.injected)
        without = replace(result, injected_accuracy=None, injected_clean=None, injected=())
        assert without.relations == result.relations and "Apart" not in without.summary()
        assert "neither confirms nor refutes" in result.summary()
        assert "all bands (which hold those trained on weaker than in training)" in result.sentence()
        assert (
            "Training images had 20.0 dB (medians of the groups); clipping kept 0 of 1,536 from it" in result.summary()
        )

    def test_saved_and_loaded(self, result: FeatureSnrResult) -> None:
        from spectrobe.engine.store import json_text, plain

        again = FeatureSnrResult.from_dict(plain(result.to_dict()))
        assert json_text(again.to_dict()) == json_text(result.to_dict())

    def test_the_budget_holds_making_the_images(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Timed on 200 images of each group, without and with noise, and taken times all of them."""
        notes, made, clock = list[str](), list[tuple[int, int, bool]](), iter((0.0, 500.0))
        making = study._Study._training_images

        def counted(self: Any, train: Images, group: int, injected: bool) -> Any:
            made.append((len(train), group, injected))
            return making(self, train, group, injected)

        monkeypatch.setattr(study, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
        monkeypatch.setattr(study._Study, "_training_images", counted)
        progress = SimpleNamespace(note=notes.append)
        assert run("feature_snr", None, budget_only=True, progress=progress) is None
        assert sorted(made) == [(200, group, injected) for group in range(3) for injected in (False, True)]
        assert "; making training images 11 min; 12 readings of" in notes[-1]  # 500 s * 256 / 200
        assert notes[-1].endswith("about 11 min")

    @pytest.mark.parametrize(
        "more, said",
        [
            ({"inject_db": -40}, "out of reach of .* reach -?[0-9.]+ dB and more"),
            ({"inject_db": 200}, "at most 90 dB"),
            ({"groups": "0-1,2,4"}, "bands from 0 to 3, got band 4"),
            ({"groups": "0,1,2-3"}, "holds nothing"),
            ({"perturbations": "pgd_linf:eps=1/255"}, "attacks a model"),
            ({"perturbations": "nonsense"}, "nonsense"),
            ({"perturbations": "band_snr:band=1;db=-40;bands=4"}, "out of reach of 100 of 100 images"),
            ({"test_images": 5}, "test_images of at least 20"),
        ],
    )
    def test_refused_before_anything_is_written(self, more: dict[str, object], said: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=said):
            run("feature_snr", tmp_path / "run", **more)
        assert not (tmp_path / "run").exists()
