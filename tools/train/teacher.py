"""Labels photographs of people with another model's opinion, as a COCO-format file that data.py cuts.

The teacher is MediaPipe's pose pipeline (BlazePose: a person detector, 224x224, and a 33-landmark network, 256x256; Apache-2.0),
whose two .tflite files lie inside the `mediapipe` wheel on PyPI; OpenVINO runs them. Nothing of it enters the student but numbers.

    python3 teacher.py photographs/ out.json --models mediapipe/modules        (unzip the wheel for the folder)
    python3 teacher.py photographs/ out.json --models ... --boxes persons.json   label given boxes, e.g. to score the teacher

Each person is looked at four times: the detector's region, the region its own landmarks then suggest, and both again in the mirror.
A joint is kept (v=2) where the two mirror images agree within --agree of the person's size and both see it; else it is v=0.
"""
import argparse
import json
import os

import numpy as np
from PIL import Image

COCO = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]      # BlazePose landmark of each COCO joint
MIRROR = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))


def region(centre, edge):
    """(cx, cy, side, angle): the square about `centre` that turns the line to `edge` upright, as BlazePose was trained."""
    d = np.subtract(edge, centre)
    return centre[0], centre[1], 2.5 * np.hypot(*d), np.arctan2(d[1], d[0]) + np.pi / 2


def cut(image, roi, size):
    cx, cy, side, t = roi
    c, n = np.cos(t) * side / size, np.sin(t) * side / size
    h = size / 2
    m = (c, -n, cx - c * h + n * h, n, c, cy - n * h - c * h)
    return np.asarray(image.transform((size, size), Image.AFFINE, m, Image.BILINEAR), np.float32) / 255, np.array(m).reshape(2, 3)


class Teacher:
    def __init__(self, folder, threads):
        import openvino as ov
        core = ov.Core()
        make = lambda p: core.compile_model(os.path.join(folder, p), "CPU", {"INFERENCE_NUM_THREADS": threads})
        self.detector = make("pose_detection/pose_detection.tflite")
        self.landmarks = make("pose_landmark/pose_landmark_full.tflite")
        anchors = []
        for grid, each in ((28, 2), (14, 2), (7, 6)):
            y, x = np.divmod(np.repeat(np.arange(grid * grid), each), grid)
            anchors.append(np.stack([x + 0.5, y + 0.5], 1) / grid)
        self.anchors = np.concatenate(anchors)

    def detect(self, image, least):
        """Regions of the people in a photograph, best first: overlapping answers are averaged by score."""
        w, h = image.size
        side = max(w, h)
        x, m = cut(image, (w / 2, h / 2, side, 0.0), 224)
        out = self.detector(x[None] * 2 - 1)
        raw, score = out[0][0], sigmoid(out[1][0, :, 0])
        pick = score > least
        raw, score = raw[pick], score[pick]
        box = raw[:, :2] / 224 + self.anchors[pick]
        size, points = raw[:, 2:4] / 224, raw[:, 4:8].reshape(-1, 2, 2) / 224 + self.anchors[pick][:, None]
        found, left = [], np.argsort(-score)
        while len(left):
            i = left[0]
            lo = np.maximum(box[i] - size[i] / 2, box[left] - size[left] / 2)
            hi = np.minimum(box[i] + size[i] / 2, box[left] + size[left] / 2)
            common = np.prod(np.maximum(hi - lo, 0), 1)
            near = common / (np.prod(size[i]) + np.prod(size[left], 1) - common) > 0.3
            near[0] = True
            p = np.average(points[left[near]], 0, score[left[near]]) * 224
            p = p @ m[:, :2].T + m[:, 2]
            found.append(region(p[0], p[1]))
            left = left[~near]
        return found

    def look(self, image, roi):
        """COCO joints [17,2] in the photograph, visibility [17], the region they suggest, and how sure it is a person."""
        x, m = cut(image, roi, 256)
        out = self.landmarks(x[None])
        k = out[0][0].reshape(39, 5)
        p = k[:, :2] @ m[:, :2].T + m[:, 2]
        vis = sigmoid(k[:, 3]) * sigmoid(k[:, 4])
        return p[COCO], vis[COCO], region(p[33], p[34]), float(out[1][0, 0])

    def person(self, image, roi, agree, least):
        """(joints [17,3], sureness) or None where nobody is there."""
        _, _, better, sure = self.look(image, roi)
        if sure < least or better[2] < 16:
            return None
        p, v, _, sure = self.look(image, better)
        flipped = image.transpose(Image.FLIP_LEFT_RIGHT)
        back = image.size[0] - 1
        q, u, _, sure2 = self.look(flipped, (back - better[0], better[1], better[2], -better[3]))
        q, u = q[MIRROR] * (-1, 1) + (back, 0), u[MIRROR]
        off = np.linalg.norm(p - q, axis=1) / better[2]
        keep = (off < agree) & (np.minimum(u, v) > 0.5)
        return np.concatenate([(p + q) / 2, 2.0 * keep[:, None]], 1), min(sure, sure2)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("images")
    a.add_argument("out")
    a.add_argument("--models", required=True, help="the modules folder of an unzipped mediapipe wheel")
    a.add_argument("--boxes", help="COCO-format file whose boxes (relative to images/) are labelled instead of detected people")
    a.add_argument("--detect", type=float, default=0.5, help="least score of a detection")
    a.add_argument("--sure", type=float, default=0.6, help="least score that a region holds a person")
    a.add_argument("--agree", type=float, default=0.03, help="largest disagreement of the mirror images, as a share of the region's side")
    a.add_argument("--joints", type=int, default=8, help="least number of kept joints")
    a.add_argument("--threads", type=int, default=1)
    a = a.parse_args()
    teacher = Teacher(a.models, a.threads)
    photos, people = [], []
    if a.boxes:
        with open(a.boxes) as f:
            j = json.load(f)
        photos, todo = j["images"], {}
        for x in j["annotations"]:
            todo.setdefault(x["image_id"], []).append(x)
    else:
        photos = [{"id": i, "file_name": n, "source": "teacher"} for i, n in enumerate(sorted(os.listdir(a.images)), 1)]
    for photo in photos:
        image = Image.open(os.path.join(a.images, photo["file_name"])).convert("RGB")
        photo["width"], photo["height"] = image.size
        if a.boxes:
            regions = []
            for x in todo.get(photo["id"], []):
                b = x["bbox"]
                regions.append((b[0] + b[2] / 2, b[1] + b[3] / 2, 1.25 * max(b[2:]), 0.0))
        else:
            regions = teacher.detect(image, a.detect)
        taken = []
        for n, roi in enumerate(regions):
            found = teacher.person(image, roi, a.agree if not a.boxes else 9, a.sure if not a.boxes else -1)
            if found is None:
                continue
            k, sure = found
            inside = (k[:, 0] >= 0) & (k[:, 1] >= 0) & (k[:, 0] < image.size[0]) & (k[:, 1] < image.size[1])
            if not a.boxes:
                k[~inside, 2] = 0
                if sure < a.sure or (k[:, 2] > 0).sum() < a.joints:
                    continue
            on = k[k[:, 2] > 0, :2] if (k[:, 2] > 0).sum() > 1 else k[:, :2]
            lo, hi = on.min(0), on.max(0)
            if any(np.linalg.norm(t - k[:, :2], axis=1).mean() < 0.1 * (hi - lo).max() for t in taken):
                continue                                                     # the same person, detected twice
            taken.append(k[:, :2])
            pad = 0.12 * (hi - lo).max()
            lo, hi = np.maximum(lo - pad, 0), np.minimum(hi + pad, image.size)
            people.append({"id": todo[photo["id"]][n]["id"] if a.boxes else len(people) + 1, "image_id": photo["id"], "category_id": 1,
                           "iscrowd": 0, "bbox": [*lo.tolist(), *(hi - lo).tolist()], "area": float(np.prod(hi - lo)) * 0.53,
                           "num_keypoints": int((k[:, 2] > 0).sum()), "score": sure, "source": photo["source"],
                           "keypoints": [float(v) for row in k for v in row]})
    with open(a.out, "w") as f:
        json.dump({"images": photos, "annotations": people, "categories": [{"id": 1, "name": "person"}]}, f)
    print(f"{len(people)} persons in {len(photos)} photographs -> {a.out}")


if __name__ == "__main__":
    main()
