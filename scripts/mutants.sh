#!/bin/sh
# SPDX-License-Identifier: MIT
# mutants.sh [PATTERN] - seeds defects into a copy of src/, one at a time, and shows that the tests named beside each notice it: a test is
# worth what it would notice. Slow (an hour of one core), not part of the tests. PATTERN: only mutants whose number or name match it.
#
# MUTANT_BUILD names a folder that keeps the copy and its build from run to run [build/mutants]. Exit status: 0 every mutant was caught
# and the unchanged source was not; 1 otherwise; 2 it could not be built. scripts/cuda_mutants.sh does the same for the kernels.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
only=${1-.}
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
quiet() { "$@" >"$work/out" 2>&1; }
[ -f "$work/build/CMakeCache.txt" ] || set -- -G "$(generator)"
quiet cmake -S "$copy" -B "$work/build" "$@" -DLIMBER_CUDA=OFF -DLIMBER_BENCH=OFF ${MUTANT_CMAKE-} || { tail -20 "$work/out"; exit 2; }

# What has to be built for the tests of a regular expression of ctest's.
targets_of() {
    echo "$1" | tr -c 'a-z0-9_\n' ' ' | tr ' ' '\n' | grep -E '^(test|fuzz)_[a-z0-9_]+$' | sort -u
    case $1 in *run* | *eval* | *merge* | *export* | *measure* | *faults*) echo limber_command ;; esac
    case $1 in *faults*) printf 'rounds\nlimber_shim\n' ;; esac
}
build() {
    # shellcheck disable=SC2046 # a list of words
    quiet cmake --build "$work/build" --parallel "${JOBS:-1}" --target $(targets_of "$1")
}

# First the source as it is: what fails there would catch everything.
all=''
mutant() { all="$all|$3"; }
. "$root/scripts/mutants.list"
all=$(echo "$all" | tr '|' '\n' | sed '/^$/d' | sort -u | tr '\n' '|' | sed 's/|$//')
build "$all" || { grep -m5 error "$work/out"; exit 2; }
quiet ctest --test-dir "$work/build" -R "^($all)\$" --timeout 300 || { sed -n 's/.*[0-9] - \([^ ]*\) (/fails as it is: \1 (/p' "$work/out"; exit 1; }

# mutant NAME FILE TESTS PERL-EXPRESSION: the expression must change src/FILE; one of TESTS must then fail
mutant() {
    number=$((number + 1))
    echo "$number $1" | grep -Eq "$only" || return 0
    tried=$((tried + 1))
    file=$copy/src/$2
    cp -p "$file" "$work/kept"
    perl -0pi -e "$4" "$file"
    if cmp -s "$file" "$work/kept"; then
        echo "| $number | $1 | $2 | THE SOURCE HAS CHANGED: this mutant no longer applies |"
        escaped=$((escaped + 1))
    elif ! build "$3"; then
        echo "| $number | $1 | $2 | does not compile: $(grep -m1 error "$work/out" | cut -c1-100) |"
        escaped=$((escaped + 1))
    elif quiet ctest --test-dir "$work/build" -R "^($3)\$" --timeout 120 --stop-on-failure; then
        echo "| $number | $1 | $2 | NOT CAUGHT by $3 |"
        escaped=$((escaped + 1))
    else
        echo "| $number | $1 | $2 | $(sed -n 's/.*[0-9] - \([^ ]*\) (.*/\1/p' "$work/out" | head -1) |"
    fi
    cp "$work/kept" "$file" # a new time, so that it is built again
}

echo "| # | defect | file | caught by |"
echo "|---|---|---|---|"
. "$root/scripts/mutants.list"
echo
echo "$((tried - escaped)) of $tried caught"
[ "$escaped" -eq 0 ]
