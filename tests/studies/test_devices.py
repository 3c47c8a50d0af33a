"""Studies with a model on a GPU, pretended where there is none: the same numbers as on the CPU."""

from __future__ import annotations

import numpy as np
import torch

from spectrobe.engine.evaluate import Shard
from spectrobe.engine.progress import Silent
from spectrobe.perturbations import parse_perturbations, perturbation
from spectrobe.studies.robustness.conditions import build
from spectrobe.studies.robustness.player import RobustnessPlayer
from spectrobe.studies.snr.study import snr_study
from tests.perturbations.test_devices import SMALL, Placed
from tests.pretended_device import pretended_device

ITEMS = "gaussian_noise:2,snow:3,pgd_linf:eps=8/255;steps=3,square_l2:eps=0.5;queries=10,noise_l2:eps=0.5"


def test_robustness_plays_on_the_device() -> None:
    shard = Shard(np.arange(3), ("a", "b", "c"), np.asarray([0, 1, 2]), SMALL)

    def played(device: torch.device) -> dict[str, np.ndarray]:
        model = Placed(device)
        items, refused = build(parse_perturbations(ITEMS), model)
        assert refused == {}
        player = RobustnessPlayer(model.forward, 6, tuple(items), True, 0, device, 2)
        return dict(player.play(shard, Silent()))

    expected = played(torch.device("cpu"))
    with pretended_device() as device:
        found = played(device)
    assert set(expected["failed"]) == {""} == set(found["failed"])
    for name in ("predicted", "right", "log_q", "l2", "linf", "clean_log_q"):
        np.testing.assert_array_equal(found[name], expected[name])


def test_attacks_of_an_snr_run_work_on_the_device() -> None:
    items = ("pgd_linf", {"steps": 3}), ("band_pgd_linf", {"steps": 3, "keep": 0, "bands": 2})

    def measured(device: torch.device) -> np.ndarray:
        attacks = [perturbation(name, eps=8 / 255, model=Placed(device), **settings) for name, settings in items]
        study = snr_study(SMALL, attacks, bands=3)
        assert all(result.failed == {} for result in study.results.values())
        return np.stack([[*result.db, result.delivered["fooled"]] for result in study.results.values()])

    expected = measured(torch.device("cpu"))
    with pretended_device() as device:
        np.testing.assert_array_equal(measured(device), expected)
