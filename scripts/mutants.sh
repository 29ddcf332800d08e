#!/bin/sh
# SPDX-License-Identifier: MIT
# mutants.sh [PATTERN] - seeds defects into a copy of src/, one at a time, and shows that the tests named beside each notice it: a test is
# worth what it would notice. Slow (an hour of one core), not part of the tests. PATTERN: only mutants whose number or name match it.
#
# MUTANT_BUILD names a folder that keeps the copy, its build and the lines found so far [build/mutants]: started again on the same
# source, it goes on where it was stopped. MUTANT_CMAKE: options of the build. Exit status: 0 every mutant was caught and the unchanged
# source was not; 1 otherwise; 2 it could not be built. scripts/cuda_mutants.sh does the same for the kernels.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
only=${1-.}
shift $#
work=${MUTANT_BUILD-$root/build/mutants}
. "$root/scripts/packages.sh"
number=0
tried=0
escaped=0
mkdir -p "$work"
work=$(CDPATH='' cd -- "$work" && pwd)
copy=$work/source
# What has not changed keeps its time, so that what was built stays built.
mkdir -p "$copy"
(cd "$root" && git ls-files -z | tar --null -T - -cf - 2>/dev/null) | (cd "$copy" && tar -xf - --keep-newer-files 2>/dev/null)
# A defect that an earlier run was stopped in goes.
(cd "$root" && git ls-files src) | while read -r file; do cmp -s "$root/$file" "$copy/$file" || cp "$root/$file" "$copy/$file"; done
quiet() { "$@" >"$work/out" 2>&1; }
# Built as a checkout is, where one would have it: with ccache nothing is compiled twice but what a defect changes.
build=$copy/build/mutants
command -v ccache >/dev/null && set -- -DCMAKE_C_COMPILER_LAUNCHER=ccache
# Lines of an earlier run, of this very source.
state=$(cd "$root" && git ls-files -z | xargs -0 cksum 2>/dev/null | cksum)
[ "$(cat "$work/state" 2>/dev/null)" = "$state" ] || rm -f "$work/lines" "$work/as_it_is"
echo "$state" >"$work/state"
touch "$work/lines"
[ -f "$build/CMakeCache.txt" ] || set -- -G "$(generator)" "$@"
quiet cmake -S "$copy" -B "$build" "$@" -DLIMBER_CUDA=OFF ${MUTANT_CMAKE-} || { tail -20 "$work/out"; exit 2; }

# What has to be built for the tests of a regular expression of ctest's.
targets_of() {
    echo "$1" | tr -c 'a-z0-9_\n' ' ' | tr ' ' '\n' | grep -E '^(test|fuzz)_[a-z0-9_]+$' | sort -u
    case $1 in *run* | *eval* | *merge* | *export* | *measure* | *faults*) echo limber_command ;; esac
    case $1 in *faults*) echo rounds ;; esac
    for preloaded in limber_shim limber_misbehave; do
        case $1 in *run* | *faults*) [ ! -d "$build/tests/faults/CMakeFiles/$preloaded.dir" ] || echo $preloaded ;; esac
    done
}
build() {
    # shellcheck disable=SC2046 # a list of words
    quiet cmake --build "$build" --parallel "${JOBS:-1}" --target $(targets_of "$1")
}

# First the source as it is: what fails there would catch everything.
if [ ! -f "$work/as_it_is" ]; then
    all=''
    mutant() { all="$all|$3"; }
    . "$root/scripts/mutants.list"
    all=$(echo "$all" | tr '|' '\n' | sed '/^$/d' | sort -u | tr '\n' '|' | sed 's/|$//')
    build "$all" || { grep -m5 error "$work/out"; exit 2; }
    quiet ctest --test-dir "$build" -R "^($all)\$" --timeout 300 || { sed -n 's/.*[0-9] - \([^ ]*\) (/fails as it is: \1 (/p' "$work/out"; exit 1; }
    touch "$work/as_it_is"
fi

# mutant NAME FILE TESTS PERL-EXPRESSION: the expression must change src/FILE; one of TESTS must then fail
mutant() {
    number=$((number + 1))
    echo "$number $1" | grep -Eq "$only" || return 0
    tried=$((tried + 1))
    key=$(printf '%s\n' "$@" | cksum | tr ' ' -)
    line=$(sed -n "s/^$key //p" "$work/lines")
    if [ -z "$line" ]; then
        line=$(try "$@")
        echo "$key $line" >>"$work/lines"
    fi
    echo "| $number | $line |"
    case $line in *'caught by '*) ;; *) escaped=$((escaped + 1)) ;; esac
}
try() {
    file=$copy/src/$2
    cp -p "$file" "$work/kept"
    perl -0pi -e "$4" "$file"
    if cmp -s "$file" "$work/kept"; then
        result="THE SOURCE HAS CHANGED: this defect no longer applies"
    elif ! build "$3"; then
        result="does not compile: $(grep -m1 error "$work/out" | cut -c1-100)"
    elif quiet ctest --test-dir "$build" -R "^($3)\$" --timeout 120 --stop-on-failure; then
        result="NOT CAUGHT by $3"
    else
        result="caught by $(sed -n 's/.*[0-9] - \([^ ]*\) (.*/\1/p' "$work/out" | head -1)"
    fi
    cp "$work/kept" "$file" # a new time, so that it is built again
    echo "$1 | $2 | $result"
}

echo "| # | defect | file | noticed |"
echo "|---|---|---|---|"
. "$root/scripts/mutants.list"
echo
echo "$((tried - escaped)) of $tried caught"
[ "$escaped" -eq 0 ]
