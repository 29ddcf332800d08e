# SPDX-License-Identifier: MIT
"""What published networks say of photographs: people's boxes by two detectors, joints by a pose network; a JSON line a photograph.

    python3 label.py TEACHERS FOLDER OUT.jsonl [--coco people.json] [--detect all|none] [--least-side N]

TEACHERS holds rtmdet-nano-e2e.onnx, picodet_ped_320.xml and tinypose_256_192.xml with their .bin (Apache-2.0, from OpenMMLab and
PaddleDetection). Their answers become labels; nothing else of them enters limber. A line: f file, w, h, `all` = [x0, y0, x1, y1, score],
`p` = people {b: x y w h, s: score, k: 17 x [x, y, confidence, gap]}, `given` = the same for the boxes of --coco. `gap` is how far the two
mirror images' answers are apart, as a share of the map's height. Lines already in OUT are not made again.
"""
import argparse
import json
import os

import numpy as np
import onnxruntime
import openvino
from PIL import Image

FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
IMAGENET = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
ONE = {"INFERENCE_NUM_THREADS": 1}
core = openvino.Core()


def overlap(box, boxes):
    lo, hi = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    inter = np.prod(np.maximum(hi - lo, 0), 1)
    return inter / np.maximum(np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], 1) - inter, 1e-9)


def suppress(boxes, scores, limit=0.6):
    order = np.argsort(-scores)[:1000]
    boxes, scores, alive, keep = boxes[order], scores[order], np.ones(len(order), bool), []
    for i in range(len(order)):
        if alive[i]:
            keep.append(i)
            alive[i + 1:] &= overlap(boxes[i], boxes[i + 1:]) < limit
    return boxes[keep], scores[keep]


class RTMDet:
    MEAN, STD = np.array([103.53, 116.28, 123.675], np.float32), np.array([57.375, 57.12, 58.395], np.float32)

    def __init__(self, folder, size=416):
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads, o.log_severity_level = 1, 3
        self.net, self.size = onnxruntime.InferenceSession(os.path.join(folder, "rtmdet-nano-e2e.onnx"), o), size

    def __call__(self, image):
        w, h = image.size
        r = min(self.size / w, self.size / h)
        nw, nh = max(1, round(w * r)), max(1, round(h * r))
        a = np.full((self.size, self.size, 3), 114, np.float32)
        a[:nh, :nw] = np.asarray(image.resize((nw, nh), Image.BILINEAR), np.float32)
        a = (a[..., ::-1] - self.MEAN) / self.STD
        d, label = (x[0] for x in self.net.run(None, {"input": np.ascontiguousarray(a.transpose(2, 0, 1)[None], np.float32)}))
        d = d[(label == 0) & (d[:, 4] > 0.02)]
        return d[:, :4] / [nw / w, nh / h, nw / w, nh / h], d[:, 4]


class PicoDet:
    def __init__(self, folder, size=320):
        self.net, self.size = core.compile_model(os.path.join(folder, "picodet_ped_320.xml"), "CPU", ONE), size

    def __call__(self, image):
        w, h = image.size
        a = (np.asarray(image.resize((self.size, self.size), Image.BICUBIC), np.float32) / 255 - IMAGENET[0]) / IMAGENET[1]
        out = self.net(a.transpose(2, 0, 1)[None].astype(np.float32))
        boxes, score = out[0][0], out[1][0, 0]
        keep = score > 0.02
        return suppress(boxes[keep] * (np.array([w, h, w, h]) / self.size), score[keep])


def fuse(answers, limit=0.55, least=0.08):
    """One list of boxes from several detectors': a person's boxes averaged by score, the score averaged with 0 for who is silent."""
    boxes = np.concatenate([b[s > least] for b, s in answers])
    scores = np.concatenate([s[s > least] for _, s in answers])
    who = np.concatenate([np.full((s > least).sum(), i) for i, (_, s) in enumerate(answers)])
    order = np.argsort(-scores)
    boxes, scores, who = boxes[order], scores[order], who[order]
    used, out = np.zeros(len(scores), bool), []
    for i in range(len(scores)):
        if used[i]:
            continue
        used[i], group, o = True, [i], overlap(boxes[i], boxes)
        for d in set(range(len(answers))) - {who[i]}:
            c = np.flatnonzero((who == d) & ~used & (o > limit))
            if len(c):
                group.append(c[o[c].argmax()])
                used[group[-1]] = True
        w = scores[group]
        out.append((*(boxes[group] * w[:, None]).sum(0) / w.sum(), w.sum() / len(answers)))
    return np.array(out).reshape(-1, 5)


class TinyPose:
    def __init__(self, folder):
        net = core.read_model(os.path.join(folder, "tinypose_256_192.xml"))
        net.reshape({net.inputs[0]: [2, 3, 256, 192]})
        self.net = core.compile_model(net, "CPU", ONE)
        g = np.exp(-np.arange(-1, 2) ** 2 / (2 * 0.8 ** 2))
        self.blur = (g / g.sum()).astype(np.float32)

    def __call__(self, image, box):
        """[17, 4]: x, y, confidence, gap; the mean of both mirror images' maps, refined as DARK does (Zhang et al. 2020)."""
        x, y, w, h = box
        cx, cy = x + w / 2, y + h / 2
        w, h = 1.25 * max(w, 0.75 * h), 1.25 * max(h, w / 0.75)
        step, ox, oy = w / 192, cx - w / 2, cy - h / 2
        a = image.transform((192, 256), Image.AFFINE, (step, 0, ox + 0.5 - 0.5 * step, 0, step, oy + 0.5 - 0.5 * step), Image.BILINEAR)
        a = ((np.asarray(a, np.float32) / 255 - IMAGENET[0]) / IMAGENET[1]).transpose(2, 0, 1)
        out = self.net(np.stack([a, a[:, :, ::-1]]))
        maps = next(out[o] for o in self.net.outputs if out[o].ndim == 4)
        mirrored = maps[1][FLIP][:, :, ::-1].copy()
        mirrored[:, :, 1:] = mirrored[:, :, :-1].copy()
        mean = (maps[0] + mirrored) / 2
        k, mh, mw = mean.shape
        best = lambda m: np.stack(np.divmod(m.reshape(k, -1).argmax(1), mw), 1)[:, ::-1]
        at, gap = best(mean), np.hypot(*(best(maps[0]) - best(mirrored)).T) / mh
        p = np.pad(mean, ((0, 0), (1, 1), (1, 1)))
        t = sum(self.blur[i] * p[:, :, i:i + mw] for i in range(3))
        t = np.log(np.maximum(sum(self.blur[i] * t[:, i:i + mh] for i in range(3)), 1e-10))
        spot = at.astype(np.float64)
        for j, (u, v) in enumerate(at):
            if 1 < u < mw - 2 and 1 < v < mh - 2:
                d = t[j]
                dx, dy = (d[v, u + 1] - d[v, u - 1]) / 2, (d[v + 1, u] - d[v - 1, u]) / 2
                dxx, dyy = (d[v, u + 2] - 2 * d[v, u] + d[v, u - 2]) / 4, (d[v + 2, u] - 2 * d[v, u] + d[v - 2, u]) / 4
                dxy = (d[v + 1, u + 1] - d[v - 1, u + 1] - d[v + 1, u - 1] + d[v - 1, u - 1]) / 4
                det = dxx * dyy - dxy * dxy
                if abs(det) > 1e-12:
                    spot[j] += np.clip([-(dyy * dx - dxy * dy) / det, -(dxx * dy - dxy * dx) / det], -2, 2)
        return np.c_[spot * 4 * step + (ox, oy), mean.reshape(k, -1).max(1), gap]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("teachers")
    p.add_argument("folder")
    p.add_argument("out")
    p.add_argument("--coco", help="COCO-format file whose photographs and boxes are asked about, instead of all of FOLDER")
    p.add_argument("--detect", default="", help="look for people only where the file's name contains one of these, by commas; none: nowhere")
    a = p.parse_args()
    given = {}
    if a.coco:
        with open(a.coco) as f:
            tree = json.load(f)
        names = {i["id"]: i["file_name"] for i in tree["images"]}
        given = {n: [] for n in names.values()}
        for person in tree["annotations"]:
            given[names[person["image_id"]]].append(person["bbox"])
        files = list(given)
    else:
        files = sorted(os.path.relpath(os.path.join(d, f), a.folder) for d, _, fs in os.walk(a.folder) for f in fs
                       if f.lower().endswith((".jpg", ".jpeg", ".png")))
    done = set()
    if os.path.exists(a.out):
        with open(a.out) as f:
            done = {json.loads(line)["f"] for line in f if line.endswith("\n")}
    detectors, pose = [RTMDet(a.teachers), PicoDet(a.teachers)], TinyPose(a.teachers)
    r = lambda v, n: round(float(v), n)
    joints = lambda image, box: [[r(x, 1), r(y, 1), r(c, 3), r(g, 3)] for x, y, c, g in pose(image, box)]
    with open(a.out, "a") as out:
        for n, name in enumerate(files):
            if name in done:
                continue
            image = Image.open(os.path.join(a.folder, name)).convert("RGB")
            line = {"f": name, "w": image.width, "h": image.height, "all": [], "p": [], "given": []}
            for box in given.get(name, []):
                line["given"].append({"b": [r(v, 1) for v in box], "k": joints(image, box)})
            if a.detect != "none" and any(t in name for t in a.detect.split(",")):
                for b in fuse([d(image) for d in detectors]):
                    b[:4] = np.clip(b[:4], 0, [image.width, image.height] * 2)
                    line["all"].append([*(r(v, 1) for v in b[:4]), r(b[4], 3)])
                    box = [b[0], b[1], b[2] - b[0], b[3] - b[1]]
                    if b[4] >= 0.3 and box[3] >= 24 and box[2] >= 10:
                        line["p"].append({"b": [r(v, 1) for v in box], "s": r(b[4], 3), "k": joints(image, box)})
            out.write(json.dumps(line) + "\n")
            if n % 500 == 0:
                print(n, "of", len(files), flush=True)
                out.flush()


if __name__ == "__main__":
    main()
