"""Pairs, sizes, attacks, perturbations that fail, and input that cannot be used: one line that says what to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.errors import InputError, MissingExtraError
from spectrobe.perturbations.base import Perturbation
from spectrobe.studies.snr.study import snr_study, spectral_snr
from tests.studies.snr import oracle


def photographs(n: int = 8, height: int = 24, width: int = 30, seed: int = 0) -> np.ndarray:
    """uint8 (N, H, W, 3), far from black and white."""
    return np.random.default_rng(seed).integers(60, 190, (n, height, width, 3)).astype(np.uint8)


def write(folder: Path, pixels: np.ndarray, extension: str = "png", names: Sequence[str] | None = None) -> Path:
    for index, image in enumerate(pixels):
        path = folder / f"{names[index] if names else f'{index:02d}'}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def as_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@pytest.fixture
def noisy() -> tuple[np.ndarray, np.ndarray]:
    clean = photographs()
    return clean, (clean + np.random.default_rng(1).normal(0, 10, clean.shape)).clip(0, 255).astype(np.uint8)


class TestPairs:
    def test_files_are_paired_by_name_whatever_the_extension_and_order(
        self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]
    ) -> None:
        clean, perturbed = noisy
        names = ["b", "a", "x y", "ä", "9", "10", "d.e", "sub"]
        first = write(tmp_path / "clean", clean, "png", names)
        second = write(tmp_path / "camera", perturbed, "tiff", names)
        snr = spectral_snr(first, perturbed=second, bands=4)
        x, y = as_tensor(clean), as_tensor(perturbed)
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(x, y, 4), axis=0), atol=1e-6)
        assert snr.perturbation == "camera"
        assert snr.data_name == "clean"
        assert snr.image_size == (24, 30)
        assert snr.warnings == ()

    def test_class_folders_are_only_a_part_of_the_name(
        self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]
    ) -> None:
        names = [f"{'cat' if i % 2 else 'dog/big'}/{i}" for i in range(7)] + ["loose"]
        first = write(tmp_path / "x" / "images", noisy[0], "png", names)
        second = write(tmp_path / "y" / "images", noisy[1], "png", names)
        snr = spectral_snr(first, perturbed=str(second), bands=4)
        assert snr.perturbation == "y/images"
        assert snr.n_images == 8

    def test_one_stem_twice_is_paired_by_full_names(self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]) -> None:
        for folder, pixels in zip(("a", "b"), noisy, strict=True):
            write(tmp_path / folder, pixels[:4])
            write(tmp_path / folder, pixels[4:], "bmp")
        snr = spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4)
        x, y = (as_tensor(pixels) for pixels in noisy)
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(x, y, 4), axis=0), atol=1e-6)

    def test_images_without_a_partner_are_named(self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]) -> None:
        write(tmp_path / "a", noisy[0])
        write(tmp_path / "b", noisy[1][:3])
        write(tmp_path / "b", noisy[1][:1], "png", ["other"])
        with pytest.raises(
            InputError, match=r"03\.png, 04\.png, 05\.png and 2 more of a and other\.png of b.*same names"
        ):
            spectral_snr(tmp_path / "a", perturbed=tmp_path / "b")
        paired = spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4, on_bad_image="skip")
        assert paired.n_images == 3
        assert sorted(paired.skipped) == [f"{i:02d}.png" for i in range(3, 8)]
        assert "its version in b: there is no image of this name" in paired.skipped["03.png"]
        assert any("no partner for" in w and "other.png of b: left out" in w for w in paired.warnings)
        write(tmp_path / "c", noisy[1], "png", [f"other{i}" for i in range(8)])
        with pytest.raises(InputError, match=r"no partner for.*same names"):
            spectral_snr(tmp_path / "a", perturbed=tmp_path / "c", on_bad_image="skip")

    def test_pairs_of_different_sizes_are_named(self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]) -> None:
        write(tmp_path / "a", noisy[0])
        write(tmp_path / "b", noisy[1])
        write(tmp_path / "b", photographs(5, 12, 15))
        with pytest.raises(InputError, match=r"24 x 30 against 12 x 15.*and 2 more.*--size"):
            spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4)
        skipped = spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4, on_bad_image="skip")
        assert skipped.n_images == 3
        assert sorted(skipped.skipped) == [f"{i:02d}.png" for i in range(5)]
        resized = spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4, size="12x15")
        assert (resized.n_images, resized.image_size) == (8, (12, 15))

    def test_an_unreadable_version_is_named(self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]) -> None:
        write(tmp_path / "a", noisy[0])
        write(tmp_path / "b", noisy[1])
        (tmp_path / "b" / "05.png").write_bytes(b"not an image")
        with pytest.raises(InputError, match=r"05\.png: its version in b"):
            spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4)
        assert spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4, on_bad_image="skip").n_images == 7

    def test_compression_of_the_perturbed_files_is_told(
        self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]
    ) -> None:
        write(tmp_path / "a", noisy[0])
        write(tmp_path / "b", noisy[1], "jpg")
        (warning,) = spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4).warnings
        assert "JPEG" in warning

    def test_workers_change_nothing(self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]) -> None:
        write(tmp_path / "a", noisy[0])
        write(tmp_path / "b", noisy[1])
        alone, helped = (
            spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4, workers=workers) for workers in (0, 2)
        )
        np.testing.assert_array_equal(alone.db, helped.db)

    def test_tensors_are_paired_by_order_and_must_be_as_many(self) -> None:
        x = torch.rand(6, 3, 16, 16)
        with pytest.raises(InputError, match="got 5 in tensors and 6 in tensors"):
            spectral_snr(x, perturbed=x[:5])
        with pytest.raises(InputError, match=r"differ in size.*16 x 16 against 16 x 12"):
            spectral_snr(x, perturbed=x[..., :12])

    def test_a_flat_image_is_named(self) -> None:
        x = torch.rand(6, 3, 16, 16)
        x[2] = 0.5
        y = torch.rand(6, 3, 16, 16)
        with pytest.raises(InputError, match="image 2: flat"):
            spectral_snr(x, perturbed=y, bands=4)
        assert spectral_snr(x, perturbed=y, bands=4, on_bad_image="skip").n_images == 5


class TestSizes:
    def test_of_images_of_many_sizes_the_largest_common_middle_is_measured(self, tmp_path: Path) -> None:
        tall, wide = photographs(4, 32, 20), photographs(20, 24, 30)  # the tall ones come last in no order
        write(tmp_path / "a", wide)
        write(tmp_path / "a", tall, "bmp", ["x", "y", "z", "zz"])
        snr = spectral_snr(tmp_path / "a", "contrast:2", bands=4)
        assert (snr.n_images, snr.image_size) == (24, (24, 20))
        (warning,) = snr.warnings
        assert "differ in size: the middle 24 x 20 pixels of each" in warning and "--size" in warning
        same = spectral_snr(tmp_path / "a", "contrast:2", bands=4, patch="24x20")
        np.testing.assert_array_equal(snr.db, same.db)
        assert same.warnings == ()
        assert spectral_snr(tmp_path / "a", "contrast:2", bands=4, size=16).image_size == (16, 16)
        with pytest.raises(InputError, match="smaller than the patch of 28 x 28"):
            spectral_snr(tmp_path / "a", "contrast:2", bands=4, patch=28)

    def test_pairs_of_many_sizes(self, tmp_path: Path, noisy: tuple[np.ndarray, np.ndarray]) -> None:
        for folder, pixels in zip(("a", "b"), noisy, strict=True):
            write(tmp_path / folder, pixels[:4])
            write(tmp_path / folder, pixels[4:, :20], names=["w", "x", "y", "z"])
        snr = spectral_snr(tmp_path / "a", perturbed=tmp_path / "b", bands=4)
        middle = [np.concatenate([pixels[:4, 2:22], pixels[4:, :20]]) for pixels in noisy]
        x, y = (as_tensor(pixels) for pixels in middle)
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(x, y, 4), axis=0), atol=1e-6)

    def test_one_small_image_does_not_cut_all_others_down(self, tmp_path: Path) -> None:
        write(tmp_path / "a", photographs(6, 32, 40))
        write(tmp_path / "a", photographs(1, 12, 16), names=["icon"])
        with pytest.raises(InputError, match=r"12 x 16 pixels, is small.*icon\.png, is 12 x 16.*--patch HxW"):
            spectral_snr(tmp_path / "a", "contrast:2", bands=4)
        snr = spectral_snr(tmp_path / "a", "contrast:2", bands=4, patch="32x40", on_bad_image="skip")
        assert list(snr.skipped) == ["icon.png"]

    def test_a_patch_is_the_middle_as_it_is(self, tmp_path: Path) -> None:
        pixels = photographs()
        write(tmp_path / "a", pixels)
        snr = spectral_snr(tmp_path / "a", lambda x: 0.5 + 0.5 * (x - 0.5) ** 2, patch="16x20", bands=4)
        x = as_tensor(pixels)[:, :, 4:20, 5:25]
        np.testing.assert_allclose(
            snr.db, np.median(oracle.snr_db(x, 0.5 + 0.5 * (x - 0.5) ** 2, 4), axis=0), atol=1e-6
        )

    def test_with_a_model_images_are_taken_at_its_size(self, tmp_path: Path) -> None:
        write(tmp_path / "a", photographs())
        model = sb.open_model(nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 4)), size=12)
        assert spectral_snr(tmp_path / "a", "contrast:2", model=model, bands=4).image_size == (12, 12)
        for wrong in ({"size": 16}, {"patch": 16}):
            with pytest.raises(InputError, match="without a model"):
                spectral_snr(tmp_path / "a", "contrast:2", model=model, **wrong)


def linear(seed: int = 0) -> nn.Module:
    """A linear classifier of 3 x 16 x 16 images, 4 classes."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(4, 768, generator=torch.Generator().manual_seed(seed)))
    return model


class TestAttacks:
    x = 0.2 + 0.6 * torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def test_images_that_are_wrong_already_are_not_counted(self) -> None:
        model = linear()
        predicted = model(self.x).argmax(1)
        labels = predicted.clone()
        labels[:5] = (labels[:5] + 1) % 4
        snr = spectral_snr((self.x, labels), "fgsm_linf:eps=8/255", model=model, bands=4)
        assert (snr.n_images, snr.unattacked) == (15, 5)
        assert any("5 of 20 images alone" in warning for warning in snr.warnings)
        attack = sb.perturbation("fgsm_linf", eps=8 / 255, model=model)
        right = self.x[5:]
        expected = oracle.snr_db(right, attack(right, predicted[5:]), 4)
        np.testing.assert_allclose(snr.db, np.median(expected, axis=0), atol=1e-5)
        assert snr.delivered["linf"] == pytest.approx(8 / 255, abs=1e-6)
        assert snr.settings.labels == "given"
        turned = spectral_snr((self.x, labels), "fgsm_linf:eps=8/255", model=model, bands=4, labels="prediction")
        assert (turned.n_images, turned.unattacked) == (20, 0)

    def test_without_labels_the_prediction_is_led_away_from(self) -> None:
        snr = spectral_snr(self.x, sb.perturbation("pgd_linf", eps=4 / 255, steps=2, model=linear()), bands=4)
        assert snr.n_images == 20
        assert snr.settings.labels == "prediction"

    def test_eps_0_touches_nothing(self) -> None:
        snr = spectral_snr(self.x, "pgd_linf:eps=0", model=linear(), bands=4)
        assert np.isposinf(snr.db).all()

    def test_a_model_is_needed(self) -> None:
        with pytest.raises(InputError, match="pgd_linf needs a model"):
            spectral_snr(self.x, "pgd_linf:eps=4/255")

    def test_labels_that_all_miss_say_so(self) -> None:
        model = linear()
        labels = (model(self.x).argmax(1) + 1) % 4
        with pytest.raises(InputError, match=r"left 20 of 20 images alone.*prediction"):
            spectral_snr((self.x, labels), "fgsm_linf:eps=8/255", model=model, bands=4)


def fails_on_two(x: Tensor, ids: Sequence[str]) -> Tensor:
    if "3" in ids or "7" in ids:
        raise RuntimeError("camera\nunplugged")
    return 0.9 * x


class Missing(Perturbation):
    name = "missing"
    settings: dict[str, object] = {}  # noqa: RUF012  # as the base class has it

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        raise MissingExtraError("a library", "extra", "this")


class TestFailures:
    x = torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def test_the_rest_goes_on_where_some_images_fail(self, tmp_path: Path) -> None:
        study = snr_study(self.x, [fails_on_two, "contrast:2"], bands=4, out=tmp_path / "run")
        snr = study.results["fails_on_two"]
        assert snr.failed == {"3": "RuntimeError: camera unplugged", "7": "RuntimeError: camera unplugged"}
        assert snr.n_images == 8
        assert study.incomplete
        kept = self.x[[0, 1, 2, 4, 5, 6, 8, 9]]
        np.testing.assert_allclose(snr.db, np.median(oracle.snr_db(kept, 0.9 * kept, 4), axis=0), atol=1e-4)
        assert study.results["contrast:2"].n_images == 10
        assert sb.load(tmp_path / "run").results["fails_on_two"].failed == snr.failed
        assert "failed: fails_on_two on 3: RuntimeError: camera unplugged" in study.summary()

    def test_nan_is_named(self) -> None:
        def broken(x: Tensor, ids: Sequence[str]) -> Tensor:
            return torch.where(torch.tensor([image == "4" for image in ids])[:, None, None, None], torch.nan, 0.5 * x)

        snr = spectral_snr(self.x, broken, bands=4)
        assert list(snr.failed) == ["4"]
        assert "NaN" in snr.failed["4"]

    def test_a_perturbation_that_changes_the_size_is_named_and_the_others_go_on(self) -> None:
        def shrink(x: Tensor) -> Tensor:
            return x[..., ::2]

        study = snr_study(self.x, [shrink, "contrast:2"], bands=4)
        assert list(study.results) == ["contrast:2"]
        assert "changed the size" in study.failed["shrink"]
        assert study.incomplete
        with pytest.raises(InputError, match=r"shrink failed on 10 of 10 images.*changed the size"):
            spectral_snr(self.x, shrink, bands=4)

    def test_a_missing_library_ends_the_run(self) -> None:
        with pytest.raises(MissingExtraError, match="pip install"):
            snr_study(self.x, [Missing(), "contrast:2"], bands=4)

    def test_memory_that_runs_out_halves_the_batch(self) -> None:
        def hungry(x: Tensor) -> Tensor:
            if len(x) > 3:
                raise torch.OutOfMemoryError("no")
            return 0.9 * x

        snr = spectral_snr(self.x, hungry, bands=4)
        assert (snr.n_images, snr.failed) == (10, {})
        assert any("memory ran out" in warning for warning in snr.warnings)


class TestBadInput:
    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    @pytest.mark.parametrize(
        "perturbation,options,message",
        [
            ("gausian_noise:2", {}, "did you mean gaussian_noise"),
            ("gaussian_noise:6", {}, "severity from 1 to 5, got 6"),
            ("gaussian_noise:1-3", {}, "expected one perturbation, got 3: .*snr_study"),
            ("contrast:2", {"bands": 40}, "largest number of square bands that works"),
            ("contrast:2", {"bands": 8, "dc": "apart"}, "mean alone in band 0.*fewer bands"),
            ("contrast:2", {"dc": "own"}, "dc 'apart' or 'in-band', got 'own'"),
            ("contrast:2", {"summary": "mean"}, "median, ratio-of-sums, mean-of-bins, got 'mean'"),
            ("contrast:2", {"images": 1}, "images from 2 to 8"),
            ("contrast:2", {"images": 9}, "images from 2 to 8"),
            ("contrast:2", {"confidence": 1.5}, "confidence"),
            ("contrast:2", {"border": "mirror"}, "periodic-plus-smooth"),
            ("contrast:2", {"quantize": 0}, "bits from 1 to 16"),
            ("contrast:2", {"labels": "true"}, "'given' or 'prediction'"),
            ("contrast:2", {"size": 8}, "tensors are used as given"),
            ("contrast:2", {"size": 8, "patch": 8}, "patch"),
            ("contrast:2", {"patch": "none"}, "number of pixels"),
            ("contrast:2", {"batch_size": 0}, "batch_size"),
            ("contrast:2", {"class_map": {}}, "class_map"),
            ("contrast:2", {"on_bad_image": "warn"}, "'error' or 'skip'"),
            (None, {}, "one of the two"),
            ("contrast:2", {"perturbed": x}, "one of the two"),
            (3, {}, "expected a perturbation or a callable"),
        ],
    )
    def test_says_what_to_do(self, perturbation: object, options: dict[str, object], message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            spectral_snr(self.x, perturbation, **options)
        assert "\n" not in str(caught.value)

    def test_unknown_keywords_are_refused(self) -> None:
        with pytest.raises(TypeError, match="severity"):
            spectral_snr(self.x, "contrast:2", severity=3)

    def test_two_perturbations_of_one_name(self) -> None:
        with pytest.raises(InputError, match="<lambda> twice"):
            snr_study(self.x, [lambda x: x, lambda x: 0.5 * x], bands=4)

    def test_pixels_outside_the_range(self) -> None:
        with pytest.raises(InputError, match=r"\[0, 1\]"):
            spectral_snr(2 * self.x, "contrast:2")

    def test_one_image(self) -> None:
        with pytest.raises(InputError, match="at least 2 images, got 1"):
            spectral_snr(self.x[:1], "contrast:2")

    def test_no_such_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such folder"):
            spectral_snr(os.fspath(tmp_path / "nowhere"), "contrast:2")
