"""The paragraph of plain words says what was planted: low, high, cannot tell, nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import spectrobe as sb
from spectrobe.game.intervals import Estimate
from spectrobe.report.material import Material
from spectrobe.report.runs import Run, open_runs
from spectrobe.report.unfinished import Progress
from spectrobe.report.words import answer, details, direction, how_sure, images_needed
from tests.report.cases import coarse, labelled
from tests.studies.response.cases import measure, one_band


def told(*results: Any) -> tuple[str, str]:
    """The answer, and what follows it."""
    material = Material(open_runs(list(results)))
    return answer(material), " ".join(details(material))


def scored(result: sb.DecomposeResult, value: float, low: float, high: float) -> sb.DecomposeResult:
    """The result with another score."""
    return replace(result, scores={**result.scores, "signed": Estimate(value, 0.1, low, high)})


class TestOneModel:
    def test_a_model_that_leans_on_low_frequencies(self, low: sb.DecomposeResult) -> None:
        said, more = told(low)
        assert said == "coarse leans on coarse structure, the low spatial frequencies."
        assert "Its score is 1.00, 95% interval 1.00 to 1.00" in more
        assert "below 0.125 cycles/pixel, in waves longer than 8 pixels." in more

    def test_a_model_that_leans_on_high_frequencies(self, high: sb.DecomposeResult) -> None:
        said, more = told(high)
        assert said == "fine leans on fine detail, the high spatial frequencies."
        assert "Its score is −0.69" in more
        assert "above 0.375 cycles/pixel, in waves shorter than 2.67 pixels." in more

    def test_too_few_images_are_said_to_be_too_few_and_how_many_would_do(self, unclear: sb.DecomposeResult) -> None:
        said, more = told(unclear)
        assert said == "These 20 images cannot tell whether mixed leans on coarse structure or on fine detail."
        assert f"about {images_needed(unclear)} images would decide it" in more
        assert unclear.score.low < 0 < unclear.score.high

    def test_a_model_of_which_nothing_is_seen(self, nothing: sb.DecomposeResult) -> None:
        said, more = told(nothing)
        assert said == "These 20 images cannot tell what coarse relies on."
        assert "All bands together give it no usable information about the labels" in more

    def test_an_unfinished_run_says_so_first(self, low: sb.DecomposeResult) -> None:
        run = Run("decompose", low, progress=Progress(60, 200))
        assert answer(Material((run,))).startswith("So far, with 60 of 200 images done: coarse leans on coarse")


@pytest.mark.parametrize(
    "score, expected",
    [((0.5, 0.01, 0.9), "low"), ((-0.5, -0.9, -0.01), "high"), ((0.5, -0.01, 0.9), "unclear"),
     ((0.5, 0.0, 0.9), "unclear"), ((float("nan"),) * 3, "nothing"), ((0.5, float("nan"), float("nan")), "nothing")],
)  # fmt: skip
def test_the_interval_decides_not_the_number(
    score: tuple[float, float, float], expected: str, low: sb.DecomposeResult
) -> None:
    assert direction(scored(low, *score)) == expected


@pytest.mark.parametrize(
    "score, expected",
    [((0.2, -0.2, 0.6), 240), ((-0.2, -0.6, 0.2), 240), ((0.001, -0.5, 0.5), None), ((0.0, -0.5, 0.5), None),
     ((0.5, 0.4, 0.6), None)],
)  # fmt: skip
def test_how_many_images_would_decide(
    score: tuple[float, float, float], expected: int | None, low: sb.DecomposeResult
) -> None:
    """60 images with a half-width twice the score: four times as many."""
    assert images_needed(scored(low, *score)) == expected


class TestSeveralModels:
    def test_each_is_told_apart_by_what_it_leans_on(
        self, low: sb.DecomposeResult, high: sb.DecomposeResult, unclear: sb.DecomposeResult
    ) -> None:
        said, _ = told(low, high, unclear)
        assert said == (
            "coarse leans on coarse structure, the low spatial frequencies. fine leans on fine detail, the high "
            "spatial frequencies. mixed cannot be placed: these images do not tell whether it leans on coarse "
            "structure or on fine detail."
        )

    def test_models_that_lean_alike_share_a_sentence(self, low: sb.DecomposeResult) -> None:
        other = replace(low, settings=replace(low.settings, model_name="other"))
        assert told(low, other)[0] == "coarse and other lean on coarse structure, the low spatial frequencies."

    def test_models_measured_in_other_bands_are_not_compared(self, low: sb.DecomposeResult) -> None:
        other = replace(low, settings=replace(low.settings, model_name="other", bands=sb.BandPartition.octaves(4)))
        said = told(scored(other, -0.2, -0.3, -0.1), low)[0]
        assert said == (
            "Measured by usable-information in bands octaves:4: other leans on fine detail, the high spatial "
            "frequencies. Measured by usable-information in bands square:4: coarse leans on coarse structure, the low "
            "spatial frequencies. Only what was measured alike can be compared."
        )

    def test_a_response_that_tells_nothing_says_so(self) -> None:
        net, (x, y) = one_band(20)
        wrong = measure(net, (x, 1 - y))
        said = answer(Material(open_runs([wrong])))
        assert said == f"{wrong.model_name}: at a clean accuracy of 0.00 nothing can be told of its response."

    def test_what_cut_offs_say_names_its_model(self) -> None:
        found = measure(*one_band(40))
        said = told(found, replace(found, settings=replace(found.settings, model_name="other")))
        assert said[0].startswith(f"{found.model_name}: what lies below") and said[1].startswith("other: what lies")


class TestPerturbations:
    def test_what_survives_is_told_with_its_size(self, low: sb.DecomposeResult) -> None:
        snr = sb.spectral_snr(labelled(coarse, 20)[0], "gaussian_noise:3", bands=4)
        _, more = told(low, snr)
        assert "gaussian_noise:3" in more
        share = sb.score_under(low, snr)["gaussian_noise:3"].perturbation_aware
        assert f"Of what coarse leans on, {100 * share.value:.0f}% [" in more
        assert 0 < share.value < 1

    def test_severities_of_one_perturbation_are_named_together(self) -> None:
        study = sb.snr_study(labelled(coarse, 20)[0], "gaussian_noise:1-5", bands=4)
        assert told(study)[0].startswith("Of 5 perturbations: ")
        patterns = {result.pattern for result in study.results.values()}
        assert ("gaussian_noise:1 to 5" in told(study)[0]) == (len(patterns) == 1)


def test_how_sure_names_the_level_and_the_number_of_images(
    low: sb.DecomposeResult, unclear: sb.DecomposeResult
) -> None:
    assert "95% interval over images (60 images)" in how_sure(Material(open_runs([low])))
    assert "95% interval over images (20 to 60 images)" in how_sure(Material(open_runs([low, unclear])))
    assert how_sure(Material((Run("relate", None),))) == ""


def test_a_run_with_nothing_yet_is_answered_too() -> None:
    assert (
        answer(Material((Run("decompose", None, progress=Progress(0, 9)),))) == "None of these runs has a result yet."
    )
