#!/bin/sh
# SPDX-License-Identifier: MIT
# test.sh [--quick] - installs what is missing (Debian, Ubuntu), then: the layout of the code; gcc, warnings as errors, all tests;
# clang, warnings as errors; address and undefined-behaviour sanitizers, all tests; the memory sanitizer, which sees what nobody
# wrote, over the readers of files. Ends with one line, "N passed, N failed, N skipped", that counts every test of
# every program; its exit status is 0 when nothing failed. --quick leaves out the CUDA kernels over their emulator (cuda.*), whose
# building alone takes minutes of two cores.
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh
need gcc g++ clang libc6-dev make cmake ninja-build pkg-config libjansson-dev libjpeg-dev libwebp-dev libtiff-dev libheif1 libcriterion-dev \
    python3-numpy python3-pytest python3-pil libavformat-dev libavcodec-dev libswscale-dev ffmpeg libgstreamer-plugins-base1.0-dev
jobs=$(nproc 2>/dev/null || echo 2)
passed=0 failed=0 skipped=0

# A Criterion program counts its own tests, in its own words, kept in ctest's log; any other program is one test, and ctest's
# lines say what became of it.
count() { # BUILD_DIR CTEST_OUTPUT
    # shellcheck disable=SC2046
    set -- $(awk '
        /^[0-9]+\/[0-9]+ Testing: / { name = $3 }
        /^\[SKIP\] / { skips[name]++ }
        /^\[====\] Synthesis: / {
            for (i = 1; i < NF; i++) {
                if ($i == "Passing:") good[name] += $(i + 1)
                if ($i == "Failing:" || $i == "Crashing:") bad[name] += $(i + 1)
            }
        }
        / Test +#[0-9]+: / {
            for (i = 1; $i !~ /^#/; i++) continue
            name = $(i + 1)
            if (/\*\*\*Skipped|\*\*\*Not Run \(Disabled\)/) skipped++
            else if (name in good) { passed += good[name]; skipped += skips[name]; failed += / Passed / ? 0 : bad[name] ? bad[name] : 1 }
            else if (/ Passed /) passed++
            else failed++
        }
        END { print passed + 0, failed + 0, skipped + 0 }' "$1/Testing/Temporary/LastTest.log" "$2")
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# A build that fails counts as a failed test, so that the last line cannot lie.
build() { # PRESET [CMAKE_OPTION...]
    echo "== $1"
    preset=$1
    shift
    [ -f "build/$preset/CMakeCache.txt" ] || set -- "$@" -G "$(generator)" # a build that is there keeps its own
    mkdir -p "build/$preset"
    if ! { cmake --preset "$preset" "$@" && cmake --build --preset "$preset" --parallel "$jobs"; } >"build/$preset/build.log" 2>&1; then
        grep -E 'error|warning|Error|FAILED' "build/$preset/build.log" | head -40 || true
        tail -5 "build/$preset/build.log"
        echo "== $preset does not build"
        failed=$((failed + 1))
        return 1
    fi
}
tests() { # PRESET [CTEST_OPTION...]
    dir=build/$1
    shift
    ctest --test-dir "$dir" --output-on-failure -j"$jobs" --timeout 300 "$@" >"$dir/ctest.txt" 2>&1 ||
        grep -avE ' Passed +[0-9.]+ sec$|^ +Start ' "$dir/ctest.txt" | tail -150
    grep -E 'tests passed|Total Test time' "$dir/ctest.txt" || true
    count "$dir" "$dir/ctest.txt"
}

# One version's layout: another's differs in places.
format() {
    echo "== format"
    need clang-format-14
    if ! command -v clang-format-14 >/dev/null 2>&1; then
        echo "skipped: no clang-format-14"
        skipped=$((skipped + 1))
    elif find src include cuda tests bench examples bindings \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cc' \) \
        -exec clang-format-14 --dry-run -Werror {} + 2>&1 | grep 'error:' | cut -d: -f1 | sort -u |
        sed 's/$/: clang-format-14 -i mends it/' | grep .; then
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}
mkdir -p build
format

# One GPU generation is enough to see that the plugin compiles; a release builds them all.
if build ci -DCMAKE_CUDA_ARCHITECTURES=90-real; then
    if [ "${1:-}" = --quick ]; then tests ci -E '^cuda\.'; else tests ci; fi
fi
build ci-clang || true
# Allocations that the sanitizer cannot serve are to fail, not to abort. The CUDA kernels had their sanitizers above.
# Fresh memory is filled, lest it be taken for zeros.
export ASAN_OPTIONS="allocator_may_return_null=1:max_malloc_fill_size=1000000000:malloc_fill_byte=255:${ASAN_OPTIONS:-}" UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
if build sanitize; then tests sanitize -E '^cuda\.'; fi
# Debian has clang's runtime in a package of its own, other systems have it in clang's.
has_msan() { mkdir -p build && echo 'int main(void) { return 0; }' | clang -fsanitize=memory -x c - -o build/has_msan 2>/dev/null; }
has_msan || need libclang-rt-dev
if ! has_msan; then
    echo "== memory: skipped, clang has no memory sanitizer here"
    skipped=$((skipped + 1))
elif build memory; then tests memory -R '^(test_image|test_picture_table|fuzz_.*)$'; fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
