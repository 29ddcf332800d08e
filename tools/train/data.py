# SPDX-License-Identifier: MIT
"""Photographs with keypoints -> training crops.

A cache is a folder made once from a COCO-format file: crops.u8 (uint8 [n,3,384,288], planar RGB), half.u8 (the same at half
size) and labels.npz (joints in pixels of the stored crop, a weight and a height for every joint, source). The stored crop is 1.5 times the
box that the network sees (UDP: the person box brought to 3:4 and widened by 1.25), so that turning and shrinking find real
pixels outside; at the plain scale one stored pixel is one pixel of the network's input.

From there a batch is one affine warp a person: flip, scale, rotation, shift, half-body, then colour, blur and occlusion. The
same map carries the joints. Coordinates are pixel indices: (0, 0) is the centre of the first pixel, as in UDP.
"""
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from model import FLIP, MEAN, STD

H, W = 256, 192                      # network input
SH, SW, MARGIN = 384, 288, 1.5       # stored crop, and how much wider than the input it looks
UPPER = torch.tensor([k < 11 for k in range(17)])


def udp_box(bbox):
    """Centre and padded size (w, h), in source pixels, of the crop that UDP cuts for a box x, y, w, h."""
    x, y, w, h = (float(v) for v in bbox)
    cx, cy = x + w / 2, y + h / 2
    w, h = max(w, 0.75 * h), max(h, w / 0.75)
    return cx, cy, 1.25 * w, 1.25 * h


def cut(image, x0, y0, sx, sy, width, height):
    """Samples `image` at x0 + i*sx, y0 + j*sy, bilinear, black outside; shrinks by whole factors first where steps reach 2."""
    f = int(min(sx, sy))
    if f >= 2:
        image = image.reduce(f)      # pixel j of the small image is centred on f*j + (f-1)/2 of the large one
        x0, y0, sx, sy = (x0 - (f - 1) / 2) / f, (y0 - (f - 1) / 2) / f, sx / f, sy / f
    m = (sx, 0, x0 + 0.5 - 0.5 * sx, 0, sy, y0 + 0.5 - 0.5 * sy)      # Pillow counts from pixel corners
    return np.asarray(image.transform((width, height), Image.AFFINE, m, Image.BILINEAR)).transpose(2, 0, 1)


def joint_weights(person, keypoints, source, rules):
    """(weights [17], heights [17]). A weight comes from visibility and source; rules: {source prefix: (v=1 weight, v=2 weight)}.

    Where a teacher spoke (`confidence` below 1) the target's height is what it was sure of, as its own heatmap was high.
    """
    hidden, seen = next(rules[p] for p in sorted(rules, key=len, reverse=True) if source.startswith(p))
    v = keypoints[:, 2]
    weight = np.where(v == 0, 0, np.where(v == 1, hidden, seen)).astype(np.float32)
    sure = np.array(person.get("confidence") or [1] * 17, np.float32)
    taught = (sure < 1) & (v > 0)
    return np.where(taught, TAUGHT, weight), np.where(taught, np.minimum(sure * 1.1, 1), 1).astype(np.float32)


RULES = {"": (1.0, 1.0), "lspet": (0.4, 0.8)}     # crowd workers err more than COCO's annotators
TAUGHT = np.float32(0.7)                          # a joint that a teacher added, beside one that an annotator set


def make_cache(annotations, images, out, rules=RULES, threads=2, least=3):
    """Cuts every person with at least `least` labelled joints. Returns how many."""
    with open(annotations) as f:
        j = json.load(f)
    photos = {i["id"]: i for i in j["images"]}
    people = [a for a in j["annotations"] if not a.get("iscrowd") and not a.get("ignore") and sum(v > 0 for v in a["keypoints"][2::3]) >= least
              and min(a["bbox"][2:]) > 8]
    os.makedirs(out, exist_ok=True)
    n = len(people)
    crops = np.memmap(os.path.join(out, "crops.u8"), np.uint8, "w+", shape=(n, 3, SH, SW))
    half = np.memmap(os.path.join(out, "half.u8"), np.uint8, "w+", shape=(n, 3, SH // 2, SW // 2))
    joints, weight, height = np.zeros((n, 17, 2), np.float32), np.zeros((n, 17), np.float32), np.zeros((n, 17), np.float32)
    sources = [a.get("source") or photos[a["image_id"]].get("source", "") for a in people]
    of = {}
    for i, a in enumerate(people):
        of.setdefault(a["image_id"], []).append(i)

    def one(photo):
        image = Image.open(os.path.join(images, photos[photo]["file_name"])).convert("RGB")
        for i in of[photo]:
            cx, cy, w, h = udp_box(people[i]["bbox"])
            sx, sy = w / (W - 1), h / (H - 1)                          # source pixels a stored pixel, in x and in y
            x0, y0 = cx - sx * (SW - 1) / 2, cy - sy * (SH - 1) / 2
            crops[i] = cut(image, x0, y0, sx, sy, SW, SH)
            half[i] = crops[i].reshape(3, SH // 2, 2, SW // 2, 2).mean((2, 4)) + 0.5
            k = np.array(people[i]["keypoints"], np.float32).reshape(17, 3)
            joints[i] = (k[:, :2] - (x0, y0)) / (sx, sy)
            weight[i], height[i] = joint_weights(people[i], k, sources[i], rules)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, of))
    crops.flush()
    half.flush()
    np.savez(os.path.join(out, "labels.npz"), joints=joints, weight=weight, height=height, source=np.array(sources))
    return n


class Cache:
    """A folder of make_cache. Pixels are mapped, not read: put the folder where reading is fast (tmpfs, or memory to spare)."""

    def __init__(self, folder):
        z = np.load(os.path.join(folder, "labels.npz"))
        self.joints, self.weight = torch.from_numpy(z["joints"]), torch.from_numpy(z["weight"])
        self.height = torch.from_numpy(z["height"])
        self.source = z["source"]
        n = len(self.joints)
        self.full = np.memmap(os.path.join(folder, "crops.u8"), np.uint8, "r", shape=(n, 3, SH, SW))
        self.half = np.memmap(os.path.join(folder, "half.u8"), np.uint8, "r", shape=(n, 3, SH // 2, SW // 2))


class Mixture:
    """Draws batches from several sources in fixed shares, each source shuffled and gone through before it repeats.

    shares: {source prefix: share}; what no prefix claims is left out, and a source with little data but a large share simply comes
    round more often.
    """

    def __init__(self, caches, shares, seed=0):
        self.rng = np.random.default_rng(seed)
        self.caches, self.pools, self.share = caches, [], []
        for prefix, share in shares.items():
            rows = [(c, i) for c, k in enumerate(caches) for i, s in enumerate(k.source)
                    if max((p for p in shares if s.startswith(p)), key=len, default=None) == prefix]
            if rows and share > 0:
                self.pools.append(np.array(rows))
                self.share.append(share)
        self.share = np.array(self.share) / sum(self.share)
        self.order, self.at = [self.rng.permutation(len(p)) for p in self.pools], [0] * len(self.pools)

    def draw(self, n, half=False):
        """uint8 crops [n,3,h,w], joints [n,17,2], weights and heights [n,17]."""
        rows = []
        for s in self.rng.choice(len(self.pools), n, p=self.share):
            if self.at[s] == len(self.pools[s]):
                self.order[s], self.at[s] = self.rng.permutation(len(self.pools[s])), 0
            rows.append(self.pools[s][self.order[s][self.at[s]]])
            self.at[s] += 1
        x = np.stack([(self.caches[c].half if half else self.caches[c].full)[i] for c, i in rows])
        return (torch.from_numpy(x), torch.stack([self.caches[c].joints[i] for c, i in rows]),
                torch.stack([self.caches[c].weight[i] for c, i in rows]), torch.stack([self.caches[c].height[i] for c, i in rows]))


AUGMENT = dict(scale=0.2, turn=30.0, turned=0.6, shift=0.08, half_body=0.25, colour=0.25, grey=0.1, blur=0.25, occlude=0.5)


def geometry(joints, weight, aug):
    """Centre [n,2] and matrix [n,2,2] of the map input pixel (from its middle) -> stored pixel, and which persons are mirrored."""
    n = len(joints)
    centre = torch.tensor([(SW - 1) / 2, (SH - 1) / 2]).repeat(n, 1)
    if aug is None:
        return centre, torch.eye(2).repeat(n, 1, 1), torch.zeros(n, dtype=torch.bool)
    scale = 1 + aug["scale"] * torch.randn(n).clamp(-2, 2)
    for i in (torch.rand(n) < aug["half_body"]).nonzero()[:, 0].tolist():
        part = (weight[i] > 0) & (UPPER if torch.rand(()) < 0.6 else ~UPPER)
        if part.sum() < 4 or (weight[i] > 0).sum() < 9:
            continue
        lo, hi = joints[i][part].min(0).values, joints[i][part].max(0).values
        centre[i] = (lo + hi) / 2
        scale[i] *= float(((hi - lo) / torch.tensor([W, H])).max() * 1.5 + 0.05)
    scale = scale.clamp(0.3, 1.6)
    angle = torch.randn(n).clamp(-2, 2) * (aug["turn"] * np.pi / 180) * (torch.rand(n) < aug["turned"])
    mirror = torch.rand(n) < 0.5
    centre += (torch.rand(n, 2) - 0.5) * 2 * aug["shift"] * torch.tensor([W, H]) * scale[:, None]
    c, s, f = scale * angle.cos(), scale * angle.sin(), 1 - 2.0 * mirror
    return centre, torch.stack([c * f, -s, s * f, c], 1).view(n, 2, 2), mirror


def colours(x, aug):
    """x [n,3,h,w] in 0..1: contrast, brightness, tint, some grey, some seen at low resolution, some with a patch of a stranger."""
    n, h, w = x.shape[0], x.shape[2], x.shape[3]
    def r(*shape):
        return (torch.rand(*shape, device=x.device) - 0.5) * 2 * aug["colour"]
    mean = x.mean((1, 2, 3), keepdim=True)
    x = x.sub_(mean).mul_(1 + r(n, 1, 1, 1)).add_(mean).mul_((1 + r(n, 1, 1, 1)) * (1 + r(n, 3, 1, 1) / 3))
    for i in range(n):
        if torch.rand(()) < aug["grey"]:
            x[i] = x[i].mean(0)
        if torch.rand(()) < aug["blur"]:
            size = (torch.rand(()) * 0.5 + 0.25).item()
            small = F.interpolate(x[i:i + 1], (int(h * size), int(w * size)), mode="area")
            x[i] = F.interpolate(small, (h, w), mode="bilinear")[0]
    donor = x.roll(1, 0) if aug["occlude"] else None
    for i in range(n):
        if torch.rand(()) < aug["occlude"]:
            u = torch.rand(5)
            ph, pw = int(h * (0.08 + 0.3 * u[0])), int(w * (0.08 + 0.3 * u[1]))
            y, z = int((h - ph) * u[2]), int((w - pw) * u[3])
            x[i, :, y:y + ph, z:z + pw] = donor[i, :, y:y + ph, z:z + pw] if u[4] < 0.5 else torch.rand(3, 1, 1, device=x.device)
    return x.clamp_(0, 1)


def batch(crops, joints, weight, height, size=(H, W), aug=AUGMENT, device="cpu"):
    """Network input [n,3,h,w], joints in its pixels [n,17,2], weights (0 where a joint left the picture) and heights [n,17].

    crops may be the full or the half cache; `size` may be smaller than the network's own for cheap epochs. aug None: the plain crop.
    """
    n, (h, w) = len(crops), size
    centre, m, mirror = geometry(joints, weight, aug)
    step = torch.tensor([(W - 1) / (w - 1), (H - 1) / (h - 1)])
    mid = torch.tensor([(w - 1) / 2, (h - 1) / 2])
    shrink = SW // crops.shape[3]
    a = m * step / shrink                                                        # stored pixels an input pixel
    at = (centre - (shrink - 1) / 2) / shrink
    # affine_grid counts from -1 to 1 between pixel centres (align_corners): rescale both sides
    inner, outer = mid, torch.tensor([(crops.shape[3] - 1) / 2, (crops.shape[2] - 1) / 2])
    theta = torch.cat([a * inner / outer[:, None], ((at - outer) / outer)[..., None]], 2)
    grid = F.affine_grid(theta, (n, 3, h, w), align_corners=True)
    x = F.grid_sample(crops.to(device).float().div_(255), grid.to(device), mode="bilinear", padding_mode="zeros", align_corners=True)
    k = ((joints - centre[:, None]) @ torch.linalg.inv(m).transpose(1, 2)) / step + mid
    if aug is not None:
        x = colours(x, aug)
        k = torch.where(mirror[:, None, None], k[:, FLIP], k)
        weight = torch.where(mirror[:, None], weight[:, FLIP], weight)
        height = torch.where(mirror[:, None], height[:, FLIP], height)
    inside = ((k > -2) & (k < torch.tensor([w + 1.0, h + 1.0]))).all(-1)
    return normalise(x), k.to(device), (weight * inside).to(device), height.to(device)


def normalise(x):
    mean, std = (torch.tensor(v, device=x.device).view(3, 1, 1) for v in (MEAN, STD))
    return (x - mean) / std


def heatmaps(joints, size=(H, W), sigma=2.0):
    """[n,17,2] in input pixels -> [n,17,h/4,w/4], height 1 at the (unrounded) joint: UDP puts input 0..W-1 on 0..W/4-1."""
    h, w = size[0] // 4, size[1] // 4
    u = joints[..., 0] * (w - 1) / (size[1] - 1)
    v = joints[..., 1] * (h - 1) / (size[0] - 1)
    gx = (-(torch.arange(w, device=u.device) - u[..., None]) ** 2 / (2 * sigma ** 2)).exp()
    gy = (-(torch.arange(h, device=v.device) - v[..., None]) ** 2 / (2 * sigma ** 2)).exp()
    return gy[..., :, None] * gx[..., None, :]


# -------------------------------------------------------------------------------------------------------------------- evaluation

def reference_crop(pixels, bbox):
    """The crop that transformers' image processor cuts: bilinear, 0 wherever the sample lies outside, rounded to uint8. [3,H,W]"""
    cx, cy, sw, sh = udp_box(bbox)
    hh, ww = pixels.shape[:2]
    x = cx - sw / 2 + np.arange(W) * sw / (W - 1)
    y = cy - sh / 2 + np.arange(H) * sh / (H - 1)
    ix, iy = np.clip(np.floor(x).astype(int), 0, ww - 1), np.clip(np.floor(y).astype(int), 0, hh - 1)
    jx, jy = np.minimum(ix + 1, ww - 1), np.minimum(iy + 1, hh - 1)
    a, b = (x - ix)[None, :, None], (y - iy)[:, None, None]
    p = pixels.astype(np.float64)
    v = ((p[iy][:, ix] * (1 - a) + p[iy][:, jx] * a) * (1 - b) + (p[jy][:, ix] * (1 - a) + p[jy][:, jx] * a) * b)
    v[(y < 0) | (y > hh - 1)] = 0
    v[:, (x < 0) | (x > ww - 1)] = 0
    return (v + 0.5).astype(np.uint8).transpose(2, 0, 1)


def decode(heat):
    """Joints in heatmap pixels [n,k,2] and scores [n,k]: arg-max, then one Newton step on the log of the map blurred with
    sigma 0.8 (transformers' post_process_pose_estimation)."""
    n, k, h, w = heat.shape
    score, at = heat.flatten(2).max(-1)
    px, py = at % w, at // w
    t = torch.arange(-5, 6).float()
    g = (-t ** 2 / 1.28).exp()
    g = g / g.sum()
    def mirror(x, axis):
        m = x.shape[axis]
        return torch.cat([x.narrow(axis, 0, 5).flip(axis), x, x.narrow(axis, m - 5, 5).flip(axis)], axis)
    b = F.conv2d(mirror(heat.reshape(n * k, 1, h, w), 2), g.view(1, 1, 11, 1))
    b = F.conv2d(mirror(b, 3), g.view(1, 1, 1, 11)).clamp(0.001, 50).log()
    b = F.pad(b, (1, 1, 1, 1), mode="replicate").view(n, k, h + 2, w + 2)
    i, j = torch.arange(n)[:, None], torch.arange(k)[None]
    def L(dy, dx):
        return b[i, j, py + 1 + dy, px + 1 + dx].double()
    dx, dy = (L(0, 1) - L(0, -1)) / 2, (L(1, 0) - L(-1, 0)) / 2
    eps = 1.1920929e-07
    dxx, dyy = L(0, 1) - 2 * L(0, 0) + L(0, -1) + eps, L(1, 0) - 2 * L(0, 0) + L(-1, 0) + eps
    dxy = (L(1, 1) - L(0, 1) - L(1, 0) + 2 * L(0, 0) - L(0, -1) - L(-1, 0) + L(-1, -1)) / 2
    det = dxx * dyy - dxy * dxy
    step = torch.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], -1) / det[..., None]
    return (torch.stack([px, py], -1) - step).float(), score


class Judge:
    """Holds a COCO-format test file and scores a network on it: true boxes, one prediction a person, score = mean of the joints'."""

    def __init__(self, annotations, images):
        with open(annotations) as f:
            self.truth = json.load(f)
        photos = {i["id"]: i for i in self.truth["images"]}
        self.people = [a for a in self.truth["annotations"] if not a.get("iscrowd")]
        self.source = {i["id"]: i.get("source", "") for i in self.truth["images"]}
        crops, last = [], None
        for a in sorted(self.people, key=lambda a: a["image_id"]):
            if last != a["image_id"]:
                name = os.path.join(images, photos[a["image_id"]]["file_name"])
                pixels, last = np.asarray(Image.open(name).convert("RGB")), a["image_id"]
            crops.append(reference_crop(pixels, a["bbox"]))
        self.people.sort(key=lambda a: a["image_id"])
        self.crops = torch.from_numpy(np.stack(crops))

    @torch.no_grad()
    def predict(self, forward, size=(H, W), flip=True):
        """COCO results; forward maps [n,3,h,w] to heatmaps."""
        out = []
        for b in range(0, len(self.people), 32):
            x = self.crops[b:b + 32].float() / 255
            if size != (H, W):
                x = F.interpolate(x, size, mode="area")
            x = normalise(x)
            y = forward(x)
            if flip:
                y = (y + forward(x.flip(-1)).flip(-1)[:, FLIP]) / 2
            k, s = decode(y.float())
            k = k / torch.tensor([y.shape[3] - 1.0, y.shape[2] - 1.0])
            for a, kk, ss in zip(self.people[b:b + 32], k.tolist(), s.tolist()):
                cx, cy, sw, sh = udp_box(a["bbox"])
                flat = [v for (u, w), c in zip(kk, ss) for v in (cx + (u - 0.5) * sw, cy + (w - 0.5) * sh, c)]
                out.append({"image_id": a["image_id"], "category_id": 1, "keypoints": flat, "score": float(np.mean(ss)), "id": a["id"]})
        return out

    def stats(self, results, source=""):
        """The ten numbers of COCO's keypoint table over the images whose source begins with `source`."""
        import contextlib
        import io
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
        keep = {i for i, s in self.source.items() if s.startswith(source)}
        truth = dict(self.truth, images=[i for i in self.truth["images"] if i["id"] in keep],
                     annotations=[a for a in self.truth["annotations"] if a["image_id"] in keep])
        with contextlib.redirect_stdout(io.StringIO()):
            gt = COCO()
            gt.dataset = truth
            gt.createIndex()
            e = COCOeval(gt, gt.loadRes([dict(r) for r in results if r["image_id"] in keep]), "keypoints")
            e.evaluate()
            e.accumulate()
            e.summarize()
        return [float(v) for v in e.stats]

    def pck(self, results, source="", alpha=0.2):
        """Share of labelled joints within alpha of the torso (mid-shoulder to mid-hip): (all, per joint [17])."""
        hit, all_ = np.zeros(17), np.zeros(17)
        by = {r["id"]: np.array(r["keypoints"]).reshape(17, 3) for r in results}
        for a in self.people:
            k = np.array(a["keypoints"], float).reshape(17, 3)
            if not self.source[a["image_id"]].startswith(source) or (k[[5, 6, 11, 12], 2] == 0).any():
                continue
            torso = np.linalg.norm(k[5:7, :2].mean(0) - k[11:13, :2].mean(0))
            near = np.linalg.norm(by[a["id"]][:, :2] - k[:, :2], axis=1) < alpha * torso
            hit += near & (k[:, 2] > 0)
            all_ += k[:, 2] > 0
        return hit.sum() / max(1, all_.sum()), hit / np.maximum(1, all_)


if __name__ == "__main__":
    import argparse
    p = argparse.ArgumentParser(description="Cut a cache of crops from a COCO-format file.")
    p.add_argument("annotations")
    p.add_argument("images", help="folder that file_name is relative to")
    p.add_argument("out")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    print(make_cache(a.annotations, a.images, a.out, threads=a.threads), "persons ->", a.out)
