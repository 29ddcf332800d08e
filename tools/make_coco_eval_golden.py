#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records what pycocotools and xtcocotools say of random predictions, for tests/command/test_coco_eval.c (keypoints) and tests/command/test_coco_boxes.c.

    python3 tools/make_coco_eval_golden.py keypoints tests/golden/coco_eval.json        (needs numpy and pycocotools)
    python3 tools/make_coco_eval_golden.py boxes tests/golden/coco_boxes.json
    python3 tools/make_coco_eval_golden.py parts tests/golden/coco_eval_parts.json      (and xtcocotools)

Each case is a list of truths, a list of predictions and COCOeval's ten numbers with all their digits. The cases hold crowds,
persons without labels, an annotation whose id is 0, persons of every size, tied scores, more than 20 predictions in an image, images without truths or
without predictions, and perfect predictions. Those of boxes also hold more than 100 boxes in an image, boxes wholly inside crowds, and what
is found with 1 to 20 boxes a photograph: COCOeval's recall at .5 with those maxDets, and of the boxes that are surest overall.
Those of parts are COCO-WholeBody's 133 joints, whole and by part, and AP-10K's animals in several categories, as mmpose calls xtcocotools; they
also hold parts without a label, labels with v = 0.5, and parts of a prediction without a positive score.
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


# ---- xtcocotools ----

PARTS = [("body", "keypoints", 17), ("foot", "foot_kpts", 6), ("face", "face_kpts", 68), ("left_hand", "lefthand_kpts", 21),
         ("right_hand", "righthand_kpts", 21)]
BODY = [.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089]
HAND = [.029, .022, .035, .037, .047, .026, .025, .024, .035, .018, .024, .022, .026, .017, .021, .021, .032, .02, .019, .022, .031]
# as evaluation/myeval_wholebody.py of jin-s13/COCO-WholeBody has them; AP-10K's are COCO's by number, as in mmpose
SIGMAS = np.array(
    BODY + [.068, .066, .066, .092, .094, .094]
    + [.042, .043, .044, .043, .040, .035, .031, .025, .020, .023, .029, .032, .037, .038, .043, .041, .045, .013, .012, .011, .011, .012,
       .012, .011, .011, .013, .015, .009, .007, .007, .007, .012, .009, .008, .016, .010, .017, .011, .009, .011, .009, .007, .013, .008,
       .011, .012, .010, .034, .008, .008, .009, .008, .008, .007, .010, .008, .009, .009, .009, .007, .007, .008, .011, .008, .008, .008,
       .010, .008]
    + HAND + HAND)
ANIMAL_SIGMAS = np.array([.025, .025, .026, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089])


def random_parts_case(seed, joints, images, people, noise, ties=False, categories=1, crowds=0.1, extra=0.3, many=0, near=0.0, silent=0.1):
    """Whole pixels, to keep the file small."""
    rng = np.random.default_rng(seed)
    cuts = np.cumsum([0] + [n for _, _, n in PARTS]) if joints == 133 else [0, joints]
    truths, poses = [], []
    for image in range(images):
        for _ in range(rng.integers(1, people + 1)):
            size = int(rng.choice([30, 80, 150, 400]))
            origin = rng.integers(0, 600, 2)
            place = origin + rng.integers(0, size, (joints, 2))
            visible = rng.choice([0, 0.5, 1, 2], joints, p=[0.3, 0.1, 0.2, 0.4])
            for a, b in zip(cuts, cuts[1:]):
                if rng.random() < 0.3:
                    visible[a:b] = 0
                elif rng.random() < 0.2:
                    visible[a:b] = np.where(visible[a:b] > 0, 0.5, 0)
            if rng.random() < 0.3:  # a close-up: the body, by which a prediction's size is told, is a spot in the whole
                place[:17] = origin + rng.integers(0, 1 + size // 6, (17, 2))
            category = int(rng.integers(categories)) + 1
            shown = np.where(visible[:, None] > 0, place, 0)
            flat = np.concatenate([shown, visible[:, None]], 1).ravel()
            truths.append(dict(image=image, category=category, crowd=int(rng.random() < crowds), area=int(size * size * rng.uniform(0.2, 0.8)),
                               box=[int(v) for v in (*origin, size, size)],
                               keypoints=[float(v) if v % 1 else int(v) for v in flat]))
            if rng.random() < near:
                truths.append(dict(truths[-1], crowd=int(rng.random() < 0.6), area=truths[-1]["area"] + 7))
            for _ in range(int(rng.random() < 0.85) + int(rng.random() < extra) + many):
                moved = np.rint(place + rng.normal(0, noise * size, (joints, 2))).astype(int)
                scores = np.ones(joints, int)
                for a, b in zip(cuts, cuts[1:]):
                    if rng.random() < silent:
                        scores[a:b] = rng.choice([0, -1])
                poses.append(dict(image=image, category=category if rng.random() < 0.9 else int(rng.integers(categories)) + 1,
                                  score=float(rng.choice([0.3, 0.5, 0.7])) if ties else round(float(rng.random()), 4),
                                  keypoints=[int(v) for v in np.concatenate([moved, scores[:, None]], 1).ravel()]))
    rng.shuffle(poses)
    for i, t in enumerate(truths):
        t["id"] = i  # the first is 0
    return dict(joints=joints, images=images, truths=truths, poses=poses)


def fields_of(flat):
    if len(flat) != 3 * 133:
        return dict(keypoints=flat)
    cuts = 3 * np.cumsum([0] + [n for _, _, n in PARTS])
    return {field: flat[a:b] for (_, field, _), a, b in zip(PARTS, cuts, cuts[1:])}


def xtcocotools_numbers(case):
    """{part: ten numbers}, the whole as "whole"."""
    from xtcocotools.coco import COCO as XCOCO
    from xtcocotools.cocoeval import COCOeval as XCOCOeval

    gt = dict(images=[dict(id=i + 1) for i in range(case["images"])], categories=[dict(id=i + 1, name=f"kind {i + 1}") for i in range(9)],
              annotations=[dict(id=t["id"], image_id=t["image"] + 1, category_id=t["category"], iscrowd=t["crowd"], area=t["area"],
                                bbox=t["box"], **fields_of(t["keypoints"])) for t in case["truths"]])
    dt = [dict(image_id=p["image"] + 1, category_id=p["category"], score=p["score"], **fields_of(p["keypoints"])) for p in case["poses"]]
    numbers, first = {}, 0
    scopes = [("whole", "keypoints", ANIMAL_SIGMAS)]
    if case["joints"] == 133:
        scopes = [("whole", "keypoints_wholebody", SIGMAS)]
        for name, _, n in PARTS:
            scopes.append((name, "keypoints_" + name.replace("_", ""), SIGMAS[first : first + n]))
            first += n
    for name, kind, sigmas in scopes:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = XCOCO()
            coco.dataset = json.loads(json.dumps(gt))
            coco.createIndex()
            e = XCOCOeval(coco, coco.loadRes(json.loads(json.dumps(dt))), kind, sigmas, use_area=True)
            e.evaluate()
            e.accumulate()
            e.summarize()
        numbers[name] = [float(v) for v in e.stats]
    return numbers


def record_parts():
    whole = [dict(seed=21, images=5, people=3, noise=0.02), dict(seed=22, images=4, people=3, noise=0.02, ties=True, near=0.4),
             dict(seed=23, images=3, people=3, noise=0.006, crowds=0.4, silent=0.4), dict(seed=24, images=1, people=3, noise=0.01, many=12, silent=0),
             dict(seed=25, images=4, people=2, noise=0.0, extra=0)]
    animals = [dict(seed=31, images=12, people=4, noise=0.05, categories=5), dict(seed=32, images=8, people=5, noise=0.04, ties=True, categories=3, near=0.5),
               dict(seed=33, images=6, people=3, noise=0.03, categories=9, crowds=0.5), dict(seed=34, images=6, people=3, noise=0.05, silent=0.5)]
    cases = [random_parts_case(joints=133, **c) for c in whole] + [random_parts_case(joints=17, **c) for c in animals]
    for case in cases:
        case["numbers"] = xtcocotools_numbers(case)
    return cases


def main():
    what, path = sys.argv[1:]
    cases = dict(keypoints=record_keypoints, boxes=record_boxes, parts=record_parts)[what]()
    made_by = dict(made_by="xtcocotools", sigmas=[list(SIGMAS), list(ANIMAL_SIGMAS)]) if what == "parts" else dict(made_by="pycocotools")
    with open(path, "w") as f:
        json.dump(dict(**made_by, numpy=np.__version__, cases=cases), f, separators=(",", ":"))
    for case in cases:
        numbers = case["numbers"] if isinstance(case["numbers"], dict) else dict(all=case["numbers"])
        for name, values in numbers.items():
            print("%-10s" % name, len(case["truths"]), len(case.get("poses", case.get("boxes"))), " ".join("%.4f" % v for v in values))


if __name__ == "__main__":
    main()
