#!/bin/sh
# spdx.sh - gives every source file that has none its licence line: the first line, or the second after "#!".
set -eu
cd -- "$(dirname -- "$0")/.."
add() { # TEXT FILE
    if head -1 "$2" | grep -q '^#!'; then sed -i "1a $1" "$2"; else sed -i "1i $1" "$2"; fi
}
git ls-files -co --exclude-standard -- .ci .github bench bindings cmake cuda examples include scripts src tests tools CMakeLists.txt |
    while IFS= read -r file; do
        case $file in
        tests/corpus/* | tests/golden/* | tests/images/* | tests/export/recorded/* | \"*) continue ;;
        *.c | *.h | *.cu | *.cuh | *.cc) line="/* SPDX-License-Identifier: MIT */" ;;
        *.py | *.sh | *.cmake | *.yml | */CMakeLists.txt | CMakeLists.txt | .ci/run) line="# SPDX-License-Identifier: MIT" ;;
        *) continue ;;
        esac
        [ ! -f "$file" ] || grep -q 'SPDX-License-Identifier' "$file" || add "$line" "$file"
    done
