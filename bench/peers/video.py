#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same film through PyAV and transformers' ViTPose, and through limber: processor time by stage, in turns.

    pip install av torch transformers numpy
    python bench/peers/video.py --limber build/limber --film clip.mp4 [--model data/limber-s] [--frames 60]

limber looks for people as well; the peer is given limber's boxes, and its detector costs nothing. Joints are compared before anything
is timed. limber's stages are differences between runs, since they run beside each other: of a run that follows people from frame to
frame, one that looks for them in each frame, and one that also draws and encodes."""
import argparse, json, os, resource, subprocess, sys, tempfile, time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import av
import numpy as np
import torch
from transformers import AutoProcessor, VitPoseForPoseEstimation


def limber(a, *options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([a.limber, "run", a.film, "--quiet", "--threads", "1", "--precision", a.precision, *options], stdout=subprocess.PIPE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, lines


def peer(a, model, processor, lines):
    stages = dict.fromkeys(("decode", "crop", "forward", "joints"), 0.0)
    joints = []
    mark = time.process_time()

    def stage(name):
        nonlocal mark
        now = time.process_time()
        stages[name] += now - mark
        mark = now

    with av.open(a.film) as film, torch.inference_mode():
        film.streams.video[0].thread_count = 1
        for frame, line in zip(film.decode(video=0), lines):
            rgb = frame.to_ndarray(format="rgb24")
            stage("decode")
            boxes = [p["box"] for p in line["people"]]
            if boxes:
                inputs = processor(rgb, boxes=[boxes], return_tensors="pt")
                stage("crop")
                out = model(**inputs)
                stage("forward")
                found = processor.post_process_pose_estimation(out, boxes=[boxes])[0]
                joints.append([f["keypoints"].numpy() for f in found])
                stage("joints")
    return stages, joints


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--limber", required=True)
    p.add_argument("--film", required=True)
    p.add_argument("--model", default="data/limber-s")
    p.add_argument("--to", default="2")
    p.add_argument("--precision", default="fp32")
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    torch.set_num_threads(1)
    processor, model = AutoProcessor.from_pretrained(a.model), VitPoseForPoseEstimation.from_pretrained(a.model).float().eval()
    cut = ["--to", a.to]
    _, lines = limber(a, *cut)
    _, joints = peer(a, model, processor, lines)
    apart = [np.linalg.norm(np.array([k[:2] for k in q["keypoints"].values()]) - j, axis=-1)
             for line, f in zip([x for x in lines if x["people"]], joints) for q, j in zip(line["people"], f)]
    apart = np.concatenate(apart)
    n = len(lines)
    print(f"{n} frames, {sum(len(x['people']) for x in lines) / n:.1f} people a frame; joints apart: median {np.median(apart):.3f} px, "
          f"95 % {np.quantile(apart, .95):.2f} px", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as d:
        for i in range(a.rounds):
            follow = limber(a, *cut, "--detect-every", "1000")[0]
            look = limber(a, *cut)[0]
            drawn = limber(a, *cut, "--overlay", "--out", f"{d}/{i}")[0]
            bare = limber(a, "--to", "0.001")[0]
            stages, _ = peer(a, model, processor, lines)
            rows.append([follow - bare, look - bare, drawn - bare, *stages.values()])
            print(np.round(1000 * np.array(rows[-1]) / n, 1), file=sys.stderr, flush=True)
    follow, look, drawn, decode, crop, forward, joint = 1000 * np.median(rows, axis=0) / n
    total = decode + crop + forward + joint
    print("| ms of processor time a frame | limber | PyAV + transformers |\n|---|---|---|")
    print(f"| decode and convert | | {decode:.1f} |\n| crop, forward, joints | | {crop:.1f} + {forward:.1f} + {joint:.1f} |")
    print(f"| all of it, boxes known | {follow:.1f} | {total:.1f} |\n| looking for people | {look - follow:.1f} | |")
    print(f"| drawing and encoding | {drawn - look:.1f} | |\n| frames a second, one thread, boxes known | {1000 / follow:.1f} | {1000 / total:.1f} |")


if __name__ == "__main__":
    main()
