"""From runs to a page on the disk."""

from __future__ import annotations

import os
from typing import Any

from spectrobe.errors import InputError
from spectrobe.remote import write_whole
from spectrobe.report.material import Material, Photographs
from spectrobe.report.numbers import plural
from spectrobe.report.page import render
from spectrobe.report.runs import open_runs
from spectrobe.report.sections import written
from spectrobe.studies.paths import file_in

MOST_PHOTOGRAPHS = 12


def report(
    results: Any,
    path: str | os.PathLike[str],
    *,
    images: Any = None,
    models: Any = None,
    photographs: int = 3,
    show_paths: bool = False,
    class_map: Any = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> str:
    """Write one self-contained HTML page on results, or on run folders, of any kinds; returns its path.

    results: a result, a run folder, a folder of run folders, or a list of any of these; unfinished runs are shown with
        what is there.
    path: the file to write, local or any fsspec location; its folder is made.
    images: the data of the runs again (or a list), for strips of photographs: as `open_data` takes it. The demo
        photographs need no mention.   models: models (or a list) to show them to, as `open_model` takes them; by
        default those that the runs name, unless opening them may run code.   photographs: how many a run, 0 to 12.
    show_paths: leave paths of this machine in; else only their last parts appear.
    class_map, image_column, label_column: of `images`, as in `open_data`.

    The page opens from the disk, asks for nothing from elsewhere, and is the same for the same runs.
    Raises InputError, or RunFolderError where a run cannot be read; nothing is written then.
    """
    check_photographs(photographs)
    columns = {"class_map": class_map, "image_column": image_column, "label_column": label_column}
    wanted = Photographs(photographs, _several(images), _several(models), columns)
    page = page_of(Material(open_runs(results), show_paths, wanted))
    write_whole(os.fspath(path), page.encode())
    return os.fspath(path)


def check_photographs(count: int) -> None:
    """InputError unless so many photographs a run can be shown."""
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_PHOTOGRAPHS:
        raise InputError(f"expected 0 to {MOST_PHOTOGRAPHS} photographs, got {count!r}")


def page_of(material: Material) -> str:
    """The page as HTML."""
    sections = written(material)
    models = plural(len(material.model_names), "model")
    subtitle = plural(len(material.runs), "run") + (f", {models}" if material.model_names else "")
    return render(
        _question(material), subtitle, sections, show_paths=material.show_paths, known_paths=paths_of(material)
    )


def paths_of(material: Material) -> list[str]:
    """Paths of this machine that the runs are known to hold."""
    files = [file_in(name) for name, _ in material.names]
    return [path for path in (*files, *(run.folder for run in material.given)) if "/" in path]


def _question(material: Material) -> str:
    """The question that the report answers: the page's title."""
    models = material.model_names
    who = f"does {models[0]}" if len(models) == 1 else f"do these {len(models)} models"
    questions = {
        "decompose": f"Which spatial frequencies {who} lean on?",
        "track": f"How {who} change in training?",
        "label_noise": "What do wrong labels do to the profile?",
        "feature_snr": "Does training on features of higher SNR give robustness?",
        "response": f"How {who} respond to spatial frequencies?",
        "robustness": f"How much accuracy {who} keep under perturbations?",
        "relate": "Which score goes with robustness?",
        "snr": "Which spatial frequencies survive?",
    }
    return next((question for kind, question in questions.items() if material.of(kind)), "Runs without a result yet")


def _several(given: Any) -> tuple[Any, ...]:
    """Nothing, one, or a list of them."""
    return () if given is None else tuple(given) if isinstance(given, list) else (given,)
