#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From photographs to joints with transformers, as its documentation of ViTPose does it: what end_to_end.py compares limber with,
in a loop that is warm and as a command that starts.

    python transformers_pipeline.py MODEL FOLDER BOXES OUT [--precision fp32|bf16] [--batch IMAGES] [--threads N]

BOXES and OUT are JSON Lines: {"image": NAME, "boxes": [[x, y, width, height]...]} and {"image": NAME, "people": [[[x, y, score]...]...]}.
The documentation takes one image with all its people at a time (--batch 1); more images may share a forward pass.
"""

import argparse, json, os

import torch
from PIL import Image, ImageOps
from transformers import AutoProcessor, VitPoseForPoseEstimation

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Pipeline:
    def __init__(self, model, precision):
        self.dtype = DTYPES[precision]
        self.processor = AutoProcessor.from_pretrained(model)
        self.model = VitPoseForPoseEstimation.from_pretrained(model, dtype=self.dtype).eval()

    def group(self, images, boxes):
        """People of some images: [image][person] -> dict of keypoints and scores."""
        inputs = self.processor(images, boxes=boxes, return_tensors="pt").to(self.dtype)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        outputs.heatmaps = outputs.heatmaps.float()  # numpy, which comes next, has no bf16
        return self.processor.post_process_pose_estimation(outputs, boxes=boxes)

    def run(self, folder, items, out, batch):
        """items: [(name, boxes)...]. Writes a line an image, in order."""
        with open(out, "w") as f:
            for i in range(0, len(items), batch):
                part = items[i : i + batch]
                images = [ImageOps.exif_transpose(Image.open(os.path.join(folder, name))).convert("RGB") for name, _ in part]
                busy = [k for k, (_, boxes) in enumerate(part) if boxes]
                found = self.group([images[k] for k in busy], [part[k][1] for k in busy]) if busy else []
                people = dict(zip(busy, found))
                for k, (name, _) in enumerate(part):
                    joints = [torch.cat([p["keypoints"], p["scores"][:, None]], 1).tolist() for p in people.get(k, [])]
                    f.write(json.dumps({"image": name, "people": joints}) + "\n")


def read_boxes(path):
    with open(path) as f:
        return [(d["image"], d["boxes"]) for d in map(json.loads, f)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("folder")
    p.add_argument("boxes")
    p.add_argument("out")
    p.add_argument("--precision", choices=DTYPES, default="fp32")
    p.add_argument("--batch", type=int, default=1, help="images in a forward pass")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    Pipeline(a.model, a.precision).run(a.folder, read_boxes(a.boxes), a.out, a.batch)


if __name__ == "__main__":
    main()
