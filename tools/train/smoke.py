# SPDX-License-Identifier: MIT
"""Trains tiny networks on drawn figures for minutes and demands that they learn: joints (loss down, PCK and AP up) and boxes.

    python3 smoke.py [--limber build/limber] [--keep-files DIR]

Articulated figures are drawn with numpy: limbs as thick lines, left limbs warm and right limbs cold, so that the two sides can be told
apart. The whole recipe runs on them: caches, two stages of picture size, Muon, EMA, checkpoint, resume, export, masked autoencoding, and
fine-tuning with protected directions; then a detector that begins as the pose network's first blocks. With --limber, `limber eval` must agree with the trainer about both models to 0.02 AP.
Needs torch, numpy, pillow, safetensors and pycocotools; CI has none of them and does not run this.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageDraw

HERE = os.path.dirname(os.path.abspath(__file__))
LIMBS = [(5, 7), (7, 9), (11, 13), (13, 15), (6, 8), (8, 10), (12, 14), (14, 16), (5, 6), (11, 12), (5, 11), (6, 12)]
WARM, COLD, BODY = (220, 120, 60), (60, 120, 220), (160, 160, 160)


def figure(rng):
    """Joints [17,2] of a person facing us, about 2 units tall, y down: forward kinematics from random angles."""
    k = np.zeros((17, 2))
    k[0] = (0, -0.95)
    k[1], k[2], k[3], k[4] = (0.06, -1.0), (-0.06, -1.0), (0.12, -0.97), (-0.12, -0.97)
    k[5], k[6], k[11], k[12] = (0.25, -0.7), (-0.25, -0.7), (0.16, 0), (-0.16, 0)
    for side, s in ((0, 1), (1, -1)):
        for root, mid, end, length, spread in ((5, 7, 9, 0.36, 1.3), (11, 13, 15, 0.48, 0.5)):
            t = rng.uniform(-0.1, spread) * s
            u = t + rng.uniform(-0.2, 0.9) * s
            k[mid + side] = k[root + side] + length * np.array([np.sin(t), np.cos(t)])
            k[end + side] = k[mid + side] + length * np.array([np.sin(u), np.cos(u)])
    t = rng.normal(0, 0.2)
    return k @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])


def draw(folder, count, seed, swapped=False):
    """`count` pictures with one figure each and persons.json; `swapped` labels left as right: a task that contradicts the first."""
    rng = np.random.default_rng(seed)
    os.makedirs(folder)
    photos, people = [], []
    for i in range(1, count + 1):
        tall = rng.uniform(90, 180)
        k = figure(rng) * tall / 2
        k += np.array([160, 120]) - (k.min(0) + k.max(0)) / 2 + rng.normal(0, 10, 2)
        image = Image.fromarray(rng.integers(0, 80, (12, 16, 3), np.uint8)).resize((320, 240), Image.BICUBIC)
        d = ImageDraw.Draw(image)
        for a, b in LIMBS:
            colour = BODY if a % 2 != b % 2 else WARM if a % 2 else COLD
            d.line([tuple(k[a]), tuple(k[b])], colour, int(tall / 16))
        r = tall / 14
        d.ellipse([*(k[0] - r), *(k[0] + r)], (230, 200, 170))
        for j, c in ((1, WARM), (2, COLD), (3, WARM), (4, COLD)):
            d.ellipse([*(k[j] - r / 4), *(k[j] + r / 4)], c)
        image.save(os.path.join(folder, f"{i}.png"))
        if swapped:
            k = k[[0] + [j + 1 if j % 2 else j - 1 for j in range(1, 17)]]
        lo, hi = k.min(0) - tall * 0.05, k.max(0) + tall * 0.05
        photos.append({"id": i, "file_name": f"{i}.png", "width": 320, "height": 240, "source": "drawn"})
        people.append({"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": [*lo.tolist(), *(hi - lo).tolist()],
                       "area": float(np.prod(hi - lo)) * 0.53, "num_keypoints": 17, "source": "drawn",
                       "keypoints": [float(v) for p in k for v in (*p, 2)]})
    with open(os.path.join(folder, "persons.json"), "w") as f:
        json.dump({"images": photos, "annotations": people, "categories": [{"id": 1, "name": "person"}]}, f)


def call(*command):
    print("$", " ".join(command), flush=True)
    r = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(r.stdout, flush=True)
    if r.returncode:
        sys.exit(f"{command[1]} ended with status {r.returncode}")
    return r.stdout


def python(script, *options):
    return call(sys.executable, os.path.join(HERE, script), *options)


def ap(text):
    """AP and PCK of the last EVAL line."""
    line = [x for x in text.splitlines() if "EVAL" in x][-1]
    return float(re.search(r"AP (\S+)", line)[1]), float(re.search(r"PCK (\S+)", line)[1])


def number(tree, name):
    """The first number of that name in limber's JSON, at any depth."""
    if isinstance(tree, dict):
        if isinstance(tree.get(name), (int, float)):
            return tree[name]
        tree = list(tree.values())
    found = (number(v, name) for v in tree) if isinstance(tree, list) else ()
    return next((v for v in found if v is not None), None)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--limber", metavar="BINARY", help="also measure with this program's eval command")
    p.add_argument("--keep-files", metavar="DIR", help="work here and leave everything")
    a = p.parse_args()
    python("test_gates.py")
    home = a.keep_files or tempfile.mkdtemp(prefix="limber-smoke-")
    at = lambda *x: os.path.join(home, *x)
    draw(at("train"), 400, 1)
    draw(at("test"), 60, 2)
    draw(at("swapped"), 200, 3, swapped=True)
    for name in ("train", "swapped"):
        python("data.py", at(name, "persons.json"), at(name), at("cache-" + name))

    test = ["--eval", at("test", "persons.json"), at("test")]
    one = ["--threads", "1"]
    small = [*one, "--dim", "64", "--depth", "3", "--heads", "2", "--share", "drawn=1", "--augment", "turn=10", "half_body=0", "occlude=0"]
    run = ["--run", at("run"), "--data", at("cache-train"), *test, *small, "--warm", "20", "--ema", "0.95", "--lr", "4e-3",
           "--stages", "0:128x96:16", "0.4:256x192:16"]
    start = python("train.py", *run, "--steps", "20")
    python("train.py", "--run", at("run"), "--export", at("before"))
    end = python("train.py", "--run", at("run"), "--resume", "--steps", "1000")
    python("train.py", "--run", at("run"), "--export", at("after"))
    losses = [[float(v) for v in m[1].split()] for m in re.finditer(r"loss ((?:[\d.]+ )+)norm", end)]
    (ap0, pck0), (ap1, pck1) = ap(start), ap(end)
    checks = {"cross-entropy fell (1: nothing learned)": losses[-1][0] < 0.6, "squared error fell": losses[-1][1] < 0.6,
              "PCK rose past 0.6": pck1 > max(0.6, pck0 + 0.3), "AP rose by 0.1": ap1 > ap0 + 0.1}

    mae = python("train.py", "--run", at("mae"), "--data", at("cache-train"), *small, "--mae", "--steps", "130", "--warm", "20",
                 "--stages", "0:256x192:16")
    painted = [float(m) for m in re.findall(r"loss ([\d.]+)", mae)]
    checks["masked autoencoder's loss fell"] = painted[-1] < 0.85 * painted[0]

    tune = [*one, "--init", at("after"), "--data", at("cache-swapped"), *test, "--share", "drawn=1", "--steps", "150", "--warm", "5",
            "--stages", "0:256x192:16", "--augment", "half_body=0", "occlude=0", "--ce", "0.5", "0.5", "1", "--ema", "0.9"]
    kept = ap(python("train.py", "--run", at("kept"), *tune, "--keep", at("cache-train")))[1]
    free = ap(python("train.py", "--run", at("free"), *tune))[1]
    print(f"fine-tuned on exchanged sides, PCK on the old task: {pck1:.3f} before, {kept:.3f} with --keep, {free:.3f} without")
    checks["--keep forgets less"] = kept > free + 0.1

    photos = ["--photos", f"{at('train', 'persons.json')}={at('train')}=1", "--eval", at("test", "persons.json"), at("test"),
              "--eval-source", "drawn"]
    find = [*one, "--task", "boxes", "--run", at("boxes"), "--init", at("after"), "--depth", "2", *photos, "--warm", "20", "--ema", "0.95",
            "--lr", "3e-3", "--edge-rate", "0.5", "--stages", "0:96x128:16"]
    recall = lambda text: float(re.findall(r"2: (\S+)", [x for x in text.splitlines() if "EVAL" in x][-1])[0])
    first = recall(python("train.py", *find, "--steps", "30"))
    last = recall(python("train.py", "--run", at("boxes"), "--resume", "--steps", "1000"))
    python("train.py", "--run", at("boxes"), "--export", at("finder"))
    print(f"figures found with two boxes a picture: {first:.3f}, then {last:.3f}")
    checks["boxes: most figures are found"] = last > max(0.6, first)
    with open(at("finder", "config.json")) as f:
        checks["boxes: the config names the task"] = json.load(f)["limber"]["task"] == "boxes"

    if a.limber:
        seen = []
        for model in ("before", "after"):
            call(a.limber, "eval", "--model", at(model), "--annotations", at("test", "persons.json"), "--images", at("test"), "--flip",
                 "--quiet", "--json", at(model, "eval.json"))
            with open(at(model, "eval.json")) as f:
                seen.append(number(json.load(f), "AP"))
        print(f"limber eval: AP {seen[0]:.3f} before, {seen[1]:.3f} after; the trainer says {ap0:.3f}, {ap1:.3f}")
        checks["limber eval rose"] = seen[1] > seen[0] + 0.1
        checks["limber eval agrees"] = abs(seen[1] - ap1) < 0.02
    for what, ok in checks.items():
        print("ok  " if ok else "FAIL", what)
    if not a.keep_files:
        shutil.rmtree(home)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
