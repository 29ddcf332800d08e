# SPDX-License-Identifier: MIT
"""What callers hand in - paths, bytes of a file, arrays, PIL images - as the library takes it."""

from __future__ import annotations

import contextlib
import ctypes as C
import os
from typing import Any, Iterator, Protocol, Union

import numpy as np
import numpy.typing as npt

from . import _c


class PILImage(Protocol):
    """PIL.Image.Image, as far as it is looked at."""

    def getbands(self) -> tuple[str, ...]: ...

    def convert(self, mode: str) -> Any: ...


ImageLike = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, npt.NDArray[Any], PILImage]
"""A path of a picture file; the bytes of one; a uint8 array [height, width, 3] (RGB, or BGR where the model was told so), [height,
width, 4] with alpha, which is not looked at, or [height, width] grey; or a PIL image."""

_FORMATS = {("rgb", 3): 0, ("bgr", 3): 1, ("rgb", 4): 2, ("bgr", 4): 3}


@contextlib.contextmanager
def _decoded(image: str | os.PathLike[str] | bytes, portable: bool) -> Iterator[_c.Image]:
    view, options = _c.Image(), _c.ImageOptions(portable=portable)
    if isinstance(image, bytes):
        _c.call("limber_image_decode", C.byref(view), image, len(image), C.byref(options))
    else:
        _c.call("limber_image_read", C.byref(view), os.fsencode(image), C.byref(options))
    try:
        yield view
    finally:
        _c.lib.limber_image_free(C.byref(view))


def _of_array(image: npt.NDArray[np.uint8], order: str) -> tuple[_c.Image, npt.NDArray[np.uint8]]:
    """The view, and the array that must live as long."""
    view = _c.Image()
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
    return view, array


@contextlib.contextmanager
def picture(image: ImageLike, order: str, portable: bool = False) -> Iterator[_c.Image]:
    """The library's view of an image, while the block runs."""
    if isinstance(image, (bytearray, memoryview)):
        image = bytes(image)
    if isinstance(image, (str, os.PathLike, bytes)):
        with _decoded(image, portable) as view:
            yield view
        return
    if not isinstance(image, np.ndarray) and hasattr(image, "convert") and hasattr(image, "getbands"):  # PIL's own order, whatever arrays have
        image, order = np.asarray(image.convert("RGB")), "rgb"
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image is a path, bytes, a numpy array or a PIL image, not {type(image).__name__}")
    view, array = _of_array(image, order)
    yield view
    del array


def read(image: str | os.PathLike[str] | bytes | bytearray | memoryview, *, portable: bool = False) -> npt.NDArray[np.uint8]:
    """A picture file, by its path or its bytes, as the library reads it: uint8 [height, width, 3], RGB, upright (EXIF's orientation
    applied), alpha drawn over white. JPEG, PNG, WebP, TIFF, HEIC and others; limber.h, limber_image_read, has the list and the limits.

    portable: only the decoders that every build of limber has, so that the pixels are the same on every machine."""
    with _decoded(image if isinstance(image, (str, os.PathLike)) else bytes(image), portable) as view:
        rows = np.ctypeslib.as_array((C.c_uint8 * (view.height * view.width * 3)).from_address(view.pixels))
        return rows.reshape(view.height, view.width, 3).copy()


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
