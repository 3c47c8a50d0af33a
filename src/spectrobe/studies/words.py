"""Numbers in plain words, alike in every study."""

from __future__ import annotations


def percent(share: float) -> str:
    """0.95 -> 95%, 0.975 -> 97.5%."""
    return f"{100 * share:.6g}%"
