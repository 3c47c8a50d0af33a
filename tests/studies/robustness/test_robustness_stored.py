"""Stored images: ImageNet-C-like trees, and a second folder of the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.errors import BadImageError, InputError
from spectrobe.studies.robustness.folders import tree_folders

CLASSES = ("a", "b", "c")


class Colour(nn.Module):
    """The class is the brightest colour."""

    def forward(self, x: Tensor) -> Tensor:
        return 20 * x.mean((2, 3))


def photo(index: int, number: int, size: int = 12, wrong: bool = False) -> np.ndarray:
    """A noisy image whose brightest colour is its class, or the next one."""
    image = np.random.default_rng([index, number]).integers(0, 100, (size, size, 3))
    image[..., (index + wrong) % 3] += 60
    return image.astype(np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def fill(folder: Path, wrong: int, size: int = 12, extension: str = "png") -> None:
    """Twelve images of three classes, of which the first `wrong` of each class are taken for the next one."""
    for index, name in enumerate(CLASSES):
        for number in range(4):
            save(folder / name / f"{number}.{extension}", photo(index, number, size, number < wrong))


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    fill(tmp_path / "clean", wrong=1)
    return tmp_path / "clean"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """haze at severities 1 and 2, 2 and 3 of 4 images wrong; rain in a group, 4 of 4 wrong at severity 1, 3 at 2."""
    root = tmp_path / "tree"
    for place, wrong in (("haze/1", 2), ("haze/2", 3), ("weather/rain/1", 4), ("weather/rain/2", 3)):
        fill(root / place, wrong)
    (root / ".hidden" / "1").mkdir(parents=True)
    (root / "readme.txt").write_text("not a corruption")
    return root


def measure(data: Any = None, **settings: Any) -> sb.RobustnessResult:
    return sb.robustness(Colour(), data, class_map={"a": 0, "b": 1, "c": 2}, batch_size=5, **settings)


def test_files_are_perturbed_at_the_model_s_input_size(tmp_path: Path) -> None:
    fill(tmp_path / "originals", wrong=0, size=20)
    seen: list[tuple[int, ...]] = []

    def spy(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[1:]))
        return x

    model = sb.open_model(Colour(), size=12, crop=0.8)
    classes = {"a": 0, "b": 1, "c": 2}
    found = sb.robustness(model, tmp_path / "originals", [spy], class_map=classes, batch_size=5)
    assert set(seen) == {(3, 12, 12)} and found.settings.image_size == (12, 12)


class TestTree:
    def test_beside_clean_images(self, clean: Path, tree: Path) -> None:
        found = measure(clean, tree=tree)
        accuracy = {name: e.value for name, e in found.accuracy.items()}
        assert accuracy == {"haze:1": 0.5, "haze:2": 0.25, "rain:1": 0.0, "rain:2": 0.25}
        assert found.clean.value == 0.75
        assert found.mean_corruption_error.value == pytest.approx((0.5 + 0.75 + 1.0 + 0.75) / 4, abs=1e-12)
        assert list(found.corruption_error) == ["haze", "rain"]
        assert (found.predictions.l2 > 0).any(axis=0).all()
        assert found.data_name == "clean"

    def test_alone(self, tree: Path) -> None:
        found = measure(tree=tree)
        assert found.clean is None and found.data_name == "tree"
        assert {name: e.value for name, e in found.accuracy.items()} == {
            "haze:1": 0.5, "haze:2": 0.25, "rain:1": 0.0, "rain:2": 0.25,
        }  # fmt: skip
        assert np.isnan(found.predictions.l2).all() and found.warnings == ()
        assert "clean" not in found.summary().splitlines()[2]

    def test_relative_to_another_model_s_run_on_it(self, clean: Path, tree: Path) -> None:
        class Grey(Colour):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x.roll(1, 1))

        reference = sb.robustness(Grey(), clean, tree=tree, class_map={"a": 0, "b": 1, "c": 2}, batch_size=12)
        found = measure(clean, tree=tree, reference=reference)
        errors = {name: reference.corruption_error[name].value for name in ("haze", "rain")}
        expected = (0.625 / errors["haze"] + 0.875 / errors["rain"]) / 2
        assert found.mce.value == pytest.approx(expected, abs=1e-12)

    def test_together_with_perturbations(self, clean: Path, tree: Path) -> None:
        found = measure(clean, tree=tree, perturbations="noise_linf:eps=2/255")
        assert list(found.accuracy) == ["noise_linf:eps=2/255", "haze:1", "haze:2", "rain:1", "rain:2"]

    def test_an_incomplete_severity_is_named_and_the_others_go_on(self, clean: Path, tree: Path) -> None:
        (tree / "haze/2/b/1.png").unlink()
        for image in (tree / "weather/rain/1").rglob("*.png"):
            image.unlink()
        found = measure(clean, tree=tree)
        assert "lacks 1 of 12 images, the first 'b/1.png'" in found.failed["haze:2"]
        assert "no images in" in found.failed["rain:1"]
        assert found.accuracy["haze:1"].value == 0.5 and np.isnan(found.accuracy["haze:2"].value)
        assert np.isnan(found.mean_corruption_error.value)

    def test_a_severity_without_a_class_is_named_by_what_it_lacks(self, clean: Path, tree: Path) -> None:
        for number in range(4):
            (tree / f"haze/2/a/{number}.png").unlink()
        found = sb.robustness(
            sb.open_model(Colour(), num_classes=3), clean, tree=tree, batch_size=5, on_bad_image="skip"
        )
        assert list(found.failed) == ["haze:2"] and found.n_images == 12  # the others are measured on all images
        assert "haze:2 lacks 4 of 12 images, the first 'a/" in found.failed["haze:2"]

    def test_stored_at_the_model_s_size_they_are_used_as_they_are(self, tmp_path: Path, tree: Path) -> None:
        """Clean originals of 20 px are resized to 15 and cropped to 12; what is stored at 12 px must not be again."""
        fill(tmp_path / "originals", wrong=0, size=20)
        model = sb.open_model(Colour(), size=12, crop=0.8)
        seen: list[Tensor] = []
        model.module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))  # type: ignore[attr-defined]
        found = sb.robustness(
            model, tmp_path / "originals", tree=tree, class_map={"a": 0, "b": 1, "c": 2}, images=2, batch_size=2
        )
        assert found.settings.image_size == (12, 12)
        index, number = CLASSES.index(found.predictions.ids[0][0]), int(found.predictions.ids[0][2])
        stored = torch.from_numpy(photo(index, number, 12, number < 2)).permute(2, 0, 1) / 255
        # the second pass of the run proper, after the self-check's: haze:1
        assert any(torch.equal(batch[0], stored) for batch in seen if len(batch) == 2)

    def test_images_of_another_size_are_refused(self, tmp_path: Path, tree: Path) -> None:
        fill(tmp_path / "originals", wrong=0, size=20)
        with pytest.raises(InputError, match=r"haze:1 has image .* at \(12, 12\) pixels, its clean counterpart"):
            sb.robustness(
                sb.open_model(Colour(), size=10), tmp_path / "originals", tree=tree, class_map={"a": 0, "b": 1, "c": 2}
            )
        found = measure(tmp_path / "originals", against=tree / "haze/1", images=4)  # a model of any size
        assert "at (3, 12, 12), expected (3, 20, 20)" in found.failed["haze/1"]

    @pytest.mark.parametrize("layout", ["flat", "deep", "not-severities"])
    def test_other_layouts_are_refused(self, tmp_path: Path, layout: str) -> None:
        places = {"flat": "", "deep": "one/two/three/haze/1", "not-severities": "haze/strong"}
        fill(tmp_path / "tree" / places[layout], wrong=0)
        with pytest.raises(InputError, match=r"no corruptions in .*ROOT/CORRUPTION/SEVERITY"):
            tree_folders(tmp_path / "tree")

    def test_a_corruption_in_two_groups_is_refused(self, tree: Path) -> None:
        fill(tree / "blur/rain/1", wrong=0)
        with pytest.raises(InputError, match="holds rain/1 twice"):
            tree_folders(tree)

    def test_links_are_followed(self, tmp_path: Path, tree: Path) -> None:
        (tmp_path / "linked").mkdir()
        (tmp_path / "linked/haze").symlink_to(tree / "haze")
        assert list(tree_folders(tmp_path / "linked")) == [("haze", 1), ("haze", 2)]

    def test_a_name_that_is_measured_twice_is_refused(self, clean: Path, tmp_path: Path) -> None:
        fill(tmp_path / "tree/fog/1", wrong=0)
        with pytest.raises(InputError, match="fog:1 comes twice"):
            measure(clean, tree=tmp_path / "tree", perturbations="fog:1")


class TestAgainst:
    def test_a_second_folder_of_the_same_images(self, clean: Path, tmp_path: Path) -> None:
        fill(tmp_path / "noisy", wrong=2, extension="bmp")  # paired without the extension
        found = measure(clean, against=tmp_path / "noisy")
        assert {name: e.value for name, e in found.accuracy.items()} == {"noisy": 0.5}
        assert found.mean_corruption_error is None and found.conditions[0].kind == "folder"

    def test_compression_of_the_stored_images_is_told(self, tmp_path: Path, clean: Path) -> None:
        fill(tmp_path / "jpeg", wrong=1, extension="jpg")
        (tmp_path / "tree" / "rain").mkdir(parents=True)
        (tmp_path / "jpeg").rename(tmp_path / "tree" / "rain" / "1")
        for found in (
            measure(clean, against=tmp_path / "tree" / "rain" / "1"),
            measure(clean, tree=tmp_path / "tree"),
            measure(tree=tmp_path / "tree"),
        ):
            told = [warning for warning in found.warnings if "compression" in warning]
            assert told == [
                "the perturbed images are JPEG files: what their compression did is part of what is measured"
            ]

    def test_tensors(self) -> None:
        x = torch.rand(10, 3, 12, 12, generator=torch.Generator().manual_seed(0))
        y = torch.arange(10) % 3
        found = sb.robustness(Colour(), (x, y), against=(1 - x, y), batch_size=10)
        assert found.accuracy["perturbed tensors"].value == float((Colour()(1 - x).argmax(1) == y).double().mean())

    @pytest.mark.parametrize("problem", ["missing", "label", "size"])
    def test_folders_that_do_not_pair_are_named(self, clean: Path, tmp_path: Path, problem: str) -> None:
        fill(tmp_path / "noisy", wrong=0, size=14 if problem == "size" else 12)
        if problem == "missing":
            (tmp_path / "noisy/b/2.png").unlink()
        labels = {"a": 1, "b": 0, "c": 2}
        message = {
            "missing": "noisy lacks 1 of 12 images, the first 'b/2.png'",
            "label": "with label 0, clean has it with 1|with label 1, clean has it with 0",
            "size": "noisy has image ./. at|changed the size|expected .* as the clean one",
        }[problem]
        if problem == "label":
            noisy: Any = sb.open_data(str(tmp_path / "noisy"), n_classes=3, class_map=labels)
            with pytest.raises(InputError, match=message):
                sb.robustness(Colour(), sb.open_data(str(clean), n_classes=3), against=noisy)
        elif problem == "missing":
            with pytest.raises(InputError, match=message):
                measure(clean, against=tmp_path / "noisy")
        else:  # the model takes any size: told when the images are loaded
            failed = measure(clean, against=tmp_path / "noisy").failed["noisy"]
            assert "at (3, 14, 14), expected (3, 12, 12)" in failed

    def test_a_torn_image_stops_the_run_or_is_left_out_everywhere(self, clean: Path, tmp_path: Path) -> None:
        fill(tmp_path / "noisy", wrong=2)
        (tmp_path / "noisy/a/3.png").write_bytes(b"torn")
        with pytest.raises(BadImageError, match=r"noisy/a/3\.png"):
            measure(clean, against=tmp_path / "noisy")
        found = measure(clean, against=tmp_path / "noisy", on_bad_image="skip")
        assert found.n_images == 11 and list(found.skipped) == ["a/3.png"]
        assert "--on-bad-image" not in found.skipped["a/3.png"]
        assert found.clean.value == pytest.approx(8 / 11, abs=1e-12)  # of a/1 to a/3 the torn one was right
        assert found.accuracy["noisy"].value == pytest.approx(5 / 11, abs=1e-12)

    def test_images_without_a_counterpart_are_left_out_when_told_so(self, clean: Path, tmp_path: Path) -> None:
        fill(tmp_path / "noisy", wrong=2)
        for number in range(4):  # a class without any image left, whose folder is no longer one of a class
            (tmp_path / f"noisy/b/{number}.png").unlink()
        model = sb.open_model(Colour(), num_classes=3)
        with pytest.raises(InputError, match=r"noisy lacks 4 of 12 images.*--on-bad-image skip leaves them out"):
            sb.robustness(model, clean, against=tmp_path / "noisy", batch_size=5)
        found = sb.robustness(model, clean, against=tmp_path / "noisy", batch_size=5, on_bad_image="skip")
        assert found.n_images == 8 and set(found.skipped) == {f"b/{number}.png" for number in range(4)}
        assert "there is no image of this name" in found.skipped["b/0.png"]
        assert found.accuracy["noisy"].value == pytest.approx(0.5)

    @pytest.mark.parametrize(("folder", "name"), [("b/clean", "b/clean"), ("fog/3", "fog/3"), ("fog", "fog")])
    def test_a_name_that_tells_nothing_is_told_with_its_folder(
        self, clean: Path, tmp_path: Path, folder: str, name: str
    ) -> None:
        fill(tmp_path / folder, wrong=2)
        assert list(measure(clean, against=tmp_path / folder).accuracy) == [name]

    def test_images_without_contrast_are_welcome(self, clean: Path, tmp_path: Path) -> None:
        fill(tmp_path / "noisy", wrong=0)
        save(tmp_path / "noisy/a/0.png", np.zeros((12, 12, 3), np.uint8))
        save(clean / "a/0.png", np.full((12, 12, 3), 90, np.uint8))
        assert measure(clean, against=tmp_path / "noisy").n_images == 12
