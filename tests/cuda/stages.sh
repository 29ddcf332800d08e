#!/bin/sh
# SPDX-License-Identifier: MIT
# One stage of the proof of the CUDA kernels: stages.sh STAGE [DIR of the emulated tests]. ctest calls it (CMakeLists.txt).
# Stages that need the CUDA compiler leave with 77, which ctest counts as skipped, where NVCC names none.
set -eu
stage=$1
dir=${2-}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
SOURCE_DIR=${SOURCE_DIR-$here/../..}
architectures="75 80 90 100 120"
kernels="attention layernorm elementwise embed head decode"
strict="-std=c++20 -O3 -I$SOURCE_DIR/include -I$SOURCE_DIR/src -Werror all-warnings -Xcompiler -Wall,-Wextra"
spills="-Xptxas -warn-spills,-warn-lmem-usage,--warning-as-error"

need_nvcc() {
    if [ -z "${NVCC-}" ] || ! [ -x "$NVCC" ]; then
        echo "skipped: no CUDA compiler (nvcc) on this machine"
        exit 77
    fi
    mkdir -p "$WORK_DIR"
}
# Compiles for each architecture unless that was done since the sources changed; every kernel's cubin lies in $WORK_DIR.
cubins() {
    for kernel in $kernels; do
        for sm in $architectures; do
            out=$WORK_DIR/$kernel.sm_$sm.cubin
            if [ -e "$out" ] && [ -z "$(cd "$SOURCE_DIR/cuda" && find "$kernel.cu" tile_ops.cuh kernels.h device.cuh -newer "$out")" ]; then
                continue
            fi
            # shellcheck disable=SC2086 # lists of words
            "$NVCC" $strict $spills -arch="sm_$sm" -cubin "$SOURCE_DIR/cuda/$kernel.cu" -o "$out"
        done
    done
}
hash_of() { # the hash a test printed; the test must have succeeded
    "$@" >"$dir/stage-$stage.log" 2>&1 || { cat "$dir/stage-$stage.log" >&2; exit 1; }
    sed -n 's/^output hash //p' "$dir/stage-$stage.log"
}

case $stage in
schedules) # the order in which threads and blocks run must not show: first in first out, reversed, random twice, run ahead
    for test in attention kernels; do
        want=$(CUEMU_SCHED=0 hash_of "$dir/cuda_test_${test}_plain")
        for schedule in 1 2:1 2:7 3; do
            size=small
            [ $schedule = 3 ] && size=all
            reference=$want
            [ $size = small ] && reference=$(CUEMU_SCHED=0 hash_of "$dir/cuda_test_${test}_plain" small)
            got=$(CUEMU_SCHED=${schedule%:*} CUEMU_SEED=${schedule#*:} hash_of "$dir/cuda_test_${test}_plain" $size)
            echo "$test, schedule $schedule, $size: $got"
            if [ "$got" != "$reference" ]; then
                echo "FAIL: schedule 0 gives $reference"
                exit 1
            fi
        done
    done
    # a tensor core that truncates its sums (as reported for sm_80) stays within the same bounds
    CUEMU_MMA_RZ=1 hash_of "$dir/cuda_test_attention_plain" small
    ;;
address) # memory errors and undefined behaviour, in kernels and launchers
    for test in fragments attention kernels; do
        ASAN_OPTIONS=detect_leaks=0 hash_of "$dir/cuda_test_${test}_asan" small
    done
    ;;
races) # happens-before, within a block and between blocks
    for test in attention kernels; do
        TSAN_OPTIONS=halt_on_error=1 hash_of "$dir/cuda_test_${test}_tsan" races
    done
    ;;
strict) # every warning and every spill is an error, on every architecture
    need_nvcc
    cubins
    for file in plugin linear_lt; do
        # shellcheck disable=SC2086
        "$NVCC" $strict -arch=sm_80 -c "$SOURCE_DIR/cuda/$file.cu" -o "$WORK_DIR/$file.o"
    done
    echo "$kernels: $architectures, no warning, no spill"
    ;;
ptx) # what the front end made of the kernels, interpreted: one old and one new target, equal to the last bit
    need_nvcc
    for test in attention kernels; do
        size=small
        first=''
        for compute in 80 100; do
            files=''
            for kernel in $kernels; do
                # shellcheck disable=SC2086
                "$NVCC" $strict -arch="compute_$compute" -ptx "$SOURCE_DIR/cuda/$kernel.cu" -o "$WORK_DIR/$kernel.$compute.ptx"
                files=$files:$WORK_DIR/$kernel.$compute.ptx
            done
            got=$(CUEMU_PTX=$files hash_of "$dir/cuda_test_${test}_plain" $size)
            grep '^emulated' "$dir/stage-ptx.log" | sed "s/^/$test, compute_$compute: /"
            [ "${first:=$got}" = "$got" ] || { echo "FAIL: $test: compute_80 gives $first, compute_$compute $got"; exit 1; }
        done
    done
    ;;
budgets) # registers, shared memory, spills, instruction mix: as they were counted
    need_nvcc
    version="nvcc $("$NVCC" --version | sed -n 's/.*, V\([0-9.]*\).*/\1/p')"
    counted=$(sed -n 's/^# compiled by //p' "$SOURCE_DIR/cuda/budgets.txt")
    [ "$version" = "$counted" ] || { echo "skipped: the budgets were counted with $counted, this is $version"; exit 77; }
    cubins
    python3 "$SOURCE_DIR/tools/cubin_budget.py" --check "$SOURCE_DIR/cuda/budgets.txt" "$WORK_DIR"/*.cubin
    ;;
linear_lt) # the real library's descriptors, a CPU loop behind them
    need_nvcc
    library=$(dirname -- "$NVCC")/../lib64
    [ -e "$library/libcublasLt.so" ] || { echo "skipped: no cuBLASLt"; exit 77; }
    wraps=''
    for call in Create Destroy MatmulAlgoGetHeuristic Matmul; do
        wraps="$wraps -Xlinker --wrap=cublasLt$call"
    done
    # shellcheck disable=SC2086
    "$NVCC" $strict -arch=sm_80 $wraps "$SOURCE_DIR/cuda/linear_lt.cu" "$here/test_linear_lt.cu" -o "$WORK_DIR/test_linear_lt" -lcublasLt
    LD_LIBRARY_PATH=$library${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$WORK_DIR/test_linear_lt"
    ;;
*)
    echo "no stage called $stage" >&2
    exit 2
    ;;
esac
