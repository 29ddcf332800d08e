# SPDX-License-Identifier: MIT
"""What COCO-WholeBody's tool says of a checkpoint, for tests/command/test_run.sh. Part of make_golden.py.

Beside a checkpoint with COCO-WholeBody's 133 joints it writes

    annotations.json    people in two of tests/images' pictures, as COCO-WholeBody writes them: around what transformers finds, as far off
                        as annotators are, with crowds, with parts that are not labelled, and of all sizes
    eval.txt            the table of `limber eval`, from xtcocotools' numbers for what transformers finds (scored by the mean joint)

The numbers are the same when every joint of every answer moves by .01 pixels, so an engine that computes the same joints gets all of them.
"""
import json, os

import numpy as np
import torch
from PIL import Image
from transformers import VitPoseForPoseEstimation

from make_coco_eval_golden import PARTS, SIGMAS, fields_of, xtcocotools_numbers

PICTURES = ("rgb8.png", "rgb24.bmp")
NAMES = ("AP", "AP50", "AP75", "AP-M", "AP-L", "AR", "AR50", "AR75", "AR-M", "AR-L")


def annotate(rng, joints, firm, area):
    """Flat x, y, v of a person: `joints` as one of several annotators would have put them; those that are not firm are not labelled."""
    far = rng.choice([0.5, 1.0, 2.0, 4.0])
    place = joints + rng.normal(0, 1, joints.shape) * (far * SIGMAS * np.sqrt(area))[:, None]
    visible = rng.choice([0.0, 1.0, 2.0], len(joints), p=[0.2, 0.3, 0.5])
    first = 0
    for _, _, n in PARTS:
        if rng.random() < 0.25:
            visible[first : first + n] = 0
        first += n
    visible[~firm] = 0
    place[visible == 0] = 0
    return [float(v) for v in np.concatenate([place.round(2), visible[:, None]], 1).ravel()]


def valid(flat):
    return {field.replace("_kpts", "_valid"): any(v > 0 for v in flat[2::3]) for field, flat in fields_of(flat).items() if field != "keypoints"}


def write_eval(mg, path, size, expert, images, seed):
    rng = np.random.default_rng(seed)
    model = VitPoseForPoseEstimation.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    truths, poses = [], []
    for image, name in enumerate(PICTURES):
        picture = np.asarray(Image.open(os.path.join(images, name)).convert("RGB"))
        boxes = np.concatenate([rng.uniform(-30, 30, (9, 2)), rng.uniform(40, 140, (9, 2))], 1).round(1).astype(np.float32).tolist()
        inputs = mg.pixel_values(picture, boxes, size)
        with torch.no_grad():
            heat = model(inputs, dataset_index=torch.full((len(boxes),), expert)).heatmaps
        joints, scores = mg.decode(heat.numpy(), boxes, size)
        firm = (mg.moves(heat.numpy(), boxes, size, joints, rng) < mg.SOFT) & (scores > 0)
        for box, at, score, still in zip(boxes, joints.astype(float), scores.astype(float), firm):
            area = float(round(box[2] * box[3] * rng.choice([0.1, 0.6, 4]), 1))
            flat = annotate(rng, at, still, area)
            crowd = int(rng.random() < 0.15)
            truths.append(dict(id=len(truths), image=image, category=1, crowd=crowd, area=area, box=[round(v, 1) for v in box], keypoints=flat))
            if not crowd and any(v > 0 for v in flat[2::3]):  # whom `limber eval` runs
                pose = np.concatenate([at, score[:, None]], 1)
                poses.append(dict(image=image, category=1, score=float(score.mean()), keypoints=pose))
    gaps = np.diff(np.sort([p["score"] for p in poses]))
    assert gaps.min() > 1e-4, "two people of the same score: take another seed"
    case = dict(joints=133, images=len(PICTURES), truths=truths, poses=poses)

    def numbers(move):
        moved = [dict(p, keypoints=list((p["keypoints"] + np.concatenate([rng.uniform(-move, move, (133, 2)), np.zeros((133, 1))], 1)).ravel()))
                 for p in poses]
        return xtcocotools_numbers(dict(case, poses=moved))

    n = numbers(0)
    assert all(numbers(0.01) == n for _ in range(5)), "a similarity on a threshold: take another seed"
    n["hand"] = [-1 if min(l, r) < 0 else (l + r) / 2 for l, r in zip(n["left_hand"], n["right_hand"])]
    with open(os.path.join(path, "annotations.json"), "w") as f:
        people = [dict(id=t["id"], image_id=t["image"] + 1, category_id=1, iscrowd=t["crowd"], area=t["area"], bbox=t["box"],
                       num_keypoints=sum(v > 0 for v in t["keypoints"][2 : 3 * 17 : 3]), **fields_of(t["keypoints"]), **valid(t["keypoints"]))
                  for t in truths]
        json.dump(dict(images=[dict(id=i + 1, file_name=name) for i, name in enumerate(PICTURES)],
                       categories=[dict(id=1, name="person")], annotations=people), f, separators=(",", ":"))
    with open(os.path.join(path, "eval.txt"), "w") as f:
        f.write("%-10s" % "part" + "".join(" %6s" % name for name in NAMES) + "\n")
        for name in [name for name, _, _ in PARTS] + ["hand", "whole"]:
            f.write("%-10s" % name + "".join(" %6.3f" % v for v in n[name]) + "\n")
