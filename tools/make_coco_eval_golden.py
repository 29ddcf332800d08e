#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records what pycocotools says of random predictions, for tests/command/test_coco_eval.c (keypoints) and tests/command/test_coco_boxes.c.

    python3 tools/make_coco_eval_golden.py keypoints tests/golden/coco_eval.json        (needs numpy and pycocotools)
    python3 tools/make_coco_eval_golden.py boxes tests/golden/coco_boxes.json

Each case is a list of truths, a list of predictions and COCOeval's ten numbers with all their digits. The cases hold crowds,
persons without labels, an annotation whose id is 0, persons of every size, tied scores, more than 20 predictions in an image, images without truths or
without predictions, and perfect predictions. Those of boxes also hold more than 100 boxes in an image, boxes wholly inside crowds, and what
is found with 1 to 20 boxes a photograph: COCOeval's recall at .5 with those maxDets, and of the boxes that are surest overall.
"""
import contextlib
import io
import json
import sys

import numpy as np
import pycocotools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def random_case(seed, images, people, noise, ties, crowds=0.1, unlabelled=0.1, extra=0.3, empty=0.1, many=0, near=0.0):
    rng = np.random.default_rng(seed)
    truths, poses = [], []
    for image in range(images):
        if rng.random() < empty:
            continue
        for _ in range(rng.integers(1, people + 1)):
            size = float(rng.choice([20, 40, 80, 150, 300]))
            origin = rng.uniform(0, 600, 2)
            joints = origin + rng.uniform(0, size, (17, 2))
            visible = rng.choice([0, 1, 2], 17, p=[0.3, 0.2, 0.5])
            if rng.random() < unlabelled:
                visible[:] = 0
            shown = np.where(visible[:, None] > 0, joints, 0).round(1)
            truths.append(dict(image=image, crowd=int(rng.random() < crowds), num_keypoints=int((visible > 0).sum()),
                               area=round(size * size * float(rng.uniform(0.2, 0.8)), 2),
                               box=[round(float(v), 2) for v in (*origin, size, size)],
                               keypoints=[[float(x), float(y), int(v)] for (x, y), v in zip(shown, visible)]))
            if rng.random() < near:  # a second person almost there: ignored or not, it competes for the same prediction
                truths.append(dict(truths[-1], crowd=int(rng.random() < 0.6), area=round(truths[-1]["area"] * 1.1, 2),
                                   keypoints=[[x + 1.5, y, v] for x, y, v in truths[-1]["keypoints"]]))
            for _ in range(int(rng.random() < 0.85) + int(rng.random() < extra) + many):
                moved = joints + rng.normal(0, noise * size, (17, 2))
                score = float(rng.choice([0.3, 0.5, 0.7])) if ties else round(float(rng.random()), 4)
                poses.append(dict(image=image, score=score, keypoints=[[round(float(x), 2), round(float(y), 2)] for x, y in moved]))
    rng.shuffle(poses)
    return dict(images=images, truths=truths, poses=poses)


def pycocotools_numbers(case):
    gt = dict(images=[dict(id=i + 1) for i in range(case["images"])], categories=[dict(id=1, name="person")],
              annotations=[dict(id=t.get("id", i + 1), image_id=t["image"] + 1, category_id=1, iscrowd=t["crowd"], area=t["area"], bbox=t["box"],
                                num_keypoints=t["num_keypoints"], keypoints=[v for k in t["keypoints"] for v in k])
                           for i, t in enumerate(case["truths"])])
    dt = [dict(image_id=p["image"] + 1, category_id=1, score=p["score"], keypoints=[v for x, y in p["keypoints"] for v in (x, y, 1)])
          for p in case["poses"]]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = gt
        coco.createIndex()
        e = COCOeval(coco, coco.loadRes(dt), "keypoints")
        e.evaluate()
        e.accumulate()
        e.summarize()
    return [float(v) for v in e.stats]


def box_case(seed, images, people, noise, ties=False, crowds=0.1, extra=0.3, empty=0.1, many=0, near=0.0, nothing=False):
    rng = np.random.default_rng(seed)
    truths, boxes = [], []
    for image in range(images):
        if rng.random() < empty:
            continue
        for _ in range(rng.integers(1, people + 1)):
            size = float(rng.choice([12, 30, 33, 60, 95, 97, 200])) * rng.uniform(0.8, 1.2, 2)
            origin = rng.uniform(0, 600, 2)
            box = np.concatenate([origin, size])
            crowd = int(rng.random() < crowds)
            area = float(rng.choice([size.prod() * 0.6, 32.0 * 32, 96.0 * 96]))   # the borders belong to both sides
            truths.append(dict(image=image, crowd=crowd, area=round(area, 2), box=[round(float(v), 2) for v in box]))
            if rng.random() < near:
                truths.append(dict(truths[-1], crowd=int(rng.random() < 0.5), box=[round(float(v), 2) for v in box + [2, 0, 0, 3]]))
            for _ in range(int(rng.random() < 0.85) + int(rng.random() < extra) + 3 * crowd + many):
                moved = box + rng.normal(0, noise, 4) * np.tile(size, 2)
                moved[2:] = np.maximum(moved[2:], 1) * (0.3 if crowd and rng.random() < 0.5 else 1)
                score = float(rng.choice([0.3, 0.5, 0.7])) if ties else round(float(rng.random()), 4)
                boxes.append(dict(image=image, score=score, box=[round(float(v), 2) for v in moved]))
        for _ in range(rng.integers(0, 3)):     # where nobody is
            boxes.append(dict(image=image, score=0.5 if ties else round(float(rng.random()), 4),
                              box=[round(float(v), 2) for v in (*rng.uniform(0, 600, 2), *rng.uniform(5, 200, 2))]))
    rng.shuffle(boxes)
    return dict(images=images, truths=truths, boxes=[] if nothing else boxes)


def boxes_numbers(case):
    gt = dict(images=[dict(id=i + 1) for i in range(case["images"])], categories=[dict(id=1, name="person")],
              annotations=[dict(id=t.get("id", i + 1), image_id=t["image"] + 1, category_id=1, iscrowd=t["crowd"], area=t["area"],
                                bbox=t["box"]) for i, t in enumerate(case["truths"])])
    boxes = case["boxes"]

    def run(boxes, most=None):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO()
            coco.dataset = gt
            coco.createIndex()
            found = coco.loadRes([dict(image_id=b["image"] + 1, category_id=1, score=b["score"], bbox=list(b["box"]))
                                  for b in boxes]) if boxes else COCO()
            if not boxes:
                found.dataset = dict(gt, annotations=[])
                found.createIndex()
            e = COCOeval(coco, found, "bbox")
            if most:
                e.params.maxDets = most
            e.evaluate()
            e.accumulate()
            if not most:
                e.summarize()
        return e

    numbers = [float(v) for v in run(boxes).stats]
    few = list(range(1, 21))
    each = run(boxes, few).eval["recall"][0, 0]                         # [areas, maxDets]
    sure = sorted((b["score"] for b in boxes), reverse=True)
    recall = []
    for n in few:
        least = sure[min(n * case["images"], len(sure)) - 1] if sure else 0.0
        mean = run([b for b in boxes if b["score"] >= least], [1, 10, 100]).eval["recall"][0, 0, :, 2]
        recall.append(dict(boxes=n, least=least, each=[float(v) for v in each[:, n - 1]], mean=[float(v) for v in mean]))
    return numbers, recall


def record_boxes():
    cases = [box_case(1, 12, 5, 0.06), box_case(2, 12, 5, 0.1, ties=True), box_case(3, 8, 6, 0.05, ties=True, crowds=0.5),
             box_case(4, 3, 6, 0.08, many=30), box_case(5, 8, 3, 0.0, extra=0), box_case(6, 5, 3, 0.05, crowds=1.0),
             box_case(7, 10, 6, 0.12, ties=True, empty=0.5), box_case(8, 8, 4, 0.05, near=0.6),
             box_case(9, 8, 4, 0.05, ties=True, near=0.6, crowds=0.3, extra=0.8), box_case(10, 5, 3, 0.05, nothing=True)]
    for seed in range(11, 14):
        cases.append(box_case(seed, 4, 3, 0.05, crowds=0.3, near=0.4))
        cases[-1]["truths"][(seed - 11) % len(cases[-1]["truths"])]["id"] = 0
    for case in cases:
        case["numbers"], case["recall"] = boxes_numbers(case)
    return cases


def record_keypoints():
    cases = [random_case(1, 12, 4, 0.03, False), random_case(2, 12, 4, 0.08, True), random_case(3, 6, 6, 0.05, True, crowds=0.4),
             random_case(4, 6, 3, 0.04, False, unlabelled=0.6), random_case(5, 3, 6, 0.05, False, many=5),
             random_case(6, 8, 2, 0.0, False, extra=0), random_case(7, 5, 3, 0.05, False, crowds=1.0),
             random_case(8, 10, 5, 0.1, True, empty=0.5),
             random_case(9, 10, 4, 0.05, False, near=0.6), random_case(10, 8, 3, 0.03, True, near=0.6, extra=0.8)]
    for seed in range(11, 15):  # pycocotools takes what matches an annotation of id 0 for unmatched
        cases.append(random_case(seed, 4, 3, 0.03, False, crowds=0.3, near=0.3))
        cases[-1]["truths"][(seed - 11) % len(cases[-1]["truths"])]["id"] = 0
    for case in cases:
        case["numbers"] = pycocotools_numbers(case)
    return cases


def main():
    what, path = sys.argv[1:]
    cases = dict(keypoints=record_keypoints, boxes=record_boxes)[what]()
    with open(path, "w") as f:
        json.dump(dict(made_by="pycocotools", numpy=np.__version__, cases=cases), f, separators=(",", ":"))
    for case in cases:
        print(len(case["truths"]), len(case.get("poses", case.get("boxes"))), " ".join("%.4f" % v for v in case["numbers"]))


if __name__ == "__main__":
    main()
