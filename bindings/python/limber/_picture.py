# SPDX-License-Identifier: MIT
"""What callers hand in - arrays, paths, PIL images - as the library takes it."""

from __future__ import annotations

import contextlib
import ctypes as C
import os
from typing import Any, Iterator, Union

import numpy as np
import numpy.typing as npt

from . import _c

ImageLike = Union[str, "os.PathLike[str]", npt.NDArray[np.uint8], Any]
"""A path; a uint8 array [height, width, 3] (RGB, or BGR where the model was told), [height, width, 4] with alpha, which is ignored,
or [height, width]; or a PIL image."""

_FORMATS = {("rgb", 3): 0, ("bgr", 3): 1, ("rgb", 4): 2, ("bgr", 4): 3}


@contextlib.contextmanager
def picture(image: ImageLike, order: str) -> Iterator[_c.Image]:
    """The library's view of an image, while the block runs."""
    view = _c.Image()
    if isinstance(image, (str, os.PathLike)):
        _c.call("limber_image_read", C.byref(view), os.fsencode(image), None)
        try:
            yield view
        finally:
            _c.lib.limber_image_free(C.byref(view))
        return
    if hasattr(image, "convert") and hasattr(image, "getbands"):  # PIL's own order, whatever arrays have
        image, order = np.asarray(image.convert("RGB")), "rgb"
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image is a path, a numpy array or a PIL image, not {type(image).__name__}")
    if image.dtype != np.uint8:
        raise TypeError(f"an image is of uint8, 0..255, not {image.dtype}")
    if image.ndim == 2:
        view.format = 4
    elif image.ndim == 3 and image.shape[2] in (3, 4):
        view.format = _FORMATS[order, image.shape[2]]
    else:
        raise ValueError(f"an image is [height, width, 3], [height, width, 4] or [height, width], not {list(image.shape)}")
    if image.size == 0:
        raise ValueError(f"an image without pixels: {list(image.shape)}")
    pixel = 1 if image.ndim == 2 else image.shape[2]
    tight = image.strides[1] == pixel and (image.ndim == 2 or image.strides[2] == 1) and image.strides[0] >= pixel * image.shape[1]
    array = image if tight else np.ascontiguousarray(image)  # a crop of rows and columns is tight: nothing is copied
    view.pixels, view.stride = array.ctypes.data, array.strides[0]
    view.height, view.width = array.shape[:2]
    yield view


def boxes_array(boxes: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """[people, 4] of float32: x, y, width, height."""
    array = np.ascontiguousarray(boxes, np.float32)
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.ndim == 1:
        array = array.reshape(1, -1)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes are [people, 4]: x, y, width, height; not {list(array.shape)}")
    return array
