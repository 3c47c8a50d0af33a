"""Every string from outside is text in the page, whatever it holds: nothing of it becomes an element."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spectrobe as sb
import spectrobe.report
from spectrobe.engine.store import RunFolder
from spectrobe.studies.feature_snr.settings import Settings as SnrSettings
from spectrobe.studies.robustness.conditions import Condition
from spectrobe.studies.track.result import TrackResult
from tests.report.cases import PLAIN, Page, coarse, labelled, reported
from tests.studies.label_noise.cases import made_by_hand
from tests.studies.response.cases import measure, one_band, ripples
from tests.studies.robustness.cases import hand_made
from tests.toys import NamedData

EVIL = "<script>alert('x')</script><img src=x onerror=\"alert(1)\">' onmouseover='y' {{ 7*7 }} &amp;"
SHOWN = re.sub(r"\s+", " ", EVIL)


TEMPLATES = Path(spectrobe.report.__path__[0]) / "templates"
OWN_TAGS = {tag for path in TEMPLATES.rglob("*.j2") for tag in re.findall(r"<([a-z][a-z0-9]*)", path.read_text())}
"""Elements that the templates make: a page may have no others."""


def harmless(page: Page) -> None:
    """The page has its own elements alone, and no handler."""
    tags = [tag for tag, _ in page.tags]
    assert set(tags) <= OWN_TAGS | {"td", "th"}, set(tags) - OWN_TAGS
    assert tags.count("script") == 1 and "iframe" not in OWN_TAGS
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "<script>alert" not in page.source and 'onerror="' not in page.source
    assert " 49 " not in page.text


@pytest.mark.parametrize("name", ["model_name", "data_name", "absence"])
def test_settings_of_a_decomposition(name: str, low: sb.DecomposeResult, tmp_path: Path) -> None:
    page = reported(replace(low, settings=replace(low.settings, **{name: EVIL})), tmp_path)
    harmless(page)
    assert SHOWN in page.text


@pytest.mark.parametrize(
    "changes", [{"warnings": (EVIL,)}, {"skipped": {"a.png": EVIL}}], ids=["warning", "image left out"]
)
def test_remarks_of_a_decomposition(changes: dict[str, Any], low: sb.DecomposeResult, tmp_path: Path) -> None:
    page = reported(replace(low, **changes), tmp_path)
    harmless(page)
    assert SHOWN in page.text


def test_names_of_images_and_classes(tmp_path: Path) -> None:
    x, y = labelled(coarse, 12)
    data = NamedData(x, y, [f"{EVIL}{i}" for i in range(12)])
    data.class_names = tuple(f"{EVIL}{i}" for i in range(3))
    result = sb.decompose(coarse, data, **PLAIN)
    page = reported(result, tmp_path, photographs=2, images=data, models=coarse)
    harmless(page)
    assert page.text.count(SHOWN) > 12
    pictures = [found for tag, found in page.tags if tag == "img"]
    assert len(pictures) > 24 and all(str(found["src"]).startswith("data:image/png;base64,") for found in pictures)


def _conditions() -> Any:
    conditions = [Condition(EVIL, "corruption", EVIL, {}, severity=1), Condition(f"{EVIL}2", "other", EVIL)]
    return hand_made({c.name: [1, 0] for c in conditions}, conditions, name=EVIL, failed={f"{EVIL}2": EVIL})


def _perturbations() -> Any:
    result = sb.spectral_snr(labelled(coarse, 8)[0], "gaussian_noise:3", bands=4)
    settings = replace(result.settings, perturbation=EVIL, data_name=EVIL)
    return sb.SnrStudy({EVIL: replace(result, settings=settings)}, {EVIL: EVIL})


@pytest.mark.parametrize("made", [_conditions, _perturbations], ids=["robustness", "snr"])
def test_names_of_perturbations_and_reasons(made: Callable[[], Any], tmp_path: Path) -> None:
    page = reported(made(), tmp_path)
    harmless(page)
    assert page.text.count(SHOWN) > 5


def _response() -> Any:
    model, data = one_band(20)
    found = measure(model, data, ripples(), heat_map=2.0, heat_map_step=4)
    claim = found.claim
    assert claim is not None
    named = replace(claim, names=tuple(f"{EVIL}{name}" for name in claim.names), kinds=tuple(EVIL for _ in claim.kinds))
    settings = replace(found.settings, model_name=EVIL, data_name=EVIL)
    return replace(found, claim=named, settings=settings, warnings=(EVIL,), failed={EVIL: EVIL})


def _track() -> Any:
    result = sb.decompose(coarse, labelled(coarse, 12), **PLAIN)
    return TrackResult(EVIL, (f"{EVIL}1", f"{EVIL}2"), (EVIL, EVIL), ("", ""), (result, result), None, {EVIL: EVIL})


def _label_noise() -> Any:
    return replace(made_by_hand(), data_name=EVIL, held_out_name=EVIL, warnings=(EVIL,))


def _relate() -> Any:
    x, y = labelled(coarse, 12)
    runs: list[Any] = []
    for k in range(3):
        found = sb.decompose(coarse, (x, y), **PLAIN)
        runs.append(replace(found, settings=replace(found.settings, model_name=f"{EVIL}{k}")))
    names = [run.model_name for run in runs]
    return sb.relate(runs, against={EVIL: dict(zip(names, (0.1, 0.2, 0.3), strict=True))}, n_resamples=100,
                     n_permutations=100)  # fmt: skip


@pytest.mark.parametrize("made", [_response, _track, _label_noise, _relate])
def test_names_of_everything_in_the_other_studies(made: Callable[[], Any], tmp_path: Path) -> None:
    page = reported(made(), tmp_path)
    harmless(page)
    assert SHOWN in page.text


def test_names_of_trainings_of_an_unfinished_study(tmp_path: Path) -> None:
    settings = SnrSettings.of(4, "0-1,2-3", "resnet:8", 3, 64, 0.1, seeds=1, perturbations="fog:1")
    folder = RunFolder(tmp_path / "run", rows="predictions")
    about = {"settings": settings.to_dict() | {"names": [EVIL, EVIL], "precision": "auto", "demo": False}}
    data = {"name": EVIL, "images": 10, "digest": EVIL}
    folder.write_json("run.json", {"command": "feature_snr", "identity": {**about, "train": data, "held_out": data}})
    folder.write_shard(0, {"id": [EVIL, "b"], "right": np.ones((2, 4), dtype=np.uint8)}, {})
    page = reported(folder.path, tmp_path)
    harmless(page)
    assert f"bands {SHOWN}, seed 0" in page.text


def test_everything_in_a_run_folder(runs: Path, tmp_path: Path) -> None:
    """Every string of run.json and result.json, where it may be another, is evil."""
    folder = Path(shutil.copytree(runs / "coarse", tmp_path / "<script>alert('x')<"))
    about = json.loads((folder / "run.json").read_text())
    about["environment"] = {"python": EVIL, "versions": {EVIL: EVIL, "spectrobe": EVIL}}
    about["identity"] |= {"model": {"name": EVIL, "weights_sha256": EVIL}, "data": {EVIL: EVIL}, "loader": {EVIL: EVIL}}
    about["settled"] = {EVIL: EVIL}
    for name in ("model_name", "data_name"):
        about["identity"]["settings"][name] = EVIL
    (folder / "run.json").write_text(json.dumps(about))
    result = json.loads((folder / "result.json").read_text())
    result["settings"] |= {"model_name": EVIL, "data_name": EVIL}
    (folder / "result.json").write_text(json.dumps(result | {"warnings": [EVIL], "skipped": {EVIL: EVIL}}))
    page = reported(folder, tmp_path, photographs=1)
    harmless(page)
    assert page.text.count(SHOWN) > 10


def test_why_a_run_is_not_finished(runs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(runs / "coarse", tmp_path / "run"))
    (folder / "result.json").unlink()
    about = json.loads((folder / "run.json").read_text())
    about["command"] = EVIL
    (folder / "run.json").write_text(json.dumps(about))
    page = reported(folder, tmp_path)
    harmless(page)
    assert SHOWN in page.text


def test_a_name_can_not_break_out_of_a_chart(low: sb.DecomposeResult, tmp_path: Path) -> None:
    name = '</desc></svg></figure><h1 id="answer">'
    page = reported(replace(low, settings=replace(low.settings, model_name=name)), tmp_path)
    assert len(page.having(id="answer")) == 1
    assert name in page.text
