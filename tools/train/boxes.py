# SPDX-License-Identifier: MIT
"""The task `boxes`: who is in a photograph, as five maps of a ViTPose network (limber's own detector).

    center   logits; a person is a peak of it, sigmoid(peak) the score
    left, top, right, bottom   there: how far the box reaches from that point, as log(distance / 16 pixels of the input)

A photograph is stretched to a grid of whole patches whose aspect is nearest to its own (grid_of): no padding, less than 5 % of
distortion for ordinary pictures, any number of tokens. Training draws one grid a batch and cuts windows of its aspect from photographs:
smaller than the photograph (people grow), larger (they shrink, grey around), or four photographs in one (crowds, small people).

Truth is a COCO-format file of sources.py. What it says to `ignore`, and crowds, is neither person nor background.
"""
import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import model
from data import normalise

LABELS = ["center", "left", "top", "right", "bottom"]
PATCH = 16
GRID = (15, 20)                    # of the positions in the file: 240x320
GREY = 124


def add_arguments(p):
    g = p.add_argument_group("boxes")
    g.add_argument("--photos", nargs="+", default=[], metavar="JSON=FOLDER=SHARE", help="COCO-format files of sources.py, where their "
                   "photographs lie, and how often one is drawn from")
    g.add_argument("--mosaic", type=float, default=0.25, help="share of windows made of four photographs")
    g.add_argument("--box-weight", type=float, default=1.0)


def config(a):
    return model.config(a.dim, a.depth, a.heads, a.head, (GRID[0] * PATCH, GRID[1] * PATCH), LABELS, [],
                        limber={"task": "boxes"})


def begin(net):
    """A focal loss wants to begin with nobody anywhere (Lin et al. 2017, section 3.3)."""
    with torch.no_grad():
        net.head.conv.bias[0] = -4
    return net


def grid_of(width, height, tokens):
    """Rows and columns of patches for a photograph: its aspect, about `tokens` in all, 4 to 64 a side."""
    s = math.sqrt(tokens / (width * height))
    return [int(min(64, max(4, round(v * s)))) for v in (height, width)]


class Feed:
    """Draws windows of photographs with their people, all of a batch on one grid."""

    ASPECTS = [4 / 3, 4 / 3, 3 / 2, 3 / 2, 1, 3 / 4, 3 / 4, 2 / 3, 16 / 9]

    def __init__(self, a, rank):
        self.a, self.rng = a, np.random.default_rng([a.seed, rank])
        self.sets, self.share = [], []
        for spec in a.photos:
            path, folder, share = spec.rsplit("=", 2)
            with open(path) as f:
                tree = json.load(f)
            people = {}
            for p in tree["annotations"]:
                people.setdefault(p["image_id"], []).append((*p["bbox"], bool(p.get("ignore") or p.get("iscrowd"))))
            photos = [(os.path.join(folder, i["file_name"]), np.array(people.get(i["id"], []), np.float32).reshape(-1, 5))
                      for i in tree["images"] if not i.get("boxes") == "unknown"]
            self.sets.append(photos)
            self.share.append(float(share))
        self.share = np.array(self.share) / sum(self.share)
        self.order, self.at = [self.rng.permutation(len(p)) for p in self.sets], [0] * len(self.sets)

    def about(self):
        return f"{[len(s) for s in self.sets]} photographs, shares {[round(float(s), 3) for s in self.share]}"

    def restart(self, rank, step):
        self.rng = np.random.default_rng([self.a.seed, rank, step])

    def photo(self):
        s = self.rng.choice(len(self.sets), p=self.share)
        if self.at[s] == len(self.sets[s]):
            self.order[s], self.at[s] = self.rng.permutation(len(self.sets[s])), 0
        self.at[s] += 1
        return self.sets[s][self.order[s][self.at[s] - 1]]

    def window(self, w, h):
        """One photograph seen through a w x h window: uint8 [h, w, 3] and boxes [n, 5] (x0, y0, x1, y1, ignore) in its pixels."""
        path, people = self.photo()
        image = Image.open(path)
        full = image.size
        image.draft("RGB", (w, h))                                   # JPEG: decode at a fraction where that is enough
        image = image.convert("RGB")
        r = self.rng
        wide, high = full[0] / w, full[1] / h                        # photograph pixels a window pixel, to see all of it
        way = r.random()
        if way < 0.5 and max(wide, high) < 1.25 * min(wide, high):   # as a photograph is looked at in use
            sx, sy = wide, high
        elif way < 0.8:                                              # a part of it: people grow
            sx = sy = min(wide, high) * math.exp(r.uniform(math.log(0.4), 0))
        else:                                                        # grey around: they shrink
            sx = sy = max(wide, high) * math.exp(r.uniform(0, math.log(1.8)))
        sx, sy = sx * math.exp(r.normal(0, 0.04)), sy * math.exp(r.normal(0, 0.04))
        free_x, free_y = full[0] - w * sx, full[1] - h * sy          # negative: grey around
        x0, y0 = free_x * r.random(), free_y * r.random()
        if way >= 0.5 and len(people) and r.random() < 0.7:            # look where somebody is
            b = people[r.integers(len(people))]
            cx, cy = b[0] + b[2] * r.random(), b[1] + b[3] * r.random()
            x0 = min(max(cx - w * sx * r.uniform(0.2, 0.8), min(0, free_x)), max(0, free_x))
            y0 = min(max(cy - h * sy * r.uniform(0.2, 0.8), min(0, free_y)), max(0, free_y))
        k = image.size[0] / full[0]
        box = [x0 * k, y0 * k, (x0 + w * sx) * k, (y0 + h * sy) * k]
        if sx * k > 1.5 or sy * k > 1.5:                             # shrinking: average, do not skip
            inside = [max(0, math.floor(box[0])), max(0, math.floor(box[1])), min(image.size[0], math.ceil(box[2])),
                      min(image.size[1], math.ceil(box[3]))]
            size = [max(1, round((inside[2] - inside[0]) / (sx * k))), max(1, round((inside[3] - inside[1]) / (sy * k)))]
            part = image.resize(size, Image.BILINEAR, inside, reducing_gap=2.0)
            out = np.full((h, w, 3), GREY, np.uint8)
            dx, dy = round((inside[0] - box[0]) / (sx * k)), round((inside[1] - box[1]) / (sy * k))
            dx, dy = max(0, min(dx, w - 1)), max(0, min(dy, h - 1))
            part = np.asarray(part)[:h - dy, :w - dx]
            out[dy:dy + part.shape[0], dx:dx + part.shape[1]] = part
        else:
            m = (sx * k, 0, box[0], 0, sy * k, box[1])
            out = np.asarray(image.transform((w, h), Image.AFFINE, m, Image.BILINEAR, fillcolor=(GREY,) * 3)).copy()
        b = people.copy()
        if len(b):
            b[:, 2:4] += b[:, :2]
            b[:, [0, 2]] = (b[:, [0, 2]] - x0) / sx
            b[:, [1, 3]] = (b[:, [1, 3]] - y0) / sy
            area = np.maximum((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]), 1e-6)
            b[:, [0, 2]] = b[:, [0, 2]].clip(0, w)
            b[:, [1, 3]] = b[:, [1, 3]].clip(0, h)
            left = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
            b = b[left > 16]
            rest = left[left > 16] / area[left > 16]
            small = np.minimum(b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]) < 6
            b[:, 4] = np.maximum(b[:, 4], (rest < 0.35) | small)      # a hand at the edge is nobody's person
        if r.random() < 0.5:
            out = out[:, ::-1]
            b[:, [0, 2]] = w - b[:, [2, 0]]
        return out, b

    def draw(self, size, count):
        """x uint8 [n, 3, H, W] and a list of boxes: about as many patches in all as `count` pictures of `size` have."""
        tokens = size[0] * size[1] / PATCH ** 2
        gh, gw = grid_of(self.ASPECTS[self.rng.integers(len(self.ASPECTS))], 1.0, tokens * self.rng.uniform(0.6, 1.4))
        h, w = gh * PATCH, gw * PATCH
        count = max(2, round(count * tokens / (gh * gw)))
        xs, boxes = [], []
        for _ in range(count):
            if self.rng.random() < self.a.mosaic:
                x, b = np.empty((h, w, 3), np.uint8), []
                cy, cx = int(h * self.rng.uniform(0.35, 0.65)), int(w * self.rng.uniform(0.35, 0.65))
                for y0, y1, x0, x1 in ((0, cy, 0, cx), (0, cy, cx, w), (cy, h, 0, cx), (cy, h, cx, w)):
                    part, pb = self.window(x1 - x0, y1 - y0)
                    x[y0:y1, x0:x1] = part
                    b.append(pb + np.array([x0, y0, x0, y0, 0], np.float32))
                b = np.concatenate(b)
            else:
                x, b = self.window(w, h)
            xs.append(np.ascontiguousarray(x))
            boxes.append(b)
        return torch.from_numpy(np.stack(xs)).permute(0, 3, 1, 2), boxes

    def batch(self, size, count, device="cpu"):
        x, boxes = self.draw(size, count)
        x = x.to(device).float() / 255
        n = len(x)
        def r(*shape):
            return (torch.rand(*shape, device=device) - 0.5) * 0.5
        mean = x.mean((1, 2, 3), keepdim=True)
        x = ((x - mean) * (1 + r(n, 1, 1, 1)) + mean) * (1 + r(n, 1, 1, 1)) * (1 + r(n, 3, 1, 1) / 3)
        grey = torch.rand(n, 1, 1, 1, device=device) < 0.08
        x = torch.where(grey, x.mean(1, keepdim=True).expand_as(x), x)
        return normalise(x.clamp(0, 1)), targets(boxes, x.shape[2] // PATCH, x.shape[3] // PATCH)


def targets(boxes, gh, gw):
    """Of boxes in input pixels, on a map of 4 cells a patch: heat, where it counts, boxes at cells and their weights.

    Input pixel 0 .. W-1 lies on cell 0 .. W/4-1, as for joints (UDP).
    """
    n, h, w = len(boxes), 4 * gh, 4 * gw
    kx, ky = (w - 1) / (gw * PATCH - 1), (h - 1) / (gh * PATCH - 1)
    heat, count = np.zeros((n, h, w), np.float32), np.ones((n, h, w), np.float32)
    box, near = np.zeros((n, 4, h, w), np.float32), np.zeros((n, h, w), np.float32)
    ys, xs = np.arange(h, dtype=np.float32)[:, None], np.arange(w, dtype=np.float32)[None]
    for i, b in enumerate(boxes):
        for x0, y0, x1, y1, ignore in b[np.argsort(-(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]))]:   # small ones last: they win
            if ignore:
                count[i, int(y0 * ky):int(math.ceil(y1 * ky)) + 1, int(x0 * kx):int(math.ceil(x1 * kx)) + 1] = 0
        for x0, y0, x1, y1, ignore in b[np.argsort(-(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]))]:
            if ignore:
                continue
            cx, cy = round((x0 + x1) / 2 * kx), round((y0 + y1) / 2 * ky)
            if not (0 <= cx < w and 0 <= cy < h):
                continue
            su, sv = max(1.0, (x1 - x0) * kx * 0.09), max(1.0, (y1 - y0) * ky * 0.09)
            g = np.exp(-((xs - cx) ** 2 / (2 * su * su) + (ys - cy) ** 2 / (2 * sv * sv)))
            np.maximum(heat[i], g, out=heat[i])
            count[i][g > 0.3] = 1
            here = g > 0.4
            box[i, :, here] = (x0, y0, x1, y1)
            near[i][here] = g[here]
    return [torch.from_numpy(t) for t in (heat, count, box, near)]


def reach(maps):
    """Boxes x0, y0, x1, y1 [n, 4, h, w] in input pixels that the maps left, top, right, bottom say at every cell."""
    h, w = maps.shape[2:]
    at_x = torch.arange(w, device=maps.device) * ((w * 4 - 1) / (w - 1))
    at_y = torch.arange(h, device=maps.device) * ((h * 4 - 1) / (h - 1))
    d = maps.clamp(-6, 5).exp() * PATCH
    return torch.stack([at_x - d[:, 0], at_y[:, None] - d[:, 1], at_x + d[:, 2], at_y[:, None] + d[:, 3]], 1)


def loss(maps, labels, size, a, done):
    """(total, parts): focal loss on the centres (Zhou et al. 2019, eq. 1), GIoU on the boxes near them (Rezatofighi et al. 2019)."""
    heat, count, box, near = (t.to(maps.device) for t in labels)
    z = maps[:, 0].float()
    p = z.sigmoid()
    people = (heat == 1).sum().clamp(min=1)
    pos = (heat == 1) * (1 - p) ** 2 * F.softplus(-z)
    neg = (heat < 1) * (1 - heat) ** 4 * p ** 2 * F.softplus(z) * count
    focal = (pos.sum() + neg.sum()) / people
    at = near > 0
    if at.any():
        a4, b4 = reach(maps[:, 1:].float()).permute(0, 2, 3, 1)[at], box.permute(0, 2, 3, 1)[at]
        inter = (torch.minimum(a4[:, 2:], b4[:, 2:]) - torch.maximum(a4[:, :2], b4[:, :2])).clamp(min=0).prod(1)
        area = (a4[:, 2:] - a4[:, :2]).clamp(min=0).prod(1) + (b4[:, 2:] - b4[:, :2]).prod(1) - inter
        hull = (torch.maximum(a4[:, 2:], b4[:, 2:]) - torch.minimum(a4[:, :2], b4[:, :2])).prod(1)
        giou = inter / area.clamp(min=1) - (hull - area) / hull.clamp(min=1)
        fit = ((1 - giou) * near[at]).sum() / near[at].sum()
    else:
        fit = maps[:, 1:].sum() * 0
    return focal + a.box_weight * fit, (focal, fit)


# -------------------------------------------------------------------------------------------------------------------- evaluation

def decode(maps, width, height, least=0.05, limit=0.6, top=100):
    """[n, 5] boxes x0, y0, x1, y1, score in pixels of a width x height photograph, from maps [5, h, w]; best first."""
    maps = maps.float()
    h, w = maps.shape[1:]
    p = maps[0].sigmoid()
    peak = (p == F.max_pool2d(p[None, None], 3, 1, 1)[0, 0]) & (p >= least)
    y, x = peak.nonzero(as_tuple=True)
    b = reach(maps[None, 1:])[0][:, y, x].T
    b = b * torch.tensor([width / (4 * w), height / (4 * h)] * 2) if len(b) else b
    b = torch.stack([b[:, 0].clamp(0, width), b[:, 1].clamp(0, height), b[:, 2].clamp(0, width), b[:, 3].clamp(0, height)], 1)
    s = p[y, x]
    order = s.argsort(descending=True, stable=True)
    b, s, keep = b[order].numpy(), s[order].numpy(), []
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    for i in range(len(b)):
        lo, hi = np.maximum(b[i, :2], b[keep, :2]), np.minimum(b[i, 2:], b[keep, 2:])
        inter = np.prod(np.maximum(hi - lo, 0), 1)
        if area[i] > 1 and not (inter / (area[keep] + area[i] - inter) > limit).any():
            keep.append(i)
        if len(keep) == top:
            break
    return np.c_[b[keep], s[keep]]


class Judge:
    """Recall of annotated people at IoU .5 against boxes a photograph, and how many photographs without people get a box."""

    def __init__(self, annotations, images, empty="", tokens=300, source=""):
        with open(annotations) as f:
            tree = json.load(f)
        people = {}
        for p in tree["annotations"]:
            if not p.get("iscrowd"):
                people.setdefault(p["image_id"], []).append(p["bbox"])
        read = lambda path: np.asarray(Image.open(path).convert("RGB"))
        self.photos = [(read(os.path.join(images, i["file_name"])), np.array(people.get(i["id"], []), np.float32).reshape(-1, 4))
                       for i in tree["images"] if i.get("source", "").startswith(source)]
        self.empty = [read(os.path.join(empty, f)) for f in sorted(os.listdir(empty))] if empty else []
        self.tokens = tokens

    @torch.no_grad()
    def find(self, forward, pixels, tokens=None):
        h, w = pixels.shape[:2]
        gh, gw = grid_of(w, h, tokens or self.tokens)
        x = Image.fromarray(pixels).resize((gw * PATCH, gh * PATCH), Image.BILINEAR)
        x = normalise(torch.from_numpy(np.array(x)).permute(2, 0, 1)[None].float() / 255)
        return decode(forward(x)[0], w, h)

    def score(self, forward, say, a):
        got = [(self.find(forward, p), b) for p, b in self.photos]
        total = sum(len(b) for _, b in got)
        line, scores = [], np.sort(np.concatenate([g[:, 4] for g, _ in got]))[::-1]
        for each in (2, 3, 4, 5, 7):
            least = scores[min(len(scores), each * len(got)) - 1] if len(scores) else 1
            found = sum(self.found(g[g[:, 4] >= least], b) for g, b in got)
            line.append(f"{each}: {found / total:.3f} (at {least:.2f})")
        wrong = [self.find(forward, p)[:, 4].max(initial=0) for p in self.empty]
        tail = "".join(f", a box >= {t} on {np.mean(np.array(wrong) >= t):.3f}" for t in (0.2, 0.3, 0.4, 0.5)) if wrong else ""
        say(f"EVAL recall at IoU .5 by boxes a photograph {' '.join(line)} | of {len(wrong)} without people{tail}")

    @staticmethod
    def found(got, truth):
        hits = 0
        for x, y, w, h in truth:
            lo, hi = np.maximum(got[:, :2], (x, y)), np.minimum(got[:, 2:4], (x + w, y + h))
            inter = np.prod(np.maximum(hi - lo, 0), 1)
            area = (got[:, 2] - got[:, 0]) * (got[:, 3] - got[:, 1])
            hits += (inter / (area + w * h - inter) >= 0.5).any()
        return hits


def judge(a):
    return Judge(*a.eval, a.empty, source=a.eval_source)
