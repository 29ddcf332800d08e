#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything that only a machine with an NVIDIA GPU can say about limber's CUDA backend, in one go and one table to paste:
#
#     scripts/gpu_check.sh [build directory, default build/gpu]
#
# It builds the plugin, runs every test on the real backend (operations and whole models against `ref`, the kernels' own tests compiled by
# nvcc), compute-sanitizer where it is installed, then times kernels with CUDA events and models from 1 to 64 people, against PyTorch's
# scaled_dot_product_attention where that is installed. Exit status: 0 all well, 1 something is wrong, 77 no GPU (or no nvcc) here.
#
# No GPU had run this code when it was written: what this script shows comes before everything that is said about speed.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${1-$root/build/gpu}
log=$build/gpu_check.log
failed=0

skip() {
    echo "skipped: $1"
    exit 77
}
# step NAME COMMAND...: runs it into the log, says ok, FAIL or skipped
step() {
    name=$1
    shift
    printf '%-44s ' "$name"
    printf '\n==== %s: %s\n' "$name" "$*" >>"$log"
    "$@" >>"$log" 2>&1
    status=$?
    case $status in
    0) echo ok ;;
    77) echo skipped ;;
    *)
        echo "FAIL (status $status, see $log)"
        failed=1
        ;;
    esac
    return $status
}
say() { printf '%s\n' "$*" | tee -a "$log"; }
# show COMMAND...: runs it, its output on the table and in the log
show() {
    "$@" >"$build/shown" 2>>"$log" || { failed=1; echo "FAIL: $*" >>"$build/shown"; }
    tee -a "$log" <"$build/shown"
}

nvcc=$(command -v nvcc || true)
[ -n "$nvcc" ] || { [ -x /usr/local/cuda/bin/nvcc ] && nvcc=/usr/local/cuda/bin/nvcc; }
[ -n "$nvcc" ] || skip "no CUDA compiler (nvcc) on this machine"
command -v nvidia-smi >/dev/null || skip "no NVIDIA driver on this machine (nvidia-smi)"
gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader | head -n 1)
[ -n "$gpu" ] || skip "the driver lists no GPU"
sm=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d ' .')

mkdir -p "$build/kernels"
: >"$log"
say "machine: $gpu"
say "limber:  $(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown), nvcc $("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')"

# ---- build ----
step "configure" cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DLIMBER_CUDA=ON -DLIMBER_NVCC="$nvcc" -DCMAKE_CUDA_ARCHITECTURES="$sm" || exit 1
step "build" cmake --build "$build" -j || exit 1
limber=$build/limber
flags="-std=c++20 -O3 -arch=sm_$sm -I$root/include -I$root/src"
for kernel in attention layernorm elementwise embed head decode; do
    # shellcheck disable=SC2086 # a list of words
    "$nvcc" $flags -c "$root/cuda/$kernel.cu" -o "$build/kernels/$kernel.o" >>"$log" 2>&1 || { say "FAIL: $kernel.cu does not compile for sm_$sm"; exit 1; }
done
for test in fragments attention kernels; do
    # shellcheck disable=SC2086
    "$nvcc" $flags "$root/tests/cuda/test_$test.cu" "$build"/kernels/*.o -o "$build/kernels/test_$test" >>"$log" 2>&1 || { say "FAIL: test_$test.cu does not compile"; exit 1; }
done
# shellcheck disable=SC2086
"$nvcc" $flags "$root/cuda/bench/bench_kernels.cu" "$root/cuda/linear_lt.cu" "$build"/kernels/*.o -lcublasLt -o "$build/kernels/bench_kernels" >>"$log" 2>&1 ||
    { say "FAIL: bench_kernels.cu does not compile"; exit 1; }

# ---- is it right? ----
step "cuda is there (limber info)" "$limber" info --backend cuda
step "fragments: the hardware's layout" "$build/kernels/test_fragments"
step "kernels against double loops" "$build/kernels/test_kernels"
step "attention against double loops" "$build/kernels/test_attention"
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        for test in attention kernels; do
            step "compute-sanitizer $tool: $test" compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/kernels/test_$test" small
        done
    done
else
    say "compute-sanitizer                            not installed"
fi
for test in test_ops test_golden; do
    step "$test, backend cuda included" "$build/tests/$test"
done
step "test_emulated.c on the real plugin" sh -c "cmake --build \"$build\" --target cuda_test_emulated && LIMBER_CUDA_PLUGIN=\"$build/cuda/liblimber_cuda.so\" \"$build/tests/cuda/cuda_test_emulated\" --filter 'emulated/[!nom]*'"

# ---- how fast? ----
say ""
say "kernels, CUDA events, median of 50 after 10 warm-up launches"
show "$build/kernels/bench_kernels"
say ""
say "people a second through ViTPose-B, random weights"
for precision in fp16 bf16 fp32; do
    show "$limber" bench model --arch B --backend cuda --precision "$precision" --batches 1,8,64 --seconds 3
done
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    say ""
    say "PyTorch, scaled_dot_product_attention, same shapes, CUDA events"
    show python3 "$root/cuda/bench/torch_attention.py"
else
    say "PyTorch with CUDA                            not installed"
fi
say ""
if [ $failed = 0 ]; then say "all well"; else say "SOMETHING IS WRONG, see $log"; fi
exit $failed
