#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh [FOLDER_OF_PHOTOS [RESULT]] - installs what is missing (Debian, Ubuntu), builds limber, and runs the default model over the
# folder: joints, limbs and overlays. Without a folder: over the samples that came with it. RESULT is limber-FOLDER beside you
# unless you name another; run again, it goes on with pictures that are new.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/scripts/packages.sh"
folder=${1:-$here/data/samples}
[ -e "$folder" ] || { echo "run.sh: $folder: no such file or folder" >&2; exit 2; }
place=$folder
[ ! -d "$folder" ] || place=$(cd -- "$folder" && pwd)
result=${2:-limber-$(basename -- "$place")}

need gcc libc6-dev make cmake pkg-config libjansson-dev libjpeg-dev libwebp-dev libtiff-dev
build=$here/build
mkdir -p "$build"
set --
[ -f "$build/CMakeCache.txt" ] || set -- -G "$(generator)"
[ -e /proc/driver/nvidia/version ] || [ -e /dev/dxg ] || set -- "$@" -DLIMBER_CUDA=OFF # no driver, no use for the plugin
if ! { cmake -S "$here" -B "$build" "$@" -DCMAKE_BUILD_TYPE=Release -DLIMBER_TESTS=OFF -DLIMBER_BENCH=OFF &&
    cmake --build "$build" --parallel "$(nproc)"; } >"$build/build.log" 2>&1; then
    cat "$build/build.log" >&2
    exit 2
fi

# The samples come with their people; photographs seldom do.
set --
[ "$place" != "$here/data/samples" ] || set -- --boxes "$folder/persons.json"
status=0
"$build/limber" run "$@" --out "$result" --overlay --resume -- "$folder" || status=$?
[ $status -ge 2 ] || printf '%s\n' "joints and limbs:  $result/poses.jsonl" "pictures:          $result/index.html" "how it ran:        $result/run.json"
exit $status
