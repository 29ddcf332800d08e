#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""data/samples: people that nobody photographed, with the joints they were built from.

    pip install numpy pillow
    python tools/make_samples.py [data/samples] [NAME...]

A figure is a skeleton (seventeen joints of COCO, posed by the directions of its bones) dressed in rounded cones and ellipsoids
that melt into each other, a signed distance field, drawn by walking along each pixel's ray until the field is reached. Light is
a sun with shadows, a sky, and what the ground gives back. Lengths are metres, y is up, a figure faces +z before it is turned;
its own left is +x. persons.json holds the joints as the camera sees them: v = 2 seen, 1 hidden by another part or person.
"""
import json, os, sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

F = np.float32
NAMES = ["nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
         "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"]
SKELETON = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10], [9, 11], [2, 3], [1, 2], [1, 3],
            [2, 4], [3, 5], [4, 6], [5, 7]]


def unit(v):
    v = np.asarray(v, float)
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def turn(axis, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    m = np.eye(3)
    m[i, i] = m[j, j] = c
    m[i, j], m[j, i] = -s, s
    return m


def noise(p, seed=0, octaves=4):
    """Smooth noise of about -1..1 in any dimension: sines in random directions."""
    rng, out, size = np.random.default_rng(seed), 0, 1.0
    for o in range(octaves):
        for _ in range(4):
            k = rng.normal(size=p.shape[-1])
            k *= 2.0 ** o * rng.uniform(0.8, 1.6) / np.linalg.norm(k)
            out = out + size * np.sin(p @ k.astype(p.dtype) * 6.28 + rng.uniform(0, 6.28))
        size *= 0.55
    return out / 4


# ---- shapes: distance of points [n,3]; negative inside -----------------------------------------------------------------
# A cone is two spheres and, nearly, what a rubber band around them would hold; (a, b, radius at a, radius at b).
# An ellipsoid is (centre, frame, radii). All of a figure's shapes are measured together: one matrix product, then whole columns.

def box(p, centre, frame, half, rounding):
    q = np.abs((p - centre) @ frame.astype(F)) - np.asarray(half, F) + F(rounding)
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0) - F(rounding)


def in_pieces(f, p, size=4096):
    """f over pieces of p that stay in the cache; f returns a tuple of arrays."""
    parts = [f(p[i:i + size]) for i in range(0, max(len(p), 1), size)]
    return tuple(np.concatenate(column) for column in zip(*parts))


class Shapes:
    def __init__(self, centre, cones, ellipsoids):
        """cones, ellipsoids: {place in the order of melting: parameters}"""
        self.centre = np.asarray(centre, F)
        self.order = {**{i: ("cone", k) for k, i in enumerate(cones)}, **{i: ("ellipsoid", k) for k, i in enumerate(ellipsoids)}}
        a, b, ra, rb = (np.array(v, float) for v in zip(*cones.values()))
        a, b = a - centre, b - centre
        d = b - a
        self.d, self.a, self.ad, self.aa, self.dd = (np.asarray(v, F) for v in (d.T, a.T, (a * d).sum(1), (a * a).sum(1), (d * d).sum(1)))
        self.ra, self.dr = np.asarray(ra, F), np.asarray(rb - ra, F)
        c, frame, radii = zip(*ellipsoids.values())
        self.turn = np.concatenate([np.asarray(f) / np.asarray(r) for f, r in zip(frame, radii)], 1).astype(F)      # [3, 3k]
        self.shift = np.concatenate([(np.asarray(x) - centre) @ f / np.asarray(r) for x, f, r in zip(c, frame, radii)]).astype(F)
        self.radii = np.concatenate([np.asarray(r) for r in radii]).astype(F)

    def distances(self, p):
        """-> [shapes][n], in the order of melting"""
        p = p - self.centre
        along = (p @ self.d - self.ad).T
        t = np.clip(along / self.dd[:, None], 0, 1)
        square = (p * p).sum(1) - 2 * (p @ self.a).T + self.aa[:, None] - t * (2 * along - t * self.dd[:, None])
        cones = np.sqrt(np.maximum(square, 0)) - self.ra[:, None] - t * self.dr[:, None]
        q = (p @ self.turn - self.shift).T
        n = np.sqrt((q * q).reshape(-1, 3, len(p)).sum(1))
        q /= self.radii[:, None]
        g = np.sqrt((q * q).reshape(-1, 3, len(p)).sum(1))
        ellipsoids = n * (n - 1) / np.maximum(g, F(1e-6))
        return [cones[k] if kind == "cone" else ellipsoids[k] for _, (kind, k) in sorted(self.order.items())]


def melt(a, b, k):
    h = np.maximum(k - np.abs(a - b), 0)
    return np.minimum(a, b) - h * h * F(0.25 / k)


# ---- a figure -------------------------------------------------------------------------------------------------------

class Figure:
    """pose: directions of bones in the figure's own frame, `torso`, `head`: rotations; `at`: where its pelvis is put."""

    def __init__(self, pose, at=(0, 0, 0), yaw=0.0, height=1.75, skin=(0.78, 0.56, 0.45), hair=(0.14, 0.09, 0.06), shirt=(0.75, 0.12, 0.12),
                 trousers=(0.13, 0.17, 0.3), shoes=(0.9, 0.9, 0.88), sleeve=0.55, legs=1.0, stripes=None, long_hair=False, build=1.0):
        s, self.s = height / 1.75, height / 1.75
        self.look = dict(skin=skin, hair=hair, shirt=shirt, trousers=trousers, shoes=shoes, sleeve=sleeve, legs=legs, stripes=stripes)
        body = turn("y", yaw)
        torso = body @ pose.get("torso", np.eye(3))
        head = torso @ pose.get("head", np.eye(3))
        pelvis = np.array(at, float)
        J = {}
        chest = pelvis + torso @ [0, 0.36 * s, 0]
        neck = pelvis + torso @ [0, 0.50 * s, -0.01 * s]
        J["neck"], J["chest"], J["pelvis"] = neck, chest, pelvis
        skull = neck + torso @ [0, 0.07 * s, 0.005 * s] + head @ [0, 0.105 * s, 0.02 * s]
        J["skull"] = skull
        J["nose"] = skull + head @ [0, -0.022 * s, 0.112 * s]
        for side, x in (("left", 1), ("right", -1)):
            J[side + "_eye"] = skull + head @ [x * 0.033 * s, 0.012 * s, 0.09 * s]
            J[side + "_ear"] = skull + head @ [x * 0.077 * s, -0.012 * s, -0.002 * s]
            J[side + "_shoulder"] = neck + torso @ [x * 0.175 * s, -0.055 * s, 0]
            J[side + "_hip"] = pelvis + body @ [x * 0.095 * s, -0.02 * s, 0]
            chain = [("shoulder", "elbow", "upper_arm", 0.29), ("elbow", "wrist", "forearm", 0.255), ("wrist", "hand", "hand", 0.09),
                     ("hip", "knee", "thigh", 0.43), ("knee", "ankle", "shin", 0.42)]
            for a, b, bone, length in chain:
                base = torso if a in ("shoulder", "elbow", "wrist") else body
                d = pose.get(f"{side}_{bone}", pose.get(f"{side}_forearm") if bone == "hand" else None)
                J[f"{side}_{b}"] = J[f"{side}_{a}"] + base @ unit(d) * length * s
            J[side + "_toe"] = J[side + "_ankle"] + body @ unit(pose.get(side + "_foot", (0.1 * x, -0.38, 1))) * 0.19 * s
        self.J, self.head, self.torso, self.body = J, head, torso, body
        self.parts, cones, ellipsoids = self.dress(s, build, long_hair)
        self.shapes = Shapes(pelvis, cones, ellipsoids)

    def dress(self, s, build, long_hair):
        """-> [(material, melting)], and the shapes by their place in that list"""
        J, L, parts, cones, ellipsoids = self.J, self.look, [], {}, {}
        up = self.torso @ [0, 1, 0]

        def add(material, shape, *args, soft=0.02):
            shape[len(parts)] = args
            parts.append((material, soft * s))
        w = build * s
        add("shirt", ellipsoids, J["chest"] + self.torso @ [0, 0.01 * s, 0.005 * s], self.torso, (0.165 * w, 0.20 * s, 0.108 * w), soft=0.06)
        add("shirt", ellipsoids, J["pelvis"] + self.torso @ [0, 0.15 * s, 0.005 * s], self.torso, (0.142 * w, 0.19 * s, 0.10 * w), soft=0.06)
        add("trousers", ellipsoids, J["pelvis"] + self.body @ [0, 0.01 * s, -0.01 * s], self.body, (0.152 * w, 0.115 * s, 0.113 * w), soft=0.05)
        add("skin", cones, J["neck"] - up * 0.03 * s, J["neck"] + (J["skull"] - J["neck"]) * 0.6, 0.062 * s, 0.052 * s, soft=0.03)
        head = self.head
        add("head", ellipsoids, J["skull"] + head @ [0, 0.02 * s, -0.008 * s], head, (0.076 * s, 0.098 * s, 0.094 * s), soft=0.02)
        add("head", ellipsoids, J["skull"] + head @ [0, -0.045 * s, 0.028 * s], head, (0.056 * s, 0.072 * s, 0.062 * s), soft=0.03)
        add("head", cones, J["skull"] + head @ [0, 0.004 * s, 0.094 * s], J["nose"] + head @ [0, 0, -0.012 * s], 0.008 * s, 0.0145 * s, soft=0.012)
        hair = [((0, 0.045, -0.018), (0.082, 0.083, 0.094))] + ([((0, -0.06, -0.065), (0.082, 0.13, 0.05))] if long_hair else [])
        for c, r in hair:
            add("hair", ellipsoids, J["skull"] + head @ (np.array(c) * s), head, tuple(np.array(r) * s), soft=0.008)
        for side, x in (("left", 1), ("right", -1)):
            add("head", ellipsoids, J[side + "_ear"], head, (0.012 * s, 0.032 * s, 0.02 * s), soft=0.006)
            shoulder, elbow, wrist, hand = (J[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist", "hand"))
            add("shirt", ellipsoids, shoulder + (J["neck"] - shoulder) * 0.12, self.torso, (0.068 * w, 0.062 * s, 0.062 * w), soft=0.06)
            cuff = shoulder + (elbow - shoulder) * min(L["sleeve"], 1)
            thick = 0.056 if L["sleeve"] < 1 else 0.05
            add("shirt", cones, shoulder, cuff, 0.060 * w, thick * w, soft=0.035)
            if L["sleeve"] > 1:
                add("shirt", cones, elbow, elbow + (wrist - elbow) * (L["sleeve"] - 1), 0.048 * w, 0.038 * w, soft=0.02)
            add("skin", cones, shoulder, elbow, 0.046 * w, 0.037 * w, soft=0.012)
            add("skin", cones, elbow, elbow + (wrist - elbow) * 0.35, 0.037 * w, 0.040 * w, soft=0.02)
            add("skin", cones, elbow + (wrist - elbow) * 0.35, wrist, 0.040 * w, 0.026 * s, soft=0.02)
            d = unit(hand - wrist)
            across = unit(np.cross(d, self.body @ [0.3, 0.1, 1.0]))
            flat = np.cross(d, across)
            frame = np.stack([across, d, flat], 1)
            add("skin", ellipsoids, wrist + d * 0.045 * s, frame, (0.037 * s, 0.052 * s, 0.017 * s), soft=0.012)
            for f in range(4):
                root = wrist + d * 0.08 * s + across * (f - 1.5) * 0.018 * s
                length = (0.062, 0.075, 0.072, 0.055)[f] * s
                add("skin", cones, root, root + (d + across * (f - 1.5) * 0.05 + flat * 0.25) / 1.03 * length, 0.0095 * s, 0.0075 * s, soft=0.005)
            thumb = wrist + d * 0.025 * s + across * 0.03 * s * x
            add("skin", cones, thumb, thumb + unit(d + across * x * 0.8) * 0.055 * s, 0.012 * s, 0.009 * s, soft=0.01)
            hip, knee, ankle, toe = (J[f"{side}_{n}"] for n in ("hip", "knee", "ankle", "toe"))
            leg = L["legs"]
            end = hip + (knee - hip) * min(2 * leg, 1)
            add("trousers", cones, hip + (knee - hip) * 0.03, end, 0.096 * w, (0.066 if leg > 0.5 else 0.084) * w, soft=0.05)
            if leg > 0.5:
                end = knee + (ankle - knee) * (2 * leg - 1) * 0.97
                add("trousers", cones, knee, end, 0.066 * w, 0.056 * w, soft=0.03)
            else:
                add("skin", cones, hip, knee, 0.075 * w, 0.055 * w, soft=0.01)
            add("skin", cones, knee, knee + (ankle - knee) * 0.3, 0.054 * w, 0.058 * w, soft=0.02)
            add("skin", cones, knee + (ankle - knee) * 0.3, ankle, 0.058 * w, 0.036 * s, soft=0.02)
            heel = ankle + self.body @ [0, -0.055 * s, -0.035 * s]
            add("shoes", cones, heel, toe + self.body @ [0, -0.002 * s, 0], 0.042 * s, 0.036 * s, soft=0.03)
            add("shoes", cones, ankle + (knee - ankle) * 0.04, (ankle + toe) / 2, 0.046 * s, 0.038 * s, soft=0.03)
        return parts, cones, ellipsoids

    def distance(self, p):
        def piece(q):
            columns = self.shapes.distances(q)
            total = columns[0]
            for (_, soft), d in zip(self.parts[1:], columns[1:]):
                total = melt(total, d, soft)
            return (total,)
        return in_pieces(piece, p)[0]

    def part_of(self, p):
        """The nearest part, by its place in self.parts."""
        return in_pieces(lambda q: (np.argmin(self.shapes.distances(q), 0),), p)[0]

    def colour(self, p, which):
        """Albedo of points on the surface."""
        out = np.zeros((len(p), 3), F)
        kinds = np.array([m for m, _ in self.parts])[which]
        for kind in np.unique(kinds):
            on = kinds == kind
            name = "skin" if kind == "head" else kind
            out[on] = np.asarray(self.look[name], F)
            if kind == "head":
                out[on] = self.face(p[on])
            if kind == "skin":
                out[on] *= (1 + 0.05 * noise(p[on] * F(7), 11, 3))[:, None]
            if kind == "hair":
                q = (p[on] - self.J["skull"]) @ self.head
                out[on] *= (0.8 + 0.5 * np.sin(220 * np.arctan2(q[:, 0], q[:, 2] + 0.2) + 3 * noise(q * 9, 3, 2)) ** 2)[:, None]
            if kind == "shirt" and self.look["stripes"]:
                q = (p[on] - self.J["pelvis"]) @ self.torso
                band = np.clip(8 * np.sin(q[:, 1] * 6.283 / 0.075), -1, 1)[:, None] / 2 + 0.5
                out[on] = out[on] * band + np.asarray(self.look["stripes"]) * (1 - band)
            if kind in ("shirt", "trousers"):
                out[on] *= (1 + 0.10 * noise(p[on] * F(4), 5, 4))[:, None]
            if kind == "shoes":
                low = p[on][:, 1] < np.minimum(*[self.J[s + "_ankle"][1] for s in ("left", "right")]) - 0.062 * self.s
                out[on] = np.where(low[:, None], F(0.25), out[on])
        return np.clip(out, 0.01, 1)

    def face(self, p):
        q = ((p - self.J["skull"]) @ self.head / self.s).astype(F)
        x, y, z = q.T
        skin = np.asarray(self.look["skin"], F)
        out = np.tile(skin, (len(p), 1)) * (1 + 0.04 * noise(p * F(9), 2, 3))[:, None]

        def paint(weight, colour):
            nonlocal out
            weight = np.clip(weight, 0, 1)[:, None] * (z > 0)[:, None]
            out = out * (1 - weight) + np.asarray(colour, F) * weight
        cheeks = np.exp(-((np.abs(x) - 0.045) ** 2 + (y + 0.03) ** 2) / 0.0006)
        paint(0.35 * cheeks, skin * [1.08, 0.78, 0.76])
        for side in (1, -1):
            ex, ey = x - 0.033 * side, y - 0.012
            paint(2.2 * np.exp(-(ex ** 2 / 0.00045 + (ey - 0.002) ** 2 / 0.00018) * 1.1) - 0.9, skin * 0.72)        # the socket
            paint(14 * (1 - (ex / 0.0165) ** 2 - (ey / 0.0082) ** 2), (0.93, 0.92, 0.9))
            paint(14 * (1 - (ex / 0.0075) ** 2 - (ey / 0.0078) ** 2), (0.16, 0.10, 0.06))
            paint(14 * (1 - (ex / 0.0175) ** 2 - ((ey - 0.0085) / 0.0025) ** 2), (0.10, 0.07, 0.06))                # lashes
            paint(9 * (1 - (ex / 0.022) ** 2 - ((ey - 0.024 + 12 * ex ** 2) / 0.0042) ** 2), np.asarray(self.look["hair"]) * 0.9)
        paint(9 * (1 - (x / 0.026) ** 2 - ((y + 0.069 - 9 * x ** 2) / 0.0085) ** 2), skin * [0.92, 0.55, 0.55])
        paint(9 * (1 - (x / 0.024) ** 2 - ((y + 0.069 - 9 * x ** 2) / 0.0016) ** 2), skin * [0.5, 0.28, 0.28])
        paint(7 * (1 - ((np.abs(x) - 0.008) / 0.005) ** 2 - ((y + 0.034) / 0.003) ** 2), skin * 0.5)                # nostrils
        hairline = (y - 0.078 - 0.1 * z + 0.9 * x ** 2 / 0.08) * 60 + (z < 0.02) * 0.0
        paint(hairline, self.look["hair"])
        back = np.clip((0.0 - z + 0.6 * (y + 0.02)) * 60, 0, 1)[:, None] * (y > -0.055)[:, None] * (np.abs(x) < 0.074)[:, None]
        return out * (1 - back) + np.asarray(self.look["hair"], F) * back


class Block:
    """Something to sit on, or a ball (half = None)."""

    def __init__(self, centre, half, albedo, yaw=0.0, rounding=0.02, radius=None):
        self.centre, self.frame, self.half, self.albedo = np.asarray(centre, F), turn("y", yaw), half, np.asarray(albedo, F)
        self.rounding, self.radius = rounding, radius

    def distance(self, p):
        d = np.linalg.norm(p - self.centre, axis=1) - F(self.radius) if self.radius else box(p, self.centre, self.frame, self.half, self.rounding)
        return d

    def part_of(self, p):
        return np.zeros(len(p), int)

    def colour(self, p, which):
        return self.albedo * (1 + 0.12 * noise((p - self.centre) * np.asarray([9, 40, 9], F), 9, 3))[:, None]


# ---- the camera -------------------------------------------------------------------------------------------------------

class Camera:
    def __init__(self, width, height, eye, target, field):
        self.w, self.h, self.eye = width, height, np.asarray(eye, float)
        back = unit(self.eye - np.asarray(target, float))
        right = unit(np.cross([0, 1, 0], back))
        self.frame = np.stack([right, np.cross(back, right), back], 1)
        self.f = 0.5 * height / np.tan(np.radians(field) / 2)

    def rays(self, scale):
        """Unit directions [h * scale, w * scale, 3]; pixel (0, 0)'s centre is at (0, 0)."""
        x = (np.arange(self.w * scale) + 0.5) / scale - 0.5
        y = (np.arange(self.h * scale) + 0.5) / scale - 0.5
        x, y = np.meshgrid(x - (self.w - 1) / 2, y - (self.h - 1) / 2)
        d = np.stack([x, -y, np.full_like(x, -self.f)], -1) @ self.frame.T
        return unit(d).astype(F)

    def project(self, p):
        q = (np.asarray(p) - self.eye) @ self.frame
        return np.stack([(self.w - 1) / 2 - self.f * q[..., 0] / q[..., 2], (self.h - 1) / 2 + self.f * q[..., 1] / q[..., 2]], -1)


def march(things, origin, direction, far=14.0, steps=90, grow=1.0):
    """Distance along each ray to the first thing (inf: none), which thing, and the closest relative miss (for soft shadows)."""
    n = len(direction)
    t = np.full(n, 0.02, F)
    hit, soft = np.full(n, np.inf, F), np.ones(n, F)
    live = np.arange(n)
    for _ in range(steps):
        p = origin[live] + t[live, None] * direction[live]
        d = np.min([thing.distance(p) for thing in things], 0)
        soft[live] = np.minimum(soft[live], np.maximum(d * 9 / np.maximum(t[live], 0.05), 0))
        touched = d < 0.0008 + 0.0003 * t[live]
        hit[live[touched]] = t[live[touched]]
        t[live] += np.maximum(d, 0.0006) * F(0.85)
        live = live[~touched & (t[live] < far)]
        if not len(live):
            break
    return hit, soft


def bounds_of(figure):
    """A sphere around a thing, so that far rays need not walk."""
    if isinstance(figure, Block):
        return figure.centre, figure.radius or float(np.linalg.norm(figure.half))
    pts = np.stack(list(figure.J.values()))
    centre = (pts.min(0) + pts.max(0)) / 2
    return centre, np.linalg.norm(pts - centre, axis=1).max() + 0.18


def near_rays(things, origin, direction):
    """Which rays come close to any thing at all."""
    out = np.zeros(len(direction), bool)
    for thing in things:
        c, r = bounds_of(thing)
        v = np.asarray(c, F) - origin
        along = (v * direction).sum(1)
        out |= ((v * v).sum(1) - along ** 2 < r * r) & (along > -r)
    return out


def render(cam, things, sun, ground, background, scale=2, sun_colour=(1.5, 1.4, 1.2), sky_colour=(0.42, 0.5, 0.62)):
    rays = cam.rays(scale)
    shape, rays = rays.shape, rays.reshape(-1, 3)
    origin = np.broadcast_to(cam.eye.astype(F), rays.shape)
    sun = unit(sun).astype(F)
    t = np.full(len(rays), np.inf, F)
    near = np.flatnonzero(near_rays(things, origin, rays))
    t[near] = march(things, origin[near], rays[near])[0]
    floor = np.where(rays[:, 1] < -1e-4, -cam.eye[1] / np.minimum(rays[:, 1], -1e-4), np.inf).astype(F)
    on_floor = floor < np.minimum(t, 60)
    if hasattr(background, "wall"):                              # a room ends
        on_floor &= cam.eye[2] + floor * rays[:, 2] > -background.wall
    colour = background(rays, floor).astype(F)
    owner = np.full(len(rays), -1)

    # the ground, and the shadows on it
    idx = np.flatnonzero(on_floor)
    p = origin[idx] + floor[idx, None] * rays[idx]
    light = np.ones(len(idx), F)
    contact = np.ones(len(idx), F)
    shade = near_rays(things, p, np.broadcast_to(sun, p.shape))
    if shade.any():
        hit, soft = march(things, p[shade], np.broadcast_to(sun, p[shade].shape).copy(), far=6, steps=60)
        light[shade] = np.where(np.isfinite(hit), 0, soft)
    close = np.zeros(len(idx), bool)
    for thing in things:
        c, r = bounds_of(thing)
        close |= np.linalg.norm(p[:, [0, 2]] - np.asarray(c, F)[[0, 2]], axis=1) < r + 0.4
    if close.any():
        d = np.min([thing.distance(p[close]) for thing in things], 0)
        contact[close] = np.clip(0.35 + d / 0.25, 0, 1)
    albedo = ground(p)
    lit = light[:, None] * sun[1] * np.asarray(sun_colour, F) + contact[:, None] * np.asarray(sky_colour, F)
    haze = np.exp(-floor[idx] / 45)[:, None]
    colour[idx] = albedo * lit * haze + colour[idx] * (1 - haze)

    # the things
    idx = np.flatnonzero(np.isfinite(t) & ~on_floor)
    p = origin[idx] + t[idx, None] * rays[idx]
    d = np.stack([thing.distance(p) for thing in things])
    owner[idx] = d.argmin(0)
    for k, thing in enumerate(things):
        mine = idx[owner[idx] == k]
        if not len(mine):
            continue
        p = origin[mine] + t[mine, None] * rays[mine]
        which = thing.part_of(p)
        e = F(0.002)
        normal = np.stack([thing.distance(p + e * np.eye(3, dtype=F)[i]) - thing.distance(p - e * np.eye(3, dtype=F)[i]) for i in range(3)], 1)
        normal = unit(normal).astype(F)
        if isinstance(thing, Figure):                            # folds in the cloth
            cloth = np.isin(np.array([m for m, _ in thing.parts])[which], ["shirt", "trousers"])[:, None]
            bump = np.stack([noise(p * np.asarray([5, 3, 5], F) + i * 7, 20 + i, 3) for i in range(3)], 1)
            normal = unit(normal + cloth * 0.28 * bump).astype(F)
        start = p + normal * F(0.006)
        hit, soft = march(things, start, np.broadcast_to(sun, p.shape).copy(), far=3, steps=40)
        light = np.where(np.isfinite(hit), 0, soft)
        open_sky = np.ones(len(p), F)
        for reach in (0.03, 0.08, 0.18):                         # how much is in the way a little further out
            q = p + normal * F(reach)
            open_sky *= np.clip(0.45 + 0.55 * np.min([o.distance(q) for o in things], 0) / reach, 0, 1)
        facing = np.clip((normal @ sun + 0.12) / 1.12, 0, 1)
        upward = 0.5 + 0.5 * normal[:, 1]
        albedo = thing.colour(p, which)
        bounce = np.asarray([0.20, 0.18, 0.14], F)
        lit = (light * facing)[:, None] * np.asarray(sun_colour, F)
        lit = lit + open_sky[:, None] * (upward[:, None] * np.asarray(sky_colour, F) + (1 - upward)[:, None] * bounce)
        half = unit(sun - rays[mine])
        gloss = 0.10 * light * np.clip((normal * half).sum(1), 0, 1) ** 24
        rim = 0.10 * (1 - np.abs((normal * rays[mine]).sum(1))) ** 3
        colour[mine] = albedo * lit + gloss[:, None] + rim[:, None] * np.asarray(sky_colour, F) * open_sky[:, None]
    picture = colour.reshape(shape).reshape(cam.h, scale, cam.w, scale, 3).mean((1, 3))
    return picture, owner.reshape(shape[:2]), np.where(on_floor, floor, t).reshape(shape[:2])


def develop(picture, seed):
    """Linear light to a photograph: soft shoulder, gamma, a lens that is not perfect, grain."""
    x = 1 - np.exp(-1.05 * np.maximum(picture, 0))
    x = np.clip(x, 0, 1) ** (1 / 2.2)
    x = x + 0.28 * (x * x * (3 - 2 * x) - x)                     # a little contrast
    grey = x.mean(-1, keepdims=True)
    x = np.clip(grey + 1.12 * (x - grey), 0, 1)
    image = Image.fromarray((x * 255 + 0.5).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.45))
    rng = np.random.default_rng(seed)
    grain = rng.normal(0, 2.2, x.shape[:2])[..., None] + rng.normal(0, 0.8, x.shape)
    return Image.fromarray(np.clip(np.asarray(image) + grain + 0.5, 0, 255).astype(np.uint8))


def annotate(cam, figure, k, owner, scale):
    """Joints, box and area of things[k]."""
    mask = owner == k
    ys, xs = np.nonzero(mask)
    left, right, top, bottom = (v / scale - 0.5 for v in (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1))
    keypoints, count = [], 0
    for name in NAMES:
        x, y = cam.project(figure.J[name])
        inside = 0 <= x <= cam.w - 1 and 0 <= y <= cam.h - 1
        v = 0
        if inside:
            joint = figure.J[name].astype(F)[None]
            way = unit(cam.eye - figure.J[name])
            # a joint lies inside its limb: seen if nothing but 12 cm around it is in the way
            v = 2 if not np.isfinite(march(annotate.things, joint + F(0.12) * way.astype(F), way.astype(F)[None], far=9)[0][0]) else 1
        keypoints += [round(float(x), 2), round(float(y), 2), v] if v else [0, 0, 0]
        count += v > 0
    return dict(keypoints=keypoints, num_keypoints=int(count), area=round(float(mask.sum()) / scale ** 2, 1), iscrowd=0, category_id=1,
                bbox=[round(float(v), 2) for v in (left, top, right - left, bottom - top)])


# ---- places -------------------------------------------------------------------------------------------------------------

def meadow(p):
    n = noise(p[:, [0, 2]] * F(1.1), 1, 4) * 0.5 + noise(p[:, [0, 2]] * F(17), 2, 4) * 0.5
    return np.clip(np.asarray([0.20, 0.30, 0.09], F) * (1 + 0.45 * n)[:, None], 0, 1)


def asphalt(p):
    n = noise(p[:, [0, 2]] * F(0.7), 3, 3) * 0.4 + noise(p[:, [0, 2]] * F(45), 4, 3) * 0.5
    out = np.asarray([0.27, 0.27, 0.28], F) * (1 + 0.25 * n)[:, None]
    line = (np.abs(p[:, 2] + 2.2) < 0.07)[:, None]
    return np.where(line, F(0.75), out)


def sand(p):
    n = noise(p[:, [0, 2]] * F(0.9), 5, 4) * 0.6 + noise(p[:, [0, 2]] * F(25), 6, 3) * 0.3
    return np.asarray([0.62, 0.52, 0.38], F) * (1 + 0.16 * n)[:, None]


def boards(p):
    row = np.floor(p[:, 0] / 0.14)
    tone = np.sin(row * 12.9898) * 43758.5
    tone = (tone - np.floor(tone))[:, None]
    grain = noise(np.stack([p[:, 0] * 30, p[:, 2] * 1.5], 1).astype(F), 7, 3)[:, None]
    gap = (np.abs(p[:, 0] / 0.14 - row - 0.5) > 0.48)[:, None]
    return np.where(gap, F(0.1), np.asarray([0.45, 0.28, 0.16], F) * (0.75 + 0.4 * tone + 0.12 * grain))


def trees(rays, floor):
    up = np.clip(rays[:, 1], 0, 1)[:, None]
    sky = np.asarray([0.95, 1.05, 1.2]) * (1 - up) + np.asarray([0.28, 0.5, 1.0]) * up
    angle = np.arctan2(rays[:, 0], -rays[:, 2])
    clouds = np.clip(noise(np.stack([angle * 2, rays[:, 1] * 6], 1), 31, 4), 0, 1)[:, None]
    sky = sky + (1.35 - sky) * 0.7 * clouds
    crown = 0.10 + 0.05 * noise(angle[:, None] * 2.4, 32, 5)
    leaves = np.asarray([0.07, 0.13, 0.05]) * (1.1 + 0.9 * noise(np.stack([angle * 14, rays[:, 1] * 14], 1), 33, 5))[:, None]
    cover = np.clip((crown - rays[:, 1]) * 60 + noise(np.stack([angle * 30, rays[:, 1] * 30], 1), 34, 3), 0, 1)[:, None]
    return sky * (1 - cover) + np.clip(leaves, 0.01, 1) * cover


def sea(rays, floor):
    up = np.clip(rays[:, 1], 0, 1)[:, None]
    sky = np.asarray([1.1, 1.05, 1.0]) * (1 - up) ** 3 + np.asarray([0.35, 0.58, 1.0]) * (1 - (1 - up) ** 3)
    water = np.asarray([0.10, 0.26, 0.34]) * (1 + 0.3 * noise(np.stack([rays[:, 0] * 20, rays[:, 1] * 300], 1), 35, 3))[:, None]
    return np.where((rays[:, 1] < 0.004)[:, None], np.clip(water, 0, 1), sky)


def wall(colour, distance, seed, window=None):
    """A plastered wall at z = -distance, with a skirting board and perhaps a picture on it."""
    def background(rays, floor):
        t = (distance + background.eye[2]) / np.maximum(-rays[:, 2], 1e-3)
        x, y = rays[:, 0] * t, background.eye[1] + rays[:, 1] * t
        out = np.asarray(colour) * (1 + 0.06 * noise(np.stack([x * 1.2, y * 1.2], 1), seed, 5))[:, None] * (0.75 + 0.12 * y[:, None])
        if window:
            wx, wy, ww, wh = window
            inside = (np.abs(x - wx) < ww) & (np.abs(y - wy) < wh)
            frame = (np.abs(x - wx) < ww + 0.06) & (np.abs(y - wy) < wh + 0.06)
            scene = np.stack([0.9 + 0.3 * noise(np.stack([x, y], 1) * 2 + k, seed + 3, 3) for k in range(3)], 1) * [0.35, 0.4, 0.5]
            out = np.where(inside[:, None], scene, np.where(frame[:, None], 0.12, out))
        return np.where((y < 0.12)[:, None], 0.72, out)
    background.wall = distance
    return background


# ---- the pictures ---------------------------------------------------------------------------------------------------------

STAND = dict(left_thigh=(0.06, -1, 0.02), left_shin=(0.02, -1, -0.03), right_thigh=(-0.06, -1, 0.02), right_shin=(-0.02, -1, -0.03))
WAVE = dict(STAND, left_upper_arm=(0.85, 0.35, 0.15), left_forearm=(0.25, 1, 0.15), right_upper_arm=(-0.22, -1, 0.02), right_forearm=(-0.1, -1, 0.25),
            head=turn("z", -6))
RUN = dict(torso=turn("x", 12), left_upper_arm=(0.2, -0.8, -0.75), left_forearm=(-0.05, -0.5, 0.85), right_upper_arm=(-0.2, -0.85, 0.6),
           right_forearm=(0.15, 0.55, 0.8), left_thigh=(0.03, -0.75, 0.75), left_shin=(0, -1, -0.35), right_thigh=(-0.03, -1, -0.32),
           right_shin=(0, -0.42, -0.95), left_foot=(0, -0.15, 1), right_foot=(0, -0.95, 0.25), head=turn("x", -10))
STRETCH = dict(left_upper_arm=(0.75, 0.8, 0.1), left_forearm=(0.45, 1, 0), right_upper_arm=(-0.75, 0.8, 0.1), right_forearm=(-0.45, 1, 0),
               left_thigh=(0.42, -1, 0.05), left_shin=(0.38, -1, -0.08), right_thigh=(-0.42, -1, 0.05), right_shin=(-0.38, -1, -0.08))
SIT = dict(torso=turn("x", 4), left_upper_arm=(0.18, -1, 0.22), left_forearm=(-0.12, -0.45, 1), right_upper_arm=(-0.18, -1, 0.22),
           right_forearm=(0.12, -0.45, 1), left_thigh=(0.18, -0.1, 1), left_shin=(0.02, -1, 0.06), right_thigh=(-0.16, -0.1, 1),
           right_shin=(-0.03, -1, -0.1), head=turn("y", 14))
HANDS_ON_HIPS = dict(STAND, left_upper_arm=(0.72, -0.8, -0.25), left_forearm=(-0.85, -0.5, 0.32), right_upper_arm=(-0.72, -0.8, -0.25),
                     right_forearm=(0.85, -0.5, 0.32), left_hand=(-0.8, -0.3, 0.5), right_hand=(0.8, -0.3, 0.5), head=turn("y", -12))
LUNGE = dict(torso=turn("x", 3), left_upper_arm=(1, 0.03, 0.1), left_forearm=(1, 0.05, 0.05), right_upper_arm=(-1, 0.03, -0.05),
             right_forearm=(-1, 0.04, 0), left_thigh=(0.95, -0.42, 0.2), left_shin=(0.06, -1, 0), right_thigh=(-0.72, -0.75, 0),
             right_shin=(-0.7, -0.72, -0.05), left_foot=(1, -0.3, 0.4), right_foot=(-0.4, -0.3, 1), head=turn("y", 55))
KICK = dict(torso=turn("x", -8), left_upper_arm=(0.8, -0.5, 0.35), left_forearm=(0.55, 0.2, 0.8), right_upper_arm=(-0.75, -0.45, -0.55),
            right_forearm=(-0.65, -0.25, 0.35), left_thigh=(0.06, -1, 0.0), left_shin=(0.03, -1, -0.18), right_thigh=(-0.12, -0.62, 0.78),
            right_shin=(-0.05, -0.45, 0.9), right_foot=(0, 0.25, 1), head=turn("x", 10))


def grounded(pose, **options):
    """The figure with its lower foot on the ground."""
    at = options.pop("at", (0, 0))
    trial = Figure(pose, (at[0], 0, at[1]), **options)
    low = min(trial.J[s + part][1] - r * trial.s for s in ("left", "right") for part, r in (("_ankle", 0.097), ("_toe", 0.038)))
    return Figure(pose, (at[0], -low, at[1]), **options)


def pictures():
    """name -> camera, things (figures first), sun, ground, background, options"""
    yield ("waving.jpg", Camera(480, 640, (0.1, 1.35, 4.1), (0.1, 1.02, 0), 30),
           [grounded(WAVE, yaw=8, shirt=(0.10, 0.28, 0.52), trousers=(0.16, 0.15, 0.14), shoes=(0.85, 0.85, 0.83))],
           (0.5, 0.8, 0.75), boards, wall((0.50, 0.47, 0.38), 1.3, 41, (-0.75, 1.75, 0.3, 0.38)), dict(sky_colour=(0.6, 0.56, 0.5), sun_colour=(0.95, 0.9, 0.8)))
    yield ("running.jpg", Camera(600, 560, (0.1, 1.15, 4.6), (0.02, 0.86, 0), 25),
           [grounded(RUN, yaw=62, shirt=(0.82, 0.42, 0.06), trousers=(0.05, 0.06, 0.09), legs=0.3, shoes=(0.7, 0.12, 0.1), skin=(0.50, 0.33, 0.24),
                     hair=(0.05, 0.04, 0.04), sleeve=0.35)],
           (-0.5, 0.75, 0.6), asphalt, trees, {})
    yield ("stretching.png", Camera(520, 600, (-0.2, 1.25, 5.6), (0, 1.02, 0), 24.5),
           [grounded(STRETCH, yaw=-10, shirt=(0.72, 0.70, 0.66), stripes=(0.65, 0.08, 0.10), trousers=(0.11, 0.15, 0.30), long_hair=True,
                     hair=(0.30, 0.16, 0.07), skin=(0.86, 0.66, 0.56), height=1.68, build=0.92, sleeve=1.9)],
           (0.6, 0.9, 0.5), sand, sea, {})
    sitting = Figure(SIT, (0, 0.56, 0), yaw=32, shirt=(0.12, 0.36, 0.20), trousers=(0.34, 0.28, 0.20), shoes=(0.16, 0.10, 0.07), sleeve=1.92,
                     skin=(0.70, 0.50, 0.38), hair=(0.42, 0.40, 0.38))
    yield ("sitting.jpg", Camera(480, 600, (0.1, 1.2, 3.6), (0.06, 0.66, 0.1), 27),
           [sitting, Block((-0.02, 0.22, -0.05), (0.36, 0.225, 0.24), (0.52, 0.36, 0.22), yaw=32)],
           (0.35, 0.85, 0.7), boards, wall((0.30, 0.42, 0.46), 1.1, 47, (0.62, 1.35, 0.22, 0.28)), dict(sky_colour=(0.58, 0.56, 0.53), sun_colour=(0.9, 0.86, 0.78)))
    yield ("portrait.jpg", Camera(400, 640, (0.15, 1.25, 4.4), (0, 0.88, 0), 25.5),
           [grounded(HANDS_ON_HIPS, yaw=14, shirt=(0.62, 0.10, 0.24), trousers=(0.20, 0.24, 0.34), shoes=(0.10, 0.10, 0.11), long_hair=True,
                     hair=(0.08, 0.05, 0.04), skin=(0.62, 0.43, 0.33), height=1.70, build=0.94)],
           (-0.6, 0.85, 0.55), meadow, trees, {})
    yield ("three.jpg", Camera(640, 480, (0.0, 1.3, 6.4), (0.0, 0.98, 0), 23.5),
           [grounded(LUNGE, at=(-0.93, -0.4), yaw=4, shirt=(0.08, 0.40, 0.44), trousers=(0.12, 0.12, 0.13), hair=(0.20, 0.12, 0.07), shoes=(0.8, 0.8, 0.8)),
            grounded(WAVE, at=(0.12, -1.0), yaw=-14, height=1.82, shirt=(0.80, 0.66, 0.12), trousers=(0.28, 0.23, 0.18), skin=(0.42, 0.28, 0.20),
                     hair=(0.04, 0.03, 0.03)),
            grounded(KICK, at=(1.19, 0.15), yaw=-58, height=1.45, shirt=(0.70, 0.10, 0.10), trousers=(0.75, 0.74, 0.70), legs=0.33, build=0.9,
                     shoes=(0.1, 0.1, 0.12), skin=(0.84, 0.63, 0.52), hair=(0.45, 0.30, 0.13)),
            Block((0.34, 0.11, 0.62), None, (0.85, 0.85, 0.82), radius=0.11)],
           (0.55, 0.85, 0.6), meadow, trees, {})


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "data/samples")
    wanted, scale = sys.argv[2:], int(os.environ.get("SCALE", 2))      # SCALE=1 for a quick look
    out.mkdir(parents=True, exist_ok=True)
    old = json.loads((out / "persons.json").read_text()) if wanted and (out / "persons.json").exists() else None
    data = dict(info=dict(description="Drawn by tools/make_samples.py; MIT like the rest of limber"), images=[], annotations=[],
                categories=[dict(id=1, name="person", keypoints=NAMES, skeleton=SKELETON)])
    for number, (name, cam, things, sun, ground, background, options) in enumerate(pictures(), 1):
        if old and name not in wanted:
            data["images"] += [i for i in old["images"] if i["id"] == number]
            data["annotations"] += [a for a in old["annotations"] if a["image_id"] == number]
            continue
        background.__dict__.update(eye=cam.eye)
        picture, owner, _ = render(cam, things, sun, ground, background, scale, **options)
        image = develop(picture, number)
        if name.endswith(".png"):
            image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG, kmeans=4).save(out / name, optimize=True)
        else:
            image.save(out / name, quality=88)
        data["images"].append(dict(id=number, file_name=name, width=cam.w, height=cam.h))
        annotate.things = things
        for k, thing in enumerate(things):
            if isinstance(thing, Figure):
                a = annotate(cam, thing, k, owner, scale)
                data["annotations"].append(dict(id=len(data["annotations"]) + 1, image_id=number, **a))
        print(name, (out / name).stat().st_size, "bytes", flush=True)
    (out / "persons.json").write_text(json.dumps(data, indent=None, separators=(", ", ": ")).replace('}, {"id', '},\n {"id') + "\n")


if __name__ == "__main__":
    main()
