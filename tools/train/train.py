# SPDX-License-Identifier: MIT
"""Trains a ViTPose network on cached crops (data.py) and writes it in the Hugging Face layout (model.py).

    python3 data.py pool.json photographs/ cache/pool                     once
    python3 train.py --data cache/pool --eval persons.json photographs/ --run runs/a --minutes 120
    python3 train.py --processes 2 --threads 1 ...                        one process a core: on a busy machine much faster than
                                                                          two threads, which wait for each other in every operation
    python3 train.py --run runs/a --resume                                after an interruption: same settings, clock goes on
    python3 train.py --run runs/a --export data/limber-s                  the averaged weights as config.json + model.safetensors

The clock is wall time (or --clock cpu), so a run ends when it was told to, however busy the machine is. Three schedules hang on the share of it that
has passed: the picture grows (--stages), the learning rate is warm, flat, then falls to zero (--decay), and the loss goes from a
spatial cross-entropy to squared error on the heatmaps. Squared error alone does not leave the all-zero map: a joint covers 1 % of
its map. The cross-entropy compares softmax(tau*h) with softmax(tau*target), so both losses have the same minimum, h = target.

Weights are kept in F32; with --precision bf16 each step computes with BF16 copies (weights, activations, gradients), which needs no
loss scaling and on a CPU with AVX512_BF16 is 4 times faster than F32. Matrices inside the blocks are updated by Muon (momentum,
then the nearest orthogonal matrix by Newton-Schulz; Jordan 2024, scaled as in Moonlight), everything else by AdamW.
"""
import argparse
import copy
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call

import boxes
import data
import gates
import model
import pose

TASKS = {"pose": pose, "boxes": boxes}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--run", required=True, help="folder of this run: checkpoint.pt, settings.json, log.txt")
    p.add_argument("--resume", action="store_true", help="go on from the run's checkpoint; options given again replace the old ones")
    p.add_argument("--export", metavar="FOLDER", help="write the averaged weights and stop")
    p.add_argument("--export-dtype", choices=["f32", "bf16"], default="bf16")
    p.add_argument("--task", choices=list(TASKS), default="pose", help="joints of a person's crop, or boxes of a photograph's people")
    p.add_argument("--device", default="cpu", help="cpu, or cuda: then batches are augmented there")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--processes", type=int, default=1, help="data-parallel copies of this program that average their gradients")
    p.add_argument("--seed", type=int, default=0)
    g = p.add_argument_group("network")
    g.add_argument("--dim", type=int, default=256)
    g.add_argument("--depth", type=int, default=8)
    g.add_argument("--heads", type=int, default=8)
    g.add_argument("--head", choices=["simple", "classic"], default="simple")
    g.add_argument("--drop-path", type=float, default=0.0)
    g.add_argument("--init", metavar="FOLDER", help="start from a model in the Hugging Face layout (its config wins), or from an --mae run")
    g.add_argument("--local", type=float, default=0.75, help="share of heads that begin by looking at one neighbour (0: none)")
    g = p.add_argument_group("test")
    g.add_argument("--eval", nargs=2, metavar=("JSON", "IMAGES"), help="test set, scored during the run; never trained on")
    g.add_argument("--eval-source", default="", help="headline slice of the test set, by source prefix")
    g.add_argument("--empty", default="", metavar="FOLDER", help="boxes: photographs without people, for the share that gets a box")
    g = p.add_argument_group("schedule")
    g.add_argument("--minutes", type=float, default=60, help="length of the whole run")
    g.add_argument("--steps", type=int, help="length of the run in steps instead, for runs that are compared")
    g.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="what --minutes counts: the clock on the wall, or this process's "
                   "time on a processor, for runs that only get what others leave")
    g.add_argument("--stages", nargs="+", default=["0:128x96:48", "0.3:256x192:32"], metavar="FROM:HxW:BATCH",
                   help="size of the picture and persons a step and process, from this share of the run on; small pictures are 4 times "
                        "cheaper and teach where limbs are")
    g.add_argument("--lr", type=float, default=1.5e-3)
    g.add_argument("--edge-rate", type=float, default=0.1, help="rate of patch filters, positions and head, as a share of --lr")
    g.add_argument("--warm", type=int, default=200, help="steps of linear warm-up, at the start and after a change of size")
    g.add_argument("--decay", type=float, default=0.45, help="share of the run, at its end, over which the rate falls to zero")
    g.add_argument("--weight-decay", type=float, default=0.05)
    g.add_argument("--optimizer", choices=["muon", "adamw"], default="muon")
    g.add_argument("--precision", choices=["bf16", "autocast", "f32"], default="bf16")
    g.add_argument("--ema", type=float, default=0.998)
    g.add_argument("--save-minutes", type=float, default=4)
    g.add_argument("--eval-minutes", type=float, default=10)
    for t in TASKS.values():
        t.add_arguments(p)
    g = p.add_argument_group("pose: other aims")
    g.add_argument("--mae", action="store_true", help="masked autoencoding instead of poses: labels are not looked at")
    g.add_argument("--keep", nargs="+", default=[], metavar="CACHE",
                   help="fine-tune without forgetting these crops: updates are kept orthogonal to the inputs that every linear layer "
                        "sees on them (gradient projection memory, Saha et al. 2021); other parameters than those matrices stay")
    g.add_argument("--keep-energy", type=float, default=0.95, help="share of those inputs' energy that is protected")
    g.add_argument("--freeze-rest", action="store_true", help="train the matrices of linear layers alone, as --keep does, without its bound")
    g.add_argument("--gate-cost", type=float, default=0, metavar="COST",
                   help="learn which heads the network can do without (gates.py): a gate a head, and COST times the share of open ones "
                        "in the loss; --export multiplies them into the weights")
    g.add_argument("--anchor", type=float, default=0, metavar="WEIGHT",
                   help="pull every weight towards its start by rate * WEIGHT a step (L2-SP, Li et al. 2018, decoupled as AdamW's decay)")
    return p


# --------------------------------------------------------------------------------------------------------------------- optimizer

@torch.no_grad()
def orthogonal(g, steps=5):
    """Nearest (semi-)orthogonal matrices of g [m, rows, cols], roughly: singular values end between 0.7 and 1.2."""
    x = g.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)
    for _ in range(steps):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.transpose(1, 2) if tall else x


class Muon:
    """Momentum 0.95 (Nesterov), orthogonalised, times 0.2*sqrt(longer side): then one learning rate suits it and AdamW."""

    def __init__(self, params, momentum=0.95):
        self.params, self.momentum = list(params), momentum
        self.rank, self.ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.buffers = [torch.zeros_like(p) for p in self.params]

    @torch.no_grad()
    def step(self, lr, decay):
        shapes = {}
        for p, b in zip(self.params, self.buffers):
            if p.grad is not None:
                b.lerp_(p.grad, 1 - self.momentum)
                shapes.setdefault(tuple(p.shape), []).append((p, p.grad.lerp(b, self.momentum)))
        jobs = []
        for shape, group in sorted(shapes.items()):
            u = torch.zeros(len(group), *shape, dtype=torch.bfloat16)
            mine = slice(self.rank, None, self.ranks)
            u[mine] = orthogonal(torch.stack([d for _, d in group[mine]]) if group[mine] else u[mine])
            jobs.append((shape, group, u))
        if self.ranks > 1:                            # each process has made every ranks-th matrix; the sum is all of them
            flat = torch.cat([u.flatten() for _, _, u in jobs])
            dist.all_reduce(flat)
            for (_, _, u), part in zip(jobs, flat.split([u.numel() for _, _, u in jobs])):
                u.copy_(part.view_as(u))
        for shape, group, u in jobs:
            for (p, _), d in zip(group, u):
                p.mul_(1 - lr * decay).sub_(d.float(), alpha=lr * 0.2 * max(shape) ** 0.5)


class Optimizer:
    def __init__(self, net, a):
        named = [(k, p) for k, p in net.named_parameters() if p.requires_grad]
        inner = [(k, p) for k, p in named if a.optimizer == "muon" and p.ndim == 2 and (".layer." in k or k.startswith("blocks."))]
        outer = [(k, p) for k, p in named if not any(p is q for _, q in inner)]
        self.decay = a.weight_decay
        self.muon = Muon(p for _, p in inner)
        # Adam moves every weight by about the rate, all 256*9 inputs of a heatmap together, and tau sharpens the outcome tenfold:
        # at the full rate one step shifts the softmax by several units and the loss climbs. Filters and head take a tenth of it.
        self.adam = torch.optim.AdamW([
            {"params": [p for k, p in outer if p.ndim > 2], "weight_decay": a.weight_decay, "part": a.edge_rate},
            {"params": [p for k, p in outer if p.ndim == 2], "weight_decay": a.weight_decay, "part": 1.0},
            {"params": [p for k, p in outer if p.ndim <= 1], "weight_decay": 0.0, "part": 1.0}],
            betas=(0.9, 0.98), lr=a.lr, fused=True)

    def step(self, lr):
        for g in self.adam.param_groups:
            g["lr"] = lr * g["part"]
        self.adam.step()
        self.muon.step(lr, self.decay)

    def zero_grad(self):
        self.adam.zero_grad()
        for p in self.muon.params:
            p.grad = None

    def state(self):
        return {"adam": self.adam.state_dict(), "muon": self.muon.buffers}

    def restore(self, s):
        self.adam.load_state_dict(s["adam"])
        for b, t in zip(self.muon.buffers, s["muon"]):
            b.copy_(t)


def freeze_rest(net):
    """Of all parameters the matrices of linear layers train on."""
    trained = {m.weight for m in net.modules() if isinstance(m, nn.Linear)}
    for p in net.parameters():
        p.requires_grad_(p in trained)


class Anchored:
    """Every parameter is drawn back to where it began."""

    def __init__(self, net, weight):
        self.items, self.weight = [(p, p.detach().clone()) for p in net.parameters() if p.requires_grad], weight

    @torch.no_grad()
    def after(self, lr):
        for p, start in self.items:
            p.lerp_(start, min(1, lr * self.weight))


class Protected:
    """Old inputs of every linear layer span a space; an update W += D with D U U^T = 0 leaves the layer's answers to them alone."""

    def __init__(self, net, run, batches, energy):
        """batches: the old inputs, which `run` feeds to net; energy: share of theirs, summed over directions, that is protected."""
        self.items, moment, hooks = [], {}, []
        def watch(m):
            def hook(_, args):
                x = args[0].detach().float().flatten(0, -2)
                moment[m] = moment.get(m, 0) + x.T @ x
            return hook
        linear = {k: m for k, m in net.named_modules() if isinstance(m, nn.Linear)}
        for m in linear.values():
            hooks.append(m.register_forward_pre_hook(watch(m)))
        for blk in net.blocks:                    # query, key and value are applied as one product: their input is the norm's output
            def spread(_, __, y, att=blk.attention.attention):
                for m in att.values():
                    watch(m)(m, (y,))
            hooks.append(blk.layernorm_before.register_forward_hook(spread))
        with torch.no_grad():
            for x in batches:
                run(x)
        for h in hooks:
            h.remove()
        for m in linear.values():
            val, vec = torch.linalg.eigh(moment[m].double())
            share = val.clamp(min=0).flip(0).cumsum(0) / val.clamp(min=0).sum()
            count = int((share < energy).sum()) + 1
            self.items.append((m.weight, vec[:, -count:].float(), count / len(val)))
        self.moments = [moment[m] for m in linear.values()]       # [in,in]: sums of x x^T

        self.old = [w.detach().clone() for w, _, _ in self.items]

    @torch.no_grad()
    def after(self, lr):
        for (w, u, _), old in zip(self.items, self.old):
            d = w - old
            w.copy_(old + d - (d @ u) @ u.T)
            old.copy_(w)


# -------------------------------------------------------------------------------------------------------------------------- loop

def forward_of(net, precision):
    """net as a function of an F32 image, computed in the given precision, differentiable with respect to the F32 parameters."""
    if precision == "bf16":
        def run(x):
            cast = {k: p.bfloat16() for k, p in net.named_parameters()}
            return functional_call(net, cast, (x.bfloat16(),))
    elif precision == "autocast":
        def run(x):
            with torch.autocast(x.device.type, torch.bfloat16):
                return net(x)
    else:
        run = net
    return run


def build(a, task):
    if a.init and os.path.exists(os.path.join(a.init, "config.json")):
        old = model.load(a.init, a.drop_path)
        if old.cfg.get("limber", {}).get("task", "pose") == a.task:
            return old
        a.dim, a.heads = (old.cfg["backbone_config"][k] for k in ("hidden_size", "num_attention_heads"))
        return task.begin(model.grown(old, task.config(a), a.drop_path))      # another task's encoder: what it knows of people is kept
    net = model.Pose(task.config(a), a.drop_path)
    if a.init:
        state = torch.load(os.path.join(a.init, "checkpoint.pt"), weights_only=True)["ema"]
        net.load_state_dict({k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")})
        return net
    patches = None
    if a.task == "pose" and a.data:
        x = data.Mixture([data.Cache(d) for d in a.data], pose.shares(a), 1).draw(256)[0]
        px = model.patches_of(data.normalise(x[:, :, 64:320, 48:240].float() / 255))
        patches = px.flatten(0, 1)[torch.randperm(px.shape[0] * px.shape[1])[:20000]]
    return task.begin(model.initialise(net, patches, a.local))


def share_gradients(params, ranks, seconds, stop):
    """Averages gradients over the processes, and clock and wish to stop with them, so that all take the same decisions."""
    if ranks == 1:
        return seconds, stop
    with torch.no_grad():
        flat = torch.cat([p.grad.flatten() for p in params] + [torch.tensor([seconds, float(stop)])])
        dist.all_reduce(flat)
        flat /= ranks
        at = 0
        for p in params:
            p.grad.copy_(flat[at:at + p.numel()].view_as(p))
            at += p.numel()
    return flat[-2].item(), flat[-1].item() > 0


def stage(a, done):
    """Height, width and batch of the stage that this share of the run lies in."""
    now = [s for s in a.stages if done >= float(s.split(":")[0])][-1]
    _, size, count = now.split(":")
    return *(int(v) for v in size.split("x")), int(count)


def save(path, net, ema, opt, clock, gate):
    torch.save({"net": net.state_dict(), "ema": ema.state_dict(), "opt": opt.state(), "clock": clock,
                **({"gates": gate.state()} if gate else {})}, path + ".part")
    os.replace(path + ".part", path)              # a run that dies while saving keeps its last checkpoint


def spawn(count):
    """Runs this command line once for every process and returns the first failure, or 0."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    ranks = [subprocess.Popen([sys.executable] + sys.argv, env=dict(
        os.environ, RANK=str(i), WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)) for i in range(count)]
    def stop(*_):
        for r in ranks:
            r.terminate()
    signal.signal(signal.SIGTERM, stop)
    codes = []
    while ranks:
        for r in [r for r in ranks if r.poll() is not None]:
            codes.append(r.returncode)
            ranks.remove(r)
            if r.returncode:
                stop()
        time.sleep(0.5)
    return next((c for c in codes if c), 0)


def main():
    p = arguments()
    a = p.parse_args()
    settings = os.path.join(a.run, "settings.json")
    checkpoint = os.path.join(a.run, "checkpoint.pt")
    if a.resume or a.export:
        with open(settings) as f:
            p.set_defaults(**json.load(f))
        a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(a.seed)
    if a.export:
        net = build(a, TASKS[a.task])
        c = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(c["ema"])
        if "gates" in c:
            gates.fold(net, c["gates"]["place"])
        model.save(net, a.export, torch.bfloat16 if a.export_dtype == "bf16" else torch.float32)
        return 0

    if a.processes > 1 and "RANK" not in os.environ:
        return spawn(a.processes)
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if ranks > 1:
        dist.init_process_group("gloo")
    os.makedirs(a.run, exist_ok=True)
    keep = {k: v for k, v in vars(a).items() if k not in ("run", "resume", "export", "export_dtype")}
    if rank == 0:
        with open(settings, "w") as f:
            json.dump(keep, f, indent=1)
    log = open(os.path.join(a.run, "log.txt"), "a")
    def say(text):
        for f in (log, sys.stdout) if rank == 0 else ():
            print(time.strftime("%H:%M:%S"), text, file=f, flush=True)

    task = TASKS[a.task]
    feed = task.Feed(a, rank)
    judge = task.judge(a) if a.eval and rank == 0 else None
    net = build(a, task)
    if a.mae:
        net = model.Masked(net)
    net.to(a.device)
    guards = []
    if a.keep or a.freeze_rest:
        freeze_rest(net)
    if a.keep:
        old = data.Mixture([data.Cache(d) for d in a.keep], {"": 1})
        x = [data.batch(*old.draw(32), aug=None)[0].to(a.device) for _ in range(8)]
        guards.append(Protected(net, net, x, a.keep_energy))
        say(f"protects {np.mean([i[2] for i in guards[0].items]):.0%} of the directions of {len(guards[0].items)} linear layers")
    if a.anchor:
        guards.append(Anchored(net, a.anchor))
    gate = gates.Gates(net, a.gate_cost).to(a.device) if a.gate_cost and not a.mae else None      # before the copy, which calls them too
    ema = copy.deepcopy(net).eval()
    opt = Optimizer(net, a)
    clock = {"seconds": 0.0, "step": 0, "seen": 0, "stage_step": 0, "size": None}
    if a.resume:
        c = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(c["net"])
        ema.load_state_dict(c["ema"])
        opt.restore(c["opt"])
        if gate and "gates" in c:
            gate.restore(c["gates"])
        clock = c["clock"]
        feed.restart(rank, clock["step"])
    torch.manual_seed(a.seed + 7919 * rank + clock["step"])      # after build(): the processes start from the same weights
    say(f"{sum(q.numel() for q in net.parameters()) / 1e6:.2f} M parameters, {feed.about()}, at {clock['seconds'] / 60:.1f} of {a.minutes:g} minutes" if not a.steps else f"{a.steps} steps")

    run, averaged = forward_of(net, a.precision), forward_of(ema, a.precision)
    def tell(size):
        where = {"size": size} if a.task == "pose" else {}
        judge.score(lambda x: averaged(x.to(a.device)).float().cpu(), say, a, **where)
    everything = [q for q in net.parameters() if q.requires_grad] + ([gate.place] if gate else [])
    def share():
        return clock["step"] / a.steps if a.steps else clock["seconds"] / (a.minutes * 60)
    spent = time.process_time if a.clock == "cpu" else time.time
    begun, base = spent(), clock["seconds"]
    saved = judged = shown = time.time()
    mean, told, shown_seen = None, 0, clock["seen"]
    net.train()
    asked, stop = [], False                           # SIGTERM: finish the step, save, leave
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    while (done := share()) < 1 and not stop:
        *size, count = stage(a, done)
        if clock["size"] != size:
            clock["size"], clock["stage_step"] = size, 0
            say(f"pictures of {size[0]}x{size[1]}, {count} a step and process")
        lr = a.lr * min(1, (clock["stage_step"] + 1) / a.warm) * min(1, (1 - done) / a.decay)
        x, labels = feed.batch(size, count, a.device)
        if a.mae:
            loss = run(x)
            parts = (loss,)
        else:
            loss, parts = task.loss(run(x), labels, size, a, done)
        opt.zero_grad()
        if gate:
            loss = loss + gate.penalty()
        loss.backward()
        clock["seconds"], stop = share_gradients(everything, ranks, base + spent() - begun, bool(asked))
        norm = nn.utils.clip_grad_norm_(everything, 1.0)
        if not torch.isfinite(norm):
            say("a gradient is not finite: step skipped")
            if gate:
                gate.adam.zero_grad()
            continue
        opt.step(lr)
        if gate:
            gate.step(lr / a.lr)
        for g in guards:
            g.after(lr)
        clock["step"] += 1
        clock["stage_step"] += 1
        clock["seen"] += len(x) * ranks
        told += 1
        mean = [m + (v.item() - m) * max(0.02, 1 / told) for v, m in zip(parts, mean or [0] * len(parts))]
        if rank > 0:
            continue
        rate = min(a.ema, (1 + clock["step"]) / (10 + clock["step"]))
        with torch.no_grad():
            torch._foreach_lerp_([q.data for q in ema.parameters()], [q.data for q in net.parameters()], 1 - rate)
            for e, b in zip(ema.buffers(), net.buffers()):
                e.copy_(b)
        now = time.time()
        if clock["step"] % 50 == 0 or told == 1 or share() >= 1:
            say(f"step {clock['step']} loss {' '.join(f'{m:.4f}' for m in mean)} norm {norm:.2f} lr {lr:.2e} seen {clock['seen']} "
                f"{(clock['seen'] - shown_seen) / (now - shown):.1f} a second {clock['seconds'] / 60:.1f} min{', ' + gate.about() if gate else ''}")
            shown, shown_seen = now, clock["seen"]
        if now - saved > a.save_minutes * 60:
            save(checkpoint, net, ema, opt, clock, gate)
            saved = now
        if judge and not a.mae and now - judged > a.eval_minutes * 60:
            tell(tuple(clock["size"]))
            judged = time.time()
    if rank == 0:
        save(checkpoint, net, ema, opt, clock, gate)
    if judge and not a.mae and not stop:
        tell(tuple(clock["size"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
