"""Pages that are opened from the disk, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.browser import DESKTOP, serious_violations


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
    """What axe-core finds that is serious; what a chart draws has no text, and the chart itself is looked at."""
    return serious_violations(page, leave_out=".series")
