#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PyTorch's scaled_dot_product_attention on the shapes of bench_kernels.cu: same layout (q, k and v are views of one qkv buffer), same
flushing of the second-level cache, CUDA events, median of 50 after 10 warm-ups. Needs PyTorch with CUDA; scripts/gpu_check.sh runs it."""
import torch
import torch.nn.functional as F

HEADS, HEAD_DIM = 12, 64


def median_us(function, flush):
    times = []
    for i in range(60):
        flush.fill_(i % 100)
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        stop.record()
        stop.synchronize()
        if i >= 10:
            times.append(start.elapsed_time(stop) * 1e3)
    return sorted(times)[len(times) // 2]


def main():
    torch.manual_seed(1)
    flush = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    print("# PyTorch %s, %s" % (torch.__version__, torch.cuda.get_device_name()))
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        for people in (1, 32):
            for tokens in (192, 768, 3072):
                if (dtype is not torch.float16 and tokens != 192) or people * tokens > 32 * 768:
                    continue
                qkv = torch.randn(people, tokens, 3, HEADS, HEAD_DIM, device="cuda", dtype=dtype)
                q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))
                with torch.inference_mode():
                    us = median_us(lambda: F.scaled_dot_product_attention(q, k, v), flush)
                flop = 4 * people * HEADS * tokens * tokens * HEAD_DIM
                print("attention %-14s %dx%dx%dx%d %21.1f us %8.1f TFLOP/s" % (str(dtype), people, HEADS, tokens, HEAD_DIM, us, flop / us / 1e6))


if __name__ == "__main__":
    main()
