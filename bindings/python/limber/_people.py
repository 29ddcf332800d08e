# SPDX-License-Identifier: MIT
"""Results: People and Found."""

from __future__ import annotations

import ctypes as C
import math
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _c

Floats = npt.NDArray[np.float32]
limb_names: tuple[str, ...] = tuple(_c.lib.limber_limb_name(i).decode() for i in range(8))
"""left_upper_arm, right_upper_arm, left_forearm, ... as the second axis of People.limbs has them."""


@dataclass(frozen=True, eq=False)
class Found:
    """Who is in one image, surest first."""

    boxes: Floats
    """[people, 4]: x, y, width, height in pixels of the upright image, inside it."""
    scores: Floats
    """[people]: how sure the detector is, 0..1."""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, eq=False)
class People:
    """The people of one image. Pixels of the upright image, x right, y down, the centre of its top-left pixel at (0, 0)."""

    boxes: Floats
    """[people, 4]: x, y, width, height in pixels."""
    box_scores: Floats
    """[people]: how sure the detector was, 0..1; 1 where the caller gave the boxes."""
    scores: Floats
    """[people]: box score times the mean of the joints' scores."""
    keypoints: Floats
    """[people, joints, 3]: x, y in pixels, score. A score is the raw heatmap maximum: about 0 where nothing is, about 1 where all is
    clear."""
    limbs: Floats
    """[people, 8, 3] in the order of limb_names: length in pixels, angle in degrees (0 right, 90 up), score of the weaker joint;
    [people, 0, 3] where the joints are not COCO's."""
    names: tuple[str, ...]
    """[joints]: "nose", "left_eye", ..."""
    size: tuple[int, int]
    """Height and width of the image in pixels."""
    limb_ends: tuple[tuple[int, int], ...] = ()
    """[8] pairs of joints, the two ends of each limb; empty where `limbs` is."""
    found: bool = False
    """Whether a detector found them."""

    def __len__(self) -> int:
        return len(self.scores)

    def to_line(self, image: str | os.PathLike[str]) -> str:
        """The line, without its end, that `limber run` writes of this image into poses.jsonl, to the character: `limber export` reads
        it. image: the path it shall have there."""
        return (
            f'{{"image":{_string(os.fspath(image))},"width":{self.size[1]},"height":{self.size[0]},'
            f'"people":[{",".join(self._person(i) for i in range(len(self)))}]}}'
        )

    def _person(self, i: int) -> str:
        def numbers(values: Floats, decimals: tuple[int, ...]) -> str:
            return ",".join(map(_number, values.tolist(), decimals))

        joints = ",".join(f"{_string(name)}:[{numbers(joint, (2, 2, 4))}]" for name, joint in zip(self.names, self.keypoints[i]))
        text = f'{{"box":[{numbers(self.boxes[i], (2, 2, 2, 2))}],'
        if self.found:
            text += f'"box_score":{_number(float(self.box_scores[i]), 4)},'
        text += f'"score":{_number(float(self.scores[i]), 4)},"keypoints":{{{joints}}}'
        if self.limb_ends:
            limbs = []
            for name, (a, b), (length, angle, score) in zip(limb_names, self.limb_ends, self.limbs[i].tolist()):
                ends = f'"from":{_string(self.names[a])},"to":{_string(self.names[b])}'
                limbs.append(f'"{name}":{{{ends},"length":{_number(length, 2)},"angle":{_number(angle, 2)},"score":{_number(score, 4)}}}')
            text += f',"limbs":{{{",".join(limbs)}}}'
        return text + "}"

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """COCO keypoint results, one a person: what pycocotools' loadRes takes, alone or after json.dump. Pixels; `keypoints` is
        x, y, score of each joint in a row."""
        return [
            {
                "image_id": image_id,
                "category_id": category_id,
                "bbox": box.astype(float).tolist(),
                "keypoints": joints.astype(float).ravel().tolist(),
                "score": float(score),
            }
            for box, joints, score in zip(self.boxes, self.keypoints, self.scores)
        ]

    def to_pandas(self) -> Any:
        """A pandas.DataFrame with a row a joint: person (from 0), joint (its name), x, y (pixels), score, person_score."""
        import pandas as pd

        people, joints = self.keypoints.shape[:2]
        return pd.DataFrame(
            {
                "person": np.repeat(np.arange(people), joints),
                "joint": list(self.names) * people,
                "x": self.keypoints[:, :, 0].ravel(),
                "y": self.keypoints[:, :, 1].ravel(),
                "score": self.keypoints[:, :, 2].ravel(),
                "person_score": np.repeat(self.scores, joints),
            }
        )

    def to_supervision(self) -> Any:
        """supervision.KeyPoints, for its annotators: xy in pixels, the joints' scores as confidence, everybody of class 0."""
        import inspect

        import supervision as sv

        known = inspect.signature(sv.KeyPoints).parameters
        confidence = "keypoint_confidence" if "keypoint_confidence" in known else "confidence"  # supervision has renamed it
        arguments: dict[str, Any] = {
            "xy": self.keypoints[:, :, :2].copy(),
            confidence: self.keypoints[:, :, 2].copy(),
            "class_id": np.zeros(len(self), dtype=int),
            "data": {"class_name": np.array(["person"] * len(self), dtype=str)},
        }
        if "detection_confidence" in known:
            arguments["detection_confidence"] = self.scores.copy()
        return sv.KeyPoints(**arguments)


def _number(value: float, decimals: int) -> str:
    """As src/base/json_write.c has it: half away from zero, no zeros at the end."""
    if not math.isfinite(value):
        return "null"
    scaled = abs(value * 10.0**decimals)
    if scaled >= 9e15:
        return f"{value:.0f}"
    whole = int(scaled) + (scaled - int(scaled) >= 0.5)
    sign = "-" if value < 0 and whole else ""
    units, rest = divmod(whole, 10**decimals)
    return f"{sign}{units}" + (f".{rest:0{decimals}}".rstrip("0") if rest else "")


def _string(text: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + re.sub(r'["\\\x00-\x1f\x7f-\x9f\udc80-\udcff]', lambda c: short.get(c[0]) or f"\\u{ord(c[0]):04x}", text) + '"'


def people_of(found: _c.People, names: tuple[str, ...], size: tuple[int, int], by_detector: bool) -> People:
    """A copy of what the library owns."""
    n, joints = found.count, found.keypoint_count
    persons = [found.person[i] for i in range(n)]
    limbs = persons[0].limb_count if persons else 0
    keypoints = np.zeros((n, joints, 3), np.float32)
    bones = np.zeros((n, limbs, 3), np.float32)
    for i, person in enumerate(persons):
        C.memmove(keypoints[i].ctypes.data, person.keypoints, keypoints[i].nbytes)
        for j in range(limbs):
            bones[i, j] = person.limbs[j].length, person.limbs[j].angle, person.limbs[j].score
    return People(
        boxes=np.array([(p.box.x, p.box.y, p.box.width, p.box.height) for p in persons], np.float32).reshape(n, 4),
        box_scores=np.array([p.box_score for p in persons], np.float32),
        scores=np.array([p.score for p in persons], np.float32),
        keypoints=keypoints,
        limbs=bones,
        names=names,
        size=size,
        limb_ends=tuple((persons[0].limbs[j].from_, persons[0].limbs[j].to) for j in range(limbs)),
        found=by_detector,
    )
