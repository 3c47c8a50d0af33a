"""Whether runs of several models measure the same thing: the same images, bands and settings; the difference named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spectrobe.errors import InputError
from spectrobe.studies.compare import images_of
from spectrobe.studies.relate.gather import ModelRuns, Run
from spectrobe.studies.robustness.result import RobustnessResult

Images = Mapping[int, tuple[str, str]]
"""Position -> id and digest of the pixels."""

_SETTINGS = ("bands", "design", "seed", "confidence", "force", "clip")
_INPUT = ("mean", "std", "geometry")


def check_comparable(models: Sequence[ModelRuns]) -> list[str]:
    """Raise InputError, naming the difference, unless the models' numbers can be compared; returns warnings."""
    for model in models:
        _check_one_model(model)
    _check_decompositions(models)
    _check_robustness(models)
    sizes = sorted({run.result.image_size for model in models for run in model.decompositions})
    if len(sizes) < 2:
        return []
    told = ", ".join(f"{height}x{width}" for height, width in sizes)
    return [f"the models see the images at {told} pixels: a band is the same share of what each can resolve"]


def _check_one_model(model: ModelRuns) -> None:
    """One run of a kind, and one preprocessing for all."""
    known: dict[str, Run] = {}
    kinds = [(f"decompositions with absence {run.result.absence}", run) for run in model.decompositions]
    kinds += [(f"robustness runs with {name}", run) for run in model.robustness for name in run.result.accuracy]
    for what, run in kinds:
        before = known.setdefault(what, run)
        if before is not run:
            raise InputError(f"{model.title} has two {what}: {before.where} and {run.where}; give one of them")
    runs = [run for run in (*model.decompositions, *model.robustness) if run.model]
    for run in runs[1:]:
        for key in _INPUT:
            one, other = runs[0].model.get(key), run.model.get(key)
            if one != other:
                raise InputError(
                    f"the runs of {model.title} are of one network with two inputs: {key} is {one} in {runs[0].where} "
                    f"and {other} in {run.where}; repeat one with the other's"
                )


def _check_decompositions(models: Sequence[ModelRuns]) -> None:
    runs = [(model, run) for model in models for run in model.decompositions]
    if not runs:
        return
    first, reference = runs[0]
    images = images_of(reference.result)
    for model, run in runs[1:]:
        for what in _SETTINGS:
            one, other = getattr(reference.result.settings, what), getattr(run.result.settings, what)
            if one != other:
                raise _different(what, (first.title, one), (model.title, other))
        same_size = run.result.image_size == reference.result.image_size
        _check_images(images, images_of(run.result), first, model, "decomposed", same_size)


def _check_robustness(models: Sequence[ModelRuns]) -> None:
    """Every condition on the same images, under the same settings."""
    first: dict[str, tuple[ModelRuns, RobustnessResult, Images]] = {}
    for model, run in _robustness_runs(models):
        result, images = run.result, measured_images(run.result)
        for condition in result.conditions:
            if condition.name not in first:
                first[condition.name] = model, result, images
                continue
            before, reference, known = first[condition.name]
            was = next(c for c in reference.conditions if c.name == condition.name)
            for what, one, other in (
                ("seed", reference.settings.seed, result.settings.seed),
                (f"{condition.name}", dict(was.settings), dict(condition.settings)),
            ):
                if one != other:
                    raise _different(what, (before.title, one), (model.title, other))
            same_size = reference.settings.image_size == result.settings.image_size
            _check_images(known, images, before, model, f"measured under {condition.name}", same_size)


def _robustness_runs(models: Sequence[ModelRuns]) -> Iterator[tuple[ModelRuns, Run]]:
    for model in models:
        for run in model.robustness:
            yield model, run


def measured_images(result: RobustnessResult) -> dict[int, tuple[str, str]]:
    """Position -> id and digest of the clean image."""
    rows = result.predictions
    return dict(zip(rows.position.tolist(), zip(rows.ids, rows.digest, strict=True), strict=True))


def _check_images(one: Images, other: Images, model: ModelRuns, another: ModelRuns, what: str, same_size: bool) -> None:
    differing = sorted(p for p in {**one, **other} if not _same(one.get(p), other.get(p), same_size))
    if not differing:
        return
    first = differing[0]
    described = [found[first][0] if first in found else "none" for found in (one, other)]
    pixels = " with other pixels" if described[0] == described[1] else ""
    raise InputError(
        f"these runs are not on the same images: {model.title} and {another.title} are {what} on {len(one)} and "
        f"{len(other)} images, of which {len(differing)} differ; image {first} is {described[0]} for one and "
        f"{described[1]}{pixels} for the other"
    )


def _same(one: tuple[str, str] | None, other: tuple[str, str] | None, same_size: bool) -> bool:
    if one is None or other is None:
        return False
    return one == other if same_size else one[0] == other[0]


def _different(what: str, one: tuple[str, Any], other: tuple[str, Any]) -> InputError:
    return InputError(
        f"these runs cannot be related: {what} is {one[1]} for {one[0]} and {other[1]} for {other[0]}; repeat one with "
        "the other's"
    )
