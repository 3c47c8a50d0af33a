"""Classes by name."""

from __future__ import annotations

import pytest
import torch

from spectrobe.data import open_data
from spectrobe.data.class_names import class_names
from spectrobe.data.labels import imagenet_wordnet_ids
from spectrobe.models import open_model

PIXELS = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_classes_are_called_what_the_model_calls_them() -> None:
    model = open_model(lambda x: x.mean((2, 3)), class_names=("x", "y", "z"), num_classes=3)
    assert class_names(model, open_data(PIXELS), 3) == ["x", "y", "z"]


def test_classes_without_a_name_have_their_number() -> None:
    model = open_model(lambda x: x.mean((2, 3)))
    assert class_names(model, open_data(PIXELS), 3) == ["class 0", "class 1", "class 2"]
    assert class_names(model, open_data(PIXELS), 1000)[7] == "class 7"


@pytest.mark.slow
def test_wordnet_ids_become_words_that_differ() -> None:
    pytest.importorskip("timm", reason="needs timm, which has the words")
    model = open_model(lambda x: x.mean((2, 3)))
    data = open_data(PIXELS)
    data.class_names = imagenet_wordnet_ids()
    names = class_names(model, data, 1000)
    assert names[22] == "bald eagle" and names[281] == "tabby"
    assert names[134] == "crane (n02012849)" and names[517] == "crane (n03126707)"
    assert len(set(names)) == 1000


def test_wordnet_ids_stay_where_nobody_knows_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spectrobe.data.class_names.find_spec", lambda name: None)
    data = open_data(PIXELS)
    data.class_names = imagenet_wordnet_ids()
    assert class_names(open_model(lambda x: x.mean((2, 3))), data, 1000)[22] == "n01614925"


def test_without_a_model_the_datas_names_stand() -> None:
    data = open_data(PIXELS)
    assert class_names(None, data, 2) == ["class 0", "class 1"]
    data.class_names = ("x", "y")
    assert class_names(None, data, 2) == ["x", "y"]
