"""The page in a real browser: opens from the disk, asks for nothing, switches, sorts, tells, and can be read by all."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import spectrobe as sb
from spectrobe.report.poster import poster
from tests.browser import DESKTOP, PHONE, chromium
from tests.report.browser import axe, visit
from tests.report.cases import coarse, fine, labelled
from tests.studies.response.cases import measure, one_band, ripples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models under everything, with photographs of both."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    sb.report(runs, path, photographs=1, images=[labelled(coarse, 60), labelled(fine, 60)], models=[coarse, fine])
    return path


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    with visit(browser, report) as found:
        yield found.page


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_opens_without_a_network_and_without_complaint(size: tuple[int, int], browser: Any, report: Path) -> None:
    with visit(browser, report, size) as found:
        assert found.console == []
        assert [url for url in found.requests if not url.startswith("data:")] == [report.as_uri()]
        width = found.page.evaluate("document.documentElement.scrollWidth")
        assert width <= size[0]  # nothing sticks out
        shot = Image.open(io.BytesIO(found.page.screenshot(full_page=True))).convert("L")
        drawn = [shot.crop((0, top, shot.width, top + size[1])).getextrema() for top in range(0, shot.height, size[1])]
        assert all(high - low > 100 for low, high in drawn)  # no screen of it is blank


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_so_does_a_poster(size: tuple[int, int], browser: Any, runs: Path, tmp_path: Path) -> None:
    path = Path(poster([runs / "snr", runs / "coarse", runs / "fine"], tmp_path / "poster.html", quick=True, count=0))
    with visit(browser, path, size) as found:
        assert found.console == []
        assert [url for url in found.requests if not url.startswith("data:")] == [path.as_uri()]
        assert found.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        found.page.get_by_role("link", name="S3 profile").click()
        assert found.page.locator("#s3 h2").is_visible() and found.page.locator("#s3 svg.plot").count() > 1
        assert found.page.locator("#s6 svg").count() == 0


@pytest.mark.parametrize("size, scheme", [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone, dark"])
def test_so_does_response_against_spectrum(size: tuple[int, int], scheme: str, browser: Any, tmp_path: Path) -> None:
    model, data = one_band(20)
    measured = measure(model, data, ripples(), heat_map=2.0, heat_map_step=1)
    path = Path(sb.report(measured, tmp_path / "response.html", photographs=0))
    with visit(browser, path, size, color_scheme=scheme) as found:
        page = found.page
        assert found.console == []
        assert [url for url in found.requests if not url.startswith("data:")] == [path.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        for section, key, drawn in (("prediction", "kind-ripple", 2), ("spectra", "power", 3)):
            series = page.locator(f"#{section} [data-series={key}]")
            assert series.count() == drawn and series.first.is_visible()
            page.locator(f"#{section} input[data-key={key}]").uncheck()
            assert not any(series.nth(i).is_visible() for i in range(drawn))
        told = page.locator("#prediction svg desc").all_text_contents()
        assert len(told) == 4 and all(told)  # two panels, and the errors for a desktop and a phone
        waves = page.locator("#heat-map .wave")
        waves.nth(3).scroll_into_view_if_needed()
        waves.nth(3).hover()
        assert "error rate" in page.locator("#tip").inner_text() and "95%" in page.locator("#tip").inner_text()
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert axe(page) == []


def test_only_its_own_script_runs(page: Any) -> None:
    ran = page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.intruder = true";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.intruder = true'>");
            return window.intruder === true;
        }"""
    )
    page.wait_for_timeout(50)
    assert not ran and page.evaluate("window.intruder") is None


class TestCharts:
    def test_the_drawing_for_the_width_is_shown_and_its_texts_can_be_read(self, browser: Any, report: Path) -> None:
        for size, shown in ((DESKTOP, "wide"), (PHONE, "narrow")):
            with visit(browser, report, size) as found:
                visible = found.page.evaluate(
                    """() => [...document.querySelectorAll("svg.plot")].filter((plot) => plot.clientWidth).map((plot) =>
                        [plot.classList[1], 12 * plot.clientWidth / plot.viewBox.baseVal.width])"""
                )
                assert {kind for kind, _ in visible} == {shown, "small"}
                assert all(10 <= pixels <= 16 for _, pixels in visible), visible

    def test_a_model_is_switched_off_and_on_in_every_chart(self, page: Any) -> None:
        def drawn(key: str) -> tuple[int, int]:
            both = page.evaluate(
                """(key) => {
                    const all = [...document.querySelectorAll("[data-series]")].filter((g) => g.dataset.series === key);
                    return [all.filter((g) => getComputedStyle(g).display !== "none").length, all.length];
                }""",
                key,
            )
            return tuple(both)

        on = drawn("m0")
        assert on[0] == on[1] > 5
        boxes = page.locator("input[data-key=m0]")
        assert boxes.count() >= 2
        boxes.first.uncheck()
        assert drawn("m0") == (0, on[1]) and drawn("m1")[0] == drawn("m1")[1]
        assert [boxes.nth(i).is_checked() for i in range(boxes.count())] == [False] * boxes.count()
        boxes.last.check()
        assert drawn("m0") == on

    def test_a_point_says_its_numbers_when_the_pointer_comes_near(self, page: Any) -> None:
        point = page.locator("#profiles svg.wide .point").first
        point.scroll_into_view_if_needed()
        box = point.locator(".mark").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2 + 6, box["y"] + box["height"] / 2 + 4)
        assert page.locator("#tip").is_visible()
        said = page.locator("#tip").text_content()
        assert said == point.get_attribute("data-says") and "95% interval" in said
        page.mouse.move(2, 2)
        assert page.locator("#tip").is_hidden()

    def test_a_model_that_is_off_says_nothing(self, page: Any) -> None:
        for key in ("m0", "m1"):
            page.locator(f"#profiles input[data-key={key}]").uncheck()
        frame = page.locator("#profiles svg.wide").bounding_box()
        for i in range(1, 20):
            page.mouse.move(frame["x"] + i * frame["width"] / 20, frame["y"] + frame["height"] / 2)
            assert page.locator("#tip").is_hidden()


class TestTables:
    def test_a_click_sorts_by_numbers_and_another_one_turns_it_round(self, page: Any) -> None:
        table = page.locator("#robustness table.sortable").last
        head = table.locator("thead th").nth(2)

        def column() -> list[float]:
            cells = table.locator("tbody tr td:nth-child(3)")
            return [float(str(cells.nth(i).get_attribute("data-v"))) for i in range(cells.count())]

        before = column()
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert column() == sorted(before, reverse=True) != before
        head.locator("button").press("Enter")
        assert head.get_attribute("aria-sort") == "ascending" and column() == sorted(before)
        first = table.locator("thead th").first
        first.locator("button").click()
        assert (first.get_attribute("aria-sort"), head.get_attribute("aria-sort")) == ("ascending", "none")
        names = table.locator("tbody th").all_text_contents()
        assert names == sorted(names)

    def test_the_numbers_of_a_chart_unfold(self, page: Any) -> None:
        numbers = page.locator("#profiles details.numbers")
        assert not numbers.locator("table").is_visible()
        numbers.locator("summary").click()
        assert numbers.locator("table").is_visible()


class TestPhotographs:
    def test_all_are_shown(self, page: Any) -> None:
        sizes = page.evaluate("[...document.querySelectorAll('.strip img')].map((image) => image.naturalWidth)")
        assert len(sizes) > 2 * 13 and set(sizes) == {16}


class TestEverybody:
    @pytest.mark.parametrize(
        "size, scheme", [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop, light", "phone, dark"]
    )
    def test_axe_finds_nothing_serious(self, size: tuple[int, int], scheme: str, browser: Any, report: Path) -> None:
        with visit(browser, report, size, color_scheme=scheme) as found:
            found.page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
            assert axe(found.page) == []

    def test_dark_is_dark(self, browser: Any, report: Path) -> None:
        seen = []
        for scheme in ("light", "dark"):
            with visit(browser, report, color_scheme=scheme) as found:
                color = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
                seen.append(sum(map(int, re.findall(r"\d+", color)[:3])))
        assert seen[0] > 700 and seen[1] < 120

    def test_charts_and_tables_need_no_script(self, browser: Any, report: Path) -> None:
        with visit(browser, report, java_script_enabled=False) as found:
            assert found.page.locator("#profiles svg.wide .point").count() == 8
            found.page.locator("#profiles details.numbers summary").click()
            assert found.page.locator("#profiles details.numbers table").is_visible()

    def test_on_paper_everything_is_unfolded_and_nothing_is_cut(self, page: Any) -> None:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
        assert not page.locator("nav").is_visible()
        assert len(page.pdf()) > 20_000
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate("document.querySelectorAll('details:not([open])').length") > 3
