# SPDX-License-Identifier: MIT
"""Gates (gates.py) on a network of two blocks: seconds on a CPU. python3 test_gates.py; smoke.py runs it too."""
import copy
import sys

import torch

import gates
import model


def small():
    torch.manual_seed(3)
    net = model.Pose(model.config(dim=32, depth=2, heads=4, image=(64, 48)))
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return net


def main():
    checks = {}
    x = torch.randn(8, 3, 64, 48)
    net = small()
    with torch.no_grad():
        plain = net.eval()(x)

    gated = copy.deepcopy(net)
    g = gates.Gates(gated, cost=1.0)
    with torch.no_grad():
        g.place.fill_(9.0)
        checks["open gates change nothing"] = torch.equal(gated.eval()(x), plain)
        torch.manual_seed(0)
        noisy = [g.drawn(0) for _ in range(400)]
        g.place.fill_(0.0)
        half = torch.stack([g.drawn(0) for _ in range(400)])
    checks["a gate far open is 1 almost always"] = (torch.stack(noisy) == 1).float().mean() > 0.99
    exact = ((half == 0) | (half == 1)).float().mean()
    shut = (half == 0).float().mean()
    expected = 1 - torch.sigmoid(-gates.BETA * torch.log(torch.tensor(-gates.LOW / gates.HIGH)))
    checks["zeros and ones have a probability of their own"] = 0.3 < exact < 0.6 and abs(shut - expected) < 0.05

    # Of eight heads one says nothing that is read. With all else held still, its gate closes, and does so before any other.
    teacher = small().eval()
    with torch.no_grad():
        teacher.blocks[1].attention.output["dense"].weight[:, 8:16] = 0        # head 1 of layer 1
    pupil = copy.deepcopy(teacher).requires_grad_(False).train()
    with torch.no_grad():
        want = teacher(x)
    g = gates.Gates(pupil, cost=0.002)
    first = None
    for step in range(400):
        loss = ((pupil(x) - want) ** 2).mean() / (want ** 2).mean() + g.penalty()
        loss.backward()
        g.step(1.0)
        closed = [(int(i), int(j)) for i, j in (g.values() == 0).nonzero()]
        if closed:
            first = closed
            break
    print("closed first:", first, "at step", step, g.about())
    checks["a head that nothing reads closes, and first"] = first == [(1, 1)]

    # Written: the gates are in the columns, closed heads are zeros, and the answers are those of the gated network.
    with torch.no_grad():
        g.place[0, 2] = -0.7                                                   # half open
        gated_answer = pupil.eval()(x)
        written = copy.deepcopy(teacher)
        gates.fold(written, g.state()["place"])
        difference = (written(x) - gated_answer).abs().max() / gated_answer.abs().max()
        checks["folded, the answers are the same"] = difference < 1e-5
        checks["a closed head is columns of zeros"] = not written.blocks[1].attention.output["dense"].weight[:, 8:16].any()
        checks["and no other head is"] = written.blocks[0].attention.output["dense"].weight[:, 16:24].any().item()

    again = gates.Gates(copy.deepcopy(teacher), cost=0.05)
    again.restore(g.state())
    checks["a checkpoint brings them back"] = torch.equal(again.values(), g.values())
    for what, ok in checks.items():
        print("ok  " if ok else "FAIL", what)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
