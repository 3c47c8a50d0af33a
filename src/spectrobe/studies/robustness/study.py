"""What is left of a model's accuracy under corruptions, attacks, or a user's own perturbed images?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from spectrobe.data.checks import duplicate_warning
from spectrobe.engine.batching import check_batch_size
from spectrobe.engine.executor import Engine, executor_of
from spectrobe.engine.progress import Progress, Silent
from spectrobe.errors import InputError
from spectrobe.game.intervals import check_confidence
from spectrobe.studies.robustness.conditions import Perturbations, Plan, plan
from spectrobe.studies.robustness.preparation import Prepared, prepare
from spectrobe.studies.robustness.result import RobustnessResult, summarise
from spectrobe.studies.robustness.rows import stored_predictions
from spectrobe.studies.robustness.sanity import Sanity, all_passes, check_attacks


def robustness(
    model: Any,
    data: Any = None,
    perturbations: Perturbations = (),
    *,
    tree: str | os.PathLike[str] | None = None,
    against: Any = None,
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
    reference: RobustnessResult | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    engine: Engine = "local",
    progress: Progress | None = None,
) -> RobustnessResult:
    """Accuracy and mean log-likelihood of a classifier, clean and under each perturbation, with intervals over images.

    model, data: as `decompose` takes them; labels are needed.
    perturbations: a string in the command line's form ("imagenet-c,pgd_linf:eps=1/255..8/255"), a Perturbation, any
        callable (x) -> x, or a list of these. Of a callable the run's identity holds the name alone.
    tree: ROOT of ROOT/CORRUPTION/SEVERITY/CLASS/image.jpg, as ImageNet-C is laid out; `data` may then be left out.
    against: perturbed data of the same images as `data`, paired by path. Stored images that have the model's input size
        already, unlike their clean counterparts, are used as they are; all others are resized and cropped as these.
    reference: a robustness run (or its folder) of another model, which mCE is relative to.
    images, confidence, seed, batch_size, device, workers, class_map, on_bad_image, out, engine, progress: as in
        `decompose`. Everything is computed in float32.   image_column, label_column: of data with columns.

    Attacks are checked, on up to 50 images and at a cost that the result names; what looks wrong is a warning. A
    perturbation that cannot be measured (an attack on a model without gradients, one that changes the size of an image)
    is in `failed`, and the others go on.
    Returns a frozen RobustnessResult. Raises InputError, BadImageError, ModelOutputError or RunFolderError.
    Source: Hendrycks & Dietterich 2019, arXiv 1903.12261, for mCE.
    """
    plans = check_choices(perturbations, tree, against, data, images, confidence, batch_size, on_bad_image)
    progress = progress or Silent()
    compared = load_reference(reference)
    with ExitStack() as stack:
        run = prepare(
            model,
            data,
            plans,
            tree=tree,
            against=against,
            images=images,
            seed=seed,
            confidence=confidence,
            execution={"batch_size": batch_size, "device": device},
            loading={"workers": workers, "class_map": class_map, "on_bad_image": on_bad_image,
                     "image_column": image_column, "label_column": label_column},
            reference=compared,
            out=out,
            progress=progress,
            executor=stack.enter_context(executor_of(engine)),
            stack=stack,
        )  # fmt: skip
        result = run.finished(progress)
        if result is None:
            return run.keep(_relative(_play(run, progress), compared))
        again = _relative(result, compared)
        return result if again == result else run.keep(again)


def check_choices(
    perturbations: Perturbations,
    tree: object,
    against: object,
    data: object,
    images: int | None,
    confidence: float,
    batch_size: int | str,
    on_bad_image: str,
) -> list[Plan]:
    """Check everything that can be told without model and data; InputError where something is wrong."""
    check_confidence(confidence)
    check_batch_size(batch_size)
    if images is not None and (isinstance(images, bool) or not isinstance(images, int) or images < 2):
        raise InputError(f"expected images as a whole number of at least 2, got {images!r}")
    if on_bad_image not in ("error", "skip"):
        raise InputError(f"expected on_bad_image 'error' or 'skip', got {on_bad_image!r}")
    plans = plan(perturbations)
    if not plans and tree is None and against is None:
        raise InputError("expected perturbations, a tree of perturbed images, or a data set against the clean one")
    if data is None and (plans or against is not None or tree is None):
        raise InputError("expected clean images (DATA): without them only a tree of perturbed images can be measured")
    return plans


def load_reference(reference: RobustnessResult | str | os.PathLike[str] | None) -> RobustnessResult | None:
    """The run that mCE is relative to; RunFolderError when there is none in the folder."""
    if reference is None or isinstance(reference, RobustnessResult):
        return reference
    from spectrobe.studies.runs import load

    found: Any = load(reference)
    if not isinstance(found, RobustnessResult):
        raise InputError(f"{os.fspath(reference)} holds no robustness run, which mCE would be relative to")
    return found


def _relative(result: RobustnessResult, reference: RobustnessResult | None) -> RobustnessResult:
    return result if reference is None else result.relative_to(reference)


def _play(run: Prepared, progress: Progress) -> RobustnessResult:
    shards = run.shards()
    per_image = run.player.passes_per_image
    progress.expect(all_passes(run.items, run.settings.clean, len(run.order)))
    player = run.play(shards, progress)
    rows, skipped = stored_predictions(run.store, list(shards))
    if len(rows) < 2:
        raise InputError(f"expected at least 2 readable images, got {len(rows)}: intervals over images need more")
    warnings = list(run.warnings)
    same = duplicate_warning(rows.ids, rows.digest, rows.label)
    warnings += [same] if same else []
    found, sanity = (
        check_attacks(player, run.model, run.loader, rows, progress) if run.settings.clean else ([], Sanity())
    )
    return summarise(
        rows,
        run.settings,
        run.conditions,
        run.refused,
        per_image * len(rows) + sanity.forward_passes,
        skipped,
        (*warnings, *found),
        sanity,
    )
