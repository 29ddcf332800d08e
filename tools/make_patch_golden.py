# SPDX-License-Identifier: MIT
"""Frozen answers for patched attention heads (tests/heads/test_patch.c), by transformers itself with hooks: tests/golden/patch.safetensors.

    python tools/make_patch_golden.py

Of the checkpoint tests/golden/simple-hd32 and two crops, its first and that turned upside down, for every head (layer by layer): the heat maps, every 4th pixel of
both axes, of crop 0 with that head's output before the projection (the input of attention.output.dense)
    swap    that of crop 1      zero    zero      mean    the mean over both crops, token by token      const   and over tokens
and `NAME.direct`: with what enters the final norm changed by projection[:, head] (z_source - z_base), nothing else run again. [heads, 17, 16, 12].

Sets and paths, every 8th pixel: `sets.NAME`, `sets.NAME.direct` [2, ...] of the heads of SETS patched together; `path.NAME`, `path.NAME.direct`
[senders, ...] of the receivers of PATHS with what they say when x, where their layer reads it, is that of the base and the senders' direct change alone.
`deep.path.*` are the same of nobias-eps, every pixel, whose path from layer 0 to 2 passes a layer held still.
"""
import os
import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import VitPoseForPoseEstimation

SETS = ([(0, 0), (1, 1)], [(0, 1), (1, 0), (1, 1)])
PATHS = (([(0, 0)], [(1, 0)]), ([(0, 0)], [(1, 1)]), ([(0, 1)], [(1, 0)]), ([(0, 0), (0, 1)], [(1, 0), (1, 1)]))
DEEP_PATHS = (([(0, 0)], [(2, 0)]), ([(1, 0)], [(2, 0)]), ([(0, 0), (1, 0)], [(2, 0)]), ([(0, 0)], [(1, 0), (2, 0)]), ([(0, 0), (1, 0)], [(1, 0), (2, 0)]))
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden")
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


class Runs:
    """A model, two crops, and runs of the first with heads' outputs replaced."""

    def __init__(self, name):
        folder = os.path.join(HERE, name)
        self.model = VitPoseForPoseEstimation.from_pretrained(folder).eval()
        crop = load_file(os.path.join(folder, "golden.safetensors"))["crops"][0]
        crops = np.stack([crop, crop[::-1, ::-1]])
        self.pixels = torch.from_numpy(((crops.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2).copy())
        self.layers = self.model.backbone.encoder.layer
        self.dense = [l.attention.output.dense for l in self.layers]
        self.width = self.model.config.backbone_config.hidden_size // self.model.config.backbone_config.num_attention_heads
        self.x, self.z = [None] * len(self.layers), [None] * len(self.layers)
        hooks = [(d, l, self.z) for l, d in enumerate(self.dense)] + [(m, l, self.x) for l, m in enumerate(self.layers)]
        keep = [m.register_forward_pre_hook(lambda m, a, l=l, to=to: to.__setitem__(l, a[0].clone())) for m, l, to in hooks]
        with torch.no_grad():
            self.plain = self.model(pixel_values=self.pixels).heatmaps
        for h in keep:
            h.remove()

    def cols(self, h):
        return slice(h * self.width, (h + 1) * self.width)

    def run(self, hooks):
        hooks = [module.register_forward_pre_hook(fn) for module, fn in hooks]
        with torch.no_grad():
            heat = self.model(pixel_values=self.pixels[:1]).heatmaps[0]
        for h in hooks:
            h.remove()
        return heat

    def total(self, heads, source):
        def put(l):
            def fn(module, args):
                y = args[0].clone()
                for m, h in heads:
                    if m == l:
                        y[..., self.cols(h)] = source[l][..., self.cols(h)]
                return (y,) + args[1:]
            return fn
        return self.run([(self.dense[l], put(l)) for l in {l for l, _ in heads}])

    def written(self, heads, source, below):
        return sum((source[l] - self.z[l][:1])[..., self.cols(h)] @ self.dense[l].weight[:, self.cols(h)].T for l, h in heads if l < below)

    def direct(self, heads, source):
        delta = self.written(heads, source, len(self.layers))
        return self.run([(self.model.backbone.layernorm, lambda module, args: (args[0] + delta,) + args[1:])])

    def path(self, senders, source):
        """z of every layer when its input is the base's and what the senders below it write."""
        out = []
        for l, layer in enumerate(self.layers):
            seen = []
            hook = self.dense[l].register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
            with torch.no_grad():
                layer(self.x[l][:1] + self.written(senders, source, l))
            hook.remove()
            out.append(seen[0])
        return out

    def sources(self):
        return {"swap": [a[1:2] for a in self.z], "zero": [torch.zeros_like(a[:1]) for a in self.z]}

    def add(self, out, prefix, paths, step):
        for name, source in self.sources().items():
            for suffix, fn in (("", self.total), (".direct", self.direct)):
                with torch.no_grad():
                    maps = torch.stack([fn(receivers, self.path(senders, source)) for senders, receivers in paths])
                out[f"{prefix}path.{name}{suffix}"] = maps[:, :, ::step, ::step]
                print(f"{prefix}path.{name}{suffix}", "largest change of a map:", [float((m - self.plain[0]).abs().max()) for m in maps])


def add_sets_and_paths(out):
    runs = Runs("simple-hd32")
    for name, source in runs.sources().items():
        with torch.no_grad():
            out["sets." + name] = torch.stack([runs.total(s, source) for s in SETS])[:, :, ::8, ::8]
            out[f"sets.{name}.direct"] = torch.stack([runs.direct(s, source) for s in SETS])[:, :, ::8, ::8]
    runs.add(out, "", PATHS, 8)
    Runs("nobias-eps").add(out, "deep.", DEEP_PATHS, 1)


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
    add_sets_and_paths(out)
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in out.items()}, os.path.join(HERE, "patch.safetensors"))


if __name__ == "__main__":
    main()
