"""Results as pandas tables, for those who have pandas."""

from __future__ import annotations

from typing import Any

from spectrobe.errors import MissingExtraError


def import_pandas() -> Any:
    """The pandas module, or MissingExtraError with the install command."""
    try:
        import pandas
    except ImportError:
        raise MissingExtraError("pandas", "frames", "to_frame()") from None
    return pandas
