#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""heads_tables.py DIR: the tables of docs/heads.md out of heads.json, patch.json and prune-*/prune.json in DIR; DIR/prune.svg beside.
What is not there is left out. Standard library only."""

import json
import os
import sys

METRICS = ("heat", "logp", "oks", "px")


def load(*path):
    try:
        with open(os.path.join(*path), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def three(e, digits=3):
    """An estimate as "mean [low, high]"."""
    mean, low, high = (e["mean"], e["low"], e["high"]) if isinstance(e, dict) else e
    if mean is None:
        return "-"
    text = f"{mean:.{digits}f}"
    return text if low is None else f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def table(head, rows):
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(x) for x in row) + " |")


def name(h):
    return f"{h['layer']}.{h['head']}"


def spearman(a, b):
    def ranks(v):
        return [sum(y < x for y in v) + 0.5 * sum(y == x for y in v) for x in v]

    ra, rb = ranks(a), ranks(b)
    ma, mb = sum(ra) / len(ra), sum(rb) / len(rb)
    top = sum((x - ma) * (y - mb) for x, y in zip(ra, rb))
    below = (sum((x - ma) ** 2 for x in ra) * sum((y - mb) ** 2 for y in rb)) ** 0.5
    return top / below if below else float("nan")


def reading(heads):
    print(f"\n## Reading: {heads['people_used']} people on {heads['images_used']} images, {heads['tests']} tests")
    print("\nkinds:", ", ".join(f"{k} {n}" for k, n in heads["kinds"].items()))
    table(("limb", "heads that read it"), [(c, sum(h["classes"][c]["specialist"] for h in heads["heads"])) for c in heads["classes"]])
    best = sorted(((k["r_limb"]["mean"] or 0, name(h), c, k) for h in heads["heads"] for c, k in h["classes"].items() if k["specialist"]), reverse=True, key=lambda x: x[0])
    table(("head", "reads", "r", "moved", "swapped"), [(n, c, three(k["r_limb"], 2), three(k["r_moved"], 2), three(k["r_swapped"], 2)) for _, n, c, k in best[:6]])
    if "strategy" in heads["heads"][0]:
        count = {}
        for h in heads["heads"]:
            count[h["strategy"]] = count.get(h["strategy"], 0) + 1
        print("\nstrategies by distance:", ", ".join(f"{k} {n}" for k, n in sorted(count.items())))
        layers = {h["layer"]: h["layer_p"] for h in heads["heads"]}
        print("heads of a layer differ in reach (Friedman), p:", ", ".join(f"{layer}: {p:.1g}" for layer, p in layers.items()))
        surely = sum(q is not None and q <= 0.05 for h in heads["heads"] for row in h["co_attention_q"] for q in row)
        print(f"pairs of limbs other than a swapped body's (q at most .05): {surely}")


def causing(patch, heads):
    print(f"\n## Causing: {patch['images_used']} images, complete: {patch['complete']}")
    near = sorted(heads["heads"], key=lambda h: h["reach"]["mean"])[:2] if heads else []
    kind = {name(h): h["kind"] for h in heads["heads"]} if heads else {}
    for change, c in patch["changes"].items():
        if change == "moved":
            continue
        q = [(h, limb, h["limbs"][limb]["heat"]) for h in c["heads"] for limb in patch["limbs"]]
        sure = [x for x in q if x[2]["q"] is not None and x[2]["q"] <= 0.05]
        up = sum(x[2]["raw"]["mean"] > 0 for x in sure)
        print(f"\n### {change}: {max(c['people'].values())} people a limb at most; heat: {len(sure)} of {len(q)} pairs with q <= .05, {up} that help, {len(sure) - up} that hinder")
        for metric in METRICS[1:]:
            m = [h["limbs"][limb][metric] for h in c["heads"] for limb in patch["limbs"]]
            print(f"{metric}: {sum(x['q'] is not None and x['q'] <= 0.05 for x in m)} of {len(m)} with q <= .05")
        rows = []
        for limb in patch["limbs"]:
            shared = [h for h in c["heads"] if h["limbs"][limb]["heat"]["effect"]["mean"] is not None]
            key = "effect" if shared else "raw"
            ranked = sorted(shared or c["heads"], key=lambda h: -(h["limbs"][limb]["heat"][key]["mean"] or 0))
            gap = c["gap"].get(limb, {}).get("heat") if "gap" in c else None
            rows.append((limb, c["people"][limb], three(gap) if gap else "-", "; ".join(f"{name(h)} ({kind.get(name(h), '')}) {three(h['limbs'][limb]['heat'][key], 2)} q {h['limbs'][limb]['heat']['q']}" for h in ranked[:2])))
        table(("limb", "people", "gap in heat", "the two largest"), rows)
        for n in near:
            h = next((x for x in c["heads"] if name(x) == name(n)), None)
            if h:
                place = [1 + sum((x["limbs"][limb]["heat"]["raw"]["mean"] or 0) > (h["limbs"][limb]["heat"]["raw"]["mean"] or 0) for x in c["heads"]) for limb in patch["limbs"]]
                print(f"near-sighted head {name(n)} (reach {n['reach']['mean']:.2f}): its rank among {len(c['heads'])}, by limb: {place}")
        direct = {}
        for h in c["heads"]:
            for limb in patch["limbs"]:
                d = h["limbs"][limb]["heat"]
                if d["direct"]["mean"] is not None:
                    t = direct.setdefault(h["layer"], [0, 0])
                    t[0] += d["raw"]["mean"] / len(patch["limbs"])
                    t[1] += d["direct"]["mean"] / len(patch["limbs"])
        if direct:
            print("total / direct by layer, heat:", ", ".join(f"{layer}: {t:.3f} / {d:.3f}" for layer, (t, d) in sorted(direct.items())))
    both = [patch["changes"].get(x) for x in ("zero", "mean")]
    if all(both):
        a, b = ([h["limbs"][limb]["heat"]["raw"]["mean"] or 0 for h in c["heads"] for limb in patch["limbs"]] for c in both)
        print(f"\nzero against mean: Spearman {spearman(a, b):.2f} over {len(a)} cells, mean size {sum(map(abs, a)) / sum(map(abs, b)):.2f} : 1")
    if "reading" in patch:
        rows = []
        for change, by in patch["reading"]["spearman"].items():
            for metric in ("heat", "oks"):
                r, s = by[metric], by[metric]["specialists"]
                for what in ("r_limb", "r_over_chance", "lift"):
                    rows.append((change, metric, what) + tuple(f"{r[what][k]['rho']:.2f} (chance {r[what][k]['null_mean']:.2f}, p {r[what][k]['p']:.2g})" if r[what][k]["rho"] is not None else "-" for k in ("effect", "magnitude")))
                if s["mean"] is not None:
                    print(f"specialists, {change}, {metric}: {s['mean']:.4f}, others of their layers {s['null_mean']:.4f}, two-sided p {min(1, 2 * min(s['p'], s['p_below'])):.3f}")
        table(("change", "measure", "what is read", "rho with the effect", "with its size"), rows)
    if "focus" in patch:
        f = patch["focus"]
        print(f"\nentropy against loss, {f['people']} people: " + ", ".join(f"{m}: {sum(h[m]['q'] is not None and h[m]['q'] <= 0.05 for h in f['heads'])} of {len(f['heads'])} heads with q <= .05" for m in METRICS))
        print(f"focused on half of the people or more: {sum(h['focused'] >= 0.5 for h in f['heads'])} heads; exploring: {sum(h['exploring'] >= 0.5 for h in f['heads'])}")


def pruning(p, title):
    r = p["reported_on"]
    print(f"\n## {title}: {len(p['dropped'])} of {p['heads']} heads, {p['neurons_dropped']} of {p['neurons']} neurons left out")
    random = r["AP_of_random_sets"]
    print(f"AP on {r['people']} people: {three(r['AP_before'])} -> {three(r['AP_after'])}, change {three(r['AP_change'])}; random sets: mean {sum(random) / len(random):.3f}, best {max(random):.3f}")
    table(("heads", "neurons", "multiply-adds", "processor ms", "times as fast", "AP", "change"), [(c["heads"], c["neurons"], f"{c['multiply_adds'] / 1e9:.3f} G", f"{c['processor_ms']:.1f}", three(c["times_faster"], 2), three(c["AP"]), three(c["AP_change"])) for c in p["curve"]])


def curve_svg(p, path):
    """AP with its interval against processor time, as shares of the whole model's time."""
    pts = [(c["processor_ms"] / p["curve"][0]["processor_ms"], c["AP"]) for c in p["curve"]]
    w, h, left, top, right, below = 520, 300, 60, 16, 16, 48
    high = max(x[1][2] for x in pts) * 1.05 or 1
    low_t = min(x[0] for x in pts) - 0.05

    def at(t, ap):
        return left + (t - low_t) / (1.05 - low_t) * (w - left - right), top + (1 - ap / high) * (h - top - below)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" font-family="sans-serif" font-size="12"><rect width="{w}" height="{h}" fill="#fff"/>']
    for i in range(5):
        x, y = at(low_t, high * i / 4)
        out.append(f'<path d="M{left} {y:.1f}H{w - right}" stroke="#ddd"/><text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{high * i / 4:.2f}</text>')
    t = 0.1 * (int(low_t * 10) + 1)
    while t <= 1.001:
        x, _ = at(t, 0)
        out.append(f'<text x="{x:.1f}" y="{h - below + 18}" text-anchor="middle">{t:.1f}</text>')
        t += 0.1
    path_d = "M" + "L".join("{:.1f} {:.1f}".format(*at(x, ap[0])) for x, ap in sorted(pts, key=lambda v: v[0]))
    out.append(f'<path d="{path_d}" fill="none" stroke="#c65200" stroke-width="2"/>')
    for x, ap in pts:
        cx, low = at(x, ap[1])
        _, up = at(x, ap[2])
        _, cy = at(x, ap[0])
        out.append(f'<path d="M{cx:.1f} {low:.1f}V{up:.1f}" stroke="#c65200" stroke-opacity=".4" stroke-width="2"/><circle cx="{cx:.1f}" cy="{cy:.1f}" r="4" fill="#c65200"/>')
    out.append(f'<text x="{(w + left) / 2:.0f}" y="{h - 8}" text-anchor="middle">processor time a person, the whole model = 1</text><text x="{left + 4}" y="{top + 4}">AP, with 95 % interval over images</text></svg>')
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    d = sys.argv[1]
    heads, patch = load(d, "heads.json"), load(d, "patch.json")
    if heads:
        reading(heads)
    if patch:
        causing(patch, heads)
    for folder, title in (("prune-heads", "Heads alone"), ("prune-both", "Heads and neurons")):
        p = load(d, folder, "prune.json")
        if p:
            pruning(p, title)
            if len(p["curve"]) > 2:
                curve_svg(p, os.path.join(d, "prune.svg"))


if __name__ == "__main__":
    main()
