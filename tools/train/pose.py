# SPDX-License-Identifier: MIT
"""The task `pose`: a person's crop becomes a heatmap a joint. Crops, augmentation and the judge are data.py's; here is the loss."""
import math

import torch
import torch.nn.functional as F

import data
import model


def add_arguments(p):
    g = p.add_argument_group("pose")
    g.add_argument("--data", nargs="+", default=[], help="caches made by data.py")
    g.add_argument("--share", nargs="+", default=["coco=3.5", "sports=4.5", "stanford40=3", "lspet=1", "julito=0.1", "=1"],
                   metavar="SOURCE=SHARE", help="how often each source (by prefix) is drawn; shares are relative")
    g.add_argument("--augment", nargs="+", default=[], metavar="NAME=VALUE", help=f"replace defaults: {data.AUGMENT}")
    g.add_argument("--sigma", type=float, default=2.0, help="of the target Gaussians, in heatmap pixels")
    g.add_argument("--tau", type=float, default=10.0, help="sharpness of the softmax over a map")
    g.add_argument("--ce", nargs=3, type=float, default=[1.0, 0.1, 0.6], metavar=("FIRST", "LAST", "UNTIL"),
                   help="weight of the cross-entropy, falling linearly until this share of the run; squared error has the rest")
    g.add_argument("--foreground", type=float, default=10.0, help="squared error is weighted by 1 + this * target")


def config(a):
    return model.config(a.dim, a.depth, a.heads, a.head)


def begin(net):
    return net


def shares(a):
    return {k: float(v) for k, v in (s.rsplit("=", 1) for s in a.share)}


class Feed:
    """Augmented crops with joints, weights and heights, drawn from the caches of --data."""

    def __init__(self, a, rank):
        self.a = a
        self.mix = data.Mixture([data.Cache(d) for d in a.data], shares(a), a.seed + rank)
        self.aug = dict(data.AUGMENT, **{k: float(v) for k, v in (s.split("=") for s in a.augment)})

    def about(self):
        return f"{[len(q) for q in self.mix.pools]} persons by source, shares {[round(float(s), 3) for s in self.mix.share]}"

    def restart(self, rank, step):
        self.mix.rng = data.np.random.default_rng([self.a.seed, rank, step])

    def batch(self, size, count, device="cpu"):
        x, *labels = data.batch(*self.mix.draw(count, half=size[0] * 2 <= data.H), size=size, aug=self.aug, device=device)
        return x, labels


def loss(maps, labels, size, a, done):
    """(total, parts): cross-entropy and squared error, each a mean over weighted joints and about 1 for the all-zero map.

    The squared error wants maps as high as the label is sure; the cross-entropy, which knows no height, trusts a label by it.
    KL(softmax tau*target | softmax tau*h) / 5, and the squared error, weighted by 1 + foreground*target, over the same of h = 0.
    """
    joints, weight, height = labels
    t = data.heatmaps(joints, size, a.sigma)
    sure = weight * ((height - 0.2) / 0.4).clamp(0, 1)
    log_p, log_q = F.log_softmax(maps.flatten(2) * a.tau, -1), F.log_softmax(t.flatten(2) * a.tau, -1)
    kl = F.kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1)
    zero = math.pi * a.sigma ** 2 * (1 + a.foreground * 2 / 3)
    t = t * height[..., None, None]
    square = ((maps - t) ** 2 * (1 + a.foreground * t)).sum((2, 3)) / zero
    parts = ((kl * sure).sum() / sure.sum().clamp(min=1) / 5, (square * weight).sum() / weight.sum().clamp(min=1))
    ce = a.ce[0] + (a.ce[1] - a.ce[0]) * min(1, done / a.ce[2])
    return ce * parts[0] + (1 - ce) * parts[1], parts


class Judge(data.Judge):
    def score(self, forward, say, a, size=(data.H, data.W)):
        """One line of COCO numbers; size is what the network sees now, so small pictures early in the run."""
        r = self.predict(forward, size)
        line = [f"{s or 'all'} AP {v[0]:.3f} AP50 {v[1]:.3f} AP75 {v[2]:.3f} M {v[3]:.3f} L {v[4]:.3f}"
                for s in dict.fromkeys([a.eval_source, ""]) for v in [self.stats(r, s)]]
        say(f"EVAL {' | '.join(line)} | PCK {self.pck(r, a.eval_source)[0]:.3f} / all {self.pck(r)[0]:.3f}")


def judge(a):
    return Judge(*a.eval)
