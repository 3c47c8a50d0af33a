"""What docs/protocol.md has measured of each model of the zoo: runs in folders, which go on where they were stopped."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import spectrobe as sb
from benchmarks.zoo.fast import Kept, fast, stopping
from benchmarks.zoo.store import write
from spectrobe.data.cached import CachedData, PixelCache
from spectrobe.engine.store import json_text
from spectrobe.game.intervals import Estimate, mean_estimate, wilson
from spectrobe.models.zoo import read_manifest
from spectrobe.perturbations import Perturbation, parse_perturbations
from spectrobe.seeding import seeded_order

ABSENCES = ("zero", "mean", "donor")
ROBUSTNESS, OWN = ("attacks", "minimum-norm", "band-noise", "corruptions"), "snr-attack"
"""Folders of a model's runs."""
LINF, L2 = "pgd_linf:eps=1/510..8/255;steps=20", "pgd_l2:eps=1/8..1;steps=20"
ATTACKS = f"{LINF},{L2}"
MINIMUM_NORM = "fmn_linf,ddn_l2"
CORRUPTIONS = "imagenet-c"
BAND_NOISE = ",".join(f"band_noise:power=0.0064;band={band}" for band in range(8))
OWN_SNR = "pgd_linf:eps=2/255;steps=20"
PUBLISHED_BATCH = 40


@dataclass(frozen=True)
class Sizes:
    """How many images, and what they are measured under; the protocol's by default, smaller ones for a try."""

    images: int = 600
    corruption_images: int = 2000
    snr_images: int = 200
    minimum_norm_images: int = 200
    attacks: str = ATTACKS
    minimum_norm: str = MINIMUM_NORM
    corruptions: str = CORRUPTIONS
    band_noise: str = BAND_NOISE


@dataclass(frozen=True)
class Bare:
    """Baselines of one model, as `relate` takes numbers of other studies."""

    model_name: str
    numbers: Mapping[str, Estimate]


class Measuring:
    """The zoo, the images, and the folder that everything goes into."""

    def __init__(self, zoo: Path, data: str, out: Path, sizes: Sizes, batch: int, device: str) -> None:
        self.zoo, self.out, self.sizes, self.batch, self.device = zoo, out, sizes, batch, device
        self.entries = read_manifest(zoo)
        self.data = CachedData(sb.open_data(data, n_classes=10), PixelCache())
        self.order = seeded_order(self.data.ids, 0)
        self.failed: dict[str, str] = {}
        self._corruptions: list[Perturbation] = []

    def string(self, name: str) -> str:
        """The model string."""
        return f"demo:zoo/{name}?folder={self.zoo}"

    def all(self, names: list[str] | None = None) -> None:
        """Everything of every model (or of some); what fails is named in `failed`, and the rest goes on."""
        self.of_all()
        for name in names or self.entries:
            for what, part in self.parts(name).items():
                self._try(f"{name}: {what}", part)

    def of_all(self) -> None:
        """What is of no model, or of all."""
        self.announce()
        self._try("SNR of corruptions", self.corruption_snr)

    def complete(self) -> list[str]:
        """The models of which everything is there."""
        files = [f"{folder}/result.json" for folder in (*(f"decompose-{a}" for a in ABSENCES), *ROBUSTNESS, OWN)]
        files += ["published.json", "baselines.json"]
        return [name for name in self.entries if all((self.out / name / file).exists() for file in files)]

    def announce(self) -> None:
        """Names and recipes, for `relate`."""
        models = [
            {"folder": name, "name": name, "recipe": entry["group"], "model": self.string(name)}
            for name, entry in self.entries.items()
        ]
        write(self.out / "zoo.json", json_text({"models": models}).encode())

    def parts(self, name: str) -> dict[str, Callable[[], Any]]:
        """What is measured of one model, by name."""
        parts: dict[str, Callable[[], Any]] = {
            f"decompose, absence {absence}": lambda absence=absence: self.decompose(name, absence)
            for absence in ABSENCES
        }
        for what in ROBUSTNESS:
            parts[what] = lambda what=what: self.robustness(name, what)
        return parts | {
            "SNR of its own attack": lambda: self.own_snr(name),
            "published procedure": lambda: self.published(name),
            "baselines": lambda: self.baselines(name),
        }

    def decompose(self, name: str, absence: str) -> sb.DecomposeResult:
        """The exact table of one absence."""
        return sb.decompose(
            self._model(name), self.data, bands=8, value="usable-information", absence=absence, design="exact",
            images=self.sizes.images, precision="float32", batch_size=self.batch, device=self.device,
            out=self.out / name / f"decompose-{absence}",
        )  # fmt: skip

    def robustness(self, name: str, what: str) -> sb.RobustnessResult:
        """One robustness run, of those in ROBUSTNESS."""
        model, sizes = self._model(name), self.sizes
        perturbations: Any
        if what == "attacks":
            perturbations = [stopping(spec.build(model)) for spec in parse_perturbations(sizes.attacks)]
        elif what == "corruptions":
            perturbations = self._kept_corruptions()
        else:
            perturbations = sizes.minimum_norm if what == "minimum-norm" else sizes.band_noise
        images = {"corruptions": sizes.corruption_images, "minimum-norm": sizes.minimum_norm_images}
        return sb.robustness(
            model, self.data, perturbations, images=images.get(what, sizes.images), batch_size=self.batch,
            device=self.device, out=self.out / name / what,
        )  # fmt: skip

    def _kept_corruptions(self) -> list[Perturbation]:
        """The corruptions, whose images all models of this process share."""
        if not self._corruptions:
            self._corruptions = [Kept(spec.build()) for spec in parse_perturbations(self.sizes.corruptions)]
        return self._corruptions

    def corruption_snr(self) -> Any:
        """What each corruption leaves of the bands, the same for all models."""
        return sb.snr_study(
            self.data,
            self.sizes.corruptions,
            bands=8,
            images=self.sizes.images,
            size=32,
            out=self.out / "snr-corruptions",
        )

    def own_snr(self, name: str) -> Any:
        """What PGD on this model leaves of the bands."""
        return sb.snr_study(
            self.data, OWN_SNR, model=self._model(name), bands=8, images=self.sizes.snr_images, device=self.device,
            out=self.out / name / OWN,
        )  # fmt: skip

    def published(self, name: str) -> float:
        """The published procedure's score."""
        path = self.out / name / "published.json"
        if not path.exists():
            x, y = self.images(self.sizes.images)
            found = sb.published.decompose(self._model(name), x, y, bands=8, batch_size=PUBLISHED_BATCH)
            write(path, json_text({"score": found.score, "profile": found.profile}).encode())
        return float(json.loads(path.read_text())["score"])

    def baselines(self, name: str) -> Bare:
        """Mean norm of the loss's gradient, and accuracy without the lowest band, from the exact table of `mean`."""
        path = self.out / name / "baselines.json"
        if not path.exists():
            numbers = {
                "gradient norm": self._gradient_norm(name),
                "high-pass accuracy": high_pass_accuracy(self.decompose(name, "mean")),
            }
            write(path, json_text({key: vars(one) for key, one in numbers.items()}).encode())
        stored = json.loads(path.read_text())
        numbers = {key: Estimate(**one) for key, one in stored.items() if key != "schema_version"}
        return Bare(f"demo:zoo/{name}", numbers)

    def images(self, n: int) -> tuple[Tensor, Tensor]:
        """The first n images of the protocol's order with labels."""
        model = self._model(next(iter(self.entries)))
        first = [int(i) for i in self.order[:n]]
        pixels = torch.stack([self.data.pixels(i, model.geometry) for i in first])
        return pixels, torch.from_numpy(np.asarray(self.data.labels)[first])

    def _gradient_norm(self, name: str) -> Estimate:
        x, y = self.images(self.sizes.images)
        norms = []
        with self._model(name).prepared(torch.device(self.device)) as forward:
            for start in range(0, len(x), self.batch):
                point = x[start : start + self.batch].to(self.device).requires_grad_(True)
                loss = F.cross_entropy(forward(point), y[start : start + self.batch].to(self.device), reduction="sum")
                (gradient,) = torch.autograd.grad(loss, point)
                norms.append(gradient.flatten(1).norm(dim=1).cpu())
        return mean_estimate(torch.cat(norms).double().numpy())

    def _model(self, name: str) -> Any:
        return fast(sb.open_model(self.string(name)))

    def _try(self, what: str, part: Callable[[], Any]) -> None:
        start = time.monotonic()
        try:
            part()
        except Exception as error:  # the other models go on
            self.failed[what] = " ".join(str(error).split())
            traceback.print_exc()
        spent = time.monotonic() - start
        if spent > 5:
            print(f"{what}: {spent:.0f} s", file=sys.stderr, flush=True)


def high_pass_accuracy(result: sb.DecomposeResult) -> Estimate:
    """Accuracy on images that have every band but the lowest."""
    without_lowest = 2**result.bands.n_bands - 2
    right = np.concatenate(
        [
            (chunk.predicted == chunk.label[:, None])[chunk.coalition == without_lowest]
            for chunk in result.table().chunks()
        ]
    )
    return wilson(int(right.sum()), len(right), result.confidence)
