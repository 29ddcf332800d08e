#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""limber against transformers at full size. Run by scripts/parity_full.sh, which builds what it needs; not part of CI.

    python tools/parity_full.py --limber build/limber --test build/tests/test_golden
        --test-yolos build/tests/test_yolos --work DIR [--data data/limber-s] [CASE...]

For ViTPose-B with both heads and ViTPose+-S with six experts, random weights conditioned as in make_golden.py, and for the
default model: transformers' heatmaps, states and joints are written beside the checkpoint and compared by test_golden
(LIMBER_GOLDEN), which prints the largest differences; then `limber run` reads the picture from a file and its printed joints
are compared with transformers'. YOLOS-tiny and -small, random weights conditioned as in golden_yolos.py, in the same way by
test_yolos: every logit and box within 1e-4 in fp32, in bf16 and int8 no further off than transformers itself. `convert` writes the
same weights as the original code's .pth (both of mmpose's namings), converts them back with convert.py and asks for equal bits, and
for equal heatmaps where an expert was folded in: of an animal's head, and of the whole body's 133 joints, of the small checkpoint in
tests/golden.
"""

import argparse, json, os, subprocess, sys

import numpy as np
import torch, transformers
from PIL import Image
from safetensors.torch import load_file
from transformers import VitPoseForPoseEstimation

import convert, golden_yolos, make_golden as mg

YARD = [[60.5, 20.25, 62, 110], [-14.5, 60, 40.25, 70]]
FULL = dict(size=(256, 192), mlp_ratio=4, labels=mg.COCO, pairs=mg.COCO_PAIRS, boxes=YARD)
CASES = {
    "vitpose-b-simple": dict(FULL, seed=101, dim=768, heads=12, layers=12, simple=True),
    "vitpose-b-classic": dict(FULL, seed=102, dim=768, heads=12, layers=12, simple=False),
    "vitpose-plus-s": dict(
        FULL, seed=103, dim=384, heads=12, layers=12, simple=False, experts=6, part_features=96, used_experts=(0, 5)
    ),
}
# Published sizes (transformers' convert_yolos_to_pytorch.py): the positions' grid, the pictures' shortest side, 91 labels.
PHOTOGRAPHS = {"landscape": (480, 640), "portrait": (500, 333)}
YOLOS = dict(layers=12, detections=100, pictures=PHOTOGRAPHS, labels=["N/A", "person"] + [f"label {i}" for i in range(2, 91)])
DETECTORS = {
    "yolos-tiny": dict(YOLOS, seed=104, dim=192, heads=3, mlp=768, mid=False, image_size=(800, 1333), size={"shortest_edge": 512, "longest_edge": 1333}),
    "yolos-small": dict(YOLOS, seed=105, dim=384, heads=6, mlp=1536, mid=True, image_size=(512, 864), size={"shortest_edge": 800, "longest_edge": 1333}),
}


def default_model(work, data):
    """The default model on the same picture: opened by from_pretrained as it lies there."""
    path = os.path.join(work, "limber-s")
    os.makedirs(path, exist_ok=True)
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        link = os.path.join(path, name)
        if os.path.lexists(link):
            os.remove(link)
        os.symlink(os.path.abspath(os.path.join(data, name)), link)
    size = json.load(open(os.path.join(path, "config.json")))["backbone_config"].get("image_size", [256, 192])
    g = mg.answers(
        path, mg.PICTURES["yard"], YARD, tuple(size), mg.COCO_PAIRS, (0,), np.random.default_rng(1), strict=False
    )
    mg.save_file(g, os.path.join(path, "golden.safetensors"))
    return path


def command(limber, path, picture):
    """`limber run` on the picture as a file: largest difference of a printed joint and score."""
    g = load_file(os.path.join(path, "golden.safetensors"))
    tag = "expert0." if "expert0.heatmaps" in g else ""
    boxes = os.path.join(os.path.dirname(path), "boxes.jsonl")
    with open(boxes, "w") as f:
        f.write(json.dumps({"image": os.path.basename(picture), "boxes": g["boxes"].tolist()}) + "\n")
    run = subprocess.run(
        [limber, "run", picture, "--model", path, "--boxes", boxes, "--precision", "fp32", "--backend", "cpu"],
        capture_output=True,
        text=True,
        check=True,
    )
    people = json.loads(run.stdout)["people"]
    assert len(people) == len(g["boxes"]), run.stdout
    got = np.array([list(p["keypoints"].values()) for p in people])
    firm = np.ones(got.shape[:2], bool)
    if tag + "moves" in g:
        firm = ((g[tag + "moves"] < mg.SOFT) & (g[tag + "scores"] > 0)).numpy()
    joint = np.hypot(*np.moveaxis(got[..., :2] - g[tag + "keypoints"].numpy(), -1, 0))[firm].max()
    score = np.abs(got[..., 2] - g[tag + "scores"].numpy()).max()
    print(
        f"{os.path.basename(path)}, limber run: {firm.sum()} joints within {joint:.4f} px, scores within {score:.1e} as printed",
        flush=True,
    )


def original(t, naming, extra_heads):
    """HF names -> the original's: the inverse of convert.py, written apart from it."""
    out = {}
    blocks = {"0.x": "blocks", "1.x": "layers"}[naming]
    short = {
        "0.x": {"layernorm_before": "norm1", "layernorm_after": "norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"},
        "1.x": {
            "layernorm_before": "ln1",
            "layernorm_after": "ln2",
            "mlp.fc1": "ffn.layers.0.0",
            "mlp.fc2": "ffn.layers.1",
        },
    }[naming]
    for name, v in t.items():
        if ".attention.attention." in name:
            if ".query." in name:
                n = name.split(".")[3]
                out[f"backbone.{blocks}.{n}.attn.qkv.{name.split('.')[-1]}"] = torch.cat(
                    [t[name.replace("query", w)] for w in ("query", "key", "value")]
                )
        elif name.startswith("backbone.encoder"):
            n, rest = name.split(".", 4)[3:]
            rest = rest.replace("attention.output.dense", "attn.proj")
            for a, b in short.items():
                rest = rest.replace(a + ".", b + ".")
            out[f"backbone.{blocks}.{n}.{rest}"] = v
        elif "position" in name:
            out["backbone.pos_embed"] = v if naming == "0.x" else v[:, 1:]
        elif "patch_embeddings" in name:
            out[f"backbone.patch_embed.{'proj' if naming == '0.x' else 'projection'}." + name.split(".")[-1]] = v
        elif name.startswith("backbone.layernorm"):
            out[f"backbone.{'last_norm' if naming == '0.x' else 'ln1'}." + name.split(".")[-1]] = v
        else:
            place = {
                "deconv1": "deconv_layers.0",
                "batchnorm1": "deconv_layers.1",
                "deconv2": "deconv_layers.3",
                "batchnorm2": "deconv_layers.4",
                "conv": "final_layer",
            }[name.split(".")[1]]
            out[f"{'keypoint_head' if naming == '0.x' else 'head'}.{place}.{name.split('.')[-1]}"] = v
            if extra_heads:
                for i in range(5):
                    out[f"associate_keypoint_heads.{i}.{place}.{name.split('.')[-1]}"] = (
                        v * (i + 2) if v.dtype.is_floating_point else v
                    )
    return out


GOLDEN = os.path.join(os.path.dirname(__file__), "..", "tests", "golden")


def check_whole_body(converted):
    """A file whose COCO head has 17 channels and whose sixth data set's has 133, as the published ones: --dataset 5 takes that head and its
    expert, and names the joints."""
    source = os.path.join(GOLDEN, "plus-wholebody")
    t = {k: v.float() for k, v in load_file(os.path.join(source, "model.safetensors")).items()}
    pth = original(t, "0.x", False)
    for last in ("weight", "bias"):
        whole = pth[f"keypoint_head.final_layer.{last}"]
        pth[f"keypoint_head.final_layer.{last}"] = -whole[:17].clone()
        for i, channels in enumerate((14, 16, 17, 17, 133)):
            pth[f"associate_keypoint_heads.{i}.final_layer.{last}"] = whole if i == 4 else whole[:channels] * (i + 2)
    path = converted("whole-body", pth, "--dataset", "5", "--heads", "1", "--size", "64x48")
    model = VitPoseForPoseEstimation.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    assert [model.config.id2label[i] for i in range(133)] == convert.WHOLE_BODY and model.config.backbone_config.num_experts == 1
    g = load_file(os.path.join(source, "golden.safetensors"))
    with torch.no_grad():
        got = model(mg.pixel_values(mg.PICTURES["yard"], g["boxes"].tolist(), (64, 48))).heatmaps
    off = float((got - g["expert5.heatmaps"]).abs().max())
    print(f"convert --dataset 5: 133 joints of the whole body, within {off:.1e} of the checkpoint with six experts", flush=True)
    assert off < 1e-5


def check_convert(work):
    def converted(name, tensors, *options):
        pth, path = os.path.join(work, name + ".pth"), os.path.join(work, name)
        torch.save({"state_dict": tensors, "meta": {"epoch": 210}}, pth)
        subprocess.run([sys.executable, convert.__file__, pth, path, *options], check=True)
        os.remove(pth)
        return path

    check_whole_body(converted)
    for case, naming in (
        ("vitpose-b-simple", "0.x"),
        ("vitpose-b-simple", "1.x"),
        ("vitpose-b-classic", "0.x"),
        ("vitpose-plus-s", "0.x"),
    ):
        source = os.path.join(work, case)
        if not os.path.isdir(source):
            continue
        t = load_file(os.path.join(source, "model.safetensors"))
        if naming == "1.x":
            t["backbone.embeddings.position_embeddings"][:, 0] = 0
        path = converted("converted", original(t, naming, case == "vitpose-plus-s"))
        back = load_file(os.path.join(path, "model.safetensors"))
        assert set(back) == set(t) and all(torch.equal(t[k], back[k]) for k in t), f"{case} {naming}"
        VitPoseForPoseEstimation.from_pretrained(path)
        print(f"convert {case}, mmpose {naming}: all {len(t)} tensors equal bit for bit", flush=True)
    source = os.path.join(work, "vitpose-plus-s")
    if os.path.isdir(source):
        t = load_file(os.path.join(source, "model.safetensors"))
        path = converted("folded", original(t, "0.x", True), "--dataset", "3")
        folded = VitPoseForPoseEstimation.from_pretrained(path, dtype=torch.float32).eval()
        whole = VitPoseForPoseEstimation.from_pretrained(source, dtype=torch.float32).eval()
        whole.load_state_dict(
            {k: v * 4 if k.startswith("head.") and v.dtype.is_floating_point else v for k, v in t.items()}
        )  # head of dataset 3
        x = mg.pixel_values(mg.PICTURES["yard"], YARD, (256, 192))
        with torch.no_grad():
            a, b = folded(x).heatmaps, whole(x, dataset_index=torch.tensor([3, 3])).heatmaps
        print(
            f"convert --dataset 3: folded expert against transformers' mixture {float((a - b).abs().max() / b.abs().max()):.1e} of the largest value"
        )
        assert (a - b).abs().max() < 1e-5 * b.abs().max()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--limber", required=True), p.add_argument("--test", required=True), p.add_argument(
        "--work", required=True
    )
    p.add_argument("--test-yolos", required=True)
    p.add_argument("--data", default=os.path.join(os.path.dirname(__file__), "..", "data", "limber-s"))
    p.add_argument("case", nargs="*", help=f"of {', '.join([*CASES, *DETECTORS])}, limber-s, convert; default: all")
    a = p.parse_args()
    transformers.logging.disable_progress_bar()
    os.makedirs(a.work, exist_ok=True)
    picture = os.path.join(a.work, "yard.png")
    Image.fromarray(mg.PICTURES["yard"]).save(picture)
    wanted, failed = a.case or [*CASES, "limber-s", *DETECTORS, "convert"], []
    for name in wanted:
        if name == "convert":
            check_convert(a.work)
            continue
        path, test, case = os.path.join(a.work, name), a.test, "golden/from_the_environment"
        if name in DETECTORS:
            test, case = a.test_yolos, "yolos/from_the_environment"
            golden_yolos.make_case(a.work, name, DETECTORS[name], ("bf16", "int8"))
        elif name in CASES:
            mg.make_case(a.work, name, CASES[name], strict=False)
        else:
            path = default_model(a.work, a.data)
        ways = [("cpu", "fp32"), ("cpu", "bf16")] + [("cpu", "int8")] * (name in DETECTORS)
        ways += [("ref", "fp32")] * (name in ("vitpose-plus-s", "yolos-tiny"))  # minutes for a B
        for backend, precision in ways:
            env = dict(os.environ, LIMBER_GOLDEN=os.path.abspath(path))
            env |= {"LIMBER_GOLDEN_BACKEND": backend, "LIMBER_GOLDEN_PRECISION": precision}
            if subprocess.run([test, "--filter", case], env=env).returncode:
                failed.append(f"{name} {backend} {precision}")
        if name not in DETECTORS:
            command(a.limber, path, picture)
    if failed:
        sys.exit(f"beyond tolerance: {', '.join(failed)}")


if __name__ == "__main__":
    main()
