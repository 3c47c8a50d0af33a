"""Which frequency bands of the images survive a perturbation? Signal-to-noise ratio and robustness modulus per band."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.engine.executor import Engine, executor_of
from spectrobe.engine.progress import Progress, Silent
from spectrobe.errors import InputError, ShardsFailedError
from spectrobe.game.intervals import check_confidence
from spectrobe.spectrum import Border
from spectrobe.studies.snr.asked import wanted
from spectrobe.studies.snr.preparation import SnrPreparation, prepare_snr
from spectrobe.studies.snr.result import SnrResult, SnrStudy
from spectrobe.studies.snr.rows import SnrRows, rows_by_perturbation
from spectrobe.studies.snr.sanity import check_attacks
from spectrobe.studies.snr.statistics import decibels, forecast_stderr
from spectrobe.studies.snr.summary import check_summary, summarise


def spectral_snr(
    data: Any,
    perturbation: Any = None,
    *,
    perturbed: Any = None,
    bands: int | str | BandPartition = 8,
    dc: str = "apart",
    seed: int = 0,
    **options: Any,
) -> SnrResult:
    """SNR per frequency band of one perturbation of the images of `data`, with intervals over images.

    data: the clean images: a tensor (N, C, H, W) in [0, 1], a folder, or anything else that `open_data` takes.
    perturbation: a Perturbation, a callable (images) -> images, or one item of text, `gaussian_noise:3`.
    perturbed: instead of a perturbation, the same images perturbed already: files of the same names, or anything else
        in the same order.
    bands: 8, "radial:8", a BandPartition, ...   dc: the mean "apart" from band 0, or "in-band".   seed: of what is
        drawn.
    options: the other keywords of `snr_study`.

    Returns a frozen SnrResult. Raises InputError or RunFolderError, all SpectrobeError.
    """
    chosen = [] if perturbation is None else wanted(perturbation)
    if len(chosen) > 1:
        raise InputError(f"expected one perturbation, got {len(chosen)}: several are measured together by snr_study")
    study = snr_study(data, chosen or None, perturbed=perturbed, bands=bands, dc=dc, seed=seed, **options)
    return next(iter(study.results.values()))


def snr_study(
    data: Any,
    perturbations: Any = None,
    *,
    perturbed: Any = None,
    model: Any = None,
    size: int | str | tuple[int, int] | None = None,
    patch: int | str | tuple[int, int] | None = None,
    bands: int | str | BandPartition = 8,
    dc: str = "apart",
    summary: str = "median",
    images: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    luminance: bool = False,
    border: Border | None = None,
    quantize: int | None = None,
    labels: str = "given",
    class_map: str | Mapping[str, int] | None = None,
    batch_size: int | str = "auto",
    device: str = "auto",
    workers: int = 0,
    on_bad_image: str = "error",
    out: str | os.PathLike[str] | None = None,
    engine: Engine = "local",
    progress: Progress | None = None,
) -> SnrStudy:
    """SNR per frequency band of several perturbations of the same images.

    data, perturbed, bands, dc, seed: as in `spectral_snr`.   perturbations: a list of them, or text: "imagenet-c:3".
    model: what attacks attack; images are taken at its input size.   size: without a model, the size that images are
        resized and cropped to.   patch: the central pixels (N, or HxW) of each image, not resized. Without any of the
        three, images keep their own size, which must be the same for all.
    summary: "median" over images, "ratio-of-sums", or "mean-of-bins".   images: how many to take, in seeded order.
    confidence: of all intervals.   luminance: of the Rec. 601 luminance instead of every channel.
    border: "periodic-plus-smooth" takes out the jump between opposite borders (Moisan 2011).
    quantize: round perturbed images to so many bits first; None: as the perturbation returns them, or the files hold
        them.
    labels: what attacks lead away from: "given" labels where there are any, or the model's own "prediction".
    class_map: class folder -> index, for given labels.   batch_size: images perturbed together.   device: of a model
        given by name.   workers: processes that decode images.   on_bad_image: "error" or "skip" unreadable images.
    out: a run folder, new or of this very run, which then goes on.   engine: as in `decompose`.

    A perturbation that fails on some images is measured on the others, one that fails on all is listed in `failed`.
    Attacks are checked as `robustness` checks them, on up to 20 images; what speaks against one is a warning.
    Source: docs/method.md, "Spectral SNR"; the claim: Luo, McDermott & O'Riordan, TMLR 2024, arXiv 2408.01139.
    """
    check_confidence(confidence)
    partition = BandPartition.of(bands)
    check_summary(partition, dc, summary)
    progress = progress or Silent()
    with ExitStack() as stack:
        run = prepare_snr(
            data,
            perturbations,
            perturbed,
            model,
            settings={
                "bands": partition, "dc": dc, "summary": summary, "confidence": confidence, "seed": seed,
                "luminance": luminance, "border": border, "quantize": quantize, "labels": labels,
            },
            selection={"size": size, "patch": patch, "images": images},
            execution={"batch_size": batch_size, "device": device},
            loading={"workers": workers, "class_map": class_map, "on_bad_image": on_bad_image},
            out=out,
            progress=progress,
            executor=stack.enter_context(executor_of(engine)),
            stack=stack,
        )  # fmt: skip
        return run.finished(progress) or _play(run, progress)


def _play(run: SnrPreparation, progress: Progress) -> SnrStudy:
    shards = run.shards()
    progress.expect(run.measurer.passes_per_image * sum(map(len, shards.values())))
    first = {index: shards[index] for index in list(shards)[:1]}
    try:
        run.measure(first, progress)
    except ShardsFailedError:
        if len(shards) == 1:
            raise
        progress.note("forecast: none, the first shard failed")
        run.measure(shards, progress)
    else:
        if len(shards) > 1:
            progress.note(_forecast(rows_by_perturbation(run.store, list(first)), len(run.order)))
            run.measure({index: positions for index, positions in shards.items() if index not in first}, progress)
    skipped = run.run.skipped(list(shards))
    results: dict[str, SnrResult] = {}
    failed = dict(run.refused)
    rows = rows_by_perturbation(run.store, list(shards))
    if not rows:
        raise InputError(f"no image was measured: all {len(skipped)} were left out ({next(iter(skipped.values()))})")
    suspicions = check_attacks(run.measurer, run.loader, rows, progress)
    for name in run.measurer.perturbations:
        settings = replace(run.settings, perturbation=name)
        try:
            results[name] = summarise(rows[name], settings, skipped, (*run.warnings, *suspicions.get(name, ())))
        except InputError as error:
            failed[name] = str(error)
    if not results:
        raise InputError("; ".join(failed.values()))
    return run.keep(SnrStudy(results, failed))


def _forecast(rows: Mapping[str, SnrRows], n_images: int) -> str:
    """What standard error to expect, from the first shard."""
    worst = 0.0
    for some in rows.values():
        measured = some.measured()
        if len(measured) >= 2:
            worst = max(worst, forecast_stderr(decibels(measured.signal, measured.noise), n_images))
    if worst == 0:
        return f"forecast: none, the first images have no spread; {n_images:,} images"
    return f"forecast: standard error of the SNR {worst:.2g} dB at most, at {n_images:,} images"
