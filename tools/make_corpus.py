#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small files from strangers, for the tests and as seeds for the fuzzers.

    pip install pillow
    python tools/make_corpus.py [--out tests/corpus]

A file's name says what to expect: ok_* is accepted, bad_* is refused with an error, edge_* may be either but must not crash,
read out of bounds, or use memory beyond the stated limits. tests/corpus/README.md lists them.

Every picture shows the same four fields (48x32: red, green over blue, yellow) unless its name says otherwise, so that a test
needs one function for all formats and all EXIF orientations.
"""

import argparse, io, json, os, shutil, struct, zlib

from PIL import Image, ImageDraw

RED, GREEN, BLUE, YELLOW = (220, 40, 40), (40, 200, 60), (40, 60, 210), (230, 210, 50)


def picture(width=48, height=32):
    im = Image.new("RGB", (width, height))
    d = ImageDraw.Draw(im)
    for (i, j), c in {(0, 0): RED, (1, 0): GREEN, (0, 1): BLUE, (1, 1): YELLOW}.items():
        d.rectangle([i * width // 2, j * height // 2, (i + 1) * width // 2 - 1, (j + 1) * height // 2 - 1], fill=c)
    return im


def saved(im, format, **kw):
    b = io.BytesIO()
    im.save(b, format, **kw)
    return b.getvalue()


def jpeg(im, **kw):
    return saved(im, "JPEG", **{"quality": 95, "subsampling": 0, **kw})


# ---- PNG by hand: 16-bit colour, Adam7 and headers that lie ------------------------------------------------------------


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, colour, rows, interlace=0, before=b""):
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
        + before
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def png_rgb16():
    im = picture()
    rows = b"".join(
        b"\0" + b"".join(struct.pack(">HHH", *(v * 257 for v in im.getpixel((x, y)))) for x in range(48)) for y in range(32)
    )
    return png(48, 32, 16, 2, rows)


def png_adam7():
    im, rows = picture(), b""
    for x0, y0, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for y in range(y0, 32, dy):
            rows += b"\0" + b"".join(bytes(im.getpixel((x, y))) for x in range(x0, 48, dx))
    return png(48, 32, 8, 2, rows, interlace=1)


# ---- EXIF --------------------------------------------------------------------------------------------------------------

# How the stored pixels must be turned so that a viewer who obeys the tag sees the upright picture: the inverse of the tag.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def exif(orientation, order="<", count=1, ifd=8, tag=0x0112, kind=3):
    """APP1 payload with one entry; the arguments let it lie."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", ifd)
    value = struct.pack(order + "HH", orientation, 0)
    return (
        b"Exif\0\0"
        + head
        + struct.pack(order + "H", count)
        + struct.pack(order + "HHI", tag, kind, 1)
        + value
        + struct.pack(order + "I", 0)
    )


def exif_jpeg(orientation, **kw):
    im = picture()
    if STORED.get(orientation) is not None:
        im = im.transpose(STORED[orientation])
    return jpeg(im, exif=exif(orientation, **kw))


def images():
    base, rgb = jpeg(picture()), picture()
    prog = jpeg(picture(96, 64), progressive=True)
    f = {
        "ok_baseline.jpg": base,
        "ok_progressive.jpg": jpeg(rgb, progressive=True),
        "ok_grey.jpg": jpeg(rgb.convert("L")),
        "ok_subsampled_odd_47x31.jpg": jpeg(picture(47, 31), subsampling=2),
        "ok_restart_markers.jpg": jpeg(rgb, restart_marker_blocks=2),
        "ok_cmyk.jpg": jpeg(rgb.convert("CMYK")),
        "ok_junk_after_end.jpg": base + b"MPF-like second picture" * 4,
        "ok_exif_big_endian_6.jpg": exif_jpeg(6, order=">"),
        "ok_1x1.jpg": jpeg(picture().resize((1, 1))),
        "ok_rgb8.png": saved(rgb, "PNG"),
        "ok_rgb16.png": png_rgb16(),
        "ok_adam7.png": png_adam7(),
        "ok_grey8.png": saved(rgb.convert("L"), "PNG"),
        "ok_grey16.png": saved(rgb.convert("L").convert("I").point(lambda v: v * 257).convert("I;16"), "PNG"),
        "ok_grey1.png": saved(rgb.convert("L").point(lambda v: 255 * (v > 100)).convert("1"), "PNG"),
        "ok_palette.png": saved(rgb.quantize(4), "PNG"),
        "ok_1x1.png": saved(Image.new("RGB", (1, 1), RED), "PNG"),
        "ok_1x300.png": saved(Image.new("RGB", (1, 300), GREEN), "PNG"),
        "ok_300x1.png": saved(Image.new("RGB", (300, 1), BLUE), "PNG"),
        "ok_rgb24.bmp": saved(rgb, "BMP"),
        "ok_palette.bmp": saved(rgb.quantize(4), "BMP"),
        "ok_still.gif": saved(rgb.quantize(4), "GIF"),
        "ok_rgb.tga": saved(rgb, "TGA"),
        "ok_rgb.ppm": saved(rgb, "PPM"),
    }
    for o in range(1, 9):
        f[f"ok_exif_{o}.jpg"] = exif_jpeg(o)
    # A broken or silly EXIF block is no reason to refuse a picture: it counts as orientation 1.
    for name, kw in {
        "orientation_0": dict(orientation=0),
        "orientation_9": dict(orientation=9),
        "ifd_outside": dict(orientation=1, ifd=0xFFFFFFF0),
        "count_65535": dict(orientation=1, count=65535),
        "wrong_type": dict(orientation=1, kind=7),
    }.items():
        f[f"ok_exif_{name}.jpg"] = jpeg(rgb, exif=exif(**kw))
    f["ok_exif_cut.jpg"] = jpeg(rgb, exif=exif(6)[:15])
    rgba = rgb.convert("RGBA")  # over white: red stays, green becomes half pale, yellow vanishes
    rgba.paste((*GREEN, 128), (24, 0, 48, 16)), rgba.paste((*YELLOW, 0), (24, 16, 48, 32))
    f["ok_alpha.png"] = saved(rgba, "PNG")
    f["ok_grey_alpha.png"] = saved(rgba.convert("LA"), "PNG")
    pal = rgb.quantize(4)
    yellow = pal.getpixel((40, 24))
    f["ok_palette_transparent_yellow.png"] = saved(
        pal, "PNG", transparency=bytes(0 if i == yellow else 255 for i in range(4))
    )
    f["ok_alpha.gif"] = saved(pal, "GIF", transparency=yellow)
    frames = [rgb.quantize(4), Image.new("P", (48, 32))]
    f["ok_animated_first_frame.gif"] = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)

    big = jpeg(picture(96, 64).resize((96, 64)).rotate(30, fillcolor=(9, 99, 199)))
    text = b"This is not a picture, whatever its name says.\n"
    ihdr = lambda w, h: b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
    sof = base.index(b"\xff\xc0")
    f |= {
        "bad_empty.jpg": b"",
        "bad_text.jpg": text,
        "bad_one_byte.png": b"\x89",
        "bad_html.png": b"<!doctype html><html>404</html>\n",
        "bad_cut_half.jpg": big[: len(big) // 2],
        "bad_cut_three_quarters.jpg": big[: 3 * len(big) // 4],
        "bad_cut_in_headers.jpg": base[: sof + 6],
        "bad_cut_after_sos.jpg": base[: base.index(b"\xff\xda") + 16],
        "bad_cut_progressive.jpg": prog[: len(prog) // 2],
        "bad_cut_half.png": saved(big_png(), "PNG")[:2000],
        "bad_cut_in_ihdr.png": ihdr(48, 32)[:20],
        "bad_cut_half.bmp": f["ok_rgb24.bmp"][:2000],
        "bad_cut_half.gif": f["ok_still.gif"][: len(f["ok_still.gif"]) // 2],
        "bad_cut_half.ppm": f["ok_rgb.ppm"][:2000],
        "bad_60000x60000.png": ihdr(60000, 60000) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""),
        "bad_4294967295x4294967295.png": ihdr(0xFFFFFFFF, 0xFFFFFFFF) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)),
        "bad_0x32.png": ihdr(0, 32) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b""),
        "bad_bomb_20000x20000_1bit.png": png(20000, 20000, 1, 0, b"\0" * (2501 * 20000)),
        "bad_idat_too_short.png": png(48, 32, 8, 2, b"\0" * 500),
        "bad_idat_not_zlib.png": ihdr(48, 32) + chunk(b"IDAT", b"\xde\xad\xbe\xef" * 20) + chunk(b"IEND", b""),
        "bad_chunk_length_4294967295.png": ihdr(48, 32) + b"\xff\xff\xff\xffIDAT" + b"\0" * 40,
        "bad_palette_missing.png": png(8, 8, 8, 3, b"\0" * 72),
        "bad_65500x65500.jpg": base[: sof + 5] + struct.pack(">HH", 65500, 65500) + base[sof + 9 :],
        "bad_height_0.jpg": base[: sof + 5] + struct.pack(">H", 0) + base[sof + 7 :],
        "bad_60000x60000.bmp": f["ok_rgb24.bmp"][:18] + struct.pack("<ii", 60000, 60000) + f["ok_rgb24.bmp"][26:],
        "bad_negative_width.bmp": f["ok_rgb24.bmp"][:18] + struct.pack("<i", -2147483648) + f["ok_rgb24.bmp"][22:],
        "bad_60000x60000.gif": b"GIF89a"
        + struct.pack("<HHBBB", 60000, 60000, 0x80, 0, 0)
        + b"\0\0\0\xff\xff\xff"
        + b",\0\0\0\0"
        + struct.pack("<HH", 60000, 60000)
        + b"\0\x02\x02\x4c\x01\0;",
        "bad_99999999999x2.ppm": b"P6\n99999999999 2\n255\n" + b"\0" * 60,
        "edge_webp.webp": saved(rgb, "WEBP"),
        "edge_tiff.tif": saved(rgb, "TIFF"),
    }
    noise = bytes((i * 7919 >> 3) & 255 for i in range(600))
    f |= {
        "ok_no_end_marker.jpg": base[:-2],
        "edge_noise_after_sos.jpg": base[: base.index(b"\xff\xda") + 14] + noise.replace(b"\xff", b"\xfe"),
        "edge_bad_crc.png": f["ok_rgb8.png"][:29] + b"\0\0\0\0" + f["ok_rgb8.png"][33:],
        "edge_no_iend.png": f["ok_rgb8.png"][:-12],
    }
    return f


def big_png():
    im = Image.new("RGB", (64, 64))
    im.putdata([((x * 37 + y * 91) % 256, (x * y) % 256, (x * x + y) % 256) for y in range(64) for x in range(64)])
    return im


# ---- safetensors -------------------------------------------------------------------------------------------------------


def st(header, data=b"", length=None):
    h = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(h) if length is None else length) + h + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors():
    floats = struct.pack("<6f", 1, -2, 3.5, 0, 1e-20, 65504)
    two = {"a": tensor("F32", [2, 3], 0, 24), "b": tensor("BF16", [4], 24, 32)}
    ok, data = st(two, floats + b"\x80?\0@\0\xc0\0\0"), floats + b"\x80?\0@\0\xc0\0\0"
    n = len(ok) - 40  # header bytes
    one = lambda **kw: {"a": {**tensor("F32", [2, 3], 0, 24), **kw}}
    raw = lambda text: st(text.encode(), floats)
    f = {
        "ok_two.safetensors": ok,
        "ok_metadata.safetensors": st({"__metadata__": {"format": "pt"}, **two}, data),
        "ok_empty_header.safetensors": st({}),
        "ok_spaces_around.safetensors": st(b" \t\r\n" + json.dumps(two).encode() + b"   \n", data),
        "ok_order_by_name_not_offset.safetensors": st(
            {"b": tensor("F32", [1], 4, 8), "a": tensor("F32", [1], 0, 4)}, floats[:8]
        ),
        "ok_rank0_and_zero_size.safetensors": st(
            {"a": tensor("I64", [], 0, 8), "z": tensor("F32", [0, 7], 8, 8)}, b"\0" * 8
        ),
        "ok_unaligned_floats.safetensors": st(
            {"u": tensor("U8", [3], 0, 3), "x": tensor("F32", [6], 3, 27)}, b"\1\2\3" + floats
        ),
        "ok_nan_and_inf.safetensors": st(
            {"a": tensor("F32", [3], 0, 12)}, struct.pack("<3f", float("nan"), float("inf"), -float("inf"))
        ),
        "ok_all_dtypes.safetensors": all_dtypes(),
        "ok_escaped_name.safetensors": raw('{"\\u0061.w\\u00e9":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'),
        "bad_cut_empty.safetensors": b"",
        "bad_cut_in_length.safetensors": ok[:5],
        "bad_cut_after_length.safetensors": ok[:8],
        "bad_cut_in_header.safetensors": ok[: 8 + n // 2],
        "bad_cut_last_header_byte.safetensors": ok[: 8 + n - 1],
        "bad_cut_after_header.safetensors": ok[: 8 + n],
        "bad_cut_in_data.safetensors": ok[:-15],
        "bad_cut_last_byte.safetensors": ok[:-1],
        "bad_byte_too_many.safetensors": ok + b"\0",
        "bad_length_2_63.safetensors": struct.pack("<Q", 1 << 63) + ok[8:],
        "bad_length_2_64_less_1.safetensors": struct.pack("<Q", (1 << 64) - 1) + ok[8:],
        "bad_length_2_64_less_8.safetensors": struct.pack("<Q", (1 << 64) - 8) + ok[8:],
        "bad_length_0.safetensors": struct.pack("<Q", 0) + ok[8:],
        "bad_length_one_more.safetensors": struct.pack("<Q", n + 1) + ok[8:],
        "bad_length_100000001.safetensors": struct.pack("<Q", 100000001) + ok[8:],
        "bad_header_ff.safetensors": st(b"\xff"),
        "bad_header_brace.safetensors": st(b"{"),
        "bad_header_array.safetensors": st(b"[1,2]"),
        "bad_header_string.safetensors": st(b'"a"'),
        "bad_header_not_json.safetensors": st(b"hello, world"),
        "bad_header_two_objects.safetensors": st(b"{}{}"),
        "bad_header_nul_inside.safetensors": st(b'{"a"\0:1}'),
        "bad_utf8_in_name.safetensors": raw('{"a').replace(
            b'{"a', b'{"\xc3\x28":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}', 1
        ),
        "bad_deep_arrays.safetensors": st(b'{"a":' + b"[" * 20000 + b"]" * 20000 + b"}"),
        "bad_deep_unclosed.safetensors": st(b'{"a":' + b'{"a":' * 8000),
        "bad_duplicate_name.safetensors": raw(
            '{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'
        ),
        "bad_duplicate_key_in_tensor.safetensors": raw(
            '{"a":{"dtype":"F32","shape":[6],"shape":[6],"data_offsets":[0,24]}}'
        ),
        "bad_dtype_unknown.safetensors": st(one(dtype="F7"), floats),
        "bad_dtype_number.safetensors": st(one(dtype=32), floats),
        "bad_dtype_empty.safetensors": st(one(dtype=""), floats),
        "bad_dtype_very_long.safetensors": st(one(dtype="F" * 3000), floats),
        "bad_shape_disagrees.safetensors": st(one(shape=[2, 2]), floats),
        "bad_shape_negative.safetensors": st(one(shape=[-2, -3]), floats),
        "bad_shape_real.safetensors": st(one(shape=[2.0, 3.0]), floats),
        "bad_shape_string.safetensors": st(one(shape=["2", 3]), floats),
        "bad_shape_number.safetensors": st(one(shape=6), floats),
        "bad_shape_2_64_less_2.safetensors": st(one(shape=[2, (1 << 64) - 2]), floats),
        "bad_shape_2_63_less_1.safetensors": st(one(shape=[2, (1 << 63) - 1]), floats),
        "bad_shape_product_wraps_to_6.safetensors": st(one(shape=[6, 1 << 32, 1 << 32]), floats),
        "bad_shape_product_wraps_to_0.safetensors": st(one(shape=[1 << 32, 1 << 32], data_offsets=[0, 0])),
        "bad_shape_bytes_wrap.safetensors": st(one(shape=[(1 << 62) + 6]), floats),
        "edge_shape_zero_times_huge.safetensors": st(one(shape=[0, 1 << 40, 1 << 40], data_offsets=[0, 0])),
        "edge_shape_rank_40.safetensors": st(one(shape=[1] * 38 + [2, 3]), floats),
        "bad_offsets_overlap.safetensors": st({"a": tensor("F32", [4], 0, 16), "b": tensor("F32", [4], 8, 24)}, floats),
        "bad_offsets_same_bytes_twice.safetensors": st(
            {"a": tensor("F32", [6], 0, 24), "b": tensor("F32", [6], 0, 24)}, floats
        ),
        "bad_offsets_hole.safetensors": st({"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [3], 12, 24)}, floats),
        "bad_offsets_first_not_0.safetensors": st({"a": tensor("F32", [5], 4, 24)}, floats),
        "bad_offsets_outside.safetensors": st(one(data_offsets=[0, 24], shape=[2, 3]), floats[:20]),
        "bad_offsets_far_outside.safetensors": st(one(data_offsets=[1 << 40, (1 << 40) + 24]), floats),
        "bad_offsets_reversed.safetensors": st(one(data_offsets=[24, 0]), floats),
        "bad_offsets_negative.safetensors": st(one(data_offsets=[-24, 0]), floats),
        "bad_offsets_real.safetensors": st(one(data_offsets=[0, 24.0]), floats),
        "bad_offsets_2_63.safetensors": st(one(data_offsets=[0, 1 << 63]), floats),
        "bad_offsets_three.safetensors": st(one(data_offsets=[0, 12, 24]), floats),
        "bad_offsets_missing.safetensors": st({"a": {"dtype": "F32", "shape": [6]}}, floats),
        "bad_dtype_missing.safetensors": st({"a": {"shape": [6], "data_offsets": [0, 24]}}, floats),
        "bad_shape_missing.safetensors": st({"a": {"dtype": "F32", "data_offsets": [0, 24]}}, floats),
        "bad_tensor_is_null.safetensors": st({"a": None}),
        "bad_tensor_is_array.safetensors": st({"a": []}),
        "edge_unknown_key_in_tensor.safetensors": st(one(note="x"), floats),
        "bad_metadata_is_number.safetensors": st({"__metadata__": 7, **one()}, floats),
        "edge_metadata_with_number.safetensors": st({"__metadata__": {"v": 7}, **one()}, floats),
        "bad_nul_in_name.safetensors": raw('{"a\\u0000b":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'),
        "bad_lone_surrogate.safetensors": raw('{"\\ud800":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'),
        "edge_empty_name.safetensors": raw('{"":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'),
        "edge_name_8000_bytes.safetensors": st({"n" * 8000: tensor("F32", [6], 0, 24)}, floats),
        "bad_exponent_in_offset.safetensors": raw('{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,2.4e1]}}'),
        "bad_leading_zero.safetensors": raw('{"a":{"dtype":"F32","shape":[06],"data_offsets":[0,24]}}'),
        "bad_shape_1e400.safetensors": raw('{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,24]}}'),
        "bad_pickle.safetensors": b"\x80\x02}q\0(X\x05\0\0\0modelq\x01K\x01u." * 3,
        "bad_zip_pth.safetensors": b"PK\x03\x04\0\0\x08\x08" + b"\0" * 60,
    }
    return f


def all_dtypes():
    sizes = {
        "BOOL": 1,
        "U8": 1,
        "I8": 1,
        "F8_E5M2": 1,
        "F8_E4M3": 1,
        "I16": 2,
        "U16": 2,
        "F16": 2,
        "BF16": 2,
        "I32": 4,
        "U32": 4,
        "F32": 4,
        "F64": 8,
        "I64": 8,
        "U64": 8,
    }
    header, at = {}, 0
    for d, s in sizes.items():
        header["t." + d.lower()] = tensor(d, [2], at, at + 2 * s)
        at += 2 * s
    return st(header, bytes(range(at)))


# ---- config.json, index and boxes --------------------------------------------------------------------------------------


def configs():
    def base(**kw):
        c = {
            "architectures": ["VitPoseForPoseEstimation"],
            "model_type": "vitpose",
            "use_simple_decoder": True,
            "scale_factor": 4,
            "backbone_config": {
                "model_type": "vitpose_backbone",
                "hidden_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": [64, 48],
                "out_indices": [2],
                "out_features": ["stage2"],
                "part_features": 0,
            },
            "id2label": {"0": "head", "1": "left_foot", "2": "right_foot"},
        }
        b = kw.pop("b", {})
        c.update(kw)
        c["backbone_config"].update(b)
        return c

    without = lambda *keys: {k: v for k, v in base().items() if k not in keys}
    f = {
        "ok_plain": base(),
        "ok_hub_style_only_what_differs": {
            "model_type": "vitpose",
            "use_simple_decoder": False,
            "backbone_config": {"model_type": "vitpose_backbone", "part_features": 0, "out_indices": [12]},
            "id2label": {str(i): f"k{i}" for i in range(17)},
        },
        "ok_experts": base(b={"num_experts": 6, "part_features": 16}),
        "ok_image_size_is_one_number": base(b={"image_size": 64}),
        "ok_unknown_keys": base(future={"x": [1, None]}, torch_dtype="float32"),
        "ok_backbone_has_labels_of_its_own": base(b={"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}),
        "ok_labels_out_of_order": base(id2label={"2": "c", "0": "a", "1": "b"}),
        "bad_other_model": base(model_type="yolos"),
        "bad_no_backbone": without("backbone_config"),
        "bad_backbone_is_string": {**without("backbone_config"), "backbone_config": "vit"},
        "bad_heads_do_not_divide": base(b={"num_attention_heads": 5}),
        "bad_hidden_0": base(b={"hidden_size": 0}),
        "bad_hidden_negative": base(b={"hidden_size": -64}),
        "bad_hidden_2_40": base(b={"hidden_size": 1 << 40}),
        "bad_hidden_real": base(b={"hidden_size": 64.5}),
        "bad_hidden_string": base(b={"hidden_size": "64"}),
        "bad_heads_0": base(b={"num_attention_heads": 0}),
        "bad_layers_0": base(b={"num_hidden_layers": 0}),
        "bad_layers_2_31": base(b={"num_hidden_layers": 1 << 31}),
        "bad_mlp_ratio_2_30": base(b={"mlp_ratio": 1 << 30}),
        "bad_mlp_ratio_negative": base(b={"mlp_ratio": -4}),
        "bad_image_2_31": base(b={"image_size": [1 << 31, 1 << 31]}),
        "bad_image_0": base(b={"image_size": [0, 48]}),
        "bad_image_smaller_than_patch": base(b={"image_size": [8, 8]}),
        "bad_image_three_numbers": base(b={"image_size": [64, 48, 3]}),
        "bad_patch_0": base(b={"patch_size": [0, 16]}),
        "bad_channels_1": base(b={"num_channels": 1}),
        "bad_experts_0": base(b={"num_experts": 0}),
        "bad_experts_2_31": base(b={"num_experts": 1 << 31, "part_features": 16}),
        "bad_part_features_beyond_hidden": base(b={"num_experts": 6, "part_features": 128}),
        "bad_part_features_negative": base(b={"num_experts": 6, "part_features": -1}),
        "bad_hidden_act_relu": base(b={"hidden_act": "relu"}),
        "bad_eps_negative": base(b={"layer_norm_eps": -1e-6}),
        "bad_eps_string": base(b={"layer_norm_eps": "1e-6"}),
        "bad_scale_factor_0": base(scale_factor=0),
        "bad_scale_factor_2_20": base(scale_factor=1 << 20),
        "bad_labels_empty": base(id2label={}),
        "bad_labels_gap": base(id2label={"0": "a", "2": "c"}),
        "bad_labels_not_numbers": base(id2label={"a": "0"}),
        "bad_label_is_number": base(id2label={"0": 5}),
        "bad_labels_huge_index": base(id2label={"0": "a", "99999999999": "b"}),
        "bad_labels_array": base(id2label=["a", "b"]),
        "bad_edge_outside": base(edges=[[0, 7]]),
        "bad_edges_negative": base(edges=[[-1, 0]]),
        "bad_decoder_is_string": base(use_simple_decoder="yes"),
        "edge_stops_at_an_earlier_stage": base(b={"out_indices": [1], "out_features": ["stage1"]}),
        "edge_label_with_newline_and_quote": base(id2label={"0": 'a\n"b"', "1": "\u65e5\u672c", "2": ""}),
        "edge_same_label_twice": base(id2label={"0": "a", "1": "a", "2": "b"}),
    }
    out = {k + ".json": json.dumps(v).encode() for k, v in f.items()}
    text = out["ok_plain.json"]
    out |= {
        "bad_empty.json": b"",
        "bad_cut.json": text[: len(text) // 2],
        "bad_array.json": b"[]",
        "bad_deep.json": b'{"backbone_config":' * 3000,
        "bad_deep_arrays.json": b"[" * 15000 + b"]" * 15000,
        "bad_utf8.json": text.replace(b"head", b"\xff\xfe"),
        "bad_trailing_junk.json": text + b" x",
        "bad_nan.json": text.replace(b'"scale_factor": 4', b'"scale_factor": NaN'),
        "bad_1e400.json": text.replace(b'"scale_factor": 4', b'"scale_factor": 1e400'),
        "edge_duplicate_key.json": text[:-1] + b', "model_type": "vitpose"}',
        "edge_byte_order_mark.json": b"\xef\xbb\xbf" + text,
    }
    return out


def indexes():
    """model.safetensors.index.json whose shards are not where it says, or somewhere they must not be."""
    w = lambda files, **kw: json.dumps({"metadata": {"total_size": 24}, "weight_map": files, **kw}).encode()
    return {
        "bad_shard_missing.json": w({"a": "model-00001-of-00002.safetensors"}),
        "bad_shard_is_parent_path.json": w({"a": "../ok_two.safetensors"}),
        "bad_shard_is_absolute.json": w({"a": "/etc/passwd"}),
        "bad_shard_is_number.json": w({"a": 3}),
        "bad_no_map.json": b"{}",
        "bad_map_is_array.json": b'{"weight_map":[]}',
        "bad_map_empty.json": w({}),
        "bad_shard_name_nul.json": b'{"weight_map":{"a":"x\\u0000y"}}',
        "bad_shard_name_empty.json": w({"a": ""}),
    }


def boxes():
    ann = {
        "images": [
            {"id": 7, "file_name": "sub/a.jpg", "width": 48, "height": 32},
            {"id": 9, "file_name": "b.jpg", "width": 48, "height": 32},
        ],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 1,
                "bbox": [4, 5.5, 20, 21],
                "iscrowd": 0,
                "keypoints": [0] * 51,
                "num_keypoints": 0,
                "area": 420,
            },
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [10, 2, 30, 28], "iscrowd": 0, "area": 840},
            {"id": 3, "image_id": 9, "category_id": 1, "bbox": [0, 0, 48, 32], "iscrowd": 0, "area": 1536},
        ],
    }
    det = [
        {"image_id": 139, "category_id": 1, "bbox": [412.8, 157.61, 53.05, 138.01], "score": 0.98},
        {"image_id": 139, "category_id": 1, "bbox": [384.43, 172.21, 15.12, 35.74], "score": 0.9},
        {"image_id": 39769, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.1},
    ]
    lines = [
        {"image": "sub/a.jpg", "boxes": [[4, 5.5, 20, 21], [10, 2, 30, 28]]},
        {"image": "b.jpg", "boxes": []},
        {"image": 'quote" and\nnewline.jpg', "boxes": [[0, 0, 48, 32]]},
    ]
    dump = lambda v: json.dumps(v).encode()
    jsonl = lambda v: b"".join(dump(x) + b"\n" for x in v)

    def with_bbox(text):
        return dump(ann).replace(b"[4, 5.5, 20, 21]", text.encode())

    f = {
        "ok_coco_annotations.json": dump(ann),
        "ok_coco_detections.json": dump(det),
        "ok_lines.jsonl": jsonl(lines),
        "ok_lines_no_final_newline.jsonl": jsonl(lines)[:-1],
        "ok_lines_blank_and_crlf.jsonl": jsonl(lines).replace(b"\n", b"\r\n\r\n"),
        "ok_annotations_indented.json": json.dumps(ann, indent=2).encode(),
        "ok_detections_none.json": b"[]",
        "ok_annotations_without_people.json": dump({"images": ann["images"], "annotations": []}),
        "ok_image_id_is_text.json": dump([{**det[0], "image_id": "000000000139"}]),
        "edge_category_other_than_person.json": dump([{**det[0], "category_id": 18}]),
        "edge_same_file_name_in_two_folders.json": dump(
            {**ann, "images": [{"id": 7, "file_name": "x/a.jpg"}, {"id": 9, "file_name": "y/a.jpg"}]}
        ),
        "bad_empty.json": b"",
        "bad_cut.json": dump(ann)[:200],
        "bad_text.json": b"these are no boxes\n",
        "bad_number.json": b"7",
        "bad_object_without_annotations.json": b'{"a": 1}',
        "bad_three_numbers.json": with_bbox("[4, 5.5, 20]"),
        "bad_five_numbers.json": with_bbox("[4, 5.5, 20, 21, 3]"),
        "bad_bbox_string.json": with_bbox('"4 5 20 21"'),
        "bad_bbox_null.json": with_bbox("null"),
        "bad_number_as_text.json": with_bbox('["4", 5.5, 20, 21]'),
        "bad_nan.json": with_bbox("[NaN, 5.5, 20, 21]"),
        "bad_infinity.json": with_bbox("[4, 5.5, Infinity, 21]"),
        "bad_1e400.json": with_bbox("[4, 5.5, 1e400, 21]"),
        "bad_beyond_float.json": with_bbox("[4, 5.5, 1e300, 21]"),
        "bad_width_0.json": with_bbox("[4, 5.5, 0, 21]"),
        "bad_height_negative.json": with_bbox("[4, 5.5, 20, -21]"),
        "bad_annotation_of_unknown_image.json": dump({**ann, "annotations": [{**ann["annotations"][0], "image_id": 8}]}),
        "bad_image_without_name.json": dump({**ann, "images": [{"id": 7}, {"id": 9}]}),
        "bad_detection_without_image.json": dump([{"bbox": [1, 2, 3, 4]}]),
        "bad_image_id_real.json": dump([{**det[0], "image_id": 1.5}]),
        "bad_line_in_the_middle.jsonl": jsonl(lines[:1]) + b'{"image": "b.jpg", "boxes": [[1,2,3\n' + jsonl(lines[1:2]),
        "bad_line_without_image.jsonl": b'{"boxes": [[1,2,3,4]]}\n',
        "bad_line_without_boxes.jsonl": b'{"image": "a.jpg"}\n{"image": "b.jpg"}\n',
        "bad_line_box_of_text.jsonl": b'{"image":"a.jpg","boxes":[["a","b","c","d"]]}\n',
        "bad_line_nul_in_name.jsonl": b'{"image":"a\\u0000.jpg","boxes":[]}\n',
        "bad_deep.json": b"[" * 30000,
        "bad_deep_object.json": b'{"annotations":' * 3000,
        "edge_box_far_outside.jsonl": b'{"image":"a.jpg","boxes":[[100000,100000,10,10]]}\n',
        "edge_box_tiny.jsonl": b'{"image":"a.jpg","boxes":[[1,1,1e-30,1e-30]]}\n',
        "edge_same_image_twice.jsonl": jsonl([lines[0], lines[0]]),
    }
    return f


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "..", "tests", "corpus"))
    out = ap.parse_args().out
    for folder, files in {
        "images": images(),
        "safetensors": safetensors(),
        "config": configs(),
        "index": indexes(),
        "boxes": boxes(),
    }.items():
        path = os.path.join(out, folder)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        for name, data in files.items():
            assert name.startswith(("ok_", "bad_", "edge_"))
            with open(os.path.join(path, name), "wb") as f:
                f.write(data)


if __name__ == "__main__":
    main()
