#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""YOLOS-tiny by limber, PyTorch (transformers), ONNX Runtime and OpenVINO on this CPU: the same weights, the same picture, in turns.

    pip install torch transformers onnx onnxruntime openvino
    LIMBER_LIBRARY=build/liblimber.so PYTHONPATH=bindings/python python bench/peers/detector.py [--threads 1] [--rounds 9] [--size HxW ...]

Random weights with the spread of trained ones (tools/golden_yolos.py), or --checkpoint DIR. The sizes are those that YOLOS makes of a
photograph: 512x672 (of 640x480 by yolos-tiny's own processor; 1,445 tokens) and 800x1328 (the largest that the published processors make;
4,251 tokens). The peers get pixel values that are resized and normalised already, and their time is the network's; limber's is
limber_find's, from bytes to persons: the peers' advantage.

Answers are compared before anything is timed: the peers' logits and boxes with PyTorch's in fp32, limber's persons with those that
post_process_object_detection makes of them. Who differs is not timed. Nor is a peer timed as bf16 that computes its products in
another type. Then rounds, as run_peers.py takes them; ratios are taken within a round. With --threads 1 processor time compares the
programs on a machine that does other work.
"""

import argparse, os, sys, tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from transformers import YolosForObjectDetection

from common import MEAN, REPO, STD, cpus, machine, ratio, spread
from run_peers import TOLERANCE, Called, rounds

sys.path.insert(0, os.path.join(REPO, "tools"))
import golden_yolos

SEED = 104
SHAPE = dict(seed=SEED, dim=192, heads=3, layers=12, mlp=768, mid=False, image_size=(800, 1333), detections=100,
             labels=["N/A", "person"] + [f"label {i}" for i in range(2, 91)], lean=1.5)
GOAL = 1.2


class Network(torch.nn.Module):
    def __init__(self, path):
        super().__init__()
        self.model = YolosForObjectDetection.from_pretrained(path, dtype=torch.float32).eval()

    def forward(self, x):
        answer = self.model(pixel_values=x)
        return torch.cat((answer.logits, answer.pred_boxes), -1)


def persons(answer, picture, label):
    """Box (x, y, w, h) and score of every detection whose best label is a person's, best first."""
    logits, boxes = answer[0, :, :-4].astype(np.float64), answer[0, :, -4:].astype(np.float64)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    own = p[:, :-1].argmax(-1) == label
    h, w = picture.shape[:2]
    low, high = np.clip(boxes[:, :2] - boxes[:, 2:] / 2, 0, 1), np.clip(boxes[:, :2] + boxes[:, 2:] / 2, 0, 1)
    rows = np.concatenate((low * (w, h), (high - low) * (w, h), p[:, label : label + 1]), 1)[own]
    return rows[np.argsort(-rows[:, 4])]


def limber(args, path, picture):
    from limber import Model

    for precision in args.precision:
        model = Model(detector=path, backend="cpu", precision=precision, threads=args.threads, min_box_score=1e-6)
        yield Called("limber", precision, lambda model=model: model.find(picture))


def torch_contestants(args, path, x):
    """In fp32 also where it is not timed: the others are compared with it."""
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        if precision != "fp32" and (precision not in args.precision or "torch" in args.without):
            continue
        network, data = Network(path).to(dtype), x.to(dtype)

        def call(network=network, data=data):
            with torch.inference_mode():
                return network(data).float().numpy()

        yield Called("torch eager", precision, call)


def computes_in(compiled, kind):
    """Whether most of what OpenVINO multiplies it multiplies in this type, as its own account of the compiled network says."""
    products, so = 0, 0
    for node in compiled.get_runtime_model().get_ordered_ops():
        about = {k: str(v.astype(str) if hasattr(v, "astype") else v) for k, v in node.get_rt_info().items()}
        if about.get("layerType") in ("FullyConnected", "MatMul", "ScaledDotProductAttention", "ScaledDotProductAttentionWithKVCache", "Convolution"):
            products += 1
            so += about.get("runtimePrecision", "").lower() == kind
    return products > 0 and so >= 0.9 * products, f"{so} of its {products} products are {kind}"


def openvino_contestants(args, path, x):
    import openvino as ov

    graph = ov.convert_model(Network(path), example_input=x, input=[list(x.shape)])
    for precision, kind in (("fp32", "f32"), ("bf16", "bf16")):
        if precision not in args.precision:
            continue
        compiled = ov.Core().compile_model(graph, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": kind,
                                                          "INFERENCE_NUM_THREADS": args.threads})
        real, account = computes_in(compiled, kind)
        print(f"  openvino {precision}: {account}{'' if real else ': not timed'}", file=sys.stderr)
        if not real:
            continue
        request = compiled.create_infer_request()

        def infer(request=request):
            request.infer({0: x.numpy()}, share_inputs=True)
            return request.get_output_tensor(0).data

        yield Called("openvino", precision, infer)


def onnx_contestants(args, path, x):
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.onnx")
        torch.onnx.export(Network(path), (x,), file, input_names=["x"], output_names=["y"], dynamo=False, opset_version=17)
        options = ort.SessionOptions()
        options.intra_op_num_threads = args.threads
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    yield Called("onnxruntime", "fp32", lambda: session.run(None, {"x": x.numpy()})[0])  # it has no bf16 on x86


def verified(peers, ours, picture, label):
    """Those whose answers are PyTorch's in fp32, which stands first among the peers."""
    truth = np.array(peers[0].call())
    want, kept = persons(truth, picture, label), []
    assert len(want), "nobody in the picture to compare"
    for c in peers:
        c.off, c.what = float(np.sqrt(np.mean((c.call() - truth) ** 2)) / truth.std()), "of the answers' spread"
    for c in ours:
        found = c.call()
        got = np.concatenate((found.boxes, found.scores[:, None]), 1)
        side, c.what = max(picture.shape), "of the picture's side"
        if len(got) == len(want):
            c.off = float(np.sqrt(np.mean((got - want) ** 2)) / side)
        if len(got) != len(want) or c.precision != "fp32":  # where two labels or scores are nearly equal their order may change: the nearest box
            nearest = [np.abs(got[:, :4] - w[:4]).max(1).min() for w in want] if len(got) and c.precision != "fp32" else [np.inf]
            c.off = float(np.median(nearest) / side)
    for c in peers + ours:
        if c.off <= TOLERANCE[c.precision]:
            kept.append(c)
        else:
            print(f"  {c.name} {c.precision}: off by {c.off:.2g} {c.what}, not timed", file=sys.stderr)
    return kept


def contestants(args, path, picture):
    x = torch.from_numpy(((picture.astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)[None].copy())
    yield from torch_contestants(args, path, x)
    for name, make in (("openvino", openvino_contestants), ("onnxruntime", onnx_contestants)):
        if name in args.without or (name == "onnxruntime" and "fp32" not in args.precision):
            continue
        try:
            yield from make(args, path, x)
        except Exception as e:  # a peer that is not installed or cannot load the model is said, not fatal
            print(f"  {name}: {type(e).__name__}: {str(e)[:300]}", file=sys.stderr)


def report(everybody):
    ours = {c.precision: c for c in everybody if c.name == "limber"}
    print(f"{'':<18} {'wall ms':>9} {'p10':>9} {'p90':>9} {'x':>6} | {'cpu ms':>9} {'x':>6} | off")
    for c in sorted(everybody, key=lambda c: (("fp32", "bf16", "int8").index(c.precision), np.median(c.cpu))):
        median, p10, p90 = spread([1e3 * t for t in c.turns])
        base = ours.get(c.precision, c)
        print(f"{c.name:<12} {c.precision:<5} {median:>9.1f} {p10:>9.1f} {p90:>9.1f} {ratio(c.turns, base.turns):>6.2f} | "
              f"{1e3 * np.median(c.cpu):>9.1f} {ratio(c.cpu, base.cpu):>6.2f} | {c.off:.1e} {c.what}")
    for precision, mine in ours.items():
        against = {c.name: ratio(c.cpu, mine.cpu) for c in everybody if c.precision == precision and c is not mine}
        if against:
            best = min(against, key=against.get)
            print(f"{precision}: {against[best]:.2f} times {best}, the best peer; the goal is {GOAL}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="a YOLOS directory whose label 1 is \"person\"; default: random weights in yolos-tiny's shape, made here")
    parser.add_argument("--size", nargs="+", default=["512x672", "800x1328"], metavar="HxW", help="of the network's picture")
    parser.add_argument("--threads", type=int, default=cpus())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=1, help="counted calls in a turn")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16", "int8"], choices=["fp32", "bf16", "int8"])
    parser.add_argument("--without", nargs="*", default=[], choices=["torch", "onnxruntime", "openvino"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    import onnxruntime, openvino, transformers

    transformers.logging.disable_progress_bar()
    print(f"{machine()}, {args.threads} threads, load {os.getloadavg()[0]:.1f}\ntorch {torch.__version__}, transformers "
          f"{transformers.__version__}, onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__}")
    for size in args.size:
        height, width = (int(v) for v in size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            if not args.checkpoint:
                golden_yolos.make_case(folder, "yolos-tiny", dict(SHAPE, size={"shortest_edge": height, "longest_edge": max(1333, width)},
                                                                  pictures={size: (height, width)}), ())
            path = args.checkpoint or os.path.join(folder, "yolos-tiny")
            picture = golden_yolos.picture((height, width), np.random.default_rng(SEED))
            everybody = verified(list(contestants(args, path, picture)), list(limber(args, path, picture)), picture, 1)
            everybody = [c for c in everybody if c.precision in args.precision and not (c.name == "torch eager" and "torch" in args.without)]
            print(f"\n{size}, {height // 16 * (width // 16) + 101} tokens; {args.rounds} rounds in turns", flush=True)
            rounds(everybody, args.rounds, args.calls)
            report(everybody)


if __name__ == "__main__":
    main()
