"""The page in a real browser: it loads in silence, switches change what is seen, and it can be used by everyone."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spectrobe.explore import routes
from spectrobe.explore.server import PageServer
from spectrobe.explore.session import Session
from tests.browser import PHONE, WatchedPage, serious_violations
from tests.cli.calls import png
from tests.data import hostile
from tests.explore.conftest import NAMES, SIDE

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def visit(server: PageServer, watched_page: WatchedPage) -> WatchedPage:
    """The page, opened, with its first answer."""
    watched_page.page.goto(server.address)
    settle(watched_page.page)
    return watched_page


def settle(page: Page) -> None:
    """Wait until every question has its answer."""
    page.locator("main[aria-busy=false]").wait_for()


def answers(page: Page) -> list[str]:
    """The top classes and their probabilities, as they are written."""
    return page.locator("#answers li").all_inner_texts()


def test_it_loads_without_an_error_and_asks_no_other_host(visit: WatchedPage, session: Session) -> None:
    page = visit.page
    assert page.title() == "spectrobe explore"
    assert page.locator("#model").inner_text() == "model" and page.locator("#data").inner_text() == "colours"
    assert page.locator("#thumbnails img").count() == 13
    assert page.locator("#bands input").count() == 4
    assert page.locator("#bands").inner_text().splitlines()[:2] == ["8 px and longer", "0.000–0.125 cycles/px"]
    assert NAMES[0] in page.locator("#verdict").inner_text()
    # The folder has one file that is no photo: its thumbnail cannot be shown.
    assert all("422" in error for error in visit.errors) and len(visit.errors) <= 1
    assert len(visit.requests) > 10 and visit.requests_beyond("127.0.0.1") == []


def test_names_from_outside_are_text(visit: WatchedPage) -> None:
    page = visit.page
    assert page.locator("#answers").inner_text().count("<script>alert(1)</script>") == 1
    assert page.locator("script").count() == 1  # the page's own


def test_switching_a_band_off_changes_the_picture_and_the_answer(visit: WatchedPage) -> None:
    page = visit.page
    before, picture = answers(page), page.locator("#seen").get_attribute("src")
    page.get_by_label("Nothing").check()
    page.get_by_label("8 px and longer").click()
    page.locator("#verdict.changed").wait_for()
    assert answers(page) != before
    assert page.locator("#seen").get_attribute("src") != picture
    assert page.locator("#seen").get_attribute("alt") == "the photo with 3 of 4 bands switched on"
    assert page.locator("#verdict").inner_text().startswith("stripes")
    assert "it was red" in page.locator("#compared").inner_text()
    assert page.locator("#term-removed").get_attribute("src")
    page.get_by_role("button", name="All").click()
    page.locator("#verdict:not(.changed)").wait_for()
    settle(page)
    assert answers(page) == before


def test_another_photo_and_a_perturbation(visit: WatchedPage) -> None:
    page = visit.page
    page.get_by_role("radio", name="photo 6", exact=True).check()
    page.get_by_text("labelled green & co").wait_for()
    page.locator("#perturbation").select_option("gaussian_noise")
    page.get_by_text("Sensor noise in low light.").wait_for()
    page.locator("#term-photo-title", has_text="the disturbed photo").wait_for()
    settle(page)
    at_3, bands = (
        page.locator("#term-photo").get_attribute("src"),
        page.locator("#bands img").nth(3).get_attribute("src"),
    )
    page.locator("#level").fill("5")
    assert page.locator("#level-name").inner_text() == "severity 5 of 5"
    settle(page)
    assert page.locator("#term-photo").get_attribute("src") != at_3
    assert page.locator("#bands img").nth(3).get_attribute("src") != bands


def test_a_photo_can_be_dropped_in(visit: WatchedPage) -> None:
    page = visit.page
    blue = np.full((SIDE, SIDE, 3), (10, 20, 250), dtype=np.uint8)
    page.set_input_files("#file", {"name": "<b>mine</b>.png", "mimeType": "image/png", "buffer": png(blue)})
    page.get_by_role("radio", name="<b>mine</b>.png", checked=True).wait_for()
    page.locator("#verdict", has_text="blue").wait_for()
    assert page.locator("#thumbnails img").count() == 14
    assert "labelled" not in page.locator("#compared").inner_text()


@pytest.mark.parametrize("case", ["text", "bomb", "truncated-jpeg"])
def test_a_file_that_is_no_photo_gets_a_message(visit: WatchedPage, case: str) -> None:
    page = visit.page
    before = answers(page)
    make, reason = hostile.BROKEN[case]
    page.set_input_files("#file", {"name": "photo.png", "mimeType": "image/png", "buffer": make()})
    page.locator("#problem").wait_for()
    assert page.locator("#problem").inner_text().startswith("This file cannot be used: ")
    assert reason in page.locator("#problem").inner_text()
    assert answers(page) == before
    page.get_by_label("2 to 2.7 px").click()  # the next answer takes the message away
    page.locator("#problem").wait_for(state="hidden")


def test_a_file_that_is_too_large_is_not_even_sent(
    server: PageServer, watched_page: WatchedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectrobe.explore.wire.MOST_UPLOAD_BYTES", 2**20)
    page = watched_page.page
    page.goto(server.address)
    settle(page)
    page.set_input_files("#file", {"name": "photo.png", "mimeType": "image/png", "buffer": bytes(2**20 + 1)})
    page.locator("#problem", has_text="photo.png is too large: at most 1 MB").wait_for()
    assert not any(address.endswith("/api/photo") for address in watched_page.requests)


def test_one_press_measures_the_profile_with_progress(visit: WatchedPage, monkeypatch: pytest.MonkeyPatch) -> None:
    page = visit.page
    told: list[dict[str, object]] = []
    measure = routes.profile

    def slowly(session: Session, body: bytes, send: routes.Send) -> None:
        def seen(content: dict[str, object]) -> None:
            send(content)
            told.append(content)
            if content.get("done") == 8:
                page_saw_half.wait()

        measure(session, body, seen)

    page_saw_half = Gate()
    monkeypatch.setitem(routes.STREAMS, "/api/profile", slowly)
    monkeypatch.setattr("spectrobe.explore.profiling._batch_size", lambda session: 1)
    page.get_by_role("button", name="Measure").click()
    page.locator("#progress-text", has_text="8 of 15 looks").wait_for()
    assert page.locator("#progress").evaluate("bar => [bar.value, bar.max]") == [8, 15]
    page_saw_half.open()
    page.locator("#chart table").wait_for()
    assert page.locator("#progress").is_hidden() and page.get_by_role("button", name="Measure").is_enabled()
    rows = page.locator("#chart tbody tr")
    assert rows.count() == 4
    assert rows.first.inner_text().split("\t")[:3] == ["8 px and longer", "0.000–0.125", "0–2"]
    assert float(rows.first.locator(".value").inner_text().replace("\u2212", "-")) == pytest.approx(
        told[-1]["profile"]["shapley"][0], abs=0.006
    )
    assert "there is no interval over images" in page.locator("#chart").inner_text()
    page.get_by_label("Noise").check()
    page.get_by_text("The choices have changed since").wait_for()


def test_a_measurement_can_be_cancelled(visit: WatchedPage, monkeypatch: pytest.MonkeyPatch) -> None:
    page, gate = visit.page, Gate()
    monkeypatch.setattr("spectrobe.explore.profiling._batch_size", lambda session: gate.wait() or 1)
    page.get_by_role("button", name="Measure").click()
    page.get_by_role("button", name="Cancel").click()
    gate.open()
    page.get_by_role("button", name="Cancel").wait_for(state="hidden")
    assert page.locator("#chart").is_hidden() and page.locator("#problem").is_hidden()


def test_it_can_be_used_with_the_keyboard_alone(visit: WatchedPage) -> None:
    page = visit.page
    page.locator("#thumbnails input").first.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("radio", name="photo 2", checked=True).wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "checkbox":
            break
    assert page.evaluate("document.activeElement.closest('label').innerText").startswith("8 px and longer")
    outline = page.evaluate("getComputedStyle(document.activeElement.closest('label')).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Space")
    page.locator("#seen[alt='the photo with 3 of 4 bands switched on']").wait_for()


@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_axe_finds_nothing_serious_and_nothing_overflows(visit: WatchedPage, width: str, tmp_path: Path) -> None:
    page = visit.page
    if width == "phone":
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.get_by_label("8 px and longer").click()
    page.locator("#perturbation").select_option("pgd_linf")
    page.get_by_role("button", name="Measure").click()
    page.locator("#chart table").wait_for()
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    page.locator("#problem").wait_for()
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
    assert (tmp_path / f"{width}.png").stat().st_size > 20_000


def test_a_late_answer_hides_no_problem_that_came_after_its_question(visit: WatchedPage) -> None:
    page, held = visit.page, []
    page.route("**/api/look", lambda route: held.append(route))
    page.get_by_label("8 px and longer").click()
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    page.locator("#problem").wait_for()
    while page.locator("#page[aria-busy=true]").count():
        while held:
            held.pop().continue_()
        page.wait_for_timeout(50)
    assert page.locator("#problem").is_visible()


def test_a_server_that_is_gone_is_told(visit: WatchedPage, server: PageServer) -> None:
    page = visit.page
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_label("8 px and longer").click()
    page.locator("#problem", has_text="is spectrobe explore still running").wait_for()


class Gate:
    """Closed until it is opened."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wait(self) -> None:
        self._event.wait(20)

    def open(self) -> None:
        self._event.set()
