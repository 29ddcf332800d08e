#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From photographs on disk to joints in a file: `limber run` and transformers' own pipeline, the same photographs and boxes, in turns.

    pip install torch torchvision transformers scipy pillow
    python bench/peers/end_to_end.py --limber build/limber --photos DIR --boxes persons.json
                                     [--case default B] [--threads 1 2] [--limit 16] [--rounds 5] [--starts 3] [--json FILE]

transformers (transformers_pipeline.py) is timed as a loop in a process that has imported, loaded and run everything before, and as a
command. limber is always a command that starts, reads and packs the weights, and ends. Three ratios, of the same precision:

    warm / warm          their loop / what limber took after its model was open (run.json says it; its memory is still untouched)
    warm / command       their loop / the whole of limber: the peer has its start for nothing
    command / command    both from start to finish, over the photographs and over one photograph

The loop runs as documented, one image with its people at a time, and with the number of images in a forward pass that was fastest
in a trial.

Before anything is timed joints are compared with the documented loop's in fp32, in pixels of the photograph: as they come, and once
more with every photograph decoded by Pillow and stored as PNG for limber, so that the JPEG decoder drops out of the comparison. fp32
must then agree within FP32_PIXELS, and bf16 must be no further off than PyTorch's own; otherwise nothing is timed. A mean is made by
few joints: where a heatmap has two maxima of nearly the same height, the least difference decides between places far apart.

Rounds: everybody once over all photographs, in an order that turns; ratios are taken within a round. --boxes are COCO annotations.
"""

import argparse, json, os, resource, subprocess, sys, tempfile, time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # an idle pool must not spin into the next contestant's turn

import numpy as np
import torch
from PIL import Image, ImageOps

from common import cpus, machine, make_checkpoint, ratio, spread
from transformers_pipeline import Pipeline

FP32_PIXELS = 0.05  # 99th percentile; limber writes two decimals
BF16_FACTOR = 1.25  # of the median and the 90th percentile of PyTorch's bf16
TRIALS = (2, 4, 8)  # images in a forward pass
HERE = os.path.dirname(os.path.abspath(__file__))


class Photos:
    """The photographs with people, as links in a folder of their own, and the same pixels as PNG in another."""

    def __init__(self, folder, boxes, limit, work):
        with open(boxes) as f:
            coco = json.load(f)
        person = [c["id"] for c in coco.get("categories", []) if c["name"] == "person"]
        people = {}
        for a in coco["annotations"]:
            if not a.get("iscrowd") and (not person or a["category_id"] in person):
                people.setdefault(a["image_id"], []).append([float(v) for v in a["bbox"]])
        found = {}
        for i in coco["images"]:
            name = os.path.basename(i["file_name"])
            paths = [os.path.join(folder, n) for n in (i["file_name"], name)]
            path = next((p for p in paths if os.path.isfile(p)), None)
            if path and i["id"] in people:
                found[name] = (os.path.abspath(path), people[i["id"]])
        names = sorted(found)
        names = names[:: max(1, len(names) // limit)][:limit] if limit else names  # from all over the folder
        if not names:
            sys.exit(f"{boxes}: none of its photographs with people is below {folder}")
        self.folder, self.png, self.items = os.path.join(work, "photos"), os.path.join(work, "png"), []
        os.makedirs(self.folder)
        os.makedirs(self.png)
        for name in names:
            os.symlink(found[name][0], os.path.join(self.folder, name))
            image = ImageOps.exif_transpose(Image.open(found[name][0])).convert("RGB")
            image.save(os.path.join(self.png, name + ".png"), compress_level=1)
            self.items.append((name, found[name][1]))
        self.people = sum(len(b) for _, b in self.items)
        self.boxes = self.write_boxes(os.path.join(work, "boxes.jsonl"), self.items)
        self.png_boxes = self.write_boxes(os.path.join(work, "png.jsonl"), [(n + ".png", b) for n, b in self.items])
        self.one_boxes = self.write_boxes(os.path.join(work, "one.jsonl"), self.items[:1])

    @staticmethod
    def write_boxes(path, items):
        with open(path, "w") as f:
            f.writelines(json.dumps({"image": n, "boxes": b}) + "\n" for n, b in items)
        return path


def timed_command(command):
    """Wall and processor seconds of a command, from start to finish."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} ...: status {done.returncode}\n{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Limber:
    name = "limber run"

    def __init__(self, args, model, precision, threads, work):
        self.command = [args.limber, "run", "--model", model, "--backend", "cpu", "--precision", precision, "--threads", str(threads), "--quiet"]
        self.out = os.path.join(work, f"limber-{precision}")

    def start(self, photos, folder=None, boxes=None):
        return timed_command([*self.command, folder or photos.folder, "--boxes", boxes or photos.boxes, "--out", self.out])

    def start_one(self, photos):
        return self.start(photos, os.path.join(photos.folder, photos.items[0][0]), photos.one_boxes)

    def about(self):
        with open(os.path.join(self.out, "run.json")) as f:
            return json.load(f)

    def run(self, photos):
        """Seconds with the model open, of all processors, and of the whole command."""
        wall, cpu = self.start(photos)
        return self.about()["seconds"]["total"], cpu, wall

    def joints(self):
        self.precision = self.about()["precision"]  # what auto chose
        with open(os.path.join(self.out, "poses.jsonl")) as f:
            people = [p for line in f for p in json.loads(line)["people"]]
        return np.array([list(p["keypoints"].values()) for p in people])


class Transformers:
    def __init__(self, args, model, precision, threads, batch, work):
        self.precision, self.threads, self.batch, self.model = precision, threads, batch, model
        self.name = "transformers, 1 image" if batch == 1 else f"transformers, {batch} images"
        self.out = os.path.join(work, f"transformers-{precision}-{batch}.jsonl")
        self.pipeline = Pipeline(model, precision)

    def run(self, photos, items=None):
        torch.set_num_threads(self.threads)
        start, cpu = time.perf_counter(), time.process_time()
        self.pipeline.run(photos.folder, items or photos.items, self.out, self.batch)
        wall = time.perf_counter() - start
        return wall, time.process_time() - cpu, wall

    def start(self, photos, boxes=None):
        return timed_command([sys.executable, os.path.join(HERE, "transformers_pipeline.py"), self.model, photos.folder, boxes or photos.boxes,
                              self.out, "--precision", self.precision, "--batch", str(self.batch), "--threads", str(self.threads)])

    def start_one(self, photos):
        return self.start(photos, photos.one_boxes)

    def joints(self):
        with open(self.out) as f:
            return np.array([p for line in f for p in json.loads(line)["people"]])


def contestants(args, model, threads, photos, work):
    ours, theirs = [], []
    for precision in ("fp32", "auto"):
        c = Limber(args, model, precision, threads, work)
        c.run(photos)
        c.joints()
        if c.precision not in [o.precision for o in ours]:
            ours.append(c)
    for precision in ("fp32", "bf16"):
        one = Transformers(args, model, precision, threads, 1, work)
        one.run(photos, photos.items[:2])  # warm
        trial = photos.items[: max(TRIALS)]
        best, best_time = one, one.run(photos, trial)[0]
        for batch in (b for b in TRIALS if b <= len(trial)):
            c = Transformers(args, model, precision, threads, batch, work)
            c.pipeline = one.pipeline
            took = c.run(photos, trial)[0]
            if best is one or took < best_time:  # the fastest of the batched ones, even where none beats one image
                best, best_time = c, took
        theirs += [one] if best is one else [one, best]
    return ours + theirs


def distances(joints, truth):
    return np.hypot(*(joints - truth)[..., :2].transpose(2, 0, 1)).ravel()


def verify(everybody, photos):
    """Prints how far everybody's joints are from the documented loop's in fp32; ends the program where they are wrong."""
    truth = next(c for c in everybody if (c.precision, getattr(c, "batch", 0)) == ("fp32", 1))
    truth.run(photos)
    expected, heading = truth.joints(), f"{'median':>8}{'mean':>8}{'p99':>8}{'> 1 px':>8}"
    print(f"\n  {'pixels of the photograph':<29}{'as they come':^32} |{'with the same decoded pixels':^32}\n  {'':<29}{heading} |{heading}")
    for c in everybody:
        c.run(photos)
        joints = c.joints()
        if joints.shape != expected.shape:
            sys.exit(f"{c.name} {c.precision}: joints {joints.shape}, expected {expected.shape}")
        c.off = c.same = distances(joints, expected)
        if isinstance(c, Limber):
            c.start(photos, photos.png, photos.png_boxes)
            c.same = distances(c.joints(), expected)
        columns = " |".join(f"{np.median(d):>8.3f}{d.mean():>8.3f}{np.percentile(d, 99):>8.2f}{100 * np.mean(d > 1):>7.1f}%" for d in (c.off, c.same))
        print(f"  {c.name:<24}{c.precision:<5}{columns}", flush=True)
    bf16 = next(c.same for c in everybody if isinstance(c, Transformers) and c.precision == "bf16")
    for c in everybody:
        limits = [(99, FP32_PIXELS)] if c.precision == "fp32" else [(q, BF16_FACTOR * np.percentile(bf16, q)) for q in (50, 90)]
        for q, limit in limits:
            if not np.percentile(c.same, q) <= limit:
                sys.exit(f"{c.name} {c.precision}: {q} % of the joints within {np.percentile(c.same, q):.3g} pixels, expected {limit:.3g}: not timed")


def in_turns(everybody, count, call):
    """[contestant] -> the lists over rounds of what call(contestant) returns."""
    times = {c: [] for c in everybody}
    for r in range(count):
        k = r % len(everybody)
        for c in everybody[k:] + everybody[:k]:
            times[c].append(call(c))
    return {c: list(zip(*t)) for c, t in times.items()}


def optional(ratio_or_none):
    return f"{'' if ratio_or_none is None else f'{ratio_or_none:.2f}':>8}"


def report(everybody, photos, loops, starts, ones, load):
    n, people = len(photos.items), photos.people
    limber = {c.precision: c for c in everybody if isinstance(c, Limber)}
    print("\n  median over rounds (lowest to highest; of more than ten rounds 10th to 90th percentile); limber's processor time is with its start; "
          f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after\n")
    print(f"  {'':<29}|{'a pass, warm':^52}|{'warm / limber':^18}|{'as a command, s':^30}|{'one photograph, s':^30}")
    print(f"  {'':<29}|{'photos/s':>9}{'people/s':>9}{'ms a person':>24}{'cpu ms':>10}"
          f"|{'warm':>8}{'command':>9} |{'':>20}{'/ limber':>10}|{'':>20}{'/ limber':>10}")
    rows = []
    for c in everybody:
        warm, cpu, _ = loops[c]
        middle, low, high = spread(warm)
        own = limber.get(c.precision)
        row = dict(name=c.name, precision=c.precision, off_median=float(np.median(c.off)), off_mean=float(c.off.mean()),
                   off_p99=float(np.percentile(c.off, 99)), same_pixels_p99=float(np.percentile(c.same, 99)), photographs_s=n / middle,
                   people_s=people / middle, ms_person=1e3 * middle / people, ms_p10=1e3 * low / people, ms_p90=1e3 * high / people,
                   cpu_ms_person=1e3 * spread(cpu)[0] / people, warm_warm=ratio(warm, loops[own][0]) if own else None,
                   warm_command=ratio(warm, loops[own][2]) if own and c is not own else None)
        for what, times in (("start", starts), ("one", ones)):
            if c in times:
                row[what + "_s"] = spread(times[c][0])
                row[what + "_ratio"] = ratio(times[c][0], times[own][0]) if own else None
        rows.append(row)

        def seconds(what):
            if what + "_s" not in row:
                return " " * 30
            middle, low, high = row[what + "_s"]
            return f"{f'{middle:.3f} ({low:.2f}-{high:.2f})':>20}{optional(row[what + '_ratio']):>10}"

        ms = f"{row['ms_person']:.2f} ({row['ms_p10']:.2f}-{row['ms_p90']:.2f})"
        print(f"  {c.name:<24}{c.precision:<5}|{row['photographs_s']:>9.2f}{row['people_s']:>9.2f}{ms:>24}{row['cpu_ms_person']:>10.2f}"
              f"|{optional(row['warm_warm'])}{optional(row['warm_command']):>9} |{seconds('start')}|{seconds('one')}")
    sys.stdout.flush()
    return rows


def compare(args, case, model, threads, photos, work):
    print(f"\n{case}, {threads} thread{'s' * (threads > 1)}: {len(photos.items)} photographs, {photos.people} people; "
          f"{args.rounds} rounds, {args.starts} starts", flush=True)
    everybody = contestants(args, model, threads, photos, work)
    verify(everybody, photos)
    load = os.getloadavg()[0]
    loops = in_turns(everybody, args.rounds, lambda c: c.run(photos))
    # As a command: of transformers the way that was faster, in each precision.
    best = {}
    for c in everybody:
        if isinstance(c, Transformers) and (c.precision not in best or ratio(loops[c][0], loops[best[c.precision]][0]) < 1):
            best[c.precision] = c
    starters = [c for c in everybody if isinstance(c, Limber) or c in best.values()]
    starts = in_turns(starters, args.starts, lambda c: c.start(photos))
    ones = in_turns(starters, args.starts, lambda c: c.start_one(photos))
    return dict(case=case, threads=threads, photographs=len(photos.items), people=photos.people, load=load,
                rows=report(everybody, photos, loops, starts, ones, load))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--limber", required=True, help="the command to compare with")
    p.add_argument("--photos", required=True, help="the folder below which --boxes has its images")
    p.add_argument("--boxes", required=True, help="COCO annotations")
    p.add_argument("--case", nargs="+", default=["default", "B"], choices=["default", "S", "B", "L"])
    p.add_argument("--threads", nargs="+", type=int, default=sorted({1, cpus()}))
    p.add_argument("--limit", type=int, default=16, help="photographs; 0: all")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--starts", type=int, default=3, help="rounds of start to finish")
    p.add_argument("--json", help="the rows, once more")
    args = p.parse_args()
    import transformers

    transformers.utils.logging.disable_progress_bar()
    print(f"{machine()}\ntorch {torch.__version__}, transformers {transformers.__version__}")
    results = []
    with tempfile.TemporaryDirectory() as work:
        photos = Photos(args.photos, args.boxes, args.limit, work)
        for case in args.case:
            model, _ = make_checkpoint(case, work)
            for threads in args.threads:
                results.append(compare(args, case, model, threads, photos, work))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(dict(machine=machine(), torch=torch.__version__, transformers=transformers.__version__, results=results), f, indent=1)


if __name__ == "__main__":
    main()
