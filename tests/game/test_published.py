from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spectrobe.errors import InputError, ModelOutputError
from spectrobe.game import published
from spectrobe.models.base import Model
from tests.shared import SHARED


def log_sigmoid(x: float) -> float:
    return -float(np.log1p(np.exp(-x)))


def columns(mean: float, amplitude: float) -> Tensor:
    """A 1 x 4 x 4 image whose columns alternate mean - amplitude, mean + amplitude: DC and Nyquist alone."""
    return mean + amplitude * torch.tensor([-1.0, 1.0, -1.0, 1.0]).expand(1, 4, 4)


def brightness_model(x: Tensor) -> Tensor:
    mean = x.mean(dim=(1, 2, 3))
    return torch.stack([torch.zeros_like(mean), 2 * mean], dim=1)


TOY_IMAGES = torch.stack([columns(0.25, 0.25), columns(0.75, 0.125)])
TOY_LABELS = torch.tensor([0, 1])


def noisy_images(n: int, height: int = 8, width: int = 8) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def cifar_resnet8() -> nn.Module:
    if not SHARED.is_dir():
        pytest.skip("needs the folder shared/ beside the repository")
    load_file = pytest.importorskip("safetensors.torch").load_file
    spec = importlib.util.spec_from_file_location("cifar_resnet8", SHARED / "models/cifar_resnet8.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.CifarResNet8()
    model.load_state_dict(load_file(SHARED / "models/cifar-resnet8.safetensors"))
    return model.eval()


@pytest.fixture(scope="module")
def photographs() -> tuple[Tensor, Tensor]:
    if not SHARED.is_dir():
        pytest.skip("needs the folder shared/ beside the repository")
    pyarrow_parquet = pytest.importorskip("pyarrow.parquet")
    image = pytest.importorskip("PIL.Image")
    rows = pyarrow_parquet.read_table(SHARED / "data/cifar10/test.parquet").slice(0, 40).to_pylist()
    pixels = np.stack([np.asarray(image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")) for row in rows])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255, torch.tensor([row["label"] for row in rows])


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine cost more than they give on images this small."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


class TestGolden:
    @pytest.mark.slow
    @pytest.mark.timeout(600)  # seconds, for a busy machine: 256 coalitions of 40 images
    @pytest.mark.usefixtures("one_thread")
    @pytest.mark.parametrize("bands", [4, 8])
    def test_equals_the_stored_values_of_the_authors_procedure(
        self, bands: int, cifar_resnet8: nn.Module, photographs: tuple[Tensor, Tensor]
    ) -> None:
        golden = json.loads((SHARED / f"golden/published-{bands}-bands.json").read_text())
        result = published.decompose(cifar_resnet8, *photographs, bands=bands, batch_size=40)
        np.testing.assert_allclose(result.mean_log_probability, golden["mean_log_probability"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(result.profile, golden["profile"], rtol=0, atol=1e-5)
        assert result.score == pytest.approx(golden["score"], abs=1e-5)


class TestToy:
    def test_table_profile_and_score_equal_the_values_worked_out_by_hand(self) -> None:
        # Band 0 has the means .25, .75 -> rescaled over the batch 0, 1. Band 1 has +-.25, +-.125: its magnitude is
        # flat in each image, .25, .125 -> 1, 0. Both: columns 0, .5 and .625, .875 -> 0, 4/7 and 5/7, 1, with the
        # means 2/7 and 6/7.
        result = published.decompose(brightness_model, TOY_IMAGES, TOY_LABELS, bands=2, batch_size=2)
        expected = [
            log_sigmoid(0),
            (log_sigmoid(0) + log_sigmoid(2)) / 2,
            (log_sigmoid(-2) + log_sigmoid(0)) / 2,
            (log_sigmoid(-4 / 7) + log_sigmoid(12 / 7)) / 2,
        ]
        np.testing.assert_allclose(result.mean_log_probability, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(result.profile, [1, 0], rtol=0, atol=1e-12)
        assert result.score == pytest.approx((0.8 - 0.7) / 0.3, abs=1e-12)  # beta/|beta| = (.8, .6), eta = .7

    def test_three_band_profile_equals_shapley_values_worked_out_by_hand(self) -> None:
        table = np.array([0.0, 6.0, 3.0, 12.0, 0.0, 6.0, 6.0, 12.0])
        # Over the six orders: phi_0 = (6+6+9+6+6+6)/6, phi_1 = (6+6+3+3+6+6)/6, phi_2 = (0+0+0+3+0+0)/6.
        np.testing.assert_allclose(published._shapley(table), [6.5, 5.0, 0.5], rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            published.normalised_profile(np.array([6.5, 5.0, 0.5])), np.array([6, 4.5, 0]) / 10.5, rtol=0, atol=1e-12
        )

    def test_the_empty_coalition_is_a_zero_image_and_all_are_within_0_and_1(self) -> None:
        seen: list[Tensor] = []

        def model(x: Tensor) -> Tensor:
            seen.append(x.clone())
            return brightness_model(x[:, :, :2])

        published.decompose(model, noisy_images(4), torch.tensor([0, 1, 1, 0]), bands=3, batch_size=4)
        assert len(seen) == 8
        assert not seen[0].any()
        for x in seen[1:]:
            assert x.shape == (4, 3, 8, 8)
            assert (float(x.min()), float(x.max())) == (0.0, 1.0)

    def test_batches_are_averaged_and_a_trailing_partial_batch_is_dropped(self) -> None:
        images, labels = noisy_images(7), torch.tensor([0, 1, 1, 0, 1, 0, 1])
        first = published.decompose(brightness_model, images[:3], labels[:3], bands=3, batch_size=3)
        second = published.decompose(brightness_model, images[3:6], labels[3:6], bands=3, batch_size=3)
        both = published.decompose(brightness_model, images, labels, bands=3, batch_size=3)
        expected = (first.mean_log_probability + second.mean_log_probability) / 2
        np.testing.assert_allclose(both.mean_log_probability, expected, rtol=0, atol=1e-12)

    def test_arrays_are_float64_and_read_only(self) -> None:
        result = published.decompose(brightness_model, TOY_IMAGES, TOY_LABELS, bands=2, batch_size=2)
        for array in (result.mean_log_probability, result.profile):
            assert array.dtype == np.float64
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


class TestNonSquare:
    def test_bands_are_squares_in_the_top_left_of_the_shifted_plane(self) -> None:
        masks = torch.fft.fftshift(published._coalition_masks(2, 4, 8), dim=(1, 2))
        inner, outer = torch.zeros(4, 8, dtype=torch.bool), torch.zeros(4, 8, dtype=torch.bool)
        inner[1:3, 1:3] = True
        outer[:, :4] = True
        for mask, expected in zip(masks, [outer & ~outer, inner, outer & ~inner, outer], strict=True):
            assert torch.equal(mask, expected)

    def test_a_cosine_keeps_one_of_its_two_bins(self) -> None:
        # Of the bins -2 and +2 along 8 columns only -2 lies in the square: magnitude amplitude / 2, flat in each image.
        wave = torch.cos(2 * torch.pi * 2 * torch.arange(8) / 8).expand(1, 4, 8)
        seen: list[Tensor] = []

        def model(x: Tensor) -> Tensor:
            seen.append(x.clone())
            return brightness_model(x)

        images = torch.stack([0.5 + 0.1 * wave, 0.5 + 0.4 * wave])
        with pytest.raises(InputError, match="coalition 2"):  # nothing is left for the second band
            published.decompose(model, images, TOY_LABELS, bands=2, batch_size=2)
        assert torch.allclose(seen[1][0], torch.zeros(1, 4, 8), atol=1e-5)
        assert torch.allclose(seen[1][1], torch.ones(1, 4, 8), atol=1e-5)

    def test_the_squares_of_a_square_image_are_centred(self) -> None:
        masks = torch.fft.fftshift(published._coalition_masks(8, 32, 32), dim=(1, 2))
        expected = torch.zeros(32, 32, dtype=torch.bool)
        expected[14:18, 14:18] = True  # shifted index 16 is DC: bins -2 .. 1, not symmetric, as in the source
        assert torch.equal(masks[1], expected)
        assert masks[-1].all()


class TestScore:
    @pytest.mark.parametrize(
        ("band", "expected"),
        [(0, 0.52), (1, 0.285), (2, 0.11), (3, 0.03), (4, 0.13), (5, 0.20), (6, 0.26), (7, 0.30)],
    )
    def test_all_weight_on_one_band(self, band: int, expected: float) -> None:
        assert published.score(np.eye(8)[band]) == pytest.approx(expected, abs=0.005)

    def test_a_flat_profile_scores_0(self) -> None:
        assert published.score(np.full(8, 1 / 8)) == pytest.approx(0, abs=1e-12)


class TestModel:
    def test_a_module_is_run_in_eval_mode_and_given_back_as_it_was(self) -> None:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Dropout(0.9), nn.Linear(192, 3)).train()
        model[1].eval()
        running_mean = model[1].running_mean.clone()
        images, labels = noisy_images(4), [0, 1, 2, 0]
        first = published.decompose(model, images, labels, bands=2, batch_size=4)
        second = published.decompose(model, images, labels, bands=2, batch_size=4)
        assert np.array_equal(first.mean_log_probability, second.mean_log_probability)
        assert torch.equal(model[1].running_mean, running_mean)
        assert [module.training for module in model] == [True, False, True, True]

    def test_an_adapter_is_used_through_its_prepared_forward(self) -> None:
        class Brightness(Model):
            def forward(self, pixels: Tensor) -> Tensor:
                return brightness_model(pixels)

            def identity(self) -> Mapping[str, Any]:
                return {}

        direct = published.decompose(brightness_model, TOY_IMAGES, TOY_LABELS, bands=2, batch_size=2)
        adapted = published.decompose(Brightness(), TOY_IMAGES, TOY_LABELS, bands=2, batch_size=2)
        assert np.array_equal(direct.mean_log_probability, adapted.mean_log_probability)

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            (lambda x: x.mean(dim=(1, 2, 3)), r"expected logits \(2, K\)"),
            (lambda x: x.mean(dim=(2, 3)), r"expected logits \(2, K\)"),
            (lambda x: (x, x), "got tuple"),
            (lambda x: brightness_model(x).log(), "finite logits.* image 0 .coalition 0"),
            (lambda x: brightness_model(x) * torch.tensor([1.0, -1e4]), "above 0, got 0 in float32 for image 1"),
        ],
    )
    def test_wrong_outputs_are_refused(self, model: object, message: str) -> None:
        with pytest.raises(ModelOutputError, match=message):
            published.decompose(model, TOY_IMAGES, TOY_LABELS, bands=2, batch_size=2)

    def test_a_model_that_ignores_its_input_is_refused(self) -> None:
        with pytest.raises(InputError, match="same Shapley value"):
            published.decompose(lambda x: torch.ones(len(x), 3), TOY_IMAGES, TOY_LABELS, bands=2, batch_size=2)


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"images": TOY_IMAGES[0]}, "expected images as a float tensor"),
            ({"images": (TOY_IMAGES * 255).byte()}, "got torch.uint8"),
            ({"images": TOY_IMAGES * 255}, r"pixels in \[0, 1\], got 0 to"),
            ({"images": TOY_IMAGES * torch.nan}, r"pixels in \[0, 1\], got nan"),
            ({"labels": torch.tensor([0])}, r"integer labels \(2,\)"),
            ({"labels": [0.0, 1.0]}, r"integer labels \(2,\)"),
            ({"labels": [0, 2]}, r"labels in 0 .. 1, got 2"),
            ({"labels": [-1, 1]}, "labels from 0 up, got -1"),
            ({"bands": 1}, "2 to 12 bands, got 1"),
            ({"bands": 13}, "2 to 12 bands, got 13"),
            ({"bands": 5}, "at most 4 bands for images of 4 x 4, got 5"),
            ({"batch_size": 0}, "batch size of at least 1, got 0"),
            ({"batch_size": 3}, "got 2 images for batch_size=3: pass batch_size=2"),
            ({"model": "timm:resnet18"}, "expected a callable"),
            ({"images": torch.full((2, 1, 4, 4), 0.5)}, "images 0 to 1 for coalition 1"),
            ({"images": torch.full((2, 3, 33, 35), 0.3)}, "images 0 to 1 for coalition 1"),  # flat but for rounding
        ],
    )
    def test_one_line_says_what_was_expected_and_what_came(self, change: dict[str, object], message: str) -> None:
        arguments = {"model": brightness_model, "images": TOY_IMAGES, "labels": TOY_LABELS, "bands": 2, "batch_size": 2}
        with pytest.raises(InputError, match=message):
            published.decompose(**(arguments | change))  # type: ignore[arg-type]
