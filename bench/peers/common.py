# SPDX-License-Identifier: MIT
"""What the comparisons share: checkpoints to compare with, the machine's name, order statistics."""

import json, os, platform, statistics

import numpy as np

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHAPES = {"S": (384, 12, 12), "B": (768, 12, 12), "L": (1024, 24, 16)}  # width, layers, heads
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def make_checkpoint(case, folder):
    """The model of a case, as a directory and as a torch module: the default model, or ViTPose's shape (classic head) with random
    weights, saved by transformers."""
    import torch
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    if case == "default":
        path = os.path.join(REPO, "data", "limber-s")
        return path, VitPoseForPoseEstimation.from_pretrained(path, dtype=torch.float32).eval()
    torch.manual_seed(1)
    dim, layers, heads = SHAPES[case]
    backbone = VitPoseBackboneConfig(hidden_size=dim, num_hidden_layers=layers, num_attention_heads=heads, layer_norm_eps=1e-6,
                                     out_features=[f"stage{layers}"], out_indices=[layers])
    names = {i: f"joint_{i}" for i in range(17)}
    config = VitPoseConfig(backbone_config=backbone, use_simple_decoder=False, id2label=names, label2id={v: k for k, v in names.items()})
    model = VitPoseForPoseEstimation(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():  # livelier than the initial 0.02: attention that attends
            if p.dim() > 1 and "position" not in name:
                p.normal_(0, 1 / np.sqrt(p[0].numel()))
    path = os.path.join(folder, case)
    model.save_pretrained(path)
    processor = {"image_processor_type": "VitPoseImageProcessor", "image_mean": MEAN.tolist(), "image_std": STD.tolist(),
                 "rescale_factor": 1 / 255, "do_rescale": True, "do_normalize": True, "do_affine_transform": True, "normalize_factor": 200.0,
                 "size": {"height": 256, "width": 192}}
    with open(os.path.join(path, "preprocessor_config.json"), "w") as f:
        json.dump(processor, f)
    return path, model


def cpus():
    return len(os.sched_getaffinity(0))


def machine():
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    return f"{cpu}, {cpus()} CPUs usable, Linux {platform.release()}"


def spread(values):
    """Median, 10th and 90th percentile (of up to ten values: the lowest and the highest)."""
    v = sorted(values)
    k = (len(v) - 1) // 10
    return statistics.median(v), v[k], v[len(v) - 1 - k]


def ratio(theirs, ours):
    """Median over rounds: within one, a machine that slows down slows both."""
    return statistics.median(t / o for t, o in zip(theirs, ours))
