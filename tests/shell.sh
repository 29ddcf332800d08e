# SPDX-License-Identifier: MIT
# shell.sh - what the tests from outside share. LIMBER is the command, LIMBER_TEST_DIR this folder; each case works in a folder of
# its own. Status 0: passed, 77: skipped, else failed. A shell and coreutils only.
: "${LIMBER:?the command}" "${LIMBER_TEST_DIR:?the tests}"
work=$(mktemp -d)
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
unset LIMBER_MODEL

fail() {
    echo "FAILED: $*"
    [ ! -f err ] || sed 's/^/    stderr: /' err
    [ ! -f out ] || head -c 2000 out | sed 's/^/    stdout: /'
    exit 1
}
skip() {
    echo "skipped: $*"
    exit 77
}
# status N COMMAND...: runs it with stdout in `out`, stderr in `err`, and asks for that exit status.
status() {
    wanted=$1
    shift
    got=0
    "$@" >out 2>err || got=$?
    [ "$got" = "$wanted" ] || fail "status $got, expected $wanted: $*"
}
says() { grep -qF -- "$1" err || fail "stderr lacks: $1"; }
has() { grep -qF -- "$2" "$1" || fail "$1 lacks: $2"; }
lines() { [ "$(wc -l <"$2")" -eq "$1" ] || fail "$2 has $(wc -l <"$2") lines, expected $1"; }
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }
