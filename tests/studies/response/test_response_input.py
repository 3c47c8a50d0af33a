"""What response refuses, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import spectrobe as sb
from spectrobe.errors import InputError
from tests.studies.response.cases import measure, one_band
from tests.toys import NamedData

BAD: list[tuple[dict[str, Any], str]] = [
    ({"perturbations": "gausian_noise:1"}, "did you mean gaussian_noise"),
    ({"perturbations": "pgd_linf:eps=8"}, "at most 1 in Linf"),
    ({"under": "imagenet-c:1"}, "expected one perturbation of the cut-off images, .* got 15"),
    ({"under": "fog:9"}, "severity from 1 to 5"),
    ({"powers": 0}, "power .* above 0 and at most 1"),
    ({"powers": ()}, "at least one power"),
    ({"powers": (0.01, 16)}, "got 16"),
    ({"bands": "octave:3"}, "expected bands such as"),
    ({"bands": sb.BandPartition.square(4, dc="own")}, "dc='in-band'"),
    ({"bands": 1}, "at least 2 bands"),
    ({"bands": "octaves:4"}, "leave the mean alone in band 0 on images of 16 x 16"),
    ({"bands": 40}, "the largest number of square bands that works is"),
    ({"absence": "donor"}, "'mean' or 'zero', got 'donor'"),
    ({"absence": "grey"}, "expected an absence out of"),
    ({"heat_map": -1.0}, "heat_map as an L2 norm above 0"),
    ({"heat_map": 100.0}, "at most 16 at 16 x 16"),
    ({"heat_map": 1.0, "heat_map_step": 0}, "heat_map_step as a whole number of at least 1"),
    ({"heat_map": 1.0, "heat_map_step": 9}, "heat_map_step of at most 8"),
    ({"heat_map": 1.0, "heat_map_images": 1}, "heat_map_images as a whole number of at least 2"),
    ({"images": 1}, "images as a whole number of at least 2"),
    ({"images": 99}, "at most 40 images"),
    ({"confidence": 95}, "between 0.5 and 1"),
    ({"batch_size": 0}, "batch_size"),
    ({"on_bad_image": "ignore"}, "'error' or 'skip'"),
]


@pytest.mark.parametrize("settings,message", BAD, ids=[str(settings) for settings, _ in BAD])
def test_bad_input_is_named_and_writes_nothing(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    model, data = one_band(40)
    with pytest.raises(InputError, match=message):
        measure(model, data, **{"out": tmp_path / "run", **settings})
    assert not (tmp_path / "run").exists()


def test_labels_are_needed() -> None:
    model, (x, _) = one_band(40)
    with pytest.raises(InputError, match="no labels"):
        measure(model, NamedData(x, None, [str(i) for i in range(40)]))


def test_unreadable_images_are_left_out_when_asked_for() -> None:
    model, (x, labels) = one_band(40)
    ids = [f"{i}.png" for i in range(40)]
    torn = NamedData(x, labels, ids, bad=["3.png", "7.png"])
    found = measure(model, torn, on_bad_image="skip", heat_map=1.0, heat_map_step=8)
    assert sorted(found.skipped) == ["3.png", "7.png"] and found.n_images == 38
    assert found.heat_map is not None and found.heat_map.n_images == 38
    with pytest.raises(InputError, match=r"3\.png|7\.png"):
        measure(model, torn)


def test_an_attack_on_a_model_without_gradients_is_named() -> None:
    model, data = one_band(40)

    opened = sb.open_model(model)
    opened.differentiable = False
    found = measure(opened, data, "pgd_linf:eps=1/255,fog:1")
    assert set(found.failed) == {"pgd_linf:eps=1/255", "gradient power spectrum"}
    assert "does not give" in found.failed["gradient power spectrum"]
    assert "square_linf" in found.failed["pgd_linf:eps=1/255"]
