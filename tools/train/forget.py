# SPDX-License-Identifier: MIT
"""What it costs to learn something new: a pose network learns people who hang upside down, and forgets those who stand.

    python3 forget.py --init data/limber-s --train persons.json FOLDER --test persons.json FOLDER --limber build/limber --work DIR

The same photographs turned by 180 degrees are the new task, so old and new differ by nothing else. Every arm starts from --init, sees
the same turned crops in the same order for the same number of steps at the same rate, and is held back from forgetting in its own way:
not at all; by training the matrices of linear layers alone; by keeping their updates orthogonal to what they see of upright people (gradient
projection memory, at several energies); by a pull back to the start. Measured for each seed: AP on upright and on turned people
(`limber eval`, true boxes), and by head how far attention to upright people has moved (`limber drift`, nats).
Ends with a Markdown table, means and standard deviations over the seeds; an arm that is there already is not trained again.
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys

import torch
from PIL import Image

import data
import model
import train

HERE = os.path.dirname(os.path.abspath(__file__))
ENERGIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)     # shares of the old inputs' energy that updates may not touch
PULLS = (100,)                                  # shares of the way back a step, over the rate


def arms(old):
    yield "free", []
    yield "rest frozen", ["--freeze-rest"]
    for e in ENERGIES:
        yield f"projected, energy {e:g}", ["--keep", old, "--keep-energy", str(e)]
    for w in PULLS:
        yield f"L2 to start, {w}", ["--anchor", str(w)]


def subset(annotations, source, people=None):
    """The first photographs of a source (by prefix) that hold `people` people in all; None: all of them."""
    with open(annotations) as f:
        j = json.load(f)
    count, images = collections.Counter(a["image_id"] for a in j["annotations"]), set()
    left = people
    for i in j["images"]:
        if i.get("source", "").startswith(source) and (left is None or left > 0):
            images.add(i["id"])
            left = None if left is None else left - count[i["id"]]
    return dict(j, images=[i for i in j["images"] if i["id"] in images],
                annotations=[a for a in j["annotations"] if a["image_id"] in images])


def turned(j, images, out):
    """Photographs and labels turned by 180 degrees; a left arm stays a left arm. Coordinates are of pixel corners for boxes, of pixel
    centres for joints, as COCO has them."""
    size = {}
    os.makedirs(os.path.join(out, "images"), exist_ok=True)
    for n, i in enumerate(j["images"]):
        name = os.path.join("images", f"{n}.png")
        with Image.open(os.path.join(images, i["file_name"])) as photo:
            photo = photo.convert("RGB")
            size[i["id"]] = i["width"], i["height"] = photo.size
            photo.transpose(Image.ROTATE_180).save(os.path.join(out, name), compress_level=1)
        i["file_name"] = name
    for a in j["annotations"]:
        w, h = size[a["image_id"]]
        x, y, bw, bh = a["bbox"]
        a["bbox"] = [w - x - bw, h - y - bh, bw, bh]
        k = a["keypoints"]
        for at in range(0, len(k), 3):
            if k[at + 2] > 0:
                k[at], k[at + 1] = w - 1 - k[at], h - 1 - k[at + 1]
    path = os.path.join(out, "persons.json")
    with open(path, "w") as f:
        json.dump(j, f)
    return path, out


def call(*command, log):
    with open(log, "w") as f:
        if subprocess.run(command, stdout=f, stderr=subprocess.STDOUT).returncode:
            sys.exit(f"{' '.join(command[:3])} failed: see {log}")


def overlap(init, old, new, energy):
    """Share of what the new task puts into the linear layers that lies in the old one's protected directions: mean over the layers."""
    shares = []
    net = model.load(init)
    def inputs(cache):
        mix = data.Mixture([data.Cache(cache)], {"": 1})
        return [data.batch(*mix.draw(32), aug=None)[0] for _ in range(4)]
    guard = train.Protected(net, net, inputs(old), energy)
    spread = train.Protected(net, net, inputs(new), 1.0)
    for (_, u, _), m in zip(guard.items, spread.moments):
        shares.append((torch.trace(u.T @ m @ u) / torch.trace(m)).item())
    return statistics.mean(shares)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--init", required=True, help="the model that learns, in the Hugging Face layout")
    p.add_argument("--train", nargs=2, required=True, metavar=("JSON", "FOLDER"))
    p.add_argument("--test", nargs=2, required=True, metavar=("JSON", "FOLDER"))
    p.add_argument("--limber", required=True)
    p.add_argument("--work", required=True, help="holds the runs; goes on where it stopped")
    p.add_argument("--people", type=int, default=800, help="to learn from")
    p.add_argument("--drift-people", type=int, default=60, help="of the test, for the drift")
    p.add_argument("--steps", type=int, default=60)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--lr", type=float, default=4e-4)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--source", default="coco", help="photographs of both files whose source begins so")
    p.add_argument("--size", default="192x144", help="HxW of the network's picture, in learning and in every measure")
    a = p.parse_args()
    at = lambda *parts: os.path.join(a.work, *parts)
    os.makedirs(a.work, exist_ok=True)

    if not os.path.exists(at("ready")):
        old = subset(a.train[0], a.source, a.people)
        with open(at("train.json"), "w") as f:
            json.dump(old, f)
        data.make_cache(at("train.json"), a.train[1], at("old"), threads=a.threads)
        data.make_cache(*turned(old, a.train[1], at("turned-train")), at("new"), threads=a.threads)
        turned(subset(a.test[0], a.source), a.test[1], at("turned-test"))
        for name, people in (("test.json", None), ("drift.json", a.drift_people)):
            with open(at(name), "w") as f:
                json.dump(subset(a.test[0], a.source, people), f)
        open(at("ready"), "w").close()

    def judged(folder, name):
        """AP upright, AP turned, and by head the drift, of the model in `folder`."""
        out = at("results", name)
        if not os.path.exists(out + "-new.json"):
            os.makedirs(at("results"), exist_ok=True)
            for what, (annotations, images) in (("old", (at("test.json"), a.test[1])), ("new", (at("turned-test", "persons.json"), at("turned-test")))):
                call(a.limber, "eval", "--annotations", annotations, "--images", images, "--model", folder, "--flip", "--quiet",
                     "--input", a.size, "--threads", str(a.threads), "--json", f"{out}-{what}.json", log=f"{out}-{what}.log")
        ap = []
        for what in ("old", "new"):
            with open(f"{out}-{what}.json") as f:
                ap.append(json.load(f)["all"]["AP"])
        if not os.path.exists(os.path.join(out, "drift.json")):
            names = {i["file_name"] for i in subset(a.test[0], a.source, a.drift_people)["images"]}
            call(a.limber, "drift", a.init, folder, *(os.path.join(a.test[1], n) for n in sorted(names)), "--annotations",
                 at("drift.json"), "--bootstrap", "10", "--input", a.size, "--threads", str(a.threads), "--out", out, log=out + "-drift.log")
        with open(os.path.join(out, "drift.json")) as f:
            heads = {(h["layer"], h["head"]): h["total"][0] for h in json.load(f)["heads"]}
        return ap, heads

    print(f"{overlap(a.init, at('old'), at('new'), 0.95):.0%} of what turned people put into the layers lies in the directions that "
          "hold 95 % of what upright people do\n", flush=True)
    print("| arm | AP upright | AP turned | mean drift, nats | heads that moved most |\n|---|---|---|---|---|")
    (old, new), _ = judged(a.init, "start")
    print(f"| before | {old:.3f} | {new:.3f} | 0 | |", flush=True)
    for name, options in arms(at("old")):
        rows, moved = [], {}
        for seed in range(a.seeds):
            run = at("runs", f"{name.replace(' ', '_')}-{seed}")
            if not os.path.exists(os.path.join(run, "model", "model.safetensors")):
                os.makedirs(run, exist_ok=True)
                trainer = [sys.executable, os.path.join(HERE, "train.py"), "--run", run]
                call(*trainer, "--init", a.init, "--data", at("new"), "--share", "=1", "--steps", str(a.steps), "--seed", str(seed),
                     "--stages", f"0:{a.size}:{a.batch}", "--lr", str(a.lr), "--warm", "10", "--decay", "0.5", "--ema", "0.9",
                     "--weight-decay", "0", "--ce", ".5", ".5", "1", "--threads", str(a.threads), *options, log=run + ".log")
                call(*trainer, "--export", os.path.join(run, "model"), "--export-dtype", "f32", log=run + "-export.log")
            ap, heads = judged(os.path.join(run, "model"), os.path.basename(run))
            rows.append((*ap, statistics.mean(heads.values())))
            for h, v in heads.items():
                moved[h] = moved.get(h, 0) + v / a.seeds
        def cell(i, form=".3f"):
            v = [r[i] for r in rows]
            return f"{statistics.mean(v):{form}} ± {statistics.stdev(v) if len(v) > 1 else 0:{form}}"
        worst = sorted(moved, key=moved.get, reverse=True)[:3]
        print(f"| {name} | {cell(0)} | {cell(1)} | {cell(2, '.4f')} | "
              f"{', '.join(f'{l}.{h} ({moved[l, h]:.2g})' for l, h in worst)} |", flush=True)


if __name__ == "__main__":
    main()
