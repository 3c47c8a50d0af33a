"""Errors that spectrobe raises on purpose; every message says what was expected, what came and what to do."""

from __future__ import annotations

from collections.abc import Mapping


class SpectrobeError(Exception):
    """Base of all errors raised on purpose. The command line prints its message as one line and exits with 2."""


class InputError(SpectrobeError, ValueError):
    """An argument, an image, a label, a file or a model is not what was expected."""


class BadImageError(InputError):
    """One image cannot be read or used; `image` is its id, `reason` what is wrong, in one line.

    account: both, without the advice of the message, which would be no news of an image that is left out already.
    """

    def __init__(self, image: str, reason: str) -> None:
        self.image, self.reason = image, reason
        self.account = f"image {image}: {reason}"
        super().__init__(f"{self.account}; mend or remove it, or leave it out with --on-bad-image skip")

    def __reduce__(self) -> tuple[type[BadImageError], tuple[str, str]]:
        # Worker processes send it back; the default would rebuild it from the message alone.
        return type(self), (self.image, self.reason)


class MissingExtraError(SpectrobeError, ImportError):
    """An optional library is not installed; the message carries the install command."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}, which is not installed: pip install 'spectrobe[{extra}]'")


class RunFolderError(SpectrobeError):
    """A run folder cannot be used: other settings, a newer schema, not writable, damaged."""


class ShardsFailedError(SpectrobeError):
    """Part of a run failed and was set aside, everything else is done and kept; the command line ends with 1.

    shards: index -> (reason in one line, traceback).   left: shards that were not tried.
    """

    def __init__(self, shards: Mapping[int, tuple[str, str]], left: int = 0, where: str = "") -> None:
        self.shards, self.left = dict(shards), left
        named = "; ".join(f"shard {index}: {reason}" for index, (reason, _) in self.shards.items())
        rest = f"{left} were not tried, since none went well; " if left else "all others are done and kept; "
        details = f"tracebacks are in {where}; " if where else ""
        super().__init__(
            f"{len(self.shards)} failed ({named}); {rest}{details}the same call goes on with what is missing"
        )


class ModelOutputError(SpectrobeError):
    """A model returned something that is not finite logits of shape (N, K) with K > 1."""
