"""Perturbations as text, and back."""

from __future__ import annotations

import pytest
import torch

from spectrobe.errors import InputError
from spectrobe.perturbations import PerturbationSpec, parse_perturbations, perturbation
from spectrobe.perturbations.corruptions import IMAGENET_C, IMAGENET_C_EXTRA


def parsed(text: str) -> list[tuple[str, dict[str, object]]]:
    return [(spec.name, dict(spec.settings)) for spec in parse_perturbations(text)]


def test_one_severity_a_range_and_all_five() -> None:
    assert parsed("gaussian_noise:3") == [("gaussian_noise", {"severity": 3})]
    assert [s["severity"] for _, s in parsed("snow:2-4")] == [2, 3, 4]
    assert parsed("fog") == parsed("fog:1-5") == [("fog", {"severity": s}) for s in (1, 2, 3, 4, 5)]
    assert parsed("fog:severity=2") == parsed("fog:2")


def test_several_items_keep_their_order_and_drop_duplicates() -> None:
    assert parsed(" fog:2, snow:1-2 ,fog:1-2") == [
        ("fog", {"severity": 2}),
        ("snow", {"severity": 1}),
        ("snow", {"severity": 2}),
        ("fog", {"severity": 1}),
    ]


def test_sets() -> None:
    assert [name for name, _ in parsed("imagenet-c:3")] == list(IMAGENET_C)
    assert all(settings == {"severity": 3} for _, settings in parsed("imagenet-c:3"))
    assert len(parsed("imagenet-c")) == 75
    assert [name for name, _ in parsed("imagenet-c-extra:1-2")] == [n for n in IMAGENET_C_EXTRA for _ in range(2)]
    assert parsed("imagenet-c:1:quantize=true")[0] == ("gaussian_noise", {"severity": 1, "quantize": True})


def test_settings_have_types_and_ranges_double() -> None:
    assert parsed("pgd_linf:eps=4/255;steps=20") == [("pgd_linf", {"eps": 4 / 255, "steps": 20})]
    assert [s["eps"] for _, s in parsed("pgd_linf:eps=1/255..8/255")] == [1 / 255, 2 / 255, 4 / 255, 8 / 255]
    assert [s["eps"] for _, s in parsed("pgd_l2:eps=0.5..3")] == [0.5, 1.0, 2.0, 3]  # the end is always there
    assert [s["eps"] for _, s in parsed("pgd_l2:eps=0.1..0.8")] == pytest.approx([0.1, 0.2, 0.4, 0.8], rel=1e-12)
    assert [s["eps"] for _, s in parsed("pgd_l2:eps=1..1")] == [1]
    grid = parsed("pgd_linf:eps=1/255..2/255;steps=5..10")
    assert [(s["eps"], s["steps"]) for _, s in grid] == [(1 / 255, 5), (1 / 255, 10), (2 / 255, 5), (2 / 255, 10)]


def test_what_is_written_reads_back() -> None:
    for text in ("gaussian_noise:3", "jpeg_compression:1:quantize=true"):
        (spec,) = parse_perturbations(text)
        assert str(spec.build()) == text


def test_building_gives_what_the_factory_gives() -> None:
    (spec,) = parse_perturbations("gaussian_noise:2")
    assert not spec.needs_model
    x = torch.full((1, 3, 32, 32), 0.5)
    assert torch.equal(spec.build()(x), perturbation("gaussian_noise", severity=2)(x))


@pytest.mark.parametrize("bands", ["radial:8", "octaves:4:radial", "edges:0,.1,.3,1", "edges:0,.25,1:radial:dc"])
def test_a_setting_may_hold_colons_and_commas(bands: str) -> None:
    first, second = parse_perturbations(f"band_pgd_linf:eps=1/255;keep=0+2;bands={bands},fog:1:quantize=true")
    assert first == PerturbationSpec("band_pgd_linf", {"eps": 1 / 255, "keep": "0+2", "bands": bands})
    assert second == PerturbationSpec("fog", {"severity": 1, "quantize": True})


def test_attacks_need_a_model_to_be_built_and_none_to_be_read() -> None:
    (spec,) = parse_perturbations("pgd_linf:eps=4/255")
    assert spec == PerturbationSpec("pgd_linf", {"eps": 4 / 255})
    assert spec.needs_model
    with pytest.raises(InputError, match="pgd_linf needs a model"):
        spec.build()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gausian_noise:3", "did you mean gaussian_noise"),
        ("imagenet_c", "did you mean imagenet-c"),
        ("fog:6", "severity from 1 to 5, got 6 in 'fog:6'"),
        ("fog:0-3", "severity from 1 to 5, got 0"),
        ("fog:severity=9", "severity from 1 to 5, got 9"),
        ("fog:5-1", "from low to high"),
        ("fog:strong", "got 'strong' in 'fog:strong'"),
        ("fog:2:severity=3", "one severity"),
        ("fog:2:a=1:b=2", "expected NAME"),
        ("fog:2:quantize", "expected key=value"),
        ("fog:", "got '' in 'fog:'"),
        ("fog:2:", "expected key=value"),
        ("fog:1,3", "got '1,3'"),
        ("fog:2:quantize=1;quantize=2", "quantize twice"),
        ("pgd_linf:3", "pgd_linf has no severity"),
        ("pgd_linf:eps=8/255..1/255", "low..high"),
        ("pgd_linf:eps=0..1", "low..high"),
        ("pgd_linf:eps=a..b", "low..high"),
        ("", "at least one perturbation"),
        (" , ", "at least one perturbation"),
        ("fog:1,,snow:1", "unknown perturbation: ''"),
    ],
)
def test_bad_text_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        parse_perturbations(text)


def test_an_unknown_setting_is_named_when_built() -> None:
    (spec,) = parse_perturbations("fog:2:quantise=true")
    with pytest.raises(InputError, match="unknown setting of fog: 'quantise'; did you mean quantize"):
        spec.build()
