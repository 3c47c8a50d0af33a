"""Wrong input: each case with the one line that is said; nothing is written, no model is played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

import spectrobe as sb
from spectrobe.errors import InputError, SpectrobeError
from tests.toys import PLAIN, SHAPE, Counting, NamedData, linear, pixels, planted

Call = dict[str, Any]


def setting(**changed: Any) -> Callable[[Call], None]:
    return lambda call: call.update(changed)


def images(change: Callable[[Tensor], Any]) -> Callable[[Call], None]:
    def changed(call: Call) -> None:
        x, labels = call["data"]
        call["data"] = (change(x), labels)

    return changed


def labels(change: Callable[[Tensor], Any]) -> Callable[[Call], None]:
    def changed(call: Call) -> None:
        x, given = call["data"]
        call["data"] = (x, change(given))

    return changed


class Sizes(Dataset):  # type: ignore[type-arg]
    """Images of two sizes."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return pixels(1, (3, 16, 16 if index < 4 else 20))[0], index % 3


def with_value_at(position: int, number: int) -> Callable[[Tensor], Tensor]:
    def changed(given: Tensor) -> Tensor:
        given = given.clone()
        given[position] = number
        return given

    return changed


def spoilt(x: Tensor) -> Tensor:
    x = x.clone()
    x[3, 0, 5, 5] = float("nan")
    return x


CASES: dict[str, tuple[Callable[[Call], None], str]] = {
    # the game
    "unknown value": (setting(value="usable-infomation"), r"expected a value out of .*did you mean usable-information"),
    "unknown absence": (setting(absence="doner"), r"expected an absence out of .*did you mean donor"),
    "unknown design": (setting(design="sampled"), r"expected design 'exact', 'permutation' or 'auto', got 'sampled'"),
    "one band": (setting(bands=1), r"at least 2 bands, since a game needs two players, got 1"),
    "no bands": (setting(bands=0), r"expected a whole number of bands, at least 1, got 0"),
    "bands of no form": (setting(bands="eight"), r"expected bands such as 8, .*got 'eight'"),
    "bands of None": (setting(bands=None), r"expected bands such as 8, .*got None"),
    "too many bands": (setting(bands=13), r"costs 8,192 forward passes an image: use design='permutation'.*--force"),
    "far too many": (setting(bands=17, force=True), r"at most 16 bands, got 17 \(131,072 forward passes an image\)"),
    "permutation of 21": (setting(bands=21, design="permutation"), r"at most 20 bands in the permutation design"),
    "more bands than the image has": (
        setting(bands=12),
        r"empty on images of 16 x 16 pixels: the largest number .* is 9",
    ),
    "falling edges": (setting(bands="edges:0,.5,.3,1"), r"edges that rise from 0 to 1"),
    # how it is run
    "one image wanted": (setting(images=1), r"expected at least 2 images, a whole number, got 1"),
    "half an image": (setting(images=4.5), r"expected at least 2 images, a whole number, got 4\.5"),
    "more images than there are": (setting(images=11), r"at most 10 images, which tensors has, got images=11"),
    "no tolerance": (
        setting(tolerance=0),
        r"expected a tolerance above 0 \(half-width of the score's interval\), got 0",
    ),
    "tolerance in words": (setting(tolerance="small"), r"expected a tolerance above 0 .*, got 'small'"),
    "endless tolerance": (setting(tolerance=float("inf")), r"expected a tolerance above 0 .*, got inf"),
    "confidence in percent": (setting(confidence=95), r"confidence between 0\.5 and 1, such as 0\.95, got 95"),
    "seed of a half": (setting(seed=0.5), r"expected a whole number as seed, got 0\.5"),
    "seed in words": (setting(seed="zero"), r"expected a whole number as seed, got 'zero'"),
    "unknown precision": (
        setting(precision="fp16"),
        r"expected precision 'auto', 'float32', 'tf32' or 'bfloat16', got 'fp16'",
    ),
    "precision of callables": (setting(precision="bfloat16"), r"expected precision float32, got bfloat16"),
    "no batch": (setting(batch_size=0), r"expected batch_size 'auto' or a whole number, at least 1, got 0"),
    "unknown device": (setting(device="gpu"), r"expected device auto, cpu, .*got 'gpu'"),
    "fewer than no workers": (setting(workers=-1), r"expected workers to be 0 or more, got -1"),
    "bad images ignored": (setting(on_bad_image="ignore"), r"expected on_bad_image 'error' or 'skip', got 'ignore'"),
    # the data
    "one image": (setting(data=(pixels(1), [0])), r"expected at least 2 images, got 1 in tensors"),
    "more labels than images": (images(lambda x: x[:1]), r"expected 1 labels, one an image, got 10"),
    "floats above 1": (images(lambda x: x * 255), r"expected float pixels in \[0, 1\] or uint8.*before normalisation"),
    "floats below 0": (images(lambda x: x - 0.5), r"expected float pixels in \[0, 1\] or uint8.*before normalisation"),
    "NaN in a pixel": (images(spoilt), r"expected float pixels in \[0, 1\] or uint8.*got floats in \[nan"),
    "whole numbers": (
        images(lambda x: (x * 255).to(torch.int64)),
        r"expected float pixels in \[0, 1\] or uint8.*int64",
    ),
    "channels last": (images(lambda x: x.permute(0, 2, 3, 1)), r"looks like \(N, H, W, C\).*permute\(0, 3, 1, 2\)"),
    "no batch axis": (images(lambda x: x[0]), r"got a tuple \(Tensor \(3, 16, 16\), Tensor \(10,\)\)"),
    "a flat image": (
        images(lambda x: torch.cat([x[:9], torch.full((1, *SHAPE), 0.5)])),
        r"image 9: flat: all its pixels",
    ),
    "mixed sizes": (
        setting(data=Sizes()),
        r"image 4 is \(3, 16, 20\), image 2 is .*: expected one size for all; .*--size",
    ),
    "too few labels": (labels(lambda y: y[:9]), r"expected 10 labels, one an image, got 9"),
    "a label too high": (
        labels(with_value_at(4, 7)),
        r"expected labels from 0 to 3, the model's 4 classes, got 0 to 7: give a class map",
    ),
    "a label below 0": (labels(with_value_at(4, -1)), r"has label -1, expected 0"),
    "one-hot labels": (labels(lambda y: torch.eye(4)[y]), r"expected integer labels.*argmax\(1\)"),
    "labels of floats": (labels(lambda y: y.float()), r"expected integer labels of shape \(N,\), got float32"),
    "no labels": (
        setting(data=pixels(6)),
        r"tensors has no labels \(.*\), which value 'usable-information' needs.*agreement",
    ),
    "one class": (
        labels(lambda y: torch.zeros_like(y)),
        r"the 10 images are all of one class \(0\).*--value agreement",
    ),
    "no such folder": (setting(data="/no/such/folder"), r"no such folder: '/no/such/folder'"),
    "no data at all": (setting(data=None), r"expected data to be a folder"),
    # the model
    "an unknown scheme": (setting(model="tim:resnet18"), r"unknown model scheme tim:.*nearest name is timm"),
    "a model without scheme": (setting(model="resnet18"), r"expected a model such as timm:resnet50, got 'resnet18'"),
    "a class": (setting(model=torch.nn.Identity), r"the class Identity: give an instance"),
    "no model": (setting(model=None), r"expected a model"),
    "one logit": (setting(model=lambda x: x.mean((1, 2, 3))[:, None]), r"at least 2 logits an image, got 1 \(K = 1\)"),
    "a feature map": (setting(model=lambda x: x), r"expected logits \(10, K\), got shape.*no classifier"),
    "class indices": (
        setting(model=lambda x: x.mean((2, 3)).argmax(1)),
        r"expected floating logits, got torch.int64: return scores",
    ),
    "a model that fails": (setting(model=lambda x: x @ torch.ones(3)), r"failed on images of shape \(10, 3, 16, 16\)"),
    "NaN on intact images": (setting(model=lambda x: x.mean((2, 3)) / 0 * 0), r"finite logits, got NaN or infinity"),
    "another number of channels": (
        setting(model=torch.nn.Conv2d(1, 4, 3)),
        r"Conv2d failed on images .* to have 1 channels, but got 3",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_nothing_written(name: str, tmp_path: Path) -> None:
    change, said = CASES[name]
    net, data = planted(10)
    model = Counting(net)
    call: Call = {"model": model, "data": data, **PLAIN}
    change(call)
    with pytest.raises(SpectrobeError, match=said) as caught:
        sb.decompose(call.pop("model"), call.pop("data"), out=tmp_path / "run", **call)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert not (tmp_path / "run").exists()
    assert model.images <= 24 + 3 * 4 + 1  # the self-check at most


def test_thirteen_bands_are_forced_at_their_price() -> None:
    net, (x, given) = planted(2, (1, 26, 26))
    found = sb.decompose(net, (x, given), **PLAIN | {"bands": 13, "force": True, "batch_size": 256, "value": "margin"})
    assert found.forward_passes == 2 * (2**13 - 1) + 1
    assert found.shapley.shape == (13,)


def test_the_largest_number_of_bands_that_works_is_named() -> None:
    with pytest.raises(InputError) as caught:
        sb.decompose(*planted(4, (3, 7, 9)), **PLAIN | {"bands": 9})
    most = max(
        int(number) for number in str(caught.value).replace(",", " ").replace(":", " ").split() if number.isdigit()
    )
    assert "9" in str(caught.value) and most >= 4
    for bands in (4, 3):
        assert sb.decompose(*planted(4, (3, 7, 9)), **PLAIN | {"bands": bands}).shapley.shape == (bands,)


def test_flat_and_broken_images_can_be_left_out() -> None:
    net, (x, given) = planted(10)
    x[2] = 0.5
    data = NamedData(x, given, [f"image {i}" for i in range(10)], bad=["image 7"])
    for number in (2, 7):
        alone = NamedData(x[[0, number]], given[[0, number]], ["fine", f"image {number}"], bad=["image 7"])
        with pytest.raises(
            InputError, match=f"image {number}: .*; mend or remove it, or leave it out with --on-bad-image"
        ):
            sb.decompose(net, alone, **PLAIN | {"value": "agreement"})
    found = sb.decompose(net, data, on_bad_image="skip", **PLAIN)
    assert found.n_images == 8 and set(found.skipped) == {"image 2", "image 7"}
    kept = [i for i in range(10) if i not in (2, 7)]
    assert found.table().position.tolist() == kept


@pytest.mark.parametrize("good", [0, 1])
def test_too_few_readable_images(good: int) -> None:
    net, (x, given) = planted(6)
    ids = [f"image {i}" for i in range(6)]
    data = NamedData(x, given, ids, bad=ids[good:])
    said = "none of the first 6 images of named can be used" if good == 0 else "at least 2 readable images, got 1"
    with pytest.raises(InputError, match=said):
        sb.decompose(net, data, on_bad_image="skip", **PLAIN)


def test_one_class_and_no_labels_are_fine_for_agreement() -> None:
    x = pixels(8)
    for data in (x, (x, torch.zeros(8, dtype=torch.int64)), (x, None), (x.numpy(), np.zeros(8, int))):
        found = sb.decompose(linear(), data, **PLAIN | {"value": "agreement"})
        assert found.values[-1] == 1.0


def test_a_subset_of_one_class_is_refused_too() -> None:
    net, (x, given) = planted(40)
    whole = sb.decompose(net, (x, given), **PLAIN)
    first = [int(name) for name in whole.about()["images"][:2]]
    same = given.clone()
    same[first] = 1
    with pytest.raises(InputError, match=r"the 2 images are all of one class \(1\)"):
        sb.decompose(net, (x, same), **PLAIN | {"images": 2})


def test_a_label_too_high_beyond_the_self_checks_sample() -> None:
    net, (x, given) = planted(60)
    last = int(sb.decompose(net, (x, given), **PLAIN).about()["images"][-1])
    given[last] = 9
    with pytest.raises(InputError, match=f"image {last} of tensors has label 9, expected 0 to 3.*--class-map"):
        sb.decompose(net, (x, given), **PLAIN)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpectrobeError, match=r"cannot make or write this folder .*choose another --out"):
        sb.decompose(*planted(4), out=tmp_path / "file/run", **PLAIN)
