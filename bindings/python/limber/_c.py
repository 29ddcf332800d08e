# SPDX-License-Identifier: MIT
"""The public headers (limber.h, limber_heads.h, limber_patch.h) as ctypes knows them; tests/test_layout.py holds them against the
headers. ctypes lets the interpreter's lock go for every call."""

from __future__ import annotations

import ctypes as C
import os
import pathlib
from typing import Any

API = 7  # LIMBER_API_VERSION // 100 that these structures are of


class Error(C.Structure):
    _fields_ = [("status", C.c_int), ("text", C.c_char * 1020)]


class Options(C.Structure):
    _fields_ = [
        ("backend", C.c_char_p),
        ("precision", C.c_char_p),
        ("attention", C.c_char_p),
        ("threads", C.c_int),
        ("batch", C.c_int),
        ("expert", C.c_int),
        ("flip", C.c_int),
        ("refine", C.c_int),
        ("input_height", C.c_int),
        ("input_width", C.c_int),
        ("prune", C.c_char_p),
        ("detector", C.c_void_p),
        ("max_people", C.c_int),
        ("min_box_score", C.c_float),
        ("track", C.c_int),
        ("smooth", C.c_int),
        ("reserved", C.c_int * 6),
    ]


class Image(C.Structure):
    _fields_ = [
        ("pixels", C.c_void_p),
        ("width", C.c_int),
        ("height", C.c_int),
        ("stride", C.c_size_t),
        ("chroma", C.c_void_p),
        ("chroma_stride", C.c_size_t),
        ("format", C.c_int),
        ("matrix", C.c_int),
        ("full_range", C.c_int),
        ("reserved", C.c_int * 9),
    ]


class Box(C.Structure):
    _fields_ = [("x", C.c_float), ("y", C.c_float), ("width", C.c_float), ("height", C.c_float)]


class Keypoint(C.Structure):
    _fields_ = [("x", C.c_float), ("y", C.c_float), ("score", C.c_float)]


class Limb(C.Structure):
    _fields_ = [
        ("from_", C.c_int),
        ("to", C.c_int),
        ("length", C.c_float),
        ("angle", C.c_float),
        ("score", C.c_float),
        ("reserved", C.c_int * 3),
    ]


class Person(C.Structure):
    _fields_ = [
        ("box", Box),
        ("box_score", C.c_float),
        ("score", C.c_float),
        ("keypoints", C.POINTER(Keypoint)),
        ("limbs", C.POINTER(Limb)),
        ("limb_count", C.c_int),
        ("track", C.c_int),
        ("reserved", C.c_int * 8),
    ]


class People(C.Structure):
    _fields_ = [
        ("person", C.POINTER(Person)),
        ("count", C.c_int),
        ("keypoint_count", C.c_int),
        ("reserved", C.c_int * 4),
    ]


class Found(C.Structure):
    _fields_ = [("box", Box), ("score", C.c_float), ("reserved", C.c_int * 3)]


class ImageOptions(C.Structure):
    _fields_ = [("max_pixels", C.c_int64), ("max_bytes", C.c_int64), ("portable", C.c_int), ("reserved", C.c_int * 11)]


class HeadsOptions(C.Structure):
    _fields_ = [
        ("moves", C.c_int),
        ("bootstrap", C.c_int),
        ("seed", C.c_uint64),
        ("include_self", C.c_int),
        ("min_score", C.c_float),
        ("layers", C.POINTER(C.c_int)),
        ("layer_count", C.c_int),
        ("label_classes", C.c_int),
        ("label_names", C.POINTER(C.c_char_p)),
        ("boundaries", C.c_int),
        ("reserved", C.c_int * 15),
    ]


class HeadsEstimate(C.Structure):
    _fields_ = [("mean", C.c_double), ("low", C.c_double), ("high", C.c_double), ("images", C.c_int), ("interval", C.c_int)]


class HeadsExample(C.Structure):
    _fields_ = [("image", C.c_int64), ("person", C.c_int), ("r_limb", C.c_double)]


def _fields(*groups: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [field for group in groups for field in group]


class HeadsClass(C.Structure):
    _fields_ = _fields(
        [(n, HeadsEstimate) for n in ("r_limb", "r_near", "partial", "r_moved", "r_swapped", "over_moved", "over_swapped", "side")],
        [(n, C.c_double) for n in ("mass", "share", "lift", "lift_from_others")],
        [("tested", C.c_int)],
        [(n, C.c_double) for n in ("p_moved", "p_swapped", "p", "q")],
        [("specialist", C.c_int), ("sided", C.c_int), ("best", HeadsExample), ("lot", HeadsExample)],
    )


class HeadsPair(C.Structure):
    _fields_ = _fields(
        [("lift", C.c_double), ("r", C.c_double), ("partial", C.c_double), ("images", C.c_int), ("tested", C.c_int)],
        [(n, C.c_double) for n in ("r_low", "r_high", "over", "over_moved", "p_swapped", "p_moved", "p", "q")],
    )


class HeadsAny(C.Structure):
    _fields_ = _fields(
        [(n, HeadsEstimate) for n in ("r", "partial", "r_moved", "r_swapped", "over_moved", "over_swapped")],
        [(n, C.c_double) for n in ("mass", "share", "lift")],
        [("tested", C.c_int)],
        [(n, C.c_double) for n in ("p_moved", "p_swapped", "p", "q")],
        [("reader", C.c_int), ("reserved", C.c_int * 8)],
    )


class HeadsHead(C.Structure):
    _fields_ = _fields(
        [("layer", C.c_int), ("head", C.c_int), ("kind", C.c_int)],
        [(n, HeadsEstimate) for n in ("r_near", "distance", "reach", "entropy", "self")],
        [("classes", HeadsClass * 8), ("pair", (HeadsPair * 8) * 8), ("any", HeadsAny * 8)],
        [(n, C.c_double) for n in ("focused", "exploring", "layer_p")],
        [("ring", C.c_double * 8), ("ring_flat", C.c_double * 8), ("offset_down", C.c_int), ("offset_right", C.c_int)],
        [("offset_share", C.c_double), ("strategy", C.c_int)],
    )


class HeadsResult(C.Structure):
    _fields_ = [
        ("layer_count", C.c_int),
        ("heads_per_layer", C.c_int),
        ("head_count", C.c_int),
        ("heads", C.POINTER(HeadsHead)),
        ("class_count", C.c_int),
        ("class_name", (C.c_char * 48) * 8),
        ("mirror", C.c_int * 8),
        ("any_count", C.c_int),
        ("grid_h", C.c_int),
        ("grid_w", C.c_int),
        ("images", C.c_int64),
        ("images_used", C.c_int64),
        ("people", C.c_int64),
        ("people_used", C.c_int64),
        ("class_people", C.c_int * 8),
        ("tests", C.c_int),
        ("specialists", C.c_int),
        ("moves", C.c_int),
        ("bootstrap", C.c_int),
        ("include_self", C.c_int),
        ("seed", C.c_uint64),
    ]


class PatchOptions(C.Structure):
    _fields_ = [("slots", C.c_int), ("reserved", C.c_int * 7)]


def _load() -> C.CDLL:
    path = os.environ.get("LIMBER_LIBRARY") or str(pathlib.Path(__file__).with_name("liblimber.so"))
    lib = C.CDLL(path)
    lib.limber_api_version.restype = C.c_int
    found = lib.limber_api_version()
    if found // 100 != API:
        raise ImportError(f"{path} has interface {found // 10000}.{found // 100 % 100}, this package needs {API // 100}.{API % 100}")
    pointer, err, model, session = C.POINTER, C.POINTER(Error), C.c_void_p, C.c_void_p
    table: dict[str, tuple[Any, list[Any]]] = {
        "limber_version": (C.c_char_p, []),
        "limber_status_name": (C.c_char_p, [C.c_int]),
        "limber_options_default": (Options, []),
        "limber_model_open": (C.c_int, [pointer(C.c_void_p), C.c_char_p, pointer(Options), err]),
        "limber_model_close": (None, [pointer(C.c_void_p)]),
        "limber_model_keypoint_count": (C.c_int, [model]),
        "limber_model_keypoint_name": (C.c_char_p, [model, C.c_int]),
        "limber_model_backend": (C.c_char_p, [model]),
        "limber_model_precision": (C.c_char_p, [model]),
        "limber_model_label_set": (C.c_char_p, [model]),
        "limber_model_keypoint_mirror": (C.c_int, [model, C.c_int]),
        "limber_model_bone_count": (C.c_int, [model]),
        "limber_model_bone": (C.c_int, [model, C.c_int, pointer(C.c_int), pointer(C.c_int)]),
        "limber_limb_name": (C.c_char_p, [C.c_int]),
        "limber_session_open": (C.c_int, [pointer(C.c_void_p), model, pointer(Options), err]),
        "limber_session_close": (None, [pointer(C.c_void_p)]),
        "limber_image_read": (C.c_int, [pointer(Image), C.c_char_p, pointer(ImageOptions), err]),
        "limber_image_decode": (C.c_int, [pointer(Image), C.c_char_p, C.c_size_t, pointer(ImageOptions), err]),
        "limber_image_free": (None, [pointer(Image)]),
        "limber_detector_open": (C.c_int, [pointer(C.c_void_p), C.c_char_p, pointer(Options), err]),
        "limber_detector_close": (None, [pointer(C.c_void_p)]),
        "limber_find": (C.c_int, [session, pointer(Image), pointer(Found), C.c_int, pointer(C.c_int), err]),
        "limber_run_images": (
            C.c_int,
            [session, pointer(Image), pointer(pointer(Box)), pointer(C.c_int), C.c_int, pointer(People), err],
        ),
        "limber_people_free": (None, [pointer(People)]),
        "limber_heads_options_default": (HeadsOptions, []),
        "limber_heads_kind_name": (C.c_char_p, [C.c_int]),
        "limber_heads_open": (C.c_int, [pointer(C.c_void_p), session, pointer(HeadsOptions), err]),
        "limber_heads_close": (None, [pointer(C.c_void_p)]),
        "limber_heads_add": (C.c_int, [C.c_void_p, pointer(Image), pointer(Box), pointer(Keypoint), C.c_int, err]),
        "limber_heads_summarise": (C.c_int, [C.c_void_p, pointer(HeadsResult), err]),
        "limber_heads_result_free": (None, [pointer(HeadsResult)]),
        "limber_patch_options_default": (PatchOptions, []),
        "limber_patch_open": (C.c_int, [pointer(C.c_void_p), session, pointer(PatchOptions), err]),
        "limber_patch_close": (None, [pointer(C.c_void_p)]),
        "limber_patch_capture": (C.c_int, [C.c_void_p, C.c_int, pointer(Image), Box, err]),
        "limber_patch_mean": (C.c_int, [C.c_void_p, C.c_int, err]),
        "limber_patch_run": (C.c_int, [C.c_void_p, C.c_int, C.c_int, C.c_void_p, C.c_int, C.c_void_p, C.c_void_p, err]),
        "limber_patch_sizes": (None, [C.c_void_p] + [pointer(C.c_int)] * 5),
    }
    for name, (result, arguments) in table.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


lib = _load()


class LimberError(RuntimeError):
    """What the library said. `status` is its name for the kind: "argument", "io", "format", "model", "unsupported", "memory",
    "backend"."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


def call(name: str, *arguments: Any) -> None:
    """Calls a function that takes limber_error last; raises where it fails."""
    error = Error()
    status = getattr(lib, name)(*arguments, C.byref(error))
    if status:
        raise LimberError(lib.limber_status_name(status).decode(), error.text.decode(errors="replace"))
