#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small image files of many kinds, and what Pillow makes of them, for tests/image/test_image.c.

    pip install pillow numpy
    python tools/make_test_images.py [tests/images]

Every NAME.EXT has a NAME.EXT.ppm beside it: upright 8-bit RGB, alpha over white, as Pillow decodes it. Files of one picture that
differ only in orientation share `turned.ppm`."""
import struct, sys, zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

out = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/images")
out.mkdir(parents=True, exist_ok=True)


def picture(w, h):
    """Smooth, so that decoders' chroma filters agree; unlike itself under any turn or mirror."""
    y, x = np.mgrid[0:h, 0:w] / max(w, h)
    rgb = np.stack([40 + 200 * x, 60 + 150 * y + 30 * np.sin(6 * x), 128 + 100 * np.cos(4 * x + 3 * y)], -1)
    rgb[(x - 0.25) ** 2 + (y - 0.2) ** 2 < 0.01] = [230, 40, 30]
    return np.clip(rgb, 0, 255).astype(np.uint8)


def ppm(path, rgb):
    path.write_bytes(b"P6 %d %d 255\n" % (rgb.shape[1], rgb.shape[0]) + np.ascontiguousarray(rgb).tobytes())


def over_white(rgba):
    rgba = rgba.astype(int)
    a = rgba[..., 3:]
    return ((rgba[..., :3] * a + 255 * (255 - a) + 127) // 255).astype(np.uint8)


def save(name, image, expected=None, **options):
    image.save(out / name, **options)
    if expected is None:
        expected = np.asarray(ImageOps.exif_transpose(Image.open(out / name)).convert("RGB"))
    ppm(out / (name + ".ppm"), expected)


W, H = 45, 31
rgb = picture(W, H)
image = Image.fromarray(rgb)
save("baseline.jpg", image, quality=92)
save("full-chroma.jpg", image, quality=95, subsampling=0)
save("progressive.jpg", image, quality=92, progressive=True)
save("grey.jpg", image.convert("L"), quality=92)
save("restarts.jpg", image, quality=92, restart_marker_rows=1)
save("cmyk.jpg", image.convert("CMYK"), quality=95)            # Pillow writes Adobe's marker, transform 0, inverted

# EXIF: `turned` is how the picture should look; each file stores it turned back
stored = {1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
turned = Image.fromarray(picture(32, 24))
for o, how in stored.items():
    back = turned.transpose(getattr(Image.Transpose, how)) if how else turned
    exif = Image.Exif()
    exif[0x0112] = o
    back.save(out / f"turned{o}.jpg", quality=97, subsampling=0, exif=exif.tobytes())
    assert np.abs(np.asarray(ImageOps.exif_transpose(Image.open(out / f"turned{o}.jpg"))).astype(int) - np.asarray(turned)).mean() < 1.5
    if o == 6:
        back.save(out / "turned6.png", exif=exif.tobytes())
        tiff = exif.tobytes()[6:]                                # the same note, big-endian
        big = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
        back.save(out / "turned6-big-endian.jpg", quality=97, subsampling=0, exif=b"Exif\0\0" + big)
ppm(out / "turned.ppm", np.asarray(turned))

save("rgb8.png", image)
alpha = np.linspace(0, 255, W * H).reshape(H, W).astype(np.uint8)
rgba = np.dstack([rgb, alpha])
save("rgba8.png", Image.fromarray(rgba), over_white(rgba))
la = np.dstack([rgb[..., 1], alpha])
save("grey-alpha.png", Image.fromarray(la), over_white(np.dstack([la[..., 0]] * 3 + [alpha])))
palette = image.quantize(16, dither=Image.Dither.NONE)
save("palette.png", palette)
save("palette.gif", palette)
save("one-bit.png", image.convert("1"))
transparent = np.asarray(palette) == 3
save("palette-transparent.png", palette, over_white(np.dstack([np.asarray(palette.convert("RGB")), np.where(transparent, 0, 255)])), transparency=3)
save("rgb24.bmp", image)
save("palette8.bmp", palette)
save("rgb24.tga", image)
save("rgb24-rle.tga", image, compression="tga_rle")
save("rgb.ppm.pnm", image, format="PPM")
save("grey.pgm", image.convert("L"))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, bit_depth, colour, rows, width, expected, interlace=0):
    """By hand: 16 bits, and Adam7 in one pass of one pixel each."""
    raw = b"".join(b"\0" + r for r in rows)
    (out / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bit_depth, colour, 0, 0, interlace))
                             + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))
    ppm(out / (name + ".ppm"), expected)


wide = rgb.astype(np.uint16) * 256 + np.arange(W * H * 3).reshape(H, W, 3) % 256     # the low byte must not matter
png("rgb16.png", 16, 2, [r.astype(">u2").tobytes() for r in wide], W, rgb)
png("grey16.png", 16, 0, [r.astype(">u2").tobytes() for r in wide[..., 0]], W, np.dstack([rgb[..., 0]] * 3))
print(sum(f.stat().st_size for f in out.iterdir()), "bytes")
