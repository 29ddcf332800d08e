# SPDX-License-Identifier: MIT
"""Frozen answers for patched attention heads (tests/heads/test_patch.c), by transformers itself with hooks: tests/golden/patch.safetensors.

    python tools/make_patch_golden.py

Of the checkpoint tests/golden/simple-hd32 and two crops, its first and that turned upside down, for every head (layer by layer): the heat maps, every 4th pixel of
both axes, of crop 0 with that head's output before the projection (the input of attention.output.dense)
    swap    that of crop 1      zero    zero      mean    the mean over both crops, token by token      const   and over tokens
and `NAME.direct`: with what enters the final norm changed by projection[:, head] (z_source - z_base), nothing else run again. [heads, 17, 16, 12].
"""
import os
import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import VitPoseForPoseEstimation

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden")
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def main():
    folder = os.path.join(HERE, "simple-hd32")
    model = VitPoseForPoseEstimation.from_pretrained(folder).eval()
    crop = load_file(os.path.join(folder, "golden.safetensors"))["crops"][0]
    crops = np.stack([crop, crop[::-1, ::-1]])
    pixels = torch.from_numpy(((crops.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2).copy())
    layers = model.backbone.encoder.layer
    dense = [l.attention.output.dense for l in layers]
    heads, dim = model.config.backbone_config.num_attention_heads, model.config.backbone_config.hidden_size
    width = dim // heads
    z = [None] * len(layers)
    keep = [d.register_forward_pre_hook(lambda m, a, l=l: z.__setitem__(l, a[0].clone())) for l, d in enumerate(dense)]
    with torch.no_grad():
        plain = model(pixel_values=pixels).heatmaps
    for h in keep:
        h.remove()

    def with_hook(module, fn):
        hook = module.register_forward_pre_hook(fn)
        with torch.no_grad():
            heat = model(pixel_values=pixels[:1]).heatmaps[0]
        hook.remove()
        return heat

    def total(l, h, source):
        def put(module, args):
            y = args[0].clone()
            y[..., h * width:(h + 1) * width] = source[..., h * width:(h + 1) * width]
            return (y,) + args[1:]
        return with_hook(dense[l], put)

    def direct(l, h, source):
        cols = slice(h * width, (h + 1) * width)
        delta = (source - z[l][:1])[..., cols] @ dense[l].weight[:, cols].T
        return with_hook(model.backbone.layernorm, lambda module, args: (args[0] + delta,) + args[1:])

    out = {"plain": plain[:, :, ::4, ::4]}
    sources = {
        "swap": [a[1:2] for a in z],
        "zero": [torch.zeros_like(a[:1]) for a in z],
        "mean": [a.mean(0, keepdim=True) for a in z],
        "const": [a.mean((0, 1), keepdim=True).expand_as(a[:1]) for a in z],
    }
    for name, source in sources.items():
        for suffix, fn in (("", total), (".direct", direct)):
            maps = [fn(l, h, source[l]) for l in range(len(layers)) for h in range(heads)]
            out[name + suffix] = torch.stack(maps)[:, :, ::4, ::4]
            print(name + suffix, "largest change of a map:", float((torch.stack(maps) - plain[0]).abs().max()))
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in out.items()}, os.path.join(HERE, "patch.safetensors"))


if __name__ == "__main__":
    main()
