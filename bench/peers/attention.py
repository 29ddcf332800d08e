#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Attention of PyTorch and of limber on the same shapes, in turns, in one run.

    python3 bench/peers/attention.py --limber build/limber [--tokens 192,768,3072] [--threads 2] [--rounds 5] [--csv FILE]

Each round runs `limber bench attention` for one size and precision, then torch's naive attention (scores materialised) and
torch.nn.functional.scaled_dot_product_attention on tensors of the same shape, so that a machine that slows down slows all alike.
Ratios are taken round by round, the median is shown with the lowest and highest. torch's results are compared with double
precision before anything is timed. Needs torch; limber itself does not.
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


def torch_seconds(f, q, k, v, budget, clock):
    """Median of repeated calls after one that does not count."""
    now = time.perf_counter if clock == "wall" else time.process_time
    with torch.inference_mode():
        f(q, k, v)
        times = []
        end = time.perf_counter() + budget
        while time.perf_counter() < end or len(times) < 3:
            t = now()
            f(q, k, v)
            times.append(now() - t)
    return statistics.median(times)


def check(f, q, k, v, tolerance):
    rows = slice(0, min(64, q.shape[2]))
    want = naive(q.double()[:, :, rows], k.double(), v.double())
    got = f(q, k, v)[:, :, rows].double()
    error = (got - want).abs().max().item()
    if not error < tolerance:
        sys.exit(f"torch {f.__name__} {q.dtype} is off by {error:.2g}: not timed")


def limber_times(a, tokens, precision):
    """(attention seconds, naive seconds or None, machine) of one `limber bench attention`."""
    with tempfile.TemporaryDirectory() as out:
        command = [a.limber, "bench", "attention", "--quick", "--tokens", str(tokens), "--dim", str(a.dim), "--heads", str(a.heads),
                   "--threads", str(a.threads), "--precision", precision, "--backend", "cpu", "--variants", "", "--quiet", "--clock", a.clock, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return None, None, done.stderr.strip()
        with open(os.path.join(out, "bench.json")) as f:
            b = json.load(f)
    size = b["sizes"][0]
    other = size["naive_attention"]
    return size["attention"]["median"], other and other["median"], b["machine"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--limber", required=True, help="the command to compare with")
    p.add_argument("--tokens", default="192,768,3072")
    p.add_argument("--dim", type=int, default=768)
    p.add_argument("--heads", type=int, default=12)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.3, help="of each torch measurement")
    p.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                   help="cpu: processor time, for a machine shared with others; with --threads 1, since threads that spin count too")
    p.add_argument("--csv")
    a = p.parse_args()
    if a.clock == "cpu" and a.threads != 1:
        p.error("--clock cpu wants --threads 1")
    torch.set_num_threads(a.threads)
    rows, machine = [], ""
    for tokens in (int(t) for t in a.tokens.split(",")):
        for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            torch.manual_seed(tokens)
            shape = (1, a.heads, tokens, a.dim // a.heads)
            q, k, v = (torch.randn(shape).to(dtype) for _ in range(3))
            tolerance = 1e-4 if precision == "fp32" else 0.05
            sdpa = F.scaled_dot_product_attention
            check(naive, q, k, v, tolerance)
            check(sdpa, q, k, v, tolerance)
            rounds = []
            for _ in range(a.rounds):
                ours, ours_naive, machine = limber_times(a, tokens, precision)
                if ours is None:
                    print(f"{tokens} {precision}: limber cannot ({machine})", file=sys.stderr)
                    break
                rounds.append((ours, ours_naive, torch_seconds(naive, q, k, v, a.seconds, a.clock),
                               torch_seconds(sdpa, q, k, v, a.seconds, a.clock)))
            if rounds:
                rows.append((tokens, precision, rounds))
    print(f"{machine}, {a.threads} threads, {a.clock} clock, torch {torch.__version__}; {a.heads} heads of {a.dim // a.heads}, {a.rounds} rounds in turns")
    print(f"{'tokens':>6} {'':4} | {'limber':>9} {'GF/s':>6} | {'torch sdpa':>10} {'ratio (low..high)':>20} | {'torch naive':>11} {'ratio':>7}")
    table = []
    for tokens, precision, rounds in rows:
        ours = statistics.median(r[0] for r in rounds)
        sdpa = [r[3] / r[0] for r in rounds]
        plain = [r[2] / r[0] for r in rounds]
        flops = 4 * tokens * tokens * a.dim
        print(f"{tokens:6} {precision} | {ours * 1e3:7.3f}ms {flops / ours * 1e-9:6.0f} | {statistics.median(r[3] for r in rounds) * 1e3:8.3f}ms"
              f" {statistics.median(sdpa):7.2f} ({min(sdpa):.2f}..{max(sdpa):.2f}) | {statistics.median(r[2] for r in rounds) * 1e3:9.3f}ms"
              f" {statistics.median(plain):7.2f}")
        table.append(dict(tokens=tokens, precision=precision, limber_s=ours, torch_sdpa_s=statistics.median(r[3] for r in rounds),
                          torch_naive_s=statistics.median(r[2] for r in rounds), ratio_sdpa=statistics.median(sdpa),
                          ratio_sdpa_low=min(sdpa), ratio_sdpa_high=max(sdpa), ratio_naive=statistics.median(plain)))
    if a.csv and table:
        with open(a.csv, "w", newline="") as f:
            writer = csv.DictWriter(f, table[0].keys())
            writer.writeheader()
            writer.writerows(table)
    if not all(math.isfinite(r["ratio_sdpa"]) for r in table):
        sys.exit("a ratio is not finite")


if __name__ == "__main__":
    main()
