"""What things are called on the page: bands as wavelengths in pixels, classes by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec

from spectrobe.bands import BandPartition
from spectrobe.data.base import ImageData
from spectrobe.data.labels import imagenet_wordnet_ids, is_wordnet_id
from spectrobe.models.base import Model


@dataclass(frozen=True)
class BandName:
    """How one band is written. waves: "8 to 16 px".   per_pixel, per_image: its range in cycles (shorter side)."""

    waves: str
    per_pixel: str
    per_image: str


def band_names(bands: BandPartition, height: int, width: int) -> list[BandName]:
    """Every band from coarse to fine, on images of this size."""
    side = min(height, width)
    return [_band_name(float(low), float(high), side) for low, high in bands.cycles_per_pixel()]


def _band_name(low: float, high: float, side: int) -> BandName:
    if high == 0:
        return BandName("the mean", "0", "0")
    longest = "longer" if low == 0 else _number(1 / low)
    waves = f"{_number(1 / high)} px and {longest}" if low == 0 else f"{_number(1 / high)} to {longest} px"
    return BandName(waves, f"{low:.3f}–{high:.3f}", f"{_number(low * side)}–{_number(high * side)}")


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def class_names(model: Model, data: ImageData, n_classes: int) -> list[str]:
    """A name for every class index: the model's, the data set's, or "class 7".

    WordNet ids become words where timm, which has a table of them, is installed.
    """
    names = model.class_names or data.class_names or _imagenet_ids(model, n_classes)
    if names is None or len(names) != n_classes:
        return [f"class {index}" for index in range(n_classes)]
    return _in_words(list(names)) if all(map(is_wordnet_id, names)) else list(names)


def _imagenet_ids(model: Model, n_classes: int) -> tuple[str, ...] | None:
    """ImageNet's, for the pretrained weights of the demo and of timm, whose 1,000 classes are ImageNet's."""
    notes = getattr(model, "notes", ("unknown",))  # a checkpoint of the user's, or random weights, leave a note
    pretrained = model.name.startswith(("demo:", "timm:")) and not notes
    return imagenet_wordnet_ids() if pretrained and n_classes == len(imagenet_wordnet_ids()) else None


def _in_words(ids: list[str]) -> list[str]:
    if find_spec("timm") is None:
        return ids
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    known = set(info.label_names())
    words = [info.label_name_to_description(i, detailed=False).split(", ")[0] if i in known else i for i in ids]
    twice = {word for word, count in Counter(words).items() if count > 1}
    return [f"{word} ({i})" if word in twice else word for word, i in zip(words, ids, strict=True)]
