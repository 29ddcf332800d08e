#!/bin/sh
# SPDX-License-Identifier: MIT
# test_merge.sh CASE - `limber merge`: parts become the output of one run, to the byte, or nothing. shell.sh says how cases are run.
set -eu
pictures=$LIMBER_TEST_DIR/corpus/images
tiny=$LIMBER_TEST_DIR/golden/simple-hd32
. "$LIMBER_TEST_DIR/shell.sh"

run() { "$LIMBER" run --model "$tiny" --quiet --whole "$@"; } # a person in each picture
merge() { "$LIMBER" merge --quiet "$@"; }
# 7 pictures, one of them broken, and the output of one run over them; every name has a number, so that --coco has ids
mkdir photos
for i in 1 2 4 5 6 7; do cp "$pictures/ok_rgb8.png" photos/00$i.png; done
cp "$pictures/ok_baseline.jpg" photos/002.jpg
rm photos/002.png
head -c 100 "$pictures/ok_baseline.jpg" >photos/003.jpg
parts() { # OF: part/1 ... part/OF
    for i in $(seq "$1"); do run photos --coco --shard "$i/$1" --out "part/$i" 2>/dev/null || [ $? = 1 ] || fail "shard $i"; done
}
# refused TEXT PART...: nothing is written
refused() {
    text=$1
    shift
    status 2 merge "$@" --out all
    says "$text"
    [ ! -e all ] || [ -z "$(ls all)" ] || fail "all has $(ls all)"
}

test_bytes() {
    status 1 run photos --coco --out one
    for n in 1 2 3 5 9; do
        rm -rf part all
        parts $n
        status 0 merge part/*/ --out all
        same all/poses.jsonl one/poses.jsonl
        same all/coco_results.json one/coco_results.json
        [ "$(ls all | tr '\n' ' ')" = "coco_results.json poses.jsonl run.json " ] || fail "$(ls all)"
    done
    has all/run.json '"merged": 9'
    has all/run.json '"images": 7'
    has all/run.json '"failed": 1'
    # a run goes on with it, and has nothing to do
    status 1 run photos --coco --resume --out all
    same all/poses.jsonl one/poses.jsonl
    lines 7 all/poses.jsonl
}

# Overlays and the page to look through them are part of the whole; linked, so that they take no room twice.
test_overlays() {
    status 1 run photos --out one --overlay=png
    for i in 1 2 3; do run photos --shard $i/3 --out part/$i --overlay=png 2>/dev/null || [ $? = 1 ] || fail "shard $i"; done
    has part/1/index.html 'limber: 3 pictures'
    status 0 merge part/*/ --out all
    same all/index.html one/index.html
    (cd one && find overlay -type f | sort | xargs cksum) >wanted
    (cd all && find overlay -type f | sort | xargs cksum) >got
    same wanted got
    lines 6 got
    [ all/overlay/photos/001.png.png -ef part/1/overlay/photos/001.png.png ] || fail "a copy, where a link would do"
    # merged before, and stopped: the same files are taken, others are not overwritten
    rm all/poses.jsonl all/run.json
    cp all/overlay/photos/001.png.png other && rm all/overlay/photos/001.png.png && mv other all/overlay/photos/001.png.png
    status 0 merge part/*/ --out all
    rm all/poses.jsonl all/run.json part/2/overlay/photos/002.jpg.png
    status 0 merge part/*/ --out all
    says "1 overlay is not in the parts any more"
    rm all/poses.jsonl all/run.json
    echo mine >all/mine && mv all/mine all/overlay/photos/001.png.png
    status 2 merge part/*/ --out all
    says "all/overlay/photos/001.png.png is there, and not photos/001.png.png of the part"
    has all/overlay/photos/001.png.png mine
    [ ! -e all/poses.jsonl ] || fail "lines, although refused"
}

# of `limber detect`, too
test_boxes() {
    detect() { "$LIMBER" detect --quiet --detector "$LIMBER_TEST_DIR/golden/yolos-mid" --min-box-score 0.05 --coco photos "$@"; }
    status 1 detect --out one
    grep -q '"scores":\[0' one/boxes.jsonl || fail "nobody in any picture"
    for i in 1 2 3; do detect --shard "$i/3" --out "part/$i" || [ $? = 1 ] || fail "shard $i"; done
    status 0 merge part/*/ --out all
    same all/boxes.jsonl one/boxes.jsonl
    same all/coco_results.json one/coco_results.json
    [ "$(ls all | tr '\n' ' ')" = "boxes.jsonl coco_results.json run.json " ] || fail "$(ls all)"
    rm -r all
    run photos --shard 2/3 --out part/4 || true
    refused 'has command "detect", part/4 has command "run"' part/1 part/4 part/3
}

test_shard_zero_is_the_last() {
    status 1 run photos --out one
    status 1 run photos --shard 1/2 --out part/b
    status 0 run photos --shard 0/2 --out part/a
    status 0 merge part/a part/b --out all
    same all/poses.jsonl one/poses.jsonl
}

test_gaps_and_doubles() {
    parts 3
    refused "missing: shard 2/3" part/1 part/3
    refused "missing: shards 1/3, 3/3" part/2
    refused "shard 2/3 is there twice: part/2 and part/2" part/1 part/2 part/2 part/3
    cp -r part/3 part/4
    refused "shard 3/3 is there twice" part/1 part/2 part/3 part/4
    run photos --shard 2/4 --out other
    refused "is 2/4: not of one whole" part/1 other part/3
    status 1 run photos --out whole
    refused "whole was not run with --shard" part/1 part/2 part/3 whole
    refused "nowhere/run.json: No such file" part/1 part/2 nowhere
}

test_other_models_and_options() {
    parts 2
    mv part/2 kept
    run photos --shard 2/2 --refine 0 --out part/2
    refused "refine 1, part/2 has refine 0" part/1 part/2
    rm -r part/2
    "$LIMBER" run --quiet --whole --model "$LIMBER_TEST_DIR/golden/classic-hd32-bf16" photos --shard 2/2 --out part/2
    refused "has model" part/1 part/2
    sed 's/"limber": "[^"]*"/"limber": "0.0.1"/' kept/run.json >run.json
    rm -r part/2
    mv kept part/2
    cp run.json part/2
    refused 'has limber "' part/1 part/2
}

test_parts_that_are_not_whole() {
    parts 2
    cp -r part kept
    sed 's/"complete": true/"complete": false/' kept/2/run.json >part/2/run.json
    refused "part/2: its run is not complete" part/1 part/2
    cp kept/2/run.json part/2
    head -n 2 kept/2/poses.jsonl >part/2/poses.jsonl
    refused "part/2/poses.jsonl: 2 lines, its run.json counts 3" part/1 part/2
    head -c -1 kept/2/poses.jsonl >part/2/poses.jsonl
    refused "cut short" part/1 part/2
    sed 's/"width"/"breadth"/' kept/2/poses.jsonl >part/2/poses.jsonl
    refused "line 1 is not one that limber run writes" part/1 part/2
    # the folder grew between the shards
    rm -r part
    cp "$pictures/ok_rgb8.png" photos/000.png
    run photos --shard 2/2 --out part/2 || true
    cp -r kept/1 part/1
    refused "the inputs of the parts were not the same" part/1 part/2
}

test_what_is_there_stays() {
    parts 2
    mkdir all
    echo mine >all/poses.jsonl
    status 2 merge part/1 part/2 --out all
    says "all/poses.jsonl is there"
    [ "$(cat all/poses.jsonl)" = mine ] || fail "written over"
    status 2 merge part/1 part/2 --out part/1
    says "part/1/poses.jsonl is there"
    status 2 merge part/1 part/2
    says "--out names"
    status 2 merge --out all
    says "no parts"
}

# An image without an id is not in coco_results.json: whose an entry is cannot be told.
test_coco_without_ids() {
    mv photos/001.png photos/nameless.png
    parts 2
    status 0 merge part/1 part/2 --out all
    says "coco_results.json is left out"
    [ ! -e all/coco_results.json ] || fail "it is there"
    lines 7 all/poses.jsonl
}

"test_${1:?a case}"
