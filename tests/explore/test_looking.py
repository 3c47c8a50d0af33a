"""What the model is given and what it answers, held against the library's own functions."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

import spectrobe as sb
from spectrobe.data import open_data
from spectrobe.engine.absence import Donor, Mean, Noise, Surroundings
from spectrobe.engine.local import ImageLoader
from spectrobe.errors import BadImageError, InputError, ModelOutputError
from spectrobe.explore.display import Picture
from spectrobe.explore.looking import band_pictures, look, seen_by_model
from spectrobe.explore.session import Question, Session, open_session
from spectrobe.models import open_model
from tests.cli.calls import png
from tests.explore.conftest import BANDS, NAMES, SIDE, model

ALL = (True,) * BANDS
PRESENT = (True, False, True, False)


def levels(picture: Picture) -> np.ndarray:
    """A picture's pixels, 0 to 255: (H, W, C)."""
    return np.asarray(Image.open(io.BytesIO(picture.png)), dtype=np.float64)


@pytest.mark.parametrize("kind", [Mean, Noise, Donor])
def test_the_model_is_given_the_coalition_image_of_a_decomposition(session: Session, kind: type) -> None:
    loader = ImageLoader(session.data, session.model.geometry, on_bad_image="skip")
    around = Surroundings(session.data.ids, loader.each, session.seed)
    pixels = session.data.pixels(5, session.model.geometry)
    base = kind(kind.measure(around), around).images([5], pixels.shape).expand(1, *pixels.shape)
    coalition = torch.tensor([PRESENT])
    expected = sb.coalition_images(pixels[None], BANDS, coalition, base)[0, 0]
    seen = seen_by_model(session, Question(5, PRESENT, kind.name))
    assert float((seen - expected).abs().max()) < 1e-6
    assert float((seen - pixels).abs().max()) > 0.01


def test_with_all_bands_the_model_is_given_the_photo_itself(session: Session) -> None:
    assert torch.equal(seen_by_model(session, Question(5, ALL)), session.data.pixels(5, session.model.geometry))


def test_answers_are_the_models_own(session: Session) -> None:
    question = Question(5, PRESENT, "zero")
    now = model(seen_by_model(session, question)[None])[0].softmax(0)
    intact = model(session.data.pixels(5, session.model.geometry)[None])[0].softmax(0)
    found = look(session, question)
    assert [answer.index for answer in found.answers] == now.argsort(descending=True).tolist()
    for answer in found.answers:
        assert answer.name == NAMES[answer.index]
        assert answer.probability == pytest.approx(float(now[answer.index]), abs=1e-6)
        assert answer.intact == pytest.approx(float(intact[answer.index]), abs=1e-6)
    assert found.first.index == int(intact.argmax())
    assert found.label is not None and found.label.index == 1  # photo 5 lies in the folder b


def test_switching_a_band_off_changes_the_answer(session: Session) -> None:
    with_colour, without = (look(session, Question(0, (on, True, True, True), "zero")) for on in (True, False))
    assert with_colour.answers[0].index == 0
    assert without.answers[0].index == 3
    assert without.first.index == 0


def test_what_is_seen_is_the_photo_less_what_is_off_plus_what_stands_in(session: Session) -> None:
    found = look(session, Question(2, (False, True, True, True), "mean"))
    assert found.removed is not None and found.standing_in is not None
    total = levels(found.photo) - levels(found.removed) + levels(found.standing_in)
    inside = (total > 1) & (total < 254)  # beyond, one of the pictures is cut
    assert inside.mean() > 0.9
    assert np.abs(total - levels(found.seen))[inside].max() <= 2  # three roundings to 8 bits


def test_nothing_is_removed_while_all_bands_are_on(session: Session) -> None:
    found = look(session, Question(2, ALL))
    assert found.removed is None and found.standing_in is None
    assert np.array_equal(levels(found.photo), levels(found.seen))


def test_an_image_without_its_mean_is_shown_around_grey(session: Session) -> None:
    dark = look(session, Question(2, (False, True, True, True), "zero")).seen
    assert "Grey is zero" in dark.note
    assert levels(dark).mean() == pytest.approx(127.5, abs=2)
    assert "Grey is zero" not in look(session, Question(2, (False, True, True, True), "mean")).seen.note


def test_the_perturbation_comes_before_the_bands_and_is_that_of_a_run(session: Session) -> None:
    question = Question(3, PRESENT, "zero", "gaussian_noise", 4)
    pixels = session.data.pixels(3, session.model.geometry)
    noisy = sb.perturbation("gaussian_noise", severity=4)(pixels[None], ids=[session.data.ids[3]], seed=session.seed)
    expected = sb.coalition_images(noisy, BANDS, torch.tensor([PRESENT]), "zero")[0, 0]
    assert float((seen_by_model(session, question) - expected).abs().max()) < 1e-6
    assert float((noisy - pixels).abs().max()) > 0.05


def test_an_attack_leads_away_from_the_models_own_answer(session: Session) -> None:
    clean = look(session, Question(0, ALL))
    attacked = look(session, Question(0, ALL, "mean", "fgsm_linf", 5))
    assert attacked.answers[0].index != clean.answers[0].index
    moved = session.perturbed(Question(0, ALL, "mean", "fgsm_linf", 5)) - session.photos.get(0).pixels
    assert float(moved.abs().max()) == pytest.approx(16 / 255, abs=1e-5)


def test_every_perturbation_that_is_offered_can_be_had_at_each_of_its_levels(session: Session) -> None:
    assert {"gaussian_noise", "jpeg_compression", "spatter", "fgsm_linf", "pgd_linf", "noise_linf"} <= set(
        session.perturbations
    )
    steps = {name: choice.build(1, session.model).settings["steps"] for name, choice in session.perturbations.items()
             if choice.perturbation == "pgd_linf"}  # fmt: skip
    assert steps == {"pgd_linf": 3, "pgd_linf-20": 20}
    for name, steps_of in steps.items():
        assert f"{steps_of} steps" in session.perturbations[name].title
    for name, choice in session.perturbations.items():
        assert len(choice.levels) == 5 and choice.title and choice.hint
        for level in (1, 5):
            perturbed = session.perturbed(Question(0, ALL, "mean", name, level))
            assert perturbed.shape == (3, SIDE, SIDE) and 0 <= float(perturbed.min()) <= float(perturbed.max()) <= 1


def test_band_pictures_show_the_middle_of_each_band(session: Session) -> None:
    parts = sb.band_images(session.photos.get(2).pixels[None], BANDS)[0]
    pictures = band_pictures(session, Question(2, ALL))
    assert len(pictures) == BANDS
    assert levels(pictures[0]) == pytest.approx((parts[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy(), abs=1)
    for part, picture in zip(parts[1:], pictures[1:], strict=True):
        expected = ((0.5 + picture.gain * part).clamp(0, 1) * 255).permute(1, 2, 0).numpy()
        assert np.abs(levels(picture) - expected).max() <= 1
        assert picture.gain >= 1


@pytest.mark.parametrize(
    "question, said",
    [
        (Question(0, (True,) * 3), "expected 4 bands"),
        (Question(99, ALL), "expected a photo's number from 0 to 12, got 99"),
        (Question(-1, ALL), "got -1"),
        (Question("nowhere", ALL), "drop it in again"),
        (Question(0, ALL, "men"), "did you mean mean"),
        (Question(0, ALL, "mean", "rain"), "expected a perturbation out of gaussian_noise"),
        (Question(0, ALL, "mean", "snow", 6), "from 1 to 5, got 6"),
    ],
)
def test_questions_that_do_not_fit_are_refused(session: Session, question: Question, said: str) -> None:
    with pytest.raises(InputError, match=said):
        look(session, question)


def test_a_photo_that_cannot_be_read_is_named(session: Session) -> None:
    with pytest.raises(BadImageError) as caught:
        look(session, Question(session.data.ids.index("c/torn.png"), ALL))
    assert caught.value.image == "c/torn.png"


def test_outputs_that_are_not_finite_are_refused() -> None:
    def without_colour(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x.mean((2, 3)) < 0.01, torch.nan, x.mean((2, 3)))

    pixels = torch.stack([torch.from_numpy(np.random.default_rng(i).random((3, 16, 16), np.float32)) for i in range(3)])
    with open_session(open_model(without_colour), open_data(pixels), torch.device("cpu"), bands=4) as session:
        look(session, Question(0, ALL, "zero"))
        with pytest.raises(ModelOutputError, match="finite logits"):
            look(session, Question(0, (False, True, True, True), "zero"))


@pytest.mark.parametrize("bands, said", [(1, "2 to 12 bands"), (13, "2 to 12 bands"), (10, "largest number")])
def test_bands_that_do_not_fit_are_refused_at_the_start(session: Session, bands: int, said: str) -> None:
    with (
        pytest.raises(InputError, match=said),
        open_session(session.model, session.data, torch.device("cpu"), bands=bands),
    ):
        pass


def test_an_uploaded_photo_has_noise_and_a_donor_of_its_own(session: Session) -> None:
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)
    photo = session.photos.add(png(image))
    none = (False,) * BANDS
    donor = seen_by_model(session, Question(photo.key, none, "donor"))
    known = [session.data.pixels(i, session.model.geometry) for i in range(12)]
    assert min(float((donor - other).abs().max()) for other in known) < 1e-5
    noise = seen_by_model(session, Question(photo.key, none, "noise"))
    assert float((noise - seen_by_model(session, Question(0, none, "noise"))).abs().max()) > 0.05
    found = look(session, Question(photo.key, ALL))
    assert found.label is None
    assert np.array_equal(levels(found.seen), image)
