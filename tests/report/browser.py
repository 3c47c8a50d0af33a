"""The system's chromium, driven by playwright; tests that need it skip without, saying why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESKTOP, PHONE = (1280, 900), (390, 844)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of playwright's, running the chromium of this machine."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page, what its console said, and what it asked the network for."""

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def visit(browser: Any, path: Path, size: tuple[int, int] = DESKTOP, **context: Any) -> Iterator[Visit]:
    """The file, opened from the disk without a network."""
    opened = browser.new_context(viewport={"width": size[0], "height": size[1]}, offline=True, **context)
    found = Visit(opened.new_page())
    found.page.on("console", lambda message: found.console.append(message.text))
    found.page.on("pageerror", lambda error: found.console.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(path.as_uri())
    yield found
    opened.close()


def axe(page: Any) -> list[str]:
    """What axe-core finds that is serious or critical: rule and first element of each."""
    source = files(pytest.importorskip("axe_playwright_python")) / "axe.min.js"
    page.evaluate(source.read_text(encoding="utf-8"))
    # what a chart draws has no text; the chart itself is looked at
    found = page.evaluate("axe.run({exclude: ['.series']}, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 10, "axe has looked at nothing"
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
