"""The table of names, and other people's entries."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints

import pytest
import torch
from torch import Tensor

from spectrobe import plugins
from spectrobe.errors import InputError
from spectrobe.perturbations import Perturbation, as_perturbation, names, perturbation, register, registry


class Darker(Perturbation):
    """Half the light."""

    name = "darker"

    def __init__(self, factor: float = 0.5) -> None:
        self.factor = factor

    @property
    def settings(self) -> dict[str, object]:
        return {"factor": self.factor}

    def _perturb(self, x: Tensor, labels: object, ids: object, seed: int) -> Tensor:
        return x * self.factor


@pytest.fixture(autouse=True)
def _same_table_afterwards() -> Iterator[None]:
    table = dict(registry._TABLE)
    yield
    registry._TABLE.clear()
    registry._TABLE.update(table)


def test_a_registered_builder_is_found_by_name() -> None:
    register("darker", Darker)
    register("darker", Darker)  # the same again is fine
    p = perturbation("darker", factor=0.25)
    assert torch.equal(p(torch.ones(1, 1, 8, 8)), torch.full((1, 1, 8, 8), 0.25))
    assert str(p) == "darker:factor=0.25"
    assert registry.lookup("darker").summary == "Half the light."
    assert names()[-1] == "darker"


def test_entry_points_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("darker", f"{__name__}:Darker", "spectrobe.perturbations")
    monkeypatch.setattr(plugins, "entry_points", EntryPoints([point]).select)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Darker)
    assert "darker" in names()
    assert perturbation("darker").settings == {"factor": 0.5}
    assert names().count("darker") == 1


def test_a_broken_package_breaks_its_own_names_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("broken", "no.such.module:Absent", "spectrobe.perturbations"),
        EntryPoint("number", "math:pi", "spectrobe.perturbations"),
    ]
    monkeypatch.setattr(plugins, "entry_points", EntryPoints(points).select)
    assert perturbation("fog", severity=1).name == "fog"
    with pytest.raises(InputError, match=r"the perturbation 'broken' .* could not be imported: ModuleNotFoundError"):
        perturbation("broken")
    with pytest.raises(InputError, match=r"expected the perturbation 'number' to be a class or a function, got 3\.14"):
        perturbation("number")


@pytest.mark.parametrize("name", [None, 3, ["fog"], b"fog"])
def test_a_name_is_a_text(name: object) -> None:
    with pytest.raises(InputError, match="expected the name of a perturbation, a text, got "):
        perturbation(name)  # type: ignore[arg-type]


def test_taken_and_impossible_names_are_refused() -> None:
    with pytest.raises(InputError, match="'fog' is taken"):
        register("fog", Darker)
    for name in ("", "two words", "a,b", "a:b", "a=b"):
        with pytest.raises(InputError, match="without spaces"):
            register(name, Darker)


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(InputError, match="unknown perturbation: 'jpg_compresion'; did you mean jpeg_compression"):
        perturbation("jpg_compresion")
    with pytest.raises(InputError, match="spectrobe list perturbations"):
        perturbation("qqq")


class TestOwn:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def test_a_function_of_images(self) -> None:
        p = as_perturbation(torch.sqrt)
        assert torch.equal(p(self.x), self.x.sqrt())
        assert str(p) == "sqrt"
        assert as_perturbation(p) is p

    def test_what_its_signature_names_is_passed(self) -> None:
        seen: dict[str, object] = {}

        def mine(images: Tensor, labels: Tensor | None = None, *, ids: object, seed: int) -> Tensor:
            seen.update(labels=labels, ids=ids, seed=seed)
            return images.mul_(0.5)

        before = self.x.clone()
        labels = torch.tensor([4, 5])
        y = as_perturbation(mine, name="half")(self.x, labels, ids=["a", "b"], seed=9)
        assert seen["ids"] == ["a", "b"]
        assert seen["seed"] == 9
        assert seen["labels"] is labels
        assert torch.equal(self.x, before)  # a function that works in place cannot harm the caller's images
        assert torch.equal(y, before * 0.5)

    def test_a_module_and_values_out_of_range(self) -> None:
        module = torch.nn.Conv2d(3, 3, 1)
        y = as_perturbation(module)(self.x)
        assert not y.requires_grad
        assert torch.allclose(y, module(self.x).clamp(0, 1))

    def test_bad_callables_are_named(self) -> None:
        with pytest.raises(InputError, match=r"callable .* got str"):
            as_perturbation("fog")
        with pytest.raises(InputError, match="also needs strength"):
            as_perturbation(lambda x, strength: x)
        with pytest.raises(InputError, match="images as its first argument"):
            as_perturbation(lambda *, images: images)
        with pytest.raises(InputError, match="real tensor of images like its input, got ndarray"):
            as_perturbation(lambda x: x.numpy())(self.x)
        with pytest.raises(InputError, match=r"changed the size of the images: expected \(2, 3, 8, 8\)"):
            as_perturbation(lambda x: x[..., 1:], name="cut")(self.x)
        with pytest.raises(InputError, match=r"NaN or infinite pixels for image\(s\) second"):
            as_perturbation(lambda x: x / (torch.arange(2).view(2, 1, 1, 1) - 1))(self.x, ids=["first", "second"])


class TestTransform:
    def test_in_a_torchvision_pipeline(self) -> None:
        v2 = pytest.importorskip("torchvision.transforms.v2")
        noise = perturbation("gaussian_noise", severity=3)
        pipeline = v2.Compose([v2.CenterCrop(32), noise.transform(seed=1), v2.Normalize([0.5] * 3, [0.5] * 3)])
        image = torch.rand(3, 40, 44, generator=torch.Generator().manual_seed(0))
        y = pipeline(image)
        assert y.shape == (3, 32, 32)
        crop = image[:, 4:36, 6:38]
        assert float((y * 0.5 + 0.5 - crop).std()) == pytest.approx(0.08, rel=0.15)  # CIFAR-10-C at 32 px, some clipped

    def test_the_draw_depends_on_image_and_seed_alone(self) -> None:
        first, second = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        noise = perturbation("gaussian_noise", severity=3)
        transform = noise.transform(seed=1)
        a, b = transform(first), transform(second)
        assert torch.equal(noise.transform(seed=1)(second), b)
        assert torch.equal(transform(first), a)
        assert not torch.equal(noise.transform(seed=2)(first), a)
        assert float(torch.corrcoef(torch.stack([(a - first).flatten(), (b - second).flatten()]))[0, 1]) < 0.2

    def test_what_is_not_an_image_tensor_is_named(self) -> None:
        transform = perturbation("fog", severity=1).transform()
        with pytest.raises(InputError, match=r"got shape \(2, 3, 16, 16\)"):
            transform(torch.zeros(2, 3, 16, 16))
        with pytest.raises(InputError, match=r"got list: put the transform after ToTensor"):
            transform([1, 2])
