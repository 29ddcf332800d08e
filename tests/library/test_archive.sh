#!/bin/sh
# SPDX-License-Identifier: MIT
# test_archive.sh - what scripts/static.sh would pack of this build is the list it promises: command, manual pages, completions, cards,
# licence. And a file more or less is noticed. BUILD_DIR is the build, SOURCE_DIR the repository.
set -eu
: "${BUILD_DIR:?}" "${SOURCE_DIR:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
sh "$SOURCE_DIR/scripts/static.sh" --pack "$BUILD_DIR" "$work/limber" || fail "static.sh --pack"
[ -x "$work/limber/bin/limber" ] || fail "no command"
gzip -dc "$work/limber/share/man/man1/limber-run.1.gz" | grep -q overlay || fail "no manual page"
mkdir "$work/more"
: >"$work/more/stray"
! sh "$SOURCE_DIR/scripts/static.sh" --pack "$BUILD_DIR" "$work/more" >"$work/said" 2>&1 || fail "a file more was not noticed"
grep -q '^> stray' "$work/said" || fail "$(cat "$work/said")"
echo "passed"
