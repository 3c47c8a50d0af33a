from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

import spectrobe.figures
from spectrobe.figures.style import COLUMN_WIDTH, MARKERS, PAGE_WIDTH, PALETTE, looks, save_figure, styled
from tests.figures.lookalike import fake_result


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    return done.stdout.strip()


class TestLazyNames:
    @pytest.mark.slow
    def test_importing_the_package_loads_no_matplotlib_and_a_name_does(self) -> None:
        code = (
            "import sys, spectrobe.figures as f; print('matplotlib' in sys.modules); "
            "f.profile; print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
        )
        assert run_python(code).split() == ["False", "True", "False"]

    def test_a_name_is_its_function_even_after_all_modules_were_imported(self) -> None:
        import spectrobe.figures.overview_figure  # imports the others

        for name in spectrobe.figures.__all__:
            assert callable(getattr(spectrobe.figures, name)), name
            assert name in dir(spectrobe.figures)

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'profil'"):
            _ = spectrobe.figures.profil  # type: ignore[attr-defined]


class TestLooks:
    def test_a_name_keeps_its_colour_in_any_company_that_leaves_it_free(self) -> None:
        alone = {name: looks([name])[name].color for name in ("resnet20", "resnet44")}
        assert len(set(alone.values())) == 2  # the two claim different colours
        together = looks(["resnet44", "resnet20"])
        assert {name: look.color for name, look in together.items()} == alone
        assert looks(["resnet20"])["resnet20"].color == "#0072B2"  # the same in every version and on every machine

    def test_order_and_repetition_do_not_matter(self) -> None:
        names = [f"model-{i}" for i in range(6)]
        assert looks(names) == looks([*names[::-1], "model-3"])

    def test_six_models_have_six_colours_and_more_differ_in_the_marker(self) -> None:
        six = looks(f"model-{i}" for i in range(6)).values()
        assert sorted(look.color for look in six) == sorted(PALETTE)
        assert {look.marker for look in six} == {MARKERS[0]}
        twelve = looks(f"model-{i}" for i in range(12)).values()
        assert len({(look.color, look.marker) for look in twelve}) == 12


class TestStyled:
    def test_settings_are_the_callers_again_afterwards(self) -> None:
        with matplotlib.rc_context({"font.size": 23.0, "axes.spines.top": True}):
            before = dict(matplotlib.rcParams)
            with styled():
                assert matplotlib.rcParams["font.size"] == 7.5
            spectrobe.figures.profile(fake_result())
            assert dict(matplotlib.rcParams) == before

    def test_the_callers_settings_do_not_reach_the_figure(self) -> None:
        with matplotlib.rc_context({"axes.facecolor": "red", "lines.linewidth": 9}):
            ax = spectrobe.figures.profile(fake_result()).axes[0]
        assert ax.get_facecolor() == (1, 1, 1, 1)

    def test_widths_are_those_of_a_two_column_page(self) -> None:
        assert (COLUMN_WIDTH, PAGE_WIDTH) == (3.25, 6.75)


class TestSaveFigure:
    def test_writes_svg_and_png_that_are_the_same_bytes_every_time_without_dates(self, tmp_path: Path) -> None:
        first = save_figure(spectrobe.figures.profile(fake_result()), tmp_path / "new" / "a", "profile")
        second = save_figure(spectrobe.figures.profile(fake_result()), tmp_path / "b", "profile")
        assert first == (f"{tmp_path}/new/a/profile.svg", f"{tmp_path}/new/a/profile.png")
        for one, other in zip(first, second, strict=True):
            assert Path(one).read_bytes() == Path(other).read_bytes()
        svg, png = Path(first[0]).read_text(), Path(first[1]).read_bytes()
        assert "<dc:date>" not in svg
        assert "<text" not in svg  # glyphs are outlines
        assert b"Software" not in png
        assert b"matplotlib" not in png

    def test_png_has_200_dots_an_inch(self, tmp_path: Path) -> None:
        figure = Figure(figsize=(2.0, 1.0))
        with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 10}):
            _, png = save_figure(figure, tmp_path, "empty")
        header = Path(png).read_bytes()[16:24]
        assert (int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")) == (400, 200)

    def test_a_disk_that_fills_up_leaves_no_half_of_a_figure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            save_figure(Figure(figsize=(1, 1)), tmp_path / "figures", "empty")
        assert list((tmp_path / "figures").iterdir()) == []

    def test_writes_where_fsspec_can(self) -> None:
        import fsspec

        save_figure(Figure(figsize=(1, 1)), "memory://figures-test", "empty")
        assert sorted(Path(path).name for path in fsspec.filesystem("memory").ls("/figures-test", detail=False)) == [
            "empty.png",
            "empty.svg",
        ]

    def test_names_from_outside_are_drawn_as_they_are_and_leave_the_svg_sound(
        self, tmp_path: Path, recwarn: pytest.WarningsRecorder
    ) -> None:
        """Neither mathematics, nor escape codes, nor letters that the font lacks make trouble."""
        for index, name in enumerate((r"runs/m$\frac{$x & <b>", "a\x1b[31mred\x9b", "猫の写真")):
            figure = spectrobe.figures.profile(fake_result(model_name=name, data_name=name))
            path, _ = save_figure(figure, tmp_path, str(index))
            ElementTree.parse(path)
        figure = Figure(figsize=(4, 3))
        spectrobe.figures.profile(fake_result(model_name=r"m$\frac{$x", data_name=r"$\frac{$"), ax=figure.subplots())
        save_figure(figure, tmp_path, "axes")
        assert not recwarn.list
