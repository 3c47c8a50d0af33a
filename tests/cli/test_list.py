"""`spectrobe list`, `--version` and `--help`."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints, version

import pytest

from spectrobe import plugins
from spectrobe.bands import BandPartition
from spectrobe.cli.app import COMMANDS
from spectrobe.cli.commands.list import LISTS
from spectrobe.cli.commands.study import STUDIES
from spectrobe.engine.absence import absence_classes
from spectrobe.game.coalitions import DESIGNS
from spectrobe.game.scores import MEANINGS, score_functions
from spectrobe.game.values import value_classes
from spectrobe.perturbations import SETS, names
from tests.cli.calls import Cli

WRITTEN = {
    "values": set(value_classes()),
    "absences": {*absence_classes(), "all"},
    "designs": set(DESIGNS),
    "scores": set(score_functions(BandPartition.square(4))),
    "perturbations": {*names(), *SETS},
    "bands": {"8", "radial:8", "octaves:5", "edges:0,.1,.3,1"},
    "data": {"FOLDER", "demo", "hf", "parquet"},
    "figures": {"profile", "response", "robustness", "score_robustness", "snr_bias"},
    "models": {"timm:", "torchvision:", "hf:", "onnx:", "export:", "python:", "demo:", "clip:"},
}


@pytest.mark.parametrize("what", LISTS)
def test_every_name_is_listed_with_a_meaning(what: str, cli: Cli) -> None:
    outcome = cli("list", what)
    assert outcome.code == 0 and outcome.err == ""
    rows = [line.split(maxsplit=1) for line in outcome.out.splitlines()]
    assert {row[0] for row in rows} >= WRITTEN[what]
    assert all(len(row) == 2 and len(row[1]) > 8 for row in rows), rows
    as_json = cli("list", what, "--json").result[what]
    assert list(as_json) == [row[0] for row in rows]


def test_a_broken_package_is_named_and_hides_no_other_name(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = ("spectrobe.values", "spectrobe.absences", "spectrobe.perturbations")
    points = EntryPoints([EntryPoint("broken", "no.such.module:Thing", group) for group in groups])
    monkeypatch.setattr(plugins, "entry_points", points.select)
    for what in ("values", "absences", "perturbations"):
        outcome = cli("list", what)
        assert outcome.code == 0 and outcome.err == ""
        rows = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
        assert set(rows) == {*WRITTEN[what], "broken"}
        assert rows["broken"].startswith("(cannot be used: the ") and "no.such.module:Thing" in rows["broken"]


def test_the_bands_of_the_list_can_be_written() -> None:
    assert [BandPartition.of(name).n_bands for name in LISTS["bands"]()] == [8, 8, 5, 3]


def test_every_score_has_a_meaning() -> None:
    assert set(MEANINGS) == set(score_functions(BandPartition.square(4)))


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out == f"spectrobe {version('spectrobe')}\n"


@pytest.mark.parametrize("argv", [(), ("--help",), ("-h",)])
def test_help_names_every_command(argv: tuple[str, ...], cli: Cli) -> None:
    outcome = cli(*argv)
    assert outcome.code == 0
    assert all(f" {name} " in outcome.out for name in COMMANDS)


@pytest.mark.parametrize(
    "command", [*(name for name in COMMANDS if name != "study"), *(f"study {name}" for name in STUDIES)]
)
def test_help_of_a_command_says_what_it_takes(command: str, cli: Cli) -> None:
    outcome = cli(*command.split(), "--help")
    assert outcome.code == 0
    assert f"spectrobe {command}" in outcome.out
    outcome = cli(command, "decompose", "--help") if command == "plan" else outcome  # a group of commands
    assert "--json" in outcome.out


def test_help_and_typing_mistakes_are_answered_without_torch() -> None:
    code = (
        "import sys\nfrom spectrobe.cli import main\n"
        "codes = [main(['decompose', '--help']), main(['decompose']), main(['--version'])]\n"
        "assert codes == [0, 2, 0], codes\n"
        "print([name for name in ('torch', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
