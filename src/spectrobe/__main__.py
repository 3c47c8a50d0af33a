"""`python -m spectrobe` is `spectrobe`."""

import sys

from spectrobe.cli import main

sys.exit(main())
