"""What the poster claims about spatial frequencies, measured on the user's models: SNR, profile, response."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from spectrobe.bands import BandPartition
from spectrobe.data.base import ImageData
from spectrobe.engine.absence import DEFAULT_ABSENCE, absence_class
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError
from spectrobe.game.values import DEFAULT_VALUE
from spectrobe.models.base import Geometry, Model
from spectrobe.perturbations import Perturbation
from spectrobe.studies.decompose import study as decompose_study
from spectrobe.studies.poster.budget import Cost, Timed, cost_of, first_pixels, summary
from spectrobe.studies.poster.plan import (
    DECOMPOSE,
    FULL,
    PARTS,
    QUICK,
    RESPONSE,
    SNR,
    Part,
    Perturbed,
    Sizes,
    parts_of,
    perturbed_by,
)
from spectrobe.studies.response import study as response_study
from spectrobe.studies.response.gradients import why_none
from spectrobe.studies.response.settings import DEFAULT_UNDER
from spectrobe.studies.robustness.conditions import build, plan
from spectrobe.studies.snr.study import snr_study
from spectrobe.studies.zoo.models_file import ZooEntry, zoo_entries
from spectrobe.studies.zoo.shared import SharedModels


@dataclass(frozen=True)
class PosterRuns:
    """What became of a poster. folders: finished runs, in the poster's order.   costs: what was to do when it began.

    failed: a run, or a model under an attack -> why it could not be measured.   opened: model -> it, and its images.
    """

    entries: tuple[ZooEntry, ...]
    costs: tuple[Cost, ...]
    folders: tuple[str, ...]
    failed: Mapping[str, str]
    opened: Mapping[str, tuple[Model, ImageData]]


@dataclass(frozen=True)
class _Ready:
    """A model that can be measured. corruptions, attacks: built for it.   snr: those of its SNR run."""

    model: Model
    data: ImageData
    device: torch.device
    corruptions: tuple[Perturbation, ...]
    snr: tuple[Perturbation, ...]
    cost: Cost


@dataclass(frozen=True)
class _Poster:
    """What all runs of one call share."""

    shared: SharedModels
    sizes: Sizes
    perturbed: Perturbed
    common: Mapping[str, Any]

    def images(self, data: ImageData) -> int:
        """How many are taken."""
        return min(self.sizes.images, len(data))

    def left(self, entry: ZooEntry) -> list[str]:
        """Runs of a model that are not done."""
        where = f"{self.shared.out}/{entry.folder}"
        return [kind for kind in PARTS if not RunFolder(f"{where}/{kind}").exists("result.json")]


def measure_poster(
    models: Sequence[str | Mapping[str, Any]],
    data: Any,
    *,
    out: str | os.PathLike[str],
    quick: bool = False,
    perturbations: str | None = None,
    bands: int | str | BandPartition | None = None,
    images: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int | str = "auto",
    device: str = "auto",
    class_map: str | Mapping[str, int] | None = None,
    on_bad_image: str = "error",
    image_column: str | None = None,
    label_column: str | None = None,
    allow_pickle: bool = False,
    budget_only: bool = False,
    tell_budget: Callable[[list[Cost]], None] | None = None,
    progress: Progress | None = None,
) -> PosterRuns:
    """SNR, decomposition and frequency response of every model on the same images, into OUT/MODEL/.

    models: model strings, or mappings as the tables of a zoo's file.   data: labelled images for `open_data`.
    quick: 20 images, 6 bands, ten corruptions and an attack of one step, in place of at most 200, 8, fifteen and PGD.
    perturbations, bands, images: instead of these. Corruptions are measured once for each input geometry, in the SNR
    run of its first model; attacks on every model that has gradients.
    budget_only: only open the models and count.   tell_budget: called with the costs before anything is measured, in
    place of a note.   The rest: as `decompose` takes it. The same call with the same `out` goes on where it was.

    A run that fails is in `failed`, its traceback in its folder, and the others go on. Raises InputError when none can
    be made, or for what is wrong with any of them.
    """
    progress = progress or Silent()
    entries = zoo_entries(list(models))
    size = QUICK if quick else FULL
    sizes = Sizes(
        images if images is not None else size.images,
        str(BandPartition.of(bands)) if bands is not None else size.bands,
        perturbations if perturbations is not None else size.perturb,
        size.powers,
    )
    common = {"confidence": confidence, "seed": seed, "batch_size": batch_size, "on_bad_image": on_bad_image}
    perturbed = _checked(sizes, common)
    columns = {"class_map": class_map, "image_column": image_column, "label_column": label_column}
    shared = SharedModels(data, columns, device, allow_pickle, os.fspath(out))
    poster = _Poster(shared, sizes, perturbed, common)
    with RunFolder(shared.out).lock():
        seen: set[Geometry] = set()
        ready = shared.each(entries, lambda entry: _ready(poster, entry, seen))
        costs = [one.cost for one in ready.values()]
        if tell_budget is not None:
            tell_budget(costs)
        else:
            progress.note(summary(costs))
        opened = {name: (one.model, one.data) for name, one in ready.items()}
        if budget_only:
            return PosterRuns(tuple(entries), tuple(costs), (), shared.failed, opened)
        able = [entry for entry in entries if entry.name in ready]
        parts = [part for part in parts_of(able) if part.kind != SNR or ready[part.entry.name].snr]
        done = shared.each(parts, lambda part: _measure(poster, part, ready[part.entry.name], progress), "runs")
    folders = [
        f"{shared.out}/{part.folder}" for kind in PARTS for part in parts if part.kind == kind and part.name in done
    ]
    return PosterRuns(tuple(entries), tuple(costs), tuple(folders), shared.failed, opened)


def _checked(sizes: Sizes, common: Mapping[str, Any]) -> Perturbed:
    """What is perturbed, read; InputError for what is wrong with any model."""
    perturbed = perturbed_by(sizes.perturb)
    decompose_study.check_choices(
        BandPartition.of(sizes.bands), DEFAULT_VALUE, DEFAULT_ABSENCE, "exact", sizes.images, None,
        common["confidence"], "float32", common["batch_size"], common["on_bad_image"], False, common["seed"], 0,
    )  # fmt: skip
    return perturbed


def _ready(poster: _Poster, entry: ZooEntry, seen: set[Geometry]) -> _Ready:
    """Open a model, see what can be done to it, and count. seen: geometries that have had their corruptions."""
    model, data, device = poster.shared.opened(entry)
    if data.labels is None:
        because = f" ({data.unlabelled_because})" if data.unlabelled_because else ""
        raise InputError(f"{data.name} has no labels, which profile and response need{because}: give labels")
    corruptions, refused = build(poster.perturbed.corruptions, model)
    attacks, refused_attacks = build(poster.perturbed.attacks, model)
    for name, why in {**refused, **refused_attacks}.items():
        poster.shared.failed[f"{entry.name} under {name}"] = why
    first = model.geometry not in seen
    seen.add(model.geometry)
    cost = cost_of(
        entry.name,
        Timed(
            model=model,
            device=device,
            pixels=first_pixels(data, model),
            images=poster.images(data),
            corruptions=corruptions,
            attacks=attacks,
            under=build(plan(DEFAULT_UNDER), model)[0],
            gradients=not why_none(model),
        ),
        poster.left(entry),
        corrupting=first,
        bands=BandPartition.of(poster.sizes.bands),
        absence_constant=absence_class(DEFAULT_ABSENCE).constant,
        powers=poster.sizes.powers,
    )
    made, attacking = (tuple(item.perturbation for item in items) for items in (corruptions, attacks))
    return _Ready(model, data, device, made, (*(made if first else ()), *attacking), cost)


def _measure(poster: _Poster, part: Part, ready: _Ready, progress: Progress) -> None:
    """One run; one that is done returns at once."""
    progress.note(part.name)
    images = poster.images(ready.data)
    shared: dict[str, Any] = {
        **poster.common, "images": images, "device": str(ready.device), "progress": progress,
        "out": f"{poster.shared.out}/{part.folder}",
    }  # fmt: skip
    failed: Mapping[str, str] = {}
    if part.kind == SNR:
        found = snr_study(ready.data, list(ready.snr), model=ready.model, bands=poster.sizes.bands, **shared)
        failed = found.failed
    elif part.kind == DECOMPOSE:
        decompose_study.decompose(
            ready.model, ready.data, bands=poster.sizes.bands, value=DEFAULT_VALUE, absence=DEFAULT_ABSENCE,
            design="exact", precision="float32", **shared,
        )  # fmt: skip
    elif part.kind == RESPONSE:
        result = response_study.response(
            ready.model, ready.data, list(ready.corruptions), powers=poster.sizes.powers, **shared
        )
        failed = result.failed
    for name, why in failed.items():
        poster.shared.failed[f"{part.name} under {name}"] = why
