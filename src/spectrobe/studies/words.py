"""Numbers in plain words, alike in every study."""

from __future__ import annotations

from collections.abc import Mapping

_LISTED = 10


def left_out(skipped: Mapping[str, str]) -> list[str]:
    """A line for each of the first images that a run left out, and one for the rest. skipped: image id -> why."""
    lines = [f"left out: {why}" for why in list(skipped.values())[:_LISTED]]
    more = len(skipped) - _LISTED
    return lines + [f"left out: {more:,} more, listed in result.json"] * (more > 0)


def percent(share: float) -> str:
    """0.95 -> 95%, 0.975 -> 97.5%."""
    return f"{100 * share:.6g}%"
