"""What holds for the repository as a whole: what imports load, what ships, file lengths, that written examples run."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.resources
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

import spectrobe

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "spectrobe"
CORE = ("errors", "seeding", "bands", "spectrum", "game", "perturbations")
HEAVY = ("matplotlib", "pandas", "timm", "torchvision", "transformers", "datasets", "pyarrow", "PIL", "typer", "rich")
# The README's example and the example package have tests of their own (below, and tests/extension).
EXAMPLES = sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name != "extend.md")


def run_python(code: str) -> str:
    """Standard output of `code` in a fresh interpreter; its error output is the message of a failure."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        pytest.fail(done.stderr)
    return done.stdout


def test_importing_spectrobe_loads_no_heavy_library() -> None:
    loaded = run_python(f"import sys, spectrobe; print(*[name for name in {HEAVY} if name in sys.modules])")
    assert loaded.split() == []


ALONE = """
import importlib, pkgutil, re, sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

def needed(distribution, found):
    if distribution in found:
        return
    try:
        requirements = requires(distribution) or []
    except PackageNotFoundError:
        return
    found.add(distribution)
    for requirement in requirements:
        if "extra ==" not in requirement:
            needed(re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-"), found)

allowed = set()
for distribution in ("torch", "numpy", "scipy"):
    needed(distribution, allowed)
installed = packages_distributions()
blocked = {
    name for name, owners in installed.items()
    if not any(owner.lower().replace("_", "-") in allowed for owner in owners) and name != "spectrobe"
}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is blocked: the core needs torch, numpy and scipy alone", name=name)

for name in ("PIL", "pyarrow", "matplotlib", "pandas", "timm", "torchvision"):
    if name not in blocked:
        raise SystemExit(f"expected {name} to be installed and blocked, else this test proves nothing")
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def core_alone() -> tuple[set[str], list[str]]:
    """In one interpreter, for it takes seconds: the modules that the core's import, and what its functions find."""
    printed = run_python(
        ALONE
        + textwrap.dedent(f"""
        for name in {CORE}:
            module = importlib.import_module(f"spectrobe.{{name}}")
            for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"spectrobe.{{name}}."):
                importlib.import_module(found.name)
        print(*sorted(name for name in sys.modules if name.startswith("spectrobe.")))
        import numpy as np, torch, spectrobe as sb
        images = torch.rand(3, 3, 17, 20, generator=torch.Generator().manual_seed(0))
        bands = sb.BandPartition.square(4)
        print(float((sb.band_images(images, bands).sum(1) - images).abs().max()) < 1e-5)
        everything = sb.coalition_images(images, bands, torch.ones(1, 4, dtype=torch.bool))
        print(float((everything[:, 0] - images).abs().max()) < 1e-5)
        print(np.allclose(sb.shapley_values(np.array([0.0, 1.0, 2.0, 5.0])), [2.0, 3.0]))
        noisy = sb.perturbation("gaussian_noise", severity=3)(images)
        print(noisy.shape == images.shape and bool((noisy != images).any()))
        """)
    )
    imported, *answers = printed.splitlines()
    return set(imported.split()), answers


@pytest.mark.slow
def test_the_core_imports_with_torch_numpy_and_scipy_alone(core_alone: tuple[set[str], list[str]]) -> None:
    assert {f"spectrobe.{name}" for name in CORE} <= core_alone[0]


def test_the_core_works_with_torch_numpy_and_scipy_alone(core_alone: tuple[set[str], list[str]]) -> None:
    assert core_alone[1] == ["True"] * 4


def test_the_version_is_told_once() -> None:
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert written == importlib.metadata.version("spectrobe") == spectrobe.__version__


def test_types_and_data_files_ship() -> None:
    package = importlib.resources.files("spectrobe")
    assert (package / "py.typed").is_file()
    assert len((package / "data" / "imagenet_wnids.txt").read_text().split()) == 1000
    templates = package / "report" / "templates"
    assert all((templates / name).is_file() for name in ("page.html.j2", "style.css", "script.js"))


def test_extras_that_messages_name_exist() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    calls = [
        node
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "MissingExtraError"
    ]
    named = {call.args[1].value for call in calls if isinstance(call.args[1], ast.Constant)}
    assert named, "expected calls of MissingExtraError(library, extra, purpose) in src"
    assert named <= set(known)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_source_file_is_short_and_in_a_package(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    assert (path.parent / "__init__.py").is_file()


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """(line, code) of every fenced python block of a page. All are run: what only shows is fenced as text."""
    text = page.read_text()
    found = re.finditer(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start(1)), match.group(1)) for match in found]


def shown(page: Path) -> object:
    """A page as a parameter; what trains or measures for long is not run all the time."""
    marks = [pytest.mark.slow] if page.stem in ("robustness", "train-studies", "training") else []
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.mark.parametrize("page", [shown(page) for page in EXAMPLES if python_blocks(page)])
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, object] = {"__name__": "__main__"}
    for line, code in python_blocks(page):  # the blocks of one page go on from each other; line numbers are the page's
        exec(compile("\n" * line + code, str(page), "exec"), names)


def test_the_example_of_the_readme_finds_what_it_planted(capsys: pytest.CaptureFixture[str]) -> None:
    [(line, code)] = python_blocks(ROOT / "README.md")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("\n" * line + code, "README.md", "exec"), names)
    result = names["result"]
    # log 3 + max over tau of the mean log softmax(tau z)_y, worked out without the game; band 0 alone holds the mean
    assert result.shapley[0] == pytest.approx(0.6305, abs=1e-3)
    assert abs(result.shapley[1:]).max() < 1e-5
    low, high = result.interval[0]
    assert 0.4 < low < 0.6305 < high < 0.9
    assert result.summary() in capsys.readouterr().out
