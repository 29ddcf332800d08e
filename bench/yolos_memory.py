#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The most memory that is held while YOLOS-base finds the people of a picture, as the picture grows: linear in its tokens.

    pip install torch transformers
    LIMBER_LIBRARY=build/liblimber.so PYTHONPATH=bindings/python python bench/yolos_memory.py [--precision fp32 bf16] [--size 256x432 ... 800x1328]

Random weights in the published geometry (768 wide, 12 heads, 12 layers, positions of 800x1344 pixels and of every layer). For each size the
processor's edges are set to the picture's, so that a pass has height / 16 * width / 16 + 101 tokens. A process of its own opens the
detector, sets the system's mark of its resident memory back (/proc/self/clear_refs) and finds; the mark is read then. "a token" is what
each token more than in the first row has added: constant where memory is linear, but for the pages of 2 MB that buffers lie on. "scores" is
what the attention of one layer would take if it wrote its scores down.
"""

import argparse, os, re, subprocess, sys, tempfile

import numpy as np
import torch
from transformers import YolosConfig, YolosForObjectDetection
from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

from peers.common import REPO, machine

sys.path.insert(0, os.path.join(REPO, "tools"))
import golden_yolos

HEADS = 12


def make_base(path):
    labels = ["N/A", "person"] + [f"label {i}" for i in range(2, 91)]
    config = YolosConfig(image_size=[800, 1344], use_mid_position_embeddings=True, num_attention_heads=HEADS, num_detection_tokens=100,
                         id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)})
    torch.manual_seed(1)
    model = YolosForObjectDetection(config)
    golden_yolos.spread(model, 1)
    model.save_pretrained(path)
    return sum(p.numel() for p in model.parameters())


CHILD = """
import sys
import numpy as np
from limber import Model

def mark():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))

picture = np.load(sys.argv[2])
model = Model(detector=sys.argv[1], backend="cpu", precision=sys.argv[3], threads=int(sys.argv[4]))
opened = mark()
open("/proc/self/clear_refs", "w").write("5")
model.find(picture)
print("held", opened, mark())
"""


def held(*arguments):
    """Bytes: the mark when everything is open, and of finding."""
    said = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True)
    found = re.search(r"^held (\d+) (\d+)$", said.stdout, re.M)
    if not found:
        sys.exit(said.stderr)
    return [int(v) * 1024 for v in found.groups()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--size", nargs="+", default=["256x432", "400x656", "512x672", "512x848", "640x1056", "800x1328"], metavar="HxW",
                        help="multiples of 16")
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, picture = os.path.join(folder, "yolos-base"), os.path.join(folder, "picture.npy")
        print(f"{machine()}, {a.threads} threads; {make_base(path) / 1e6:.0f} million weights")
        for precision in a.precision:
            print(f"\n| {precision}: picture | tokens | peak memory | a token | scores |\n|---|---|---|---|---|")
            first = None
            for size in a.size:
                height, width = (int(v) for v in size.split("x"))
                YolosImageProcessorPil(size={"shortest_edge": min(height, width), "longest_edge": max(height, width)}).save_pretrained(path)
                np.save(picture, golden_yolos.picture((height, width), np.random.default_rng(1)))
                opened, peak = held(path, picture, precision, str(a.threads))
                tokens = height // 16 * (width // 16) + 101
                first = first or (tokens, peak)
                each = f"{(peak - first[1]) / (tokens - first[0]) / 1e3:.0f} KB" if tokens != first[0] else ""
                print(f"| {size} | {tokens:,} | {peak / 1e6:.0f} MB | {each} | {4 * HEADS * tokens**2 / 1e6:.0f} MB |", flush=True)
            print(f"\nWhile it was opened: {opened / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
