"""`spectrobe report` and `spectrobe figure`: what they write, and what they refuse in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from spectrobe.cli.commands.figure import results_of
from tests.cli.calls import Cli

DECOMPOSE = (
    "decompose python:toys:blunt {world}/images --num-classes 3 --class-map {world}/map.json --bands 2 --out {out}"
)


@pytest.fixture(scope="module")
def made(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of decompose and one of snr."""
    from spectrobe.cli import main

    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(world))
        assert main(DECOMPOSE.format(world=world, out=root / "blunt").split()) == 0
        assert main(f"snr {world}/images --perturb gaussian_noise:1 --bands 2 --out {root / 'snr'}".split()) == 0
    return root


class TestReport:
    def test_a_page_of_all_runs_of_a_folder(self, cli: Cli, made: Path, tmp_path: Path) -> None:
        outcome = cli("report", made, "-o", "page.html")
        assert (outcome.code, outcome.out, outcome.err) == (0, "page.html\n", "")
        page = (tmp_path / "page.html").read_text()
        assert "python:toys:blunt" in page and "gaussian_noise:1" in page
        assert "not opened unasked, since that may run code: name it with --model" in page

    def test_photographs_once_the_model_and_the_images_are_named(
        self, cli: Cli, made: Path, world: Path, tmp_path: Path
    ) -> None:
        more = ["--model", "python:toys:blunt", "--images", world / "images", "--class-map", world / "map.json"]
        assert cli("report", made / "blunt", *more, "--photographs", 2).code == 0
        page = (tmp_path / "report.html").read_text()
        assert page.count('<figure class="strip') == 2
        assert str(world) not in page

    def test_json_says_where_it_is(self, cli: Cli, made: Path) -> None:
        assert cli("report", made, "--json").result == {"schema_version": 1, "kind": "report", "file": "report.html"}
        assert cli("report", made, "--quiet").out == ""

    @pytest.mark.parametrize(
        "call, said",
        [
            ("report {made}/nowhere", "expected a run folder"),
            ("report {empty}", "expected a run folder (with run.json in it), found none"),
            ("report {made} -o {empty}", "is a folder: give a name in it"),
            ("report {made} -o /proc/no/page.html", "could not write"),
            ("report {made} --photographs 13", "0 to 12 photographs, got 13"),
            ("report", "missing argument 'RUN...'"),
            ("figure profil {made}/blunt", "expected a figure out of fourier_heat_map, label_noise"),
            ("figure profile {made}/snr", "expected results of decompose for the figure profile, got one of snr"),
            ("figure profile {made}/blunt -o fig.bmp", "ending in .pdf, .svg, .png, got 'fig.bmp'"),
            ("figure profile {made}/blunt --width wide", "the width double or single, got 'wide'"),
            ("figure profile {made}/blunt -o /proc/no/fig.pdf", "could not write"),
            ("figure profile {empty}", "expected a run folder"),
        ],
    )
    def test_bad_input_is_one_line_and_nothing_is_written(
        self, call: str, said: str, cli: Cli, made: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        outcome = cli(*call.format(made=made, empty=tmp_path / "empty").split())
        assert outcome.code == 2 and outcome.out == ""
        [line] = outcome.err.splitlines()
        assert line.startswith("spectrobe: ") and said in line, line
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_an_unfinished_run_is_shown_by_a_report_and_refused_by_a_figure(
        self, cli: Cli, made: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(made / "blunt", tmp_path / "begun")
        (folder / "result.json").unlink()
        assert cli("report", folder).code == 0
        assert "not finished" in (tmp_path / "report.html").read_text()
        outcome = cli("figure", "profile", folder)
        assert outcome.code == 2 and "this run is not finished" in outcome.err


class TestFigure:
    @pytest.mark.parametrize("name, run", [("profile", "blunt"), ("snr_bias", "snr")])
    @pytest.mark.parametrize("width", ["double", "single"])
    def test_a_vector_file_by_default(
        self, name: str, run: str, width: str, cli: Cli, made: Path, tmp_path: Path
    ) -> None:
        outcome = cli("figure", name, made / run, "--width", width)
        assert (outcome.code, outcome.out) == (0, f"{name}.pdf\n")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")

    def test_the_format_is_the_files_ending(self, cli: Cli, made: Path, tmp_path: Path) -> None:
        outcome = cli("figure", "profile", made / "blunt", "-o", "new/fig.svg", "--json")
        assert outcome.result == {"schema_version": 1, "kind": "figure", "file": "new/fig.svg"}
        assert "<svg" in (tmp_path / "new" / "fig.svg").read_text()


def test_two_checkpoints_of_one_model_are_told_apart_in_a_figure(made: Path, tmp_path: Path) -> None:
    folders = []
    for name in ("plain", "robust"):
        folder = Path(shutil.copytree(made / "blunt", tmp_path / name))
        about = json.loads((folder / "run.json").read_text())
        about["identity"]["model"]["weights_sha256"] = name * 8
        (folder / "run.json").write_text(json.dumps(about | {"written": f"python:toys:blunt?checkpoint=w/{name}.pt"}))
        folders.append(str(folder))
    told = [result.model_name for result in results_of(folders)]
    assert told == ["python:toys:blunt (plain)", "python:toys:blunt (robust)"]
    assert [result.model_name for result in results_of(folders[:1])] == ["python:toys:blunt"]
