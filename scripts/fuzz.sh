#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzzes the readers of strangers' files: sh scripts/fuzz.sh [SECONDS for each of the five targets, 60] [TARGET...]
#
# SANITIZER=memory looks for what nobody wrote, by the built-in decoders alone (libraries that are built without it would raise false
# alarms); without it address and undefined behaviour are looked at, by all decoders that are there.
# Changes know what a file is made of (tests/fuzz/mutate.c) every other time. tests/fuzz/oss-fuzz/ has the same targets for OSS-Fuzz.
#
# Needs clang. New inputs that reach new code are kept in build/fuzz/found/TARGET and are where the next run goes on; what crashes,
# leaks, runs longer than 10 s or takes more than 1 GiB is written to build/fuzz/TARGET-* and fails the script. A file that did
# belongs into tests/corpus, where every test run replays it.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- fuzz_safetensors fuzz_json fuzz_image fuzz_labels fuzz_arguments
build=${LIMBER_FUZZ_DIR:-build/fuzz}
sanitizers=address,undefined
if [ "${SANITIZER:-}" = memory ]; then
    build=$build-memory sanitizers=memory
    without="-DLIMBER_JPEG_TURBO=OFF -DLIMBER_WEBP=OFF -DLIMBER_TIFF=OFF -DLIMBER_HEIF=OFF"
    export MSAN_OPTIONS="intercept_memcmp=0:intercept_strlen=0:intercept_strcmp=0:intercept_strchr=0:intercept_strspn=0:intercept_strstr=0"
fi
mkdir -p "$build"

# shellcheck disable=SC2086 # several words
cmake -S . -B "$build" ${without:-} -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLIMBER_CUDA=OFF -DLIMBER_BENCH=OFF \
    -DLIMBER_FUZZ=ON -DLIMBER_CRITERION=OFF -DLIMBER_SANITIZE=$sanitizers,fuzzer-no-link >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
cmake --build "$build" --parallel "${JOBS:-2}" --target "$@" >>"$build.log" 2>&1 || { tail -40 "$build.log"; exit 1; }

for target in "$@"; do
    case $target in
    fuzz_safetensors) seeds="tests/corpus/safetensors" ;;
    fuzz_json) seeds="tests/corpus/config tests/corpus/boxes tests/corpus/index" ;;
    fuzz_image) seeds="tests/corpus/images tests/images tests/images/turned" ;;
    fuzz_labels) seeds="tests/corpus/labels" ;;
    fuzz_arguments) seeds="tests/corpus/arguments" ;;
    *) echo "$target is not one of fuzz_safetensors, fuzz_json, fuzz_image, fuzz_labels, fuzz_arguments" >&2; exit 2 ;;
    esac
    mkdir -p "$build/found/$target"
    echo "== $target, $seconds s"
    # shellcheck disable=SC2086 # several folders
    "$build/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="$build/$target-" "$build/found/$target" $seeds 2>&1 | tail -12 | tee "$build/$target.log"
    grep -q "DONE\|stat::number_of_executed_units" "$build/$target.log" || exit 1
    if ls "$build/$target-"* >/dev/null 2>&1; then
        echo "$target: inputs that must not be lost:" "$build/$target-"*
        exit 1
    fi
done
