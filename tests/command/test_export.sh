#!/bin/sh
# SPDX-License-Identifier: MIT
# test_export.sh CASE - `limber export`: each form against a recorded one (tests/export/recorded, which read_back.py read with the
# libraries that own the forms), and what becomes of lines that are not whole. shell.sh says how cases are run.
set -eu
lines=$LIMBER_TEST_DIR/export/poses.jsonl # two people and one who leaves the image, nobody, a failed one, a name of odd characters
recorded=$LIMBER_TEST_DIR/export/recorded
. "$LIMBER_TEST_DIR/shell.sh"

export_to() { "$LIMBER" export --quiet --min-score 0.3 --to "$@"; }

one_file() { # FORMAT ENDING
    status 0 export_to "$1" "$lines" --out "below/it.$2"
    says "1 image that failed left out"
    same "below/it.$2" "$recorded/$1.$2"
    [ "$(ls below)" = "it.$2" ] || fail "more than the file: $(ls below)"
    status 0 export_to "$1" "$lines"
    same out "$recorded/$1.$2"
}
folder() { # FORMAT
    status 0 export_to "$1" "$lines" --out "below/$1"
    status 0 diff -r "below/$1" "$recorded/$1"
    [ "$(ls below)" = "$1" ] || fail "more than the folder: $(ls below)"
}
test_coco() { one_file coco json; }
test_cvat() { one_file cvat xml; }
test_csv() { one_file csv csv; }
test_openpose() { folder openpose; }
test_ultralytics() { folder ultralytics; }
test_labelstudio() { folder labelstudio; }

test_the_folder_of_a_run() {
    mkdir r
    cp "$lines" r
    status 0 export_to csv r
    same out "$recorded/csv.csv"
}

test_usage() {
    status 2 "$LIMBER" export "$lines"
    says "--to says which form"
    status 2 "$LIMBER" export --to yolo "$lines"
    says "expected openpose|coco|ultralytics|cvat|labelstudio|csv"
    status 2 "$LIMBER" export --to csv
    says "no input"
    status 2 "$LIMBER" export --to csv "$lines" "$lines"
    says "limber merge"
    status 2 "$LIMBER" export --to openpose "$lines"
    says "--out DIR names it"
    status 2 export_to csv nowhere.jsonl
    says "nowhere.jsonl: No such file"
}

# refused TEXT: no form is written of poses.jsonl, and nothing that was there is touched
refused() {
    mkdir -p kept
    echo mine >kept/csv
    status 2 export_to csv poses.jsonl --out kept/csv
    says "$1"
    status 2 export_to openpose poses.jsonl --out new
    says "$1"
    [ "$(cat kept/csv)" = mine ] || fail "kept/csv was written"
    [ "$(ls)" = "$(printf 'err\nkept\nout\nposes.jsonl')" ] || fail "left behind: $(ls)"
}

test_torn_line() {
    head -c -1 "$lines" >poses.jsonl
    refused "line 4: is cut short"
}

test_foreign_line() {
    { cat "$lines"; echo '{"file_name":"a.jpg"}'; } >poses.jsonl
    refused "line 5: is not one that limber run writes"
}

test_wrong_values() {
    first=$(head -n 1 "$lines")
    for edit in 's/"width":320/"width":0/' 's/"width":320/"width":3.5/' 's/"height":240/"height":99999999999/' \
        's/\[10.5,12.25,100,200\]/[10.5,12.25,100]/' 's/\[20.0,15.0,0.5\]/[20.0,null,0.5]/' 's/\[20.0,15.0,0.5\]/"x"/' \
        's/"score":0.8125/"score":"high"/' 's/"nose":/"snout":/' 's/"left_eye":/"nose":/' 's/"keypoints":{/"keypoints":[{/'; do
        { head -n 2 "$lines"; echo "$first" | sed "$edit"; } >poses.jsonl
        refused "line 3:"
    done
}

test_two_images_of_one_name() {
    { cat "$lines"; head -n 1 "$lines" | sed 's/one\.jpg/one.png/'; } >poses.jsonl
    for form in openpose ultralytics; do
        status 2 export_to $form poses.jsonl --out new
        says "photos/a/one.png: another image has the same name but for its ending"
        [ ! -e new ] || fail "new is there"
        [ "$(ls)" = "$(printf 'err\nout\nposes.jsonl')" ] || fail "left behind: $(ls)"
    done
}

test_a_folder_that_is_not_empty() {
    mkdir old
    echo mine >old/x
    status 2 export_to openpose "$lines" --out old
    says "old: is there and not empty"
    [ "$(ls old)" = x ] || fail "old was written"
    mkdir empty
    status 0 export_to openpose "$lines" --out empty/
    status 0 diff -r empty "$recorded/openpose"
}

# Names lead nowhere but below --out.
test_names_stay_below() {
    one=$(head -n 1 "$lines")
    for name in ../../x.jpg /etc/x.jpg ./y/../../../x.jpg a//x.jpg; do echo "$one" | sed "s,photos/a/one.jpg,$name,"; done >poses.jsonl
    mkdir -p deep/er
    status 0 export_to openpose poses.jsonl --out deep/er/new
    [ "$(find . -name '*_keypoints.json' | wc -l)" -eq "$(find deep/er/new -name '*_keypoints.json' | wc -l)" ] || fail "$(find .)"
    [ "$(find deep/er/new -name '*_keypoints.json' | wc -l)" -eq 4 ] || fail "$(find .)"
}

test_quotes_in_names() {
    sed -n 1p "$lines" | sed 's,photos/a/one.jpg,x/a \\"b\\" <c>.jpg,' >poses.jsonl
    status 0 export_to csv poses.jsonl
    has out '"x/a ""b"" <c>.jpg",0,nose,20,15,'
    status 0 export_to cvat poses.jsonl
    has out 'name="a &quot;b&quot; &lt;c&gt;.jpg"'
    status 0 export_to coco poses.jsonl
    has out '"file_name":"a \"b\" <c>.jpg"'
}

# A name of bytes that are no UTF-8, control characters in it: XML has no way to say them, the others do.
test_names_of_bytes() {
    { sed -n 1p "$lines"; sed -n 1p "$lines" | sed 's,photos/a/one.jpg,photos/\\udcff\\u0001.jpg,'; } >poses.jsonl
    status 0 export_to cvat poses.jsonl
    has out "$(printf 'name="\357\277\275\357\277\275.jpg"')"
    status 0 export_to labelstudio poses.jsonl --out ls
    has ls/tasks.json '?d=%FF%01.jpg'
    status 0 export_to openpose poses.jsonl --out op
    [ -e "$(printf 'op/\377\001_keypoints.json')" ] || fail "$(ls op)"
}

test_other_joints() {
    sed 's/"nose":/"snout":/g' "$lines" >poses.jsonl
    status 2 export_to openpose poses.jsonl --out op
    says "has places for COCO's 17 joints"
    status 0 export_to coco poses.jsonl
    has out '"keypoints":["snout",'
    has out '"skeleton":[]'
}

test_nobody() {
    sed -n 2p "$lines" >poses.jsonl
    status 0 export_to coco poses.jsonl
    has out '"annotations":['
    status 0 export_to ultralytics poses.jsonl --out u
    [ ! -s u/labels/nobody.txt ] || fail "nobody.txt has lines"
    : >poses.jsonl
    for form in coco cvat csv; do status 0 export_to $form poses.jsonl; done
}

test_a_full_disk() {
    status 2 sh -c '"$0" export --quiet --to csv "$1" >/dev/full' "$LIMBER" "$lines"
}

# The libraries that own the forms read them back: those that are here.
test_read_back() {
    python=${PYTHON:-python3}
    "$python" -c pass 2>/dev/null || skip "no $python"
    for form in coco:.json cvat:.xml csv:.csv openpose: ultralytics: labelstudio:; do
        status 0 export_to "${form%:*}" "$lines" --out "exported/${form%:*}${form#*:}"
    done
    "$python" "$LIMBER_TEST_DIR/export/read_back.py" "$lines" exported
}

"test_${1:?a case}"
