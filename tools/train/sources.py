# SPDX-License-Identifier: MIT
"""Photographs and what is known of the people in them -> one COCO-format file a source, for poses and for boxes alike.

    python3 sources.py labels FOLDER LABELS OUT --source stanford40 --license "..."     a teacher's lines (label.py; may be .xz)
    python3 sources.py join   COCO LABELS OUT                                           annotators' file, completed by a teacher's
    python3 sources.py unique OUT... --against EVAL [--drop]                            perceptual hash: against EVAL and each other

Every image has `source` and `license`; every annotation `labels` ("annotators", "teacher", or both joined by "+") and `score`, the box's.
Joints of a teacher carry `confidence` [17], 0 to 1, beside COCO's `keypoints`; where annotators have spoken it is 1. An annotation with
`ignore` is somebody or something of whom nobody is sure: a detector is neither praised nor blamed there, and no pose is learned from it.
"""
import argparse
import json
import lzma
import os

import numpy as np
from PIL import Image

SURE_BOX, MAYBE_BOX = 0.4, 0.2       # a person; perhaps one
SURE_JOINT, LEAST = 0.4, 8           # a joint to rely on; how many make a pose worth learning
APART = 0.06                         # the two mirror images' gap, as a share of the map's height, above which a joint is a guess
CONTRADICTION = 0.25                 # of the box's longer side: where a sure teacher is this far away, a crowd worker's joint is dropped
CROWD = ("lspet",)                   # sources labelled by crowd workers


def read_lines(path):
    with (lzma.open if path.endswith(".xz") else open)(path, "rt") as f:
        return [json.loads(line) for line in f]


def iou(a, b):
    """Of boxes x, y, w, h."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return inter / max(a[2] * a[3] + b[2] * b[3] - inter, 1e-9)


def teacher_person(p, width, height):
    """(keypoints [51], confidence [17]) of a teacher's person; a joint that its mirror image contradicts is not known."""
    keypoints, confidence = [], []
    for x, y, c, gap in p["k"]:
        c = min(float(c), 1.0) if gap <= APART else 0.0
        inside = -1 <= x <= width and -1 <= y <= height
        c = c if inside else 0.0
        keypoints += [round(x, 1), round(y, 1), 2 if c >= SURE_JOINT else 1 if c > 0 else 0]
        confidence.append(round(c, 3))
    return keypoints, confidence


def annotation(image_id, box, source, **more):
    box = [round(float(v), 1) for v in box]
    return {"image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": box, "area": round(box[2] * box[3] * 0.53, 1),
            "source": source, **more}


def people_of(line, image_id, source, known=(), maybe=MAYBE_BOX, things=False):
    """Annotations of what a teacher's line says, boxes that `known` covers left out."""
    out, width, height = [], line["w"], line["h"]
    taken = list(known)
    sure_pose = lambda p: sum(k[2] >= SURE_JOINT for k in p["k"]) >= LEAST
    for p in sorted(line["p"], key=lambda p: -p["s"]):
        if things and not sure_pose(p):             # a shirt on a hanger
            continue
        if any(iou(p["b"], k) > 0.5 for k in taken):
            continue
        keypoints, confidence = teacher_person(p, width, height)
        sure = sum(c >= SURE_JOINT for c in confidence)
        a = annotation(image_id, p["b"], source, score=p["s"], labels="teacher")
        if p["s"] >= SURE_BOX and sure >= LEAST:
            a.update(keypoints=keypoints, confidence=confidence, num_keypoints=sum(v > 0 for v in keypoints[2::3]))
        elif p["s"] < SURE_BOX or sure < 3:      # a chimpanzee is boxed now and then: a person counts where its joints are found
            a["ignore"] = 1
        taken.append(p["b"])
        out.append(a)
    for x0, y0, x1, y1, s in line["all"]:
        b = [x0, y0, x1 - x0, y1 - y0]
        if not things and s > maybe and min(b[2:]) > 1 and not any(iou(b, k) > 0.5 for k in taken):
            out.append(annotation(image_id, b, source, score=s, labels="teacher", ignore=1))
            taken.append(b)
    return out


def write(path, images, annotations):
    for i, a in enumerate(annotations, 1):
        a["id"] = i
        a.setdefault("keypoints", [0] * 51)
        a.setdefault("num_keypoints", 0)
    tree = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    with open(path + ".part", "w") as f:
        json.dump(tree, f)
    os.replace(path + ".part", path)
    poses = sum(a["num_keypoints"] > 0 for a in annotations)
    sure = sum(not a.get("ignore") for a in annotations)
    empty = len(images) - len({a["image_id"] for a in annotations})
    print(f"{path}: {len(images)} photographs ({empty} with nobody), {sure} people, {poses} poses, {len(annotations) - sure} to ignore")


def from_labels(a):
    images, annotations = [], []
    for line in read_lines(a.labels):
        if not os.path.exists(os.path.join(a.folder, line["f"])):
            continue
        images.append({"id": len(images) + 1, "file_name": line["f"], "width": line["w"], "height": line["h"], "source": a.source,
                       "license": a.license})
        annotations += people_of(line, len(images), a.source, maybe=a.maybe, things=a.things)
    write(a.out, images, annotations)


def join(a):
    """Annotators' people keep their boxes and joints; a teacher adds joints they left out, and people they left out."""
    with open(a.coco) as f:
        coco = json.load(f)
    lines = {line["f"]: line for line in read_lines(a.labels)}
    people = {}
    for p in coco["annotations"]:
        people.setdefault(p["image_id"], []).append(p)
    annotations, dropped, added = [], 0, 0
    for image in coco["images"]:
        mine, line = people.get(image["id"], []), lines.get(image["file_name"])
        for p in mine:
            p.update(score=1.0, labels="annotators", confidence=[1.0 if v > 0 else 0.0 for v in p["keypoints"][2::3]])
            seen = line and next((q for q in line["given"] if q["b"] == [round(v, 1) for v in p["bbox"]]), None)
            if seen:
                keypoints, confidence = teacher_person(seen, image["width"], image["height"])
                reach = max(p["bbox"][2:])
                for j in range(17):
                    k, t = p["keypoints"][3 * j:3 * j + 3], keypoints[3 * j:3 * j + 3]
                    far = np.hypot(k[0] - t[0], k[1] - t[1]) > CONTRADICTION * reach
                    guess = p["source"].startswith(CROWD) and j < 5      # the pool's faces there are another network's
                    if k[2] > 0 and not guess and not (p["source"].startswith(CROWD) and far and confidence[j] > SURE_JOINT):
                        continue
                    dropped += k[2] > 0 and not guess
                    added += k[2] == 0 and confidence[j] > 0
                    p["keypoints"][3 * j:3 * j + 3] = t
                    p["confidence"][j] = confidence[j]
                p["labels"] = "annotators+teacher"
                p["num_keypoints"] = sum(v > 0 for v in p["keypoints"][2::3])
            annotations.append(p)
        if line and line["all"]:
            annotations += people_of(line, image["id"], image["source"], [p["bbox"] for p in mine])
        else:
            image["boxes"] = "unknown"              # nobody looked for the others: no picture for a detector
    print(f"{added} joints added, {dropped} contradicted ones replaced")
    write(a.out, coco["images"], annotations)


# ------------------------------------------------------------------------------------------------------------------ near duplicates

def hashes(path):
    """64-bit difference hashes of a photograph and of its mirror image."""
    im = Image.open(path).convert("L").resize((9, 8), Image.BOX)
    x = np.asarray(im, np.int16)
    bits = lambda d: int(np.packbits(d).tobytes().hex(), 16)
    return bits(x[:, 1:] > x[:, :-1]), bits(x[:, ::-1][:, 1:] > x[:, ::-1][:, :-1])


class Seen:
    """Hashes of the photographs that stand, in one array that grows by doubling."""

    def __init__(self):
        self.codes, self.names = np.zeros(1024, np.uint64), []

    def add(self, code, name):
        if len(self.names) == len(self.codes):
            self.codes = np.concatenate([self.codes, np.zeros_like(self.codes)])
        self.codes[len(self.names)] = code
        self.names.append(name)

    def like(self, queries, reach):
        """Which photograph is within `reach` bits of one of the hashes, or -1."""
        if not self.names:
            return -1
        for q in queries:
            d = np.bitwise_count(self.codes[:len(self.names)] ^ np.uint64(q))
            i = int(d.argmin())
            if d[i] <= reach:
                return i
        return -1


def unique(a):
    """Says, and with --drop removes, photographs that are (nearly) in the test set or stood in the pool before, their own file included."""
    seen = Seen()
    def read(path):
        with open(path) as f:
            tree = json.load(f)
        folder = a.root.get(path) or os.path.dirname(path)
        return tree, [os.path.join(folder, i["file_name"]) for i in tree["images"]]
    for f in read(a.against)[1]:
        seen.add(hashes(f)[0], f)
    tests = len(seen.names)
    for path in a.coco:
        tree, files = read(path)
        gone = set()
        for image, f in zip(tree["images"], files):
            h = hashes(f)
            hit = seen.like(h, a.reach)
            if hit >= 0:
                gone.add(image["id"])
                print(f"{f} ~ {seen.names[hit]}{' (TEST)' if hit < tests else ''}")
            else:
                seen.add(h[0], f)
        print(f"{path}: {len(gone)} of {len(files)} seen before")
        if a.drop and gone:
            images = [i for i in tree["images"] if i["id"] not in gone]
            write(path, images, [p for p in tree["annotations"] if p["image_id"] not in gone])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(required=True)
    q = sub.add_parser("labels")
    q.add_argument("folder")
    q.add_argument("labels")
    q.add_argument("out")
    q.add_argument("--source", required=True)
    q.add_argument("--license", default="unknown; for research")
    q.add_argument("--maybe", type=float, default=MAYBE_BOX, help="boxes scored below are nobody; higher for photographs of things")
    q.add_argument("--things", action="store_true", help="photographs of things: who has no sure pose is nobody")
    q.set_defaults(run=from_labels)
    q = sub.add_parser("join")
    q.add_argument("coco")
    q.add_argument("labels")
    q.add_argument("out")
    q.set_defaults(run=join)
    q = sub.add_parser("unique")
    q.add_argument("coco", nargs="+")
    q.add_argument("--against", required=True, metavar="COCO")
    q.add_argument("--root", nargs="+", default=[], metavar="COCO=FOLDER", help="where file_name is looked up, if not beside the file")
    q.add_argument("--reach", type=int, default=5, help="bits of 64 that may differ")
    q.add_argument("--drop", action="store_true")
    q.set_defaults(run=unique)
    a = p.parse_args()
    if hasattr(a, "root"):
        a.root = dict(r.split("=", 1) for r in a.root)
    a.run(a)


if __name__ == "__main__":
    main()
