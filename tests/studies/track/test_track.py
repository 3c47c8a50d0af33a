"""Profiles over checkpoints: the numbers of decompose, a folder that goes on, and what cannot be measured."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import spectrobe as sb
from spectrobe.errors import InputError, RunFolderError
from tests.toys import SHAPE, Recorder, labels_of, linear, pixels

pytestmark = pytest.mark.slow

PLAY: dict[str, Any] = {"bands": 3, "absence": "mean", "precision": "float32", "batch_size": 32}
X = pixels(60)
NETS = {f"epoch={epoch}": linear(seed=1, scale=0.5 * (epoch + 1)) for epoch in (0, 2, 10)}
DATA = X, labels_of(NETS["epoch=10"], X, wrong=0.05)


@pytest.fixture
def ckpts(tmp_path: Path) -> Path:
    folder = tmp_path / "ckpts"
    folder.mkdir()
    for name, net in NETS.items():
        save_file(net.state_dict(), folder / f"{name}.safetensors")
    return folder


def fresh() -> nn.Module:
    return linear(seed=5)


def test_each_checkpoint_is_decomposed_on_the_same_images(ckpts: Path) -> None:
    model = fresh()
    before = copy.deepcopy(model.state_dict())
    found = sb.track(model, DATA, ckpts, **PLAY)
    assert found.names == ("epoch=0", "epoch=2", "epoch=10") and found.failed == {}
    for name, result in zip(found.names, found.results, strict=True):
        alone = sb.decompose(NETS[name], DATA, value="usable-information", design="exact", **PLAY)
        assert np.array_equal(result.shapley, alone.shapley) and result.scores == alone.scores
    assert found.shapley.shape == found.stderr.shape == (3, 3) and found.interval.shape == (3, 3, 2)
    assert found.results[0].model_name == "Sequential at epoch=0"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_change_is_paired(ckpts: Path) -> None:
    found = sb.track(fresh(), DATA, ckpts, **PLAY)
    first, last = found.results[0], found.results[-1]
    assert found.change is not None and found.change.n_images == 60
    assert np.allclose(found.change.difference, last.shapley - first.shapley, atol=1e-12)
    paired = sb.compare(first, last)
    assert np.allclose(found.change.simultaneous, paired.simultaneous)
    alone = sb.track(fresh(), DATA, ckpts / "epoch=0.safetensors", **PLAY)
    assert alone.change is None and alone.sentence() == "One checkpoint shows no change."


def test_a_sentence_says_which_bands_changed_or_that_none_is_seen_to(ckpts: Path) -> None:
    save_file({"1.weight": torch.zeros(4, int(np.prod(SHAPE))), "1.bias": torch.zeros(4)}, ckpts / "a.safetensors")
    order = [ckpts / "a.safetensors", ckpts / "epoch=10.safetensors"]
    grown = sb.track(fresh(), DATA, order, **PLAY)
    assert grown.change is not None
    bands = [str(i) for i in np.flatnonzero(grown.change.simultaneous[:, 0] > 0)]
    assert bands and f"Sequential takes more from band{'s' * (len(bands) > 1)} {bands[0]} (+" in grown.sentence()
    shrunk = sb.track(fresh(), DATA, order[::-1], **PLAY)
    assert "takes less from band" in shrunk.sentence()
    same = sb.track(fresh(), DATA, [order[1], ckpts / "epoch=10.safetensors"], **PLAY)
    assert same.names == ("epoch=10",)
    close = sb.track(fresh(), DATA, [ckpts / "epoch=2.safetensors", order[1]], **PLAY)
    assert close.sentence().endswith("no band changed by its simultaneous 95% interval: these images cannot tell.")


class TestFolder:
    def test_it_loads_again_with_its_tables(self, ckpts: Path, tmp_path: Path) -> None:
        found = sb.track(fresh(), DATA, ckpts, out=tmp_path / "run", **PLAY)
        again = sb.load(tmp_path / "run")
        assert isinstance(again, sb.TrackResult) and again.names == found.names
        assert np.array_equal(again.shapley, found.shapley) and again.change is not None and found.change is not None
        assert np.array_equal(again.change.simultaneous, found.change.simultaneous)
        assert again.results[1].with_value("accuracy").value == "accuracy"
        assert again.summary() == found.summary()
        frame = again.to_frame()
        assert len(frame) == 9 and frame["checkpoint"].tolist()[::3] == list(found.names)
        alone = sb.load(tmp_path / "run" / again.folders[0])
        assert np.array_equal(alone.shapley, found.shapley[0])

    def test_a_later_call_measures_what_is_new(self, ckpts: Path, tmp_path: Path) -> None:
        first, last = ckpts / "epoch=0.safetensors", ckpts / "epoch=10.safetensors"
        one = sb.track(fresh(), DATA, first, out=tmp_path / "run", **PLAY)
        recorder = Recorder()
        both = sb.track(fresh(), DATA, [first, last], out=tmp_path / "run", progress=recorder, **PLAY)
        assert [note for note in recorder.notes if note.startswith("checkpoint")] == ["checkpoint 1 of 1: epoch=10"]
        assert recorder.advanced == recorder.expected == 60 * 7
        assert np.array_equal(both.shapley[0], one.shapley[0])
        whole = sb.track(fresh(), DATA, [first, last], **PLAY)
        assert np.array_equal(both.shapley, whole.shapley)

    def test_weights_under_the_same_name_are_other_weights(self, ckpts: Path, tmp_path: Path) -> None:
        sb.track(fresh(), DATA, ckpts, out=tmp_path / "run", **PLAY)
        save_file(linear(seed=8).state_dict(), ckpts / "epoch=2.safetensors")
        found = sb.track(fresh(), DATA, ckpts, out=tmp_path / "run", **PLAY)
        wanted = sb.decompose(linear(seed=8), DATA, value="usable-information", design="exact", **PLAY)
        assert np.array_equal(found.shapley[1], wanted.shapley)

    def test_other_settings_and_other_images_are_refused(self, ckpts: Path, tmp_path: Path) -> None:
        sb.track(fresh(), DATA, ckpts, out=tmp_path / "run", **PLAY)
        with pytest.raises(RunFolderError, match=r"absence: there 'mean', now 'zero'"):
            sb.track(fresh(), DATA, ckpts, out=tmp_path / "run", **(PLAY | {"absence": "zero"}))
        with pytest.raises(RunFolderError, match="pixels are others"):
            sb.track(fresh(), (1 - DATA[0], DATA[1]), ckpts, out=tmp_path / "run", **PLAY)
        with pytest.raises(RunFolderError, match="holds a run of track, not of decompose"):
            sb.decompose(fresh(), DATA, out=tmp_path / "run", **PLAY)

    def test_what_is_settled_for_one_is_taken_for_all(self, ckpts: Path, tmp_path: Path) -> None:
        settings = {name: value for name, value in PLAY.items() if name not in ("precision", "batch_size")}
        found = sb.track(fresh(), DATA, ckpts, out=tmp_path / "run", **settings)
        settled = [result.about()["settled"] for result in found.results]
        assert len({(one["precision"], one["batch_size"]) for one in settled}) == 1
        assert settled[0]["why"] != "asked for" and settled[1]["why"] == "asked for"


class TestModels:
    def test_a_model_string_is_given_each_checkpoint(self, ckpts: Path, tmp_path: Path) -> None:
        (tmp_path / "nets.py").write_text("from tests.toys import linear\n")
        found = sb.track(f"python:{tmp_path}/nets.py:linear", DATA, ckpts, **PLAY)
        assert np.array_equal(found.shapley, sb.track(fresh(), DATA, ckpts, **PLAY).shapley)

    def test_a_place_for_the_file_in_the_model_string(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            (tmp_path / f"{name}.py").write_text(
                f"from tests.toys import linear\nnet = linear(seed={len(name) + (name == 'two')})\n"
            )
        files = [tmp_path / "one.py", tmp_path / "two.py"]
        found = sb.track("python:{checkpoint}:net", DATA, files, **PLAY)
        wanted = [sb.decompose(linear(seed=seed), DATA, **PLAY).shapley for seed in (3, 4)]
        assert np.array_equal(found.shapley, np.stack(wanted))

    def test_what_lightning_saves(self, ckpts: Path, tmp_path: Path) -> None:
        state = {f"net.{name}": value for name, value in NETS["epoch=10"].state_dict().items()}
        torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 0.1}}, tmp_path / "last.ckpt")
        found = sb.track(fresh(), DATA, tmp_path / "last.ckpt", **PLAY)
        assert np.array_equal(found.shapley[0], sb.track(fresh(), DATA, ckpts, **PLAY).shapley[2])


class TestWhatCannotBeMeasured:
    def test_it_is_named_and_the_others_go_on(self, ckpts: Path, tmp_path: Path) -> None:
        (ckpts / "epoch=5.pt").write_bytes(b"torn")
        save_file({"1.weight": torch.zeros(7, 768), "1.bias": torch.zeros(7)}, ckpts / "epoch=6.safetensors")
        found = sb.track(fresh(), DATA, ckpts, out=tmp_path / "run", **PLAY)
        assert found.names == tuple(NETS) and list(found.failed) == ["epoch=5", "epoch=6"]
        assert "of 7" in found.failed["epoch=6"] or "has 7" in found.failed["epoch=6"]
        assert sb.load(tmp_path / "run").failed == found.failed
        assert "epoch=5: not measured (" in found.summary()

    def test_when_it_is_all_of_them_the_first_error_is_raised(self, tmp_path: Path) -> None:
        for name in ("a.pt", "b.pt"):
            (tmp_path / name).write_bytes(name.encode())
        with pytest.raises(InputError, match=r"a\.pt"):
            sb.track(fresh(), DATA, tmp_path / "*.pt", out=tmp_path / "run", **PLAY)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("settings, message", [
        ({"tolerance": 0.1}, "expected images, not tolerance"),
        ({"band": 3}, "unknown setting"),
        ({"value": "x"}, "expected a value out of"),
        ({"images": 1}, "at least 2 images"),
    ])  # fmt: skip
    def test_bad_settings(self, ckpts: Path, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            sb.track(fresh(), DATA, ckpts, out=tmp_path / "run", **(PLAY | settings))
        assert not (tmp_path / "run").exists()
