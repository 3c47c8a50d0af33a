"""What was measured and how sure it is, in plain words made from the numbers; they may say that nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isnan

from spectrobe.game.intervals import Estimate
from spectrobe.report.material import Material, grouped, model_label, so_far
from spectrobe.report.numbers import interval, joined, number, plural
from spectrobe.report.runs import Run
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.wording import GAINS, halfway
from spectrobe.studies.relate.wording import headline
from spectrobe.studies.response.wording import claim_sentence, cutoff_sentence
from spectrobe.studies.robustness.wording import sentence as robustness_sentence
from spectrobe.studies.snr.result import SnrResult
from spectrobe.studies.snr.wording import PATTERNS
from spectrobe.studies.snr.wording import sentence as snr_sentence
from spectrobe.studies.words import percent

LOW, HIGH, UNCLEAR, NOTHING = "low", "high", "unclear", "nothing"
_LEANS = {
    LOW: "lean{s} on coarse structure, the low spatial frequencies",
    HIGH: "lean{s} on fine detail, the high spatial frequencies",
    UNCLEAR: "cannot be placed: these images do not tell whether {it} lean{s} on coarse structure or on fine detail",
    NOTHING: "show{s} nothing that these images could measure",
}
_MANY = 100  # times as many images as there are: further than this nobody extrapolates
_LONGEST_NAME = 24  # letters of a partition's name
_FEW = 3  # runs or perturbations that are each told in a sentence of their own


def answer(material: Material) -> str:
    """The answer in one breath: which frequencies the models lean on, or that these images cannot tell."""
    runs = material.of("decompose")
    if len(runs) == 1:
        return _one(runs[0])
    groups = grouped(runs, lambda run: (str(run.result.bands), run.result.value))
    told = [_lean(some, apart=len(groups) > 1) for some in groups]
    if told:
        return " ".join([*told, *["Only what was measured alike can be compared."] * (len(groups) > 1)])
    others = _beside_models(material)
    return others[0] if others else "None of these runs has a result yet."


def _lean(runs: Sequence[Run], apart: bool) -> str:
    """Which way each of some models leans; apart: measured unlike others, which is said first."""
    told = [f"Measured by {runs[0].result.value} in {_bands(runs[0].result)}:"] * apart
    for kind, leans in _LEANS.items():
        some = [run for run in runs if direction(run.result) == kind]
        if some:
            one = len(some) == 1
            told.append(
                f"{joined(list(map(model_label, some)))} {leans.format(s='s' * one, it='it' if one else 'they')}."
            )
    return " ".join(told)


def _bands(result: DecomposeResult) -> str:
    """A partition by its name, or where that is long by its number of bands."""
    name = str(result.bands)
    return f"bands {name}" if len(name) <= _LONGEST_NAME else f"{result.bands.n_bands} bands"


def details(material: Material) -> list[str]:
    """How large and how sure the answer is, and what else was measured: paragraphs."""
    runs = material.of("decompose")
    parts = [_score(runs[0].result)] if len(runs) == 1 else []
    others = _beside_models(material)
    parts += others if runs else others[1:]
    return [part for part in (*parts, how_sure(material)) if part]


def _beside_models(material: Material) -> list[str]:
    """What the other studies say, a sentence each."""
    return [
        *_perturbations(material), *_surviving(material), *_robustness(material),
        *(so_far(run) + _response(run) for run in material.of("response")[:_FEW]),
        *(f"{headline(run.result)}." for run in material.of("relate")),
        *(so_far(run) + run.result.sentence() for run in material.of("track", "label_noise", "feature_snr")[:_FEW]),
    ]  # fmt: skip


def _response(run: Run) -> str:
    """What low frequencies alone give the model, and whether its response predicts anything."""
    cut = cutoff_sentence(run.result).removeprefix("Cut-offs: ")
    told = " ".join(filter(None, (f"{model_label(run)}: {cut}" * bool(cut), claim_sentence(run.result))))
    clean = number(run.result.accuracy.value)
    return told or f"{model_label(run)}: at a clean accuracy of {clean} nothing can be told of its response."


def direction(result: DecomposeResult) -> str:
    """What the score's interval says: low, high, unclear, or nothing where there is no score."""
    score = result.score
    if isnan(score.value) or isnan(score.low):
        return NOTHING
    return LOW if score.low > 0 else HIGH if score.high < 0 else UNCLEAR


def images_needed(result: DecomposeResult) -> int | None:
    """About how many images would take 0 out of the score's interval, if the score stayed as it is; None for too many.

    The half-width falls with the root of the number of images.
    """
    score = result.score
    reach = max(score.high - score.value, score.value - score.low)
    if score.value == 0 or isnan(reach):
        return None
    needed = ceil(result.n_images * (reach / abs(score.value)) ** 2)
    return needed if result.n_images < needed <= _MANY * result.n_images else None


def _one(run: Run) -> str:
    result, kind = run.result, direction(run.result)
    name, images = result.model_name, plural(result.n_images, "image")
    told = f"{name} {_LEANS[kind].format(s='s', it='it')}."
    if kind == UNCLEAR:
        told = f"these {images} cannot tell whether {name} leans on coarse structure or on fine detail."
    if kind == NOTHING:
        told = f"these {images} cannot tell what {name} relies on."
    return so_far(run) + told if run.progress or kind in (LOW, HIGH) else told[0].upper() + told[1:]


def _score(result: DecomposeResult) -> str:
    score, kind, level = result.score, direction(result), percent(result.confidence)
    if kind == NOTHING:
        total = result.information
        if total.low > 0:
            return f"Its score is not defined: {score.reason}."
        gain = GAINS.get(result.value, result.value)
        return (
            f"All bands together give it no {gain} beyond what it has with none of them: "
            f"{number(total.value)} {result.unit}, {level} interval {interval(total.low, total.high)}."
        )
    scale = "where 1 is the lowest band alone and 0 is every band alike"
    told = f"Its score is {number(score.value)}, {level} interval {interval(score.low, score.high)}, {scale}."
    if kind == UNCLEAR:
        needed = images_needed(result)
        more = f" If the score stayed where it is, about {needed:,} images would decide it." if needed else ""
        return f"{told} The interval holds 0.{more}"
    half = halfway(result, from_above=kind == HIGH).removeprefix(": ")
    return told + (f" {half[:1].upper()}{half[1:]}." if half else "")


def _perturbations(material: Material) -> list[str]:
    results = material.snr_results
    if len(results) <= _FEW:
        return [snr_sentence(result) for result in results]
    told = []
    for pattern, meaning in PATTERNS.items():
        some = [result for result in results if result.pattern == pattern]
        if some:
            told.append(f"{meaning} under {_names(some)}")
    return [f"Of {len(results)} perturbations: {'; '.join(told)}."]


def _names(results: Sequence[SnrResult], most: int = 6) -> str:
    """Perturbations, the severities of one together: gaussian_noise:1 to 5."""
    names = []
    for family in grouped(results, lambda result: result.perturbation.partition(":")[0]):
        first, last = family[0].perturbation, family[-1].perturbation
        names.append(first if len(family) == 1 else f"{first} to {last.partition(':')[2]}")
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def _surviving(material: Material) -> list[str]:
    told = []
    for scores in grouped(material.survivals, lambda found: id(found[0])):
        known = [(score.perturbation, score.perturbation_aware) for _, score in scores]
        known = [(name, share) for name, share in known if not isnan(share.value)]
        if not known:
            continue
        name = model_label(scores[0][0])
        least, most = (pick(known, key=lambda one: one[1].value) for pick in (min, max))
        if len(known) == 1:
            told.append(f"Of what {name} leans on, {_share(least[1])} survives {least[0]}.")
        else:
            told.append(
                f"Of what {name} leans on, between {_share(least[1])} ({least[0]}) and {_share(most[1])} ({most[0]}) "
                "survives these perturbations."
            )
    return told[:_FEW]


def _share(share: Estimate) -> str:
    ends = "" if isnan(share.low) else f" [{100 * share.low:.0f}, {100 * share.high:.0f}]"
    return f"{100 * share.value:.0f}%{ends}"


def _robustness(material: Material) -> list[str]:
    runs = material.of("robustness")
    if len(runs) > _FEW:
        begun = sum(run.progress is not None for run in runs)
        told = f"The accuracy of {len(runs)} models under perturbations stands in the tables below"
        return [f"{told}; {plural(begun, 'run is', 'runs are')} not finished." if begun else f"{told}."]
    return [so_far(run) + robustness_sentence(run.result) for run in runs]


def how_sure(material: Material) -> str:
    """What the intervals say, and what they do not; empty where nothing has intervals."""
    parts = [part for run in material.runs for part in run.parts]
    parts = [part for part in parts if hasattr(part, "confidence") and hasattr(part, "n_images")]
    if not parts:
        return ""
    levels = sorted({percent(part.confidence) for part in parts})
    counts = sorted({part.n_images for part in parts})
    images = plural(counts[0], "image") if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,} images"
    return (
        f"How sure: every number has a {joined(levels)} interval over images ({images}). It says how far the number "
        "may move with other images of the same kind, and nothing about images of another kind."
    )
