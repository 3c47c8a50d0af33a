"""What stands in for absent bands: measured on the data, drawn by (seed, image id), the same for every model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import spectrobe as sb
from spectrobe import plugins
from spectrobe.data import open_data
from spectrobe.engine.absence import (
    N_STATISTICS,
    Absence,
    Donor,
    Mean,
    Noise,
    Surroundings,
    Zero,
    absence_class,
    absence_classes,
)
from spectrobe.engine.local import ImageLoader
from spectrobe.errors import InputError
from spectrobe.models.base import Geometry
from spectrobe.seeding import seeded_order
from tests.toys import PLAIN, SHAPE, NamedData, labels_of, linear, pixels, planted


def surroundings(x: Tensor, ids: Sequence[str] | None = None, seed: int = 0, bad: Sequence[str] = ()) -> Surroundings:
    names = tuple(map(str, range(len(x)))) if ids is None else tuple(ids)
    loader = ImageLoader(NamedData(x, None, names, bad), Geometry(), on_bad_image="skip")
    return Surroundings(names, loader.each, seed)


def made(kind: type[Absence], around: Surroundings) -> Absence:
    return kind(kind.measure(around), around)


def test_zero_is_black_and_measures_nothing() -> None:
    around = surroundings(pixels(3))
    assert torch.equal(made(Zero, around).images([], torch.Size(SHAPE)), torch.zeros(SHAPE))
    assert Zero.measure(around) == {}


def test_mean_is_that_of_the_first_512_in_seeded_order() -> None:
    x = pixels(N_STATISTICS + 88, (1, 4, 5))
    around = surroundings(x, seed=3)
    first = seeded_order(around.ids, 3)[:N_STATISTICS].tolist()
    expected = x[first].double().mean(0)
    assert torch.equal(made(Mean, around).images([], x.shape[1:]), expected.float())  # summed in float64
    assert not torch.allclose(expected.float(), x.double().mean(0).float(), atol=1e-5)  # the other 88 do count
    assert not torch.equal(made(Mean, surroundings(x, seed=4)).state["mean"], expected.float())


def test_fewer_images_are_all_taken_and_bad_ones_left_out() -> None:
    x = pixels(40, (1, 4, 5))
    mean = made(Mean, surroundings(x, bad=("3", "17"))).state["mean"]
    good = [i for i in range(40) if i not in (3, 17)]
    assert torch.allclose(mean, x[good].mean(0), rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="none of the 2 images of the absence's mean can be read"):
        Mean.measure(surroundings(x[:2], bad=("0", "1")))


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 7, 9), (2, 8, 5), (1, 5, 6)])
def test_noise_has_the_power_of_the_data_in_every_bin(shape: tuple[int, int, int]) -> None:
    """In each draw, so also on average; it comes back from real pixels, so the spectrum was that of real ones."""
    x = pixels(30, shape)
    noise = made(Noise, surroundings(x))
    power = torch.fft.rfft2(x.double()).abs().square().mean(0)
    drawn = noise.images(range(30), torch.Size(shape))
    assert drawn.shape == (30, *shape) and drawn.dtype == torch.float32
    found = torch.fft.rfft2(drawn.double()).abs().square()
    assert torch.allclose(found.mean(0), power, rtol=1e-4, atol=1e-9 * float(power.max()))
    assert torch.allclose(found[7], power, rtol=1e-3, atol=1e-8 * float(power.max()))


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 7, 9)])
def test_noise_phases_are_random_but_for_dc_and_shared_by_channels(shape: tuple[int, int, int]) -> None:
    n = 600
    x = pixels(20, shape)
    ids = [f"image {i}" for i in range(n)]
    noise = made(Noise, surroundings(x, [f"{i}" for i in range(20)]))
    noise.surroundings = Surroundings(tuple(ids), noise.surroundings.each, 0)
    spectra = torch.fft.rfft2(noise.images(range(n), torch.Size(shape)).double())
    phase = spectra / spectra.abs()
    assert torch.allclose(phase[:, 0], phase[:, 1], atol=1e-3) and torch.allclose(phase[:, 0], phase[:, 2], atol=1e-3)
    assert torch.allclose(phase[:, :, 0, 0], torch.ones((), dtype=phase.dtype), atol=1e-5)
    # the mean of n unit vectors in random directions: each part has a standard deviation of sqrt(1 / 2n), of the bins
    # whose phase can only be 0 or pi sqrt(1 / n); over about 40 bins 4.5 of them are as good as never passed
    resultant = phase[:, 0].mean(0)
    resultant[0, 0] = 0
    assert float(resultant.abs().max()) < 4.5 / n**0.5
    inner = phase[:, 0, 1, 1].angle().numpy()
    assert stats.kstest(inner, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", [Noise, Donor])
def test_draws_depend_on_seed_and_id_alone(kind: type[Absence]) -> None:
    x, shape = pixels(12), torch.Size(SHAPE)
    around = surroundings(x, seed=5)
    absent = made(kind, around)
    together = absent.images(range(12), shape)
    for position in (11, 0, 7):
        assert torch.equal(absent.images([position], shape)[0], together[position])
    shuffled = torch.randperm(12, generator=torch.Generator().manual_seed(0)).tolist()
    moved = made(kind, surroundings(x[shuffled], [around.ids[i] for i in shuffled], seed=5))
    assert torch.allclose(moved.images(range(12), shape), together[shuffled], atol=1e-6)
    other = made(kind, surroundings(x, seed=6)).images(range(12), shape)
    assert not torch.allclose(other, together, atol=1e-3)


@pytest.mark.parametrize("n", [2, 3, 50])
def test_donors_are_others(n: int) -> None:
    x = pixels(n, (1, 4, 4))
    for seed in range(20):
        donor = made(Donor, surroundings(x, seed=seed))
        images = donor.images(range(n), torch.Size((1, 4, 4)))
        for position in range(n):
            chosen = next(donor.donors(position))
            assert chosen != position
            assert torch.equal(images[position], x[chosen])


def test_donors_are_uniform() -> None:
    x, draws = pixels(6, (1, 4, 4)), 2000
    counts = np.zeros(6)
    for seed in range(draws):
        counts[next(made(Donor, surroundings(x, seed=seed)).donors(2))] += 1
    assert counts[2] == 0
    assert stats.chisquare(np.delete(counts, 2)).pvalue > 1e-3


def test_unreadable_donors_are_replaced_by_others() -> None:
    x, shape = pixels(8, (1, 4, 4)), torch.Size((1, 4, 4))
    whole = made(Donor, surroundings(x)).images(range(8), shape)
    bad = ("1", "4", "6")
    donor = made(Donor, surroundings(x, bad=bad))
    some = donor.images(range(8), shape)
    good = [i for i in range(8) if str(i) not in bad]
    replaced = 0
    for position in range(8):
        if str(next(donor.donors(position))) in bad:
            replaced += 1
            assert any(torch.equal(some[position], x[i]) for i in good if i != position)
        else:
            assert torch.equal(some[position], whole[position])
    assert replaced > 0
    alone = made(Donor, surroundings(x[:2], bad=("1",)))
    with pytest.raises(InputError, match="no other image can be read that could stand in for 0"):
        alone.images([0], shape)


def test_same_donors_and_noise_for_every_model(tmp_path: Path) -> None:
    """Seen from outside: a model that reports the pixels it is given sees the same ones as another."""
    x = pixels(8)
    labels = labels_of(linear(), x)
    for absence in ("noise", "donor"):
        seen: list[list[Tensor]] = [[], []]
        for number, scale in enumerate((1.0, 2.0)):
            net = linear(scale=scale, seed=number)

            def model(batch: Tensor, net: torch.nn.Module = net, kept: list[Tensor] = seen[number]) -> Tensor:
                kept.append(batch.clone())
                return net(batch)

            sb.decompose(model, (x, labels), **PLAIN | {"absence": absence})
        one, other = (torch.cat(batches) for batches in seen)
        assert one.shape[0] > 64
        assert torch.equal(one, other)


def test_mean_is_kept_in_the_run_and_part_of_its_identity(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    net, (x, labels) = planted(10)
    sb.decompose(net, (x, labels), out=tmp_path / "run", **PLAIN)
    kept = load_file(tmp_path / "run/absence.safetensors")
    assert torch.allclose(kept["mean"], x.mean(0), rtol=0, atol=1e-6)
    save_file({"mean": kept["mean"] + 0.01}, tmp_path / "run/absence.safetensors")
    with pytest.raises(sb.SpectrobeError, match=r"holds a run of other settings.*the absence image \(mean\)"):
        sb.decompose(net, (x, labels), out=tmp_path / "run", **PLAIN)
    (tmp_path / "run/absence.safetensors").write_bytes(b"x")
    with pytest.raises(sb.SpectrobeError, match=r"absence\.safetensors is damaged .*delete it") as caught:
        sb.decompose(net, (x, labels), out=tmp_path / "run", **PLAIN)
    assert "\n" not in str(caught.value)


def test_names() -> None:
    assert list(absence_classes())[:4] == ["zero", "mean", "noise", "donor"]
    with pytest.raises(
        InputError, match="expected an absence out of zero, mean, noise, donor, got 'men'; did you mean"
    ):
        absence_class("men")
    for name in (3, None, ["mean"]):
        with pytest.raises(InputError, match="expected the name of an absence, a text, got "):
            absence_class(name)  # type: ignore[arg-type]


class Grey(Absence):
    """Another package's."""

    name, constant = "grey", True

    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        return torch.full(shape, 0.5)


def test_other_packages_are_imported_for_their_own_names_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "spectrobe.absences"
    points = EntryPoints(
        [
            EntryPoint("broken", "no.such.module:Absent", group),
            EntryPoint("number", "math:pi", group),
            EntryPoint("mean", "no.such.module:Usurper", group),
        ]
    )
    monkeypatch.setattr(plugins, "entry_points", points.select)
    assert absence_class("mean") is Mean
    with pytest.raises(InputError, match=r"the absence 'broken' \(no\.such\.module:Absent\) .* could not be imported"):
        absence_class("broken")
    with pytest.raises(InputError, match=r"expected the absence 'number' to be a subclass of Absence, got 3\.14"):
        absence_class("number")
    with pytest.raises(InputError, match="out of zero, mean, noise, donor, broken, number, got 'x'"):
        absence_class("x")


def test_loaders_skip_or_raise() -> None:
    data = open_data(pixels(3))
    assert [position for position, _ in ImageLoader(data, Geometry()).each([2, 0])] == [2, 0]
    named = NamedData(pixels(3), None, "abc", bad="b")
    with pytest.raises(InputError, match="image b: truncated"):
        list(ImageLoader(named, Geometry()).each([0, 1]))
    skipping = ImageLoader(named, Geometry(), on_bad_image="skip")
    assert [isinstance(image, Tensor) for _, image in skipping.each([0, 1, 2])] == [True, False, True]
    assert skipping.shard([0, 1, 2]).ids == ("a", "c")
    with pytest.raises(InputError, match="none of 1 images of named can be used"):
        skipping.shard([1])
