#!/bin/sh
# SPDX-License-Identifier: MIT
# faults.sh [KIND...] - what goes wrong around `limber run`, at every step, and whether its lines survive (tests/faults/rounds.c says what
# is done and what must hold): errors memory signals changes clocks limits writers, or those named. The tests do a few of these rounds,
# this does them all: half an hour. BUILD names a build with tests [build/dev]; SEED makes other moments.
set -u
cd -- "$(dirname -- "$0")/.."
build=${BUILD:-build/dev}
[ -x "$build/tests/faults/rounds" ] || { echo "faults.sh: no $build/tests/faults/rounds: build the tests first" >&2; exit 2; }
export LIMBER="$PWD/$build/limber" LIMBER_SHIM="$PWD/$build/tests/faults/liblimber_shim.so" LIMBER_TEST_DIR="$PWD/tests"
[ $# -gt 0 ] || set -- errors memory signals changes clocks limits writers
status=0
for kind in "$@"; do
    every=1
    [ "$kind" != memory ] || every=7
    "$build/tests/faults/rounds" "$kind" --every $every --seed "${SEED:-1}" || status=1
done
exit $status
