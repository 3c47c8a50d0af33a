"""`spectrobe poster`: six claims on one page, three of them measured, and gone on with where it was."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

import spectrobe as sb
from spectrobe.cli import main
from spectrobe.studies.relate.study import relate
from tests.cli.calls import Cli, Outcome
from tests.cli.nets import NETS
from tests.report.cases import Page, read
from tests.studies.relate.cases import bare_models, by_model

pytestmark = pytest.mark.slow

POSTER_NETS = (
    NETS
    + """
import os
from pathlib import Path

def broken(): raise RuntimeError("planted: <script>no such layer")

def stopped(x):
    if os.environ.get("STOP") and any(Path("p").glob("*/decompose/result.json")):
        os.kill(os.getpid(), 2)
    return 40 * x.mean((2, 3))
"""
)
A, B = "python:posternets:a?num_classes=3", "python:posternets:b?num_classes=3"
FOLDER = "python-posternets-a-num_classes-3"
PERTURB = "contrast:2,fgsm_linf:eps=4/255"
SETTINGS: tuple[object, ...] = (
    "--perturb", PERTURB, "--bands", 2, "--images", 6, "--batch-size", 16, "--photographs", 1,
)  # fmt: skip


@pytest.fixture
def poster(cli: Cli, world: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command on the images of `world`, where no zoo is installed."""
    (world / "posternets.py").write_text(POSTER_NETS)
    monkeypatch.setenv("SPECTROBE_ZOO", "no-such-folder")

    def run(*models: object, flag: str = "", **options: object) -> Outcome:
        more = [word for name, value in options.items() for word in (f"--{name}", value)] + [flag] * bool(flag)
        return cli("poster", *models, world / "images", *SETTINGS, "--class-map", world / "map.json", *more)

    return run


@pytest.fixture(scope="module")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished poster of one model, and what it said."""
    root = tmp_path_factory.mktemp("finished")
    (world / "posternets.py").write_text(NETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(world))
        patch.setenv("SPECTROBE_ZOO", "no-such-folder")
        words = ("poster", A, world / "images", *SETTINGS, "--class-map", world / "map.json", "--out", root / "p")
        assert main([str(word) for word in words]) == 0
    return root / "p"


@pytest.fixture
def done(poster: Cli, finished: Path, tmp_path: Path) -> Cli:
    """The command, beside that poster in p."""
    shutil.copytree(finished, tmp_path / "p")
    return poster


def page_in(folder: str) -> Page:
    return read(Path(folder, "poster.html").read_text(encoding="utf-8"))


def chapters(page: Page) -> list[str]:
    """The anchors of the page's sections, in order."""
    return [found["id"] or "" for tag, found in page.tags if tag == "section"]


def test_six_claims_in_the_posters_order(poster: Cli) -> None:
    outcome = poster(A, B, out="p")
    assert outcome.code == 0, outcome.err
    assert outcome.out == "p/poster.html\n"
    assert outcome.err.startswith("forward passes to do")  # the cost before anything else
    page = page_in("p")
    assert chapters(page)[:8] == ["answer", "claims", "s1", "s2", "s3", "s4", "s5", "s6"]
    assert "Why is one of these 2 models more robust to perturbations than another?" in page.text
    # what was measured is there, what was not says so in its place
    assert page.text.count("not measured") == 3 and page.text.count("your models") == 3
    for told in ("Run the study feature-snr", "Run the study label-noise", "Give a run of relate with --zoo"):
        assert told in page.text
    # corruptions once, as both models are given the same pixels; the attack on each, under its name
    snr = {name: sb.load(f"p/{name}/snr").results for name in (FOLDER, FOLDER.replace("-a-", "-b-"))}
    assert [list(found) for found in snr.values()] == [["contrast:2", "fgsm_linf:eps=4/255"], ["fgsm_linf:eps=4/255"]]
    assert page.text.count("fgsm_linf:eps=4/255 on python:posternets:a") > 1
    for part in ("decompose", "response"):
        assert sb.load(f"p/{FOLDER}/{part}").n_images == 6
    assert str(Path.cwd()) not in page.source


def test_the_cost_is_counted_right(poster: Cli, finished: Path) -> None:
    counted = poster(A, out="q", budget="--json")
    assert counted.code == 0 and not Path("q").exists()
    [cost] = counted.result["models"]  # type: ignore[misc]
    # 2 bands: 3 coalitions, the empty one is shared
    assert cost["passes"]["decompose"] == 3 * 6
    assert cost["passes"]["response"] == sb.load(finished / FOLDER / "response").forward_passes
    assert cost["seconds"] > 0


def test_the_same_call_goes_on_and_computes_nothing_twice(done: Cli) -> None:
    before = {path: path.read_bytes() for path in Path("p").rglob("*") if path.is_file()}
    again = done(A, out="p")
    assert again.code == 0 and "nothing is left to measure" in again.err
    assert {path: path.read_bytes() for path in before} == before
    other = done(A, out="p", seed=1)
    assert other.code == 2 and other.err.count("\n") > 0 and "holds a run of other settings" in other.err


def test_interrupted_it_goes_on(poster: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    model = "python:posternets:stopped?num_classes=3"
    monkeypatch.setenv("STOP", "once the profile is there")
    outcome = poster(model, out="p")
    assert outcome.code == 130 and "the same call goes on from there" in outcome.err
    assert not Path("p/poster.html").exists()
    kept = {path: os.stat(path).st_mtime_ns for path in Path("p").rglob("result.json")}
    assert len(kept) == 2  # of SNR and profile
    monkeypatch.delenv("STOP")
    assert poster(model, out="p").code == 0
    assert {path: os.stat(path).st_mtime_ns for path in kept} == kept and Path("p/poster.html").exists()


def test_what_fails_is_listed_and_the_rest_goes_on(poster: Cli) -> None:
    outcome = poster(A, "python:posternets:broken", "python:posternets:steps?num_classes=3", out="p")
    assert outcome.code == 1
    page = page_in("p")
    for told in ("planted: <script>no such layer", "python:posternets:steps?num_classes=3, snr: "):
        assert told in outcome.err and told in page.text
    assert "<script>no such layer" not in page.source
    assert "python:posternets:steps" in page.text.partition("S1. ")[0]  # its profile is there all the same


def stored_relation(folder: str) -> None:
    """A zoo's stored run: three models of the numbers given."""
    models = bare_models({"clean-accuracy": [0.7, 0.8, 0.9], "score": [1.0, 2.0, 3.0]})
    relate(models, against={"robust": by_model([0.1, 0.2, 0.3])}, n_resamples=100, n_permutations=100).save(folder)


@pytest.mark.parametrize("given", [True, False], ids=["given", "of the repository"])
def test_a_stored_zoo_is_marked_as_not_the_users(given: bool, done: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_relation("zoo/relate")
    if not given:
        Path("zoo", "manifest.json").write_text('{"models": {}}')
        monkeypatch.setenv("SPECTROBE_ZOO", "zoo")
    outcome = done(A, out="p", **({"zoo": "zoo"} if given else {}))
    assert outcome.code == 0, outcome.err
    page = page_in("p")
    chapter = page.text.partition("S5. ")[2].partition("S6. ")[0]
    theirs = "These are not your models, and not your images: 3 models"
    own = "From the stored run that you gave, not from the models above: 3 models"
    assert (own if given else theirs) in chapter and (theirs if given else own) not in chapter
    assert ("the run of relate that you gave" in page.text) == given
    assert ("the zoo that comes with spectrobe" in page.text) == (not given)
    assert "<table" in page.source.partition('id="s5"')[2].partition('id="s6"')[0]
    assert "3 models" not in page.text.partition("Six claims about")[0]  # the answer is about the user's
    assert page.text.count("not measured") == 2


def test_without_a_zoo_the_page_says_that_there_is_none(finished: Path) -> None:
    chapter = page_in(str(finished)).text.partition("S5. ")[2].partition("S6. ")[0]
    assert "Not shown. There are no stored runs of spectrobe's zoo here" in chapter and "--zoo" in chapter
    assert "not your models" not in page_in(str(finished)).text


def test_stored_runs_of_another_kind_are_refused_before_anything_is_measured(done: Cli) -> None:
    run = f"p/{FOLDER}/decompose"
    for options, told in (
        ({"study": run}, "expected a run of the study feature-snr or label-noise, got one of decompose"),
        ({"zoo": run}, "expected a run of relate, got a run of another command"),
        ({"zoo": "nowhere"}, "expected a finished run of relate, or a folder with one in relate/, found none"),
        ({"photographs": 13}, "expected 0 to 12 photographs, got 13"),
        ({"perturb": ","}, "expected at least one perturbation"),
        ({"perturb": "contast:2"}, "contast"),
        ({"images": 1}, "at least 2"),
    ):
        outcome = done(A, out="q", **options)
        assert outcome.code == 2 and told in outcome.err and outcome.err.count("\n") == 1, outcome.err
    assert not Path("q").exists()


def test_images_without_labels_are_refused(cli: Cli, poster: Cli, world: Path) -> None:
    outcome = cli("poster", A, world / "unlabelled", *SETTINGS, "--quiet")
    assert outcome.code == 2 and "label" in outcome.err and outcome.err.count("\n") == 1
    outcome = cli("poster", A)
    assert outcome.code == 2 and "missing argument 'MODEL...'" in outcome.err  # the one word is DATA


def test_json(done: Cli) -> None:
    outcome = done(A, out="p", flag="--json")
    found = json.loads(outcome.out)
    assert (found["kind"], found["file"], found["failed"]) == ("poster", "p/poster.html", {})
    assert [re.sub(r".*/", "", run) for run in found["runs"]] == ["snr", "decompose", "response"]


@pytest.mark.long
def test_a_quick_look_at_the_demo(cli: Cli) -> None:
    outcome = cli("poster", "demo:efficientnet-lite0", "demo", "--quick", "--out", "p")
    assert outcome.code == 0, outcome.err
    page = page_in("p")
    assert "demo:efficientnet-lite0 leans on coarse structure" in page.text and "A quick look" in page.text
    assert page.source.count('<figure class="strip') == 3
