#!/bin/sh
# SPDX-License-Identifier: MIT
# heads_report.sh LIMBER DATA OUT - makes the numbers and pictures of docs/heads.md again, with the built-in model.
#   LIMBER  the command           DATA  a folder with images/ and persons.json (COCO keypoints)           OUT  where the reports go
# Hours of processor time; stopped, it goes on where it was (patch.kept). Ends with OUT/tables.md, whose tables are those of docs/heads.md,
# OUT/prune.svg, and, where chromium is there, OUT/heads.png and OUT/causes.png.
# PEOPLE=N: a sample of N people a limb, drawn by lot; default: all.
set -eu
[ $# -eq 3 ] || { sed -n '3,8s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
limber=$1 out=$3
mkdir -p "$out"
out=$(cd "$out" && pwd)
case $limber in /*) ;; */*) limber=$PWD/$limber ;; esac
cd "$2"
people=${PEOPLE:-100000} # any number above 0: in an order drawn by lot, so that a run that was stopped is a sample

step() { echo "heads_report: $*" >&2; }
[ -e "$out/heads.json" ] || { step heads && "$limber" heads images --annotations persons.json --precision fp32 --quiet --out "$out"; }
step patch
"$limber" patch images --annotations persons.json --people "$people" --corrupt blur,swap --by denoise,noise,mean,zero --resume --quiet --out "$out"
[ -e "$out/prune-heads/prune.json" ] ||
    { step prune: heads && "$limber" prune --annotations persons.json --images . --keep 32 --people 30 --quiet --out "$out/prune-heads" >"$out/prune-heads.md"; }
[ -e "$out/prune-both/prune.json" ] ||
    { step prune: heads and neurons && "$limber" prune --annotations persons.json --images . --keep 48 --neurons 0.4 --people 30 --quiet --out "$out/prune-both" >"$out/prune-both.md"; }
python3 "$here/heads_tables.py" "$out" >"$out/tables.md"
for browser in chromium chromium-browser google-chrome; do
    command -v $browser >/dev/null || continue
    $browser --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1240,2400 --screenshot="$out/heads.png" "file://$out/heads.html" 2>/dev/null || true
    $browser --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1240,2300 --screenshot="$out/causes.png" "file://$out/patch.html" 2>/dev/null || true
    break
done
step "$out/tables.md"
