#!/bin/sh
# SPDX-License-Identifier: MIT
# tables.sh [--build DIR] [--threads N] [--python PYTHON] [--photos DIR --boxes FILE] - prints every speed table of bench/README.md for this machine:
#
#   kernels     each instruction set's, against the loop of its peak: medians of 25 slices     checkkernels --bench
#   attention   the same at 192 to 4,251 tokens, head dims 32, 64 and 80
#   network     ViTPose-B and -S, batch 1 and 8, by operation: median, lowest, 90th percentile     limber bench model
#   peers       torch, ONNX Runtime, OpenVINO: median, 10th and 90th percentile, in turns     peers/run_peers.py, peers/attention.py
#   pipeline    photographs to people, with transformers beside, where --photos is given     limber bench pipeline, peers/end_to_end.py
#
# Each table follows a line with its command. One that cannot be made here says why, and the others are made. Half an hour on an idle
# machine with peers, 5 minutes without. Needs a build with tests (checkkernels); --threads defaults to 1 (processor time: good on a machine
# that does other work too), --python to python3. Exit status: 0; 1 where a table failed that could have been made; 2 usage.
set -eu
here=$(cd -- "$(dirname -- "$0")" && pwd)
build=$here/../build threads=1 python=python3 photos='' boxes='' failed=0
usage() {
    sed -n '3s/^# //p' "$0" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || usage
    case $1 in
    --build) build=$2 ;;
    --threads) threads=$2 ;;
    --python) python=$2 ;;
    --photos) photos=$2 ;;
    --boxes) boxes=$2 ;;
    *) usage ;;
    esac
    shift 2
done
limber=$build/limber kernels=$build/tests/checkkernels/checkkernels
[ -x "$limber" ] || { echo "tables.sh: no $limber: build first, or name the build with --build" >&2; exit 2; }

table() { # COMMAND...
    printf '\n$ %s\n\n' "$*"
    "$@" || { echo "tables.sh: that failed"; failed=1; }
}
has() { # MODULE...: what a peer wants
    for module in "$@"; do
        "$python" -c "import $module" 2>/dev/null || { printf '\n(no %s for %s: left out)\n' "$module" "$python"; return 1; }
    done
}

model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
echo "${model:-$(uname -m)}, $(nproc) CPUs usable, $(uname -sr), load $(cut -d ' ' -f 1 /proc/loadavg), $("$limber" --version)"
"$limber" info | grep '^ *cpu '

echo; echo "# Kernels"
if [ -x "$kernels" ]; then
    table "$kernels" --bench
    echo; echo "# Attention"
    for dim in 32 64 80; do
        for tokens in 192 768 3072 4251; do
            table "$kernels" --bench --kernel attention --tokens "$tokens" --head-dim "$dim" --heads 4
        done
    done
else
    echo "(no $kernels: a build without tests)"
fi

echo; echo "# Network"
for arch in B S; do
    for precision in fp32 bf16 int8; do
        "$limber" info | grep '^ *cpu ' | cut -c 14-29 | grep -qw "$precision" || { printf '\n(no %s on this CPU)\n' "$precision"; continue; }
        table "$limber" bench model --arch "$arch" --precision "$precision" --batches 1,8 --threads "$threads" --parts
    done
done

echo; echo "# Peers"
if has torch; then
    clock=wall
    [ "$threads" -gt 1 ] || clock=cpu
    for dim in 32 64 80; do
        table "$python" "$here/peers/attention.py" --limber "$limber" --tokens 192,768,3072,4251 --heads 4 --dim $((4 * dim)) --threads "$threads" \
            --clock "$clock" --without 'torch naive'
    done
    if has transformers onnx onnxruntime openvino; then
        table "$python" "$here/peers/run_peers.py" --limber "$limber" --threads "$threads"
    fi
fi

if [ -n "$photos" ] && [ -n "$boxes" ]; then
    echo; echo "# Pipeline"
    table "$limber" bench pipeline "$photos" --boxes "$boxes"
    if has torch transformers PIL; then
        table "$python" "$here/peers/end_to_end.py" --limber "$limber" --photos "$photos" --boxes "$boxes"
    fi
fi
exit $failed
