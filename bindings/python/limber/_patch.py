# SPDX-License-Identifier: MIT
"""What an attention head causes: limber_patch.h."""

from __future__ import annotations

import ctypes as C
import threading
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import _c
from ._picture import ImageLike, boxes_array, picture

if TYPE_CHECKING:
    from ._model import Model

ZERO, MEAN, CONST = -1, -2, -3
"""Instead of a slot, as the source of Patch.run: nothing, the mean at each token, the mean over tokens."""


class Patch:
    """Runs kept in slots, and runs in which some heads' outputs are those of another; limber_patch.h defines both.

        with model.patch() as patch:
            patch.capture(0, clear, box)
            patch.capture(1, blurred, box)
            joints, maps = patch.run(base=1, source=0, heads=[(4, 2)])

    layers and heads count from 0. Threads take turns; a forked child needs its own."""

    def __init__(self, model: Model, slots: int = 4) -> None:
        options: _c.PatchOptions = _c.lib.limber_patch_options_default()
        options.slots = slots
        self._model, self._sessions = model, model._sessions
        self._turn = threading.Lock()
        self._patch = C.c_void_p()
        self._session = self._sessions.take()
        try:
            _c.call("limber_patch_open", C.byref(self._patch), self._session, C.byref(options))
        except BaseException:
            self._sessions.give(self._session)
            raise
        model._users.add(self)
        sizes = [C.c_int() for _ in range(5)]
        _c.lib.limber_patch_sizes(self._patch, *[C.byref(s) for s in sizes])
        self.layers, self.heads, self.joints, self.map_height, self.map_width = (s.value for s in sizes)

    def _opened(self) -> C.c_void_p:
        if not self._patch:
            raise ValueError("this patch is closed")
        return self._patch

    def capture(self, slot: int, image: ImageLike, box: npt.ArrayLike) -> None:
        """Runs one person, box x, y, width, height in pixels, and keeps what every layer held in `slot`."""
        array = boxes_array(box)
        if len(array) != 1:
            raise ValueError(f"capture takes one box, not {len(array)}")
        with self._turn, picture(image, self._model._order, self._model._portable) as view:
            _c.call("limber_patch_capture", self._opened(), slot, C.byref(view), _c.Box(*array[0].tolist()))

    def mean(self, slot: int) -> None:
        """Counts a slot in what MEAN and CONST stand for."""
        with self._turn:
            _c.call("limber_patch_mean", self._opened(), slot)

    def run(
        self, base: int, source: int, heads: list[tuple[int, int]], *, direct: bool = False, with_input: bool = False
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The base run with the outputs of `heads`, (layer, head) each, of the source: a slot, ZERO, MEAN or CONST. direct: the direct
        effect alone; with_input: what enters the first block too.
        Returns joints [joints, 3] in pixels of the base's image and heatmaps [joints, map height, map width]."""
        chosen = np.zeros((self.layers, self.heads), np.uint8)
        for layer, head in heads:
            if not (0 <= layer < self.layers and 0 <= head < self.heads):
                raise ValueError(f"layer {layer} head {head}: there are {self.layers} layers of {self.heads} heads")
            chosen[layer, head] = 1
        joints = np.zeros((self.joints, 3), np.float32)
        maps = np.zeros((self.joints, self.map_height, self.map_width), np.float32)
        flags = direct * 1 | with_input * 2
        with self._turn:
            _c.call("limber_patch_run", self._opened(), base, source, chosen.ctypes.data, flags, joints.ctypes.data, maps.ctypes.data)
        return joints, maps

    def close(self) -> None:
        """Frees the slots and gives the session back to its model."""
        with self._turn:
            if self._patch:
                _c.lib.limber_patch_close(C.byref(self._patch))
                self._sessions.give(self._session)

    def __enter__(self) -> Patch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_patch", None):
            self.close()
