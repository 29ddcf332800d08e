# SPDX-License-Identifier: MIT
"""What a user's program is told by mypy --strict: scripts/wheel.sh runs it over this file. Never imported."""

from __future__ import annotations

import pathlib

import limber
import numpy as np
import numpy.typing as npt


def one(model: limber.Model, path: pathlib.Path) -> npt.NDArray[np.float32]:
    people: limber.People = model.run(path, [[1, 2, 3, 4]])
    found: limber.Found = model.find(np.zeros((4, 4, 3), np.uint8))
    return people.keypoints if len(found) else people.boxes


def many(model: limber.Model, paths: list[str]) -> list[limber.People]:
    found: list[limber.Found] = model.find(paths)
    return model.run(paths, [f.boxes for f in found])


def alone(path: pathlib.Path) -> list[npt.NDArray[np.float32]]:
    with limber.Detector(min_box_score=0.5, max_people=3) as detector:
        found: limber.Found = detector.find(path)
        several: list[limber.Found] = detector.find([path, path])
    return [f.boxes for f in [found, *several]]


model = limber.Model("vitpose-base", detector=limber.Detector(), threads=1)
model.run(7)  # type: ignore[call-overload]
model.run(["a.jpg"]).keypoints  # type: ignore[attr-defined]
limber.Detector().find("a.jpg", [[1, 2, 3, 4]])  # type: ignore[call-overload]
limber.Model(precission="fp32")  # type: ignore[call-arg]
