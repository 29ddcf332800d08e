#!/bin/sh
# SPDX-License-Identifier: MIT
# cross_check.sh [aarch64] [nehalem] - limber on processors that this one is not, by qemu-user; both without arguments.
#
#   aarch64   library, command and tests cross-built with gcc-aarch64-linux-gnu; libraries of arm64 from the machine's own package
#             sources are unpacked below build/cross/sysroot, and nothing of them is installed
#   nehalem   this machine's build on an x86-64 without AVX: whether anything outside of src/compute/cpu/kernels_*.c needs more
#
# On each: `limber info`, checkkernels and the tests that an emulator can judge, and `limber run` with the default model over two samples,
# whose JSON must be, byte for byte, that of this machine: by LIMBER_CPU=scalar on both (no multiplication is fused with an addition,
# -ffp-contract=off, and every sum has one order), and ARM's neon as x86-64's avx2, which take the same steps. Only the C library's exp,
# log and atan2 may differ, by a last place that JSON's two decimals seldom show; the log says which numbers did. Left out: tests that
# measure time and memory, which are the emulator's (test_alloc, test_safetensors' hostile and files suites), and those that take it
# longer than 5 minutes (test_api, test_heads).
#
# Installs gcc-aarch64-linux-gnu and qemu-user (Debian, Ubuntu) and says so. Exit status: 0 all well, 1 not, 77 something is missing.
# shellcheck disable=SC2317 # functions are called by check
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh
root=$PWD
build=$root/build/cross
sysroot=$build/sysroot
log=$build/cross_check.log
jobs=$(nproc 2>/dev/null || echo 2)
failed=0

skip() {
    echo "skipped: $1" >&2
    exit 77
}
check() { # NAME COMMAND...: runs it into the log, says ok or FAIL
    name=$1 status=0
    shift
    printf '%-56s ' "$name"
    printf '\n==== %s: %s\n' "$name" "$*" >>"$log"
    "$@" >>"$log" 2>&1 || status=$?
    if [ $status -eq 0 ]; then echo ok; else echo "FAIL (status $status, see $log)"; failed=1; fi
    return $status
}

# The packages and all that they need, for a machine that has nothing: apt with lists, cache and status file of its own.
make_sysroot() {
    apt=$build/apt new=$sysroot.new
    rm -rf "$apt" "$new"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$new" && : >"$apt/status" || return
    set -- -qq -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= -o "Dir::State=$apt" \
        -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
    apt-get "$@" update && apt-get "$@" --no-install-recommends --download-only install libc6-dev libjansson-dev || return
    for package in "$apt"/archives/*.deb; do dpkg-deb -x "$package" "$new" || return; done
    [ -e "$new/lib" ] || ln -s usr/lib "$new/lib" || return # newer packages rely on the link
    rm -rf "$apt"
    mv "$new" "$sysroot"
}

# compile DIR [CMAKE_OPTION...]
compile() {
    dir=$1
    shift
    [ -f "$dir/CMakeCache.txt" ] || set -- "$@" -G "$(generator)"
    cmake -S "$root" -B "$dir" "$@" -DLIMBER_CUDA=OFF -DLIMBER_WERROR=ON -DLIMBER_CRITERION=OFF && cmake --build "$dir" --parallel "$jobs"
}

same_json() { # or where they differ
    for json in "$1" "$2"; do tr , '\n' <"$json" >"$json.lines"; done
    cmp "$1" "$2" || { diff "$1.lines" "$2.lines"; false; }
}
info_has_cpu() { "$@" info | tee "$build/info" && grep -q '^ *cpu *yes *fp32' "$build/info"; }
run_by() { # OUT LEVEL COMMAND...: both samples by cpu with LIMBER_CPU=LEVEL; with scalar one by ref, too
    out=$1 level=$2
    shift 2
    mkdir -p "$out"
    for sample in waving.jpg stretching.png; do
        LIMBER_CPU=$level "$@" run --decoder stb --backend cpu --precision fp32 --threads 1 "data/samples/$sample" >"$out/cpu.$sample.json" || return
    done
    [ "$level" != scalar ] ||
        "$@" run --decoder stb --backend ref --precision fp32 --threads 1 data/samples/stretching.png >"$out/ref.stretching.png.json"
}
pictures() { # MACHINE LEVEL NATIVE_LEVEL EMULATED_COMMAND...
    machine=$1 level=$2 native=$3
    shift 3
    check "$machine: limber run, LIMBER_CPU=$level" run_by "$build/$machine-out/$level" "$level" "$@" || return 0
    for json in "$build/$machine-out/$level"/*.json; do
        check "$machine: $(basename "$json" .json) by $level has this machine's bytes" same_json "$json" \
            "$build/native-out/$native/$(basename "$json")" || true
    done
}

[ $# -gt 0 ] || set -- aarch64 nehalem
for machine in "$@"; do
    case $machine in
    aarch64) packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" tools="aarch64-linux-gnu-gcc qemu-aarch64 apt-get dpkg-deb" ;;
    nehalem) packages="qemu-user" tools="qemu-x86_64" ;;
    *) echo "cross_check.sh: $machine is not one of aarch64, nehalem" >&2; exit 2 ;;
    esac
    # shellcheck disable=SC2086 # lists
    need gcc libc6-dev make cmake ninja-build pkg-config libjansson-dev $packages
    for tool in cmake $tools; do command -v "$tool" >/dev/null || skip "$machine wants $tool, and there is none"; done
done
case $(uname -m) in x86_64) ;; *) skip "what is compared with is an x86-64, not $(uname -m)" ;; esac

mkdir -p "$build"
: >"$log"
started=$(date +%s)
check "native: build" compile "$build/native" || exit 1
fused=avx2
grep -qw avx2 /proc/cpuinfo || fused=
for level in scalar $fused; do
    check "native: limber run, LIMBER_CPU=$level" run_by "$build/native-out/$level" "$level" "$build/native/limber" || exit 1
done

for machine in "$@"; do
    case $machine in
    aarch64)
        if [ ! -d "$sysroot" ]; then
            make_sysroot >>"$log" 2>&1 || skip "the package sources have no libjansson-dev of arm64: see $log"
        fi
        check "aarch64: build" compile "$build/aarch64" --toolchain "$root/cmake/aarch64-linux-gnu.cmake" -DCMAKE_SYSROOT="$sysroot" || continue
        check "aarch64: limber info" info_has_cpu qemu-aarch64 -L "$sysroot" "$build/aarch64/limber" || true
        pictures aarch64 scalar scalar qemu-aarch64 -L "$sysroot" "$build/aarch64/limber"
        [ -z "$fused" ] || pictures aarch64 neon "$fused" qemu-aarch64 -L "$sysroot" "$build/aarch64/limber"
        check "aarch64: tests" ctest --test-dir "$build/aarch64" -R '^(test_|checkkernels)' -E '^test_(alloc|api|heads|safetensors)$' -j"$jobs" \
            --timeout 600 --output-on-failure || true
        check "aarch64: test_safetensors, the rest" qemu-aarch64 -L "$sysroot" "$build/aarch64/tests/test_safetensors" --filter safetensors:: || true
        ;;
    nehalem)
        check "nehalem: limber info" info_has_cpu qemu-x86_64 -cpu Nehalem "$build/native/limber" || true
        pictures nehalem scalar scalar qemu-x86_64 -cpu Nehalem "$build/native/limber"
        for test in test_ops test_cpu_math test_image; do
            check "nehalem: $test" qemu-x86_64 -cpu Nehalem "$build/native/tests/$test" || true
        done
        ;;
    esac
done
echo "$(($(date +%s) - started)) s"
if [ $failed -eq 0 ]; then echo "all well"; else echo "SOMETHING IS WRONG, see $log"; fi
exit $failed
