# SPDX-License-Identifier: MIT
"""A ViTPose network in PyTorch, with the tensor names of transformers' VitPoseForPoseEstimation.

    image [n,3,H,W] -> patches 16x16, stride 16, padding 2 -> tokens [n,h*w,dim] + positions -> pre-norm blocks
    -> layernorm -> head -> heatmaps [n,K,4h,4w], trained as Gaussians of height 1 about each joint.

Parameters carry the names and shapes of the Hugging Face layout, so a state dict is a checkpoint: save() writes one that
from_pretrained opens, load() reads one back. Both heads exist. The simple head is linear after its ReLU (bilinear x4, then a 3x3
convolution), so it is computed as K*9 numbers a token followed by two small products with fixed matrices that hold the
interpolation, the shift and the zero padding: the same sums in another order, 20 times cheaper than convolving the large map.
"""
import json
import math
import os

import torch
import torch.nn as nn
import torch.nn.functional as F

JOINTS = ["Nose", "L_Eye", "R_Eye", "L_Ear", "R_Ear", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist",
          "L_Hip", "R_Hip", "L_Knee", "R_Knee", "L_Ankle", "R_Ankle"]
FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]      # the joint that a joint becomes in the mirror
EDGES = [[15, 13], [13, 11], [16, 14], [14, 12], [11, 12], [5, 11], [6, 12], [5, 6], [5, 7], [6, 8], [7, 9], [8, 10],
         [1, 2], [0, 1], [0, 2], [1, 3], [2, 4], [3, 5], [4, 6]]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def config(dim=256, depth=8, heads=8, head="simple", image=(256, 192), labels=JOINTS, edges=EDGES, **more):
    """config.json as transformers writes it; layer_norm_eps is spelled out because its default, 1e-12, is nobody's intent.

    `more` stands beside transformers' own keys, which it keeps and does not read ("limber": {"task": "boxes"})."""
    return {
        "architectures": ["VitPoseForPoseEstimation"], "model_type": "vitpose", "torch_dtype": "float32",
        "initializer_range": 0.02, "scale_factor": 4, "use_simple_decoder": head == "simple", "edges": edges,
        "id2label": {str(i): s for i, s in enumerate(labels)}, "label2id": {s: i for i, s in enumerate(labels)}, **more,
        "backbone_config": {
            "model_type": "vitpose_backbone", "image_size": list(image), "patch_size": [16, 16], "num_channels": 3,
            "hidden_size": dim, "num_hidden_layers": depth, "num_attention_heads": heads, "mlp_ratio": 4, "num_experts": 1,
            "part_features": 0, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "qkv_bias": True,
            "out_features": [f"stage{depth}"], "out_indices": [depth]}}


PREPROCESSOR = {
    "image_processor_type": "VitPoseImageProcessor", "do_affine_transform": True, "do_normalize": True, "do_rescale": True,
    "image_mean": MEAN, "image_std": STD, "normalize_factor": 200.0, "rescale_factor": 1 / 255}


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.attention = nn.ModuleDict({k: nn.Linear(dim, dim) for k in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(dim, dim)})

    def forward(self, x):
        n, t, d = x.shape
        qkv = self.attention.values()
        y = F.linear(x, torch.cat([m.weight for m in qkv]), torch.cat([m.bias for m in qkv]))
        q, k, v = y.view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = ((q * (d // self.heads) ** -0.5) @ k.transpose(-1, -2)).softmax(-1) @ v      # on a CPU twice as fast as the fused call
        return self.output["dense"](y.transpose(1, 2).reshape(n, t, d))


class Block(nn.Module):
    def __init__(self, dim, heads, ratio, eps, drop):
        super().__init__()
        self.drop = drop
        self.layernorm_before = nn.LayerNorm(dim, eps=eps)
        self.attention = Attention(dim, heads)
        self.layernorm_after = nn.LayerNorm(dim, eps=eps)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, ratio * dim), "fc2": nn.Linear(ratio * dim, dim)})

    def path(self, y):
        """Drop-path: a whole residual branch is left out of some samples."""
        if not self.training or self.drop == 0:
            return y
        keep = (torch.rand(y.shape[0], 1, 1) >= self.drop).to(y.dtype)
        return y * keep / (1 - self.drop)

    def forward(self, x):
        x = x + self.path(self.attention(self.layernorm_before(x)))
        return x + self.path(self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.layernorm_after(x)))))


def spread(n, scale=4):
    """[3, scale*n, n]: row o of matrix s interpolates n samples at output o+s-1 (bilinear, align_corners False), 0 outside."""
    m = scale * n
    at = ((torch.arange(m) + 0.5) / scale - 0.5).clamp(0, n - 1)
    lo = at.floor().long()
    hi = (lo + 1).clamp(max=n - 1)
    up = torch.zeros(m, n)
    up[torch.arange(m), lo] += 1 - (at - lo)
    up[torch.arange(m), hi] += at - lo
    zero = torch.zeros(1, n)
    return torch.stack([torch.cat([zero, up[:-1]]), up, torch.cat([up[1:], zero])])


class SimpleHead(nn.Module):
    def __init__(self, dim, joints):
        super().__init__()
        self.conv = nn.Conv2d(dim, joints, 3, padding=1)
        self.fixed = {}                                                                       # grid -> its two matrices

    def matrices(self, h, w):
        if (h, w) not in self.fixed:
            self.fixed[h, w] = (spread(h).permute(1, 0, 2).reshape(4 * h, 3 * h),             # [Y, (dy, h)]
                                spread(w).permute(0, 2, 1).reshape(3 * w, 4 * w))             # [(dx, w), X]
        return self.fixed[h, w]

    def forward(self, tokens, grid):
        n, _, d = tokens.shape
        (h, w), k = grid, self.conv.out_channels
        rows, cols = (m.to(tokens.device) for m in self.matrices(h, w))
        y = F.linear(F.relu(tokens), self.conv.weight.permute(2, 0, 3, 1).reshape(-1, d))     # (dy, k, dx)
        with torch.autocast(tokens.device.type, enabled=False):
            y = y.float().view(n, h, w, 3, k, 3).permute(0, 4, 3, 1, 5, 2)                    # n k dy h dx w
            return rows @ (y.reshape(n, k, 3 * h, 3 * w) @ cols) + self.conv.bias.float().view(k, 1, 1)


class ClassicHead(nn.Module):
    def __init__(self, dim, joints):
        super().__init__()
        self.deconv1 = nn.ConvTranspose2d(dim, 256, 4, 2, 1, bias=False)
        self.batchnorm1 = nn.BatchNorm2d(256)
        self.deconv2 = nn.ConvTranspose2d(256, 256, 4, 2, 1, bias=False)
        self.batchnorm2 = nn.BatchNorm2d(256)
        self.conv = nn.Conv2d(256, joints, 1)

    def forward(self, tokens, grid):
        n, _, d = tokens.shape
        y = tokens.transpose(1, 2).reshape(n, d, *grid)
        y = F.relu(self.batchnorm1(self.deconv1(y)))
        y = F.relu(self.batchnorm2(self.deconv2(y)))
        return self.conv(y).float()


class Pose(nn.Module):
    """The network of a config.json (see config()); drop is the drop-path rate of the last block, 0 for the first."""

    def __init__(self, cfg, drop=0.0):
        super().__init__()
        self.cfg = cfg
        b = cfg["backbone_config"]
        dim, depth, heads = b["hidden_size"], b["num_hidden_layers"], b["num_attention_heads"]
        eps, ratio = b.get("layer_norm_eps", 1e-12), b.get("mlp_ratio", 4)
        self.size = tuple(b["image_size"])
        self.grid = (self.size[0] // 16, self.size[1] // 16)
        tokens = self.grid[0] * self.grid[1]
        self.backbone = nn.ModuleDict({
            "embeddings": nn.Module(),
            "encoder": nn.ModuleDict({"layer": nn.ModuleList(
                Block(dim, heads, ratio, eps, drop * i / max(1, depth - 1)) for i in range(depth))}),
            "layernorm": nn.LayerNorm(dim, eps=eps)})
        e = self.backbone["embeddings"]
        e.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(3, dim, 16, 16, padding=2)})
        e.position_embeddings = nn.Parameter(torch.zeros(1, 1 + tokens, dim))
        self.head = (SimpleHead if cfg["use_simple_decoder"] else ClassicHead)(dim, len(cfg["id2label"]))

    @property
    def blocks(self):
        return self.backbone["encoder"]["layer"]

    def embed(self, x):
        """Tokens of an image of any size in whole patches: a smaller one, for cheap first epochs, samples the positions between."""
        e = self.backbone["embeddings"]
        t = e.patch_embeddings["projection"](x)
        pos, grid = e.position_embeddings[:, 1:], tuple(t.shape[2:])
        if grid != self.grid:
            pos = F.interpolate(pos.unflatten(1, self.grid).permute(0, 3, 1, 2), grid, mode="bicubic").flatten(2).transpose(1, 2)
        return t.flatten(2).transpose(1, 2) + pos + e.position_embeddings[:, :1]

    def encode(self, tokens):
        for b in self.blocks:
            tokens = b(tokens)
        return self.backbone["layernorm"](tokens)

    def forward(self, x):
        return self.head(self.encode(self.embed(x)), (x.shape[2] // 16, x.shape[3] // 16))


# ---------------------------------------------------------------------------------------------------------------- initial values

def waves(n, count, longest):
    """[n, 2*count]: cosines and sines of wavelengths from 3 samples to `longest`, one pair after another."""
    length = 3 * (longest / 3) ** (torch.arange(count) / (count - 1))
    phase = 2 * math.pi * torch.arange(n)[:, None] / length
    return torch.stack([phase.cos(), phase.sin()], -1).reshape(n, 2 * count), 2 * math.pi / length


def turn(omega, by):
    """Block-diagonal rotation that moves a waves() code by `by` samples."""
    m = torch.zeros(2 * len(omega), 2 * len(omega))
    for i, o in enumerate(omega):
        c, s = math.cos(o * by), math.sin(o * by)
        m[2 * i:2 * i + 2, 2 * i:2 * i + 2] = torch.tensor([[c, -s], [s, c]])
    return m


def initialise(net, patches=None, local=0.75, sharp=1.0):
    """Start values that spare a small data set the work of learning what a photograph and a neighbourhood are.

    Positions: waves in the first head_dim channels, nothing elsewhere. Attention: in a `local` share of the heads queries and keys
    read only those channels, the keys turned by an offset, so a head begins by looking at the token that far away (3x3
    neighbours in the first blocks, farther ones later), like a convolution; the other heads begin undecided.
    Patch filters: the leading whitened components of `patches` [n, 768] (normalised pixels), so that features start uncorrelated
    and of unit size instead of 250 copies of the mean colour. Residual outputs are scaled by 1/sqrt(2 depth).
    """
    b = net.cfg["backbone_config"]
    dim, depth, heads = b["hidden_size"], b["num_hidden_layers"], b["num_attention_heads"]
    hd, (h, w) = dim // heads, net.grid
    k = hd // 4                                                   # wave pairs an axis
    rng = torch.Generator().manual_seed(0)
    for m in net.modules():
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=m.in_features ** -0.5, generator=rng)
            nn.init.zeros_(m.bias)
    e = net.backbone["embeddings"]
    (ys, oy), (xs, ox) = waves(h, k, 2.5 * h), waves(w, k, 2.5 * w)
    with torch.no_grad():
        code = torch.cat([ys[:, None].expand(h, w, -1), xs[None].expand(h, w, -1)], -1).reshape(h * w, 4 * k)
        e.position_embeddings.zero_()
        e.position_embeddings[0, 1:, :4 * k] = code
        proj = e.patch_embeddings["projection"]
        proj.weight.normal_(std=0.02, generator=rng)
        if patches is not None:
            x = patches - patches.mean(0)
            val, vec = torch.linalg.eigh((x.T @ x / len(x)).double())
            n = min(dim - 4 * k, 768)
            f = (vec[:, -n:] / (val[-n:] + 0.02).sqrt()).T.float().flip(0)
            proj.weight.zero_()
            proj.weight[4 * k:4 * k + n] = 0.7 * f.view(n, 3, 16, 16)
        proj.bias.zero_()
        ring = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
        for i, blk in enumerate(net.blocks):
            a = blk.attention.attention
            for m in (a["query"], a["key"]):
                m.weight.normal_(std=0.02, generator=rng)
            reach = 1 + i // 2
            order = torch.randperm(len(ring), generator=rng).tolist()
            for j in range(int(round(local * heads))):
                y, x = ring[order[j % len(ring)]]
                r = torch.block_diag(turn(oy, y * reach), turn(ox, x * reach))
                rows = slice(j * hd, j * hd + 4 * k)
                a["query"].weight[rows, :4 * k] = sharp * torch.eye(4 * k)
                a["key"].weight[rows, :4 * k] = sharp * r.T       # q.k = sum cos(omega (key - query - offset)), largest there
            for m in (blk.attention.output["dense"], blk.mlp["fc2"]):
                m.weight.mul_((2 * depth) ** -0.5)
        nn.init.normal_(net.head.conv.weight, std=0.01, generator=rng)
        nn.init.zeros_(net.head.conv.bias)
    return net


class Masked(nn.Module):
    """Masked autoencoder about a Pose: the encoder sees a quarter of the tokens, a thin decoder paints the other patches."""

    def __init__(self, net, dim=128, depth=2, keep=0.25):
        super().__init__()
        self.net, self.keep = net, keep
        width, (h, w) = net.cfg["backbone_config"]["hidden_size"], net.grid
        self.enter = nn.Linear(width, dim)
        self.mask = nn.Parameter(torch.zeros(1, 1, dim))
        k = dim // 4
        (ys, _), (xs, _) = waves(h, k, 2.5 * h), waves(w, k, 2.5 * w)
        self.register_buffer("place", torch.cat([ys[:, None].expand(h, w, -1), xs[None].expand(h, w, -1)], -1).reshape(1, h * w, dim))
        self.blocks = nn.ModuleList(Block(dim, 4, 4, 1e-6, 0.0) for _ in range(depth))
        self.layernorm = nn.LayerNorm(dim)
        self.paint = nn.Linear(dim, 768)

    def forward(self, x):
        """Mean squared error over the hidden patches, each normalised to mean 0 and variance 1."""
        n, t = x.shape[0], self.net.grid[0] * self.net.grid[1]
        order = torch.rand(n, t).argsort(1)
        seen, back = order[:, :int(t * self.keep)], order.argsort(1)
        tok = self.net.embed(x)
        y = self.enter(self.net.encode(tok.gather(1, seen[..., None].expand(-1, -1, tok.shape[-1]))))
        y = torch.cat([y, self.mask.to(y.dtype).expand(n, t - y.shape[1], -1)], 1)
        y = y.gather(1, back[..., None].expand(-1, -1, y.shape[-1])) + self.place.to(y.dtype)
        for b in self.blocks:
            y = b(y)
        y = self.paint(self.layernorm(y)).float()
        p = patches_of(x)
        p = (p - p.mean(-1, keepdim=True)) / (p.var(-1, keepdim=True) + 1e-6).sqrt()
        hidden = torch.ones(n, t).scatter_(1, seen, 0.0)
        return (((y - p) ** 2).mean(-1) * hidden).sum() / hidden.sum()


def patches_of(x):
    """[n,3,H,W] -> [n, tokens, 768], the windows that the padded patch convolution reads, channel first as its weights are."""
    h, w = x.shape[2] // 16 * 16, x.shape[3] // 16 * 16
    x = F.pad(x, (2, 0, 2, 0))[:, :, :h, :w]
    return x.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).reshape(x.shape[0], -1, 768)


# ------------------------------------------------------------------------------------------------------------------------- files

def save(net, folder, dtype=torch.float32):
    """Writes config.json, preprocessor_config.json and model.safetensors as transformers lays them out."""
    from safetensors.torch import save_file
    os.makedirs(folder, exist_ok=True)
    cfg = dict(net.cfg, torch_dtype=str(dtype).removeprefix("torch."))
    size = dict(zip(("height", "width"), net.size))
    for name, what in (("config.json", cfg), ("preprocessor_config.json", dict(PREPROCESSOR, size=size))):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(what, f, indent=1)
            f.write("\n")
    state = {k: v.detach().to(dtype) if v.is_floating_point() else v for k, v in net.state_dict().items()}
    path = os.path.join(folder, "model.safetensors")
    save_file({k: v.contiguous() for k, v in state.items()}, path, {"format": "pt"})
    os.chmod(path, 0o644)                         # safetensors leaves it readable to its owner alone


def grown(old, cfg, drop=0.0):
    """A network of cfg that begins as `old`: its first blocks, filters, norms, and positions resized; the head starts anew."""
    net = Pose(cfg, drop)
    mine, theirs = net.state_dict(), old.state_dict()
    place = "backbone.embeddings.position_embeddings"
    for k in mine:
        if k.startswith("head."):
            continue
        if k == place:
            grid = theirs[k][:, 1:].unflatten(1, old.grid).permute(0, 3, 1, 2)
            grid = F.interpolate(grid, net.grid, mode="bicubic").flatten(2).transpose(1, 2)
            mine[k] = torch.cat([theirs[k][:, :1], grid], 1)
        else:
            mine[k] = theirs[k]
    net.load_state_dict(mine)
    nn.init.normal_(net.head.conv.weight, std=0.01)
    nn.init.zeros_(net.head.conv.bias)
    return net


def load(folder, drop=0.0):
    from safetensors.torch import load_file
    with open(os.path.join(folder, "config.json")) as f:
        net = Pose(json.load(f), drop)
    net.load_state_dict({k: v.float() if v.is_floating_point() else v
                         for k, v in load_file(os.path.join(folder, "model.safetensors")).items()})
    return net
