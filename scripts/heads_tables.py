#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""heads_tables.py [--sets] DIR: the tables of docs/heads.md out of heads.json, patch.json, needed/*.json and prune-*/prune.json in DIR;
DIR/prune.svg beside. What is not there is left out. --sets: instead, the sets of heads that `limber eval --prune` is asked of, a line each.
Standard library only."""

import json
import os
import random
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
        print(f"pairs of limbs beyond both nulls (q at most .05): {surely}")
    if heads["heads"][0].get("anywhere"):
        rows = []
        for c in heads["heads"][0]["anywhere"]:
            known = [(min(h["anywhere"][c]["over_moved"]["mean"] or 0, h["anywhere"][c]["over_swapped"]["mean"] or 0), name(h), h["anywhere"][c]) for h in heads["heads"]]
            _, best, k = max(known, key=lambda x: x[0])
            rows.append((c, sum(x[2]["reader"] for x in known), best, three(k["r"], 2), three(k["r_moved"], 2), three(k["r_swapped"], 2), f"{k['lift'] or 0:.2f}", k["q"]))
        table(("from anywhere", "readers", "the clearest", "r", "moved", "swapped", "lift", "q"), rows)


DRAWS = 12


def specialists(heads):
    return [h for h in heads["heads"] if h["kind"] == "specialist"]


def sets(heads):
    """All specialists, and as many others of their depth (from one layer before the first of them on), drawn."""
    all_of = specialists(heads)
    if not all_of:
        return
    print("specialists:" + ",".join(map(name, all_of)))
    first = min(h["layer"] for h in all_of) - 1
    others = [h for h in heads["heads"] if h["kind"] != "specialist" and h["layer"] >= first]
    others = others if len(others) >= len(all_of) else [h for h in heads["heads"] if h["kind"] != "specialist"]
    for i in range(DRAWS):
        drawn = random.Random(i).sample(others, min(len(all_of), len(others)))
        print(f"random{i:02d}:" + ",".join(sorted(map(name, drawn))))


def needed(d, heads):
    each, without = load(d, "needed", "each.json"), load(d, "needed", "specialists.json")
    if not each:
        return
    rows = each["without_head"]
    ap = each["all"]["AP"]
    tests = [h["loss"][c] for h in rows for c in h["loss"]]
    sure = sum(t["q"] <= 0.05 for t in tests)
    print(f"\n## Needed: {each['all']['people']} people, AP {ap:.3f}")
    print(f"one head less: {sure} of {len(tests)} tests with q <= .05; AP falls the most without")
    worst = sorted(rows, key=lambda h: h["AP"])[:5]
    table(("head", "AP", "change", "the limb that loses most"), [(name(h), f"{h['AP']:.3f}", f"{h['AP'] - ap:+.3f}", "{} {:.3f} [{:.3f}, {:.3f}] q {:.2g}".format(*max(((c, e["mean"], e["low"], e["high"], e["q"]) for c, e in h["loss"].items()), key=lambda x: x[1]))) for h in worst])
    draws = [x for x in (load(d, "needed", f"random{i:02d}.json") for i in range(DRAWS)) if x]
    if without and draws:
        n = len(specialists(heads))
        fall = sorted(ap - x["all"]["AP"] for x in draws)
        mine = ap - without["all"]["AP"]
        print(f"\nwithout all {n} specialists AP falls by {mine:.3f}; without {n} others of their depth, drawn {len(draws)} times, by {fall[0]:.3f} to {fall[-1]:.3f} (mean {sum(fall) / len(fall):.3f}); {sum(f >= mine for f in fall)} of the draws cost as much or more")


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
    """AP with its interval against processor time, as shares of the whole model's time; random sets at the smallest model's."""
    pts = [(c["processor_ms"] / p["curve"][0]["processor_ms"], c["AP"], c["neurons"] == p["neurons"]) for c in p["curve"]]
    drawn = [(pts[-1][0], ap) for ap in p["reported_on"]["AP_of_random_sets"]]
    w, h, left, top, right, below = 640, 380, 60, 30, 16, 48
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
    path_d = "M" + "L".join("{:.1f} {:.1f}".format(*at(x, ap[0])) for x, ap, _ in pts)
    out.append(f'<path d="{path_d}" fill="none" stroke="#c65200" stroke-width="2"/>')
    for x, ap in drawn:
        cx, cy = at(x, ap)
        out.append(f'<path d="M{cx - 4:.1f} {cy - 4:.1f}l8 8m0-8l-8 8" stroke="#246" stroke-width="1.5" fill="none"/>')
    for x, ap, whole in pts:
        cx, low = at(x, ap[1])
        _, up = at(x, ap[2])
        _, cy = at(x, ap[0])
        out.append(f'<path d="M{cx:.1f} {low:.1f}V{up:.1f}" stroke="#c65200" stroke-opacity=".4" stroke-width="2"/><circle cx="{cx:.1f}" cy="{cy:.1f}" r="4.5" stroke="#c65200" stroke-width="1.5" fill="{"#fff" if whole else "#c65200"}"/>')
    out.append(f'<text x="{(w + left) / 2:.0f}" y="{h - 8}" text-anchor="middle">processor time a person, the whole model = 1</text><text x="{left}" y="18">AP, 95 % interval. Open: heads go; filled: neurons too; crosses: {len(drawn)} random sets like the last</text></svg>')
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


def main():
    only_sets = sys.argv[1:2] == ["--sets"]
    if len(sys.argv) != 2 + only_sets:
        sys.exit(__doc__)
    d = sys.argv[-1]
    if only_sets:
        sets(load(d, "heads.json"))
        return
    heads, patch = load(d, "heads.json"), load(d, "patch.json")
    if heads:
        reading(heads)
        needed(d, heads)
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
