#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The floor of the fused attention: what a device needs at least, from data-sheet peaks and the kernel's own instructions.

    roofline.py [cuda/budgets.txt]

Nothing here is measured. For B people of L tokens, 12 heads of 64, f16, the largest of five bounds, in microseconds:
    memory   q, k, v read once and the output written once (statistics: 4 + 6 numbers a row), at the data sheet's bandwidth
    tensor   4 L^2 D multiply-adds' worth of the data sheet's dense tensor peak; the busiest SM has ceil(blocks / SMs) blocks
    special  one exponential a score (statistics: and a square root), 16 a clock and SM
    issue    the loop's instructions that every tile executes, 4 a clock and SM; from budgets.txt: all but integer and control work, and
             of the copies one of the two branches
    shared   what ldmatrix reads, 512 bytes each, and what the copies of K and V write, 128 bytes a clock and SM
The block is the one that the launcher picks: 64 queries, or 128 (without statistics, where two blocks an SM are there in any case and not
more than a sixteenth of the rows is padding), whose warps use what they read from shared memory twice.
H100's tensor peak is wgmma's; mma.sync, which this kernel uses, reaches less of it. A bound stays a bound."""
import math
import os
import sys

DEVICES = {  # SMs, boost GHz, dense f16 tensor FLOP a clock and SM, HBM GB/s
    "A100": (108, 1.410, 2048, 2039),
    "H100": (132, 1.830, 4096, 3350),
}
ARCHITECTURE = {"A100": "sm_80", "H100": "sm_90"}
HEADS, DIM, TILE = 12, 64, 64


def instructions(path, sm, stats, tiles):
    """Of the loop, for a warp with `tiles` m16 tiles and a tile of keys: instructions that are executed for certain, of the special
    function unit, and ldmatrix."""
    with open(path, encoding="utf-8") as file:
        rows = [line.split() for line in file]
    columns = next(row for row in rows if row[:2] == ["#", "kernel"])[1:]
    row = next(row for row in rows if row[:2] == ["attention_tile<f16,64,%d,%d>" % (stats, tiles), sm])
    count = dict(zip(columns[2:], map(int, row[2:])))
    selects = tiles * TILE * 16 // 32  # masking of the ragged tile
    must = sum(count[k] for k in ("tensor", "ldmatrix", "special", "fp32", "convert", "shuffle", "barrier")) - selects + count["cp.async"] // 2
    return must, count["special"], 2 * (DIM // 16) * (TILE // 16)  # those of Q stand in the loop and run once


def wide(sms, people, tokens):
    """As attention.cu's launcher chooses."""
    padded, blocks = math.ceil(tokens / 64) * 64, math.ceil(tokens / 128)
    return blocks * 128 <= padded + padded // 16 and blocks * HEADS * people >= 2 * sms


def bounds(device, people, tokens, count, queries, stats):
    sms, ghz, tensor, bandwidth = DEVICES[device]
    must, special, ldmatrix = count
    keys = math.ceil(tokens / TILE)
    blocks = math.ceil(tokens / queries) * HEADS * people
    busiest = math.ceil(blocks / sms) * keys  # tiles of `queries` x 64 on one SM
    clock = ghz * 1e3  # a microsecond
    row = 4 * DIM * 2 + (10 * 4 if stats else 0)
    return {
        "memory": people * HEADS * tokens * row / (bandwidth * 1e3),
        "tensor": busiest * 4 * queries * TILE * DIM / (tensor * clock),
        "special": busiest * 4 * special * 32 / (16 * clock),
        "issue": busiest * 4 * must / (4 * clock),
        "shared": busiest * (4 * ldmatrix * 512 + 2 * TILE * DIM * 2) / (128 * clock),
    }, blocks


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "cuda", "budgets.txt")
    names = ("memory", "tensor", "special", "issue", "shared")
    print("device people tokens queries blocks statistics " + " ".join(names) + " floor (us)")
    for device in DEVICES:
        for stats in (0, 1):
            for people in (1, 32):
                for tokens in (192, 768, 3072):
                    for tiles in (1,) if stats or not wide(DEVICES[device][0], people, tokens) else (1, 2):
                        count = instructions(path, ARCHITECTURE[device], stats, tiles)
                        b, blocks = bounds(device, people, tokens, count, 64 * tiles, stats)
                        largest = max(names, key=lambda n: b[n])
                        print("%s %6d %6d %6d %6d %s %s  %.1f by %s" % (device, people, tokens, 64 * tiles, blocks, "yes" if stats else "no ",
                                                                      " ".join("%8.1f" % b[n] for n in names), b[largest], largest))


if __name__ == "__main__":
    main()
