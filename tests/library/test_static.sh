#!/bin/sh
# SPDX-License-Identifier: MIT
# test_static.sh - what liblimber.a is made of shows no name but limber_*, so a program may have any other: the example runs with functions
# of its own that are called as ours are. OBJECT is the library's one object, LIBS what it needs, RUN an emulator or nothing.
set -eu
: "${OBJECT:?}" "${SOURCE_DIR:?}" "${LIBS:?}" "${CC:=cc}" "${NM:=nm}" "${RUN:=}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

"$NM" -g --defined-only "$OBJECT" | awk 'NF >= 3 {print $NF}' >"$work/shown"
grep -qx limber_run "$work/shown" || fail "limber_run is not in it"
if grep -v '^limber_' "$work/shown" >"$work/others"; then fail "shown besides limber_*: $(cat "$work/others")"; fi

# the same names twice: every local function of ours with a word of lower case for a name, up to 200
"$NM" --defined-only "$OBJECT" | awk '$2 == "t" && $3 ~ /^[a-z]+_[a-z_]+$/ && $3 !~ /^(limber|frame|register|deregister)_/ {print $3}' |
    sort -u | head -200 >"$work/names"
[ "$(wc -l <"$work/names")" -ge 100 ] || fail "only $(wc -l <"$work/names") names to try"
sed 's/.*/void &(void); void &(void) { __builtin_trap(); }/' "$work/names" >"$work/clash.c"
"$CC" -std=c11 -w -I"$SOURCE_DIR/include" "$SOURCE_DIR/examples/minimal.c" "$work/clash.c" "$OBJECT" $LIBS -o "$work/minimal" ||
    fail "the example does not link"
$RUN "$work/minimal" "$SOURCE_DIR/data/samples/three.jpg" >"$work/out" || fail "the example does not run"
[ "$(wc -l <"$work/out")" -ge 17 ] && [ $(($(wc -l <"$work/out") % 17)) -eq 0 ] || fail "the example's output: $(cat "$work/out")"
echo "passed"
