"""A real browser for tests: the system's chromium, driven by playwright. Where it is missing, tests skip and say why.

A browser is closed with the module that opened it: while one is open, playwright keeps an event loop running in this
thread, beside which nobody else can start one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP, PHONE = (1280, 900), (390, 844)  # width, height
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of playwright's, running the chromium of this machine."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=list(_FLAGS))
        yield browser
        browser.close()


def serious_violations(page: Page, leave_out: str | None = None) -> list[str]:
    """What axe-core finds that is serious or critical: rule and element of each.

    leave_out: a selector of what axe-core need not look at.
    """
    source = files(pytest.importorskip("axe_playwright_python")) / "axe.min.js"
    page.evaluate(source.read_text(encoding="utf-8"))
    context = {"exclude": [leave_out]} if leave_out else {"include": ["html"]}
    found = page.evaluate("context => axe.run(context, {resultTypes: ['violations']})", context)
    assert len(found["passes"]) > 10, "axe has looked at nothing"
    worst = [rule for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in worst for node in rule["nodes"]]


@dataclass
class WatchedPage:
    """A page, and what went on behind it: errors of its console and scripts, addresses it asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def requests_beyond(self, *hosts: str) -> list[str]:
        """Addresses asked for that are neither on `hosts` nor inside the page itself."""
        inside = ("data", "blob", "about")
        parts = [(address, urlsplit(address)) for address in self.requests]
        return [address for address, part in parts if part.scheme not in inside and part.hostname not in hosts]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One chromium for the tests of a module."""
    with chromium() as found:
        yield found


@pytest.fixture
def watched_page(browser: Browser) -> Iterator[WatchedPage]:
    """A fresh page of desktop size, without a past; what it asks for and what goes wrong is written down."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    watched = WatchedPage(context.new_page())
    page = watched.page
    page.on("console", lambda message: watched.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("request", lambda request: watched.requests.append(request.url))
    yield watched
    context.close()
