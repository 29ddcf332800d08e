#!/bin/sh
# SPDX-License-Identifier: MIT
# read_back.sh - what `limber export` writes, read by the libraries that own the forms, every one of them: pycocotools, ultralytics' reader of
# labels, supervision, label-studio-sdk, pandas; CVAT's XML and OpenPose's JSON by their own rules. Of the frozen lines of tests/export, and of a
# run over data/samples. They come from PyPI (with torch, some gigabytes) where PYTHON [python3] has them not.
# LIMBER is the command [build/dev/limber].
set -eu
cd -- "$(dirname -- "$0")/.."
source=$PWD
LIMBER=$(realpath "${LIMBER:-build/dev/limber}")
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export YOLO_CONFIG_DIR="$work" YOLO_OFFLINE=true # ultralytics writes settings where it is imported
if ! "$python" -c 'import numpy, PIL, pycocotools, supervision, pandas, label_studio_sdk, ultralytics' 2>/dev/null; then
    python3 -m venv "$work/environment"
    python=$work/environment/bin/python
    "$python" -m pip install -q numpy pillow pycocotools supervision pandas label-studio-sdk ultralytics
fi
cd "$work"
ln -s "$source/data/samples" photos
"$LIMBER" run photos/*.jpg photos/*.png --quiet --out run
for lines in "$source/tests/export/poses.jsonl" run/poses.jsonl; do
    rm -rf exported
    for form in coco:.json cvat:.xml csv:.csv openpose: ultralytics: labelstudio:; do
        "$LIMBER" export --quiet --min-score 0.3 --to "${form%:*}" "$lines" --out "exported/${form%:*}${form#*:}"
    done
    "$python" "$source/tests/export/read_back.py" --all "$lines" exported
done
"$python" -m pip list 2>/dev/null | grep -iE '^(pycocotools|supervision|pandas|label-studio-sdk|ultralytics) '
echo "passed"
