# SPDX-License-Identifier: MIT
"""tests/golden/tracks.txt: random sequences of truths and answers, and what TrackEval (pip install trackeval, 1.3.0) says of them.

    python tools/make_track_golden.py > tests/golden/tracks.txt

A sequence is a line "sequence NAME hota deta assa idf1 idp idr switches" and then, a line each, its frames:
"truths answers, ids of the truths, ids of the answers, alike row by row"."""
import numpy as np
from trackeval.metrics import CLEAR, HOTA, Identity

rng = np.random.default_rng(7)
QUIET = {"PRINT_CONFIG": False}


def sequence(name, truths, frames, missed, confused, strangers):
    ids, rows, last = {}, [], 0
    for _ in range(frames):
        there = [i for i in range(truths) if rng.random() > 0.15]
        answers, alike = [], []
        for i in there:
            if rng.random() < missed:
                continue
            if i not in ids or rng.random() < confused:
                last += 1
                ids[i] = last
            answers.append((ids[i], i))
        for _ in range(rng.integers(0, strangers + 1)):
            last += 1
            answers.append((last, -1))
        for i in there:
            for _, of in answers:
                value = rng.uniform(0.3, 1) if of == i else rng.uniform(0, 0.5) if rng.random() < 0.3 else 0
                alike.append(round(value, 3))
        rows.append(([i + 10 for i in there], [a for a, _ in answers], np.array(alike).reshape(len(there), len(answers))))
    gt = {g: n for n, g in enumerate(sorted({g for r in rows for g in r[0]}))}
    tr = {a: n for n, a in enumerate(sorted({a for r in rows for a in r[1]}))}
    data = {
        "gt_ids": [np.array([gt[g] for g in r[0]], int) for r in rows],
        "tracker_ids": [np.array([tr[a] for a in r[1]], int) for r in rows],
        "similarity_scores": [r[2] for r in rows],
        "num_gt_ids": len(gt), "num_tracker_ids": len(tr), "num_timesteps": len(rows),
        "num_gt_dets": sum(len(r[0]) for r in rows), "num_tracker_dets": sum(len(r[1]) for r in rows),
    }
    hota, identity, clear = HOTA().eval_sequence(data), Identity(QUIET).eval_sequence(data), CLEAR(QUIET).eval_sequence(data)
    print("sequence", name, *(f"{np.mean(hota[k]):.9f}" for k in ("HOTA", "DetA", "AssA")),
          *(f"{identity[k]:.9f}" for k in ("IDF1", "IDP", "IDR")), int(clear["IDSW"]))
    for g, a, s in rows:
        print(len(g), len(a), *g, *a, *(f"{v:g}" for v in s.ravel()))


sequence("few", 3, 12, 0.1, 0.1, 0)
sequence("many", 7, 20, 0.2, 0.15, 1)
sequence("empty_at_times", 2, 15, 0.6, 0.3, 1)
sequence("no_answers", 2, 3, 1.0, 0.0, 0)
sequence("strangers", 4, 12, 0.05, 0.0, 3)
