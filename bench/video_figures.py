#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A drawn figure that moves, with its joints: what docs/video.md measures lag, jitter and --detect-every on.

    python bench/video_figures.py OUT.mp4 [SECONDS [RATE]]      writes OUT.mp4 and OUT.json, [frame][joint] of [x, y, seen]
    python bench/video_figures.py --score OUT.json TRACKED.jsonl POSES.jsonl...

--score compares lines of `limber run OUT.mp4 --track` with the truth, and others after it; and filters the first ones with other settings.

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


def read(path, name):
    """The truth [frame][joint][2], and what a poses.jsonl of limber's has for it: joints with their scores, sizes of the person."""
    data = json.load(open(path))
    people = [json.loads(line)["people"][0] for line in open(name)]
    joints = np.array([list(p["keypoints"].values()) for p in people])
    return data["rate"], np.array(data["joints"], float)[..., :2], joints, np.array([math.sqrt(p["box"][2] * p["box"][3]) for p in people])


def one_euro(joints, sizes, rate, cutoff, slope, speed_cutoff=1.0, sure=0.5):
    """src/pose/smooth.c once more, to try other settings on the same joints."""
    share = lambda hz: 2 * math.pi * hz / rate / (2 * math.pi * hz / rate + 1)
    out = joints[..., :2].copy()
    velocity = np.zeros_like(out[0])
    for t in range(1, len(out)):
        weight = np.clip(joints[t, :, 2] / sure, 0.1, 1)[:, None]
        velocity += share(speed_cutoff * weight) * ((joints[t, :, :2] - out[t - 1]) * rate - velocity)
        speed = np.linalg.norm(velocity, axis=-1, keepdims=True) / sizes[t]
        out[t] = out[t - 1] + share((cutoff + slope * speed) * weight) * (joints[t, :, :2] - out[t - 1])
    return out


def measures(joints, truth, rate, right):
    """Of the joints that are right in every row: mean error; how much the error jerks (root mean square of its second difference) where the
    truth rests (below 10 px a second) and where it moves (above 40); and how many ms the joints are behind where it moves."""
    velocity = np.gradient(truth, 1 / rate, axis=0)
    speed = np.linalg.norm(velocity, axis=-1)
    jerk = np.linalg.norm(np.diff(joints - truth, 2, axis=0), axis=-1)
    rms = lambda where: np.sqrt(np.mean(jerk[where[1:-1]] ** 2))
    moves = right & (speed > 40)
    behind = np.sum(((truth - joints) * velocity).sum(-1)[moves]) / np.sum(speed[moves] ** 2)
    return np.linalg.norm(joints - truth, axis=-1)[right].mean(), rms(right & (speed < 10)), rms(moves), 1000 * behind


def score(path, results):
    print("| | error px | jitter at rest px | jitter in motion px | lag ms |\n|---|---|---|---|---|")
    row = lambda name, m: print(f"| {name} | {m[0]:.2f} | {m[1]:.2f} | {m[2]:.1f} | {m[3]:.0f} |")
    rate, truth, raw, sizes = read(path, results[0])
    right = np.linalg.norm(raw[..., :2] - truth, axis=-1) < 0.12 * H * 0.7
    for name in results:
        row(name, measures(read(path, name)[2][..., :2], truth, rate, right))
    rng = np.random.default_rng(3)
    for noise in (0, 2):
        noisy = raw.copy()
        noisy[..., :2] += noise * rng.standard_normal(noisy[..., :2].shape)
        row(f"none, {noise} px of noise added", measures(noisy[..., :2], truth, rate, right))
        for cutoff, slope in ((1, 0), (0.5, 4), (1, 2), (1, 4), (1, 8), (2, 4)):
            row(f"{cutoff} Hz + {slope}, {noise} px added", measures(one_euro(noisy, sizes, rate, cutoff, slope), truth, rate, right))


if __name__ == "__main__":
    if sys.argv[1] == "--score":
        score(sys.argv[2], sys.argv[3:])
    else:
        draw(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 9, float(sys.argv[3]) if len(sys.argv) > 3 else 30)
