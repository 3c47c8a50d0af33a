"""The page as a whole: one file that asks for nothing, hides paths, and is written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.report.naming import model_names
from tests.report.cases import Page, reported


@pytest.fixture(scope="module")
def page(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return reported(runs, tmp_path_factory.mktemp("page"))


class TestSelfContained:
    def test_nothing_is_fetched(self, page: Page) -> None:
        for _, attributes in page.tags:
            for name in ("src", "href", "action", "data", "poster", "srcset"):
                assert re.match(r"#|data:image/(png|jpeg);base64,", attributes.get(name) or "#"), attributes
        assert "@import" not in page.source and not re.search(r"url\((?!#)", page.source)

    def test_the_policy_allows_nothing_but_its_own_style_and_script(self, page: Page) -> None:
        [meta] = page.having(**{"http-equiv": "Content-Security-Policy"})
        rules = dict(rule.strip().split(" ", 1) for rule in str(meta["content"]).split(";"))
        assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
        for tag in ("style", "script"):
            [inside] = re.findall(rf"<{tag}>(.*?)</{tag}>", page.source, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
        assert "unsafe" not in str(meta["content"])

    def test_no_element_has_a_style_of_its_own(self, page: Page) -> None:
        assert not [attributes for _, attributes in page.tags if "style" in attributes]


class TestAccessible:
    def test_every_chart_has_a_title_a_description_and_its_numbers(self, page: Page) -> None:
        charts = page.having(role="img")
        assert len(charts) > 6
        identities = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
        for chart in charts:
            title, description = str(chart["aria-labelledby"]).split()
            assert {title, description} <= identities
        descriptions = re.findall(r"<desc[^>]*>([^<]*)</desc>", page.source)
        assert len(descriptions) == len(charts) and all(len(text) > 40 for text in descriptions)
        assert "The numbers as a table" in page.text

    def test_identities_are_unique(self, page: Page) -> None:
        identities = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
        assert len(identities) == len(set(identities))

    def test_the_list_of_sections_leads_somewhere(self, page: Page) -> None:
        targets = [str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"]
        identities = {attributes.get("id") for _, attributes in page.tags}
        assert len(targets) > 5 and set(targets) <= identities


class TestIntervals:
    def test_every_chart_with_bars_says_what_they_are(self, page: Page) -> None:
        figures = re.findall(r'<figure class="chart.*?</figure>', page.source, re.DOTALL)
        with_bars = [figure for figure in figures if 'class="thick"' in figure]
        assert len(with_bars) >= 4
        assert all("Bars: 95% intervals over" in figure for figure in with_bars)


class TestPaths:
    """Paths of the user's machine do not appear unless they are asked for."""

    SECRET = "/home/somebody/secret projects/net.onnx"

    def result(self, low: sb.DecomposeResult) -> sb.DecomposeResult:
        settings = replace(low.settings, model_name=f"onnx:{self.SECRET}")
        warning = f"could not open {self.SECRET}: it is torn (C:\\Users\\somebody\\x.png)"
        return replace(low, settings=settings, warnings=(warning,))

    def test_they_are_cut_to_their_last_part(self, low: sb.DecomposeResult, tmp_path: Path) -> None:
        page = reported(self.result(low), tmp_path)
        assert "somebody" not in page.source and "secret" not in page.source
        assert "onnx:net.onnx leans on coarse structure" in page.text
        assert "could not open net.onnx: it is torn (x.png)" in page.text

    def test_they_stay_where_asked_for(self, low: sb.DecomposeResult, tmp_path: Path) -> None:
        page = reported(self.result(low), tmp_path, show_paths=True)
        assert f"onnx:{self.SECRET} leans on coarse structure" in page.text

    def test_no_page_names_this_machines_folders(self, page: Page, runs: Path) -> None:
        assert str(runs) not in page.source and os.path.expanduser("~/") not in page.source
        assert "coarse-robustness" in page.text


class TestNames:
    def test_two_files_of_one_name_are_told_apart(self) -> None:
        names = model_names([("onnx:/a/net.onnx", "1" * 64), ("onnx:/b/net.onnx", "2" * 64)], show_paths=False)
        assert [name.shown for name in names.values()] == ["onnx:net.onnx", "onnx:net.onnx (2)"]
        assert [name.full for name in names.values()] == ["onnx:/a/net.onnx", "onnx:/b/net.onnx"]

    def test_two_weights_of_one_name_are_told_apart(self) -> None:
        names = model_names([("net", "abcdefgh"), ("net", "12345678"), ("net", "abcdefgh")], show_paths=False)
        assert [name.shown for name in names.values()] == ["net (abcdef)", "net (123456)"]

    def test_two_checkpoints_are_told_apart_by_their_files_where_these_differ(self) -> None:
        keys = [("net", "abcdefgh"), ("net", "12345678")]
        for files, shown in (
            (("/a/plain.pt", "/a/robust.pt"), ["net (plain)", "net (robust)"]),
            (("/a/last.pt", "/b/last.pt"), ["net (abcdef)", "net (123456)"]),
        ):
            written = {key: f"net?checkpoint={file}&size=32" for key, file in zip(keys, files, strict=True)}
            names = model_names(keys, False, written)
            assert [name.shown for name in names.values()] == shown
            assert [name.full for name in names.values()] == ["net (abcdef)", "net (123456)"]

    def test_a_run_that_does_not_know_the_weights_is_of_the_same_model(self) -> None:
        names = model_names([("net", "abcdefgh"), ("net", "")], show_paths=False)
        assert {name.shown for name in names.values()} == {"net"}


class TestWriting:
    def test_folders_are_made_and_the_path_is_returned(self, low: sb.DecomposeResult, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b.html"
        assert sb.report(low, path, photographs=0) == str(path)
        assert [found.name for found in path.parent.iterdir()] == ["b.html"]

    def test_any_fsspec_location(self, low: sb.DecomposeResult) -> None:
        import fsspec

        sb.report(low, "memory://reports/page.html", photographs=0)
        assert b"Content-Security-Policy" in fsspec.filesystem("memory").cat_file("/reports/page.html")

    @pytest.mark.parametrize("where", ["folder", "file/in/a/file.html"])
    def test_where_it_cannot_be_written_it_says_so(self, where: str, low: sb.DecomposeResult, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").write_text("kept")
        with pytest.raises(InputError, match=r"is a folder|could not write"):
            sb.report(low, tmp_path / where, photographs=0)
        assert (tmp_path / "file").read_text() == "kept" and not any((tmp_path / "folder").iterdir())

    def test_a_failed_write_keeps_the_page_that_was_there(
        self, low: sb.DecomposeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fsspec.implementations.local import LocalFileSystem

        def full(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        path = tmp_path / "page.html"
        path.write_text("kept")
        monkeypatch.setattr(LocalFileSystem, "pipe_file", full)
        with pytest.raises(InputError, match="No space left on device"):
            sb.report(low, path, photographs=0)
        assert path.read_text() == "kept" and [found.name for found in tmp_path.iterdir()] == ["page.html"]

    @pytest.mark.parametrize("count", [-1, 13, 2.5, True])
    def test_a_number_of_photographs_that_makes_no_sense(
        self, count: Any, low: sb.DecomposeResult, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match="0 to 12 photographs"):
            sb.report(low, tmp_path / "page.html", photographs=count)
        assert not list(tmp_path.iterdir())


def test_the_package_is_called_like_a_function_however_it_was_imported() -> None:
    import spectrobe.report
    from spectrobe.report import build

    assert sb.report is spectrobe.report
    assert callable(sb.report) and sb.report.build is build
