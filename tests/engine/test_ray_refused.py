"""What --engine ray refuses before there is a cluster: no Ray, addresses that do not answer, options of no sense."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spectrobe.cli import main
from spectrobe.engine.executor import RayOptions, executor_of
from spectrobe.engine.ray_cluster import Cluster
from spectrobe.errors import InputError, MissingExtraError

PLANTED = "planted:bands=4;dprime=1:1.5;size=16"
COMMANDS = [
    ["decompose", PLANTED, f"{PLANTED};images=8"],
    ["robustness", PLANTED, f"{PLANTED};images=8", "--perturb", "contrast:1"],
    ["snr", f"{PLANTED};images=8", "--perturb", "contrast:1"],
    ["zoo", "models.toml", f"{PLANTED};images=8", "--perturb", "contrast:1"],
]


@pytest.mark.parametrize("call", COMMANDS, ids=[call[0] for call in COMMANDS])
def test_no_ray(
    call: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.toml").write_text('models = ["' + PLANTED + '"]')
    assert main([*call, "--engine", "ray"]) == 2
    said = "spectrobe: engine 'ray' needs ray, which is not installed: pip install 'spectrobe[ray]'\n"
    assert capsys.readouterr() == ("", said)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["models.toml"]


def test_no_ray_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spectrobe\[ray\]'"), executor_of("ray"):
        pass


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest.importorskip("ray"), "is_initialized", lambda: False)


def test_address_where_nothing_listens(unconnected: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InputError, match=f"no Ray cluster answers at {address}"), executor_of(RayOptions(address)):
        pass


def test_address_that_never_answers(unconnected: None) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        options, start = RayOptions(address, timeout=1.5), time.monotonic()
        with pytest.raises(InputError, match=r"does not answer as a Ray cluster within 1\.5 s"), executor_of(options):
            pass
        assert time.monotonic() - start < 20  # Ray's own patience ends after minutes


def test_auto_where_the_cluster_is_no_more(unconnected: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray takes for the cluster of this machine may have ended without a word."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{mute.getsockname()[1]}")
        options, start = RayOptions("auto", timeout=1.5), time.monotonic()
        said = r"this machine's cluster \(auto\) does not answer as a Ray cluster within 1\.5 s"
        with pytest.raises(InputError, match=said), executor_of(options):
            pass
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:x", ""])
def test_address_that_is_none(unconnected: None, address: str) -> None:
    with pytest.raises(InputError, match="expected the address of a Ray cluster as host:port"):
        Cluster(address or ":", 1).connect()


@pytest.mark.parametrize("options,told", [
    ({"workers": 0}, "at least 1 as the number of Ray workers"), ({"workers": 1.5}, "a whole number, got 1.5"),
    ({"tries": 0}, "at least 1 as the number of tries"), ({"gpus_per_worker": -1}, "a fraction of a GPU"),
    ({"gpus_per_worker": 1.5}, "a fraction of a GPU or a whole number"), ({"timeout": 0}, "a timeout of some seconds"),
])  # fmt: skip
def test_options_that_make_no_sense(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        RayOptions(**options)


def test_command_line_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decompose", "demo:none", "demo", "--engine", "dask"]) == 2
    assert capsys.readouterr().err == "spectrobe: expected --engine local or ray, got 'dask'\n"
    assert main(["decompose", "demo:none", "demo", "--ray-workers", "2"]) == 2
    assert "expected --ray-workers together with --engine ray" in capsys.readouterr().err
