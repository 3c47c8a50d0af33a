#!/usr/bin/env bash
# Print the first Python that is 3.11 or newer and can make virtual environments; with an argument, only that one is tried.
set -eu
check='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
for python in ${1:-python3.13 python3.12 python3.11 python3 python}; do
    # A name on PATH proves nothing (version managers put placeholders there): run it.
    if "$python" -c "$check" </dev/null >/dev/null 2>&1; then
        echo "$python"
        exit 0
    fi
done
echo "expected Python 3.11 or newer with its venv module, found none (tried: ${1:-python3.13 python3.12 python3.11 python3 python});" \
    "install it, or say where it is: make PYTHON=/path/to/python (on Debian and Ubuntu the package python3-venv is needed too)" >&2
exit 1
