"""`spectrobe demo` as it is, on the real model and photographs; apart from the stand-ins of `test_demo.py`."""

from __future__ import annotations

import time

import pytest

import spectrobe as sb
from tests.cli.calls import Cli


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_demo_on_the_real_model_and_photographs(cli: Cli) -> None:
    pytest.importorskip("timm", reason="needs spectrobe[demo]")
    pytest.importorskip("foolbox", reason="needs spectrobe[demo]")
    outcome = cli("demo", "--quiet")
    assert outcome.code == 0, outcome.err
    result = sb.load("runs/demo")
    assert result.n_images == 20 and result.forward_passes == 20 * 255 + 1
    assert result.accuracy is not None and result.accuracy.value >= 0.8
    assert abs(result.efficiency_gap) < 1e-9
    # measured with float32 on x86: the profile falls from 3.1 to 0.02 nats, its score is 0.60
    assert result.shapley[0] == pytest.approx(3.135, abs=0.05)
    assert result.score.value == pytest.approx(0.597, abs=0.02)
    assert "demo:efficientnet-lite0 leans on coarse structure" in outcome.out
    start = time.monotonic()
    assert cli("demo").out == outcome.out
    assert time.monotonic() - start < 60
