"""What a session says of itself before the first question."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest
import torch

from spectrobe import plugins
from spectrobe.data import open_data
from spectrobe.errors import InputError
from spectrobe.explore.looking import look
from spectrobe.explore.session import Question, Session, open_session
from spectrobe.explore.wire import described
from spectrobe.models import open_model
from tests.cli.calls import png
from tests.explore.conftest import NAMES, SIDE, model

PIXELS = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_a_sound_model_gives_no_warning(session: Session) -> None:
    assert session.warnings == []
    assert session.names == list(NAMES)


def test_what_looks_odd_is_a_warning_on_the_page() -> None:
    opened = open_model(lambda x: model(x).softmax(1))
    with open_session(opened, open_data(PIXELS), torch.device("cpu"), bands=4) as session:
        assert any("probabilities, not logits" in warning for warning in described(session)["warnings"])


def test_a_broken_package_is_named_and_takes_nothing_else_away(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = ("spectrobe.absences", "spectrobe.perturbations")
    points = EntryPoints([EntryPoint("broken", "no.such.module:Thing", group) for group in groups])
    monkeypatch.setattr(plugins, "entry_points", points.select)
    with open_session(open_model(model), open_data(PIXELS), torch.device("cpu"), bands=4) as session:
        assert sum("no.such.module" in warning for warning in session.warnings) == 2
        assert list(session.absences) == ["zero", "mean", "noise", "donor"]
        assert "snow" in session.perturbations and "broken" not in session.perturbations


def test_attacks_are_not_offered_where_no_gradient_reaches_the_pixels(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    helper, shape = onnx.helper, [None, 3, SIDE, SIDE]
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["z"], axes=[2, 3], keepdims=0)],
        "colour",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [None, 3])],
    )
    path = tmp_path / "colour.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    with open_session(open_model(f"onnx:{path}"), open_data(PIXELS), torch.device("cpu"), bands=4) as session:
        assert "noise_linf" in session.perturbations and "snow" in session.perturbations
        assert not {"fgsm_linf", "pgd_linf"} & set(session.perturbations)
        assert described(session)["model"] == "onnx:colour.onnx"  # not the folder it lies in
        photo = session.photos.add(png(np.full((SIDE, SIDE, 3), (250, 5, 5), dtype=np.uint8)))
        assert look(session, Question(photo.key, (True,) * 4)).answers[0].index == 0


def test_images_of_other_channels_are_refused() -> None:
    def four(x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))

    data = open_data(torch.rand(4, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))
    with (
        pytest.raises(InputError, match="1 or 3 channels"),
        open_session(open_model(four), data, torch.device("cpu"), bands=4),
    ):
        pass


def test_what_was_computed_is_remembered_within_bounds(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spectrobe.explore.session._REMEMBERED_BYTES", 0)
    for photo in range(10):
        look(session, Question(photo, (False, True, True, True)))
    assert len(session._remembered) == 6
    monkeypatch.undo()
    before = session.photos.get(3).pixels
    calls: list[int] = []
    monkeypatch.setattr(session, "_forward", lambda x: calls.append(len(x)) or model(x))
    for _ in range(3):
        look(session, Question(3, (True,) * 4))
    assert len(calls) == 1 + 3  # the intact photo once, and each question
    assert torch.equal(before, session.photos.get(3).pixels)
