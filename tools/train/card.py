# SPDX-License-Identifier: MIT
"""Tables for a model card: joint by joint, left and right exchanged, by the size of the person.

    limber run --model DIR --boxes persons.json images/ --flip --coco --out result/
    python3 card.py persons.json result/coco_results.json [--source coco_val2017]

    limber run --model DIR images/ --out result/                               no boxes: who is found, and how well
    python3 card.py persons.json result/poses.jsonl --bare

A person of the results is the annotated one whose box its joints were asked of: the same image, the nearest box centre, each once.
"""
import argparse
import json

import numpy as np

NAMES = ["nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
         "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"]
FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
SIGMA = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000      # COCO's


def lines(f, truth):
    """poses.jsonl as COCO results: images by the base of their names."""
    ids = {i["file_name"].rsplit("/", 1)[-1]: i["id"] for i in truth["images"]}
    out = []
    for line in f:
        line = json.loads(line)
        for p in line.get("people", []):
            out.append({"image_id": ids.get(line["image"].rsplit("/", 1)[-1]), "score": p["score"], "bbox": p["box"],
                        "keypoints": [v for n in NAMES for v in p["keypoints"][n]]})
    return out


def bare(truth, keep, by):
    """Answers take the labelled person they fit best, surest first, as COCO's evaluation matches."""
    people = {}
    for p in truth["annotations"]:
        if p["image_id"] in keep:
            people.setdefault(p["image_id"], []).append(p)
    got = total = answers = 0
    for image, these in people.items():
        free = list(these)
        total += len(these)
        for r in sorted(by.get(image, []), key=lambda r: -r["score"]):
            answers += 1
            q = np.array(r["keypoints"]).reshape(17, 3)
            fit = []
            for p in free:
                k = np.array(p["keypoints"], float).reshape(17, 3)
                v = k[:, 2] > 0
                d = np.hypot(*(q[v, :2] - k[v, :2]).T)
                fit.append(np.exp(-d ** 2 / (2 * p["area"] * (2 * SIGMA[v]) ** 2)).mean())
            if fit and max(fit) >= 0.5:
                free.pop(int(np.argmax(fit)))
                got += 1
    print(f"{got} of {total} labelled people with OKS >= .5: {got / total:.3f}; {answers / len(people):.2f} answers a photograph with people")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("annotations")
    p.add_argument("results")
    p.add_argument("--source", default="")
    p.add_argument("--bare", action="store_true", help="the share of labelled people whose joints came out with OKS >= .5, each answer used once")
    a = p.parse_args()
    with open(a.annotations) as f:
        truth = json.load(f)
    with open(a.results) as f:
        results = lines(f, truth) if a.results.endswith(".jsonl") else json.load(f)
    keep = {i["id"] for i in truth["images"] if i.get("source", "").startswith(a.source)}
    by = {}
    for r in results:
        by.setdefault(r["image_id"], []).append(r)
    if a.bare:
        return bare(truth, keep, by)
    near, swapped, labelled = np.zeros(17), np.zeros(17), np.zeros(17)
    sizes = {}
    for person in truth["annotations"]:
        if person["image_id"] not in keep or not by.get(person["image_id"]):
            continue
        k = np.array(person["keypoints"], float).reshape(17, 3)
        x, y, w, h = person["bbox"]
        def far(r):
            b = r.get("bbox")
            q = np.array(r["keypoints"]).reshape(17, 3)
            c = (b[0] + b[2] / 2, b[1] + b[3] / 2) if b else q[:, :2].mean(0)
            return np.hypot(c[0] - x - w / 2, c[1] - y - h / 2)
        best = min(by[person["image_id"]], key=far)
        by[person["image_id"]].remove(best)
        q = np.array(best["keypoints"]).reshape(17, 3)
        v = k[:, 2] > 0
        d = np.hypot(*(q[:, :2] - k[:, :2]).T)
        e = np.exp(-d ** 2 / (2 * person["area"] * (2 * SIGMA) ** 2))
        other = np.hypot(*(q[:, :2] - k[FLIP][:, :2]).T)
        near += v & (e >= 0.5)
        labelled += v
        both = v & v[FLIP] & (np.array(FLIP) != np.arange(17))
        swapped += both & (e < 0.5) & (np.exp(-other ** 2 / (2 * person["area"] * (2 * SIGMA) ** 2)) >= 0.5)
        side = "medium" if person["area"] < 96 ** 2 else "large"
        side = "small" if person["area"] < 32 ** 2 else side
        sizes.setdefault(side, []).append(e[v].mean() if v.any() else np.nan)
    print("| joint | labelled | right (OKS of the joint >= .5) | on its mirror image |\n|---|---|---|---|")
    for j in range(17):
        print(f"| {NAMES[j].replace('_', ' ')} | {int(labelled[j])} | {near[j] / max(labelled[j], 1):.3f} | {swapped[j] / max(labelled[j], 1):.3f} |")
    print(f"| all | {int(labelled.sum())} | {near.sum() / labelled.sum():.3f} | {swapped.sum() / labelled.sum():.3f} |\n")
    print("| size of the person (COCO's area) | people | mean OKS | OKS >= .5 | OKS >= .75 |\n|---|---|---|---|---|")
    for s in ("small", "medium", "large"):
        v = np.array([o for o in sizes.get(s, []) if np.isfinite(o)])
        if len(v):
            print(f"| {s} | {len(v)} | {v.mean():.3f} | {(v >= 0.5).mean():.3f} | {(v >= 0.75).mean():.3f} |")


if __name__ == "__main__":
    main()
