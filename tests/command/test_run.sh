#!/bin/sh
# SPDX-License-Identifier: MIT
# test_run.sh CASE - the command, from outside: what a stranger's files, a full disk and a signal make of it.
# Every function test_CASE below is one test of ctest's; shell.sh says how they are run.
set -eu
pictures=$LIMBER_TEST_DIR/corpus/images
tiny=$LIMBER_TEST_DIR/golden/simple-hd32 # two blocks of random weights: quick, and not the default model
. "$LIMBER_TEST_DIR/shell.sh"

run() { "$LIMBER" run --model "$tiny" --whole --quiet "$@"; }
# album N: N pictures that all decode, in photos/, named so that byte order is the order of numbers
album() {
    mkdir -p photos
    i=0
    while [ $i -lt "$1" ]; do
        case $((i % 4)) in
        0) from=ok_baseline.jpg ;;
        1) from=ok_exif_6.jpg ;;
        2) from=ok_rgb8.png ;;
        3) from=ok_subsampled_odd_47x31.jpg ;;
        esac
        cp "$pictures/$from" "photos/$(printf %03d $i).${from##*.}"
        i=$((i + 1))
    done
}

# ---- usage ----

test_usage() {
    status 2 "$LIMBER"
    status 0 "$LIMBER" --help
    has out "limber COMMAND"
    status 0 "$LIMBER" run --help
    has out "--boxes FILE"
    status 0 "$LIMBER" --version
    has out "limber 0."
    status 2 "$LIMBER" rum
    says 'did you mean `run`?'
    status 2 run x.jpg --overlya
    says "did you mean --overlay?"
    status 2 run x.jpg --output_dir=there
    says "unknown option --output_dir: here it is --out DIR"
    status 2 "$LIMBER" eval --source photos
    says "here it is --images DIR"
    status 0 "$LIMBER" help bench attention
    has out "--naive-limit GB"
    status 2 run
    says "no input"
    status 2 run x.jpg --batch
    says "--batch needs a value"
    status 2 run x.jpg --batch 1x
    says '--batch is "1x", expected a whole number'
    status 2 run x.jpg --batch=-1
    status 2 run x.jpg --threads 99999999999999999999
    status 2 run x.jpg --min-score nan
    status 2 run x.jpg --backend gpu
    says "expected auto|ref|cpu|cuda"
    status 2 run x.jpg --quiet=yes
    status 2 run x.jpg --overlay
    says "--overlay needs --out"
    status 2 run x.jpg --resume
    status 2 run x.jpg --coco
    for shard in 3 1/0 -1/2 5/4 a/b 1/2x /; do
        status 2 run x.jpg --shard "$shard"
        says "--shard"
    done
    status 2 run x.jpg --attention window:x
}

test_help_into_a_full_disk() {
    status 2 sh -c '"$0" --help >/dev/full' "$LIMBER"
}

# ---- the model ----

test_model_missing() {
    cp "$pictures/ok_rgb8.png" a.png
    status 2 "$LIMBER" run a.png --model nowhere --out result
    says nowhere
    mkdir empty
    status 2 "$LIMBER" run a.png --model empty
    says config.json
    cp "$tiny/config.json" "$tiny/preprocessor_config.json" empty
    status 2 "$LIMBER" run a.png --model empty
    says model.safetensors
    head -c 1000 "$tiny/model.safetensors" >empty/model.safetensors
    status 2 "$LIMBER" run a.png --model empty
    says model.safetensors
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 343\n' >empty/model.safetensors
    status 2 "$LIMBER" run a.png --model empty
    says "a Git LFS pointer of 68 bytes, not the weights"
    rm empty/model.safetensors
    : >empty/pytorch_model.bin
    status 2 "$LIMBER" run a.png --model empty
    says "pytorch_model.bin is, which tools/convert.py"
    status 2 "$LIMBER" run a.png --model usyd-community/vitpose-base-simple
    says "a name on the Hugging Face hub?"
    status 2 "$LIMBER" run a.png --model ./no/where
    grep -q "Hugging Face" err && fail "./no/where is no name on the hub"
    mkdir -p cache/models--usyd--vitpose/snapshots/0123abcd cache/models--usyd--vitpose/refs
    cp "$tiny"/*.json "$tiny/model.safetensors" cache/models--usyd--vitpose/snapshots/0123abcd
    for dir in cache/models--usyd--vitpose cache/models--usyd--vitpose/snapshots; do
        status 2 "$LIMBER" run a.png --model $dir
        says "the model in it is cache/models--usyd--vitpose/snapshots/0123abcd"
    done
    [ ! -e result/poses.jsonl ] || fail "a run that could not start left poses.jsonl"
}

test_model_from_environment() {
    cp "$pictures/ok_rgb8.png" a.png
    run a.png >with_option
    LIMBER_MODEL=$tiny "$LIMBER" run a.png --whole --quiet >with_environment
    same with_option with_environment
    LIMBER_MODEL=nowhere run a.png >option_wins
    same with_option option_wins
    LIMBER_MODEL=nowhere status 2 "$LIMBER" run a.png
}

test_default_model() {
    cp "$pictures/ok_baseline.jpg" a.jpg
    status 0 "$LIMBER" run --whole a.jpg
    lines 1 out
    has out '{"image":"a.jpg","width":48,"height":32,"people":[{"box":['
    has out '"left_elbow":['
    has out '"limbs":{"left_upper_arm":{"from":"left_shoulder","to":"left_elbow","length":'
}

# The people are found where nothing says who is where: the same bytes for any threads and batch, nobody on a blank wall, and the two
# kinds of model told apart.
test_finds_people() {
    mkdir set && cp "$LIMBER_TEST_DIR"/../data/samples/*.jpg set
    { printf 'P6 320 240 255\n' && head -c 230400 /dev/zero | tr '\0' '\200'; } >set/zz-wall.ppm
    status 0 "$LIMBER" run set --quiet --threads 1 --batch 1 --min-box-score 0.05
    mv out one
    status 0 "$LIMBER" run set --quiet --threads 3 --batch 7 --min-box-score 0.05
    cmp one out || fail "threads and batch change what is found"
    has one '"box_score":0.'
    has one '{"image":"set/zz-wall.ppm","width":320,"height":240,"people":[]}'
    status 0 "$LIMBER" run set --quiet --min-box-score 1 --out nobody
    if grep -q box_score nobody/poses.jsonl; then fail "a box surer than sure"; fi
    has nobody/run.json '"detector": "built in"'
    has nobody/run.json '"min_box_score": 1'
    status 0 "$LIMBER" run set --quiet --min-box-score 0.05 --max-people 1
    [ "$(grep -c '"box":.*"box":' out)" = 0 ] || fail "more people than --max-people"
    status 0 "$LIMBER" run set --quiet --whole --out whole
    has whole/run.json '"detector": "none"'
    status 2 "$LIMBER" run set --detector "$tiny"
    says "$tiny: a pose model of "
    status 2 "$LIMBER" run set --model "$LIMBER_TEST_DIR/../data/limber-find"
    says 'a detector: its maps are boxes of people'
    LIMBER_DETECTOR=nowhere status 2 "$LIMBER" run set
    says 'nowhere: no such model directory'
    status 0 "$LIMBER" run set --quiet --detector "$LIMBER_TEST_DIR/../data/limber-find" --min-box-score 0.05
    cmp one out || fail "the built-in detector is not data/limber-find"
    # a YOLOS: of random weights, so that a low bound finds somebody and the usual one nobody
    yolos=$LIMBER_TEST_DIR/golden/yolos-mid
    status 0 "$LIMBER" run set --quiet --detector "$yolos" --min-box-score 0.05 --whole
    status 0 "$LIMBER" run set --quiet --detector "$yolos" --min-box-score 0.05 --threads 1
    mv out one
    has one '"box_score":0.'
    status 0 "$LIMBER" run set --quiet --detector "$yolos" --min-box-score 0.05 --threads 3
    cmp one out || fail "threads change what a YOLOS finds"
    status 0 "$LIMBER" run set --quiet --detector "$yolos"
    if grep -q box_score out; then fail "a random YOLOS is sure of somebody"; fi
    # whom it is sure of stands, whatever the joints' maps say (those of random weights say nothing)
    status 0 "$LIMBER" run set --quiet --detector "$yolos" --model "$tiny" --min-box-score 0.05 --out sure
    has sure/run.json '"doubted": 0'
    has sure/poses.jsonl '"box_score":0.'
    status 2 "$LIMBER" run set --quiet --detector "$yolos" --model "$tiny" --min-box-score 0.05 --out sure --resume --person-label Person
    says 'person_label'
    status 2 "$LIMBER" run set --quiet --detector "$yolos" --person-label zebra
    status 2 "$LIMBER" run set --model "$yolos"
    says 'a detector (it belongs to --detector)'
}

# `limber detect` is a run that stops at boxes: those that run would look at, in a file that --boxes reads.
test_detect() {
    mkdir set && cp "$LIMBER_TEST_DIR"/../data/samples/*.jpg set
    cp "$pictures/bad_text.jpg" "$pictures/ok_1x1.jpg" set
    detect() { "$LIMBER" detect --quiet --min-box-score 0.05 "$@"; }
    status 1 detect set --threads 1 --batch 1
    mv out one
    says "set/bad_text.jpg: "
    has one '{"image":"set/bad_text.jpg","error":"'
    has one '{"image":"set/ok_1x1.jpg","width":1,"height":1,"boxes":[],"scores":[]}'
    status 1 detect set --threads 3 --batch 7 --out d --coco --overlay
    cmp one d/boxes.jsonl || fail "threads, batch or overlay change the boxes"
    for detector in "" "--detector $LIMBER_TEST_DIR/golden/yolos-mid"; do # one picture: all threads work on the same pass
        # shellcheck disable=SC2086
        status 0 detect set/three.jpg --threads 1 $detector
        mv out alone
        # shellcheck disable=SC2086
        status 0 detect set/three.jpg --threads 4 $detector
        same alone out
    done
    boxes=$(sed 's/.*"scores":\[//; s/].*//' one | tr ',' '\n' | grep -c '^0\.')
    [ "$boxes" -gt 3 ] || fail "$boxes boxes"
    has d/run.json '"command": "detect"'
    has d/run.json '"complete": true'
    has d/run.json '"precision": "'
    has d/run.json "\"people\": $boxes,"
    [ "$(find d/overlay -type f | wc -l)" -eq $(($(ls set | wc -l) - 1)) ] || fail "an overlay a picture"
    has d/index.html 'Boxes of people, the surest first.'
    [ "$(grep -c 'data-people="\[\[0\.[0-9]*,[0-9.]*,[0-9.]*,[0-9.]*,[0-9.]*\]' d/index.html)" = "$(grep -c '"scores":\[0' one)" ] ||
        fail "the page has other boxes"
    # the samples' names have no numbers, so COCO's results have no ids for them: copied under such, they have
    mkdir numbers && cp set/three.jpg numbers/7.jpg
    status 0 detect numbers --out n --coco
    [ "$(sed -n 's/.*"boxes":\[\(.*\)\],"scores".*/\1/p' n/boxes.jsonl)" = "$(sed -n 's/.*"bbox":\(.*\),"score".*/\1/p' n/coco_results.json |
        tr '\n' ',' | sed 's/,$//')" ] || fail "COCO's boxes are others: $(cat n/boxes.jsonl n/coco_results.json)"
    has n/coco_results.json '{"image_id":7,"category_id":1,"bbox":['
    # the same people as run finds by itself, but for those that the joints speak against
    status 0 "$LIMBER" run --quiet numbers --min-box-score 0.05
    mv out found
    for file in n/boxes.jsonl n/coco_results.json; do
        status 0 "$LIMBER" run --quiet numbers --boxes $file
        has out '"box_score":0.'
        tr '{' '\n' <found | grep -o '^"box":.*"box_score":[0-9.]*' >wanted
        tr '{' '\n' <out | grep -o '^"box":.*"box_score":[0-9.]*' >is
        [ -s wanted ] || fail "nobody found"
        while read -r line; do grep -qF "$line" is || fail "$file lacks $line"; done <wanted
    done
    # bounds
    status 0 detect numbers --min-box-score 0.99
    has out '"boxes":[],"scores":[]'
    status 0 detect numbers --max-people 1
    [ "$(sed 's/.*"scores"://' out)" = "$(sed 's/.*"scores":\(\[[0-9.]*\).*/\1]}/' n/boxes.jsonl)" ] || fail "the surest one: $(cat out)"
    # the options of joints are not its
    status 2 detect set --flip
    status 2 detect set --model "$tiny"
    status 2 detect set --overlay
    says "--overlay needs --out"
    status 2 detect
    says "no input"
    status 2 detect set --detector "$tiny"
    says "a pose model"
}

test_detect_resume_and_shards() {
    album 11
    cp "$pictures/bad_text.jpg" photos/004.jpg
    yolos=$LIMBER_TEST_DIR/golden/yolos-mid # of random weights: it finds somebody anywhere
    detect() { "$LIMBER" detect --quiet --detector "$yolos" --min-box-score 0.05 --coco photos "$@"; }
    status 1 detect --out whole
    grep -q '"scores":\[0' whole/boxes.jsonl || fail "nobody in any picture"
    mkdir part
    head -n 4 whole/boxes.jsonl >lines
    status 1 detect --out part
    { cat lines && printf '{"image":"photos/00'; } >part/boxes.jsonl
    status 1 detect --out part --resume
    same whole/boxes.jsonl part/boxes.jsonl
    same whole/coco_results.json part/coco_results.json
    status 2 detect --out part --resume --person-label zebra
    status 2 "$LIMBER" detect --quiet photos --out part --resume
    says 'detector_content'
    # one folder, one run.json
    status 2 run photos --boxes part/boxes.jsonl --out part
    says "part has what limber detect made"
    status 2 run photos --out part --resume
    status 1 run photos --out joints
    status 2 detect --out joints
    says "joints has what limber run made"
    status 2 detect --out joints --resume
    same whole/boxes.jsonl part/boxes.jsonl
}

# What is no detector is named as what it is, by every command that looks for people.
test_detectors_that_are_none() {
    cp "$pictures/ok_rgb8.png" a.png
    yolos=$LIMBER_TEST_DIR/golden/yolos-mid
    for command in run detect "bench pipeline" "heads --out h"; do
        # shellcheck disable=SC2086
        status 2 "$LIMBER" $command a.png --detector "$tiny"
        says "$tiny: a pose model of 17 joints, expected a detector (it belongs to --model)"
    done
    status 2 "$LIMBER" run a.png --model "$yolos"
    says 'a detector (it belongs to --detector)'
    status 2 "$LIMBER" run a.png --model "$LIMBER_TEST_DIR/../data/limber-find"
    says "a detector: its maps are boxes of people, not joints (it belongs to --detector)"
    mkdir bicycles other empty
    cp "$yolos"/* bicycles && chmod u+w bicycles/* && cp bicycles/* other
    sed 's/"1": "person"/"1": "bicycle"/' "$yolos/config.json" >bicycles/config.json
    for command in run detect; do
        status 2 "$LIMBER" $command a.png --detector bicycles
        says 'bicycles/config.json: no label is "person", so nobody can be found'
        says "among the labels: N/A, bicycle, car, tuba"
    done
    status 0 "$LIMBER" detect a.png --detector bicycles --person-label Bicycle --quiet --min-box-score 0.05
    mv out wheels
    status 0 "$LIMBER" detect a.png --detector "$yolos" --quiet --min-box-score 0.05
    same wheels out
    sed 's/"model_type": "yolos"/"model_type": "detr"/' "$yolos/config.json" >other/config.json
    status 2 "$LIMBER" detect a.png --detector other
    says 'other: config.json: model_type is "detr"; a detector is a "yolos"'
    status 2 "$LIMBER" detect a.png --detector empty
    says "empty: no config.json in it"
}

# Sizes nobody expects: a line each, boxes within the picture, by both kinds of detector.
test_detect_sizes() {
    mkdir set
    { printf 'P5 1 1 255\n' && printf x; } >set/1x1.pgm
    grey() { { printf 'P5 %s %s 255\n' "$1" "$2" && head -c $(($1 * $2)) "$LIMBER_TEST_DIR/golden/yolos-mid/model.safetensors"; } >"set/$1x$2.pgm"; }
    grey 1 5000
    grey 5000 1
    printf 'P5 12000 9000 255\n' >set/12000x9000.pgm
    truncate -s +108000000 set/12000x9000.pgm
    inside() { # LINES LEAST: each box within width and height, at least so many of them
        awk -v least="$2" -F'"boxes":' '{
            match($1, /"width":[0-9]+/); w = substr($1, RSTART + 8, RLENGTH - 8)
            match($1, /"height":[0-9]+/); h = substr($1, RSTART + 9, RLENGTH - 9)
            sub(/,"scores".*/, "", $2); gsub(/[][]/, "", $2); n = split($2, v, ",")
            for (i = 1; i < n; i += 4) {
                boxes++
                if (v[i] < 0 || v[i + 1] < 0 || v[i + 2] <= 0 || v[i + 3] <= 0 || v[i] + v[i + 2] > w + 0.011 || v[i + 1] + v[i + 3] > h + 0.011) {
                    print "outside of " w " x " h ": " v[i] " " v[i + 1] " " v[i + 2] " " v[i + 3]; exit 1
                }
            }
        } END { if (NR != 4 || boxes < least) { print NR " lines, " boxes " boxes"; exit 1 } }' "$1" || fail "$(cat "$1")"
    }
    status 0 "$LIMBER" detect set --quiet --min-box-score 0.01
    inside out 2
    status 0 "$LIMBER" detect set --quiet --detector "$LIMBER_TEST_DIR/golden/yolos-mid" --min-box-score 0.05 --out yolos
    inside yolos/boxes.jsonl 4
    status 0 run set --boxes yolos/boxes.jsonl
    [ "$(grep -c '"box_score":0' out)" -ge 3 ] || fail "people of such boxes have no joints"
    ! grep -qi 'nan\|inf' out || fail "no numbers"
}

# As many people as a detector may find, in one picture: all of them, the same for any batch, and as few as are asked for.
test_three_hundred_people() {
    cp "$pictures/ok_rgb8.png" a.png
    awk 'BEGIN { printf "{\"image\":\"a.png\",\"boxes\":["
        for (i = 0; i < 300; i++) printf "%s[%d,%d,%d,%d]", (i ? "," : ""), i % 20 * 2, int(i / 20) * 2, 6 + i % 7, 8 + i % 5
        printf "]}\n" }' >many.jsonl
    sed 's/}$//' many.jsonl >scored.jsonl
    awk 'BEGIN { printf ",\"scores\":["; for (i = 0; i < 300; i++) printf "%s%.3f", (i ? "," : ""), (i * 37 % 300 + 1) / 301; print "]}" }' >>scored.jsonl
    tr -d '\n' <scored.jsonl >scored && echo >>scored
    status 0 run a.png --boxes many.jsonl --threads 1
    [ "$(grep -o '"box":' out | wc -l)" -eq 300 ] || fail "$(grep -o '"box":' out | wc -l) people"
    mv out one
    status 0 run a.png --boxes many.jsonl --threads 3 --batch 7
    same one out
    status 0 run a.png --boxes scored --threads 1
    mv out one
    status 0 run a.png --boxes scored --threads 2 --batch 64
    same one out
    status 0 run a.png --boxes scored --max-people 5
    people=$(grep -o '"box_score":[0-9.]*' out | wc -l)
    [ "$people" -ge 1 ] && [ "$people" -le 5 ] || fail "$people of five"
    has out '"box_score":0.997'
}

# ---- inputs ----

test_empty_folder() {
    mkdir photos
    status 2 run photos
    says "no pictures in photos"
    [ ! -s out ] || fail "output without pictures"
    echo hello >photos/notes.txt
    : >photos/.hidden.jpg
    status 2 run photos --out result
    [ ! -e result/poses.jsonl ] || fail "an empty folder made poses.jsonl"
}

# What is no photograph in a folder of them is left out, and counted by kind.
test_other_kinds() {
    mkdir -p photos/@eaDir/a.jpg photos/#recycle photos/.hidden/x photos/sub/__MACOSX
    for f in photos/a.jpg "photos/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg" "photos/#recycle/old.jpg" photos/.hidden/x/b.jpg \
        photos/sub/__MACOSX/._a.jpg photos/sub/b.HIF; do
        cp "$pictures/ok_baseline.jpg" "$f"
    done
    for f in c.MP4 d.mov sub/e.mkv f.CR2 g.dng notes.txt sub/.DS_Store h.jp i.; do : >photos/$f; done
    status 0 "$LIMBER" run --model "$tiny" --whole photos --out result
    lines 2 result/poses.jsonl
    has result/poses.jsonl '"image":"photos/a.jpg"'
    has result/poses.jsonl '"image":"photos/sub/b.HIF"'
    says "left out in folders: 3 videos, 2 RAW files, 3 other files, 2 hidden names, 3 folders of thumbnails or deleted files"
    [ "$(tr -d ' \n' <result/run.json | grep -c '"left_out":{"videos":3,"raw":2,"others":3,"hidden":2,"folders":3}')" = 1 ] ||
        fail "run.json does not count what was left out"
    rm photos/a.jpg photos/sub/b.HIF
    status 2 run photos
    says "no pictures in photos: left out 3 videos, 2 RAW files"
    # named, they are wanted
    status 0 run "photos/#recycle"
    lines 1 out
}

test_standard_input() {
    cp "$pictures/ok_baseline.jpg" a.jpg
    status 0 run a.jpg
    sed 's/a\.jpg/-/' out >wanted
    status 0 sh -c '"$0" run --model "$1" --whole --quiet - <a.jpg' "$LIMBER" "$tiny"
    same wanted out
    status 0 sh -c 'cat a.jpg | "$0" run --model "$1" --whole --quiet - - --out result' "$LIMBER" "$tiny"
    same wanted result/poses.jsonl
    status 1 sh -c 'echo hello | "$0" run --model "$1" --whole --quiet -' "$LIMBER" "$tiny"
    says "-: not an image"
    status 2 sh -c '"$0" run --model "$1" --whole --quiet - </dev/null' "$LIMBER" "$tiny"
    says "standard input is empty"
    status 2 sh -c '"$0" run --model "$1" --whole --quiet - <&-' "$LIMBER" "$tiny"
    status 2 run - --out result --resume
    says "standard input has none"
}

test_list_of_inputs() {
    mkdir photos
    for f in photos/a.png photos/b.png c.png '@d.png' "e f.png"; do cp "$pictures/ok_rgb8.png" "$f"; done
    printf '\357\273\277photos\r\n\r\nc.png\ngone.png\ne f.png\nphotos/a.png' >list.txt
    status 1 run @list.txt @d.png
    sed 's/^{"image":"\([^"]*\)".*/\1/' out >names
    printf '%s\n' photos/a.png photos/b.png c.png gone.png "e f.png" @d.png >wanted
    same wanted names
    find photos -name '*.png' -print0 | sort -z >zeros
    status 0 run @zeros
    lines 2 out
    status 0 sh -c 'echo c.png | "$0" run --model "$1" --whole --quiet @-' "$LIMBER" "$tiny"
    has out '{"image":"c.png",'
    status 2 run @nowhere.txt
    says "@nowhere.txt: cannot open"
    : >empty.txt
    status 2 run @empty.txt
    says "no pictures in @empty.txt"
}

test_habits() {
    cp "$pictures/ok_rgb8.png" a.png
    status 0 run a.png -o result
    lines 1 result/poses.jsonl
    for habit in "--output r:here it is --out DIR" "--device gpu:here it is --backend auto|ref|cpu|cuda" "--img 640:here it is --input HxW" \
        "--conf 0.5:here it is --min-score S (of a person; of a box --min-box-score S)" "--source a.png:here it is INPUT without an option" "--weights m:here it is --model DIR"; do
        status 2 run a.png ${habit%%:*}
        says "${habit#*:}"
    done
    status 2 "$LIMBER" info --source a.png
    grep -q "here it is" err && fail "info takes no inputs"
    status 2 run a.png --input photos
    says "pictures are named without an option"
    status 0 "$LIMBER" help run
    has out "--boxes FILE"
    status 0 "$LIMBER" help
    status 2 "$LIMBER" help rum
    says 'did you mean `run`?'
    status 0 "$LIMBER" version
    has out "limber 0."
    for url in https://example.org/a.jpg https://example.org/a.jpg?from=b.mp4 s3://bucket/a.jpg file:///tmp/a.jpg; do
        status 2 run a.png $url
        says "$url: limber reads files"
    done
    [ ! -s out ] || fail "an address is no input"
}

# Byte order of the whole path: '-' and '.' come before '/', capitals before small letters.
test_order() {
    mkdir -p p/a p/a-b
    for f in p/a/x.jpg p/a-b/x.jpg p/a.jpg p/B.JPG p/a/b.png; do cp "$pictures/ok_rgb8.png" $f; done
    echo not a picture >p/readme.txt
    status 0 run p/ p/a/x.jpg
    sed 's/^{"image":"\([^"]*\)".*/\1/' out >names
    printf '%s\n' p/B.JPG p/a-b/x.jpg p/a.jpg p/a/b.png p/a/x.jpg >wanted
    same wanted names
}

test_bad_pictures() {
    mkdir photos
    cp "$pictures"/bad_* "$pictures"/ok_1x1.jpg "$pictures"/ok_rgb8.png photos
    mkdir photos/folder.jpg
    ln -s nowhere photos/dangling.jpg
    mkfifo photos/pipe.jpg
    : >photos/nothing.jpg
    status 1 run photos missing.jpg
    n=$(find "$pictures" -name 'bad_*' | wc -l)
    lines $((n + 6)) out
    [ "$(grep -c '"people":\[{"box"' out)" -eq 2 ] || fail "expected two usable pictures"
    [ "$(grep -c '","error":"' out)" -eq $((n + 4)) ] || fail "expected $((n + 4)) errors"
    [ "$(grep -c '^limber: photos/bad_' err)" -eq "$n" ] || fail "stderr does not name every bad picture"
    has out '{"image":"photos/bad_text.jpg","error":"'
    has out '{"image":"photos/bad_cut_half.jpg","error":"'
    has out '{"image":"missing.jpg","error":"'
    has out '{"image":"photos/ok_1x1.jpg","width":1,"height":1,"people":[{"box":['
    says "photos/pipe.jpg: is not a regular file"
    says "missing.jpg: No such file"
}

# One picture, lying on its side, in six formats: joints within 2 px of each other, width and height told right. Formats whose
# library is not there are said to want one.
test_six_formats() {
    status 0 "$LIMBER" info --json info.json
    "$LIMBER" run --whole --refine 0 "$LIMBER_TEST_DIR/images/turned" --quiet --precision fp32 --backend cpu >out 2>err || [ $? -eq 1 ]
    lines 8 out
    awk '
        function joints(line,   n, parts, i) {
            n = split(line, parts, /:\[/)
            for (i = 1; i <= n; i++) value[i] = parts[i]
            return n
        }
        /"error"/ { if (!/install lib/) { print "not expected: " $0; bad = 1 } ; next }
        !/"width":208,"height":240/ { print "another size: " $0; bad = 1; next }
        {
            sub(/.*"keypoints":/, "")
            sub(/"limbs".*/, "")
            n = joints($0)
            far = 0
            for (i = 2; i <= n; i++) {
                split(value[i], p, ",")
                if (!seen) { x[i] = p[1]; y[i] = p[2] }
                d = sqrt((p[1] - x[i]) ^ 2 + (p[2] - y[i]) ^ 2)
                if (d > most) most = d
                far += d > 2
            }
            if (far > 1) { print far " joints elsewhere: " $0; bad = 1 } # one may jump between two maxima of its map
            seen++
        }
        END {
            printf "%d formats, joints %.2f px apart\n", seen, most
            if (seen < 2 || n != 18) bad = 1
            exit bad
        }' out || fail "the formats differ"
}
# In a build with libjpeg-turbo a large JPEG is decoded smaller, and its coordinates stay those of the picture.
test_large_pictures() {
    "$LIMBER" info | grep -q libjpeg-turbo || skip "no libjpeg-turbo"
    cp "$LIMBER_TEST_DIR/images/large.jpg" .
    echo '{"image":"large.jpg","boxes":[[400,200,1600,2400]]}' >boxes.jsonl
    for how in --quiet --full-resolution; do
        status 0 "$LIMBER" run large.jpg --boxes boxes.jsonl --out "out$how" --precision fp32 --backend cpu --quiet $how
    done
    has out--quiet/run.json '"full_resolution": false'
    has out--full-resolution/run.json '"full_resolution": true'
    has out--quiet/poses.jsonl '"width":2400,"height":2770'
    cmp -s out--quiet/poses.jsonl out--full-resolution/poses.jsonl && fail "nothing was decoded smaller"
    status 0 "$LIMBER" run large.jpg --boxes boxes.jsonl --out stb --decoder stb --precision fp32 --backend cpu --quiet
    has stb/run.json '"JPEG": "stb_image'
    has stb/run.json '"WebP": null'
    for other in out--full-resolution stb; do
        cat out--quiet/poses.jsonl $other/poses.jsonl | awk '
            {
                sub(/.*"keypoints":/, "")
                sub(/"limbs".*/, "")
                n = split($0, parts, /:\[/)
                for (i = 2; i <= n; i++) {
                    split(parts[i], p, ",")
                    if (NR == 1) { x[i] = p[1]; y[i] = p[2] }
                    d = sqrt((p[1] - x[i]) ^ 2 + (p[2] - y[i]) ^ 2)
                    if (d > most) most = d
                }
            }
            END { printf "joints %.2f px apart\n", most; exit n != 18 || most > 30 }' || fail "coordinates differ from those of $other"
    done
}

test_folder_that_cannot_be_read() {
    [ "$(id -u)" -ne 0 ] || skip "root reads everything"
    album 1
    mkdir photos/locked
    chmod 0 photos/locked
    cp "$pictures/ok_rgb8.png" photos/secret.png
    chmod 0 photos/secret.png
    status 1 run photos
    has out '{"image":"photos/locked","error":"'
    has out '{"image":"photos/secret.png","error":"'
    lines 3 out
}

test_links() {
    mkdir -p photos/a other
    cp "$pictures/ok_rgb8.png" photos/a/x.png
    cp "$pictures/ok_rgb8.png" other/y.png
    ln -s .. photos/a/up       # loops
    ln -s . photos/here
    ln -s ../other photos/more # leads somewhere new
    ln -s x.png photos/a/link.png
    ln -s loop.png photos/loop.png
    status 1 run photos
    lines 4 out
    has out '"image":"photos/a/x.png"'
    has out '"image":"photos/a/link.png"'
    has out '"image":"photos/more/y.png"'
    has out '{"image":"photos/loop.png","error":"'
    says "photos/a/up: a link to a folder that is read already"
}

test_strange_names() {
    mkdir photos
    newline=$(printf 'two\nlines.png')
    bytes=$(printf 'latin\351.png')
    cp "$pictures/ok_rgb8.png" "photos/with space.png"
    cp "$pictures/ok_rgb8.png" 'photos/with "quotes" and \.png'
    cp "$pictures/ok_rgb8.png" "photos/$newline"
    cp "$pictures/ok_rgb8.png" "photos/grüß.png"
    cp "$pictures/ok_rgb8.png" "photos/$bytes" || skip "this file system wants UTF-8"
    cp "$pictures/bad_text.jpg" "$(printf 'photos/\033[2Jbad\n.jpg')"
    status 1 run photos --out result --overlay=png
    lines 6 result/poses.jsonl
    has result/poses.jsonl '{"image":"photos/with space.png",'
    has result/poses.jsonl '{"image":"photos/with \"quotes\" and \\.png",'
    has result/poses.jsonl '{"image":"photos/two\nlines.png",'
    has result/poses.jsonl '{"image":"photos/grüß.png",'
    has result/poses.jsonl '{"image":"photos/latin\udce9.png",'
    says 'photos/\x1b[2Jbad\n.jpg: '
    # U+009B begins an escape sequence as ESC [ does, U+202E turns the line round; neither they nor lone bytes reach the terminal
    strange=$(printf 'c1\302\2332J\342\200\256\233.png')
    cp "$pictures/ok_rgb8.png" "$strange"
    status 1 run "$strange" nowhere/"$strange"
    says 'nowhere/c1\xc2\x9b2J\xe2\x80\xae\x9b.png: '
    has out '{"image":"c1\u009b2J'
    status 0 run "$strange" --out strange
    cp strange/poses.jsonl before
    status 0 run "$strange" --out strange --resume
    same before strange/poses.jsonl
    status 0 run "$strange" --boxes strange/poses.jsonl
    same before out
    [ -f "result/overlay/photos/$newline.png" ] && [ -f "result/overlay/photos/$bytes.png" ] || fail "overlays missing"
    cp result/poses.jsonl before
    status 1 run photos --out result --overlay=png --resume
    same before result/poses.jsonl
    # names of options and of "standard input" are names like any other
    cp "$pictures/ok_rgb8.png" ./-
    cp "$pictures/ok_rgb8.png" ./--flip
    status 0 run ./- -- --flip
    has out '{"image":"./-",'
    has out '{"image":"--flip",'
}

test_overlay_stays_inside() {
    mkdir -p deep/down
    cp "$pictures/ok_rgb8.png" top.png
    long=$(printf '%0248d.png' 7)
    cp "$pictures/ok_rgb8.png" "$long"
    cd deep/down
    status 0 run ../../top.png "$work/top.png" ./../../top.png "../../$long" --out result --overlay=png
    [ -f "result/overlay/__/__/top.png.png" ] || fail "relative path"
    [ -f "result/overlay$work/top.png.png" ] || fail "absolute path"
    [ "$(find result -name '0000*.png' | wc -l)" -eq 1 ] || fail "a name too long for .png has no overlay"
    [ "$(find "$work" -name '*.png.png' | grep -vc "$work/deep/down/result/overlay/")" -eq 0 ] || fail "an overlay outside"
}

# A picture that a screen can show: of at most 1,600 pixels, JPEG where the build can write it.
test_overlay_kinds() {
    mkdir photos
    awk 'BEGIN { printf "P5 2000 1000 255\n"; for (i = 0; i < 2000000; i++) printf "%c", 64 + i % 100 }' >photos/wide.pgm
    status 0 run photos --out png --overlay=png
    size=$(od -An -tu1 -j16 -N8 png/overlay/photos/wide.pgm.png | tr -s ' \n' ' ')
    [ "$size" = " 0 0 6 64 0 0 3 32 " ] || fail "1600x800 expected: $size"
    has png/run.json '"overlay_size": 1600'
    status 0 run photos --out all --overlay=png --overlay-size 0
    size=$(od -An -tu1 -j16 -N8 all/overlay/photos/wide.pgm.png | tr -s ' \n' ' ')
    [ "$size" = " 0 0 7 208 0 0 3 232 " ] || fail "2000x1000 expected: $size"
    status 0 run photos --out few --overlay=png --overlay-size=100
    same png/poses.jsonl few/poses.jsonl
    status 2 run photos --out few --resume --overlay=png
    says "was made with overlay_size 100, this run has 1600"
    status 2 run photos --out few --overlay=gif
    says '--overlay is "gif", expected jpeg|png'
    status 0 run photos --out usual --overlay
    if grep -q '"JPEG": "libjpeg-turbo' usual/run.json; then
        [ "$(od -An -tx1 -N3 usual/overlay/photos/wide.pgm.jpg)" = " ff d8 ff" ] || fail "no JPEG"
        has usual/run.json '"overlay": "jpeg"'
    else
        same png/overlay/photos/wide.pgm.png usual/overlay/photos/wide.pgm.png
        status 2 run photos --out none --overlay=jpeg
        says "this build has no libjpeg-turbo"
    fi
    same png/poses.jsonl usual/poses.jsonl
}

# index.html: what a stranger calls his files stays text, links lead to the overlays, and --resume writes the page that one run would.
test_gallery() {
    mkdir photos
    newline=$(printf 'two\nlines \342\200\256.png')
    bytes=$(printf 'latin\351.png')
    for name in plain.png "<img src=x onerror=alert(1)>&amp;\"'.png" 'a #1 100%?.png' "$newline"; do
        cp "$pictures/ok_rgb8.png" "photos/$name"
    done
    cp "$pictures/ok_rgb8.png" "photos/$bytes" || skip "this file system wants UTF-8"
    cp "$pictures/bad_text.jpg" 'photos/<b>bad.jpg'
    status 1 run photos --out result --overlay=png
    page=result/index.html
    has $page '<title>limber: 6 pictures</title>'
    has $page '6 pictures, 5 people'
    has $page '&lt;img src=x onerror=alert(1)&gt;&amp;amp;&quot;&#39;.png</bdi>'
    has $page '<summary>1 picture could not be used</summary>'
    has $page '<li><bdi>photos/&lt;b&gt;bad.jpg</bdi>: not an image: starts with &quot;'
    has $page '<bdi>photos/two lines &#xfffd;.png</bdi>'
    has $page '<bdi>photos/latin&#xfffd;.png</bdi>'
    has $page '<main data-joints="[&quot;nose&quot;,'
    [ "$(grep -c '<img src=x\|<b>bad' $page)" -eq 0 ] || fail "a name became HTML"
    [ "$(grep -c 'https\?:' $page)" -eq "$(grep -c "'http://www.w3.org/2000/svg'" $page)" ] || fail "a network address"
    # every link is percent-encoded bytes of a file that is there
    grep -o '<a href="[^"]*"' $page | sed 's/<a href="//; s/"$//' >encoded
    [ "$(grep -c '[^A-Za-z0-9/._~%-]' encoded)" -eq 0 ] || fail "$(cat encoded)"
    sed 's/%\(..\)/\\x\1/g' encoded >links
    lines 5 links
    while read -r link; do
        [ -f "result/$(env printf "$link")" ] || fail "no file $link"
    done <links
    cp $page before
    mkdir half
    head -n 3 result/poses.jsonl >half/poses.jsonl
    cp result/run.json half/
    cp -r result/overlay half/
    status 1 run photos --out half --overlay=png --resume
    same before half/index.html
}

# The page is about the lines beside it: one of an earlier run, or of somebody else, is kept under another name.
test_gallery_of_another() {
    album 2
    mkdir result
    echo mine >result/index.html
    status 0 run photos --out result --overlay=png
    says "result/index.html was there: kept as result/index.html~"
    has result/index.html~ mine
    has result/index.html 'limber: 2 pictures'
    status 0 run photos --out result
    [ ! -e result/index.html ] || fail "a page of overlays about a run without"
    has result/index.html~ 'limber: 2 pictures'
    rm -r result
    status 0 run photos --out result --overlay=png
    echo mine >result/index.html
    status 0 run photos --out result --overlay=png --resume
    says "result/index.html was there: kept as result/index.html~"
    has result/index.html 'limber: 2 pictures'
    # what cannot be written leaves nothing half
    [ -z "$(find result -name '*.partial*')" ] || fail "a temporary file was left"
}

# Results among the photographs: what an earlier run drew is no photograph.
test_output_among_the_inputs() {
    album 3
    status 0 run photos --out photos --overlay=png
    cp photos/poses.jsonl before
    [ "$(find photos/overlay -name '*.png' | wc -l)" -eq 3 ] || fail "three overlays expected"
    status 0 run photos --out photos --overlay=png --resume
    same before photos/poses.jsonl
    status 0 run . --out photos/. --overlay=png
    lines 3 photos/poses.jsonl
}

# ---- boxes ----

test_boxes() {
    mkdir -p set/a set/b
    cp "$pictures/ok_rgb8.png" set/a/1.png
    cp "$pictures/ok_rgb8.png" set/b/1.png
    cp "$pictures/ok_rgb8.png" set/b/2.png
    cat >boxes.jsonl <<END
{"image":"a/1.png","boxes":[[1,2,20,25],[0,0,48,32]]}
{"image":"b/1.png","boxes":[]}
END
    status 1 run set --boxes boxes.jsonl
    lines 3 out
    has out '{"image":"set/b/2.png","error":"'
    says "set/b/2.png: boxes: no image in boxes.jsonl has this name"
    has out '{"image":"set/a/1.png","width":48,"height":32,"people":[{"box":[1,2,20,25],'
    has out '{"image":"set/b/1.png","width":48,"height":32,"people":[]}'
    cat >coco.json <<END
{"images":[{"id":7,"file_name":"x/a/1.png"},{"id":9,"file_name":"b/1.png"},{"id":5,"file_name":"gone.png"},{"id":2,"file_name":"b/2.png"}],
 "annotations":[{"image_id":5,"bbox":[1,2,20,25],"category_id":1},{"image_id":7,"bbox":[1,2,20,25],"category_id":1},{"image_id":9,"bbox":[3,4,5,6],"category_id":1}]}
END
    status 0 run set --boxes coco.json --out result --coco
    has result/poses.jsonl '"image":"set/a/1.png","width":48,"height":32,"people":[{"box":[1,2,20,25],'
    says "coco.json: 1 image with people in it is none of the inputs"
    has result/poses.jsonl '{"image":"set/b/2.png","width":48,"height":32,"people":[]}'
    has result/coco_results.json '"image_id":7,"category_id":1,"keypoints":['
    has result/coco_results.json '"image_id":9,"category_id":1,"keypoints":['
    # a results file in COCO's form is a boxes file too, joined by the number in the name
    echo '[{"image_id":2,"bbox":[1,1,9,9],"category_id":1,"score":0.5}]' >detections.json
    status 0 run set/b --boxes detections.json
    has out '"image":"set/b/2.png","width":48,"height":32,"people":[{"box":[1,1,9,9],'
    # one name, two files: reported, not guessed
    printf '{"image":"%s","boxes":[[1,2,20,25]]}\n' 1.png 2.png >ambiguous.jsonl
    status 1 run set --boxes ambiguous.jsonl
    [ "$(grep -c '"error":' out)" -eq 2 ] || fail "an ambiguous name must not be guessed"
}

# Boxes that a detector scored: the person's score is the product, the better of two answers stays, best first; for COCO's tables the
# joints above .2 count, as in mmpose. Bounds are those of a detector in front.
test_boxes_scores() {
    mkdir set
    cp "$LIMBER_TEST_DIR/../data/samples/three.jpg" set/1.jpg # by the built-in model: its joints are of all scores
    run() { "$LIMBER" run --quiet "$@"; }
    printf '[%s,%s,%s,%s]\n' '{"image_id":1,"bbox":[100,20,200,250],"score":0.5}' '{"image_id":1,"bbox":[100,20,200.5,250],"score":0.25}' \
        '{"image_id":1,"bbox":[9,30,300,250],"score":1}' '{"image_id":1,"bbox":[300,60,90,90],"score":0.02}' >det.json
    sed 's/,"score":[0-9.]*//g' det.json >bare.json
    status 0 run set --boxes bare.json --out bare --coco
    ! grep -q box_score bare/poses.jsonl || fail "nobody scored these boxes"
    [ "$(grep -o '"box":' bare/poses.jsonl | wc -l)" -eq 4 ] || fail "four boxes"
    status 0 run set --boxes det.json --out scored --coco
    [ "$(grep -o '"box_score":[0-9.]*' scored/poses.jsonl | tr '\n' ' ')" = '"box_score":1 "box_score":0.5 "box_score":0.02 ' ] ||
        fail "$(grep -o '"box_score":[0-9.]*' scored/poses.jsonl)"
    # the score of a line, and that of the COCO results, from what both are made of
    awk -v RS='"box":' 'NR > 1 {
        sub(/,"limbs".*/, ""); n = split($0, part, /:\[/); sum = seen = count = 0
        for (i = 2; i <= n; i++) { split(part[i], v, /[],]/); sum += v[3]; if (v[3] > 0.2) { seen += v[3]; count++ } }
        match($0, /"box_score":[0-9.]+/); box = substr($0, RSTART + 12, RLENGTH - 12)
        match($0, /"score":[-0-9.e]+/); score = substr($0, RSTART + 8, RLENGTH - 8)
        d = score - box * sum / (n - 1); if (d * d > 1e-8) { print "score " score ", expected " box * sum / (n - 1); exit 1 }
        printf "%.4f\n", count ? box * seen / count : 0 }' scored/poses.jsonl >wanted || fail "$(cat wanted)"
    grep -o '"score":[0-9.]*' scored/coco_results.json | sed 's/.*://' | awk '{ printf "%.4f\n", $1 }' >is
    same wanted is
    status 0 run set --boxes det.json --min-box-score 0.5 --out sure
    [ "$(grep -o '"box":' sure/poses.jsonl | wc -l)" -eq 2 ] || fail "two boxes are that sure"
    has sure/run.json '"unsure": 2'
    status 0 run set --boxes det.json --max-people 1
    has out '"people":[{"box":[9,30,300,250],'
    [ "$(grep -o '"box":' out | wc -l)" -eq 1 ] || fail "one is the most"
    status 2 run set --boxes det.json --out sure --resume
    says "min_box_score"
    # what limber wrote is a boxes file: the same people, in the same order
    status 0 run set --boxes scored/poses.jsonl
    same scored/poses.jsonl out
}

test_boxes_category() {
    mkdir set
    cp "$pictures/ok_rgb8.png" set/1.png
    cat >coco.json <<END
{"images":[{"id":1,"file_name":"1.png"}],"categories":[{"id":1,"name":"pedestrian"},{"id":2,"name":"car"}],"annotations":[
 {"image_id":1,"bbox":[1,2,20,25],"category_id":1},{"image_id":1,"bbox":[0,0,9,9],"category_id":2},{"image_id":7,"bbox":[1,1,9,9]}]}
END
    status 0 "$LIMBER" run --model "$tiny" --whole set --boxes coco.json --out result
    says "coco.json: 1 box of people; left out: 1 of another category (car 1), 1 of an image that the file does not list"
    has result/poses.jsonl '"people":[{"box":[1,2,20,25],'
    has result/run.json '"category": null'
    [ "$(tr -d ' \n' <result/run.json | grep -c '"boxes_read":{"kept":1,"left_out":{"other_category":1,"no_category":0,"crowd":0,"image_not_listed":1,')" = 1 ] ||
        fail "run.json does not count the boxes"
    status 0 run set --boxes coco.json --category car --out cars
    has cars/poses.jsonl '"people":[{"box":[0,0,9,9],'
    has cars/run.json '"category": "car"'
    status 2 run set --boxes coco.json --category bus
    says 'no category is "bus"; there are pedestrian, car'
    status 2 run set --category car
    says "name that file"
    # what limber wrote is a boxes file
    status 0 run set --boxes result/poses.jsonl
    same out result/poses.jsonl
    # text ids come back as they were
    echo '[{"image_id":"1","file_name":"1.png","bbox":[1,1,9,9]},{"image_id":"x","file_name":"2.png","bbox":[1,1,9,9]}]' >text.json
    cp set/1.png set/2.png
    status 0 run set --boxes text.json --out text --coco
    has text/coco_results.json '"image_id":"x","category_id":1'
    has text/coco_results.json '"image_id":1,"category_id":1'
}

test_eval_annotations() {
    mkdir -p set/dir
    cp "$pictures/ok_rgb8.png" set/dir/1.png
    # annotations WRITTEN-NAME AREA
    annotations() {
        printf '{"images":[{"id":1.0,"file_name":"%s","width":48.0,"height":32}],"categories":[{"id":1,"name":"person"}],"annotations":[{"id":77,"image_id":1,"category_id":1,%s"bbox":[1,2,20,25],"num_keypoints":1.0,"keypoints":[5,5,2' "$1" "$2"
        for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do printf ',0,0,0'; done
        echo ']}]}'
    }
    for name in dir/1.png 'dir\\1.png' 'C:\\x\\1.png' elsewhere/1.png; do
        annotations "$name" '"area":400,' >a.json
        case $name in dir*) rm -f set/1.png ;; *) cp set/dir/1.png set ;; esac
        status 0 "$LIMBER" eval --model "$tiny" --quiet --annotations a.json --images set
        has out "1 people in"
    done
    # set/ has the accent apart, the file has it together
    cp set/dir/1.png "set/cafe$(printf '\314\201').png"
    annotations "caf$(printf '\303\251').png" '"area":400,' >a.json
    status 0 "$LIMBER" eval --model "$tiny" --quiet --annotations a.json --images set
    for area in '' '"area":null,'; do
        annotations dir/1.png "$area" >a.json
        status 2 "$LIMBER" eval --model "$tiny" --quiet --annotations a.json --images set
        says 'a.json: annotation 77 has no "area"'
    done
}

# A ViTPose+ whose expert 5 finds COCO-WholeBody's 133 joints, on that data set's annotations: runs, draws, evaluates.
test_whole_body() {
    whole=$LIMBER_TEST_DIR/golden/plus-wholebody
    mkdir p
    cp "$LIMBER_TEST_DIR/images/rgb8.png" "$LIMBER_TEST_DIR/images/rgb24.bmp" p
    on_whole() { "$LIMBER" "$@" --model "$whole" --expert 5 --precision fp32 --quiet; }
    status 0 on_whole run p --boxes "$whole/annotations.json" --out r --overlay --coco
    for joint in nose right_ankle left_big_toe right_heel face-0 face-67 left_hand_root right_pinky_finger4; do
        [ "$(grep -o "\"$joint\":\[" r/poses.jsonl | wc -l)" -eq 16 ] || fail "$joint of 16 people"
    done
    has r/poses.jsonl '"left_forearm":{"from":"left_elbow"'
    # drawn: not what is written where nobody is left
    status 0 on_whole run p --boxes "$whole/annotations.json" --out none --overlay --min-score 1e9
    for overlay in r/overlay/p/*; do
        ! cmp -s "$overlay" "none/overlay/p/${overlay##*/}" || fail "$overlay: nobody is drawn"
    done
    # fields of COCO-WholeBody's tool, three numbers a joint
    [ "$(grep -c '"image_id":' r/coco_results.json)" -eq 16 ] || fail "16 people in coco_results.json"
    for field in keypoints:51 foot_kpts:18 face_kpts:204 lefthand_kpts:63 righthand_kpts:63; do
        grep -o "\"${field%:*}\":\[[^]]*" r/coco_results.json | awk -F , '{ print NF }' | uniq -c | awk '{ print $1, $2 }' >count
        [ "$(cat count)" = "16 ${field#*:}" ] || fail "$field: $(cat count)"
    done
    status 0 "$LIMBER" export --to coco --out exported.json r
    bones=$(tr -d ' \n' <exported.json | grep -o '"skeleton":\[\[[^a-z]*' | grep -o '\[[0-9]*,[0-9]*\]' | wc -l)
    [ "$bones" -eq 130 ] || fail "$bones bones are exported"
    # as xtcocotools measures what transformers finds
    on_whole eval --annotations "$whole/annotations.json" --images p --json eval.json >out 2>err || fail "eval"
    sed -n '/^part/,/^whole/p' out >table
    same table "$whole/eval.txt"
    [ "$(head -1 out | awk '{ print $1, $2 }')" = "AP $(awk '/^whole/ { print $2 }' table)" ] || fail "the first line is not the whole's AP"
    tr -d ' \n' <eval.json | grep -o '"hand":{"AP":[0-9.]*' | sed 's/.*://' | awk '{ printf "%.3f\n", $1 }' >hand
    [ "$(cat hand)" = "$(awk '/^hand/ { print $2 }' table)" ] || fail "eval.json: the hands' AP is $(cat hand)"
    # COCO's own 17 of the same file are another model's
    status 0 "$LIMBER" eval --model "$tiny" --quiet --annotations "$whole/annotations.json" --images p
    ! grep -q '^part' out || fail "17 joints have no parts"
    sed 's/"foot_kpts"/"feet"/g' "$whole/annotations.json" >torn.json
    status 2 on_whole eval --annotations torn.json --images p
    says "has 17 keypoints, expected COCO-WholeBody's 133: keypoints, foot_kpts, face_kpts, lefthand_kpts and righthand_kpts"
    sed 's/"face_kpts":\[[^,]*,/"face_kpts":[/' "$whole/annotations.json" >short.json
    status 2 on_whole eval --annotations short.json --images p
    says "face_kpts is"
}

test_boxes_bad() {
    cp "$pictures/ok_rgb8.png" a.png
    cp "$pictures/ok_rgb8.png" b.png
    for box in '[0,0,0,5]' '[0,0,5,-1]' '[100,5,10,10]' '[-20,0,10,10]' '[0,0,1e300,5]' '[1e30,0,5,5]'; do
        printf '{"image":"a.png","boxes":[%s]}\n{"image":"b.png","boxes":[[0,0,9,9]]}\n' "$box" >boxes.jsonl
        got=0
        run a.png b.png --boxes boxes.jsonl >out 2>err || got=$?
        [ $got = 1 ] || [ $got = 2 ] || fail "box $box: status $got"
        [ -s err ] || fail "box $box: no reason given"
        if [ $got = 1 ]; then
            has out '{"image":"a.png","error":"'
            has out '{"image":"b.png","width":48,"height":32,"people":[{"box":[0,0,9,9],'
        fi
    done
    for text in '{"image":"a.png","boxes":[[NaN,0,5,5]]}' '{"image":"a.png","boxes":[[0,0,5]]}' '{"image":"a.png"' 'hello' ''; do
        printf '%s\n' "$text" >boxes.json
        status 2 run a.png --boxes boxes.json
        says boxes.json
    done
    status 2 run a.png --boxes nowhere.json
    says nowhere.json
    # a picture that has two lines, or two numbers
    printf '{"image":"a.png","boxes":[[1,1,9,9]]}\n{"image":"a.png","boxes":[[2,2,9,9]]}\n' >boxes.jsonl
    status 2 run a.png --boxes boxes.jsonl
    says "ambiguous in boxes.jsonl: a.png is there twice"
    echo '{"images":[{"id":1,"file_name":"x/a.png"},{"id":2,"file_name":"y/a.png"}],"annotations":[]}' >boxes.json
    status 2 run a.png --boxes boxes.json
    says "ambiguous in boxes.json: x/a.png and y/a.png end alike"
    # what PowerShell's > writes
    { printf '\377\376' && printf '{"image":"a.png","boxes":[[1,1,9,9]]}\n' | sed 's/./&\n/g' | tr '\n' '\0'; } >boxes.jsonl
    status 2 run a.png --boxes boxes.jsonl
    says "the text is UTF-16"
    # partly outside is what detectors give
    echo '{"image":"a.png","boxes":[[-5,-5,20,20],[40,20,30,30]]}' >boxes.jsonl
    status 0 run a.png --boxes boxes.jsonl
}

test_min_score() {
    album 4
    status 0 run photos --min-score 1e9
    lines 4 out
    [ "$(grep -c '"people":\[\]' out)" -eq 4 ] || fail "people above an absurd score"
}

# ---- outputs ----

test_full_disk() {
    album 3
    status 2 sh -c '"$0" run photos --model "$1" --whole >/dev/full' "$LIMBER" "$tiny"
    says "No space left on device"
    # a pipe that nobody reads ends it with a status, not with a signal; so does a closed standard output
    { sleep 1; run photos 2>err && echo 0 >code || echo $? >code; } | true
    [ "$(cat code)" = 2 ] || fail "status $(cat code) into a closed pipe"
    says "Broken pipe"
    got=0
    run photos 2>err >&- || got=$?
    [ $got = 2 ] || fail "status $got with standard output closed"
    says "standard output"
}

# A file system of its own, so that the disk really fills in the middle of a line.
test_full_disk_in_the_middle() {
    mkdir small
    mount -t tmpfs -o size=64k tmpfs small 2>/dev/null || skip "needs the right to mount"
    album 60
    got=0
    run photos --out small/result --batch 1 >out 2>err || got=$?
    tail -c 1 small/result/poses.jsonl | od -c | grep -q '\\n' || torn=yes
    cp small/result/poses.jsonl kept 2>/dev/null || true
    umount small
    [ $got = 2 ] || fail "status $got on a full disk"
    says "No space left on device"
    [ "${torn:-no}" = no ] || fail "a torn line was left"
    [ -s kept ] || fail "nothing was written before the disk was full"
}

test_output_not_writable() {
    album 1
    : >file
    status 2 run photos --out file
    says "file"
    status 2 run photos --out file/below
    mkdir -p result/poses.jsonl
    status 2 run photos --out result
    says "result/poses.jsonl"
    mkdir -p other
    : >other/overlay
    status 2 run photos --out other --overlay
    says "overlay"
    if [ "$(id -u)" -ne 0 ]; then
        mkdir locked
        chmod 500 locked
        status 2 run photos --out locked
        status 2 run photos --out locked/below
    fi
}

test_run_json() {
    album 3
    cp "$pictures/bad_text.jpg" photos/zzz.jpg
    status 1 run photos --out result --overlay=png --coco --threads 1 --batch 2
    for word in '"complete": true' '"backend": "' '"precision": "' '"threads": 1' '"batch": 2' '"images": 4' '"failed": 1' \
        '"people": 3' '"decode": ' '"crop": ' '"forward": ' '"write": ' '"total": ' '"model": "'; do
        has result/run.json "$word"
    done
    lines 4 result/poses.jsonl
    [ "$(find result/overlay -name '*.png' | wc -l)" -eq 3 ] || fail "three overlays expected"
    [ "$(grep -c '"image_id":' result/coco_results.json)" -eq 3 ] || fail "three people expected"
    [ -z "$(find result -name '*.partial')" ] || fail "a temporary file was left"
}

# The statistics of a run are those of `limber heads`, and cost the joints nothing.
test_heads() {
    album 5
    kinds() { tr -d ' \n' <"$1" | sed 's/.*"people_used":\([0-9]*\),"tests":\([0-9]*\).*"kinds":{\([^}]*\)}.*/\1 \2 \3/'; }
    export LIMBER_MODEL="$LIMBER_TEST_DIR/golden/simple-hd32"
    "$LIMBER" run --whole --quiet photos --out plain
    "$LIMBER" run --whole --quiet photos --out result --heads --threads 1 --batch 2
    "$LIMBER" heads --quiet --whole photos --out told
    same plain/poses.jsonl result/poses.jsonl
    has result/run.json '"heads": {'
    ! grep -q '"kinds"' plain/run.json || fail "statistics that nobody asked for"
    [ "$(kinds result/run.json)" = "$(kinds told/heads.json)" ] || fail "run: $(kinds result/run.json), heads: $(kinds told/heads.json)"
    case $(kinds told/heads.json) in '5 '[1-9]*' "specialist":'*) ;; *) fail "$(kinds told/heads.json)" ;; esac
    # of people found, too: those that run keeps of a detector's
    find="--detector $LIMBER_TEST_DIR/golden/yolos-mid --min-box-score 0.05 --max-people 2"
    # shellcheck disable=SC2086
    "$LIMBER" run --quiet photos --out found --heads $find
    # shellcheck disable=SC2086
    "$LIMBER" heads --quiet photos --out foundtold $find
    [ "$(kinds found/run.json)" = "$(kinds foundtold/heads.json)" ] ||
        fail "run: $(kinds found/run.json), heads: $(kinds foundtold/heads.json)"
    case $(kinds foundtold/heads.json) in "$(grep -o '"box"' found/poses.jsonl | wc -l) "*) ;; *) fail "$(kinds foundtold/heads.json)" ;; esac
    grep -q "data:image" foundtold/heads.html || fail "nobody is shown"
    status 2 run photos --heads
    says "--out"
    status 2 run photos --heads --flip --out other
    says "leave out --flip"
}

test_prune() {
    album 2
    status 0 run photos --out whole
    status 0 run photos --out less --prune 0.1,1.0
    has less/run.json '"prune": "0.1,1.0"'
    has whole/run.json '"prune": null'
    ! cmp -s whole/poses.jsonl less/poses.jsonl || fail "two heads less, and the same joints"
    status 2 run photos --out less --resume
    says 'was made with prune "0.1,1.0", this run has null'
    status 0 "$LIMBER" info --model "$tiny" --prune 1.1
    status 2 "$LIMBER" info --model "$tiny" --prune 1.2
    says "heads 0 to 1"
}

test_earlier_result_is_kept() {
    album 2
    status 0 run photos --out result
    cp result/poses.jsonl first
    status 0 run photos/000.jpg --out result
    lines 1 result/poses.jsonl
    same first result/poses.jsonl~
    says_kept=$(run photos --out result 2>&1)
    case $says_kept in *"kept as result/poses.jsonl~"*) ;; *) fail "not said: $says_kept" ;; esac
}

# ---- the same bytes, whatever the machine does ----

test_same_bytes() {
    album 13
    printf '{"image":"%s","boxes":[[1,2,20,25],[0,0,48,32],[5,5,9,9]]}\n' photos/002.png photos/005.jpg >boxes.jsonl
    run photos --threads 1 --batch 1 >a
    run photos --threads 3 --batch 7 >b
    run photos --threads 2 --batch 64 >c
    same a b
    same a c
    run photos --flip --refine 2 --threads 1 --batch 3 >d
    run photos --flip --refine 2 --threads 2 --batch 8 >e
    same d e
    ! cmp -s a d || fail "--flip --refine 2 changed nothing"
    run photos/002.png photos/005.jpg --boxes boxes.jsonl --threads 1 --batch 1 >f
    run photos/002.png photos/005.jpg --boxes boxes.jsonl --threads 2 --batch 2 >g
    same f g
}

test_shards() {
    album 11
    run photos >whole
    for form in "1 2 3" "0 1 2"; do
        : >parts
        for i in $form; do
            run photos --shard "$i/3" >part
            cat part >>parts
        done
        lines 11 parts
        LC_ALL=C sort parts >sorted
        same whole sorted # names are in byte order, and lines begin with them
    done
    run photos --shard 12/12 >none
    [ ! -s none ] || fail "a shard beyond the inputs has lines"
}

# ---- stopped and gone on ----

# slow ARGS...: a run on the reference backend, one person a pass, so that there is a middle to stop it in.
slow() { "$LIMBER" run --model "$tiny" --whole --backend ref --batch 1 --threads 1 --quiet photos "$@"; }

# stop SIGNAL: starts it, waits for two lines, sends the signal; the exit status is in $got.
stop() {
    "$LIMBER" run --model "$tiny" --whole --backend ref --batch 1 --threads 1 --quiet photos --out result 2>err &
    pid=$!
    tries=0
    until [ -f result/poses.jsonl ] && [ "$(wc -l <result/poses.jsonl)" -ge 2 ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || fail "no lines in a minute"
        kill -0 $pid 2>/dev/null || fail "it ended before it could be stopped"
        sleep 0.1
    done
    kill -"$1" $pid
    got=0
    wait $pid || got=$?
    [ "$(wc -l <result/poses.jsonl)" -lt 16 ] || fail "it was done before it was stopped"
}

whole_lines() {
    [ "$(tail -c 1 result/poses.jsonl | od -An -c | tr -d ' ')" = '\n' ] || fail "torn last line"
    [ "$(grep -vc '^{"image":".*}$' result/poses.jsonl)" -eq 0 ] || fail "a line that is not whole"
}

test_sigint_and_resume() {
    album 16
    slow --out wanted
    stop INT
    [ $got = 130 ] || fail "status $got after SIGINT"
    whole_lines
    has result/run.json '"complete": false'
    status 0 slow --out result --resume --coco
    same wanted/poses.jsonl result/poses.jsonl
    has result/run.json '"complete": true'
    ! grep -q '"resumed": 0' result/run.json || fail "everything was done again"
    [ "$(grep -c '"image_id":' result/coco_results.json)" -eq 16 ] || fail "COCO results lack what the first run found"
    status 0 slow --out result --resume # nothing left
    same wanted/poses.jsonl result/poses.jsonl
}

test_sigterm() {
    album 16
    stop TERM
    [ $got = 130 ] || fail "status $got after SIGTERM"
    whole_lines
}

test_killed_and_resume() {
    album 16
    cp "$pictures/bad_text.jpg" photos/000a.jpg
    status 1 slow --out wanted
    stop KILL
    printf '{"image":"photos/01' >>result/poses.jsonl # what a kill in the middle of a write leaves
    status 1 slow --out result --resume
    same wanted/poses.jsonl result/poses.jsonl
}

test_resume_refuses() {
    album 2
    status 0 run photos --out result
    status 2 run photos --out result --resume --flip
    says "was made with flip false, this run has true"
    status 2 run photos --out result --resume --overlay=png
    says 'was made with overlay null, this run has "png"'
    status 2 run photos --out result --resume --attention window:2
    says 'was made with attention "exact", this run has "window:2"'
    status 2 run photos --out result --resume --backend ref
    says "was made with backend"
    cp result/run.json about
    # not known what made the lines, or by another limber
    for json in none '{"limber"' '[]' ''; do
        rm -f result/run.json
        [ "$json" = none ] || echo "$json" >result/run.json
        status 2 run photos --out result --resume
        says "it is not known what made result/poses.jsonl"
    done
    sed 's/"limber": "[^"]*"/"limber": "0.0.9"/' about >result/run.json
    status 2 run photos --out result --resume
    says 'was made with limber "0.0.9"'
    sed '/"flip"/d' about >result/run.json
    status 2 run photos --out result --resume
    says 'was made with flip not stated'
    cp about result/run.json
    status 0 run photos --out result --resume
    # a model whose path is no UTF-8; moved, with other weights
    model=$(printf 'm\344del')
    mkdir "$model"
    cp "$tiny"/*.json "$tiny/model.safetensors" "$model"
    status 0 "$LIMBER" run --quiet --model "$model" photos --out other
    status 0 "$LIMBER" run --quiet --model "$model" photos --out other --resume
    mv "$model" moved
    status 0 "$LIMBER" run --quiet --model moved photos --out other --resume
    chmod u+w moved/model.safetensors
    printf '\1' | dd of=moved/model.safetensors bs=1 seek="$(($(wc -c <moved/model.safetensors) - 4))" conv=notrunc 2>dd
    status 2 "$LIMBER" run --quiet --model moved photos --out other --resume
    says "was made with model_content"
    # another boxes file under the same name
    echo '{"image":"000.jpg","boxes":[[0,0,9,9]]}' >boxes.jsonl
    status 1 run photos --boxes boxes.jsonl --out boxes
    echo '{"image":"000.jpg","boxes":[[0,0,8,9]]}' >boxes.jsonl
    status 2 run photos --boxes boxes.jsonl --out boxes --resume
    says "was made with boxes_content"
    # begun, and no line yet
    rm other/run.json
    : >other/poses.jsonl
    status 0 "$LIMBER" run --quiet --model moved photos --out other --resume
    echo "my notes" >>result/poses.jsonl
    cp result/poses.jsonl before
    status 2 run photos --out result --resume
    says "line 3"
    same before result/poses.jsonl
}

# Pictures whose overlays would have one name: each has its own.
test_overlays_keep_apart() {
    plain=${work#/}
    mkdir -p a down/__ "down/$plain/a"
    cp "$pictures/ok_rgb8.png" a/b.png
    cp "$pictures/ok_baseline.jpg" "down/$plain/a/b.png"
    cp "$pictures/ok_rgb8.png" c.png
    cp "$pictures/ok_baseline.jpg" down/__/c.png
    cd down
    status 0 run "$work/a/b.png" "$plain/a/b.png" ../c.png __/c.png --out result --overlay=png
    [ "$(find result -name '*.png' | wc -l)" -eq 4 ] || fail "$(find result -name '*.png')"
    [ -f "result/overlay$work/a/b.png.png" ] && [ -f result/overlay/__/c.png.png ] || fail "the first keeps its plain name"
    find result -name '*.png' -exec cksum {} + | sort >before
    status 0 run "$work/a/b.png" "$plain/a/b.png" ../c.png __/c.png --out result --overlay=png --shard 2/2
    find result -name '*.png' -exec cksum {} + | sort >after
    same before after
}

test_two_writers() {
    command -v flock >/dev/null || skip "needs flock"
    album 2
    mkdir result
    : >result/poses.jsonl
    status 2 flock result/poses.jsonl "$LIMBER" run --model "$tiny" --whole photos --out result
    says "another limber is writing it"
}

# ---- the sandbox ----

# A decoder that has been taken over has the inputs and DIR, and nothing else; without the sandbox it would have had all.
test_sandbox() {
    [ -n "${MISBEHAVE:-}" ] || skip "not in this build"
    album 1
    mkdir outside other
    confined() {
        echo kept >outside/secret
        LD_PRELOAD=$MISBEHAVE MISBEHAVE_OUTSIDE=$work/outside MISBEHAVE_PICTURE=photos/000.jpg run photos "$@"
    }
    status 0 confined --out free --sandbox=off
    grep -q "misbehave:" err || skip "this build decodes JPEG without libjpeg"
    [ "$(grep -c COULD err)" -ge 12 ] || fail "the attack does not attack"
    has free/run.json '"sandbox": "none: --sandbox=off"'
    for isolate in on off; do
        status 0 confined --out free --isolate=$isolate
        if grep -q '"sandbox": "none: this kernel' free/run.json; then skip "this kernel has no Landlock"; fi
        has free/run.json '"sandbox": "Landlock'
        says "misbehave: could not open a socket"
        # in a process of its own it has not even the other inputs
        [ $isolate = on ] || sed -i '/read another picture/d' err
        if grep COULD err; then fail "it came through"; fi
        has outside/secret kept
        status 0 confined --isolate=$isolate
        [ $isolate = on ] || sed -i '/read another picture/d' err
        if grep COULD err; then fail "it came through, with standard output alone"; fi
    done
    status 0 "$LIMBER" info
    has out "sandbox  Landlock"
}

# Nothing is lost by it: links among the inputs, files named by themselves, results on another disk, a sandbox that is not there.
test_sandbox_loses_nothing() {
    album 4
    mkdir far far/deep disk mixed
    mv photos/001.jpg far/1.jpg
    mv photos/002.png far/deep/2.png
    cp photos/000.jpg alone.jpg
    ln -s ../far/1.jpg mixed/link.jpg
    ln -s ../far/deep mixed/folder
    cp "$pictures/ok_baseline.jpg" mixed/plain.jpg
    cp photos/000.jpg listed.jpg
    echo listed.jpg >list.txt
    status 0 run photos mixed alone.jpg @list.txt --sandbox=off --out wanted --overlay
    mkdir result
    ln -s ../disk result/overlay
    status 0 run photos mixed alone.jpg @list.txt --out result --overlay --resume
    same wanted/poses.jsonl result/poses.jsonl
    [ "$(find disk -type f | wc -l)" = "$(find wanted/overlay -type f | wc -l)" ] || fail "overlays on another disk"
    has result/poses.jsonl '"image":"mixed/folder/2.png"'
    [ -n "${SHIM:-}" ] || return 0
    status 2 env LD_PRELOAD="$SHIM" LIMBER_FAULT="landlock 1+ 38" "$LIMBER" run photos --model "$tiny" --whole --sandbox
    says "--sandbox: this kernel has no Landlock"
    status 0 env LD_PRELOAD="$SHIM" LIMBER_FAULT="landlock 1+ 38" "$LIMBER" run photos --model "$tiny" --whole --out without
    has without/run.json '"sandbox": "none: this kernel has no Landlock'
}

# ---- decoders in processes of their own ----

# brought_down NAME WHAT: a picture that does WHAT to its decoder, where that is misbehave.c's
brought_down() {
    { printf '\377\330\377\376\0\024MISBEHAVE %-8s' "$2" && tail -c +3 "$pictures/ok_baseline.jpg"; } >"photos/$1"
}
# Nothing that the run started is left.
nobody_left() {
    tries=0
    while for p in /proc/[0-9]*; do [ "$(readlink "$p/cwd" 2>/dev/null)" = "$work" ] && grep -lsE '^limber' "$p/comm"; done | grep .; do
        tries=$((tries + 1))
        [ $tries -lt 2000 ] || fail "somebody is left"
        sleep 0.1
    done
}

# A picture that crashes its decoder costs its own line, whatever stands beside it; a run without isolation would be over.
test_decoder_crashes() {
    [ -n "${MISBEHAVE:-}" ] || skip "not in this build"
    fragile() { LD_PRELOAD=$MISBEHAVE run photos --threads 3 "$@"; }
    album 24
    status 0 run photos --out wanted
    for what in segv abort exit killed; do brought_down "007-$what.jpg" $what; done
    brought_down 000-first.jpg segv
    brought_down 099-last.jpg segv
    status 1 fragile --out result
    if ! grep -q '"isolate": "processes"' result/run.json; then skip "$(grep isolate result/run.json)"; fi
    if grep -q '"libjpeg' result/run.json; then :; else skip "this build decodes JPEG without libjpeg"; fi
    has result/poses.jsonl '{"image":"photos/000-first.jpg","error":"its decoder crashed: signal 11 (SIGSEGV)"}'
    has result/poses.jsonl '{"image":"photos/007-segv.jpg","error":"its decoder crashed: signal 11 (SIGSEGV)"}'
    has result/poses.jsonl '{"image":"photos/007-abort.jpg","error":"its decoder crashed: signal 6 (SIGABRT)"}'
    has result/poses.jsonl '{"image":"photos/007-exit.jpg","error":"its decoder ended with status 0"}'
    has result/poses.jsonl '{"image":"photos/007-killed.jpg","error":"its decoder crashed: signal 9 (SIGKILL: no memory?)"}'
    has result/poses.jsonl '{"image":"photos/099-last.jpg","error":"its decoder crashed: signal 11 (SIGSEGV)"}'
    says "photos/007-segv.jpg: its decoder crashed"
    grep -v '"error"' result/poses.jsonl >others
    same wanted/poses.jsonl others
    # The rest of a run that ended early has the same bytes.
    cp -r result resumed
    head -9 result/poses.jsonl >resumed/poses.jsonl
    status 1 fragile --out resumed --resume --isolate
    same result/poses.jsonl resumed/poses.jsonl
    nobody_left
    status 139 fragile --isolate=off --threads 1
}

# One that never ends is stopped.
test_decoder_hangs() {
    [ -n "${MISBEHAVE:-}" ] || skip "not in this build"
    album 6
    status 0 run photos --out wanted
    brought_down 003-hang.jpg hang
    status 1 env LD_PRELOAD="$MISBEHAVE" timeout 200 "$LIMBER" run --model "$tiny" --whole --quiet photos --out result --threads 2
    has result/poses.jsonl '{"image":"photos/003-hang.jpg","error":"its decoder took more than 300 s"}'
    grep -v '"error"' result/poses.jsonl >others
    same wanted/poses.jsonl others
    nobody_left
}

# Its processes end with it: by a signal that all of them get from the terminal, or one that it cannot see.
test_decoders_end() {
    command -v setsid >/dev/null || skip "needs setsid"
    album 9
    slow --out wanted --isolate=off
    for signal in INT KILL; do
        rm -rf result
        setsid "$LIMBER" run --model "$tiny" --whole --backend ref --batch 1 --threads 1 --quiet photos --out result 2>err &
        pid=$!
        tries=0
        until [ -f result/poses.jsonl ] && [ "$(wc -l <result/poses.jsonl)" -ge 2 ]; do
            tries=$((tries + 1))
            [ $tries -lt 2000 ] || fail "no lines in minutes"
            sleep 0.1
        done
        if [ $signal = INT ]; then kill -INT -$pid; else kill -KILL $pid; fi
        got=0
        wait $pid || got=$?
        [ $signal = KILL ] || [ $got = 130 ] || fail "status $got after SIGINT"
        nobody_left
        whole_lines
        if grep '"error"' result/poses.jsonl; then fail "a signal is no error of a picture"; fi
        status 0 slow --out result --resume
        same wanted/poses.jsonl result/poses.jsonl
    done
    # Without room for processes it does without them, and says so where it was asked for them.
    [ -n "${SHIM:-}" ] || return 0
    status 0 env LD_PRELOAD="$SHIM" LIMBER_FAULT="mmap 1+ 12" "$LIMBER" run photos --model "$tiny" --whole --out without --quiet --backend ref
    same wanted/poses.jsonl without/poses.jsonl
    has without/run.json '"isolate": "none: '
    status 2 env LD_PRELOAD="$SHIM" LIMBER_FAULT="mmap 1+ 12" "$LIMBER" run photos --model "$tiny" --whole --isolate
    says "--isolate: "
}

# In the sandbox no library can be opened: what a picture wants is opened before, by its bytes and not by its name.
test_libheif_is_opened_for_pictures_that_want_it() {
    "$LIMBER" info --model "$tiny" 2>/dev/null | grep -q 'HEIF: libheif' || skip "no libheif here"
    command -v ffmpeg >/dev/null && ffmpeg -v quiet -encoders | grep -q libaom-av1 || skip "nothing makes AVIF here"
    ffmpeg -v error -nostdin -i "$pictures/ok_baseline.jpg" -c:v libaom-av1 -still-picture 1 -cpu-used 8 -frames:v 1 photo.avif 2>/dev/null || skip "nothing makes AVIF here"
    mv photo.avif photo.jpg
    for isolate in on off; do
        status 0 run --isolate=$isolate photo.jpg
        status 0 run --isolate=$isolate - <photo.jpg
        album 40
        cp photo.jpg photos/040.jpg # more than are looked at
        status 0 run --isolate=$isolate photos
        lines 41 out
    done
    # the loader says what it opens
    LD_DEBUG=files run photo.jpg 2>&1 | grep -q 'file=libheif' || skip "a loader that says nothing"
    ! LD_DEBUG=files run photos/000.jpg photos/001.jpg 2>&1 | grep 'file=libheif' || fail "libheif was opened for nothing"
    LD_DEBUG=files run photos/000.jpg --out r 2>&1 | grep -q 'file=libheif' || fail "run.json cannot name it"
    has r/run.json '"HEIF": "libheif'
}

# A machine with a driver (here: a library of its name) and without the plugin is told which package has it.
test_cuda_without_its_plugin() {
    command -v gcc >/dev/null || skip "no gcc"
    ldd "$LIMBER" | grep -q liblimber || skip "liblimber is part of the command"
    mkdir bin lib
    cp "$LIMBER" bin/limber # with nothing beside it
    cp "$LIBRARY" lib/liblimber.so.0
    : >empty.c
    gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o lib/libcuda.so.1 empty.c
    status 2 env LD_LIBRARY_PATH="$work/lib" bin/limber run "$LIMBER_TEST_DIR/corpus/images/ok_rgb.ppm" --whole --backend cuda
    says "package limber-cuda"
    mkdir lib/limber
    : >lib/limber/liblimber_cuda.so
    status 2 env LD_LIBRARY_PATH="$work/lib" bin/limber run "$LIMBER_TEST_DIR/corpus/images/ok_rgb.ppm" --whole --backend cuda
    says "is here but cannot be loaded: "
}

case ${1:-} in
'') echo "usage: $0 CASE" >&2; exit 2 ;;
*) "test_$1" ;;
esac
