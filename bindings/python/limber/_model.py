# SPDX-License-Identifier: MIT
"""Model and Detector."""

from __future__ import annotations

import contextlib
import ctypes as C
import os
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Sequence, TypeVar, overload

import numpy as np
import numpy.typing as npt

from . import _c
from ._people import Found, People, people_of
from ._picture import ImageLike, boxes_array, picture
from ._sessions import Handle, Sessions

if TYPE_CHECKING:
    from ._heads import Heads
    from ._patch import Patch

_Image = TypeVar("_Image", bound=ImageLike)  # a list of paths is a list of images
_MOST_FOUND = 300  # people of one image: the bound of limber_options.max_people


class Detector:
    """What finds people: alone, or for models to share: Model(detector=Detector("yolos-tiny")). Read-only; any number of threads and
    models.

    path: a YOLOS directory, or one of limber's own kind (config.json says "limber": {"task": "boxes"}); None: the one inside the
    library. backend and precision as of Model. Of `find`, where models have options of their own: max_people, min_box_score, threads,
    order and portable, as of Model. Freed with the last model that uses it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        max_people: int = 0,
        min_box_score: float = 0.0,
        backend: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        order: str = "rgb",
        portable: bool = False,
    ) -> None:
        self._order, self._portable = _checked_order(order), portable
        options: _c.Options = _c.lib.limber_options_default()
        options.backend, options.precision = backend.encode(), precision.encode()
        options.max_people, options.min_box_score, options.threads = max_people, min_box_score, threads
        self._sessions = Sessions(None, Handle("detector", path, options), options)

    @overload
    def find(self, image: list[_Image] | tuple[_Image, ...]) -> list[Found]: ...

    @overload
    def find(self, image: ImageLike) -> Found: ...

    def find(self, image: Any) -> Found | list[Found]:
        """Who is in an image, or in each of a list of images: their boxes, without a pose model.

        image: as of Model.run. Raises LimberError ("argument" also where an option of the detector is out of range), TypeError or
        ValueError."""
        return _find(self._sessions, image, self._order, self._portable)

    def close(self) -> None:
        """Waits for calls of `find` that run, and frees everything. Models that share it go on. Also at the end of a `with` block."""
        self._sessions.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _checked_order(order: str) -> str:
    if order not in ("rgb", "bgr"):
        raise ValueError(f'order is "rgb" or "bgr", not {order!r}')
    return order


def _find(sessions: Sessions, image: Any, order: str, portable: bool) -> Found | list[Found]:
    if isinstance(image, (list, tuple)):
        return [_find_in(sessions, i, order, portable) for i in image]
    return _find_in(sessions, image, order, portable)


def _find_in(sessions: Sessions, image: ImageLike, order: str, portable: bool) -> Found:
    found, count = (_c.Found * _MOST_FOUND)(), C.c_int()
    with picture(image, order, portable) as view, sessions.one() as session:
        _c.call("limber_find", session, C.byref(view), found, _MOST_FOUND, C.byref(count))
    some = found[: count.value]
    return Found(
        boxes=np.array([(f.box.x, f.box.y, f.box.width, f.box.height) for f in some], np.float32).reshape(len(some), 4),
        scores=np.array([f.score for f in some], np.float32),
    )


class Model:
    """A ViTPose checkpoint, ready to run. Threads may share it: each call takes a session of its own for as long as it runs, and the
    interpreter's lock is free meanwhile.

    path: a checkpoint directory as Hugging Face lays it out; None: the model inside the library.
    detector: who finds the people where `run` gets no boxes: a Detector, or the path of one; None: the one inside the library.
    whole: nobody does: an image without boxes is one person's box.
    max_people: of one image found, the surest, 1..300; 0: 300. min_box_score: a box that the detector is less sure of is nobody, 0..1;
    0: the detector's own default.
    backend "auto", "ref", "cpu", "cuda"; precision "auto", "fp32", "bf16", "fp16", "int8"; attention "exact", or approximate
    "window:W", "merge:R", "pool:P"; threads and batch 0: chosen; expert: of ViTPose+; flip: average with a mirrored pass; refine: how
    often a whole image is cropped again around the joints; input: another (height, width) in pixels; prune: "LAYER.HEAD,...".
    order: "rgb" or "bgr", of the arrays handed in (OpenCV's are "bgr"). portable: picture files are read by those decoders only that
    every build of limber has: the same pixels, and joints, on every machine.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        detector: Detector | str | os.PathLike[str] | None = None,
        whole: bool = False,
        max_people: int = 0,
        min_box_score: float = 0.0,
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
        portable: bool = False,
    ) -> None:
        if whole and detector is not None:
            raise ValueError("whole=True looks for nobody: it takes no detector")
        self._order, self._portable = _checked_order(order), portable
        self._users: weakref.WeakSet[Heads | Patch] = weakref.WeakSet()  # that hold a session until they are closed
        options: _c.Options = _c.lib.limber_options_default()
        options.backend, options.precision, options.attention = backend.encode(), precision.encode(), attention.encode()
        options.threads, options.batch, options.expert, options.flip, options.refine = threads, batch, expert, flip, refine
        options.max_people, options.min_box_score = max_people, min_box_score
        if input is not None:
            options.input_height, options.input_width = input
        options.prune = prune.encode() if prune else None
        if not whole and not isinstance(detector, Detector):
            detector = Detector(detector, backend=backend, precision=precision)
        self._detector = detector if isinstance(detector, Detector) else None
        finder = self._detector._sessions.hold_detector() if self._detector else None
        try:
            model = Handle("model", path, options)
        except BaseException:
            if finder:
                finder.let_go()
            raise
        self._sessions = Sessions(model, finder, options)
        lib, pointer = _c.lib, model.pointer
        joints = range(lib.limber_model_keypoint_count(pointer))
        self.names: tuple[str, ...] = tuple(lib.limber_model_keypoint_name(pointer, k).decode() for k in joints)
        """[joints], in the order of People.keypoints."""
        self.mirror: tuple[int, ...] = tuple(lib.limber_model_keypoint_mirror(pointer, k) for k in joints)
        """[joints]: which joint is the same one on the other side of the body; itself in the middle."""
        one, other = C.c_int(), C.c_int()
        bones = []
        for b in range(lib.limber_model_bone_count(pointer)):
            lib.limber_model_bone(pointer, b, C.byref(one), C.byref(other))
            bones.append((one.value, other.value))
        self.bones: tuple[tuple[int, int], ...] = tuple(bones)
        """The lines of a drawing: pairs of joints."""
        label_set = lib.limber_model_label_set(pointer)
        self.label_set: str | None = label_set.decode() if label_set else None
        """"COCO", "COCO-WholeBody", "AP-10K", or None where the joints are no known set."""
        self.backend: str = lib.limber_model_backend(pointer).decode()
        """What "auto" became."""
        self.precision: str = lib.limber_model_precision(pointer).decode()
        """What "auto" became."""

    @overload
    def run(self, image: list[_Image] | tuple[_Image, ...], boxes: Sequence[npt.ArrayLike | None] | None = None) -> list[People]: ...

    @overload
    def run(self, image: ImageLike, boxes: npt.ArrayLike | None = None) -> People: ...

    def run(self, image: Any, boxes: Any = None) -> People | list[People]:
        """The joints of the people in an image, or in each of a list of images, whose people then share batches.

        image: a path, the bytes of a picture file, a uint8 array [height, width, 3] (also with alpha, or [height, width] grey), a PIL
        image, or a list of these. EXIF's orientation is applied to files; arrays and PIL images are taken as they are.
        boxes: [people, 4], x, y, width, height in pixels of the upright image; of a list of images, a list with one such array, or
        None, for each. None: those that the detector finds, best first (with whole=True the whole image is one person's box).
        Raises LimberError; TypeError or ValueError where an argument is of another kind or shape."""
        if not isinstance(image, (list, tuple)):
            return self._run([image], [boxes])[0]
        if boxes is None:
            boxes = [None] * len(image)
        if len(boxes) != len(image):
            raise ValueError(f"{len(image)} images and boxes for {len(boxes)}")
        return self._run(list(image), list(boxes)) if len(image) else []

    def _run(self, images: list[Any], boxes: list[Any]) -> list[People]:
        arrays = [None if b is None else boxes_array(b) for b in boxes]
        n = len(images)
        held = [np.zeros((1, 4), np.float32) if a is not None and not len(a) else a for a in arrays]  # never a null pointer
        addresses: list[Any] = [None if h is None else C.cast(h.ctypes.data, C.POINTER(_c.Box)) for h in held]
        pointers = (C.POINTER(_c.Box) * n)(*addresses)
        counts = (C.c_int * n)(*[0 if a is None else len(a) for a in arrays])
        found = (_c.People * n)()
        with contextlib.ExitStack() as stack:
            views = (_c.Image * n)(*[stack.enter_context(picture(i, self._order, self._portable)) for i in images])
            with self._sessions.one() as session:
                _c.call("limber_run_images", session, views, pointers, counts, n, found)
        try:
            sizes = [(v.height, v.width) for v in views]
            return [people_of(f, self.names, size, a is None and self._detector is not None) for f, size, a in zip(found, sizes, arrays)]
        finally:
            for f in found:
                _c.lib.limber_people_free(C.byref(f))

    @overload
    def find(self, image: list[_Image] | tuple[_Image, ...]) -> list[Found]: ...

    @overload
    def find(self, image: ImageLike) -> Found: ...

    def find(self, image: Any) -> Found | list[Found]:
        """Who is in an image, or in each of a list of images, as the detector says. `run` then asks the joints too, and keeps fewer.
        Raises as `run`; LimberError "argument" with whole=True."""
        return _find(self._sessions, image, self._order, self._portable)

    def heads(self, **options: Any) -> Heads:
        """Which attention heads are limb specialists: see Heads."""
        from ._heads import Heads

        return Heads(self, **options)

    def patch(self, slots: int = 4) -> Patch:
        """What attention heads cause: see Patch. slots: runs kept side by side."""
        from ._patch import Patch

        return Patch(self, slots)

    def close(self) -> None:
        """Waits for calls that run, and frees everything. Also at the end of a `with` block."""
        for user in list(self._users):
            user.close()
        self._sessions.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
