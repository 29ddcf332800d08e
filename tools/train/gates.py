# SPDX-License-Identifier: MIT
"""Static gates: which attention heads a network can do without, learned while it trains (`train.py --gate-cost`).

Every head has a gate that its output is multiplied with before the projection: a hard concrete variable (Louizos, Welling, Kingma, ICLR 2018; of
heads: Voita et al., ACL 2019), drawn anew in each step, exactly 0 or 1 most of the time and differentiable. The loss gains

    cost * (the share of heads whose gate is open, as expected)          L0, not the size of the gates

so a head stays open while it earns more than its part of the cost. The gates do not depend on the input. When the model is written they are what they
are without noise, and are multiplied into the columns of the projection: closed heads become columns of zeros, which limber leaves out of the work, and
the file is one that transformers opens."""
import torch
import torch.nn as nn

LOW, HIGH, BETA = -0.1, 1.1, 2 / 3           # stretched beyond [0, 1], then cut: 0 and 1 have a probability of their own
START = 2.5                                  # open, with P(gate > 0) = 0.98


class Gates(nn.Module):
    """Gates of net's heads; net calls them from then on, with noise in training and without otherwise. A copy of net calls the same."""

    def __init__(self, net, cost, lr=0.05):
        super().__init__()
        attention = [b.attention for b in net.blocks]
        self.cost, self.heads = cost, attention[0].heads
        self.place = nn.Parameter(torch.full((len(attention), self.heads), START))
        self.adam = torch.optim.Adam([self.place], lr=lr)
        self.lr = lr
        for layer, a in enumerate(attention):
            a.output["dense"].register_forward_pre_hook(lambda m, args, layer=layer: (self.apply_to(args[0], layer, m.training),))

    def apply_to(self, y, layer, noise):
        gate = self.drawn(layer) if noise else self.values()[layer]
        return y * gate.to(y.dtype).repeat_interleave(y.shape[-1] // self.heads)

    def drawn(self, layer):
        u = torch.rand(self.heads, device=self.place.device).clamp(1e-6, 1 - 1e-6)
        s = torch.sigmoid((u.log() - (1 - u).log() + self.place[layer]) / BETA)
        return (s * (HIGH - LOW) + LOW).clamp(0, 1)

    def values(self):
        """[layers, heads] without noise: 0 is closed."""
        return (torch.sigmoid(self.place) * (HIGH - LOW) + LOW).clamp(0, 1)

    def penalty(self):
        return self.cost * torch.sigmoid(self.place - BETA * torch.log(torch.tensor(-LOW / HIGH))).mean()

    def step(self, share):
        """After the gradients: `share` of the full rate."""
        self.adam.param_groups[0]["lr"] = self.lr * share
        self.adam.step()
        self.adam.zero_grad()

    def about(self):
        return f"{int((self.values() > 0).sum())} of {self.place.numel()} heads open"

    def state(self):
        return {"place": self.place.detach().clone(), "adam": self.adam.state_dict()}

    def restore(self, s):
        with torch.no_grad():
            self.place.copy_(s["place"])
        self.adam.load_state_dict(s["adam"])


@torch.no_grad()
def fold(net, place):
    """Multiplies the gates into net's projections, in place. place: of Gates.state(). net must have no gates of its own."""
    for blk, row in zip(net.blocks, place, strict=True):
        gate = (torch.sigmoid(row) * (HIGH - LOW) + LOW).clamp(0, 1)
        w = blk.attention.output["dense"].weight
        w.mul_(gate.repeat_interleave(w.shape[1] // len(gate)))
