#!/bin/sh
# SPDX-License-Identifier: MIT
# test_measure.sh CASE - the commands that measure, from outside: limber eval, limber bench.
# Every function test_CASE below is one test of ctest's; shell.sh says how they are run.
set -eu
pictures=$LIMBER_TEST_DIR/corpus/images
tiny=$LIMBER_TEST_DIR/golden/simple-hd32 # two blocks of random weights: quick, and not the default model
. "$LIMBER_TEST_DIR/shell.sh"

# album SHIFT: photos/, and truth.json whose people are what the model itself says of them, moved right by SHIFT pixels
album() {
    mkdir -p photos/deep
    cp "$pictures/ok_baseline.jpg" photos/1.jpg
    cp "$pictures/ok_rgb8.png" photos/deep/2.png
    images='"images":[{"id":1,"file_name":"train/1.jpg","source":"jpeg"},{"id":2,"file_name":"deep/2.png","source":"png"}]'
    people='"categories":[{"id":1,"name":"person"}]'
    echo "{$images,$people,\"annotations\":[{\"id\":1,\"image_id\":1,\"category_id\":1,\"bbox\":[5,5,40,30]},
        {\"id\":2,\"image_id\":2,\"category_id\":1,\"bbox\":[2,3,20,25]}]}" >boxes.json
    status 0 "$LIMBER" run --model "$tiny" --precision fp32 --quiet photos --boxes boxes.json --coco --out mine
    # a result becomes an annotation: scores become "visible", joints move by the shift
    sed -n 's/^{"image_id":\([0-9]*\),.*"keypoints":\[\([^]]*\)\].*/\1,\2/p' mine/coco_results.json |
        awk -F, -v shift="$1" -v images="$images" -v people="$people" '
            { printf "%s{\"id\":%d,\"image_id\":%s,\"category_id\":1,\"iscrowd\":0,\"area\":4000,\"num_keypoints\":17,\"bbox\":[%s],\"keypoints\":[",
                  (NR > 1 ? "," : "{" images "," people ",\"annotations\":["), NR, $1, $1 == 1 ? "5,5,40,30" : "2,3,20,25"
              for (i = 2; i <= NF; i++) printf "%s%s", (i == 2 ? "" : ","), i % 3 == 2 ? $i + shift : i % 3 == 1 ? 2 : $i
              printf "]}" }
            END { print "]}" }' >truth.json
}
eval_tiny() { "$LIMBER" eval --model "$tiny" --precision fp32 --quiet --annotations truth.json --images photos "$@"; }

# ---- eval ----

test_eval_of_its_own_answers_is_perfect() {
    album 0
    status 0 eval_tiny --json figures.json
    head -1 out | grep -qx 'AP     1.000' || fail "AP is not the first line, or not 1"
    has out "AR75   1.000"
    has out "2 people"
    grep -qE '^jpeg +1 +1 +1\.000' out || fail "no slice by source"
    has figures.json '"AP": 1'
    has figures.json '"left_elbow": {'
}
test_eval_of_moved_answers_is_worse() {
    album 30
    status 0 eval_tiny
    head -1 out | grep -qx 'AP     0.000' || fail "AP survives a move of 30 pixels"
}
test_eval_counts_a_missing_image_as_missed() {
    album 0
    rm photos/deep/2.png
    status 1 eval_tiny
    says "deep/2.png: not below photos, its 1 people count as missed"
    head -1 out | grep -qx 'AP     0.505' || fail "half of the people are found: 51 of 101 recall points"
}
# Each head's row is what `--prune` alone gives: AP, and with one person an image the loss is the difference of the mean OKS.
test_eval_without_heads() {
    album 0
    status 0 eval_tiny --each-head --json each.json
    has out "without one attention head"
    [ "$(grep -cE '^[01]\.[01] ' out)" -eq 4 ] || fail "two layers of two heads make four rows"
    whole=$(tr -d ' \n' <each.json | sed 's/.*"all":{[^{]*"OKS":\([0-9.]*\).*/\1/')
    for head in 0.0 0.1 1.0 1.1; do
        status 0 eval_tiny --prune $head --json one.json
        row=$(tr -d ' \n' <each.json | sed "s/.*{\"layer\":${head%.*},\"head\":${head#*.},//")
        ap=$(echo "$row" | sed 's/^"AP":\([-0-9.]*\).*/\1/')
        loss=$(echo "$row" | sed 's/}}.*//; s/.*"all":{"mean":\([-0-9.e]*\).*/\1/')
        one=$(tr -d ' \n' <one.json | sed 's/.*"all":{//; s/{.*//')
        case $one in *"\"AP\":$ap,"*) ;; *) fail "$head: AP $ap among all, alone $one" ;; esac
        echo "$whole $loss ${one##*\"OKS\":}" | awk -F'[ ,]' '{ d = $1 - $2 - $3; exit !(d < 3e-6 && d > -3e-6 && $2 > 0.001) }' ||
            fail "$head: OKS $whole, a loss of $loss, and alone $one"
    done
    status 0 eval_tiny --each-head --prune 0.0,0.1,1.1
    [ "$(grep -cE '^[01]\.[01] ' out)" -eq 1 ] || fail "only one head was left"
    status 2 eval_tiny --prune 2.0
    says "layers 0 to 1 and heads 0 to 1"
}
# A pipe is written to and a link followed: neither is replaced by a file.
test_eval_json_through_pipe_and_link() {
    album 0
    status 0 eval_tiny --json plain.json
    mkfifo pipe
    cat pipe >got &
    status 0 eval_tiny --json pipe
    [ -p pipe ] || { kill $!; fail "the pipe is gone"; }
    wait
    drop() { grep -v '"seconds' "$1"; }
    [ "$(drop got)" = "$(drop plain.json)" ] || fail "the pipe got something else"
    mkdir there
    echo old >there/real.json
    ln -s there/real.json link.json
    status 0 eval_tiny --json link.json
    [ -L link.json ] || fail "the link is gone"
    has there/real.json '"AP": 1'
    [ -z "$(find . -name '*.partial')" ] || fail "a temporary file was left"
    status 0 eval_tiny --json /dev/fd/1 # in a folder where a wrong one can do no harm
    has out '"AP": 1'
    has out 'AP     1.000'
}
test_eval_usage() {
    status 2 "$LIMBER" eval --images .
    says "--annotations is required"
    echo '{' >truth.json
    status 2 eval_tiny
    says "truth.json"
    album 0
    status 2 eval_tiny --images nowhere
    says "none of its 2 images is below nowhere"
    status 2 "$LIMBER" eval --model "$LIMBER_TEST_DIR/golden/sharded-hd80" --annotations truth.json --images photos
    says "this model has others"
    status 2 eval_tiny --json nowhere/at/all/figures.json
}

# annotate RESULTS: truth.json, whose people are those of COCO results on photos/ of album; their scores become "visible"
annotate() {
    images='"images":[{"id":1,"file_name":"train/1.jpg","source":"jpeg"},{"id":2,"file_name":"deep/2.png","source":"png"}]'
    sed -n 's/^{"image_id":\([0-9]*\),.*"keypoints":\[\([^]]*\)\].*/\1,\2/p' "$1" |
        awk -F, -v images="$images" '
            { printf "%s{\"id\":%d,\"image_id\":%s,\"category_id\":1,\"iscrowd\":0,\"area\":4000,\"num_keypoints\":17,\"bbox\":[1,1,9,9],\"keypoints\":[",
                  (NR > 1 ? "," : "{" images ",\"categories\":[{\"id\":1,\"name\":\"person\"}],\"annotations\":["), NR, $1
              for (i = 2; i <= NF; i++) printf "%s%s", (i == 2 ? "" : ","), i % 3 == 1 ? 2 : $i
              printf "]}" }
            END { print "]}" }' >truth.json
}
# ten FIGURES...: COCO's ten numbers, with three decimals
ten() { sed -n 's/^A[PR][-0-9SML]* *\(-*[0-9.]*\)$/\1/p' "$@" | tr '\n' ' '; }

# With a detector's boxes: people ranked and doubled answers dropped as mmpose does. The numbers are pycocotools' over coco_results.json of
# `limber run` with the same boxes (recorded; the poses are told apart by far).
test_eval_of_detections() {
    album 0
    d() { printf '{"image_id":%s,"category_id":%s,"bbox":[%s],"score":%s}' "$1" "$2" "$3" "$4"; }
    echo "[$(d 1 1 5,5,40,30 0.9),$(d 1 1 5,5,40.02,30 0.8),$(d 1 1 30,20,9,9 0.95),$(d 2 1 2,3,20,25 0.6),$(d 2 1 30,2,9,12 0.3),
        $(d 2 3 1,1,8,8 0.99),$(d 77 1 1,1,8,8 0.99)]" >det.json
    status 0 eval_tiny --boxes det.json --json figures.json
    [ "$(ten out)" = "0.752 0.752 0.752 0.835 -1.000 1.000 1.000 1.000 1.000 -1.000 " ] || fail "$(ten out)"
    has out "found  1.000  (2 of 2 labelled people"
    has figures.json '"found": 2,'
    ! grep -q PCK out || fail "whose joints are they?"
    # mmpose's det_bbox_thr; joined by the names of files; JSON Lines
    status 0 eval_tiny --boxes det.json --min-box-score 0.7
    [ "$(ten out)" = "0.505 0.505 0.505 0.505 -1.000 0.500 0.500 0.500 0.500 -1.000 " ] || fail "$(ten out)"
    has out "found  0.500  (1 of 2 labelled people"
    status 0 eval_tiny --boxes det.json --max-people 1
    has out "found  0.500  (1 of 2 labelled people"
    printf '{"image":"%s","boxes":[[%s]],"scores":[%s]}\n' 1.jpg 5,5,40,30 0.5 2.png 2,3,20,25 0.4 >det.jsonl
    status 0 "$LIMBER" eval --model "$tiny" --precision fp32 --annotations truth.json --images photos --boxes det.jsonl
    [ "$(ten out)" = "1.000 1.000 1.000 1.000 -1.000 1.000 1.000 1.000 1.000 -1.000 " ] || fail "$(ten out)"
    says "det.jsonl: 2 boxes of people; 2 of them on 2 of the 2 annotated images, joined by name"
    # without scores as with the annotations' own boxes
    sed 's/,"scores.*/}/' det.jsonl >bare.jsonl
    status 0 eval_tiny --boxes bare.jsonl
    [ "$(ten out)" = "1.000 1.000 1.000 1.000 -1.000 1.000 1.000 1.000 1.000 -1.000 " ] || fail "$(ten out)"
    # ids that are not the numbers in the names: of the annotations, or of `limber detect --coco`
    cp truth.json kept.json
    sed 's/"id":\([12]\),"file/"id":1\1,"file/g; s/"image_id":/"image_id":1/g' kept.json >truth.json
    sed 's/"image_id":/"image_id":1/g' det.json >ids.json
    for file in ids.json det.json; do
        status 0 eval_tiny --boxes $file
        has out "found  1.000  (2 of 2 labelled people"
    done
    cp kept.json truth.json
    echo "[$(d 5 1 5,5,40,30 0.9)]" >other.json
    status 2 eval_tiny --boxes other.json
    says "other.json: none of the 2 annotated images is in it, by image_id or by name"
    echo '[]' >none.json
    status 0 eval_tiny --boxes none.json
    has out "found  0.000  (0 of 2 labelled people"
    status 2 eval_tiny --boxes det.json --detector
    says "leave one out"
    status 2 eval_tiny --boxes det.json --each-head
    says "--each-head compares the same people"
}

# People that a detector finds in the bare photograph: who is annotated as run found them is found, all and best.
test_eval_of_people_found() {
    album 0
    yolos=$LIMBER_TEST_DIR/golden/yolos-mid
    find="--detector $yolos --min-box-score 0.05 --max-people 3"
    # shellcheck disable=SC2086
    status 0 "$LIMBER" run --model "$tiny" --precision fp32 --quiet photos $find --coco --out found
    people=$(grep -c image_id found/coco_results.json)
    [ "$people" -gt 2 ] || fail "$people people"
    annotate found/coco_results.json
    # shellcheck disable=SC2086
    status 0 eval_tiny $find --json one.json --threads 1
    head -1 out | grep -qx 'AP     1.000' || fail "not all are found: $(head -1 out)"
    has out "found  1.000  ($people of $people labelled people"
    has one.json "\"detector\": \"$yolos\""
    # shellcheck disable=SC2086
    status 0 eval_tiny $find --json three.json --threads 3 --batch 2
    drop() { grep -v '"seconds' "$1"; }
    [ "$(drop one.json)" = "$(drop three.json)" ] || fail "threads and batch change the numbers"
    status 0 eval_tiny --detector # the built-in one sees nobody in noise
    has out "found  0.000  (0 of $people labelled people"
    LIMBER_DETECTOR=nowhere status 2 eval_tiny --detector --quiet
    says nowhere
    status 2 eval_tiny --detector "$tiny"
    says "a pose model"
}

# pycocotools' twelve numbers of these boxes (recorded), without photographs; the recall that is printed; a crowd swallows what lies in it.
test_eval_of_boxes() {
    a() { printf '{"id":%s,"image_id":%s,"category_id":1,"iscrowd":%s,"area":%s,"bbox":[%s]}' "$1" "$2" "$3" "$4" "$5"; }
    d() { printf '{"image_id":%s,"category_id":1,"bbox":[%s],"score":%s}' "$1" "$2" "$3"; }
    echo '{"images":[{"id":1,"file_name":"1.jpg","source":"x"},{"id":2,"file_name":"2.jpg","source":"y"},{"id":3,"file_name":"3.jpg","source":"y"}],
        "categories":[{"id":1,"name":"person"}],"annotations":['"$(a 1 1 0 900 10,10,30,40),$(a 2 1 0 5000 100,10,80,90),$(a 3 1 1 90000 200,0,400,300),
        $(a 4 2 0 20000 0,0,150,200),$(a 5 2 0 9216 300,50,100,130),$(a 6 3 0 400 5,5,20,25)"']}' >truth.json
    echo "[$(d 1 11,11,30,38 0.9),$(d 1 105,15,80,90 0.8),$(d 1 250,20,60,90 0.95),$(d 1 10,10,29,40 0.3),$(d 2 10,5,140,200 0.7),
        $(d 2 500,50,100,130 0.85),$(d 2 320,60,100,120 0.5),$(d 3 60,60,20,25 0.2)]" >det.json
    status 0 "$LIMBER" eval --task boxes --quiet --annotations truth.json --boxes det.json --json figures.json
    [ "$(ten out)" = "0.425 0.683 0.505 0.505 0.451 0.326 0.000 0.540 0.540 0.500 0.450 0.550 " ] || fail "$(ten out)"
    has out "people                                     5       2       2       2"
    has out "5 boxes a photograph, the surest       0.800   0.500   1.000   1.000"
    grep -qE '^y +2 +3 ' out || fail "no slice by source"
    [ "$(grep -c '"boxes": [0-9]' figures.json)" = 60 ] || fail "the curve has 20 points, of all and of two sources"
    status 0 "$LIMBER" eval --task boxes --quiet --annotations truth.json --boxes det.json --max-people 1
    [ "$(ten out | cut -d' ' -f7)" = "$(ten out | cut -d' ' -f9)" ] || fail "AR1 is AR100 with one box an image: $(ten out)"
    status 2 "$LIMBER" eval --task boxes --annotations truth.json
    says "--images is required"
    # by a detector, the same as of the file that `limber detect` writes
    album 0
    yolos=$LIMBER_TEST_DIR/golden/yolos-mid
    "$LIMBER" detect --quiet --detector "$yolos" --min-box-score 0.001 photos --coco --out found
    # truth: every third of them
    awk 'BEGIN { printf "{\"images\":[{\"id\":1,\"file_name\":\"1.jpg\"},{\"id\":2,\"file_name\":\"deep/2.png\"}],\"annotations\":[" }
        /image_id/ && n++ % 3 == 0 { sub(/,$/, ""); sub(/{/, (n > 1 ? "," : "") "{\"id\":" n ",\"area\":500,"); printf "%s", $0 }
        END { print "]}" }' found/coco_results.json >truth.json
    status 0 "$LIMBER" eval --task boxes --quiet --annotations truth.json --boxes found/coco_results.json
    ten out >file
    status 0 "$LIMBER" eval --task boxes --quiet --annotations truth.json --images photos --detector "$yolos" --threads 3
    ten out >found.ten
    same file found.ten
    case $(cat file) in 0.[0-9]*) ;; *) fail "numbers that say nothing: $(cat file)" ;; esac
}

# ---- patch, prune ----

test_patch_is_the_same_for_threads_and_batches() {
    album 0
    patch_tiny() { "$LIMBER" patch --model "$tiny" --quiet photos --annotations truth.json --bootstrap 50 "$@"; }
    status 0 patch_tiny --corrupt blur,swap --by denoise,noise,zero,mean,const --out one --threads 1 --batch 1
    status 0 patch_tiny --corrupt blur,swap --by denoise,noise,zero,mean,const --out two --threads 3 --batch 5
    same one/patch.json two/patch.json
    same one/patch.csv two/patch.csv
    same one/patch.html two/patch.html
    lines $((1 + 7 * 4 * 6 * 4)) one/patch.csv # changes, heads, limbs, measures; and their names
    ! grep -qiE '(^|[^a-z])(nan|inf)([^a-z]|$)' one/patch.csv one/patch.json || fail "a number that is none"
    has one/patch.html "What does each attention head cause?"
    status 0 "$LIMBER" heads --model "$tiny" --quiet photos --annotations truth.json --out heads --bootstrap 10
    status 0 patch_tiny --corrupt none --by zero --layers 1 --heads heads/heads.json --permutations 20 --out three
    has three/patch.json '"spearman"'
    lines $((1 + 2 * 6 * 4)) three/patch.csv
    status 2 patch_tiny --corrupt none --by zero --heads truth.json --out four
    says "not a heads.json"
}
# Sets of heads and paths between them, beside the heads one by one.
test_patch_sets_and_paths() {
    album 0
    patch_tiny() { "$LIMBER" patch --model "$tiny" --quiet photos --annotations truth.json --bootstrap 20 "$@"; }
    printf '# two\nboth "<ends": 0.0, 1.1\n\nlast:1.0,1.1\n' >sets
    status 0 patch_tiny --by noise,mean --sets sets --out one
    lines $((1 + 3 * (4 + 2) * 6 * 4)) one/patch.csv # changes, heads and sets, limbs, measures
    head -1 one/patch.csv | grep -q ',q,set$' || fail "no column for sets"
    [ "$(grep -c '^noise,,,.*,"both ""<ends"""$' one/patch.csv)" = 24 ] || fail "the lines of a set"
    has one/patch.json '"last": ["1.0","1.1"]'
    has one/patch.json '"sum_of_heads_raw"'
    status 0 patch_tiny --corrupt none --by zero --sets sets --out page
    has page/patch.html "Sets of heads, patched together"
    has page/patch.html "both &quot;&lt;ends&quot;<td>2"
    ! grep -qiE '(^|[^a-z])(nan|inf)([^a-z]|$)' one/patch.csv one/patch.json || fail "a number that is none"
    cp one/patch.json whole.json
    head -2 one/patch.kept >kept && cp kept one/patch.kept # one picture of two
    status 0 patch_tiny --by noise,mean --sets sets --out one --resume
    same whole.json one/patch.json
    printf 'last:1.0\n' >sets
    status 2 patch_tiny --by noise,mean --sets sets --out one --resume
    says "made with sets"
    status 0 patch_tiny --by noise,mean --sets sets --path 0.1 --out two # heads of layer 1, and the set
    lines $((1 + 3 * (2 + 1) * 6 * 4)) two/patch.csv
    has two/patch.json '"path": ["0.1"]'
    has two/patch.html "Here it is a <b>path</b>"
    ! grep -q '"focus"' two/patch.json || fail "the loss by a path is not that of a head that says its mean"
    status 2 patch_tiny --out three --path 1.0
    says "lies behind layer 1"
    status 2 patch_tiny --out three --path 0.2
    says "heads 0 to 1"
    printf 'a:0.0\n\na:0.1\n' >sets
    status 2 patch_tiny --out three --sets sets
    says "sets: line 3: two sets are called"
    for wrong in 'a 0.1' ':0.1' 'a:' 'a:0.9' 'a:0.1,' '#'; do
        echo "$wrong" >sets
        status 2 patch_tiny --out three --sets sets
        grep -qE 'sets: (line 1: )?("a 0.1": expected NAME|":0.1": expected NAME|set "a": "(|0.9|0.1,)" is no LAYER|no set)' err || fail "$wrong: $(cat err)"
    done
    [ ! -e three ] || fail "a folder for nothing"
}
# A run that was stopped goes on, and ends with the same bytes; other options do not mix.
test_patch_resumes() {
    album 0
    patch_tiny() { "$LIMBER" patch --model "$tiny" --quiet photos --annotations truth.json --corrupt blur,swap --by denoise,noise,mean "$@"; }
    status 0 patch_tiny --bootstrap 50 --out whole
    lines 3 whole/patch.kept # what made it, and two pictures
    cp -r whole part
    rm part/patch.json part/patch.csv part/patch.html
    head -c $(($(head -2 whole/patch.kept | wc -c) + 99)) whole/patch.kept >part/patch.kept # one picture, and a torn line
    status 0 patch_tiny --bootstrap 50 --out part --resume
    for file in patch.kept patch.json patch.csv patch.html; do same whole/$file part/$file; done
    status 0 patch_tiny --bootstrap 50 --out part --resume --threads 3 --batch 2 # nothing is left to compute
    same whole/patch.json part/patch.json
    status 2 patch_tiny --out part --resume --seed 2
    says "made with seed 1, this run has 2"
    sed 's/ AA/ A!/' whole/patch.kept >part/patch.kept
    status 2 patch_tiny --out part --resume
    says "damaged"
    sed -E '2,$s/.{32}$//' whole/patch.kept >part/patch.kept # three numbers less
    status 1 patch_tiny --out part --resume
    says "not the record of an image"
}
# What is read stands on the page of what is caused, where it is of the same model.
test_patch_and_heads_on_one_page() {
    album 0
    status 0 "$LIMBER" heads --model "$tiny" --quiet photos --annotations truth.json --out both --bootstrap 10
    status 0 "$LIMBER" patch --model "$tiny" --quiet photos --annotations truth.json --by noise --bootstrap 20 --permutations 20 --out both
    has both/patch.html "What attention heads read, and what they cause"
    has both/patch.html "Every head, and what it is"
    has both/patch.html "Which limbs are read together"
    has both/patch.html "How what is read is computed"
    ! grep -q 'Limb by limb</h2>' both/patch.html || fail "the maps of what is read stand there twice"
    has both/patch.json '"spearman"'
    cp both/patch.html found.html
    status 0 "$LIMBER" patch --model "$tiny" --quiet photos --annotations truth.json --by noise --bootstrap 20 --permutations 20 --out alone --heads both
    same found.html alone/patch.html
    # numbers of another run of heads do not get this page, those of another model none
    sed 's/"images_used": 2/"images_used": 3/' both/heads.json >both/other.json && mv both/other.json both/heads.json
    status 0 "$LIMBER" patch --model "$tiny" --quiet photos --annotations truth.json --by noise --bootstrap 20 --permutations 20 --out both
    ! grep -q "Every head, and what it is" both/patch.html || fail "a page of other numbers"
    sed 's/"model_content": "./"model_content": "x/' both/heads.json >both/other.json && mv both/other.json both/heads.json
    status 2 "$LIMBER" patch --model "$tiny" --quiet photos --annotations truth.json --by noise --bootstrap 20 --out alone --heads both
    says "another model"
    status 0 "$LIMBER" patch --model "$tiny" --quiet photos --annotations truth.json --by noise --bootstrap 20 --out both
    says "not shown"
    has both/patch.html "What does each attention head cause?"
}
test_patch_usage() {
    album 0
    status 2 "$LIMBER" patch photos --out out
    says "no --annotations"
    status 2 "$LIMBER" patch photos --annotations truth.json
    says "no --out"
    status 2 "$LIMBER" patch photos --annotations truth.json --out o --by noise,nought
    says "nought"
    status 2 "$LIMBER" patch photos --annotations truth.json --out o --corrupt none
    says "nothing to do"
    status 2 "$LIMBER" patch photos --model "$tiny" --annotations truth.json --out o --layers 2
    says "layer 2"
}
test_prune_writes_a_model() {
    album 0
    prune_tiny() { "$LIMBER" prune --model "$tiny" --quiet --annotations truth.json --images photos "$@"; }
    status 0 prune_tiny --drop 0.1 --fill zero --seed 1 --out small
    has small/prune.json '"dropped": ["0.1"]'
    has small/README.md "1 of 4 heads left out"
    status 0 "$LIMBER" run --model small --precision fp32 --quiet photos --boxes boxes.json
    mv out small.jsonl
    status 0 "$LIMBER" run --model "$tiny" --prune 0.1 --precision fp32 --quiet photos --boxes boxes.json
    same out small.jsonl
    status 0 prune_tiny --keep 2 --seed 1 --out smaller
    grep -qE '"dropped": \["[01].[01]","[01].[01]"\]' smaller/prune.json || fail "two heads were to go"
    # neurons too; a compact file says the same, and so does what is made of it
    status 0 prune_tiny --drop 0.1 --neurons 0.5 --out lean
    grep -q '"neurons_dropped": 192' lean/prune.json || fail "half of 2 x 192 neurons were to go"
    # the curve: the whole model, one without the head, eight that lose neurons; and with heads alone, one for each of the two that go
    points() { tr -d ' \n' <"$1" | grep -oE '[{]"heads":[0-9]+,"neurons":[0-9]+,"parameters"' | tr -dc '0-9,\n'; }
    points lean/prune.json >file
    [ "$(tr '\n' ' ' <file)" = "4,384, 3,384, 3,360, 3,336, 3,312, 3,288, 3,264, 3,240, 3,216, 3,192, " ] || fail "the points of the curve: $(cat file)"
    [ "$(points smaller/prune.json | tr '\n' ' ')" = "4,384, 3,384, 2,384, " ] || fail "the points of heads alone: $(points smaller/prune.json)"
    [ "$(sed -n '/On the way/,$p' smaller/README.md | grep -cE '^[|] [23] [|] 384 [|]')" = 2 ] || fail "the table of the curve"
    [ "$(grep -c '"times_faster"' lean/prune.json)" -ge 1 ] || fail "no time"
    status 0 prune_tiny --drop 0.1 --neurons 0.5 --compact --out compact
    [ "$(wc -c <compact/model.safetensors)" -lt "$(wc -c <lean/model.safetensors)" ] || fail "compact is not smaller"
    has compact/README.md "only limber opens it"
    for model in lean compact; do
        status 0 "$LIMBER" run --model $model --precision fp32 --quiet photos --boxes boxes.json
        mv out $model.jsonl
        status 0 "$LIMBER" run --model $model --precision fp32 --backend ref --quiet photos --boxes boxes.json
        mv out $model.ref.jsonl
    done
    same lean.jsonl compact.jsonl
    same lean.ref.jsonl compact.ref.jsonl
    status 0 "$LIMBER" prune --model compact --quiet --annotations truth.json --images photos --drop 1.0 --fill zero --out again
    ! grep -q limber_heads again/config.json || fail "a whole file says it is compact"
    [ "$(wc -c <again/model.safetensors)" -ge "$(wc -c <lean/model.safetensors)" ] || fail "the whole file is not whole"
    status 0 "$LIMBER" run --model again --precision fp32 --quiet photos --boxes boxes.json
    mv out again.jsonl
    status 0 "$LIMBER" run --model compact --prune 1.0 --precision fp32 --quiet photos --boxes boxes.json
    same out again.jsonl
    status 0 "$LIMBER" prune --model compact --quiet --annotations truth.json --images photos --drop 1.0 --compact --fill zero --out tinier
    status 0 "$LIMBER" run --model tinier --precision fp32 --quiet photos --boxes boxes.json
    same out again.jsonl
    status 2 prune_tiny --keep 4 --out none
    says "nothing would go"
    status 2 prune_tiny --out none
    says "expected one of"
    [ ! -e none ] || fail "a folder for nothing"
}

test_drift() {
    album 0
    status 0 "$LIMBER" drift "$tiny" "$tiny" photos --quiet --annotations truth.json --out none --bootstrap 20
    lines 5 none/drift.csv
    awk -F, 'NR > 1 { exit !($4 == 0 && $7 == 0 && $16 == 0) }' none/drift.csv || fail "a model has moved from itself"
    has out "2 people on 2 images"
    has none/drift.html "No head has moved"
    # another head of layer 0 moves what comes after, and rounding less than that
    status 0 "$LIMBER" prune --model "$tiny" --quiet --annotations truth.json --images photos --drop 0.1 --fill zero --out other
    status 0 "$LIMBER" drift "$tiny" other photos --quiet --annotations truth.json --out some --bootstrap 20 --control "$tiny"
    has some/drift.html "What has each attention head forgotten"
    has some/drift.html "have moved further than the control"
    has some/drift.html "<h3>left arm"
    for file in some/drift.html some/drift.csv some/drift.json; do
        ! grep -qiE '[^a-z](nan|inf)[^a-z]' $file || fail "$file: a number that is none"
    done
    if "$LIMBER" info 2>&1 | grep -q bf16; then
        status 0 "$LIMBER" drift "$tiny" other photos --quiet --annotations truth.json --out floor --bootstrap 20 --floor bf16
        has floor/drift.json '"control_precision": "bf16"'
        awk -F, 'NR > 1 && $1 == 1 { exit !($19 > 0) }' floor/drift.csv || fail "rounding to bf16 moves nothing"
    fi
    status 2 "$LIMBER" drift "$tiny" other photos --out floor --floor bf16 --control "$tiny"
    says "exclude each other"
    status 2 "$LIMBER" drift "$tiny" built-in photos --out none
    says "heads have no counterpart"
    status 2 "$LIMBER" drift "$tiny" photos --out none
    says "expected two models"
    status 2 "$LIMBER" drift "$tiny" "$tiny" photos --model "$tiny" --out none
    says "--model"
}

# ---- bench ----

bench_tiny() { "$LIMBER" bench attention --quick --quiet --dim 64 --heads 2 --tokens 12,48,108 "$@"; }

test_bench_attention() {
    status 0 bench_tiny --out result
    has out "fused attention  tokens^"
    has out "64x48"
    for file in bench.json bench.csv bench.html; do [ -s "result/$file" ] || fail "no result/$file"; done
    lines 4 result/bench.csv
    has result/bench.json '"tokens": 108'
    has result/bench.html "</html>"
    ! grep -qE '(src|href)="?http' result/bench.html || fail "the page wants the network"
    awk -F, 'NR > 1 { for (i = 5; i <= 14; i++) if (!($i > 0)) exit 1 }' result/bench.csv || fail "a time is not positive"
}
# A budget is kept and a signal obeyed within one repetition; what there is by then is written, what is not there is empty.
test_bench_attention_stops() {
    status 0 "$LIMBER" bench attention --quiet --dim 64 --heads 2 --tokens 12,48,16384,65536 --variants window:4 --seconds 0.5 --out budget
    says "stopped at the end of --seconds"
    has budget/bench.json '"complete": false'
    has budget/bench.csv "height,width,tokens,naive_s"
    ! grep -q ',65536,' budget/bench.csv || fail "a size that was not begun"
    ! grep -qE 'nan|inf' budget/bench.csv budget/bench.json budget/bench.html out || fail "numbers of what was not measured"
    "$LIMBER" bench attention --quiet --threads 1 --dim 1024 --heads 16 --out signal >rows 2>err &
    pid=$!
    tries=0
    until [ -s rows ] || [ $tries -gt 200 ]; do # the head: signals are caught by now
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -INT $pid 2>/dev/null || fail "ended by itself"
    code=0
    wait $pid || code=$?
    [ $code -eq 130 ] || fail "exit status $code, expected 130"
    says "stopped by a signal: "
    [ -s signal/bench.csv ] && [ -s signal/bench.json ] && [ -s signal/bench.html ] || fail "no report of what there was"
    has signal/bench.html "Stopped early:"
}
test_bench_model() {
    rows() { "$LIMBER" bench model --arch default --head simple --batches 1 --thread-counts 1 --precision fp32 --seconds 0.01 --csv rows.csv "$@"; }
    status 0 rows --parts
    has out "of one core"
    lines 2 rows.csv
    status 0 rows --input 128x96
    status 0 rows --attention window:4 --prune 0.0,1.2
    has out "without heads 0.0,1.2, attention window:4: GFLOP/s still count the whole network with exact attention"
    status 2 rows --input 100x100
    status 2 rows --prune 99.0
    says "expected LAYER.HEAD"
    status 2 rows --attention fish
    status 0 "$LIMBER" bench model --model "$tiny" --batches 1 --thread-counts 1 --precision fp32 --seconds 0.01 --attention window:1
}
test_bench_attention_says_what_does_not_fit() {
    status 0 bench_tiny --naive-limit 0.00005
    has out "left out: needs"
}
test_bench_attention_weighs_accuracy() {
    album 0
    status 0 "$LIMBER" bench attention --quick --quiet --model "$tiny" --precision fp32 --resolutions 256x192,384x288 --annotations truth.json \
        --images photos --variants window:4,pool:2 --out result
    has out "AP 1.000  exact        256x192"
    for kind in "window:4 .*256x192" "pool:2 .*256x192" "exact .*384x288"; do grep -qE "^AP [01]\.[0-9]+  $kind" out || fail "no AP of $kind"; done
    has result/bench.html "What exactness costs"
}
test_bench_attention_on_an_emulated_device() {
    [ -e "${EMULATED_PLUGIN:-}" ] || skip "no emulated device was built (cuda.build does it)"
    export LIMBER_CUDA_PLUGIN="$EMULATED_PLUGIN"
    ! "$LIMBER" info --backend cuda 2>&1 | grep -q "of different builds" || skip "the emulated device is of an earlier build (cuda.build makes it anew)"
    status 0 "$LIMBER" bench attention --quick --quiet --backend cuda --precision fp16 --dim 64 --heads 2 --tokens 12,48 --out result
    has out "times mean nothing"
    ! grep -qE '[0-9] [mu]s|seconds|overtakes' out || fail "a time of an emulated device is shown"
    has result/bench.json '"emulated": true'
    has result/bench.json '"attention": null'
    has result/bench.html "This device was emulated"
    ! grep -q '<svg' result/bench.html || fail "a time of an emulated device is drawn"
    [ ! -e result/bench.svg ] || fail "a time of an emulated device is drawn"
}
test_bench_attention_usage() {
    status 2 bench_tiny --resolutions 256x192
    says "exclude each other"
    status 2 "$LIMBER" bench attention --resolutions 250x192
    says "multiples of 16"
    status 2 "$LIMBER" bench attention --tokens 768,192
    says "sizes must rise"
    status 2 "$LIMBER" bench attention --dim 100 --heads 3
    says "3 heads do not divide"
    status 2 bench_tiny --variants fish:3
    says "expected exact, window:W"
    status 2 "$LIMBER" bench attnetion
    status 2 bench_tiny --out /dev/null/x
}

# pipeline_row WHAT FIELD: from the table that bench pipeline wrote
pipeline_row() { awk -F, -v what="$1" -v field="$2" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } $1 == what { print $at[field] }' rows.csv; }
bench_photos() { "$LIMBER" bench pipeline --model "$tiny" --precision fp32 --rounds 2 --csv rows.csv "$@"; }

test_bench_pipeline() {
    album 0
    status 0 bench_photos photos --boxes boxes.json --threads 2
    has out "2 images, 2 people, 0 could not be used; 2 rounds"
    has out "2 threads, 1 workers"
    lines 7 rows.csv
    awk -F, 'NR > 1 && !(0 < $9 && 0 < $10 && $10 <= $9 && $9 <= $11) { exit 1 }' rows.csv || fail "no time, or not in order"
    awk -F, 'NR > 1 && NR < 6 { sum += $12 } END { exit !(0.999 < sum && sum < 1.001) }' rows.csv || fail "the shares of the stages are not all"
    # the same people as `limber run`: one image with three, one with nobody
    echo '{"image":"1.jpg","boxes":[[5,5,40,30],[2,2,9,9],[1,1,30,30]]}' >three.jsonl
    echo '{"image":"2.png","boxes":[]}' >>three.jsonl
    status 0 bench_photos photos --boxes three.jsonl --batch 2
    has out "2 images, 3 people, 0 could not be used"
}
# With a detector in front it has a row of its own, and the people are those that run finds.
test_bench_pipeline_finds() {
    album 0
    find="--detector $LIMBER_TEST_DIR/golden/yolos-mid --min-box-score 0.05 --max-people 2"
    # shellcheck disable=SC2086
    status 0 "$LIMBER" run --model "$tiny" --precision fp32 --quiet photos $find
    people=$(grep -o '"box":' out | wc -l)
    # shellcheck disable=SC2086
    status 0 bench_photos photos $find
    has out "2 images, $people people, 0 could not be used"
    lines 8 rows.csv
    awk -F, 'NR > 1 && NR < 7 { sum += $12 } $1 == "find" && !($9 > 0) { exit 1 } END { exit !(0.999 < sum && sum < 1.001) }' rows.csv ||
        fail "finding takes no time, or the shares are not all"
}
test_bench_pipeline_stages_add_up() {
    album 0
    status 0 bench_photos --rounds 1 photos/1.jpg --whole
    ! grep -q '^find,' rows.csv || fail "nobody was looked for"
    awk -F, 'NR > 1 && NR < 6 { sum += $9 } $1 == "one by one" { exit !(sum <= $9 + 1e-4 && sum > 0.5 * $9) }' rows.csv ||
        fail "the stages of the only image are not its time"
}
test_bench_pipeline_leaves_out_what_cannot_be_used() {
    album 0
    head -c 300 photos/1.jpg >photos/cut.jpg
    echo words >photos/text.png
    mkfifo photos/pipe.jpg
    status 1 bench_photos photos --whole
    for name in cut.jpg text.png pipe.jpg; do says "photos/$name"; done
    has out "2 images, 2 people, 3 could not be used"
    [ "$(pipeline_row overlapped images)" = 2 ] || fail "images a second count images that were none"
}
test_bench_pipeline_usage() {
    status 2 bench_photos
    says "wants files or folders"
    mkdir empty
    status 2 bench_photos empty
    says "no pictures in empty"
    echo words >words.jpg
    status 2 bench_photos words.jpg
    says "none of 1 inputs could be used"
    album 0
    status 2 bench_photos photos --boxes nowhere.json
    says "nowhere.json"
    status 2 bench_photos photos --csv nowhere/at/all.csv
    says "nowhere/at/all.csv"
}

case ${1:-} in
'') echo "usage: $0 CASE" >&2; exit 2 ;;
*) "test_$1" ;;
esac
