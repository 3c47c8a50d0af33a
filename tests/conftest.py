"""Settings for all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# No display is needed, and none is looked for.
os.environ.setdefault("MPLBACKEND", "Agg")

# The same examples on every run, and no deadline for one of them: the machine may be busy.
settings.register_profile("spectrobe", deadline=None, derandomize=True)
settings.load_profile("spectrobe")

# Started in the background, a shell has children ignore Ctrl-C, and theirs would too: tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
