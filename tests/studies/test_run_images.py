"""A run goes on, and a finished one is given back, on the very same images alone: one changed pixel is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import spectrobe as sb
from spectrobe.engine.absence import Donor, Surroundings
from spectrobe.errors import RunFolderError
from tests.studies.runs import (
    N_IMAGES,
    PER_SHARD,
    ROWS,
    Stopped,
    change,
    files,
    order_of,
    pictures,
    run,
    small_shards,
    stopping,
)
from tests.toys import PLAIN, planted

STUDIES = list(ROWS)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    small_shards(monkeypatch)


@pytest.mark.parametrize("study", STUDIES)
def test_a_changed_image_is_refused_before_anything_is_mixed(study: str, tmp_path: Path) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    order = order_of(study, data, tmp_path / "whole")
    with stopping("shard done"), pytest.raises(Stopped):
        run(study, data, out)
    before = files(out)
    assert sum(name.endswith(".parquet") for name in before) == 1
    restore = change(data, order[1])
    with pytest.raises(
        RunFolderError, match=rf"holds a run on other images \(1 of \d+ changed since: {order[1]}\): choose another"
    ) as caught:
        run(study, data, out)
    assert "\n" not in str(caught.value)
    assert files(out) == before
    restore()
    run(study, data, out)
    assert (out / "result.json").read_bytes() == (tmp_path / "whole/result.json").read_bytes()


@pytest.mark.parametrize("study", STUDIES)
def test_a_finished_run_is_not_given_back_for_other_images(study: str, tmp_path: Path) -> None:
    data = pictures(tmp_path / "images")
    order = order_of(study, data, tmp_path / "run")
    before = files(tmp_path / "run")
    restore = [change(data, image) for image in (order[-1], order[0], order[3], order[5])]
    with pytest.raises(RunFolderError, match=rf"4 of {N_IMAGES} changed since: \S+, \S+, \S+ and 1 more"):
        run(study, data, tmp_path / "run")
    for one in restore:
        one()
    run(study, data, tmp_path / "run")
    assert files(tmp_path / "run") == before


@pytest.mark.parametrize("study", ["snr", "robustness"])
def test_changed_stored_versions_are_noticed(study: str, tmp_path: Path) -> None:
    data = pictures(tmp_path / "images")
    noisy = pictures(tmp_path / "noisy", noisy=True)
    order = order_of(study, data, tmp_path / "run")
    change(noisy, order[2])
    with pytest.raises(RunFolderError, match=rf"other images \(1 of {N_IMAGES} changed since: {order[2]}\)"):
        run(study, data, tmp_path / "run")


def test_an_image_of_a_shard_to_come_may_change(tmp_path: Path) -> None:
    """It is played as it is now, as in a run that begins now; but the mean image must not have come from it."""
    data = pictures(tmp_path / "images")
    order = order_of("decompose", data, tmp_path / "before")
    for absence, goes_on in (("zero", True), ("mean", False)):
        out = tmp_path / absence
        with stopping("shard done"), pytest.raises(Stopped):
            run("decompose", data, out, absence=absence)
        restore = change(data, order[PER_SHARD + 1])
        if goes_on:
            run("decompose", data, out, absence=absence)
            run("decompose", data, tmp_path / "now", absence=absence)
            assert (out / "result.json").read_bytes() == (tmp_path / "now/result.json").read_bytes()
        else:
            with pytest.raises(RunFolderError, match=rf"changed since: {order[PER_SHARD + 1]}\)"):
                run("decompose", data, out, absence=absence)
        restore()


@pytest.mark.parametrize("absence", ["mean", "noise", "donor"])
def test_images_that_absences_were_made_from_are_noticed(absence: str, tmp_path: Path) -> None:
    """Also those that are not played themselves."""
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    order = order_of("decompose", data, tmp_path / "whole")
    run("decompose", data, out, absence=absence, images=4)
    said = []
    for image in order[4:8]:
        restore = change(data, image)
        try:
            run("decompose", data, out, absence=absence, images=4)
        except RunFolderError as error:
            said.append(str(error).partition("changed since: ")[2].partition(")")[0])
        restore()
    ids = tuple(sorted(order))
    donor = Donor({}, Surroundings(ids, lambda positions: [], seed=0))
    donors = {ids[next(donor.donors(ids.index(image)))] for image in order[:4]}
    assert donors & set(order[4:8]) and donors != set(order[4:8])
    assert said == [image for image in order[4:8] if absence != "donor" or image in donors]


def test_images_left_out_are_noticed_when_they_are_mended(tmp_path: Path) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    order = order_of("robustness", data, tmp_path / "whole")
    sound = (data / order[0]).read_bytes()
    (data / order[0]).write_bytes(b"\0" * len(sound))
    found = run("robustness", data, out, on_bad_image="skip")
    assert list(found.skipped) == [order[0]]
    (data / order[0]).write_bytes(sound)
    with pytest.raises(RunFolderError, match=rf"changed since: {order[0]}\)"):
        run("robustness", data, out, on_bad_image="skip")


def test_an_item_of_a_torch_dataset_is_noticed(tmp_path: Path) -> None:
    """Whose identity is that of its first three items."""
    net, (x, labels) = planted(10)
    items = [(image, int(label)) for image, label in zip(x, labels, strict=True)]
    sb.decompose(net, items, out=tmp_path / "run", **PLAIN)
    items[7] = (items[7][0].clone(), items[7][1])
    items[7][0][0, 0, 0] += 0.01
    with pytest.raises(RunFolderError, match=r"other images \(1 of 10 changed since: 7\)"):
        sb.decompose(net, items, out=tmp_path / "run", **PLAIN)


def test_a_saved_result_knows_its_images(tmp_path: Path) -> None:
    data = pictures(tmp_path / "images")
    in_memory = run("decompose", data, None)
    in_memory.save(tmp_path / "run")
    assert (run("decompose", data, tmp_path / "run").shapley == in_memory.shapley).all()
    change(data, "b/04.bmp")
    with pytest.raises(RunFolderError, match=r"changed since: b/04\.bmp"):
        run("decompose", data, tmp_path / "run")


@pytest.mark.parametrize("study", STUDIES)
def test_images_added_and_removed_are_named(study: str, tmp_path: Path) -> None:
    data = pictures(tmp_path / "images")
    run(study, data, tmp_path / "run")
    (data / "a/00.bmp").rename(data / "a/zero.bmp")
    with pytest.raises(RunFolderError, match=r"\(1 image added: a/zero\.bmp; 1 image removed: a/00\.bmp\)"):
        run(study, data, tmp_path / "run")


def test_relabelled_images_are_named(tmp_path: Path) -> None:
    net, (x, labels) = planted(10)
    sb.decompose(net, (x, labels), out=tmp_path / "run", **PLAIN)
    other = labels.clone()
    other[torch.tensor([2, 5])] = (labels[torch.tensor([2, 5])] + 1) % 4
    with pytest.raises(RunFolderError, match=r"\(2 images relabelled: (2, 5|5, 2)\)"):
        sb.decompose(net, (x, other), out=tmp_path / "run", **PLAIN)


@pytest.mark.parametrize("study", STUDIES)
def test_a_file_of_another_size_is_named(study: str, tmp_path: Path) -> None:
    data = pictures(tmp_path / "images")
    run(study, data, tmp_path / "run")
    with open(data / "c/05.bmp", "ab") as file:
        file.write(b"behind the pixels")
    with pytest.raises(RunFolderError, match=r"holds a run on other images \(1 of 12 changed since: c/05\.bmp\)"):
        run(study, data, tmp_path / "run")
    with pytest.raises(RunFolderError, match="seed: there 0, now 1") as caught:
        run(study, data, tmp_path / "run", seed=1)
    assert "images were added, removed, renamed or relabelled, or their files have other sizes" in str(caught.value)
