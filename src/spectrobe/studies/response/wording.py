"""A response result in plain words, made from the numbers; they may say that nothing could be told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.studies.response.claim import NO, UNSHOWN, YES
from spectrobe.studies.response.predictors import GRADIENT, MASKING
from spectrobe.studies.response.tables import aligned, tables
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.response.claim import Claim, Verdict
    from spectrobe.studies.response.result import ResponseResult

NEARLY_ALL = 0.9
LONGEST_NAME = 24  # of a partition; longer ones are their edges, which the table has
RESPONSES = {MASKING: "accuracy under band noise", GRADIENT: "the gradient's power"}


def summary(result: ResponseResult) -> str:
    """Tables, then what they mean, then what to know."""
    lines = [headline(result), ""]
    for table in tables(result):
        lines += [*aligned(table), ""]
    return "\n".join([*lines, *sentences(result), *remarks(result)])


def headline(result: ResponseResult) -> str:
    """What was measured."""
    height, width = result.image_size
    name = str(result.bands)
    bands = f"bands {name}" if len(name) <= LONGEST_NAME else f"{result.bands.n_bands} bands"
    return (
        f"{result.model_name} on {result.data_name}: {result.n_images} images of {height} x {width}, {bands}, "
        f"{percent(result.confidence)} intervals over images; clean accuracy {result.accuracy}"
    )


def sentences(result: ResponseResult) -> list[str]:
    """What each part says, for readers who have never heard of the method."""
    found = [gradient_sentence(result), masking_sentence(result), delivered_sentence(result), cutoff_sentence(result)]
    found += [under_sentence(result), heat_map_sentence(result), *claim_sentences(result)]
    found.append(f"{result.forward_passes:,} forward passes at most")
    return [sentence for sentence in found if sentence]


def gradient_sentence(result: ResponseResult) -> str:
    """Where the gradient's power lies."""
    if result.gradient is None:
        return ""
    share = result.gradient.share.value
    most = int(np.argmax(share))
    low, high = result.bands.cycles_per_pixel()[most]
    return (
        f"Gradient: most of its power, {percent(round(float(share[most]), 3))}, lies in {low:.3f}-{high:.3f} "
        f"cycles/pixel; its norm is {number(result.gradient.norm)} nats per unit of pixel change."
    )


def masking_sentence(result: ResponseResult) -> str:
    """The channel, or why there is none."""
    masking, side = result.masking, min(result.image_size)
    if math.isnan(masking.centre.value):
        return f"Band noise: no channel could be fitted: {masking.centre.reason}."
    told = (
        f"Band noise: {result.model_name} sees through a channel centred at {number(masking.centre)} cycles/pixel "
        f"({masking.centre.value * side:.3g} cycles/image), {number(masking.bandwidth)} octaves wide at half its "
        f"height; at its peak noise of standard deviation {1 / math.sqrt(masking.peak.value):.3f} takes accuracy half "
        "way to chance"
    )
    return f"{told} ({masking.centre.reason})." if masking.centre.reason else f"{told}."


def delivered_sentence(result: ResponseResult) -> str:
    """What clipping left of the strongest noise."""
    masking = result.masking
    deviation, l2 = np.sqrt(masking.delivered_power[:, -1]), masking.delivered_l2[:, -1]
    share = percent(round(float(masking.in_band[:, -1].min()), 3))
    return (
        f"Delivered after clipping, at the strongest noise: standard deviation {deviation.min():.3g} to "
        f"{deviation.max():.3g} of {math.sqrt(masking.powers[-1]):.3g}, L2 norm {l2.min():.3g} to {l2.max():.3g}, "
        f"{share} or more of its energy in its band (medians over images)."
    )


def cutoff_sentence(result: ResponseResult) -> str:
    """What low frequencies alone give."""
    cutoffs, clean = result.cutoffs, result.accuracy.value
    if not clean > 0:
        return ""
    low, high = cutoffs.low_pass.value, cutoffs.high_pass.value
    middle = len(low) // 2
    told = (
        f"Cut-offs: what lies below {cutoffs.frequency[middle]:.3g} cycles/pixel gives accuracy {low[middle]:.3f} "
        f"alone, what lies above {high[middle]:.3f}, both together {clean:.3f}; "
    )
    enough = np.flatnonzero(low >= NEARLY_ALL * clean)
    if not len(enough):
        return f"{told}low frequencies alone, up to the highest cut-off, do not give nine tenths of the clean accuracy."
    edge = cutoffs.frequency[enough[0]]
    return f"{told}nine tenths of the clean accuracy take everything below {edge:.3g} cycles/pixel."


def under_sentence(result: ResponseResult) -> str:
    """Which half of the frequencies keeps more of its accuracy under the perturbation."""
    cutoffs = result.cutoffs
    if cutoffs.low_pass_under is None or cutoffs.high_pass_under is None or cutoffs.accuracy_under is None:
        return ""
    middle = len(cutoffs.frequency) // 2
    kept = []
    for whole, left in ((cutoffs.low_pass, cutoffs.low_pass_under), (cutoffs.high_pass, cutoffs.high_pass_under)):
        kept.append(f"{left.value[middle]:.3f} of {whole.value[middle]:.3f}")
    return (
        f"Under {cutoffs.under} accuracy is {cutoffs.accuracy_under.value:.3f} of {result.accuracy.value:.3f}; below "
        f"{cutoffs.frequency[middle]:.3g} cycles/pixel alone it is {kept[0]}, above {kept[1]}."
    )


def heat_map_sentence(result: ResponseResult) -> str:
    """Least and most harmful basis vector."""
    found = result.heat_map
    if found is None:
        return ""
    error = found.error.value
    best, worst = int(np.argmin(error)), int(np.argmax(error))
    short = f"; {percent(round(found.short, 4))} of the pairs could not take that norm" if found.short else ""
    return (
        f"Fourier basis noise of L2 norm {found.norm:g} after clipping, {len(error)} vectors on {found.n_images} "
        f"images: error rate {error[best]:.3f} at {_place(found.frequencies[best])} to {error[worst]:.3f} at "
        f"{_place(found.frequencies[worst])} cycles/image (k_y, k_x){short}."
    )


def claim_sentence(result: ResponseResult) -> str:
    """Whether response times spectrum predicts what perturbations cost, in one plain sentence; empty where untested."""
    claim = result.claim
    if claim is None:
        return ""
    verdict = claim.verdicts[MASKING]
    own, base = claim.predictions[MASKING].error, claim.predictions[verdict.best_baseline].error
    which = (
        "it predicts better" if verdict.alone.low > 0
        else "it predicts worse" if verdict.alone.high < 0
        else "which of the two predicts better cannot be told"
    )  # fmt: skip
    return (
        f"{result.model_name}'s response to frequency, times the spectrum of a perturbation, predicts what "
        f"{len(claim.names)} perturbations cost in accuracy to within {own.value:.3f} [{own.low:.3f}, {own.high:.3f}] "
        f"on average, the best baseline ({verdict.best_baseline}) to within {base.value:.3f} [{base.low:.3f}, "
        f"{base.high:.3f}]: {which}."
    )


def claim_sentences(result: ResponseResult) -> list[str]:
    """Whether response adds anything, in plain words."""
    claim = result.claim
    if claim is None:
        return [f"Whether response predicts what perturbations cost was not tested: {result.untested}."]
    kinds = len(dict.fromkeys(claim.kinds))
    found = [
        f"Does response x perturbation spectrum predict the drop of accuracy? {len(claim.names)} perturbations, each "
        f"predicted from the {kinds - 1} other kinds ({', '.join(dict.fromkeys(claim.kinds))}):"
    ]
    return found + [_verdict_sentence(claim, name, verdict) for name, verdict in claim.verdicts.items()]


def _verdict_sentence(claim: Claim, name: str, verdict: Verdict) -> str:
    own, base = claim.predictions[name], claim.predictions[verdict.best_baseline]
    told = (
        f"  {name} ({RESPONSES[name]}): off by {own.error.value:.3f} in accuracy, the best baseline "
        f"({verdict.best_baseline}) by {base.error.value:.3f}: {signed(verdict.alone)} in favour of the response. "
    )
    gain = signed(verdict.together)
    answers = {
        YES: f"Added to all baselines it helps: off by {gain} less than they are together.",
        NO: f"Added to all baselines it does harm: off by {gain} less than they are together.",
        UNSHOWN: "That it adds anything to the baselines these perturbations do not show: added to all of them it "
        f"is off by {gain} less than they are together.",
    }
    return told + answers[verdict.answer]


def signed(estimate: Estimate) -> str:
    """+0.012 [-0.003, +0.027]"""
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def remarks(result: ResponseResult) -> list[str]:
    """Warnings, failures, images left out: a line each."""
    lines = [f"warning: {warning}" for warning in result.warnings]
    lines += [f"failed: {name}: {why}" for name, why in result.failed.items()]
    return lines + [f"left out: {why}" for why in result.skipped.values()]


def number(estimate: Estimate) -> str:
    """0.285 [0.261, 0.314], without an interval where there is none."""
    if math.isnan(estimate.low):
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _place(frequency: np.ndarray) -> str:
    return f"({frequency[0]}, {frequency[1]})"
