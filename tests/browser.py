"""A real browser for tests: Debian's chromium, driven by playwright. Where it is missing, tests skip and say why.

A conftest.py that wants the fixtures imports them: `from tests.browser import browser, watched_page`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP, PHONE = (1280, 900), (390, 844)  # width, height
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


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

    def serious_violations(self) -> list[str]:
        """What axe-core finds that is serious or critical: the rule, and where it is broken."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
        found = axe.run(self.page).response["violations"]
        worst = [rule for rule in found if rule["impact"] in ("serious", "critical")]
        return [f"{rule['id']}: {node['html']}" for rule in worst for node in rule["nodes"]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One chromium for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield opened
        opened.close()


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
