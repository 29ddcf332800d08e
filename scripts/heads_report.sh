#!/bin/sh
# SPDX-License-Identifier: MIT
# heads_report.sh LIMBER DATA OUT [STEP...] - makes the numbers and pictures of docs/heads.md again, with the built-in model.
#   LIMBER  the command           DATA  a folder with images/ and persons.json (COCO keypoints)           OUT  where the reports go
#   STEP    heads patch needed prune-both prune-heads tables [all of them, in this order]
# Hours of processor time on one core, at low priority (NICE=N [12]). It may be stopped at any time: what was whole stays, and the next run
# goes on (patch in the middle of its people, by patch.kept). OUT belongs to one model: another one wants another folder.
# Ends with OUT/tables.md, whose tables are those of docs/heads.md, OUT/prune.svg, and, where chromium is there, OUT/heads.png, causes.png,
# prune.png and report.pdf.
# PEOPLE=N: patch takes a sample of N people a limb, drawn by lot [all]. LEARNERS=N: prune chooses by N people [60]. THREADS=N [1].
set -eu
[ $# -ge 3 ] || { sed -n '3,12s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
command=$1 out=$3
mkdir -p "$out"
out=$(cd "$out" && pwd)
case $command in /*) ;; */*) command=$PWD/$command ;; esac
cd "$2"
shift 3
[ $# -gt 0 ] || set -- heads patch needed prune-both prune-heads tables
data='--annotations persons.json --quiet --threads '${THREADS-1}

step() { echo "heads_report: $*" >&2; }
limber() { nice -n "${NICE-12}" "$command" "$@"; }
whole() { grep -q '"complete": true' "$1" 2>/dev/null; }

# Which model is built in: by the fingerprint that `limber run` writes, of the first picture.
first=$(find images -type f | sort | head -1)
limber run --whole --refine 0 --quiet --out "$out/.model" "$first"
model=$(sed -n 's/.*"model_content": "\([0-9a-f]*\)".*/\1/p' "$out/.model/run.json")
rm -rf "$out/.model"
[ -n "$model" ] || { echo "heads_report: $command does not say which model is built in" >&2; exit 2; }
[ -e "$out/model" ] || echo "$model" >"$out/model"
[ "$(cat "$out/model")" = "$model" ] || { echo "heads_report: $out is of the model $(cat "$out/model"), built in is $model: name another folder" >&2; exit 2; }

do_heads() {
    whole "$out/heads.json" || limber heads images $data --precision fp32 --out "$out"
}
do_patch() { # --people of any number above 0: in an order drawn by lot, so that a run that was stopped is a sample
    limber patch images $data --people "${PEOPLE-100000}" --corrupt blur,swap --by denoise,noise,mean,zero --resume --out "$out"
}
# What the model loses without a head; without all specialists; and without as many others of the same depth, drawn twelve times.
do_needed() {
    mkdir -p "$out/needed"
    lose() { # NAME OPTION...
        name=$1
        shift
        [ -e "$out/needed/$name.json" ] || limber eval $data --images . --json "$out/needed/$name.json" "$@" >"$out/needed/$name.txt"
    }
    lose each --each-head
    python3 "$here/heads_tables.py" --sets "$out" >"$out/needed/sets"
    while IFS=: read -r name set; do lose "$name" --prune "$set"; done <"$out/needed/sets"
}
do_prune() { # NAME OPTION...
    name=$1
    shift
    [ -e "$out/$name/prune.json" ] || limber prune $data --images . --people "${LEARNERS-60}" --out "$out/$name" "$@" >"$out/$name.md"
}
do_tables() {
    python3 "$here/heads_tables.py" "$out" >"$out/tables.md"
    for browser in chromium chromium-browser google-chrome; do
        command -v $browser >/dev/null || continue
        shot() { $browser --headless --no-sandbox --disable-gpu --hide-scrollbars "$@" 2>/dev/null || step "$browser failed: $1"; }
        shot --window-size=1240,2400 --screenshot="$out/heads.png" "file://$out/heads.html"
        shot --window-size=1240,2300 --screenshot="$out/causes.png" "file://$out/patch.html"
        [ ! -e "$out/prune.svg" ] || shot --window-size=640,380 --force-device-scale-factor=2 --screenshot="$out/prune.png" "file://$out/prune.svg"
        shot --print-to-pdf="$out/report.pdf" "file://$out/patch.html"
        break
    done
}

for what; do
    step "$what"
    case $what in
    heads) do_heads ;;
    patch) do_patch ;;
    needed) do_needed ;;
    prune-both) do_prune prune-both --keep 48 --neurons 0.4 ;;
    prune-heads) do_prune prune-heads --keep 24 ;;
    tables) do_tables ;;
    *) echo "heads_report: no step is called $what" >&2; exit 2 ;;
    esac
done
step "done: $out"
