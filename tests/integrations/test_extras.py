"""Without the libraries that the integrations are for: the command that installs them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import spectrobe as sb
from spectrobe.errors import MissingExtraError

NAMES = {
    "SpectralCallback": ("lightning.pytorch", "train"),
    "SpectralImportance": ("torchmetrics", "train"),
    "SpectralTrainerCallback": ("transformers", "hf"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_library_is_named_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library, extra = NAMES[name]
    for module in [m for m in sys.modules if m.startswith("spectrobe.integrations.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(vars(sb.integrations), name, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        MissingExtraError, match=rf"{name} needs {library.partition('.')[0]}, .*pip install 'spectrobe\[{extra}\]'"
    ):
        getattr(sb.integrations, name)


def test_other_names_are_not_there() -> None:
    missing: Any = "SpectralCallbak"
    with pytest.raises(AttributeError, match="SpectralCallbak"):
        getattr(sb.integrations, missing)
    assert set(NAMES) <= set(dir(sb.integrations))
