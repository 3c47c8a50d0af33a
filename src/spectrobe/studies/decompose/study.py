"""How much information does each frequency band give the model, over all orders in which bands could be revealed?"""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.data.checks import duplicate_warning
from spectrobe.engine.absence import DEFAULT_ABSENCE, absence_class
from spectrobe.engine.batching import check_batch_size
from spectrobe.engine.executor import Engine, executor_of
from spectrobe.engine.payoffs import payoffs_of
from spectrobe.engine.phases import reach
from spectrobe.engine.precision import check_precision
from spectrobe.engine.progress import Progress, Silent
from spectrobe.errors import InputError
from spectrobe.game.coalitions import check_design
from spectrobe.game.fit import Payoffs
from spectrobe.game.intervals import check_confidence
from spectrobe.game.values import DEFAULT_VALUE, make_value
from spectrobe.studies.decompose.pilot import how_many_images
from spectrobe.studies.decompose.preparation import Preparation, prepare
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.summary import summarise


def decompose(
    model: Any,
    data: Any,
    *,
    bands: int | str | BandPartition = 8,
    value: str = DEFAULT_VALUE,
    absence: str = DEFAULT_ABSENCE,
    design: str = "exact",
    images: int | None = None,
    tolerance: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    precision: str = "auto",
    batch_size: int | str = "auto",
    device: str = "auto",
    workers: int = 0,
    class_map: str | Mapping[str, int] | None = None,
    on_bad_image: str = "error",
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    clip: bool = False,
    engine: Engine = "local",
    progress: Progress | None = None,
) -> DecomposeResult:
    """Shapley values of the frequency bands of a model's input, with intervals over images.

    model: a model string (`timm:NAME`, `torchvision:NAME`, ...), an nn.Module or any callable, pixels (N, C, H, W) in
        [0, 1] -> logits (N, K).
    data: a tensor pair (images (N, C, H, W), labels (N,)), a torch Dataset, or a data string.
    bands: 8, "radial:8", a BandPartition, ...   value, absence, design: see `spectrobe list`; design "auto" chooses,
        from a pilot where there is a tolerance.
    images: how many images to take, in an order given by the seed (default all).
    tolerance: take as many images as a half-width of the score's interval this small needs, forecast by a pilot.
    confidence: of all intervals.   seed: of everything that is drawn.
    precision: "auto", "float32", "tf32" (CUDA) or "bfloat16".   batch_size: "auto" or a number.
    device: "auto", "cpu", "cuda", "mps"; auto leaves a model of your own where it is.
    workers: processes that decode images.   class_map: class folder -> index.   on_bad_image: "error" or "skip".
    out: a run folder, new or of this very run, which then goes on.   force: allow 13 to 16 bands in the exact design.
    clip: take coalition images to [0, 1], as some models need; the clipped share is then in `by_size`.
    engine: "local", "ray" or RayOptions: who plays the shards; the result is the same.

    Returns a frozen DecomposeResult. Raises InputError, ModelOutputError or RunFolderError, all SpectrobeError.
    Source: Luo, McDermott & O'Riordan, TMLR 2024, arXiv 2408.01139; what differs is in docs/method.md.
    """
    check_choices(
        bands, value, absence, design, images, tolerance, confidence, precision, batch_size, on_bad_image, force, seed,
        workers,
    )  # fmt: skip
    progress = progress or Silent()
    with ExitStack() as stack:
        run = prepare(
            model,
            data,
            settings={
                "bands": BandPartition.of(bands),
                "value": value,
                "absence": absence,
                "design": design,
                "confidence": confidence,
                "seed": seed,
                "force": force,
                "clip": clip,
            },
            selection={"images": images, "tolerance": tolerance},
            execution={"precision": precision, "batch_size": batch_size, "device": device},
            loading={"workers": workers, "class_map": class_map, "on_bad_image": on_bad_image},
            out=out,
            progress=progress,
            executor=stack.enter_context(executor_of(engine)),
            stack=stack,
        )
        return run.finished(progress) or _play(run, progress)


def _play(run: Preparation, progress: Progress) -> DecomposeResult:
    n_images, notes = how_many_images(run, progress)
    shards = run.shards(n_images)
    run.evaluate(shards, progress)
    payoffs = payoffs_of(run.store, list(shards))
    if len(payoffs) < 2:
        raise InputError(f"expected at least 2 readable images, got {len(payoffs)}: intervals over images need more")
    same = _duplicates(payoffs, run.settings.labelled)
    notes += [same] if same else []
    passes = run.evaluator.design.passes(len(payoffs), run.evaluator.absence.constant)
    reach("tau fit")
    skipped = run.run.skipped(list(shards))
    result = summarise(payoffs, run.settings, passes, skipped, (*run.warnings, *notes))
    return run.keep(result)


def _duplicates(payoffs: Payoffs, labelled: bool) -> str | None:
    """What there is to say of images that occur twice."""
    ids: list[str] = []
    digests: list[str] = []
    labels: list[int] = []
    for chunk in payoffs.chunks():
        ids += chunk.ids
        digests += chunk.digest
        labels += chunk.label.tolist()
    return duplicate_warning(ids, digests, labels if labelled else None)


def check_choices(
    bands: int | str | BandPartition,
    value: str,
    absence: str,
    design: str,
    images: int | None,
    tolerance: float | None,
    confidence: float,
    precision: str,
    batch_size: int | str,
    on_bad_image: str,
    force: bool,
    seed: int,
    workers: int,
) -> None:
    """Raise InputError for what is wrong with any model and any data, so that it is told before they are opened."""
    make_value(value)
    absence_class(absence)
    check_design(design, BandPartition.of(bands).n_bands, force)
    check_confidence(confidence)
    check_precision(precision)
    check_batch_size(batch_size)
    if on_bad_image not in ("error", "skip"):
        raise InputError(f"expected on_bad_image 'error' or 'skip', got {on_bad_image!r}")
    if tolerance is not None and not (isinstance(tolerance, numbers.Real) and 0 < tolerance < np.inf):
        raise InputError(f"expected a tolerance above 0 (half-width of the score's interval), got {tolerance!r}")
    if images is not None and not (isinstance(images, numbers.Integral) and images >= 2):
        raise InputError(f"expected at least 2 images, a whole number, got {images!r}: intervals over images need more")
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
        raise InputError(f"expected a whole number as seed, got {seed!r}")
    if not isinstance(workers, numbers.Integral) or workers < 0:
        raise InputError(f"expected workers to be 0 or more, got {workers!r}")
