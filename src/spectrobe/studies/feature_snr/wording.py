"""A feature-snr study in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spectrobe.studies.feature_snr.result import FeatureSnrResult

APART = (
    "Noise injected into training images is noise augmentation, which usually raises robustness: a condition apart, "
    "which neither confirms nor refutes the claim."
)


def sentence(result: FeatureSnrResult) -> str:
    """Whether higher native SNR goes with higher robustness, as far as these trainings tell."""
    start = "Demo, no evidence: " if result.demo else ""
    told = [
        _told(result, "same-band", "the bands trained on"),
        _told(result, "full-band", "all bands (which hold those trained on weaker than in training)"),
    ]
    some = next(iter(result.relations.values()))
    return (
        f"{start}Native SNR of the trained features against accuracy under perturbation, clean accuracy held fixed: "
        f"{'; '.join(told)} ({some.points} pairs of group and perturbation, {result.settings.seeds} seeds)."
    )


def _told(result: FeatureSnrResult, view: str, name: str) -> str:
    relation = result.relations[view]
    if np.isnan(relation.partial):
        return f"on images of {name} not defined, as accuracies or SNR do not differ"
    sure = relation.p < 1 - result.settings.confidence
    what = "higher SNR goes with higher robustness" if relation.partial > 0 else "higher SNR goes with lower robustness"
    each = [one for one in relation.seeds if not np.isnan(one)]
    ends = f", seeds {min(each):+.2f} to {max(each):+.2f}" if len(each) > 1 else ""
    return (
        f"on images of {name} {what if sure else 'these trainings cannot tell'} (partial rank correlation "
        f"{relation.partial:+.2f}{ends}, p = {relation.p:.3f}; {relation.plain:+.2f} without holding it fixed)"
    )


def injected_sentence(result: FeatureSnrResult) -> str:
    """What injected noise did, apart from the claim; empty without such trainings."""
    if result.injected_accuracy is None:
        return ""
    change = (result.injected_accuracy - result.accuracy).mean(axis=(1, 3))
    parts = [
        f"{name} {change[0, g]:+.3f} on its bands, {change[1, g]:+.3f} on all" for g, name in enumerate(result.groups)
    ]
    return (
        f"Apart: with noise of {result.settings.inject_db:g} dB injected into the kept bands, accuracy under "
        f"perturbation changed by {'; '.join(parts)}. {_reached(result)}{APART}"
    )


def _reached(result: FeatureSnrResult) -> str:
    """What the noise came to, once pixels were clipped."""
    if not result.injected:
        return ""
    ends = [f"{end(told['median_db'] for told in result.injected):.1f}" for end in (min, max)]
    reached = " to ".join(dict.fromkeys(ends))
    short = sum(int(told["unreachable"]) for told in result.injected)
    leaked = max(told["leaked"] for told in result.injected)
    return (
        f"Training images had {reached} dB (medians of the groups); clipping kept {short:,} of "
        f"{result.n_train * len(result.groups):,} from it and put up to {leaked:.1%} of the noise outside the group, "
        "which is taken out with the other bands. "
    )


def summary(result: FeatureSnrResult) -> str:
    """The settings, a line a group, the sentence, the condition apart."""
    recipe = result.settings.recipe
    height, width = result.image_size
    lines = [
        f"{result.model_name} on {result.n_train:,} images of {result.data_name} ({height} x {width}), {recipe.epochs} "
        f"epochs, {result.settings.seeds} seeds, a group of bands each; measured on {result.n_images:,} held-out "
        f"images of {result.held_out_name}"
    ]
    places = result.bands.cycles_per_pixel()
    for g, (name, (low, high)) in enumerate(zip(result.groups, places, strict=True)):
        clean = result.clean[:, :, g].mean(axis=1)
        lines.append(
            f"{name} ({low:.3g}-{high:.3g} cycles/pixel): accuracy {clean[0]:.3f} on its bands, {clean[1]:.3f} on all"
        )
        for p, perturbation in enumerate(result.perturbations):
            under = result.accuracy[:, :, g, p].mean(axis=1)
            lines.append(
                f"    {perturbation}: native modulus {result.modulus[g, p]:.2f}; accuracy {under[0]:.3f} on its bands, "
                f"{under[1]:.3f} on all"
            )
    return "\n".join(line for line in [*lines, sentence(result), injected_sentence(result)] if line)
