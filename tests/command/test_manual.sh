#!/bin/sh
# SPDX-License-Identifier: MIT
# test_manual.sh - the manual pages and completions that the build made: each page whole, each option of --help on it and in all three
# completions, which complete. LIMBER is the command. mandoc, zsh and fish are asked where they are.
set -eu
: "${LIMBER:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
cd "$work"
"$LIMBER" --manual made || fail "limber --manual"
"$LIMBER" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' >commands
[ "$(wc -l <commands)" -ge 10 ] || fail "commands: $(cat commands)"
for command in $(cat commands); do
    [ "$command" = bench ] && { echo bench attention; echo bench model; echo bench pipeline; continue; }
    echo "$command"
done >all
while read -r command; do
    page=made/limber-$(echo "$command" | tr ' ' -).1
    [ -f "$page" ] || fail "no page of limber $command"
    for part in NAME SYNOPSIS DESCRIPTION OPTIONS "EXIT STATUS" FILES EXAMPLES "SEE ALSO"; do
        grep -q "^\.SH $part" "$page" || fail "$page: no $part"
    done
    # shellcheck disable=SC2086
    "$LIMBER" $command --help | sed -n 's/^  --\([a-z-]*\).*/\1/p' >options
    grep -q . options || fail "limber $command has no options?"
    for option in $(cat options); do
        grep -q "^.fB..--$(echo "$option" | sed 's/-/\\\\-/g')\|^.fB\\\\-\\\\-$(echo "$option" | sed 's/-/\\\\-/g').fR" "$page" || fail "$page: no --$option"
        [ "$option" = help ] && continue
        grep -q -- "--$option\b" made/limber.bash || fail "bash: no --$option"
        grep -q -- "--$option\b" made/_limber || fail "zsh: no --$option"
        grep -q -- " -l $option " made/limber.fish || fail "fish: no --$option"
    done
    grep -q "limber\\\\-$(echo "$command" | sed 's/ /\\\\-/')" made/limber.1 || fail "limber.1 does not name limber-$command"
done <all
if command -v mandoc >/dev/null; then
    mandoc -Tlint made/*.1 >lint || fail "$(cat lint)"
fi
if command -v bash >/dev/null; then
    completes() { # LINE'S WORDS, the last one being typed: what is offered
        bash -c '. made/limber.bash
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _limber limber "${COMP_WORDS[$COMP_CWORD]}" "${COMP_WORDS[$((COMP_CWORD - 1))]}"
            echo "${COMPREPLY[*]}"' bash limber "$@"
    }
    [ "$(completes mer)" = merge ] || fail "bash: mer -> $(completes mer)"
    [ "$(completes run --overlay-s)" = --overlay-size ] || fail "bash: $(completes run --overlay-s)"
    [ "$(completes run --backend c)" = "cpu cuda" ] || fail "bash: $(completes run --backend c)"
    [ "$(completes bench att)" = attention ] || fail "bash: $(completes bench att)"
    [ "$(completes bench attention --naive)" = --naive-limit ] || fail "bash: $(completes bench attention --naive)"
    [ "$(completes help exp)" = export ] || fail "bash: $(completes help exp)"
    mkdir "a folder"
    [ "$(completes run --out a)" = "a folder" ] || fail "bash: $(completes run --out a)"
fi
! command -v zsh >/dev/null || zsh -n made/_limber || fail "zsh cannot read it"
! command -v fish >/dev/null || fish -n made/limber.fish || fail "fish cannot read it"
echo passed
