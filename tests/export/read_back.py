# SPDX-License-Identifier: MIT
"""Reads what `limber export` wrote with the libraries that own the forms, and compares with poses.jsonl.

    read_back.py [--all] poses.jsonl FOLDER      FOLDER has coco.json cvat.xml csv.csv openpose/ ultralytics/ labelstudio/

A form whose library is not installed is named as skipped; status 77 where that is all of them, 1 where one is with --all
(scripts/read_back.sh). The forms are made with
--min-score 0.3. What can be read without a library (csv, OpenPose's JSON, CVAT's XML) always is.
pip install numpy pillow pycocotools supervision pandas label-studio-sdk ultralytics"""
import csv
import json
import pathlib
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

MIN_SCORE = 0.3
want_all = sys.argv[1] == "--all"
if want_all:
    del sys.argv[1]
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
lines = [line for line in lines if "error" not in line]
out = pathlib.Path(sys.argv[2])
NAMES = list(next(line for line in lines if line["people"])["people"][0]["keypoints"])


def joints(person):
    return list(person["keypoints"].values())


def seen(joint):
    return joint[2] >= MIN_SCORE


def inside(line, joint):
    return 0 <= joint[0] <= line["width"] and 0 <= joint[1] <= line["height"]


def name(line):
    return line["image"].removeprefix("photos/")


def stem(line):
    return name(line).rsplit(".", 1)[0]


def near(a, b, within):
    assert abs(a - b) <= within, (a, b)


def coco_by_pycocotools():
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    data = COCO(str(out / "coco.json"))
    assert [i["file_name"] for i in data.loadImgs(data.getImgIds())] == [name(line) for line in lines]
    assert data.loadCats(1)[0]["keypoints"] == NAMES
    for line, image in zip(lines, data.getImgIds()):
        found = data.loadAnns(data.getAnnIds(imgIds=image))
        assert len(found) == len(line["people"])
        for person, a in zip(line["people"], found):
            assert a["bbox"] == person["box"] and a["num_keypoints"] == sum(map(seen, joints(person)))
            assert a["keypoints"] == [v for j in joints(person) for v in ([j[0], j[1], 2] if seen(j) else [0, 0, 0])]
    judged = COCOeval(data, data.loadRes([{k: a[k] for k in ("image_id", "category_id", "keypoints", "score")} for a in data.anns.values()]), "keypoints")
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    near(judged.stats[0], 1, 1e-9)  # it agrees with itself


def ultralytics_by_its_reader():
    from PIL import Image
    from ultralytics.data.utils import check_det_dataset, verify_image_label

    with tempfile.TemporaryDirectory() as folder:
        for line in lines:
            photo = pathlib.Path(folder, "images", name(line))
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (line["width"], line["height"])).save(photo)
            result = verify_image_label((str(photo), str(out / "ultralytics/labels" / (stem(line) + ".txt")), "", True, 1, 17, 3, False))
            photo_read, boxes, _, _, keypoints, missing, _, empty, corrupt, message = result
            assert photo_read and not missing and not corrupt, message
            assert empty == (not line["people"]) and len(boxes) == len(line["people"])
            for person, points in zip(line["people"], keypoints if keypoints is not None else []):
                for joint, (x, y, visible) in zip(joints(person), points):
                    assert visible == (2 if seen(joint) and inside(line, joint) else 0), (joint, visible)
                    if visible:
                        near(x * line["width"], joint[0], 1e-3)
                        near(y * line["height"], joint[1], 1e-3)
        yaml = pathlib.Path(folder, "data.yaml")
        yaml.write_text((out / "ultralytics/data.yaml").read_text())
        data = check_det_dataset(str(yaml))
        assert data["kpt_shape"] == [17, 3] and data["names"] == {0: "person"}
        assert [NAMES[i] for i in data["flip_idx"]] == [n.replace("left", "?").replace("right", "left").replace("?", "right") for n in NAMES]


def ultralytics_by_supervision():
    import supervision
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        labels = pathlib.Path(folder, "labels")
        labels.mkdir()
        for line in lines:  # supervision reads boxes of YOLO; a flat folder
            flat = stem(line).replace("/", "_")
            Image.new("RGB", (line["width"], line["height"])).save(pathlib.Path(folder, flat + ".png"))
            boxes = [" ".join(row.split()[:5]) for row in (out / "ultralytics/labels" / (stem(line) + ".txt")).read_text().splitlines()]
            (labels / (flat + ".txt")).write_text("\n".join(boxes))
        data = supervision.DetectionDataset.from_yolo(folder, str(labels), str(out / "ultralytics/data.yaml"))
        assert data.classes == ["person"] and sum(len(d) for _, _, d in data) == sum(len(line["people"]) for line in lines)


def labelstudio_by_its_sdk():
    from label_studio_sdk.label_interface import LabelInterface

    config = LabelInterface((out / "labelstudio/config.xml").read_text())
    config.validate()
    tasks = json.load(open(out / "labelstudio/tasks.json", encoding="utf-8"))
    assert len(tasks) == len(lines)
    for line, task in zip(lines, tasks):
        assert config.validate_task({"data": task["data"]}), task  # with predictions it calls its own validate_prediction wrongly
        for prediction in task["predictions"]:
            assert config.validate_prediction(prediction), config.validate_prediction(prediction, return_errors=True)
            points = [r for r in prediction["result"] if r["type"] == "keypointlabels"]
            wanted = [(n, j) for p in line["people"] for n, j in p["keypoints"].items() if seen(j) and inside(line, j)]
            assert len(points) == len(wanted)
            for point, (label, joint) in zip(points, wanted):
                assert point["value"]["keypointlabels"] == [label]
                near(point["value"]["x"] * line["width"] / 100, joint[0], 1e-3)
                near(point["value"]["y"] * line["height"] / 100, joint[1], 1e-3)


def csv_by_pandas():
    import pandas

    table = pandas.read_csv(out / "csv.csv")
    assert len(table) == sum(len(joints(p)) for line in lines for p in line["people"])
    assert table.x.isna().sum() == sum(not seen(j) for line in lines for p in line["people"] for j in joints(p))
    assert set(table.image) == {line["image"] for line in lines if line["people"]}


def csv_alone():
    rows = list(csv.DictReader(open(out / "csv.csv", newline="", encoding="utf-8")))
    wanted = [(line["image"], str(i), n, j, p["score"]) for line in lines for i, p in enumerate(line["people"]) for n, j in p["keypoints"].items()]
    assert len(rows) == len(wanted)
    for row, (image, person, joint, (x, y, score), all_score) in zip(rows, wanted):
        assert (row["image"], row["person"], row["joint"]) == (image, person, joint)
        assert (row["x"], row["y"]) == ("", "") if score < MIN_SCORE else (float(row["x"]), float(row["y"])) == (x, y)
        assert float(row["score"]) == score and float(row["person_score"]) == all_score


def openpose_alone():
    """As its readers do: Pose2Sim takes pose_keypoints_2d in threes and counts 25 for BODY_25."""
    order = ("nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip right_hip right_knee right_ankle "
             "left_hip left_knee left_ankle right_eye left_eye right_ear left_ear").split()
    for line in lines:
        people = json.load(open(out / "openpose" / (stem(line) + "_keypoints.json")))["people"]
        assert len(people) == len(line["people"])
        for got, person in zip(people, line["people"]):
            flat = got["pose_keypoints_2d"]
            assert len(flat) == 75 and flat[57:] == [0] * 18
            have = dict(person["keypoints"])
            for middle, part in (("neck", "shoulder"), ("mid_hip", "hip")):
                a, b = have["left_" + part], have["right_" + part]
                have[middle] = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, min(a[2], b[2])]
            for k, joint in enumerate(order):
                for v, w in zip(flat[3 * k : 3 * k + 3], have[joint] if seen(have[joint]) else [0, 0, 0]):
                    near(v, w, 1e-3)


def cvat_alone():
    """As cvat/apps/dataset_manager/formats/cvat.py reads skeletons of images."""
    root = ElementTree.parse(out / "cvat.xml").getroot()
    labels = root.findall("meta/task/labels/label")
    assert [l.findtext("name") for l in labels if l.findtext("type") == "points"] == NAMES
    assert [(l.findtext("name")) for l in labels if l.findtext("type") == "skeleton"] == ["person"]
    assert all(l.findtext("parent") == "person" for l in labels if l.findtext("type") == "points")
    images = root.findall("image")
    assert [i.get("name") for i in images] == [name(line) for line in lines] and [i.get("id") for i in images] == [str(i) for i in range(len(lines))]
    for line, image in zip(lines, images):
        skeletons = image.findall("skeleton")
        assert len(skeletons) == len(line["people"])
        for person, skeleton in zip(line["people"], skeletons):
            assert [p.get("label") for p in skeleton] == NAMES
            for joint, point in zip(joints(person), skeleton):
                assert [float(v) for v in point.get("points").split(",")] == joint[:2] and point.get("occluded") == "0"
                assert point.get("outside") == ("0" if seen(joint) else "1")


for check in (csv_alone, openpose_alone, cvat_alone):
    check()
    print("read back:", check.__name__)
skipped = 0
libraries = (coco_by_pycocotools, ultralytics_by_its_reader, ultralytics_by_supervision, labelstudio_by_its_sdk, csv_by_pandas)
for check in libraries:
    try:
        check()
        print("read back:", check.__name__)
    except ModuleNotFoundError as missing:
        skipped += 1
        print("skipped:", check.__name__, missing.name, "is not installed")
sys.exit(1 if want_all and skipped else 77 if skipped == len(libraries) else 0)
