#!/bin/sh
# SPDX-License-Identifier: MIT
# test_docs.sh - what the pages name is there: the files that links point to, and every path of this repository in the text.
set -eu
cd -- "$(dirname -- "$0")/.."
pages=$(find . -maxdepth 1 -name '*.md' && find docs bench cuda scripts tests/golden -name '*.md')
missing=0
for page in $pages; do
    folder=$(dirname -- "$page")
    links=$(grep -o '](\([^)#]*\)' "$page" | sed 's/^](//' | grep -v '^[a-z]*:' || true)
    for link in $links; do
        [ -e "$folder/$link" ] || { echo "$page: the link $link leads nowhere"; missing=1; }
    done
    # src/base/file.c, scripts/test.sh, tests/compute/test_ops.c: words that begin with a folder and end like a file
    paths=$(sed 's/\](\([^)]*\))/]/g' "$page" | grep -oE '(^|[^A-Za-z0-9_./-])(src|include|tests|scripts|tools|cuda|bench|docs|examples|cmake)/[A-Za-z0-9_./-]*[A-Za-z0-9_]\.(c|h|cu|cuh|py|sh|md|txt)\b' |
        grep -oE '(src|include|tests|scripts|tools|cuda|bench|docs|examples|cmake)/.*' | grep -v 'NAME' | sort -u || true)
    for path in $paths; do
        [ -e "$path" ] || [ -e "$folder/$path" ] || { echo "$page: there is no $path"; missing=1; }
    done
done
exit $missing
