#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A drawn figure that moves, with its joints: what docs/video.md measures lag, jitter and --detect-every on.

    python bench/video_figures.py OUT.mp4 [SECONDS [RATE]]      writes OUT.mp4 and OUT.json, [frame][joint] of [x, y, seen]
    python bench/video_figures.py --score OUT.json POSES.jsonl...  jitter and lag of each against the truth

For two seconds it stands and breathes, then it waves an arm, slowly and fast, then it walks across the picture. The film is drawn by
tools/make_samples.py, so it needs numpy and pillow; ffmpeg encodes it."""
import json, math, os, subprocess, sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
W, H = 320, 240


def pose_at(t):
    """Directions of bones, and where the figure stands."""
    wave = np.clip((t - 2) / 0.5, 0, 1) * np.clip((5.5 - t) / 0.5, 0, 1)
    beat = math.sin(2 * math.pi * (0.6 if t < 3.7 else 1.6) * (t - 2))
    walk = np.clip((t - 5.5) / 0.5, 0, 1)
    step = math.sin(2 * math.pi * 0.9 * (t - 5.5)) * walk
    breath = 0.02 * math.sin(2 * math.pi * 0.3 * t)
    pose = dict(torso=np.eye(3), left_upper_arm=(0.22 + breath, -1, 0.5 * -step), left_forearm=(0.1, -1, 0.25 - 0.5 * step),
                right_upper_arm=tuple((1 - wave) * np.array([-0.22 - breath, -1, 0.5 * step]) + wave * np.array([-1, 0.25 * beat, 0.2])),
                right_forearm=tuple((1 - wave) * np.array([-0.1, -1, 0.25 + 0.5 * step]) + wave * np.array([-0.35 - 0.6 * beat, 1, 0.3])),
                left_thigh=(0.05, -1, 0.55 * step), left_shin=(0.03, -1, 0.55 * step - 0.35 * walk), right_thigh=(-0.05, -1, -0.55 * step),
                right_shin=(-0.03, -1, -0.55 * step - 0.35 * walk), head=np.eye(3))
    return pose, (-1.1 + 1.0 * max(t - 5.7, 0), 60 * walk)


def draw(out, seconds, rate):
    import make_samples as m
    cam = m.Camera(W, H, (0, 1.3, 6.4), (0, 0.95, 0), 23.5)
    film = subprocess.Popen(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{W}x{H}", "-r", str(rate), "-i", "-", "-c:v",
                             "libx264", "-crf", "18", "-pix_fmt", "yuv420p", out], stdin=subprocess.PIPE)
    truth = []
    for n in range(int(seconds * rate)):
        pose, (x, yaw) = pose_at(n / rate)
        figure = m.grounded(pose, at=(x, 0), yaw=yaw, shirt=(0.80, 0.66, 0.12), trousers=(0.28, 0.23, 0.18))
        m.trees.__dict__.update(eye=cam.eye)
        picture, owner, _ = m.render(cam, [figure], (0.55, 0.85, 0.6), m.meadow, m.trees, 1)
        m.annotate.things = [figure]
        k = m.annotate(cam, figure, 0, owner, 1)["keypoints"]
        truth.append([k[i:i + 3] for i in range(0, 51, 3)])
        film.stdin.write(np.asarray(m.develop(picture, n)).tobytes())
        print(f"\r{n + 1}", end="", file=sys.stderr, flush=True)
    film.stdin.close()
    film.wait()
    json.dump(dict(rate=rate, joints=truth), open(out.rsplit(".", 1)[0] + ".json", "w"))


def score(path, results):
    data = json.load(open(path))
    rate, truth = data["rate"], np.array(data["joints"], float)[..., :2]
    print("| | error px, mean | jitter at rest px | error of moving joints px | lag ms | tracks | frames without |")
    print("|---|---|---|---|---|---|---|")
    for name in results:
        lines = [json.loads(line) for line in open(name)]
        got = np.full(truth.shape, np.nan)
        tracks = set()
        for d in lines:
            for p in d.get("people", [])[:1]:
                got[d["frame"]] = [v[:2] for v in p["keypoints"].values()]
                tracks.add(p.get("track", 0))
        there = ~np.isnan(got[:, 0, 0])
        error = np.linalg.norm(got - truth, axis=-1)
        # at rest: 0.5 to 2 s; how far from where it was on average, the mean over joints
        rest = slice(int(0.5 * rate), int(2 * rate))
        away = got[rest] - np.nanmean(got[rest], axis=0)
        jitter = np.sqrt(np.nanmean(np.sum(away ** 2, -1)))
        # moving: speed of the truth above 40 px a second; the lag is the shift in time that explains the error along the motion best
        velocity = np.gradient(truth, 1 / rate, axis=0)
        speed = np.linalg.norm(velocity, axis=-1)
        moving = (speed > 40) & there[:, None]
        along = np.sum((truth - got) * velocity, -1)
        lag = np.nansum(along[moving]) / np.nansum(speed[moving] ** 2)
        print(f"| {os.path.basename(os.path.dirname(name)) or name} | {np.nanmean(error):.2f} | {jitter:.2f} | {np.nanmean(error[moving]):.2f} | "
              f"{1000 * lag:.0f} | {len(tracks)} | {int((~there).sum())} |")


if __name__ == "__main__":
    if sys.argv[1] == "--score":
        score(sys.argv[2], sys.argv[3:])
    else:
        draw(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 9, float(sys.argv[3]) if len(sys.argv) > 3 else 30)
