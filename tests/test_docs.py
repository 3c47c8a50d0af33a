"""The documentation: its links lead somewhere, its pages are in the navigation, its notebook runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
from typer.main import get_command

from spectrobe.cli.app import build_app

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
OUTSIDE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in its links, as Python-Markdown's toc makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
        slug = re.sub(r"[-\s]+", "-", plain)
        number = 0
        while (free := f"{slug}_{number}" if number else slug) in found:
            number += 1
        found.add(free)
    return found


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures, code left out."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    return re.findall(r"\]\(\s*([^)\s]+)[^)]*\)", text)


@pytest.mark.parametrize("page", [*PAGES, *OUTSIDE], ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("https", "mailto"), f"{link}: expected https"
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.is_file(), f"{link}: no such file"
        assert target.is_relative_to(DOCS if page in PAGES else ROOT), f"{link}: outside the site"
        if parts.fragment:
            assert parts.fragment in anchors(target), f"{link}: no such heading, there are {sorted(anchors(target))}"


def test_the_link_check_sees_links() -> None:
    assert sum(map(len, map(links, PAGES))) > 60
    assert "how-to/scores.md" in links(DOCS / "index.md")
    assert {"statistics", "own-noise"} <= anchors(DOCS / "evidence.md")


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r"^\s+- .*?: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def test_the_reference_names_what_can_be_imported() -> None:
    named = [one for page in PAGES for one in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]
    assert len(named) > 15
    for one in named:
        assert importlib.util.find_spec(one) is not None, one


def commands(page: Path) -> Iterator[list[str]]:
    """Calls of spectrobe in a page's shell blocks, continued lines joined."""
    for block in re.findall(r"^```(?:bash|yaml)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"\s*(?:- run: )?(spectrobe .*)", line)
            if found:
                words = shlex.split(found[1], comments=True)
                yield words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize("page", [page for page in [*PAGES, *OUTSIDE] if list(commands(page))], ids=name)
def test_commands_that_pages_show_exist_with_their_options(page: Path) -> None:
    known = get_command(build_app())
    for words in commands(page):
        if not words[1:] or words[1].startswith("-"):
            continue
        command, rest = known, words[1:]
        while rest and (inside := getattr(command, "commands", None)) is not None:
            command, rest = inside.get(rest[0]), rest[1:]
            assert command is not None, f"{' '.join(words)}: no such command"
        try:
            command.make_context(words[1], [word for word in rest if word != "..."], resilient_parsing=False)
        except typer.Exit:
            continue  # --help
        except Exception as error:
            pytest.fail(f"{' '.join(words)}: {getattr(error, 'format_message', error.__str__)()}")


def test_a_notebook_is_stored_without_what_it_printed() -> None:
    nbformat = pytest.importorskip("nbformat")
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "demo:efficientnet-lite0" in printed and "gaussian_noise:3" in printed
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert '<figure class="strip' in (tmp_path / "runs/notebook/report.html").read_text()
