"""Label noise: what is stored, what is refused, and what the result says."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spectrobe.data.label_noise import noisy_labels
from spectrobe.engine.progress import Silent
from spectrobe.errors import InputError, MissingExtraError, RunFolderError
from spectrobe.seeding import stream
from spectrobe.studies.label_noise.result import Departure, LabelNoiseResult, summarise
from spectrobe.studies.training.images import open_split
from spectrobe.studies.training.job import EpochFacts
from spectrobe.studies.training.readings import Stored
from tests.studies.training.small import run

pytest.importorskip("lightning")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> LabelNoiseResult:
    found: LabelNoiseResult = run("label_noise", tmp_path_factory.mktemp("runs") / "run", epochs=3, images=512)
    return found


def test_shapes_and_sums(result: LabelNoiseResult) -> None:
    assert result.shapley.shape == result.stderr.shape == (2, 2, 3, 4)
    assert np.allclose(result.shapley.sum(axis=3), result.information, atol=1e-9)
    assert np.allclose(result.profile, result.shapley.mean(axis=1), atol=1e-12)
    assert np.allclose(result.difference[0], (result.shapley[1] - result.shapley[0]).mean(axis=0), atol=1e-12)
    assert (result.profile_low < result.profile).all() and (result.profile < result.profile_high).all()
    assert not result.shapley.flags.writeable


def test_clean_labels_teach_more(result: LabelNoiseResult) -> None:
    clean, noisy = result.accuracy[:, :, -1].mean(axis=1)
    assert clean > noisy + 0.2
    assert result.information_band[0, 0, -1] > result.information_band[0, 1, -1]


def test_noise_is_verified_and_stored(result: LabelNoiseResult) -> None:
    train = open_split("digits", images=512, progress=Silent()).train
    for s, told in enumerate(result.noise[1]):
        again = noisy_labels(train.labels, 0.9, ids=train.ids, seed=stream(0, "label noise", s))
        assert told == again.to_dict() and told["share"] == told["changed"] / 512
        assert 0.8 < told["share"] < 1
    assert all(told["changed"] == 0 for told in result.noise[0])
    assert np.isnan(result.fitted[0]).all() and (result.fitted[1] >= 0).all()


def test_saved_and_loaded(result: LabelNoiseResult, tmp_path: Path) -> None:
    from spectrobe.engine.store import json_text, plain

    again = LabelNoiseResult.from_dict(plain(result.to_dict()))
    assert json_text(again.to_dict()) == json_text(result.to_dict())
    assert len(again.to_frame()) == 2 * 2 * 3 * 4


def test_words(result: LabelNoiseResult) -> None:
    told = result.summary()
    accuracy, fitted = result.accuracy[1, :, -1].mean(), result.fitted[1, :, -1].mean()
    assert f"accuracy on these images {accuracy:.3f}" in told and f"wrong labels fitted {fitted:.3f}" in told
    assert f"profiles on {result.n_images:,} of {result.n_held_out:,} clean held-out images" in told
    alone = replace(result, settings=replace(result.settings, seeds=1), departures=())
    assert "luck of a training" in alone.sentence()
    assert replace(result, demo=True).sentence().startswith("Demo, no evidence: ")
    none = replace(result, departures=())
    assert "with 90% of labels wrong none, as far as these trainings can tell" in none.sentence()
    one = Departure(0.9, 2, 3, -0.25, -0.4, -0.1)
    told = "(with the difference at the last epoch, nats): with 90% of labels wrong from epoch 3 on band 2 (-0.25)."
    assert told in replace(result, departures=(one,)).sentence()
    assert "over seeds and images, for all epochs and bands at once" in result.summary()
    assert "intervals over images, for all epochs" in alone.summary()


def test_the_summary_tells_shares_of_the_profile(result: LabelNoiseResult) -> None:
    lines = result.summary().splitlines()
    at = lines.index("shares of the profile at the last epoch, bands 0 to 3 (mean over seeds, lowest to highest seed):")
    for rate, shares, line in zip((0, 0.9), result.shares[:, :, -1], lines[at + 1 :], strict=False):
        first, last = (
            f"{band.mean():.2f} ({band.min():.2f} to {band.max():.2f})" for band in (shares[:, 0], shares[:, 3])
        )
        assert line.startswith(f"rate {rate:g}: {first}, ") and line.endswith(f", {last}") and line.count("to") == 4
    nothing = replace(result, shapley=-np.abs(result.shapley))
    assert "rate 0.9: not defined" in nothing.summary()
    one = replace(result, settings=replace(result.settings, seeds=1), shapley=result.shapley[:, :1])
    assert "bands 0 to 3:\nrate 0: " in one.summary()


def summarised(result: LabelNoiseResult, profiles: np.ndarray, spread: float) -> LabelNoiseResult:
    """Of profiles (R, S, E, M) on 200 images that spread so much about them, the same ones at every rate and seed."""
    seeds, draws = profiles.shape[1], np.random.default_rng(1).normal(0, spread, (200, profiles.shape[3]))
    draws -= draws.mean(axis=0)

    def reading(phi: np.ndarray) -> Stored:
        rows = phi + draws
        return Stored((), np.ones(200, bool), rows, rows.sum(axis=1), 0.5, 0.1, EpochFacts(1.0, 0.8, np.nan))

    made = [[[reading(phi) for phi in of_seed] for of_seed in of_rate] for of_rate in profiles]
    facts = {name: getattr(result, name) for name in (
        "data_name", "held_out_name", "demo", "n_train", "n_held_out", "n_classes", "design", "image_size",
        "forward_passes",
    )}  # fmt: skip
    noise = tuple((row[0],) * seeds for row in result.noise)
    return summarise(made, replace(result.settings, seeds=seeds), noise, facts, ())


def test_shares_say_where_the_profile_moves(result: LabelNoiseResult) -> None:
    """Three seeds, four epochs: noise takes the same part of all bands but of band 1, which loses all at epoch 3."""
    clean = np.tile([2.0, 1.0, 1.0, -0.1], (3, 4, 1)) + np.random.default_rng(0).normal(0, 0.01, (3, 4, 4))
    noisy = clean / 5
    noisy[:, 2:, 1] = 0
    made = summarised(result, np.stack([clean, noisy]), 0.1)
    assert np.allclose(made.shares.sum(axis=3), 1)
    assert made.shares[0, 0, 0] == pytest.approx([0.5, 0.25, 0.25, 0], abs=0.01)
    assert [(one.band, one.epoch) for one in made.moves] == [(0, 3), (1, 3), (2, 3)]
    assert [one.difference for one in made.moves] == pytest.approx([0.17, -0.25, 0.08], abs=0.02)
    assert "share of the profile does: with 90% of labels wrong from epoch 3 on bands 0 (+0.17)" in made.sentence()
    nothing = summarised(result, np.stack([clean, -np.abs(noisy) - 0.01]), 0.1)
    assert np.isnan(nothing.shares[1]).all() and nothing.moves == ()
    assert summarised(result, np.stack([clean, noisy])[:, :1], 0.1).moves == ()  # one seed cannot tell


def test_images_that_spread_widen_what_shares_and_score_say(result: LabelNoiseResult) -> None:
    """Seeds alike but for .01, images not: what shares move is then known as well as the images tell, and no better."""
    clean = np.tile([2.0, 1.0, 1.0, 0.5], (3, 4, 1)) + np.random.default_rng(0).normal(0, 0.01, (3, 4, 4))
    noisy = clean * [0.5, 0.4, 0.5, 0.4]
    few, many = (summarised(result, np.stack([clean, noisy]), spread) for spread in (0.1, 3.0))
    assert {one.band for one in few.moves} >= {0, 1} and many.moves == ()
    assert np.allclose(few.shares, many.shares)
    narrow, wide = (made.score_band[2] - made.score_band[1] for made in (few, many))
    assert (wide > 10 * narrow).all()


def test_a_result_without_moves_is_older_and_refused(result: LabelNoiseResult) -> None:
    from spectrobe.engine.store import plain

    content = plain(result.to_dict())
    del content["moves"]
    with pytest.raises(RunFolderError, match="older spectrobe, without `moves`: delete it, and the same call makes it"):
        LabelNoiseResult.from_dict(content)


@pytest.mark.parametrize(
    "more, said",
    [
        ({"rates": [0, 1.2]}, r"in \[0, 1\], got 1.2"),
        ({"rates": [0, -0.1]}, r"in \[0, 1\], got -0.1"),
        ({"rates": ["0.2", 0]}, r"in \[0, 1\], got '0.2'"),
        ({"rates": 0.2}, "0 among them.* got 0.2"),
        ({"rates": [0.2, 0.4]}, "0 among them"),
        ({"rates": [0, 0.2, 0.2]}, "rates that differ"),
        ({"kind": "odd"}, "symmetric or class-pair"),
        ({"seeds": 0}, "seeds of at least 1"),
        ({"epochs": 0}, "epochs of at least 1"),
        ({"arch": "vit"}, "expected arch resnet or cnn"),
        ({"arch": "resnet:0"}, "width of 1 to 256"),
        ({"bands": 8}, "square bands that works is 5"),
        ({"forward_passes": 20}, "forward passes"),
        ({"precision": "half"}, "auto, float32, bfloat16"),
        ({"device": "cuda:77"}, "device 'cuda:77'"),
        ({"absence": "donor"}, "same for all images"),
        ({"value": "surprise"}, "expected a value out of"),
        ({"rate": 0.0}, "learning rate above 0"),
    ],
)
def test_refused_before_anything_is_written(more: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        run("label_noise", tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


def test_without_lightning_the_install_command_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spectrobe\[train\]'"):
        run("label_noise", tmp_path / "run")


def test_a_budget_is_told_and_nothing_kept(tmp_path: Path) -> None:
    notes: list[str] = []

    class Told:
        def note(self, text: str) -> None:
            notes.append(text)

        def expect(self, forward_passes: int) -> None:
            raise AssertionError("nothing is to be done")

        def advance(self, forward_passes: int) -> None:
            raise AssertionError("nothing is to be done")

    assert run("label_noise", tmp_path / "run", budget_only=True, progress=Told()) is None
    assert "4 trainings of 2 epochs on 256 images" in notes[-1] and "8 readings of" in notes[-1]
    assert not (tmp_path / "run").exists()
