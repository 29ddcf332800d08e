#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Attention of PyTorch, OpenVINO, ONNX Runtime and limber on the same shapes, in turns, in one run.

    python3 bench/peers/attention.py --limber build/limber [--tokens 192,768,3072] [--threads 2] [--rounds 5] [--csv FILE]

Each round runs `limber bench attention` for one size and precision, then torch's naive attention (scores materialised),
torch.nn.functional.scaled_dot_product_attention, OpenVINO's operation of that name and ONNX Runtime's MultiHeadAttention (fp32 alone; each where
it is installed) on tensors of the same shape, so that a machine that slows down slows all alike. Ratios are taken round by round, the median is shown with the lowest and highest.
The peers' results are compared with double precision before anything is timed. Needs torch; limber itself does not.
"""
import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F


def naive(q, k, v):
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    return scores.softmax(-1) @ v


def openvino_attention(q, k, v, threads):
    """A function of nothing that computes it by OpenVINO, in the type of q, and gives a tensor; None where there is no OpenVINO."""
    try:
        import openvino as ov
        from openvino import opset13
    except ImportError:
        return None
    kind, hint = (ov.Type.bf16, "bf16") if q.dtype == torch.bfloat16 else (ov.Type.f32, "f32")
    inputs = [opset13.parameter(list(t.shape), kind) for t in (q, k, v)]
    network = ov.Model([opset13.scaled_dot_product_attention(*inputs)], inputs)
    compiled = ov.Core().compile_model(network, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads})
    request = compiled.create_infer_request()

    def raw(t):  # numpy has no bf16: the bits
        return t.view(torch.int16).numpy() if t.dtype == torch.bfloat16 else t.numpy()

    for i, t in enumerate((q, k, v)):
        tensor = ov.Tensor(kind, ov.Shape(list(t.shape)))
        tensor.data.view(raw(t).dtype)[...] = raw(t)
        request.set_input_tensor(i, tensor)

    def openvino(*_):
        request.infer()
        return torch.from_numpy(request.get_output_tensor(0).data.view(raw(q).dtype)).view(q.dtype)

    return openvino


def onnxruntime_attention(q, k, v, threads):
    """Likewise by com.microsoft.MultiHeadAttention, what ONNX Runtime's optimiser makes of an attention; its inputs are [1, tokens, columns]."""
    try:
        import onnxruntime
        from onnx import TensorProto, helper
    except ImportError:
        return None
    if q.dtype != torch.float32:
        return None
    _, heads, tokens, head_dim = q.shape
    shape = [1, tokens, heads * head_dim]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "qkvy"]
    node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["y"], domain="com.microsoft", num_heads=heads)
    model = helper.make_model(helper.make_graph([node], "attention", ends[:3], ends[3:]), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {name: t.transpose(1, 2).reshape(shape).numpy() for name, t in zip("qkv", (q, k, v))}
    return lambda *_: torch.from_numpy(session.run(None, feed)[0]).view(1, tokens, heads, head_dim).transpose(1, 2)


def seconds(f, q, k, v, budget, clock):
    """Median of repeated calls after one that does not count."""
    now = time.perf_counter if clock == "wall" else time.process_time
    with torch.inference_mode():
        f(q, k, v)
        times = []
        end = now() + budget
        while now() < end or len(times) < 3:
            t = now()
            f(q, k, v)
            times.append(now() - t)
    return statistics.median(times)


def check(name, f, q, k, v, tolerance):
    rows = slice(0, min(64, q.shape[2]))
    want = naive(q.double()[:, :, rows], k.double(), v.double())
    got = f(q, k, v)[:, :, rows].double()
    error = (got - want).abs().max().item()
    if not error < tolerance:
        sys.exit(f"{name} {q.dtype} is off by {error:.2g}: not timed")


def limber_times(a, tokens, precision):
    """(attention seconds, machine) of one `limber bench attention`; (None, what it said) where it cannot."""
    with tempfile.TemporaryDirectory() as out:
        command = [a.limber, "bench", "attention", "--quick", "--seconds", "300", "--tokens", str(tokens), "--dim", str(a.dim), "--heads", str(a.heads),
                   "--threads", str(a.threads), "--precision", precision, "--backend", "cpu", "--variants", "", "--naive-limit", "0", "--quiet", "--clock", a.clock, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return None, done.stderr.strip()
        with open(os.path.join(out, "bench.json")) as f:
            b = json.load(f)
    if not b["sizes"] or not b["sizes"][0]["attention"]:
        return None, "its 300 seconds ended first: this machine is too busy"
    return b["sizes"][0]["attention"]["median"], b["machine"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--limber", required=True, help="the command to compare with")
    p.add_argument("--tokens", default="192,768,3072")
    p.add_argument("--dim", type=int, default=768)
    p.add_argument("--heads", type=int, default=12)
    p.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.3, help="of each measurement of a peer")
    p.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                   help="cpu: processor time, for a machine shared with others; with --threads 1, since threads that spin count too")
    p.add_argument("--without", nargs="*", default=[], help="peers to leave out: 'torch naive' wants 12 bytes for each score")
    p.add_argument("--csv")
    a = p.parse_args()
    if a.clock == "cpu" and a.threads != 1:
        p.error("--clock cpu wants --threads 1")
    torch.set_num_threads(a.threads)
    rows, machine = [], ""
    for tokens in (int(t) for t in a.tokens.split(",")):
        for precision in a.precision:
            torch.manual_seed(tokens)
            dtype = torch.float32 if precision == "fp32" else torch.bfloat16
            shape = (1, a.heads, tokens, a.dim // a.heads)
            q, k, v = (torch.randn(shape).to(dtype) for _ in range(3))
            tolerance = 1e-4 if precision == "fp32" else 0.05
            peers = {"torch sdpa": F.scaled_dot_product_attention, "torch naive": naive, "openvino": openvino_attention(q, k, v, a.threads),
                     "onnxruntime": onnxruntime_attention(q, k, v, a.threads)}
            peers = {name: f for name, f in peers.items() if f and name not in a.without}
            for name, f in peers.items():
                check(name, f, q, k, v, tolerance)
            rounds = []
            for _ in range(a.rounds):
                ours, machine = limber_times(a, tokens, precision)
                if ours is None:
                    print(f"{tokens} {precision}: limber cannot ({machine})", file=sys.stderr)
                    break
                rounds.append((ours, {name: seconds(f, q, k, v, a.seconds, a.clock) for name, f in peers.items()}))
            if rounds:
                rows.append((tokens, precision, rounds))
    print(f"{machine}, {a.threads} threads, {a.clock} clock, torch {torch.__version__}; {a.heads} heads of {a.dim // a.heads}, {a.rounds} rounds in turns")
    print(f"{'tokens':>6} {'':4} {'':<11} | {'ms':>9} {'GF/s':>6} | peer / limber (low..high)")
    table = []
    for tokens, precision, rounds in rows:
        flops = 4 * tokens * tokens * a.dim
        ours = statistics.median(r[0] for r in rounds)
        print(f"{tokens:6} {precision} {'limber':<11} | {ours * 1e3:9.3f} {flops / ours * 1e-9:6.0f} |")
        table.append(dict(tokens=tokens, precision=precision, name="limber", seconds=ours, ratio=1, low=1, high=1))
        for name in rounds[0][1]:
            theirs, ratios = statistics.median(r[1][name] for r in rounds), [r[1][name] / r[0] for r in rounds]
            print(f"{tokens:6} {precision} {name:<11} | {theirs * 1e3:9.3f} {flops / theirs * 1e-9:6.0f} | "
                  f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})")
            table.append(dict(tokens=tokens, precision=precision, name=name, seconds=theirs, ratio=statistics.median(ratios), low=min(ratios), high=max(ratios)))
    if not all(math.isfinite(r["ratio"]) for r in table):
        sys.exit("a ratio is not finite")


if __name__ == "__main__":
    main()
