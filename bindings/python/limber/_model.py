# SPDX-License-Identifier: MIT
"""Model and People."""

from __future__ import annotations

import contextlib
import ctypes as C
import os
import threading
import weakref
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterator, Sequence, overload

import numpy as np
import numpy.typing as npt

from . import _c
from ._picture import ImageLike, boxes_array, picture

if TYPE_CHECKING:
    from ._heads import Heads
    from ._patch import Patch

Floats = npt.NDArray[np.float32]
limb_names: tuple[str, ...] = tuple(_c.lib.limber_limb_name(i).decode() for i in range(8))
"""left_upper_arm, right_upper_arm, left_forearm, ... as the second axis of People.limbs has them."""


@dataclass(frozen=True)
class People:
    """The people of one image. Pixels of the upright image, x right, y down, the centre of its top-left pixel at (0, 0)."""

    boxes: Floats
    """[people, 4]: x, y, width, height."""
    box_scores: Floats
    """[people]: how sure a detector was, 1 where the caller gave the boxes."""
    scores: Floats
    """[people]: box score times the mean of the joints' scores."""
    keypoints: Floats
    """[people, joints, 3]: x, y, score. A score is the raw heatmap maximum: about 0 where nothing is, about 1 where all is clear."""
    limbs: Floats
    """[people, 8, 3]: length in pixels, angle in degrees (0 right, counter-clockwise), score; [people, 0, 3] where the joints are
    not COCO's."""
    names: tuple[str, ...]
    """[joints]: "nose", "left_eye", ..."""
    size: tuple[int, int]
    """Height and width of the image."""

    def __len__(self) -> int:
        return len(self.scores)

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """COCO keypoint results: what pycocotools' loadRes takes, after json.dump."""
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
        """A DataFrame with a row a joint: person, joint, x, y, score, person_score."""
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
        """supervision.KeyPoints, for its annotators."""
        import inspect

        import supervision as sv

        known = inspect.signature(sv.KeyPoints).parameters
        confidence = "keypoint_confidence" if "keypoint_confidence" in known else "confidence"
        arguments: dict[str, Any] = {
            "xy": self.keypoints[:, :, :2].copy(),
            confidence: self.keypoints[:, :, 2].copy(),
            "class_id": np.zeros(len(self), dtype=int),
            "data": {"class_name": np.array(["person"] * len(self))},
        }
        return sv.KeyPoints(**arguments)


def _people(found: _c.People, names: tuple[str, ...], size: tuple[int, int]) -> People:
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
    )


class Model:
    """A ViTPose checkpoint, ready to run. Threads may share it: each call takes a session of its own for as long as it runs.

    path: a checkpoint directory as Hugging Face lays it out; None: the model inside the library.
    backend "auto", "ref", "cpu", "cuda"; precision "auto", "fp32", "bf16", "fp16", "int8"; attention "exact", or approximate
    "window:W", "merge:R", "pool:P"; threads and batch 0: chosen; expert: of ViTPose+; flip: average with a mirrored pass; refine: how
    often a whole image is cropped again around the joints; input: another (height, width) in pixels; prune: "LAYER.HEAD,..."; order:
    "rgb" or "bgr", of the arrays handed in (OpenCV's are "bgr").
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        backend: str = "auto",
        precision: str = "auto",
        attention: str = "exact",
        threads: int = 0,
        batch: int = 0,
        expert: int = 0,
        flip: bool = False,
        refine: int = 1,
        input: tuple[int, int] | None = None,
        prune: str | None = None,
        order: str = "rgb",
    ) -> None:
        self._model = C.c_void_p()
        self._free: list[C.c_void_p] = []  # sessions nobody uses
        self._busy = 0
        self._closed = False
        self._process = os.getpid()
        self._users: weakref.WeakSet[Heads | Patch] = weakref.WeakSet()  # that hold a session until they are closed
        self._state = threading.Condition()
        if order not in ("rgb", "bgr"):
            raise ValueError(f'order is "rgb" or "bgr", not {order!r}')
        self._order = order
        options: _c.Options = _c.lib.limber_options_default()
        options.backend, options.precision, options.attention = backend.encode(), precision.encode(), attention.encode()
        options.threads, options.batch, options.expert, options.flip, options.refine = threads, batch, expert, flip, refine
        if input is not None:
            options.input_height, options.input_width = input
        options.prune = prune.encode() if prune else None
        self._options = options
        _c.call("limber_model_open", C.byref(self._model), os.fsencode(path) if path is not None else None, C.byref(options))
        count = _c.lib.limber_model_keypoint_count(self._model)
        self.names: tuple[str, ...] = tuple(_c.lib.limber_model_keypoint_name(self._model, k).decode() for k in range(count))
        """[joints], in the order of People.keypoints."""
        self.backend: str = _c.lib.limber_model_backend(self._model).decode()
        """What "auto" became."""
        self.precision: str = _c.lib.limber_model_precision(self._model).decode()
        """What "auto" became."""
        with self._session():
            pass  # what a session would refuse is refused here

    @contextlib.contextmanager
    def _session(self) -> Iterator[C.c_void_p]:
        with self._state:
            if self._closed:
                raise ValueError("the model is closed")
            if os.getpid() != self._process:  # a forked child: the threads of these sessions stayed behind
                self._process, self._free, self._busy = os.getpid(), [], 0
            session = self._free.pop() if self._free else None
            self._busy += 1
        try:
            if session is None:
                session = C.c_void_p()
                _c.call("limber_session_open", C.byref(session), self._model, C.byref(self._options))
            yield session
        finally:
            with self._state:
                if session is not None and session.value:
                    self._free.append(session)
                self._busy -= 1
                self._state.notify_all()

    @overload
    def run(self, image: list[ImageLike] | tuple[ImageLike, ...], boxes: Sequence[npt.ArrayLike | None] | None = None) -> list[People]: ...

    @overload
    def run(self, image: ImageLike, boxes: npt.ArrayLike | None = None) -> People: ...

    def run(self, image: Any, boxes: Any = None) -> People | list[People]:
        """The joints of the people in an image, or in each of a list of images, whose people then share batches.

        image: a path, a uint8 array [height, width, 3] (also with alpha, or [height, width] grey), a PIL image (as PIL holds it:
        its EXIF is not looked at; of a path it is), or a list of these.
        boxes: [people, 4], x, y, width, height in pixels; of a list of images, a list with one such array, or None, for each. None:
        the whole image is one person's box.
        Raises LimberError; TypeError or ValueError where an argument is of another kind or shape."""
        if not isinstance(image, (list, tuple)):
            return self._run([image], [boxes])[0]
        if boxes is None:
            boxes = [None] * len(image)
        if len(boxes) != len(image):
            raise ValueError(f"{len(image)} images and boxes for {len(boxes)}")
        return self._run(list(image), list(boxes)) if len(image) else []

    def _run(self, images: list[Any], boxes: list[Any]) -> list[People]:
        n = len(images)
        arrays = [None if b is None else boxes_array(b) for b in boxes]
        held = [np.zeros((1, 4), np.float32) if a is not None and not len(a) else a for a in arrays]  # never a null pointer
        with contextlib.ExitStack() as stack:
            views = (_c.Image * n)(*[stack.enter_context(picture(i, self._order)) for i in images])
            addresses: list[Any] = [None if h is None else C.cast(h.ctypes.data, C.POINTER(_c.Box)) for h in held]
            pointers = (C.POINTER(_c.Box) * n)(*addresses)
            counts = (C.c_int * n)(*[0 if a is None else len(a) for a in arrays])
            found = (_c.People * n)()
            session = stack.enter_context(self._session())
            _c.call("limber_run_images", session, views, pointers, counts, n, found)
            try:
                return [_people(found[i], self.names, (views[i].height, views[i].width)) for i in range(n)]
            finally:
                for i in range(n):
                    _c.lib.limber_people_free(C.byref(found[i]))

    def heads(self, **options: Any) -> Heads:
        """Which attention heads are limb specialists: see Heads."""
        from ._heads import Heads

        return Heads(self, **options)

    def patch(self, slots: int = 4) -> Patch:
        """What attention heads cause: see Patch."""
        from ._patch import Patch

        return Patch(self, slots)

    def close(self) -> None:
        """Waits for calls that run, and frees everything. Also at the end of a `with` block."""
        for user in list(self._users):
            user.close()
        with self._state:
            self._closed = True
            self._state.wait_for(lambda: self._busy == 0)
            while self._free:
                _c.lib.limber_session_close(C.byref(self._free.pop()))
            _c.lib.limber_model_close(C.byref(self._model))

    def __enter__(self) -> Model:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_model", None) and not self._closed and not self._busy:
            self.close()
