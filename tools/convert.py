#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A ViTPose checkpoint of the original code (.pth) -> a directory that limber and transformers open.

    pip install torch safetensors
    python tools/convert.py vitpose-b.pth vitpose-base                  the COCO head
    python tools/convert.py vitpose+_base.pth vitpose-plus-base         six experts and the COCO head, as on the hub
    python tools/convert.py vitpose+_base.pth horse --dataset 3         one expert folded in, with that dataset's own head

Reads the names of mmpose 0.x (`backbone.blocks.N.attn.qkv`, `keypoint_head`), which ViTPose and ViTPose+ are published in, and
those of mmpose 1.x (`backbone.layers.N.attn.qkv`, `head`). Every tensor of the file is used or named as left out; shapes say
the width, depth, MLP, experts and head. What they cannot say has an option: --heads, --size, --labels.

The heads of ViTPose+ for other datasets than COCO (`associate_keypoint_heads`) exist only in these files: the hub's lost them.

LayerNorm: the original computes with eps 1e-6, transformers' conversions with 1e-12 (its default). The default here is
transformers', so that the output equals the hub's; --eps 1e-6 for the original's numbers.

A .pth is a pickle, and a pickle can run code. It is opened with torch's weights_only loader, which does not; a file that this
loader refuses is refused here too unless --trust-pickle is given.
"""

import argparse, json, os, re, sys

import torch
from safetensors.torch import save_file

HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}  # of the published widths
DATASETS = ["COCO", "AI Challenger", "MPII", "AP-10K", "APT-36K", "COCO-WholeBody"]
COCO = "Nose L_Eye R_Eye L_Ear R_Ear L_Shoulder R_Shoulder L_Elbow R_Elbow L_Wrist R_Wrist L_Hip R_Hip L_Knee R_Knee L_Ankle R_Ankle".split()
AIC = (
    "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee right_ankle left_hip left_knee "
    "left_ankle head_top neck"
).split()
MPII = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top right_wrist right_elbow "
    "right_shoulder left_shoulder left_elbow left_wrist"
).split()
ANIMAL = (
    "left_eye right_eye nose neck root_of_tail left_shoulder left_elbow left_front_paw right_shoulder right_elbow right_front_paw "
    "left_hip left_knee left_back_paw right_hip right_knee right_back_paw"
).split()
HAND = ["hand_root"] + [f"{f}{i}" for f in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger") for i in range(1, 5)]
WHOLE_BODY = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip "
    "right_hip left_knee right_knee left_ankle right_ankle left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
).split()
WHOLE_BODY += [f"face-{i}" for i in range(68)] + [f"{side}_{joint}" for side in ("left", "right") for joint in HAND]
LABELS = [COCO, AIC, MPII, ANIMAL, ANIMAL, WHOLE_BODY]
COCO_EDGES = [
    [15, 13],
    [13, 11],
    [16, 14],
    [14, 12],
    [11, 12],
    [5, 11],
    [6, 12],
    [5, 6],
    [5, 7],
    [6, 8],
    [7, 9],
    [8, 10],
    [1, 2],
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
]

# original name -> ours, {n} a block, {e} an expert; qkv is cut in three, cls_token has no use.
BLOCK_0X = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
BLOCK_1X = {
    "ln1": "layernorm_before",
    "ln2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "ffn.layers.0.0": "mlp.fc1",
    "ffn.layers.1": "mlp.fc2",
}
HEAD = {
    "deconv_layers.0": "deconv1",
    "deconv_layers.1": "batchnorm1",
    "deconv_layers.3": "deconv2",
    "deconv_layers.4": "batchnorm2",
    "final_layer": "conv",
}


def fail(text):
    sys.exit(f"convert: {text}")


def load(path, trust):
    try:
        d = torch.load(path, map_location="cpu", weights_only=not trust)
    except FileNotFoundError:
        fail(f"{path}: no such file")
    except Exception as e:
        fail(
            f"{path}: {str(e).splitlines()[0]}"
            + ("" if trust else " (--trust-pickle opens files that hold more than tensors: it can run their code)")
        )
    d = d.get("state_dict", d) if isinstance(d, dict) else {}
    tensors = {k: v for k, v in d.items() if isinstance(v, torch.Tensor)}
    if not tensors:
        fail(f"{path}: holds no tensors")
    return {re.sub(r"^module\.", "", k): v for k, v in tensors.items()}


def rename(source, dataset):
    """-> our tensors, names left out."""
    out, left = {}, []
    one = any(k.startswith("backbone.layers.") for k in source)  # mmpose 1.x
    layers, block, final = ("layers", BLOCK_1X, "ln1") if one else ("blocks", BLOCK_0X, "last_norm")
    patch = "projection" if one else "proj"
    main = "head" if one else "keypoint_head"
    head = main if dataset in (None, 0) else f"associate_keypoint_heads.{dataset - 1}"
    for name, t in source.items():
        part, last = name.rpartition(".")[::2]
        if m := re.fullmatch(rf"backbone\.{layers}\.(\d+)\.(.+)", part):
            n, inner = f"backbone.encoder.layer.{m[1]}.", m[2]
            if inner == "attn.qkv":
                for which, third in zip(("query", "key", "value"), t.chunk(3)):
                    out[f"{n}attention.attention.{which}.{last}"] = third
            elif inner in block:
                out[n + block[inner] + "." + last] = t
            elif re.fullmatch(r"mlp\.experts\.\d+", inner):
                out[n + inner + "." + last] = t
            else:
                left.append(name)
        elif name == "backbone.pos_embed":
            # 1.x dropped the former class position, which 0.x adds to every patch: nothing to add is a zero
            out["backbone.embeddings.position_embeddings"] = torch.cat([torch.zeros_like(t[:, :1]), t], 1) if one else t
        elif part == f"backbone.patch_embed.{patch}":
            out[f"backbone.embeddings.patch_embeddings.projection.{last}"] = t
        elif part == f"backbone.{final}":
            out[f"backbone.layernorm.{last}"] = t
        elif part.startswith(head + ".") and part[len(head) + 1 :] in HEAD:
            out[f"head.{HEAD[part[len(head) + 1:]]}.{last}"] = t
        else:
            left.append(name)
    return {k: v.contiguous() if v.dtype == torch.int64 else v.float().contiguous() for k, v in out.items()}, left


def fold(t, expert):
    """fc2 and one expert side by side are a plain MLP (model_split.py of ViTPose)."""
    for name in [k for k in t if ".mlp.fc2." in k]:
        extra = t.get(name.replace("fc2", f"experts.{expert}"))
        if extra is None:
            fail(f"--dataset {expert}, but the file has no {name.replace('fc2', f'experts.{expert}')}")
        t[name] = torch.cat([t[name], extra])
    return {k: v for k, v in t.items() if ".experts." not in k}


def describe(t, a):
    def need(name):
        return t[name] if name in t else fail(f"no tensor became {name}: not a ViTPose checkpoint?")

    patch, pos, fc1 = (
        need("backbone.embeddings.patch_embeddings.projection.weight"),
        need("backbone.embeddings.position_embeddings"),
        need("backbone.encoder.layer.0.mlp.fc1.weight"),
    )
    dim, _, ph, pw = patch.shape
    layers = 1 + max(int(m[1]) for k in t if (m := re.match(r"backbone\.encoder\.layer\.(\d+)\.", k)))
    experts = 1 + max([int(m[1]) for k in t if (m := re.search(r"\.experts\.(\d+)\.", k))], default=0)
    heads = a.heads or HEADS.get(dim) or fail(f"width {dim} is none of the published ones: say --heads")
    height, width = map(int, a.size.lower().split("x"))
    if (height // ph) * (width // pw) + 1 != pos.shape[1]:
        fail(f"position embeddings for {pos.shape[1] - 1} patches, --size {a.size} has {height // ph} x {width // pw}")
    k = need("head.conv.weight").shape[0]
    if a.labels:
        labels = a.labels.split(",")
    else:
        labels = (
            LABELS[a.dataset or 0]
            if len(LABELS[a.dataset or 0]) == k
            else COCO if k == 17 and not a.dataset else [f"keypoint_{i}" for i in range(k)]
        )
    if len(labels) != k:
        fail(f"--labels has {len(labels)} names, the head {k} keypoints")
    backbone = {
        "model_type": "vitpose_backbone",
        "image_size": [height, width],
        "patch_size": [ph, pw],
        "hidden_size": dim,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "mlp_ratio": fc1.shape[0] // dim,
        "num_experts": experts,
        "part_features": t["backbone.encoder.layer.0.mlp.experts.0.weight"].shape[0] if experts > 1 else 0,
        "layer_norm_eps": a.eps,
        "qkv_bias": "backbone.encoder.layer.0.attention.attention.query.bias" in t,
        "out_indices": [layers],
        "out_features": [f"stage{layers}"],
    }
    return {
        "architectures": ["VitPoseForPoseEstimation"],
        "model_type": "vitpose",
        "torch_dtype": "float32",
        "scale_factor": 4,
        "use_simple_decoder": "head.deconv1.weight" not in t,
        **({"edges": COCO_EDGES} if labels == COCO else {}),
        "id2label": {str(i): l for i, l in enumerate(labels)},
        "label2id": {l: i for i, l in enumerate(labels)},
        "backbone_config": backbone,
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pth"), p.add_argument("out", help="directory to create")
    p.add_argument(
        "--dataset",
        type=int,
        choices=range(6),
        help="ViTPose+: fold this expert and take its head: " + ", ".join(f"{i} {d}" for i, d in enumerate(DATASETS)),
    )
    p.add_argument("--heads", type=int, help="attention heads, where the width is not a published one")
    p.add_argument("--size", default="256x192", help="crop, height x width (default 256x192)")
    p.add_argument("--labels", help="keypoint names, separated by commas")
    p.add_argument(
        "--eps", type=float, default=1e-12, help="of the LayerNorms (default 1e-12, as transformers; the original has 1e-6)"
    )
    p.add_argument("--trust-pickle", action="store_true")
    a = p.parse_args()
    t, left = rename(load(a.pth, a.trust_pickle), a.dataset)
    if a.dataset is not None:
        if not any(".experts." in k for k in t):
            fail("--dataset is for ViTPose+ files, this one has no experts")
        t = fold(t, a.dataset)
    config = describe(t, a)
    os.makedirs(a.out, exist_ok=True)
    save_file(t, os.path.join(a.out, "model.safetensors"), metadata={"format": "pt"})
    size = config["backbone_config"]["image_size"]
    processor = {
        "image_processor_type": "VitPoseImageProcessor",
        "size": {"height": size[0], "width": size[1]},
        "do_affine_transform": True,
        "normalize_factor": 200.0,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    for name, content in (("config.json", config), ("preprocessor_config.json", processor)):
        with open(os.path.join(a.out, name), "w") as f:
            f.write(json.dumps(content, indent=2) + "\n")
    b = config["backbone_config"]
    print(
        f"{a.out}: {len(t)} tensors, {sum(v.numel() for v in t.values() if v.dtype != torch.int64):,} numbers; {b['num_hidden_layers']} blocks of {b['hidden_size']}, "
        f"{b['num_attention_heads']} heads, {b['num_experts']} expert(s), {'simple' if config['use_simple_decoder'] else 'classic'} head, {len(config['id2label'])} keypoints"
    )
    if left:
        heads = sorted({re.sub(r"(deconv_layers|final_layer)\..*", "*", name) for name in left})
        print(f"left out: {', '.join(heads)}")


if __name__ == "__main__":
    main()
