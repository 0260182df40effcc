#!/usr/bin/env bash
# Writes requirements.txt anew: resolves the ranges of pyproject.toml (extras fast, video, metrics, export,
# hub, clip and dev included) in an empty environment and pins everything that came of it.
#
#   PYTHON=python3.11 tools/lock.sh        the oldest supported Python, so that the pins fit all
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
torch=${TORCH:-2.13.0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/venv"
"$work/venv/bin/python" - > "$work/ranges.txt" <<'PY'
import tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
print(*project["dependencies"], *extras["fast"], *extras["video"], *extras["metrics"],
      *extras["export"], *extras["hub"], *extras["clip"], *extras["dev"], sep="\n")
PY
# setuptools: torch builds native code with it, and Python 3.12 and later no longer bring it along.
"$work/venv/bin/python" -m pip install --quiet --upgrade \
    "torch==$torch" "setuptools>=77,<82" -r "$work/ranges.txt"

{
    cat <<'TEXT'
# Every package that SteerGAN was tested with, pinned. Made by `make lock` from pyproject.toml; do not edit.
# Left out: the CUDA packages of torch (each torch release pins its own).
TEXT
    # Local version labels (torch 2.13.0+cpu) name a build, not a release; pyspng has wheels for x86-64 alone.
    "$work/venv/bin/python" -m pip freeze --all \
        | sed -e '/^pip==/d' -e '/^nvidia-/d' -e '/^cuda-/d' -e '/^triton==/d' -e 's/+[A-Za-z0-9.]*$//' \
              -e 's/^pyspng==.*/&; platform_machine == "x86_64"/'
} > "$work/requirements.txt"
mv "$work/requirements.txt" requirements.txt
echo "requirements.txt: $(grep -c == requirements.txt) packages pinned"
