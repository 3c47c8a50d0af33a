"""The images whose profiles are most unlike the others': worth a look before a profile is believed."""

from __future__ import annotations

from markupsafe import Markup

from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.material import Material, attempt, told_apart
from spectrobe.report.numbers import number, places
from spectrobe.report.photographs.encode import data_uri
from spectrobe.report.photographs.reopen import geometry_of
from spectrobe.report.runs import Run
from spectrobe.report.sections.profiles import DIFFERING
from spectrobe.studies.decompose.breakdown import UnusualImage, unusual_images

MOST = 5
_THUMB = 96  # pixels
READING = (
    "Images whose own Shapley values lie furthest from the mean profile, counted in standard deviations of profiles "
    "(Mahalanobis). They are often mislabelled, cropped badly, or of a kind of their own."
)


def section(material: Material) -> Section | None:
    """A table a run."""
    runs = material.of("decompose")
    blocks: list[object] = []
    for run, label in zip(runs, told_apart(runs, DIFFERING), strict=True):
        found, why = attempt(unusual_images, run.result, MOST)
        blocks.append(_table(material, run, label, found) if found is not None else Text((f"{label}: {why}.",), "note"))
    return Section("unusual", "Unusual images", "Unusual images", tuple(blocks), READING) if blocks else None


def _table(material: Material, run: Run, label: str, found: list[UnusualImage]) -> Table:
    named = material.class_namer(run)
    rows = [
        (Cell(image.id, picture=_picture(material, run, image)), Cell(named(image.label)),
         Cell(number(image.distance, 1), image.distance),
         *(Cell(number(value), value) for value in image.shapley.tolist()))
        for image in found
    ]  # fmt: skip
    columns = ("image", "class", "distance", *places(run.result.bands))
    caption = f"{label}: per-image Shapley values ({run.result.unit}) by band (cycles/pixel)"
    return Table(caption, columns, tuple(rows), frozenset(range(1, len(columns))), True)


def _picture(material: Material, run: Run, image: UnusualImage) -> Markup | None:
    """The image, small, where the run's images could be opened again."""
    if not material.photographs.count:
        return None

    def make() -> Markup:
        model, data = material.opener.both(run)
        return data_uri(data.pixels(image.position, geometry_of(run, model)), largest=_THUMB)

    return attempt(make)[0]
