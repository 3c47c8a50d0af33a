"""Photographs through the model's eyes: intact, each band, coarse to fine, fine to coarse, perturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from spectrobe.data.base import ImageData
from spectrobe.engine.absence import Surroundings, absence_class
from spectrobe.engine.local import ImageLoader
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.models.base import Model
from spectrobe.perturbations import Perturbation, parse_perturbations
from spectrobe.report.blocks import Section, Text
from spectrobe.report.material import Material, attempt, model_label
from spectrobe.report.numbers import places
from spectrobe.report.photographs.encode import data_uri
from spectrobe.report.photographs.reopen import geometry_of, namer
from spectrobe.report.photographs.strip import Answers, Strip, Tile, band_rows, detail, perturbed_tiles
from spectrobe.report.runs import Run
from spectrobe.studies.decompose.stored_absence import stored_absence
from spectrobe.studies.robustness.conditions import passes

MOST_PERTURBED = 6
MOST_PASSES = 200
"""Forward passes a photograph that an attack may cost here; longer ones are left to the runs."""
READING = (
    "What the model is given, and its top class with the probability it gives it; ✓ where that is the label. The "
    "photographs were chosen by chance, before any result. Single bands are shown around mid-grey with their contrast "
    "raised; the model is given them on top of what stands in for the absent bands."
)


@dataclass(frozen=True)
class Strips:
    """The photographs of one run."""

    block: ClassVar[str] = "strips"

    title: str
    strips: tuple[Strip, ...]


def section(material: Material) -> Section | None:
    """A strip a photograph for each run, or why there is none and how to get it."""
    runs = _shown(material)
    if not runs or material.photographs.count == 0:
        return None
    blocks: list[object] = []
    missing: dict[str, list[str]] = {}
    for run in runs:
        found, why = attempt(_strips, material, run)
        if found is not None:
            blocks.append(found)
        else:
            missing.setdefault(why, []).append(_named(run))
    blocks += [Text((f"No photographs for {', '.join(dict.fromkeys(names))}: {why}.",), "note")
               for why, names in missing.items()]  # fmt: skip
    return Section(
        "photographs", "Photographs", "Photographs", tuple(blocks), READING if len(missing) < len(runs) else ""
    )


def _shown(material: Material) -> list[Run]:
    """Every decomposition; other runs where they have images, or a model, that no decomposition has."""
    runs = list(material.of("decompose"))
    for run in (*material.of("robustness"), *material.of("snr")):
        if (run.model_name and all(other.model_name != run.model_name for other in runs)) or not runs:
            runs.append(run)
    return runs


def _named(run: Run) -> str:
    return model_label(run) or f"{run.kind} of {run.parts[0].data_name}"


def _strips(material: Material, run: Run) -> Strips:
    model, data = material.opener.both(run)
    loader = ImageLoader(data, geometry_of(run, model))
    place = {name: position for position, name in enumerate(data.ids)}
    positions = [place[name] for name in (run.about.get("images") or ()) if name in place]
    perturbations = _perturbations(material, run, model)
    strips = [
        _strip(run, model, data, loader, position, perturbations)
        for position in positions[: material.photographs.count]
    ]
    if not strips:
        raise InputError("the run does not say which images it took")
    return Strips(_named(run), tuple(strips))


def _strip(
    run: Run, model: Model | None, data: ImageData, loader: ImageLoader, position: int,
    perturbations: Sequence[tuple[str, Perturbation]],
) -> Strip:  # fmt: skip
    x = data.pixels(position, loader.geometry)
    label = None if data.labels is None else int(data.labels[position])
    named = namer(run, model, data)
    answers = Answers(model, label, named)
    settings = run.parts[0].settings
    rows: tuple[tuple[str, tuple[Tile, ...]], ...] = ()
    columns: tuple[str, ...] = ()
    window = None
    if run.kind == "decompose":
        surroundings = Surroundings(data.ids, loader.each, settings.seed)
        folder = RunFolder(run.folder) if run.folder else None
        kept, _ = stored_absence(absence_class(settings.absence), surroundings, folder)
        absence = kept.images([position], x.shape)
        window = detail(x, settings.bands)
        rows = band_rows(x, settings.bands, absence if absence.ndim == 3 else absence[0], answers, window)
        columns = tuple(places(settings.bands))
    return Strip(
        name=data.ids[position],
        label="" if label is None else named(label),
        intact=Tile(data_uri(x, window), *answers(x[None])[0]),
        columns=columns,
        rows=rows,
        perturbed=perturbed_tiles(x, perturbations, data.ids[position], settings.seed, answers),
        side=int(x.shape[-1]),
    )


def _perturbations(material: Material, run: Run, model: Model | None) -> list[tuple[str, Perturbation]]:
    """One a family among those measured on this model, or without one; those that can be made again."""
    named: list[tuple[str, str]] = []
    for other in material.of("robustness"):
        if other.result.model_name == run.model_name:
            named += [(c.family, c.name) for c in other.result.conditions if c.kind in ("corruption", "attack")]
    for other in material.of("snr"):
        named += [(name.partition(":")[0], name) for name in other.result.results]
    families: dict[str, list[str]] = {}
    for family, name in sorted(set(named), key=named.index):
        families.setdefault(family, []).append(name)
    found: list[tuple[str, Perturbation]] = []
    for names in families.values():
        made = _made(names[len(names) // 2], model)
        if made is not None and len(found) < MOST_PERTURBED:
            found.append(made)
    return found


def _made(name: str, model: Model | None) -> tuple[str, Perturbation] | None:
    try:
        [spec] = parse_perturbations(name)
        if spec.needs_model and (model is None or not model.differentiable):
            return None
        made = spec.build(model)
        return None if passes(made) > MOST_PASSES else (name, made)
    except (SpectrobeError, ValueError):
        return None  # a perturbed data set or a function of the user's own, which no name brings back
