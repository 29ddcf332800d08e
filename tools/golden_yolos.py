# SPDX-License-Identifier: MIT
"""Frozen answers of transformers' YOLOS, for tests/pose/test_yolos.c: called by make_golden.py.

CASE/config.json, model*.safetensors, preprocessor_config.json are written by transformers' own save_pretrained;
CASE/golden.safetensors holds for each picture PICTURE.image (uint8), .pixels (the processor's uint8 picture, before
normalising), .logits, .boxes (the model's) and .found (x0, y0, x1, y1, score of the label "person", best first); and
bf16.errors, fp16.errors, int8.errors: how far transformers is from that when it computes so itself (low_precision).

Weights are random with the spread of trained ones (attention logits of standard deviation one to two, positions that
matter, detection tokens that differ): at an initialiser's 0.02 every detection would be the same.
"""

import json, os, shutil

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import YolosConfig, YolosForObjectDetection
from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

LABELS = ["N/A", "person", "N/A", "car", "tuba"]

# image_size is the grid of the position embeddings; size what pictures become. Pictures are height x width.
CASES = {
    "yolos-mid": dict(
        seed=3,
        dim=32,
        heads=2,
        layers=3,
        mlp=64,
        mid=True,
        image_size=(64, 96),
        size={"shortest_edge": 48, "longest_edge": 100},
        detections=12,
        pictures={"landscape": (50, 83), "portrait": (97, 61), "exact": (48, 70), "clamped": (30, 160), "tower": (170, 40)},
    ),
    "yolos-plain": dict(
        seed=5,
        dim=48,
        heads=3,
        layers=2,
        mlp=96,
        mid=False,
        image_size=(80, 128),
        size={"shortest_edge": 100, "longest_edge": 160},
        detections=17,
        shard="60KB",
        pictures={"landscape": (120, 150), "square": (64, 64)},
    ),
}


def picture(shape, rng):
    h, w = shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    smooth = [128 + 90 * np.sin(x / (5 + 3 * c) + c) * np.cos(y / (7 + 2 * c)) for c in range(3)]
    return np.clip(np.stack(smooth, -1) + rng.normal(0, 20, (h, w, 3)), 0, 255).astype(np.uint8)


def spread(model, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.copy_(torch.randn(p.shape, generator=g) * 0.1 + (1 if "norm" in name and "weight" in name else 0))
            elif "position" in name or "token" in name:
                p.copy_(torch.randn(p.shape, generator=g) * 0.6)
            else:
                fan_in = p[0].numel()
                gain = 2.0 if "query" in name or "key" in name else 1.2
                p.copy_(torch.randn(p.shape, generator=g) * gain / fan_in**0.5)


class Int8Linear(torch.nn.Module):
    """A linear layer of 8-bit operands in plain arithmetic: weights on 127 steps either side by output column, what comes in on 256
    steps a token with 0 on the grid, the sum exact (src/compute/cpu/quantise.h says the same in C)."""

    def __init__(self, linear):
        super().__init__()
        self.step = linear.weight.abs().amax(1).clamp_min(1e-30).double() / 127
        self.weight = (linear.weight.double() / self.step[:, None]).round()
        self.bias = linear.bias.double()

    def forward(self, x):
        v = x.double()
        low, high = v.amin(-1, keepdim=True).clamp_max(0), v.amax(-1, keepdim=True).clamp_min(0)
        step = (high - low).clamp_min(1e-30) / 255
        zero = (-low / step).round()
        q = ((v / step).round() + zero).clamp(0, 255) - zero
        return (q @ self.weight.T * step * self.step + self.bias).to(x.dtype)


def low_precision(path, name, inputs, exact):
    """Root mean square of the error over all pictures' logits, and over all their boxes. int8: the blocks' linear layers are of 8-bit
    operands and everything else is bf16, as limber has it."""
    model = YolosForObjectDetection.from_pretrained(path).eval()
    if name == "int8":
        for layer in model.vit.encoder.layer:
            for parent, child in [(m, n) for m in layer.modules() for n, c in m.named_children() if isinstance(c, torch.nn.Linear)]:
                setattr(parent, child, Int8Linear(getattr(parent, child)))
    dtype = torch.float16 if name == "fp16" else torch.bfloat16
    model.to(dtype)
    off = {"logits": [], "pred_boxes": []}
    with torch.no_grad():
        for x, e in zip(inputs, exact):
            got = model(pixel_values=x.to(dtype))
            for key, errors in off.items():
                errors.append((got[key].double() - e[key].double()).flatten())
    return np.array([torch.cat(errors).square().mean().sqrt() for errors in off.values()], np.float32)


def make_case(out, name, c, precisions=("bf16", "fp16", "int8")):
    labels = c.get("labels", LABELS)
    path = os.path.join(out, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    config = YolosConfig(
        hidden_size=c["dim"],
        num_attention_heads=c["heads"],
        num_hidden_layers=c["layers"],
        intermediate_size=c["mlp"],
        image_size=list(c["image_size"]),
        num_detection_tokens=c["detections"],
        use_mid_position_embeddings=c["mid"],
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(labels)),
        label2id={l: i for i, l in enumerate(labels)},
    )
    model = YolosForObjectDetection(config).eval()
    spread(model, c["seed"])
    processor = YolosImageProcessorPil(size=c["size"])
    processor.save_pretrained(path)
    rng = np.random.default_rng(c["seed"])
    person = labels.index("person")
    images = {key: picture(shape, rng) for key, shape in c["pictures"].items()}
    with torch.no_grad():  # no label wins everywhere: classes of equal mean, persons a little above
        logits = torch.cat([model(processor(images=i, return_tensors="pt")["pixel_values"]).logits[0] for i in images.values()])
        bias = model.class_labels_classifier.layers[-1].bias
        bias -= logits.mean(0)
        bias[person] += c.get("lean", 0.3)
    model.save_pretrained(path, **({"max_shard_size": c["shard"]} if "shard" in c else {}))
    model = YolosForObjectDetection.from_pretrained(path).eval()
    golden, inputs_of, exact = {}, [], []
    found = 0
    for key, shape in c["pictures"].items():
        image = images[key]
        pixels = processor(images=image, do_normalize=False, do_rescale=False, return_tensors="pt")["pixel_values"]
        inputs = processor(images=image, return_tensors="pt")
        with torch.no_grad():
            answer = model(pixel_values=inputs["pixel_values"])
        inputs_of.append(inputs["pixel_values"])
        exact.append(answer)
        post = processor.post_process_object_detection(answer, threshold=0.0, target_sizes=[shape])[0]
        rows = [
            box.tolist() + [score.item()]
            for score, label, box in zip(post["scores"], post["labels"], post["boxes"])
            if label.item() == person
        ]
        rows.sort(key=lambda r: -r[4])
        found += len(rows)
        golden[f"{key}.image"] = image
        golden[f"{key}.pixels"] = pixels[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
        golden[f"{key}.logits"] = answer.logits[0].numpy()
        golden[f"{key}.boxes"] = answer.pred_boxes[0].numpy()
        golden[f"{key}.found"] = np.array(rows, np.float32).reshape(-1, 5)
        logits = answer.logits[0]
        assert logits.std(0).mean() > 0.05 and answer.pred_boxes[0].std(0).min() > 0.005, f"{name} {key}: detections are alike"
        print(f"{name} {key}: {shape} -> {tuple(pixels.shape[2:])}, {len(rows)} persons, logits spread {logits.std(0).mean():.2f}")
    assert found >= 3, f"{name}: nobody to compare"
    for precision in precisions:
        golden[f"{precision}.errors"] = low_precision(path, precision, inputs_of, exact)
        print(f"{name} {precision}: logits off by {golden[f'{precision}.errors'][0]:.2e} (rms), boxes by {golden[f'{precision}.errors'][1]:.2e}")
    save_file({k: np.ascontiguousarray(v) for k, v in golden.items()}, os.path.join(path, "golden.safetensors"))
