# SPDX-License-Identifier: MIT
"""Which attention heads are limb specialists: limber_heads.h."""

from __future__ import annotations

import ctypes as C
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _c
from ._picture import ImageLike, boxes_array, picture

if TYPE_CHECKING:
    from ._model import Model


def _estimate(e: _c.HeadsEstimate) -> dict[str, Any]:
    return {"mean": e.mean, "low": e.low, "high": e.high, "images": e.images} if e.images else {"images": 0}


def _numbers(c: _c.HeadsClass | _c.HeadsAny, *more: str) -> dict[str, Any]:
    row: dict[str, Any] = {n: _estimate(getattr(c, n)) for n, kind in c._fields_ if kind is _c.HeadsEstimate}
    row.update({n: getattr(c, n) for n in ("mass", "share", "lift", *more)})
    row.update({n: getattr(c, n) if c.tested else None for n in ("p_moved", "p_swapped", "p", "q")})
    return row


class Heads:
    """Gathers over images what each attention head looks at; limber_heads.h defines every number.

        with model.heads(bootstrap=1000) as heads:
            for image, boxes in photographs:
                heads.add(image, boxes)
            table = heads.summarise()

    Options: moves (shifted masks, 0..16), bootstrap (replicates), seed, include_self, min_score (joints below are left out),
    boundaries (outline and joints, from anywhere). Threads take turns; a forked child needs its own."""

    def __init__(self, model: Model, **options: Any) -> None:
        given: _c.HeadsOptions = _c.lib.limber_heads_options_default()
        for name, value in options.items():
            if name not in ("moves", "bootstrap", "seed", "include_self", "min_score", "boundaries"):
                raise TypeError(f"heads() has no option {name!r}")
            setattr(given, name, value)
        self._model, self._sessions = model, model._sessions
        self._turn = threading.Lock()
        self._heads = C.c_void_p()
        self._session = self._sessions.take()
        try:
            _c.call("limber_heads_open", C.byref(self._heads), self._session, C.byref(given))
        except BaseException:
            self._sessions.give(self._session)
            raise
        model._users.add(self)

    def _opened(self) -> C.c_void_p:
        if not self._heads:
            raise ValueError("these heads are closed")
        return self._heads

    def add(self, image: ImageLike, boxes: npt.ArrayLike | None = None, joints: npt.ArrayLike | None = None) -> None:
        """One image and its people. boxes [people, 4], x, y, width, height in pixels; None: as in Model.run. joints [people, 17, 3],
        x, y in pixels, score, in COCO's order; None: the model's own."""
        box = None if boxes is None else boxes_array(boxes)
        points = None if joints is None else np.ascontiguousarray(joints, np.float32)
        if points is not None and points.shape != (0 if box is None else len(box), 17, 3):
            raise ValueError(f"joints are [{0 if box is None else len(box)}, 17, 3], one of each box; not {list(points.shape)}")
        with self._turn, picture(image, self._model._order, self._model._portable) as view:
            count = 0 if box is None else len(box)
            held = np.zeros((1, 4), np.float32) if box is not None and not count else box
            _c.call(
                "limber_heads_add",
                self._opened(),
                C.byref(view),
                None if held is None else C.cast(held.ctypes.data, C.POINTER(_c.Box)),
                None if points is None else C.cast(points.ctypes.data, C.POINTER(_c.Keypoint)),
                count,
            )

    def summarise(self) -> dict[str, Any]:
        """What the images so far say: {"images", "people", "classes": [...], "grid": (height, width), "heads": [{"layer", "head", "kind",
        "reach", "entropy", ..., "classes": {"left_arm": {"r_limb": {"mean", "low", "high", "images"}, "partial", "lift", "q",
        "specialist", ...}}, "anywhere": {"left_arm": {"r", "lift", "q", "reader", ...}, ..., "outline": ..., "joints": ...}}]}."""
        result = _c.HeadsResult()
        with self._turn:
            _c.call("limber_heads_summarise", self._opened(), C.byref(result))
        try:
            every = [result.class_name[c].value.decode() for c in range(result.any_count)]
            names = every[: result.class_count]
            heads = []
            for i in range(result.head_count):
                h = result.heads[i]
                of_class, anywhere = {}, {}
                for name, c in zip(names, h.classes):
                    of_class[name] = _numbers(c, "lift_from_others")
                    of_class[name].update(specialist=bool(c.specialist), sided=bool(c.sided))
                for name, a in zip(every, h.any):
                    anywhere[name] = _numbers(a)
                    anywhere[name].update(reader=bool(a.reader))
                one: dict[str, Any] = {"layer": h.layer, "head": h.head, "kind": _c.lib.limber_heads_kind_name(h.kind).decode()}
                one.update({n: _estimate(getattr(h, n)) for n in ("r_near", "distance", "reach", "entropy", "self")})
                one.update(classes=of_class, anywhere=anywhere)
                heads.append(one)
            return {
                "images": result.images,
                "images_used": result.images_used,
                "people": result.people,
                "people_used": result.people_used,
                "grid": (result.grid_h, result.grid_w),
                "classes": names,
                "specialists": result.specialists,
                "heads": heads,
            }
        finally:
            _c.lib.limber_heads_result_free(C.byref(result))

    def close(self) -> None:
        """Frees the sums and gives the session back to its model."""
        with self._turn:
            if self._heads:
                _c.lib.limber_heads_close(C.byref(self._heads))
                self._sessions.give(self._session)

    def __enter__(self) -> Heads:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_heads", None):
            self.close()
