"""Tensors, arrays and torch Datasets; what is refused among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from spectrobe.data import open_data
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry
from tests.data.hostile import photo

X = torch.rand(4, 3, 8, 10, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([2, 0, 1, 1])


@pytest.mark.parametrize("pair", [(X, Y), [X, Y], (X.numpy(), Y.numpy()), (X, [2, 0, 1, 1]), (X.double(), Y.int())])
def test_pairs_are_used_as_given(pair: tuple[object, object]) -> None:
    data = open_data(pair)
    assert data.labels is not None
    assert (data.ids, data.labels.tolist(), data.labels.dtype) == (("0", "1", "2", "3"), [2, 0, 1, 1], np.int64)
    pixels = data.pixels(2, Geometry())
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels, X[2])
    assert data.in_memory
    assert data.loader_settings(Geometry()) == {"resize": None, "note": "pixels as given"}


def test_bytes_are_divided_by_255() -> None:
    data = open_data((torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 1, 3), [0]))
    torch.testing.assert_close(data.pixels(0, Geometry()).flatten(), torch.tensor([0, 0.2, 1]), rtol=0, atol=1e-7)


@pytest.mark.parametrize("unlabelled", [X, (X, None), X.numpy()])
def test_unlabelled_tensors(unlabelled: object) -> None:
    data = open_data(unlabelled)
    assert data.labels is None
    assert data.unlabelled_because == "tensors were given without labels"


def test_read_only_arrays_are_taken_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    array = X.numpy().copy()
    array.flags.writeable = False
    assert torch.equal(open_data(array).pixels(1, Geometry()), X[1])
    assert not recwarn.list


def test_identity_tells_pixels_and_labels_apart() -> None:
    identity = open_data((X, Y)).identity()
    assert open_data((X.clone(), Y)).identity() == identity
    assert open_data((X.numpy(), Y.numpy())).identity() == identity
    assert open_data((X.flip(0), Y)).identity() != identity
    assert open_data((X, Y.flip(0))).identity() != identity
    assert open_data(X).identity() != identity


def test_class_map_translates_numbers() -> None:
    assert open_data((X, Y), class_map={0: 7, 1: 8, 2: 9}).labels.tolist() == [9, 7, 8, 8]  # type: ignore[union-attr]


REFUSED: dict[str, tuple[object, dict[str, object], str]] = {
    "three dimensions": (X[0], {}, r"shape \(N, C, H, W\), got \(3, 8, 10\)"),
    "channels last": (X.permute(0, 2, 3, 1), {}, r"looks like \(N, H, W, C\)"),
    "no images": (X[:0], {}, "at least one image"),
    "normalised": (X * 4 - 2, {}, r"floats in \[-.*before normalisation"),
    "255 in floats": (X * 255, {}, r"floats in \[.*before normalisation"),
    "NaN": (X * float("nan"), {}, r"floats in \[nan"),
    "integers": ((X * 255).long(), {}, r"uint8 pixels from 0 to 255, got torch\.int64"),
    "numpy integers": ((X.numpy() * 255).astype(np.int16), {}, "uint8 pixels from 0 to 255, got int16"),
    "too few labels": ((X, Y[:3]), {}, "expected 4 labels, one an image, got 3"),
    "float labels": ((X, Y.float()), {}, "expected integer labels"),
    "one-hot labels": ((X, torch.eye(4).long()), {}, r"argmax\(1\)"),
    "text labels": ((X, np.array(list("abcd"))), {}, "expected integer labels"),
    "three parts": ((X, Y, Y), {}, r"got a tuple \(Tensor \(4, 3, 8, 10\), Tensor \(4,\), Tensor \(4,\)\)"),
    "a column": ((X, Y), {"image_column": "image"}, "image_column='image' says nothing about a pair of tensors"),
    "a map without labels": (X, {"class_map": {0: 1}}, "class_map={0: 1} says nothing about unlabelled tensors"),
    "a number": (3, {}, "expected data to be a folder, hf:NAME"),
    "nothing": (None, {}, "got NoneType"),
    "a dict": ({"images": X}, {}, "got dict"),
    "a loader": (DataLoader(TensorDataset(X, Y)), {}, r"give loader\.dataset"),
    "an empty list": ([], {}, "the Dataset list is empty"),
    "lists of text": (["a", "b"], {}, "expected a Pillow image or a tensor .* item 0 of the Dataset list, got str"),
    "three parts an item": (TensorDataset(X, Y, Y), {}, "got 3 parts"),
    "normalised items": (TensorDataset(X * 9, Y), {}, r"floats in .* \(item 0 of the Dataset TensorDataset\)"),
    "labels of floats": (TensorDataset(X, Y.float()), {}, r"class index as label of item 0 .* got 2\.0"),
    "dicts without an image": ([{"x": 1}], {}, "an image among the keys x: give image_column"),
    "dicts without that column": ([{"image": X[0]}], {"image_column": "img"}, "'img' is not among the keys"),
    "a split of a Dataset": (TensorDataset(X, Y), {"split": "test"}, "split='test' says nothing"),
    "a column of tuples": (TensorDataset(X, Y), {"label_column": "y"}, "label_column='y' says nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_one_line(case: str) -> None:
    data, options, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:  # noqa: PT012  # what only pixels can tell comes with them
        opened = open_data(data, **options)  # type: ignore[arg-type]
        opened.pixels(0, Geometry())
    assert "\n" not in str(caught.value)


def test_tensors_of_another_size_than_the_models_are_refused() -> None:
    assert open_data(X).pixels(0, Geometry(size=(8, 10))).shape == (3, 8, 10)
    assert open_data(X[:, :1]).pixels(0, Geometry()).shape == (1, 8, 10)  # a model of no known size
    with pytest.raises(
        InputError, match=r"shape \(3, 224, 224\), which the model takes, got \(3, 8, 10\) \(tensor 1\)"
    ):
        open_data(X).pixels(1, Geometry(size=(224, 224), resize=256))
    with pytest.raises(InputError, match=r"shape \(1, 8, 10\)"):
        open_data(X).pixels(1, Geometry(size=(8, 10), channels=1))


class Photos(Dataset):  # type: ignore[type-arg]
    """Pillow images, one of them unreadable; counts how often an item is fetched."""

    def __init__(self, bad: int | None = None) -> None:
        self.bad, self.fetched = bad, 0

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        self.fetched += 1
        if index == self.bad:
            raise OSError("image file is truncated\n(5 bytes not processed)")
        return Image.fromarray(photo(seed=index)), 10 + index


def test_datasets_of_pillow_images_are_resized_as_files_are() -> None:
    data = open_data(Photos())
    assert (data.name, data.ids) == ("Photos", ("0", "1", "2", "3", "4"))
    assert data.labels is not None
    assert data.labels.tolist() == [10, 11, 12, 13, 14]
    expected = np.array(Image.fromarray(photo(seed=3)).resize((5, 5), Image.Resampling.BICUBIC))
    pixels = data.pixels(3, Geometry(size=(5, 5)))
    assert torch.equal(pixels, torch.from_numpy(expected).permute(2, 0, 1).float() / 255)
    assert data.loader_settings(Geometry(size=(5, 5)))["resize"] == [5, 5]


@pytest.mark.parametrize("bad", [0, 4])
def test_an_item_that_cannot_be_read_is_a_bad_image(bad: int) -> None:
    data = open_data(Photos(bad=bad))  # opens, so that it can be skipped
    assert data.labels is not None
    assert [label for index, label in enumerate(data.labels) if index != bad] == [10 + i for i in range(5) if i != bad]
    with pytest.raises(
        BadImageError, match=f"image {bad}: the Dataset cannot read it .image file is truncated .5 bytes"
    ):
        data.pixels(bad, Geometry())


def test_a_dataset_of_unreadable_items_alone_is_refused() -> None:
    with pytest.raises(BadImageError, match="image 0: the Dataset cannot read it"):
        open_data(Subset(Photos(bad=2), [2, 2]))


@pytest.mark.parametrize(
    "dataset",
    [TensorDataset(X, Y), [(X[i], int(Y[i])) for i in range(4)], [{"img": X[i], "label": Y[i]} for i in range(4)]],
    ids=["TensorDataset", "list of pairs", "dicts"],
)
def test_datasets_of_tensors(dataset: object) -> None:
    data = open_data(dataset)
    assert data.labels is not None
    assert data.labels.tolist() == [2, 0, 1, 1]
    assert torch.equal(data.pixels(2, Geometry()), X[2])
    assert data.loader_settings(Geometry())["note"] == "pixels as given"


@pytest.mark.parametrize(
    "dataset", [TensorDataset(X), [X[0], X[1], X[2]], [{"image": X[0]}]], ids=["1-tuple", "bare", "dict"]
)
def test_datasets_without_labels(dataset: object) -> None:
    data = open_data(dataset)
    assert data.labels is None
    assert "hold no label" in str(data.unlabelled_because)


def test_columns_of_dict_items_can_be_named() -> None:
    items = [{"photo_a": X[i], "photo_b": X[i] / 2, "coarse": 0, "fine": i} for i in range(4)]
    data = open_data(items, image_column="photo_b", label_column="fine")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 2, 3]
    assert torch.equal(data.pixels(2, Geometry()), X[2] / 2)


class Stored(Photos):
    """As torchvision's: labels in `targets`, so that no image need be decoded for them."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.targets = [10 + shift + index for index in range(5)]


def test_stored_targets_spare_decoding_unless_items_disagree() -> None:
    honest, subset, shifted = Stored(), Stored(), Stored(shift=1)
    assert open_data(honest).labels.tolist() == [10, 11, 12, 13, 14]  # type: ignore[union-attr]
    assert honest.fetched == 6  # the probe, twice
    assert open_data(Subset(subset, [4, 0])).labels.tolist() == [14, 10]  # type: ignore[union-attr]
    assert subset.fetched == 4
    assert open_data(shifted).labels.tolist() == [10, 11, 12, 13, 14]  # type: ignore[union-attr]


def test_target_transforms_are_followed() -> None:
    class Transformed(Stored):
        target_transform = staticmethod(lambda label: {14: 99}.get(label, label))

        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            image, label = super().__getitem__(index)
            return image, self.target_transform(label)

    assert open_data(Transformed()).labels.tolist() == [10, 11, 12, 13, 99]  # type: ignore[union-attr]


def test_torchvision_image_folders_pass_through(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(photo()).save(tmp_path / name)
    data = open_data(datasets.ImageFolder(tmp_path))
    assert data.labels is not None
    assert (data.name, data.labels.tolist()) == ("ImageFolder", [0, 1])


def test_random_augmentation_is_refused() -> None:
    class Augmented(Photos):
        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            return Image.fromarray(photo(seed=int(torch.randint(10**6, ())))), 0

    with pytest.raises(InputError, match="random augmentation"):
        open_data(Augmented())


def test_iterable_datasets_are_refused() -> None:
    class Stream(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

    with pytest.raises(InputError, match="IterableDataset: collect its items in a list"):
        open_data(Stream())


def test_identity_of_datasets_follows_content() -> None:
    identity = open_data(Photos()).identity()
    assert open_data(Photos()).identity() == identity
    assert open_data(TensorDataset(X, Y)).identity() != open_data(TensorDataset(X.flip(3), Y)).identity()
