"""`spectrobe snr` and `spectrobe score`: the calls of the documentation, exit codes, and one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import spectrobe as sb
from tests.cli.calls import Cli, photo, save


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """Two folders of the same 8 images: clean/N.png, and noisy/N.bmp from a bad camera."""
    for number in range(8):
        image = photo(number % 3, number, 20).astype(np.float64) + 60
        draws = np.random.default_rng(number)
        save(tmp_path / "clean" / f"{number}.png", image.astype(np.uint8))
        save(
            tmp_path / "noisy" / f"{number}.bmp",
            (image + draws.normal(0, 20, image.shape)).clip(0, 255).astype(np.uint8),
        )
    return tmp_path


def test_own_noise_needs_two_folders_and_nothing_else(cli: Cli, noisy: Path) -> None:
    done = cli("snr", "clean", "--against", "noisy")
    assert done.code == 0, done.err
    assert "noisy against clean: 8 images of 20 x 20" in done.out
    assert "0.000-0.062" in done.out
    run = noisy / "runs" / "snr-clean-1"
    assert {path.name for path in run.iterdir()} >= {"run.json", "result.json", "snr", "figures"}
    assert (run / "figures" / "snr-bias.png").stat().st_size > 10_000
    snr = sb.load(run)
    direct = sb.spectral_snr(noisy / "clean", perturbed=noisy / "noisy")
    np.testing.assert_array_equal(snr.db, direct.db)
    assert snr.summary() in done.out


@pytest.mark.usefixtures("undrawn")
def test_several_perturbations_as_json(cli: Cli, noisy: Path) -> None:
    done = cli("snr", "clean", "--perturb", "gaussian_noise:1-2,contrast:3", "--bands", "4", "--json", "--quiet")
    assert done.code == 0, done.err
    assert done.err == ""
    names = [result["settings"]["perturbation"] for result in json.loads(done.out)["results"]]
    assert names == ["gaussian_noise:1", "gaussian_noise:2", "contrast:3"]


@pytest.mark.usefixtures("undrawn")
def test_attacks_take_a_model_and_its_labels(cli: Cli, world: Path, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"a": 0, "b": 2, "c": 1}')  # the model is right on class a alone
    model = ("--model", "python:toys:colour", "--num-classes", 3, "--class-map", "map.json")
    call = ("snr", world / "images", "--perturb", "fgsm_linf:eps=8/255", *model, "--bands", 4)
    done = cli(*call, "--out", "run")
    assert done.code == 0, done.err
    snr = sb.load("run")
    assert snr.settings.labels == "given"
    assert snr.settings.model_name == "python:toys:colour"
    assert (snr.n_images, snr.unattacked) == (4, 8)
    assert "left 8 of 12 images alone" in done.out
    free = cli(*call[:-4], "--bands", 4, "--labels", "prediction", "--out", "free")
    assert free.code == 0, free.err
    assert sb.load("free").n_images == 12


@pytest.mark.usefixtures("undrawn")
def test_the_same_call_goes_on(cli: Cli, noisy: Path) -> None:
    call = ("snr", "clean", "--against", "noisy", "--out", "run")
    first, again = cli(*call), cli(*call)
    assert (first.code, again.code) == (0, 0)
    assert first.out == again.out
    other = cli("snr", "clean", "--against", "noisy", "--dc", "in-band", "--out", "run")
    assert other.code == 2
    assert "other settings (dc: there 'apart', now 'in-band')" in other.err


@pytest.mark.usefixtures("undrawn")
def test_a_part_that_fails_is_listed_and_the_exit_code_is_1(cli: Cli, noisy: Path) -> None:
    Image.fromarray(photo(0, 0, 10)).save(noisy / "noisy" / "3.bmp")
    (noisy / "noisy" / "5.bmp").write_bytes(b"")
    done = cli("snr", "clean", "--against", "noisy", "--on-bad-image", "skip")
    assert done.code == 1
    assert "left out: image 3.png: 20 x 20 pixels, but its perturbed version has 10 x 10" in done.out
    assert "left out: image 5.png: its version in noisy: the file is empty" in done.out
    assert "6 images" in done.out


@pytest.mark.parametrize(
    "call,told",
    [
        ("snr clean", "--against NOISY"),
        ("snr clean --against noisy --perturb contrast:2", "one of the two"),
        ("snr clean --against nowhere", "no such folder: 'nowhere'"),
        ("snr clean --perturb contrst:2", "did you mean contrast"),
        ("snr clean --perturb contrast:9", "severity from 1 to 5, got 9"),
        ("snr clean --perturb pgd_linf:eps=4/255", "needs a model"),
        ("snr clean --perturb pgd_linf:eps=8 --model python:toys:colour", "8/255"),
        ("snr clean --perturb contrast:2 --mean 0.5", "--mean together with --model"),
        ("snr clean --perturb contrast:2 --bands 30", "largest number of square bands"),
        ("snr clean --perturb contrast:2 --patch 40", "smaller than the patch of 40 x 40"),
        ("snr clean --against many", "no partner for"),
        ("score clean --under clean", "expected a run folder"),
    ],
)
def test_bad_input_is_one_line_with_code_2(cli: Cli, noisy: Path, world: Path, call: str, told: str) -> None:
    (noisy / "many").symlink_to(world / "sizes")
    done = cli(*call.split())
    assert done.code == 2
    assert told in done.err
    assert done.err.strip().count("\n") == 0
    assert not list(noisy.glob("runs/*"))


@pytest.mark.usefixtures("undrawn")
def test_score_under(cli: Cli, world: Path) -> None:
    data = world / "images"
    model = ("python:toys:colour", data, "--num-classes", 3, "--class-map", world / "map.json")
    assert cli("decompose", *model, "--bands", 4, "--value", "usable-information", "--out", "run").code == 0
    assert cli("snr", data, "--perturb", "gaussian_noise:1-2", "--bands", 4, "--out", "noise").code == 0
    done = cli("score", "run", "--under", "noise")
    assert done.code == 0, done.err
    assert "perturbation-aware" in done.out
    assert "gaussian_noise:2" in done.out
    found = cli("score", "run", "--under", "noise", "--json").result
    expected = sb.score_under(sb.load("run"), sb.load("noise"))
    assert [score["surviving_information"]["value"] for score in found["scores"]] == [  # type: ignore[index,union-attr]
        score.surviving_information.value for score in expected.values()
    ]
    assert cli("snr", data, "--perturb", "gaussian_noise:1", "--bands", 5, "--out", "five").code == 0
    refused = cli("score", "run", "--under", "five")
    assert refused.code == 2
    assert "--bands square:4" in refused.err
    assert cli("score", "noise", "--under", "run").code == 2


@pytest.mark.usefixtures("undrawn")
def test_other_commands_on_an_snr_run(cli: Cli, noisy: Path) -> None:
    assert cli("snr", "clean", "--perturb", "contrast:1-2", "--bands", 4, "--out", "run").code == 0
    shown = cli("show", "run")
    assert shown.code == 0, shown.err
    assert shown.out.strip() == sb.load("run").summary().strip()
    assert cli("show", "run", "--json").out == (noisy / "run/result.json").read_text()
    for call in (("show", "run", "--by-class"), ("compare", "run", "run"), ("score", "run", "--under", "run")):
        refused = cli(*call)
        assert refused.code == 2
        assert "run of decompose" in refused.err
