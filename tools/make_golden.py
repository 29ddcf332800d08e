#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Frozen answers of transformers' ViTPose, for tests/pose/test_golden.c.

    pip install torch transformers safetensors scipy pillow torchvision xtcocotools
    python tools/make_golden.py [--out tests/golden]

Writes below --out:

    VERSIONS                         what made the files
    processor/golden.safetensors     drawn pictures, boxes, crops; heatmaps and the joints decoded from them
    CASE/config.json, model*.safetensors, preprocessor_config.json     written by transformers' own save_pretrained
    CASE/golden.safetensors          inputs and outputs of that checkpoint (tensors listed in tests/golden/README.md)
    plus-wholebody/annotations.json, eval.txt      what COCO-WholeBody's tool says of it: golden_eval.py
    yolos-*/                         detectors: golden_yolos.py

The weights are random, but not as an initialiser leaves them: at std 0.02 every attention row is uniform and every heatmap
is flat, and a test against such a model passes with the softmax left out. Here attention logits have a standard deviation
of one to two, and the last convolution is fitted (ridge regression on the model's own features) so that the heatmaps of
the stored crops have Gaussian peaks, some of them in corners and on borders. Every case is checked for that, and for
joints that stand still when the heatmaps move by 1e-5, before it is written.

Reduced-precision checkpoints are compared in fp32 with the rounded weights: the file is saved, opened again as float32,
and only then asked.
"""

import argparse, os, shutil, sys

import numpy as np
import golden_eval, golden_yolos
from convert import WHOLE_BODY
import safetensors, scipy, torch, transformers
from safetensors.numpy import save_file
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation, VitPoseImageProcessor
from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil
from transformers.models.vitpose.modeling_vitpose import VitPoseEstimatorOutput, flip_back

COCO = [
    "Nose",
    "L_Eye",
    "R_Eye",
    "L_Ear",
    "R_Ear",
    "L_Shoulder",
    "R_Shoulder",
    "L_Elbow",
    "R_Elbow",
    "L_Wrist",
    "R_Wrist",
    "L_Hip",
    "R_Hip",
    "L_Knee",
    "R_Knee",
    "L_Ankle",
    "R_Ankle",
]
COCO_PAIRS = [(i, i + 1) for i in range(1, 17, 2)]
FISH = ["snout", "left_fin", "right_fin", "tail_base", "tail_tip"]  # nothing of COCO's in it

def whole_body_pairs():
    """COCO-WholeBody's mirror, by name; the face's points are iBUG's 68: jaw, brows, nose, eyes, lips."""
    runs = [(0, 16, 8), (17, 26, 5), (31, 35, 2), (36, 45, 4), (40, 47, 2), (48, 54, 3), (59, 55, 2), (60, 64, 2), (67, 65, 1)]
    face = {}  # the first of each run is mirrored to the second, and so on inwards
    for first, second, n in runs:
        step = -1 if first in (59, 67) else 1
        face |= {first + step * i: second - step * i for i in range(n)}
    at = {name: i for i, name in enumerate(WHOLE_BODY)}
    pairs = [(at[name], at["right" + name[4:]]) for name in WHOLE_BODY if name.startswith("left")]
    return pairs + [(at[f"face-{a}"], at[f"face-{b}"]) for a, b in face.items()]


# size is (height, width) of the crop; boxes are x, y, w, h in the picture "yard" (200x150), exact in float32.
# Grids: 16x12 (the published one), 12x10, 7x5 and 3x2. The classic head costs 2 MB at 16 bits (its second deconvolution
# is 256 -> 256 whatever the width), so it appears once and in BF16.
CASES = {
    "simple-hd32": dict(
        seed=11,
        size=(256, 192),
        dim=64,
        heads=2,
        layers=2,
        mlp_ratio=3,
        labels=COCO,
        pairs=COCO_PAIRS,
        simple=True,
        boxes=[[60.5, 20.25, 62, 110]],
    ),
    "classic-hd32-bf16": dict(
        seed=28,
        size=(112, 80),
        dim=32,
        heads=1,
        layers=2,
        mlp_ratio=2,
        labels=COCO,
        pairs=COCO_PAIRS,
        simple=False,
        dtype=torch.bfloat16,
        boxes=[[20, 10, 75, 120], [-14.5, 60, 40.25, 70]],
    ),
    "plus-hd64-f16": dict(
        seed=37,
        size=(192, 160),
        dim=128,
        heads=2,
        layers=2,
        mlp_ratio=2,
        labels=COCO[:7],
        pairs=COCO_PAIRS[:3],
        simple=True,
        experts=6,
        part_features=24,
        used_experts=(0, 4),
        dtype=torch.float16,
        boxes=[[33, 17, 90.5, 101]],
    ),
    "plus-wholebody": dict(
        seed=101,
        size=(64, 48),
        dim=32,
        heads=1,
        layers=1,
        mlp_ratio=2,
        labels=WHOLE_BODY,
        pairs=whole_body_pairs(),
        simple=True,
        experts=6,
        part_features=8,
        used_experts=(5,),
        dtype=torch.float16,
        boxes=[[33, 17, 90.5, 101]],
    ),
    "sharded-hd80": dict(
        seed=41,
        size=(112, 80),
        dim=160,
        heads=2,
        layers=1,
        mlp_ratio=1,
        labels=FISH,
        pairs=[(1, 2)],
        simple=True,
        shard="400KB",
        boxes=[[70, 40, 50, 66], [0, 0, 200, 150]],
    ),
    "nobias-eps": dict(
        seed=59,
        size=(48, 32),
        dim=32,
        heads=1,
        layers=3,
        mlp_ratio=2,
        labels=["tip", "left_base", "right_base"],
        pairs=[(1, 2)],
        simple=True,
        qkv_bias=False,
        eps=1e-3,
        boxes=[[90, 50, 30, 60], [100, 20, 31, 19.5]],
    ),
}


def draw(height, width, seed):
    """A picture made of a gradient, ellipses, lines and noise: edges in all directions, all grey levels, no photograph."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    img = np.stack([255 * x / width, 255 * y / height, 127 + 127 * np.sin(x / 9 + y / 13)], -1)
    for _ in range(9):
        cx, cy, a, b = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(4, width / 4), rng.uniform(4, height / 4)
        t = rng.uniform(0, np.pi)
        u, v = (x - cx) * np.cos(t) + (y - cy) * np.sin(t), -(x - cx) * np.sin(t) + (y - cy) * np.cos(t)
        img[(u / a) ** 2 + (v / b) ** 2 < 1] = rng.uniform(0, 255, 3)
        img[(np.abs(v) < 1.5) & (np.abs(u) < 2 * a)] = rng.uniform(0, 255, 3)
    noisy = (x // 16 + y // 16) % 4 == 0  # noise in some squares only: the file stays compressible
    img[noisy] += rng.normal(0, 25, img.shape)[noisy]
    return np.clip(np.round(img), 0, 255).astype(np.uint8)


PICTURES = {"card": draw(97, 61, 1), "yard": draw(150, 200, 2)}  # height, width


def crops(picture, boxes, size):
    """uint8 crops [N, height, width, 3] by both of transformers' image processors, which must agree bit for bit."""
    kw = dict(size={"height": size[0], "width": size[1]}, do_rescale=False, do_normalize=False)
    out = [
        np.asarray(p(**kw)(picture, boxes=[boxes], return_tensors="np")["pixel_values"])
        for p in (VitPoseImageProcessorPil, VitPoseImageProcessor)
    ]
    assert out[0].dtype == out[1].dtype == np.uint8 and (out[0] == out[1]).all(), "the two back ends disagree"
    return np.ascontiguousarray(out[0].transpose(0, 2, 3, 1))


def pixel_values(picture, boxes, size):
    """The PIL processor's tensor: float32(v * (1/255) in double), minus mean, over std in float32. torchvision's fuses the
    three and differs by up to 2.4e-7, which says nothing about the network."""
    p = VitPoseImageProcessorPil(size={"height": size[0], "width": size[1]})
    return p(picture, boxes=[boxes], return_tensors="pt")["pixel_values"]


def decode(heatmaps, boxes, size):
    """post_process_pose_estimation -> keypoints [N, K, 2], scores [N, K], both float32."""
    p = VitPoseImageProcessor(size={"height": size[0], "width": size[1]})
    people = p.post_process_pose_estimation(VitPoseEstimatorOutput(heatmaps=torch.as_tensor(heatmaps)), boxes=[boxes])[0]
    return (
        np.stack([q["keypoints"].numpy() for q in people]).astype(np.float32),
        np.stack([q["scores"].numpy().reshape(-1) for q in people]).astype(np.float32),
    )


# ---- models ----------------------------------------------------------------------------------------------------------


def randomise(model, generator):
    """Weights that keep activations near unit size and attention logits near std 1.5."""

    def normal(p, std, mean=0.0):
        p.data.copy_(mean + std * torch.randn(p.shape, generator=generator))

    for name, p in model.named_parameters():
        if "layernorm" in name or "batchnorm" in name:
            normal(p, 0.2, 1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("position_embeddings"):
            normal(p, 0.6)
        elif name.endswith("bias"):
            normal(p, 0.15)
        else:
            fan_in = p.shape[0] * 4 if "deconv" in name else p[0].numel()  # a deconvolved pixel has 2x2 taps
            gain = 1.25 if "query" in name or "key" in name else 1.4 if "fc1" in name or "deconv" in name else 1.0
            normal(p, gain / fan_in**0.5)
            if "deconv2" in name:  # a quarter of the repository's golden bytes: coarse values, so that they compress
                p.data = torch.round(p.data * 64) / 64
    for name, b in model.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(0.3 * torch.randn(b.shape, generator=generator))
        elif name.endswith("running_var"):
            b.copy_(0.5 + torch.rand(b.shape, generator=generator))
        elif name.endswith("num_batches_tracked"):
            b.fill_(1234)


def peaks_wanted(n, k, height, width, rng):
    """Gaussians of sigma 2 at random places, some at corners and borders; the same keypoint of two people lies within 2 px, as
    the position embeddings alone must say where."""
    y, x = np.mgrid[0:height, 0:width]
    maps = np.zeros((n, k, height, width))
    for j in range(k):
        cx, cy = rng.uniform(2, width - 3), rng.uniform(2, height - 3)
        cx, cy = {1: (0.2, 0.4), 2: (width - 1.3, cy), 3: (cx, height - 1.2)}.get(j % 7, (cx, cy))
        for i in range(n):
            px, py = cx + rng.uniform(-1, 1), cy + rng.uniform(-1, 1)
            maps[i, j] = rng.uniform(0.6, 0.95) * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8)
    return maps


def fit_last_convolution(model, inputs, pairs, expert, rng):
    """Ridge regression of head.conv on the features that reach it, for the crops and for their mirror images."""
    conv, seen = model.head.conv, {}
    hook = conv.register_forward_pre_hook(lambda _, a: seen.update(x=a[0]))
    with torch.no_grad():
        model(torch.cat([inputs, inputs.flip(-1)]), dataset_index=torch.full((2 * len(inputs),), expert))
    hook.remove()
    x = seen["x"]
    n, _, height, width = x.shape
    k = conv.out_channels
    wanted = torch.from_numpy(peaks_wanted(n // 2, k, height, width, rng))
    wanted = torch.cat([wanted, flip_back(wanted, pairs)]).reshape(n, k, -1)
    cols = torch.nn.functional.unfold(x, conv.kernel_size, padding=conv.padding).double()  # [n, C*k*k, height*width]
    a = cols.transpose(1, 2).reshape(-1, cols.shape[1])
    a = torch.cat([a, torch.ones_like(a[:, :1])], 1)
    b = wanted.transpose(1, 2).reshape(-1, k)
    gram = a.T @ a
    w = torch.linalg.solve(gram + 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype), a.T @ b)
    w *= 0.8 / (a @ w).reshape(n, -1, k).amax(1).median()  # a poor fit has low peaks; the scale of real ones is 0.8
    conv.weight.data.copy_(w[:-1].T.reshape(conv.weight.shape))
    conv.bias.data.copy_(w[-1])


def forward(model, inputs, expert):
    """heatmaps, [after embeddings, after block 0, ..., after the last block, after the final layernorm], attention logits' std"""
    states, logits = [], []
    bb = model.backbone
    hooks = [bb.embeddings.register_forward_hook(lambda _, a, y: states.append(y))]
    hooks += [l.register_forward_hook(lambda _, a, y: states.append(y)) for l in bb.encoder.layer]
    hooks += [bb.layernorm.register_forward_hook(lambda _, a, y: states.append(y))]
    for l in bb.encoder.layer:
        at = l.attention.attention

        def take(m, a, kw, y):
            x = a[0] if a else kw["hidden_states"]
            q, k = (f(x).unflatten(-1, (m.num_attention_heads, -1)).transpose(1, 2) for f in (m.query, m.key))
            logits.append(float((q @ k.transpose(2, 3) * m.scaling).std()))

        hooks.append(at.register_forward_hook(take, with_kwargs=True))
    index = torch.full((len(inputs),), expert)
    with torch.no_grad():
        out = model(inputs, dataset_index=index, output_hidden_states=True)
    for h in hooks:
        h.remove()
    assert len(out.hidden_states) == len(states) - 1  # ours adds the final layernorm, theirs must be the same otherwise
    assert all(torch.equal(a, b) for a, b in zip(out.hidden_states, states))
    return out.heatmaps, states, logits


def low_precision(path, inputs, expert, dtype, heat, keypoints, boxes, size):
    """How far transformers itself is from fp32 when the whole model runs in `dtype`: root mean square over the heatmaps, median
    distance of a joint in picture pixels (the median: a second peak of almost the same height makes a joint jump)."""
    model = VitPoseForPoseEstimation.from_pretrained(path, dtype=dtype, attn_implementation="eager").eval()
    with torch.no_grad():
        low = model(inputs.to(dtype), dataset_index=torch.full((len(inputs),), expert)).heatmaps.float()
    moved, _ = decode(low.numpy(), boxes, size)
    distance = np.hypot(*np.moveaxis(moved - keypoints, -1, 0))
    return np.array([float((low - heat).square().mean().sqrt()), np.median(distance)], np.float32)


def moves(heatmaps, boxes, size, keypoints, rng):
    """How far each joint moves, in picture pixels, when its heatmap moves by up to 1e-5: [N, K]"""
    worst = np.zeros(keypoints.shape[:2], np.float32)
    for _ in range(5):
        moved, _ = decode(heatmaps + rng.uniform(-1e-5, 1e-5, heatmaps.shape).astype(np.float32), boxes, size)
        worst = np.maximum(worst, np.abs(moved - keypoints).max(-1))
    return worst


SOFT = 4e-3  # a joint that moves further than this is not compared at 0.01 px; the frozen cases have none


def answers(path, picture, boxes, size, pairs, experts, rng, strict=True):
    """What transformers says about the checkpoint in `path`, opened as float32: the tensors of golden.safetensors."""
    model = VitPoseForPoseEstimation.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    exact = VitPoseForPoseEstimation.from_pretrained(path, dtype=torch.float64, attn_implementation="eager").eval()
    inputs = pixel_values(picture, boxes, size)
    g = {
        "crops": crops(picture, boxes, size),
        "boxes": np.array(boxes, np.float32),
        "flip_pairs": np.array(pairs, np.int32),
    }
    for e in experts:
        tag = "" if tuple(experts) == (0,) else f"expert{e}."
        heat, states, logits = forward(model, inputs, e)
        noise = float((forward(exact, inputs.double(), e)[0] - heat).abs().max())
        g[tag + "heatmaps"] = heat.numpy()
        g[tag + "keypoints"], g[tag + "scores"] = decode(heat.numpy(), boxes, size)
        for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
            g[f"{tag}{name}.errors"] = low_precision(path, inputs, e, dtype, heat, g[tag + "keypoints"], boxes, size)
        score, soft = g[tag + "scores"], moves(heat.numpy(), boxes, size, g[tag + "keypoints"], rng)
        if e == experts[0]:  # states are [N, tokens, dim]
            g["embeddings"] = states[0].numpy()
            for i, s in enumerate(states[1:-1]):
                g[f"block.{i}"] = s.numpy()
            g["layernorm"] = states[-1].numpy()
            # pixel_values mirrored along x; flip_back swaps the pairs and mirrors the heatmaps back; no one-pixel shift
            with torch.no_grad():
                mirrored = model(
                    inputs.flip(-1), dataset_index=torch.full((len(inputs),), e), flip_pairs=torch.tensor(pairs)
                ).heatmaps
            g["flip.heatmaps"] = (0.5 * (heat + mirrored)).numpy()
            g["flip.keypoints"], g["flip.scores"] = decode(g["flip.heatmaps"], boxes, size)
            flip_soft = moves(g["flip.heatmaps"], boxes, size, g["flip.keypoints"], rng)
        print(
            f"{os.path.basename(path)} expert {e}: logits std {min(logits):.2f} to {max(logits):.2f}, state std {float(states[-2].std()):.2f}, scores "
            f"{score.min():.2f} to {score.max():.2f}, fp32 against fp64 {noise:.1e}, joints move {soft.max():.1e} px at 1e-5",
            flush=True,
        )
        if strict:
            assert all(0.7 < l < 3.5 for l in logits) and noise < 1e-5
            assert (score > 0).all() and (
                g["flip.scores"] > 0
            ).all(), "a keypoint with no positive value has no defined place"
            assert soft.max() < SOFT and flip_soft.max() < SOFT, "joints too soft for a test at 0.01 px: take another seed"
            assert e != experts[0] or (score > 0.3).mean() > 0.7
        else:
            g[tag + "moves"] = soft
    return {k: np.ascontiguousarray(v) for k, v in g.items()}


def make_checkpoint(path, c, rng):
    """A conditioned random checkpoint, saved by transformers."""
    labels, size = c["labels"], c["size"]
    backbone = VitPoseBackboneConfig(
        image_size=list(size),
        hidden_size=c["dim"],
        num_hidden_layers=c["layers"],
        num_attention_heads=c["heads"],
        mlp_ratio=c["mlp_ratio"],
        num_experts=c.get("experts", 1),
        part_features=c.get("part_features", 0),
        qkv_bias=c.get("qkv_bias", True),
        layer_norm_eps=c.get("eps", 1e-12),
        out_indices=[c["layers"]],
    )
    config = VitPoseConfig(
        backbone_config=backbone,
        use_simple_decoder=c["simple"],
        id2label=dict(enumerate(labels)),
        label2id={l: i for i, l in enumerate(labels)},
    )
    model = VitPoseForPoseEstimation(config).eval()
    randomise(model, torch.Generator().manual_seed(c["seed"]))
    expert = c.get("used_experts", (0,))[0]
    fit_last_convolution(model, pixel_values(PICTURES["yard"], c["boxes"], size), torch.tensor(c["pairs"]), expert, rng)
    shutil.rmtree(path, ignore_errors=True)
    model.to(c.get("dtype", torch.float32)).save_pretrained(path, max_shard_size=c.get("shard", "5GB"))
    VitPoseImageProcessor(size={"height": size[0], "width": size[1]}).save_pretrained(path)


def make_case(out, name, c, strict=True):
    rng, path = np.random.default_rng(c["seed"]), os.path.join(out, name)
    make_checkpoint(path, c, rng)
    g = answers(path, PICTURES["yard"], c["boxes"], c["size"], c["pairs"], c.get("used_experts", (0,)), rng, strict)
    save_file(g, os.path.join(path, "golden.safetensors"))
    if c["labels"] is WHOLE_BODY:
        images = os.path.join(os.path.dirname(__file__), "..", "tests", "images")
        golden_eval.write_eval(sys.modules[__name__], path, c["size"], c["used_experts"][0], images, c["seed"])


# ---- processor ---------------------------------------------------------------------------------------------------------


def processor_boxes(height, width):
    w, h = float(width), float(height)
    return [
        [w / 4, h / 4, w / 2, h / 2],  # inside
        [0, 0, w, h],  # the whole picture: the crop leaves it on all sides
        [w / 8, 10, w, 8],  # wide and touching the right border
        [10, h / 8 + 0.5, 6, h],  # tall
        [8, 12, 32, 12],  # 8 = 32/8: the crop's left edge falls exactly on column 4 ...
        [4, 12, 32, 12],  # ... and here exactly on column 0, where a rounding decides
        [-30.25, -20.5, 50, 60],  # over the upper left corner
        [w - 12, h - 9, 40, 40],  # over the lower right corner
        [w + 50, h + 70, 20, 20],  # outside altogether: all zero
        [w / 2, h / 2, 2, 3],  # a few pixels, magnified
        [w / 3, h / 3, 0.25, 0.5],  # less than a pixel
        [2, h / 2, w - 4, 1],  # aspect ratio 200
        [-10 * w, -10 * h, 21 * w, 21 * h],  # the picture is a few pixels of the crop
        [12.34, 5.67, 33.3, 44.4],  # nothing round
        [51, 70, 8, 5],  # of "card": an edge on its last column, if the matrix is float32 all the way
        [21, 22, 168, 76],
    ]  # an edge on column 0, if the inverse is -offset * (1 / scale)


def made_maps(height, width):
    """Heatmaps for the decoder alone, one per trap, with the names of the traps."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    peak = lambda px, py, a=0.9, s=1.5: a * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * s * s))
    rng = np.random.default_rng(5)
    tie = np.full((height, width), 0.01)
    tie[3, 4] = tie[9, 7] = 0.5  # the first one wins
    flat_top = peak(5, 6)
    flat_top[5:8, 4:7] = 0.95
    e, b = width - 1, height - 1
    maps = {
        "interior": peak(5.3, 7.6),
        "interior_sharp": peak(6.8, 4.2, 0.8, 0.8),
        "interior_wide": peak(4.4, 8.1, 0.7, 3),
        "left": peak(0, 6.4),
        "right": peak(e, 6.4),
        "top": peak(5.2, 0),
        "bottom": peak(5.2, b),
        "corner_tl": peak(0, 0),
        "corner_tr": peak(e, 0),
        "corner_bl": peak(0, b),
        "corner_br": peak(e, b),
        "beyond_left": peak(-1.5, 5.3),
        "next_to_border": peak(1.2, b - 1.1),
        "tie": tie,
        "flat_top": flat_top,
        "two_peaks": peak(2.5, 3.5, 0.6) + peak(8.5, 12.2, 0.7),
        "above_clip": 80 * peak(6.1, 6.2, 1, 4),
        "below_clip": peak(6.1, 6.2, 5e-4, 2),
        "faint": peak(6.1, 6.2, 0.02, 1.5),
        "constant": np.full((height, width), 0.25),
        "saddle": 0.3 + 0.02 * ((x - 5) ** 2 - (y - 7) ** 2) / 10,
        "noisy": peak(6.4, 8.3) + 0.05 * rng.standard_normal((height, width)),
        "negative_around": peak(6.3, 9.4) - 0.2,
        "spike": np.where((x == 7) & (y == 3), 1.0, 0.0),
    }
    return list(maps), np.stack(list(maps.values())).astype(np.float32)


def make_processor(out):
    path = os.path.join(out, "processor")
    os.makedirs(path, exist_ok=True)
    g = {}
    for name, picture in PICTURES.items():
        boxes = np.array(processor_boxes(*picture.shape[:2]), np.float32)
        g[f"{name}.image"], g[f"{name}.boxes"] = picture, boxes
        g[f"{name}.crops"] = crops(picture, boxes.tolist(), (64, 48))  # [N, 64, 48, 3]
    g["full.boxes"] = np.array([[61.3, 20.7, 59.1, 101.9]], np.float32)  # of "yard", at the published size
    g["full.crops"] = crops(PICTURES["yard"], g["full.boxes"].tolist(), (256, 192))
    # The published worked example's boxes: only their joints' way back matters, so any picture does.
    boxes = np.array([[412.8, 157.61, 53.05, 138.01], [384.43, 172.21, 15.12, 35.74], [-20, -10, 300, 40]], np.float32)
    names, maps = made_maps(16, 12)
    g["joints.boxes"], g["joints.heatmaps"] = boxes, np.stack([maps, maps[::-1], np.roll(maps, 5, 0)])
    g["joints.keypoints"], g["joints.scores"] = decode(g["joints.heatmaps"], boxes.tolist(), (64, 48))
    # No positive value: transformers reads neighbours of index -1 across map borders, so only the scores are comparable.
    g["negative.heatmaps"] = np.stack(
        [-0.5 + 0.1 * maps[:3], np.stack([maps[0] * 0, maps[1] * 0 - 1e-3, maps[2] - 0.9])]
    ).astype(np.float32)
    g["negative.boxes"] = boxes[:2]
    g["negative.keypoints"], g["negative.scores"] = decode(g["negative.heatmaps"], boxes[:2].tolist(), (64, 48))
    assert (g["negative.scores"] <= 0).all()
    save_file({k: np.ascontiguousarray(v) for k, v in g.items()}, os.path.join(path, "golden.safetensors"))
    with open(os.path.join(path, "maps.txt"), "w") as f:  # order of joints.heatmaps[0]
        f.write("\n".join(names) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "..", "tests", "golden"))
    ap.add_argument("--case", choices=sorted([*CASES, *golden_yolos.CASES]) + ["processor"], help="only this one")
    a = ap.parse_args()
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    os.makedirs(a.out, exist_ok=True)
    for name, c in CASES.items():
        if a.case in (None, name):
            make_case(a.out, name, c)
    for name, c in golden_yolos.CASES.items():
        if a.case in (None, name):
            golden_yolos.make_case(a.out, name, c)
    if a.case in (None, "processor"):
        make_processor(a.out)
    with open(os.path.join(a.out, "VERSIONS"), "w") as f:
        f.write(
            f"python {sys.version.split()[0]}\n"
            + "".join(
                f"{m.__name__} {m.__version__.split('+')[0]}\n" for m in (torch, transformers, safetensors, np, scipy)
            )
        )


if __name__ == "__main__":
    main()
