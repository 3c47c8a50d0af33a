"""How does a model respond to each spatial frequency, and does that predict what perturbations cost it?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.data.checks import duplicate_warning
from spectrobe.engine.absence import DEFAULT_ABSENCE, absence_class
from spectrobe.engine.batching import check_batch_size
from spectrobe.engine.progress import Progress, Silent
from spectrobe.errors import InputError
from spectrobe.game.intervals import check_confidence
from spectrobe.studies.response.preparation import Prepared, prepare
from spectrobe.studies.response.result import ResponseResult
from spectrobe.studies.response.rows import HeatRows, ResponseRows, stored_rows
from spectrobe.studies.response.settings import (
    DEFAULT_HEAT_MAP_IMAGES,
    DEFAULT_POWERS,
    DEFAULT_UNDER,
    check_heat_map,
    check_powers,
)
from spectrobe.studies.response.summary import summarise
from spectrobe.studies.robustness.conditions import Perturbations, Plan, plan


def response(
    model: Any,
    data: Any,
    perturbations: Perturbations = (),
    *,
    bands: int | str | BandPartition | None = None,
    powers: float | Sequence[float] = DEFAULT_POWERS,
    under: Perturbations | None = DEFAULT_UNDER,
    absence: str = DEFAULT_ABSENCE,
    heat_map: float | None = None,
    heat_map_step: int | None = None,
    heat_map_images: int = DEFAULT_HEAT_MAP_IMAGES,
    images: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int | str = "auto",
    device: str = "auto",
    workers: int = 0,
    class_map: str | Mapping[str, int] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    on_bad_image: str = "error",
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> ResponseResult:
    """Response of a classifier over spatial frequency, and whether it predicts what perturbations cost.

    Measured on the same images: the power spectrum of the loss's gradient; accuracy against band noise of set powers
    (critical-band masking) and the channel fitted to it; accuracy across low-pass and high-pass cut-offs, of the images
    and of perturbed ones; on request a Fourier heat map.

    model, data: as `decompose` takes them; labels are needed.
    perturbations: what response x spectrum is to predict the cost of, as `robustness` takes them ("imagenet-c:3"): at
        least three kinds, with seven perturbations left when one kind is held out.
    bands: one partition for everything, with the mean in band 0; None: octaves, or half octaves up to 64 px.
    powers: mean squares of the band noise, in pixels of [0, 1].   under: a perturbation of which one tells what cut-off
        images keep; None for none.   absence: what stands in for frequencies that are cut off, "mean" (of the data, as
        in `decompose`) or "zero".
    heat_map: L2 norm that every Fourier basis vector has after clipping, in pixels of [0, 1]; None for no map.
    heat_map_step: every so many frequencies an axis; None: as many as leave at most 150 vectors.
    heat_map_images: how many images it takes, at most.
    images, confidence, seed, batch_size, device, workers, class_map, on_bad_image, out, progress: as in `decompose`.
        Everything is computed in float32.   image_column, label_column: of data with columns.

    What cannot be measured (gradients of a model that has none, a perturbation that fails) is in `failed`, and the rest
    goes on.
    Returns a frozen ResponseResult. Raises InputError, BadImageError, ModelOutputError or RunFolderError.
    Sources: Solomon & Pelli 1994 (doi 10.1038/369395a0) and Subramanian et al. 2023 (arXiv 2309.13190) for masking, Yin
    et al. 2019 (arXiv 1906.08988) for the heat map, Luo et al. 2024 (arXiv 2408.01139) for the claim.
    """
    choices = check_choices(
        perturbations, bands=bands, powers=powers, under=under, absence=absence, heat_map=heat_map,
        heat_map_step=heat_map_step, heat_map_images=heat_map_images, images=images, confidence=confidence,
        batch_size=batch_size, on_bad_image=on_bad_image,
    )  # fmt: skip
    progress = progress or Silent()
    with ExitStack() as stack:
        run = prepare(
            model,
            data,
            plans=choices.perturbations,
            under=choices.under,
            bands=choices.bands,
            settings={"powers": choices.powers, "absence": absence, "confidence": confidence, "seed": seed},
            heat_map={"norm": heat_map, "step": heat_map_step, "images": heat_map_images},
            images=images,
            execution={"batch_size": batch_size, "device": device},
            loading={"workers": workers, "class_map": class_map, "on_bad_image": on_bad_image,
                     "image_column": image_column, "label_column": label_column},
            out=out,
            progress=progress,
            stack=stack,
        )  # fmt: skip
        return run.finished(progress) or run.keep(_play(run, progress))


@dataclass(frozen=True)
class Choices:
    """What was asked for, read: bands (None: octaves), powers, the perturbations, and that of the cut-offs."""

    bands: BandPartition | None
    powers: tuple[float, ...]
    perturbations: tuple[Plan, ...]
    under: tuple[Plan, ...]


def check_choices(
    perturbations: Perturbations,
    *,
    bands: int | str | BandPartition | None,
    powers: float | Sequence[float],
    under: Perturbations | None,
    absence: str,
    heat_map: float | None,
    heat_map_step: int | None,
    heat_map_images: int,
    images: int | None,
    confidence: float,
    batch_size: int | str,
    on_bad_image: str,
) -> Choices:
    """Read and check everything that can be told without model and data; InputError where something is wrong."""
    check_confidence(confidence)
    check_batch_size(batch_size)
    if images is not None and (isinstance(images, bool) or not isinstance(images, int) or images < 2):
        raise InputError(f"expected images as a whole number of at least 2, got {images!r}")
    if on_bad_image not in ("error", "skip"):
        raise InputError(f"expected on_bad_image 'error' or 'skip', got {on_bad_image!r}")
    if not absence_class(absence).constant:
        raise InputError(f"expected an absence that is one image for all, 'mean' or 'zero', got {absence!r}")
    check_heat_map(heat_map, heat_map_step, heat_map_images)
    beside = [] if under is None else plan(under)
    if len(beside) > 1:
        raise InputError(f"expected one perturbation of the cut-off images, such as {DEFAULT_UNDER}, got {len(beside)}")
    partition = None if bands is None else BandPartition.of(bands)
    return Choices(partition, check_powers(powers), tuple(plan(perturbations)), tuple(beside))


def _play(run: Prepared, progress: Progress) -> ResponseResult:
    progress.note(_price(run))
    progress.expect(run.forward_passes)
    run.play(progress)
    rows, skipped = stored_rows(ResponseRows, run.run.store, list(run.shards()))
    if len(rows) < 2:
        raise InputError(f"expected at least 2 readable images, got {len(rows)}: intervals over images need more")
    heat_rows = None
    if run.heat_player is not None:
        heat_rows, _ = stored_rows(HeatRows, run.run.store, list(run.heat_shards()))
    same = duplicate_warning(rows.ids, rows.digest)
    return summarise(
        rows,
        heat_rows,
        run.settings,
        run.conditions,
        run.refused,
        n_classes=run.player.n_classes,
        forward_passes=run.forward_passes,
        skipped=skipped,
        warnings=(*run.warnings, *([same] if same else [])),
    )


def _price(run: Prepared) -> str:
    """What is to be done, and how sure it will be."""
    n, player = len(run.order), run.player
    told = f"{n:,} images x {player.passes_per_image} forward passes"
    told += " (one of them with its gradient, about three times the work)" if player.gradients else ""
    if run.heat_player is not None and run.settings.heat_map is not None:
        images = sum(map(len, run.heat_shards().values()))
        told += f", heat map of {run.heat_player.passes_per_image} basis vectors x {images:,} images"
    return f"{told}; forecast: standard error of an accuracy at most {0.5 / n**0.5:.2g}"
