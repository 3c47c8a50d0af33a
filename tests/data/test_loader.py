"""Loading in order, ahead, in workers; bad images listed or raised; nothing left running."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from spectrobe.data import ImageData, load_images, open_data
from spectrobe.errors import BadImageError, InputError, SpectrobeError
from spectrobe.models.base import Geometry
from tests.data.hostile import photo, png

GEOMETRY = Geometry(size=(8, 8), resize=10)
COUNT = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(COUNT):
        Image.fromarray(photo(seed=number)).save(tmp_path / f"{number:02d}.png")
    return tmp_path


class Pairs(Dataset):  # type: ignore[type-arg]
    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(photo(seed=index)), index % 3


def every_source(folder: Path) -> dict[str, ImageData]:
    table = pa.table({"image": [path.read_bytes() for path in sorted(folder.iterdir())]})
    pq.write_table(table, folder / "table.parquet", row_group_size=7)
    tensors = torch.stack([torch.from_numpy(photo(8, 8, seed)).permute(2, 0, 1) for seed in range(COUNT)])
    return {
        "folder": open_data(folder),
        "parquet": open_data(f"parquet:{folder / 'table.parquet'}"),
        "dataset": open_data(Pairs()),
        "tensors": open_data(tensors),
    }


def test_workers_change_nothing(folder: Path) -> None:
    order = [5, 3, 3, *range(COUNT - 1, 5, -1)]
    state = torch.random.get_rng_state()
    for name, data in every_source(folder).items():
        alone = list(load_images(data, order, GEOMETRY if name != "tensors" else Geometry()))
        helped = list(load_images(data, order, GEOMETRY if name != "tensors" else Geometry(), workers=2))
        assert [index for index, _ in alone] == [index for index, _ in helped] == order, name
        for (_, one), (_, other) in zip(alone, helped, strict=True):
            assert isinstance(one, torch.Tensor)
            assert isinstance(other, torch.Tensor)
            assert torch.equal(one, other), name
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's generator is untouched
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_are_listed_or_raised(folder: Path, workers: int) -> None:
    (folder / "03.png").write_bytes(png()[:100])
    (folder / "05.png").write_bytes(b"")
    data = open_data(folder)
    loaded = dict(load_images(data, range(8), GEOMETRY, workers, "skip"))
    assert list(loaded) == list(range(8))
    bad = {index: value for index, value in loaded.items() if isinstance(value, BadImageError)}
    assert {index: error.image for index, error in bad.items()} == {3: "03.png", 5: "05.png"}
    assert bad[5].reason == "the file is empty (0 bytes)"
    images = load_images(data, range(8), GEOMETRY, workers)
    assert [next(images)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(BadImageError, match=r"^image 03\.png: cannot be decoded .*--on-bad-image skip$"):
        next(images)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_wrong_settings_are_not_bad_images(folder: Path, workers: int) -> None:
    with pytest.raises(InputError, match="at least 32 x 32") as caught:
        list(load_images(open_data(folder), range(4), Geometry(size=(32, 32), resize=16), workers, "skip"))
    assert not isinstance(caught.value, BadImageError)
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_images_of_several_sizes_need_a_size(folder: Path, workers: int) -> None:
    Image.fromarray(photo(30, 20)).save(folder / "07.png")
    data = open_data(folder)
    with pytest.raises(InputError, match=r"image 07\.png is \(3, 20, 30\), image 00\.png is \(3, 16, 24\): .*--size"):
        list(load_images(data, range(10), Geometry(), workers))
    assert len(list(load_images(data, range(10), GEOMETRY, workers))) == 10


def test_leaving_early_stops_the_workers(folder: Path) -> None:
    images = load_images(open_data(folder), range(COUNT), GEOMETRY, workers=2)
    assert next(images)[0] == 0
    assert len(multiprocessing.active_children()) == 2
    images.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_workers_decode_a_bounded_number_ahead(folder: Path) -> None:
    class Counting(Pairs):
        def __len__(self) -> int:
            return 200

        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            with open(folder / "log", "a") as log:
                log.write(f"{index}\n")
            return super().__getitem__(index)

    dataset = Counting()
    dataset.targets = [0] * 3  # type: ignore[attr-defined]
    data = open_data(dataset)
    (folder / "log").write_text("")
    images = load_images(data, range(200), GEOMETRY, workers=2)
    next(images)
    time.sleep(1)
    decoded = len((folder / "log").read_text().split())
    images.close()  # type: ignore[attr-defined]
    assert 2 <= decoded <= 2 * 16 + 2


def test_a_worker_that_dies_is_said_so(folder: Path) -> None:
    class Dying(Pairs):
        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            if index == 20 and multiprocessing.parent_process() is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(index)

    with pytest.raises(SpectrobeError, match="use fewer workers"):
        list(load_images(open_data(Dying()), range(COUNT), GEOMETRY, workers=1))


@pytest.mark.slow
def test_workers_outlive_an_interrupt_that_the_caller_handles(folder: Path) -> None:
    script = """
import signal, sys, time
from spectrobe.data import load_images, open_data
from spectrobe.models.base import Geometry
caught = []
loaded = 0
for index, _ in load_images(open_data(sys.argv[1]), list(range(40)) * 5, Geometry(size=(8, 8)), workers=2):
    loaded += 1
    if loaded == 3:  # after the workers began: they do not inherit it
        signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
        print("ready", flush=True)
    while loaded == 4 and not caught:
        time.sleep(.01)
print(loaded, len(caught))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out == "200 1\n", err


@pytest.mark.slow
def test_interrupts_leave_no_process_and_no_worker_traceback(folder: Path) -> None:
    script = """
import sys, time
from spectrobe.data import load_images, open_data
from spectrobe.models.base import Geometry
data = open_data(sys.argv[1])
try:
    for index, _ in load_images(data, list(range(40)) * 1000, Geometry(size=(8, 8)), workers=2):
        if index == 3:
            print("ready", flush=True)
        time.sleep(.005)
except KeyboardInterrupt:
    import multiprocessing
    print("children", len(multiprocessing.active_children()), flush=True)
    raise SystemExit(130)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.splitlines()[-1] == "children 0"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": -1}, "workers to be 0 or more, got -1"),
        ({"workers": 1.5}, "workers to be 0 or more"),
        ({"on_bad_image": "ignore"}, "'error' or 'skip', got 'ignore'"),
        ({"indices": [0, COUNT]}, f"from 0 to {COUNT - 1}, got {COUNT}"),
        ({"indices": [-1]}, "got -1"),
    ],
)
def test_arguments_are_checked_at_the_call(folder: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_images(open_data(folder), **{"indices": [0], "geometry": GEOMETRY, **options})  # type: ignore[arg-type]


def test_no_images_need_no_worker(folder: Path) -> None:
    assert list(load_images(open_data(folder), [], GEOMETRY, workers=2)) == []
