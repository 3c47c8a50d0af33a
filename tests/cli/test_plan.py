"""`spectrobe plan`: the arguments of the command itself, a price, and nothing kept."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from spectrobe.cli.commands import decompose, robustness, snr
from tests.cli.calls import Cli

MODEL = "python:toys:colour?num_classes=3"


def test_a_decomposition_is_priced_and_then_costs_just_that(cli: Cli, world: Path, tmp_path: Path) -> None:
    call = (MODEL, world / "images", "--bands", 3, "--precision", "float32", "--batch-size", 8)
    done = cli("plan", "decompose", *call, "--json")
    assert done.code == 0, done.err
    assert done.result["kind"] == "plan" and done.result["bottleneck"] in ("decoding", "the store")
    assert list(tmp_path.iterdir()) == []
    ran = cli("decompose", *call, "--json")
    assert ran.result["forward_passes"] == done.result["passes"] == 12 * 7 + 1


def test_it_is_told_for_people(cli: Cli, world: Path) -> None:
    done = cli("plan", "decompose", MODEL, world / "images", "--images", 50000, "--models", 1000,
               "--gpus", 8, "--bands", 3, "--quiet")  # fmt: skip
    assert done.code == 0 and done.err == ""
    assert "on 50,000 images of images x 1,000 models" in done.out
    assert "forward passes: 350,001 a model, 350,001,000 in all" in done.out
    assert "note: the 12 images of images stand for 50,000 like them" in done.out


def test_robustness_and_snr(cli: Cli, world: Path, tmp_path: Path) -> None:
    done = cli("plan", "robustness", MODEL, world / "images", "--perturb", "contrast:1-2", "--json")
    assert done.code == 0 and done.result["passes"] == 36, done.err
    done = cli("plan", "snr", world / "images", "--perturb", "contrast:1-2", "--bands", 3, "--json")
    assert done.code == 0 and done.result["passes"] == 24, done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("decompose", MODEL, "nowhere"), "nowhere"),
        (("decompose", MODEL, "images", "--gpus", "0"), "expected gpus as a whole number, at least 1"),
        (("decompose", MODEL, "images", "--absence", "all"), "expected one absence to price"),
        (("robustness", MODEL, "--perturb", "contrast"), "expected clean images (DATA) to price"),
        (("snr", "images"), "expected --against NOISY"),
        (("decompose", MODEL, "images", "--out", "x"), "no such option"),
        (("train",), "no such command"),
    ],
)
def test_bad_input(call: tuple[str, ...], said: str, cli: Cli, world: Path) -> None:
    done = cli("plan", *(str(world / "images") if word == "images" else word for word in call))
    assert done.code == 2 and done.out == ""
    assert said in done.err.lower() if said.startswith("no such") else said in done.err
    assert "Traceback" not in done.err


ELSEWHERE = {"out", "engine", "address", "ray_workers", "gpus_per_worker"}  # where the job runs is not priced


@pytest.mark.parametrize(
    ("name", "command", "without"),
    [
        ("decompose", decompose, ELSEWHERE),
        ("robustness", robustness, {*ELSEWHERE, "tree", "against", "relative_to"}),
        ("snr", snr, ELSEWHERE),
    ],
)
def test_every_option_of_the_command_can_be_priced(name: str, command: Any, without: set[str], cli: Cli) -> None:
    told = cli("plan", name, "--help").out
    for option in set(inspect.signature(command.command).parameters) - without - {"model", "data"}:
        assert f"--{option.replace('_', '-')}" in told, option
