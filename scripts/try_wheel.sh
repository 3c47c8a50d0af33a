#!/usr/bin/env bash
# Build the sdist and from it the wheel, install the wheel alone in a scratch environment, and try it outside the source tree.
# Heavy dependencies are borrowed from the environment of the Python given as the first argument.
set -eu
cd "$(dirname "$0")/.."
python="$PWD/$1"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

"$python" -m build --outdir "$scratch/dist" . >"$scratch/build.log" 2>&1 || { cat "$scratch/build.log"; exit 1; }
"$python" -m venv --without-pip "$scratch/venv"
"$python" -m pip --disable-pip-version-check --python "$scratch/venv/bin/python" install --quiet --no-deps --no-index "$scratch"/dist/*.whl

# A plain path in a .pth file brings the packages of that environment but not its editable install of the source tree.
site="$("$scratch/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/borrowed.pth"

cp scripts/try_installed.py "$scratch"
cd "$scratch"
venv/bin/python -I try_installed.py
venv/bin/spectrobe --version
echo "wheel: $(basename dist/*.whl) installs, imports and runs"
