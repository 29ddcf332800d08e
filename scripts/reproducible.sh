#!/bin/sh
# SPDX-License-Identifier: MIT
# reproducible.sh - builds this commit twice, in folders of other names, under another umask, locale, time zone and number of jobs, and
# compares command, library and list of contents byte by byte. Needs git and what a build needs; takes two builds' time.
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # FOLDER JOBS
    mkdir -p "$1"
    git archive HEAD | tar -x -C "$1"
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) cmake -S "$1" -B "$1/build" -G "$(generator)" -DLIMBER_CUDA=OFF -DLIMBER_TESTS=OFF -DLIMBER_BENCH=OFF \
        >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    cmake --build "$1/build" --parallel "$2" >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
}
(umask 022 && LC_ALL=C TZ=UTC build "$work/a" 1)
(umask 077 && LC_ALL=C.UTF-8 TZ=Asia/Tokyo build "$work/another place/of a longer name" 2)
status=0
for file in limber liblimber.so.0.1.0 limber.spdx.json; do
    if cmp "$work/a/build/$file" "$work/another place/of a longer name/build/$file"; then
        echo "same: $file $(sha256sum <"$work/a/build/$file" | cut -d' ' -f1)"
    else
        echo "differs: $file"
        status=1
    fi
done
exit $status
