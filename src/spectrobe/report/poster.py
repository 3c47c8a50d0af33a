"""The poster's page: one report in the poster's order, each claim with what was measured of it, or why nothing was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from spectrobe.remote import write_whole
from spectrobe.report import sections as own
from spectrobe.report.blocks import Remarks, Section, Table, Text, text_cells
from spectrobe.report.build import paths_of
from spectrobe.report.material import Material, Photographs
from spectrobe.report.numbers import plural
from spectrobe.report.page import render
from spectrobe.report.runs import open_runs
from spectrobe.report.sections import answer, classes, photographs, provenance, unusual
from spectrobe.studies.relate.wording import headline

USER, STORED, ZOO = "your models", "a stored study", "not your models: the zoo that comes with spectrobe"
GIVEN = "the run of relate that you gave"


@dataclass(frozen=True)
class Chapter:
    """One claim. label, name: the poster's.   short: in a word.   claim: in a sentence.   sections: that show it.

    absent: what to do where nothing was measured.   source: whose models it is shown on.
    """

    label: str
    name: str
    short: str
    claim: str
    sections: tuple[str, ...]
    absent: str
    source: str = USER


CHAPTERS = (
    Chapter(
        "S1", "Feature SNR bias", "SNR",
        "Claim: under perturbation, low-frequency content keeps a high signal-to-noise ratio and high-frequency "
        "content a low one.",
        ("snr",), "No run of snr could be made of these models.",
    ),
    Chapter(
        "S2", "Feature SNRs in training", "training",
        "Claim: models trained on features of higher SNR are more robust.",
        ("feature_snr",),
        "Not measured here: it takes training. Run the study feature-snr and give its folder with --study.", STORED,
    ),
    Chapter(
        "S3", "Information over the spectrum", "profile",
        "Claim: a model's predictive information can be shared out over frequency bands, over all orders in which "
        "bands could be revealed, and models differ in where it lies.",
        ("profiles", "surviving"), "No decomposition of these models could be made.",
    ),
    Chapter(
        "S4", "Frequency response", "response",
        "Claim: a model responds to spatial frequencies unequally, and that response together with a perturbation's "
        "spectrum says what the perturbation costs.",
        ("response", "heat_map", "prediction", "spectra"), "No response of these models could be measured.",
    ),
    Chapter(
        "S5", "Score and adversarial robustness", "score",
        "Claim: the profile, made one number, goes with adversarial robustness over many models.",
        ("relate",), "Not shown.", ZOO,
    ),
    Chapter(
        "S6", "Label noise in training", "label noise",
        "Claim: the profile moves over the epochs, and differently with labels that are partly wrong.",
        ("label_noise",),
        "Not measured here: it takes training. Run the study label-noise and give its folder with --study.", STORED,
    ),
)  # fmt: skip
"""In the poster's order. A section that this version of the report does not have counts as nothing measured."""


def poster(
    runs: Sequence[Any],
    path: str | os.PathLike[str],
    *,
    studies: Sequence[Any] = (),
    zoo: str = "",
    zoo_given: bool = False,
    no_zoo: str = "",
    failed: Mapping[str, str] | None = None,
    quick: bool = False,
    images: Any = None,
    models: Sequence[Any] = (),
    count: int = 3,
    show_paths: bool = False,
) -> str:
    """Write the page of a poster; returns its path.

    runs: run folders of snr, decompose and response, of the user's models.   studies: stored runs of the studies of
    training.   zoo: a stored run of relate, zoo_given: not that of spectrobe's own zoo; or no_zoo: why there is none.
    failed: what could not be measured -> why.   quick: the runs are a first look, which the page says.
    images, models: what the runs were made with, for `count` photographs a run.
    show_paths: leave paths of this machine in.
    """
    shown = Photographs(count, () if images is None else (images,), tuple(models))
    theirs = Material(open_runs([*runs, *studies]), show_paths, shown)
    stored = Material(open_runs([zoo]), show_paths, Photographs(0)) if zoo else None
    everything = Material((*theirs.given, *(stored.given if stored else ())), show_paths, Photographs(0))
    order = [replace(one, source=GIVEN) if one.source == ZOO and zoo_given else one for one in CHAPTERS]
    chapters = [_chapter(one, stored if one.source in (ZOO, GIVEN) else theirs, no_zoo) for one in order]
    pages = [
        _answer(theirs, failed or {}, quick),
        _contents(chapters),
        *(section for _, section, _ in chapters),
        *(part.section(theirs) for part in (photographs, classes, unusual)),
        provenance.section(everything),
    ]
    page = render(
        _title(theirs),
        f"poster, {plural(len(everything.given), 'run')}, {plural(len(theirs.model_names), 'model')}",
        [section for section in pages if section is not None],
        show_paths=show_paths,
        known_paths=paths_of(everything),
    )
    write_whole(os.fspath(path), page.encode())
    return os.fspath(path)


def _title(material: Material) -> str:
    """The poster's question, of these models."""
    names = material.model_names
    if len(names) > 1:
        return f"Why is one of these {len(names)} models more robust to perturbations than another?"
    return f"What is {names[0]} robust to, and why?" if names else "Why is one model more robust than another?"


def _answer(material: Material, failed: Mapping[str, str], quick: bool) -> Section:
    """The report's own answer, from the user's models alone."""
    found = answer.section(material)
    more: list[Any] = []
    if quick:
        more.append(
            Text(("A quick look: few images, few bands, an attack of one step. Its intervals are as wide as that makes "
                  "them; without --quick they are narrower.",), "note")
        )  # fmt: skip
    if failed:
        more.append(Remarks("What could not be measured", tuple(f"{name}: {why}" for name, why in failed.items())))
    return replace(found, blocks=(*found.blocks, *more))


def _contents(chapters: Sequence[tuple[Chapter, Section, bool]]) -> Section:
    """A row a claim: whose models it is shown on, or that it is not."""
    rows = tuple(
        text_cells((chapter.label, chapter.claim.removeprefix("Claim: "), chapter.source if there else "not measured"))
        for chapter, _, there in chapters
    )
    table = Table("The six claims, and what they are shown on here", ("", "claim", "shown on"), rows)
    reading = (
        "After Luo, McDermott and O'Riordan (TMLR 2024, arXiv 2408.01139). A claim is what they say; what follows each "
        "is what was measured here, which may say otherwise, or that it cannot tell."
    )
    return Section("claims", "Claims", "Six claims about frequency and robustness", (table,), reading)


def _chapter(chapter: Chapter, material: Material | None, no_zoo: str) -> tuple[Chapter, Section, bool]:
    """A claim's section, and whether anything was measured of it."""
    found = [] if material is None else [one for one in map(_written(material), chapter.sections) if one is not None]
    blocks: list[Any] = list(_whose(chapter, material)) if found else []
    for section in found:
        blocks += [Text((section.reading,))] if section.reading else []
        blocks += section.blocks
    if not found:
        why = f" {no_zoo}." if chapter.source == ZOO and no_zoo else ""
        blocks = [Text((chapter.absent + why,), "note")]
    title = f"{chapter.label}. {chapter.name}"
    section = Section(chapter.label.lower(), f"{chapter.label} {chapter.short}", title, tuple(blocks), chapter.claim)
    return chapter, section, bool(found)


def _written(material: Material) -> Any:
    """Section's name -> the section, None where there is nothing to show or no such section."""

    def of(name: str) -> Section | None:
        if name not in own.SECTIONS:
            return None
        found: Section | None = import_module(f"{own.__name__}.{name}").section(material)
        return found

    return of


def _whose(chapter: Chapter, material: Material | None) -> Iterator[Text]:
    """A mark on what is not the user's."""
    if chapter.source == ZOO and material is not None:
        for run in material.of("relate"):
            yield Text((f"These are not your models, and not your images: {headline(run.result)}. It comes with "
                        "spectrobe, to say how far the score can be believed at all.",), "note")  # fmt: skip
    elif chapter.source == GIVEN and material is not None:
        for run in material.of("relate"):
            told = f"From the stored run that you gave, not from the models above: {headline(run.result)}."
            yield Text((told,), "note")
    elif chapter.source == STORED:
        yield Text(("From a stored study, whose models were trained for it.",), "note")
