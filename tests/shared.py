"""Where models and images lie that are not part of the project; tests that need them skip without."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
