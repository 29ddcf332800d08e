#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/images/turned/: one drawn picture in six formats, stored lying on its side, each saying so in its own way: EXIF's
orientation 6 in JPEG, PNG, WebP and TIFF; in HEIC, whose container says nothing of a turn, as heif-enc writes it; in AVIF beside
the container's own turn (irot), which a reader must not do twice. And two that are upright, of 10 bits.

    python3 tools/make_turned_pictures.py      needs Pillow, heif-enc of libheif-examples, avifenc of libavif-bin
"""
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "images" / "turned"
OUT.mkdir(exist_ok=True)
picture = Image.open(ROOT / "data" / "samples" / "stretching.png").convert("RGB")
picture.thumbnail((240, 240))
lying = picture.transpose(Image.Transpose.ROTATE_90)  # what EXIF 6 turns back: a quarter to the right
exif = Image.Exif()
exif[0x112] = 6
lying.save(OUT / "a.jpg", quality=96, subsampling="4:4:4", exif=exif)
lying.save(OUT / "b.png", exif=exif)
lying.save(OUT / "c.webp", quality=100, exif=exif)
lying.save(OUT / "d.tif", compression="tiff_adobe_deflate", exif=exif)
subprocess.run(["avifenc", "--min", "0", "--max", "8", "-y", "444", OUT / "a.jpg", OUT / "e.avif"], check=True)
subprocess.run(["heif-enc", "-q", "97", "-p", "chroma=444", "-o", OUT / "f.heic", OUT / "b.png"], check=True)
picture.save("/tmp/upright.jpg", quality=98, subsampling="4:4:4")
subprocess.run(["avifenc", "--min", "0", "--max", "8", "-y", "444", "-d", "10", "/tmp/upright.jpg", OUT / "g.avif"], check=True)
deep = np.asarray(picture).astype(">u2") * 257


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


rows = b"".join(b"\0" + row.tobytes() for row in deep)
header = struct.pack(">IIBBBBB", picture.width, picture.height, 16, 2, 0, 0, 0)
Path("/tmp/upright16.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
subprocess.run(["heif-enc", "-q", "97", "-p", "chroma=444", "-b", "10", "-o", OUT / "h.heic", "/tmp/upright16.png"], check=True)
