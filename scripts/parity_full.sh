#!/bin/sh
# SPDX-License-Identifier: MIT
# limber against transformers at full size (tools/parity_full.py says what is compared). Needs a Python with torch, torchvision,
# transformers, safetensors, scipy and pillow, 8 GB of memory and some minutes.
#     PYTHON=venv/bin/python sh scripts/parity_full.sh [vitpose-b-simple|vitpose-b-classic|vitpose-plus-s|limber-s|yolos-tiny|yolos-small|convert]...
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
[ -e "$build/CMakeCache.txt" ] || cmake -S . -B "$build"
cmake --build "$build" --target limber_command test_golden test_yolos -j "$(nproc)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"${PYTHON:-python3}" tools/parity_full.py --limber "$build/limber" --test "$build/tests/test_golden" --test-yolos "$build/tests/test_yolos" --work "$work" "$@"
