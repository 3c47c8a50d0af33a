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


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:,.1f} h"


def file_size(size: float) -> str:
    """Bytes in decimal units."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
