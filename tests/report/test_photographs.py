"""Strips of photographs: what the model really answers, on what is proved to be the run's own model and images."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.report.material import Material, Photographs
from spectrobe.report.photographs.encode import data_uri
from spectrobe.report.photographs.names import class_words
from spectrobe.report.photographs.reopen import Opener
from spectrobe.report.photographs.strip import Strip
from spectrobe.report.runs import Run, open_runs
from spectrobe.report.sections import photographs
from tests.report.cases import coarse, decomposed, fine, labelled, mixed, reported


def section(results: Any, **wanted: Any) -> Any:
    """The section, with what the user gives."""
    given = {"count": 2, "images": (labelled(mixed, 20),), "models": (mixed,)} | wanted
    return photographs.section(Material(open_runs(results), photographs=Photographs(**given)))


def strips(found: Any) -> tuple[Strip, ...]:
    """Those of the first run."""
    return tuple(found.blocks[0].strips)


def pixels(uri: str) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


class TestAnswers:
    def test_each_tile_has_the_answer_to_its_coalition(self, unclear: sb.DecomposeResult) -> None:
        x, y = labelled(mixed, 20)
        [first, _] = strips(section(unclear))
        position = int(first.name)
        mean = x.double().mean(0).float()
        coalitions = torch.cat(
            [torch.eye(4, dtype=torch.bool), torch.ones(4, 4).tril().bool(), torch.ones(4, 4).triu().bool()]
        )
        seen = sb.coalition_images(x[position : position + 1], 4, coalitions, absence=mean)[0]
        shares, classes = mixed(seen).softmax(1).max(1)
        tiles = [tile for _, row in first.rows for tile in row]
        assert [tile.answer for tile in tiles] == [f"class {int(k)}" for k in classes]
        assert [int(tile.share[:-1]) for tile in tiles] == pytest.approx((100 * shares).tolist(), abs=0.51)
        assert [tile.right for tile in tiles] == (classes == y[position]).tolist()
        assert [name for name, _ in first.rows] == [
            "this band alone", "this band and all coarser ones", "this band and all finer ones",
        ]  # fmt: skip

    def test_all_coarser_bands_and_all_finer_ones_are_the_intact_photograph(self, unclear: sb.DecomposeResult) -> None:
        for strip in strips(section(unclear)):
            whole = pixels(strip.intact.picture)
            assert np.abs(whole.astype(int) - pixels(strip.rows[1][1][-1].picture)).max() <= 1
            assert np.abs(whole.astype(int) - pixels(strip.rows[2][1][0].picture)).max() <= 1
            assert whole.shape == (16, 16, 3)

    def test_photographs_are_the_first_of_the_run_in_its_own_order(self, unclear: sb.DecomposeResult) -> None:
        images = list(unclear.about()["images"])
        assert [strip.name for strip in strips(section(unclear, count=12))] == images[:12]

    def test_perturbed_as_the_runs_perturbed_them(self, unclear: sb.DecomposeResult) -> None:
        x, y = labelled(mixed, 20)
        robust = sb.robustness(mixed, (x, y), "gaussian_noise:1-3,contrast:2", batch_size=64)
        [first, _] = strips(section([unclear, robust]))
        assert [name for name, _ in first.perturbed] == ["gaussian_noise:2", "contrast:2"]
        noisy = sb.perturbation("gaussian_noise", severity=2)(x[int(first.name)][None], ids=[first.name], seed=0)
        expected = (noisy[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
        np.testing.assert_array_equal(pixels(first.perturbed[0][1].picture), expected)
        assert first.perturbed[0][1].answer == f"class {int(mixed(noisy).argmax())}"

    def test_a_run_without_a_model_has_pictures_without_answers(self, tmp_path: Path) -> None:
        x = labelled(coarse, 8)[0]
        sb.snr_study(x, "gaussian_noise:3", bands=4, out=tmp_path / "snr")
        [first, _] = strips(section(tmp_path / "snr", images=(x,), models=()))
        assert first.rows == () and first.intact.answer == ""
        assert [name for name, _ in first.perturbed] == ["gaussian_noise:3"]

    def test_none_are_made_when_none_are_wanted(self, unclear: sb.DecomposeResult) -> None:
        assert section(unclear, count=0) is None


class TestWhatIsOpened:
    """Only what is proved to be the run's own, and nothing that a run folder names and that could run code."""

    def why(self, results: Any, **wanted: Any) -> str:
        return str(section(results, **wanted).blocks[0].paragraphs[0])

    def test_other_images_are_not_passed_off_as_the_runs(self, unclear: sb.DecomposeResult) -> None:
        x, y = labelled(mixed, 20)
        for other in ((1 - x, y), (x, y.roll(1)), (x[:10], y[:10])):
            assert "holds other images, or other labels" in self.why(unclear, images=(other,))

    def test_without_images_it_says_how_to_get_photographs(self, unclear: sb.DecomposeResult) -> None:
        said = self.why(unclear, images=())
        assert said.startswith("No photographs for mixed:") and "--images DATA" in said

    def test_a_function_is_not_opened_by_its_name(self, runs: Path) -> None:
        said = self.why(runs / "coarse", models=())
        assert "not opened unasked, since that may run code: name it with --model" in said

    def test_a_module_named_by_a_run_folder_is_not_imported(self, tmp_path: Path, monkeypatch: Any) -> None:
        (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nmodel = None\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        model = {"name": "python:trap:model", "weights_sha256": "x"}
        run = Run("decompose", None, {"identity": {"model": model, "data": {"name": "demo"}}})
        with pytest.raises(InputError, match="may run code"):
            Opener(images=("demo",)).model(run)
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize("scheme", ["timm", "hf", "torchvision", "onnx"])
    def test_nothing_is_downloaded_or_opened_before_the_user_gives_images(self, scheme: str) -> None:
        run = Run("decompose", None, {"identity": {"model": {"name": f"{scheme}:x"}, "data": {"name": "demo"}}})
        with pytest.raises(InputError, match="--images DATA"):
            Opener().model(run)

    def test_another_model_of_the_same_name_is_refused(self, runs: Path) -> None:
        run = open_runs(runs / "coarse")[0]
        with pytest.raises(InputError, match="is another function than coarse"):
            Opener(models=(fine,)).model(run)

    def test_other_weights_under_the_same_name_are_refused(self) -> None:
        nets = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3)) for _ in range(2)]
        x, y = labelled(coarse, 8)
        result = sb.decompose(nets[0], (x, y), bands=2, precision="float32", batch_size=64)
        [run] = open_runs(result)
        assert Opener(models=(nets[1], nets[0])).model(run).forward(x).shape == (8, 3)
        with pytest.raises(InputError, match="other weights sha256"):
            Opener(models=(nets[1],)).model(run)

    def test_a_models_file_is_opened_again_once_the_images_are_given(self, tmp_path: Path) -> None:
        pytest.importorskip("onnxruntime")
        from tests.shared import SHARED

        net = SHARED / "models" / "cifar-resnet8.onnx"
        if not net.exists():
            pytest.skip("needs ../shared/models, which is not here")
        x, y = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.arange(6)
        sb.decompose(f"onnx:{net}", (x, y), bands=2, batch_size=8, out=tmp_path / "run")
        page = reported(tmp_path / "run", tmp_path, photographs=1, images=(x, y))
        assert str(next(found["alt"] for tag, found in page.tags if tag == "img")).startswith("intact: class ")
        assert str(net.parent) not in page.source


class TestAbsence:
    @pytest.mark.parametrize("absence", ["zero", "noise", "donor", "mean"])
    def test_absent_bands_are_as_the_run_had_them(self, absence: str, tmp_path: Path) -> None:
        result = decomposed(mixed, 20, out=tmp_path / "run", absence=absence)
        [first, _] = strips(section(tmp_path / "run"))
        position = int(first.name)
        [table] = result.table().chunks()
        row = int(np.flatnonzero(table.position == position)[0])
        by_mask = dict(zip(table.coalition[row].tolist(), table.predicted[row].tolist(), strict=True))
        seen = (0, 3)  # the bands that this model sees; without them its answer is a tie
        tiles = [first.rows[0][1][band].answer for band in seen]
        assert tiles == [f"class {by_mask[2**band]}" for band in seen]


class TestPictures:
    def test_small_pictures_are_exact_and_large_ones_shrunk(self) -> None:
        x = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
        uri = data_uri(x)
        assert uri.startswith("data:image/png;base64,")
        np.testing.assert_array_equal(pixels(uri), (x.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8))
        large = data_uri(torch.rand(1, 600, 300))
        assert large.startswith("data:image/jpeg;base64,") and pixels(large).shape == (256, 128, 3)

    def test_what_leaves_the_range_is_cut(self) -> None:
        assert pixels(data_uri(torch.tensor([[[-3.0, 0.5, 7.0]]])))[0, :, 0].tolist() == [0, 128, 255]

    def test_the_window_of_a_large_photograph_is_framed(self) -> None:
        framed = pixels(data_uri(torch.full((3, 128, 128), 0.5), frame=(32, 16, 64, 64)))
        assert framed[32, 40].min() > 230 and framed[31, 40].max() < 40  # white inside, black outside
        assert abs(int(framed[100, 100, 0]) - 128) < 4

    @pytest.mark.parametrize(
        "names, index, said",
        [(("cat, felis", "dog"), 0, "cat"), (None, 3, "class 3"), (("a",), 1, "class 1"), (("x",), -1, "class -1")],
    )
    def test_classes_in_words(self, names: Any, index: int, said: str) -> None:
        assert class_words(names, index) == said

    def test_wordnet_ids_become_words(self) -> None:
        pytest.importorskip("timm")
        assert class_words(("n02259212",), 0) == "leafhopper"


def test_unusual_images_are_shown_where_images_can_be_opened(runs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(runs / "coarse", tmp_path / "run"))
    options = {"photographs": 1, "images": labelled(coarse, 60), "models": coarse}
    page = reported(folder, tmp_path, **options)
    assert len([found for _, found in page.tags if found.get("class") == "thumb"]) == 5
