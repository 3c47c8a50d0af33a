"""Someone else's package adds one of everything: installed as packages are, named as users name it, and documented."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import spectrobe as sb
from spectrobe.cli import main
from spectrobe.data import source_names
from spectrobe.engine.absence import absence_classes
from spectrobe.errors import InputError
from spectrobe.game.coalitions import members
from spectrobe.game.values import value_classes
from spectrobe.models import model_schemes
from spectrobe.perturbations import names, parse_perturbations
from spectrobe.perturbations.registry import _TABLE as PERTURBATIONS

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "example_package"
GUIDE = Path(__file__).resolve().parents[2] / "docs/how-to/extend.md"
MODULE = "spectrobe_example"
GAME = {"bands": 3, "value": "true-probability", "absence": "mean-colour", "design": "exact"}


def install(target: Path) -> None:
    """What an installer leaves in site-packages: the module, and metadata with the entry points of pyproject.toml."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    (target / f"{MODULE}.py").write_text((PACKAGE / f"{MODULE}.py").read_text())
    metadata = target / f"{MODULE}-{project['version']}.dist-info"
    metadata.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    (metadata / "METADATA").write_text("\n".join(lines) + "\n")
    groups = (
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items())])
        for group, points in project["entry-points"].items()
    )
    (metadata / "entry_points.txt").write_text("\n\n".join(groups) + "\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    install(target)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    yield
    PERTURBATIONS.pop("checkerboard", None)
    sys.modules.pop(MODULE, None)


def test_it_is_not_there_before_it_is_installed() -> None:
    for change in ({"value": "true-probability"}, {"absence": "mean-colour"}):
        with pytest.raises(InputError, match=r"expected an? (value|absence) out of"):
            sb.decompose(lambda x: x, torch.rand(4, 3, 8, 8), **change)
    with pytest.raises(InputError, match="unknown model scheme brightness:"):
        sb.open_model("brightness:4")
    with pytest.raises(InputError, match="unknown data 'waves:4'"):
        sb.open_data("waves:4")
    with pytest.raises(InputError, match="unknown perturbation: 'checkerboard'"):
        sb.perturbation("checkerboard", amplitude=0.1)


def test_every_name_is_listed(installed: None) -> None:
    assert "true-probability" in value_classes()
    assert "mean-colour" in absence_classes()
    assert "checkerboard" in names()
    assert model_schemes()["brightness"] == "brightness:NAME"
    assert "waves" in source_names()


def test_model_data_value_and_absence_are_played(installed: None, tmp_path: Path) -> None:
    result = sb.decompose("brightness:4", "waves:24", out=tmp_path / "run", device="cpu", precision="float32", **GAME)
    data, model = sb.open_data("waves:24", n_classes=4), sb.open_model("brightness:4")
    assert (result.model_name, result.data_name, result.n_images, result.n_classes) == (
        "brightness:4",
        "waves:24",
        24,
        4,
    )
    assert (result.unit, result.absence) == ("probability", "mean-colour")
    x = torch.stack([data.pixels(i, model.geometry) for i in range(24)])
    colour = x.mean((0, 2, 3))[:, None, None].expand(3, 16, 16)
    present = torch.from_numpy(members(np.arange(8), 3))
    with torch.no_grad():
        logits = model.forward(sb.coalition_images(x, 3, present, absence=colour).flatten(0, 1))
    expected = logits.softmax(1).view(24, 8, 4)[torch.arange(24), :, torch.from_numpy(data.labels)]
    assert np.allclose(result.payoffs, expected, rtol=0, atol=1e-4)
    # brightness is in the lowest band alone
    assert result.shapley[0] > 0.3 and np.abs(result.shapley[1:]).max() < 1e-4
    assert result.interval[0, 0] > 0
    again = sb.load(tmp_path / "run")
    assert np.array_equal(again.shapley, result.shapley) and again.unit == "probability"
    assert np.array_equal(again.with_value("accuracy").with_value("true-probability").shapley, result.shapley)


def test_the_perturbation_is_called(installed: None) -> None:
    x = torch.rand(6, 3, 8, 9) * 0.8 + 0.1
    checkerboard = sb.perturbation("checkerboard", amplitude=1 / 16)
    y = checkerboard(x, ids=[f"image {i}" for i in range(6)], seed=3)
    assert torch.allclose((y - x).abs(), torch.full_like(x, 1 / 16), atol=1e-6)
    assert len({float(sign) for sign in (y - x)[:, 0, 0, 0].sign()}) == 2  # drawn image by image
    assert torch.equal(y[2:3], checkerboard(x[2:3], ids=["image 2"], seed=3))
    (spec,) = parse_perturbations("checkerboard:amplitude=0.0625")
    assert torch.equal(spec.build()(x, ids=[f"image {i}" for i in range(6)], seed=3), y)
    assert str(checkerboard) == str(spec.build())
    with pytest.raises(InputError, match=r"expected an amplitude in \(0, 1\], got 2"):
        sb.perturbation("checkerboard", amplitude=2)
    with pytest.raises(InputError, match="unknown setting of checkerboard: 'strength'"):
        sb.perturbation("checkerboard", strength=1)


def test_its_own_errors_come_through(installed: None) -> None:
    with pytest.raises(InputError, match="expected brightness:K with K classes"):
        sb.open_model("brightness:many")
    with pytest.raises(InputError, match="expected waves:N with N images"):
        sb.open_data("waves:many")
    model = sb.open_model("brightness:4?size=32&mean=0.5&std=0.5")
    assert model.geometry.size == (32, 32) and model.mean == (0.5, 0.5, 0.5)


def test_the_command_line_finds_it(installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = blocks("bash")
    assert main([*command.split()[1:], "--out", str(tmp_path / "run"), "--device", "cpu", "--quiet"]) == 0
    result = sb.load(tmp_path / "run")
    assert (result.value, result.absence, result.data_name) == ("true-probability", "mean-colour", "waves:24")
    assert result.shapley[0] > 0.3
    for what, name in (("values", "true-probability"), ("absences", "mean-colour"), ("perturbations", "checkerboard")):
        assert main(["list", what]) == 0
        assert name in capsys.readouterr().out


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", GUIDE.read_text(), flags=re.DOTALL)


def test_the_guide_shows_the_code_that_is_tested(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    source = (PACKAGE / f"{MODULE}.py").read_text()
    *shown, usage = blocks("python")
    assert (
        source
        == '"""A package of someone else\'s that adds one of everything to spectrobe."""\n\n'
        + "\n\n\n".join(shown)
        + "\n"
    )
    (points,) = blocks("toml")
    assert (
        tomllib.loads(points)["project"]["entry-points"]
        == (tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["entry-points"])
    )
    found: dict[str, object] = {}
    exec(usage, found)
    assert "brightness:4 on waves:24: 24 images, true-probability" in capsys.readouterr().out
    assert found["noisy"].shape == (2, 3, 16, 16)


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="needs hatchling to build the package")
def test_pip_installs_it(tmp_path: Path) -> None:
    """The metadata made by hand above is what an installer makes."""
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
        "--target", str(tmp_path / "site"), str(PACKAGE),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (tmp_path / "by-hand").mkdir()
    install(tmp_path / "by-hand")
    texts = [next((tmp_path / name).glob("*.dist-info/entry_points.txt")).read_text() for name in ("site", "by-hand")]
    assert sorted(texts[0].split()) == sorted(texts[1].split())
    assert (tmp_path / "site" / f"{MODULE}.py").is_file()
