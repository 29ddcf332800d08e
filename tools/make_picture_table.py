#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/images/table.pack: about 550 small pictures of every kind that limber reads, with the pixels that Pillow (libjpeg-turbo)
or arithmetic says are right, and some that must be refused.

    python3 tools/make_picture_table.py        needs numpy, Pillow, and cjpeg of libjpeg-turbo-progs

The pack is text lines, each followed by so many bytes:

    NAME needs=LIBRARY|- width height largest mean file_bytes pixel_bytes      largest, mean: allowed differences of 255
    NAME refused file_bytes words...                                           the error holds these words

Pixels are those of an upright 8-bit RGB picture with alpha drawn over white. pixel_bytes 0: an FNV-1a hash follows instead of mean.
"""
import io
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

OUT = Path(__file__).resolve().parent.parent / "tests" / "images" / "table.pack"
rng = np.random.default_rng(7)
pack = bytearray()
count = 0
SIZES = [(1, 1), (2, 1), (3, 5), (8, 8), (9, 16), (17, 19)]
FEW = [(1, 1), (3, 5), (17, 19)]


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def add(name, data, ref, largest=0, mean=0.0, needs="-"):
    global count
    ref = np.ascontiguousarray(ref, np.uint8)
    h, w = ref.shape[:2]
    raw = ref.tobytes()
    if largest:
        pack.extend(f"{name} {needs} {w} {h} {largest} {mean} {len(data)} {len(raw)}\n".encode() + data + raw)
    else:
        pack.extend(f"{name} {needs} {w} {h} 0 {fnv(raw):016x} {len(data)} 0\n".encode() + data)
    count += 1


def refuse(name, data, words):
    global count
    pack.extend(f"{name} refused {len(data)} {words}\n".encode() + data)
    count += 1


def smooth(w, h, c):
    grid = rng.integers(0, 256, (max(2, h // 6 + 2), max(2, w // 6 + 2), c)).astype("uint8")
    return np.stack([np.asarray(Image.fromarray(grid[..., k]).resize((w, h), Image.BICUBIC)) for k in range(c)], -1)


def white(rgba):
    a, v = rgba[..., 3:].astype(int), rgba[..., :3].astype(int)
    return (v * a + 255 * (255 - a) + 127) // 255


def grey3(g):
    return np.repeat(np.asarray(g)[..., None], 3, 2)


def saved(im, kind, **options):
    b = io.BytesIO()
    (im if isinstance(im, Image.Image) else Image.fromarray(im)).save(b, kind, **options)
    return b.getvalue()


# ---- JPEG ----


def jpeg_ref(data):
    im = Image.open(io.BytesIO(data))
    im.load()
    if im.mode == "CMYK":  # Pillow has turned Adobe's inverted inks over: 255 is full ink again
        a = 255 - np.asarray(im).astype(int)
        return (a[..., :3] * a[..., 3:] + 127) // 255
    return np.asarray(im.convert("RGB"))


def segments(data):
    """(marker, begin, end) up to SOS, whose end is where coded data begin."""
    at, out = 2, []
    while True:
        end = at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        out.append((data[at + 1], at, end))
        if data[at + 1] == 0xDA:
            return out
        at = end


def without(data, markers):
    parts, at = [data[:2]], 2
    for marker, begin, end in segments(data):
        if marker not in markers:
            parts.append(data[begin:end])
        at = end
    return b"".join(parts) + data[at:]


def add_jpeg(name, data, ref=None, largest=3, mean=0.7):
    add(name, data, jpeg_ref(data) if ref is None else ref, largest, mean)


def cjpeg(rgb, *options):
    return subprocess.run(["cjpeg", "-quality", "92", *options], input=saved(rgb, "PPM"), capture_output=True, check=True).stdout


for w, h in SIZES:
    for sub in ("4:4:4", "4:2:2", "4:2:0"):
        for progressive in (False, True):
            data = saved(smooth(w, h, 3), "JPEG", quality=92, subsampling=sub, progressive=progressive)
            add_jpeg(f"jpeg-{sub.replace(':', '')}-{'progressive' if progressive else 'baseline'}-{w}x{h}", data)
    add_jpeg(f"jpeg-grey-{w}x{h}", saved(smooth(w, h, 1)[..., 0], "JPEG", quality=92))
    add_jpeg(f"jpeg-grey-progressive-{w}x{h}", saved(smooth(w, h, 1)[..., 0], "JPEG", quality=92, progressive=True))
    add_jpeg(f"jpeg-cmyk-{w}x{h}", saved(Image.fromarray(smooth(w, h, 4), "CMYK"), "JPEG", quality=95))
    for every in (1, 3):
        add_jpeg(f"jpeg-restart{every}-{w}x{h}",
                 saved(smooth(w, h, 3), "JPEG", quality=92, subsampling="4:2:0", restart_marker_blocks=every))
for w, h in FEW:
    for sample in ("1x2", "4x1", "2x2", "4x2", "1x4", "2x1"):
        for more in ((), ("-progressive",)):
            add_jpeg(f"jpeg-sample{sample}{'-progressive' if more else ''}-{w}x{h}",
                     cjpeg(smooth(w, h, 3), "-sample", sample, *more), largest=4, mean=1.0)
    add_jpeg(f"jpeg-rgb-{w}x{h}", cjpeg(smooth(w, h, 3), "-rgb"))
    add_jpeg(f"jpeg-optimised-{w}x{h}", cjpeg(smooth(w, h, 3), "-optimize"))
rgb = smooth(37, 29, 3)
plain = saved(rgb, "JPEG", quality=92, subsampling="4:2:0")
flat = saved(rgb, "JPEG", quality=92, subsampling="4:4:4", optimize=False)
progressive = saved(rgb, "JPEG", quality=92, progressive=True)
add_jpeg("jpeg-no-end-mark", plain[:-2], jpeg_ref(plain))
add_jpeg("jpeg-half-an-end-mark", plain[:-1], jpeg_ref(plain))
add_jpeg("jpeg-no-end-mark-progressive", progressive[:-2], jpeg_ref(progressive))
refuse("jpeg-cut-3", plain[:-3], "JPEG: cut short")
refuse("jpeg-cut-40", plain[:-40], "JPEG: cut short")
refuse("jpeg-cut-with-end-mark", plain[:-40] + b"\xff\xd9", "JPEG: cut short")
last_scan = progressive.rfind(b"\xff\xda")
refuse("jpeg-progressive-last-scan-missing", progressive[:last_scan], "JPEG: cut short")
refuse("jpeg-progressive-cut", progressive[: last_scan + 20], "JPEG: cut short")
add_jpeg("jpeg-standard-tables", without(flat, {0xC4}), jpeg_ref(flat))
refuse("jpeg-no-quantisation", without(flat, {0xDB}), "JPEG: no quantisation table")
refuse("jpeg-no-huffman-progressive", without(progressive, {0xC4}), "JPEG: scan 1 names DC Huffman table 0")
optimised = saved(rgb, "JPEG", quality=92, optimize=True)
tables = [s for s in segments(optimised) if s[0] == 0xC4]
refuse("jpeg-one-huffman-missing", optimised[: tables[-1][1]] + optimised[tables[-1][2] :], "Huffman table")
refuse("jpeg-arithmetic", cjpeg(rgb, "-arithmetic"), "JPEG: frame type SOF9")
frame = flat.index(b"\xff\xc0")
refuse("jpeg-12-bit", flat[: frame + 4] + b"\x0c" + flat[frame + 5 :], "JPEG: 12 bits")
refuse("jpeg-2-components", flat[:frame] + b"\xff\xc0\0\x0e\x08\0\x08\0\x08\x02\x01\x11\0\x02\x11\0" + flat[frame + 19 :], "2 components")
first_ac = [m for m in range(len(progressive) - 1) if progressive[m : m + 2] == b"\xff\xda" and progressive[m + 4] == 1]
head = progressive[: progressive.index(b"\xff\xda")]
first_dc = progressive.index(b"\xff\xda")
no_dc = bytearray(progressive)
del no_dc[first_dc : first_ac[0]]  # tables of later scans may have stood there: put all tables first
every_table = b"".join(progressive[i : i + 2 + struct.unpack(">H", progressive[i + 2 : i + 4])[0]]
                       for i in range(len(progressive) - 1) if progressive[i : i + 2] == b"\xff\xc4")
refuse("jpeg-ac-before-dc", head + every_table + progressive[first_ac[0] :], "AC coefficients of component 1 before its DC")
bomb = progressive[:-2] + progressive[first_ac[0] : first_ac[0] + 10] * 200 + b"\xff\xd9"
refuse("jpeg-200-scans", bomb, "JPEG: ")
cmyk = saved(Image.fromarray(smooth(33, 21, 4), "CMYK"), "JPEG", quality=95)
add_jpeg("jpeg-cmyk-no-adobe", without(cmyk, {0xEE}), jpeg_ref(cmyk))
restarts = saved(rgb, "JPEG", quality=92, restart_marker_blocks=2)
padded, at = bytearray(), 0
for i in range(len(restarts) - 1):
    if restarts[i] == 0xFF and 0xD0 <= restarts[i + 1] <= 0xD7:
        padded += restarts[at:i] + b"\0" * (1 + i % 70)
        at = i
add_jpeg("jpeg-padded-restarts", bytes(padded + restarts[at:]), jpeg_ref(restarts))
rst = [i for i in range(len(restarts) - 1) if restarts[i] == 0xFF and restarts[i + 1] == 0xD1][0]
refuse("jpeg-restart-missing", restarts[:rst] + restarts[rst + 2 :], "JPEG: ")
refuse("jpeg-restart-wrong", restarts[:rst] + b"\xff\xd5" + restarts[rst + 2 :], "JPEG: ")
add_jpeg("jpeg-bytes-after-the-end", plain + b"\xff\xd8\xff\xda more" * 5, jpeg_ref(plain))
add_jpeg("jpeg-stray-bytes-between-segments", plain[:20] + b"\0\0\0" + plain[20:], jpeg_ref(plain))

# ---- orientation ----


def exif(orientation, kind, order):
    value = struct.pack(order + {1: "B3x", 3: "H2x", 4: "I"}[kind], orientation)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IHHHI", 8, 1, 0x112, kind, 1) + value + b"\0" * 4


turned = smooth(13, 21, 3)
base = saved(turned, "JPEG", quality=95, subsampling="4:4:4")
lossless = saved(turned, "PNG")
for o in range(1, 9):
    for kind, order in ((1, "<"), (1, ">"), (3, "<"), (3, ">"), (4, "<"), (4, ">")):
        note = exif(o, kind, order)
        im = Image.open(io.BytesIO(base))
        im.load()
        app1 = b"\xff\xe1" + struct.pack(">H", 8 + len(note)) + b"Exif\0\0" + note
        data = base[:2] + app1 + base[2:]
        short = exif(o, 3, order)
        ref = ImageOps.exif_transpose(Image.open(io.BytesIO(base[:2] + b"\xff\xe1" + struct.pack(">H", 8 + len(short)) + b"Exif\0\0" + short + base[2:])))
        if kind == 3 or o in (3, 6):
            add_jpeg(f"exif-{o}-{ {1: 'byte', 3: 'short', 4: 'long'}[kind]}-{'little' if order == '<' else 'big'}.jpeg", data, np.asarray(ref))
    ref = ImageOps.exif_transpose(Image.open(io.BytesIO(saved(turned, "PNG", exif=exif(o, 3, "<")))))
    add(f"exif-{o}.png", saved(turned, "PNG", exif=exif(o, 3, "<")), np.asarray(ref))

# ---- PNG, all colour types, depths, both orders ----


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, depth, colour, interlaced=0, palette=None, transparency=None, before=b"", raw_deflate=False):
    h, w = samples.shape[:2]
    a = samples.reshape(h, w, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour])

    def rows(part):
        out = b""
        for row in part if part.size else []:
            if depth == 16:
                raw = row.astype(">u2").tobytes()
            elif depth == 8:
                raw = row.astype("u1").tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in row.reshape(-1))
                bits += "0" * (-len(bits) % 8)
                raw = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
            out += b"\0" + raw
        return out

    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    raw = b"".join(rows(a[y0::dy, x0::dx]) for x0, y0, dx, dy in passes) if interlaced else rows(a)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15 if raw_deflate else 15)
    out = b"\x89PNG\r\n\x1a\n" + before + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlaced))
    out += chunk(b"PLTE", palette) if palette is not None else b""
    out += chunk(b"tRNS", transparency) if transparency is not None else b""
    return out + chunk(b"IDAT", packer.compress(raw) + packer.flush()) + chunk(b"IEND", b"")


for w, h in [(1, 1), (9, 16)]:
    for inter in (0, 1):
        end = f"{w}x{h}{'i' if inter else ''}"
        for d in (1, 2, 4, 8, 16):
            v = rng.integers(0, 1 << d, (h, w))
            g = grey3((v >> 8) if d == 16 else np.rint(v * 255 / ((1 << d) - 1)))
            add(f"png-grey{d}-{end}", png(v, d, 0, inter), g)
            g2 = g.copy()
            g2[v == v.flat[0]] = 255
            add(f"png-grey{d}-transparent-{end}", png(v, d, 0, inter, transparency=struct.pack(">H", int(v.flat[0]))), g2)
        for d in (8, 16):
            v = rng.integers(0, 1 << d, (h, w, 3))
            ref = v >> (d - 8)
            add(f"png-rgb{d}-{end}", png(v, d, 2, inter), ref)
            ref2 = ref.copy()
            ref2[(v == v[0, 0]).all(-1)] = 255
            add(f"png-rgb{d}-transparent-{end}", png(v, d, 2, inter, transparency=struct.pack(">HHH", *map(int, v[0, 0]))), ref2)
            v = rng.integers(0, 1 << d, (h, w, 4))
            add(f"png-rgba{d}-{end}", png(v, d, 6, inter), white(v >> (d - 8)))
            v = rng.integers(0, 1 << d, (h, w, 2))
            v8 = v >> (d - 8)
            add(f"png-grey-alpha{d}-{end}", png(v, d, 4, inter), white(np.stack([v8[..., 0]] * 3 + [v8[..., 1]], -1)))
        for d in (1, 2, 4, 8):
            n = 1 << d
            colours = rng.integers(0, 256, (n, 3)).astype("uint8")
            alpha = rng.integers(0, 256, n).astype("uint8")
            v = rng.integers(0, n, (h, w))
            add(f"png-palette{d}-{end}", png(v, d, 3, inter, colours.tobytes()), colours[v])
            add(f"png-palette{d}-transparent-{end}", png(v, d, 3, inter, colours.tobytes(), alpha.tobytes()),
                white(np.concatenate([colours[v], alpha[v][..., None]], -1)))
            if d > 1:  # indices beyond the palette are black, not what lay in memory
                short = np.zeros_like(colours)
                short[: n // 2] = colours[: n // 2]
                add(f"png-palette{d}-short-{end}", png(v, d, 3, inter, colours[: n // 2].tobytes()), short[v])
for w, h in FEW:
    a = smooth(w, h, 3)
    apple = chunk(b"CgBI", b"\x50\0\x20\x02")
    add(f"png-apple-{w}x{h}", png(a[..., ::-1], 8, 2, before=apple, raw_deflate=True), a)
    rgba = np.concatenate([a, np.where(smooth(w, h, 1) > 127, 255, 0)], -1)
    pre = np.where(rgba[..., 3:] > 0, rgba[..., :3], 0)
    add(f"png-apple-alpha-{w}x{h}", png(np.concatenate([pre[..., ::-1], rgba[..., 3:]], -1), 8, 6, before=apple, raw_deflate=True), white(rgba))

# ---- BMP ----


def bmp(w, h, bits, pixels, compression=0, palette=b"", masks=b"", used=0, header=40, alpha=0):
    more = b""
    if header == 108:
        more = masks + struct.pack("<I", alpha) + b"BGRs" + b"\0" * 48
        masks = b""
    at = 14 + header + len(masks) + len(palette)
    return (b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) +
            struct.pack("<IiiHHIIiiII", header, w, h, 1, bits, compression, len(pixels), 0, 0, used, 0) + more + masks + palette + pixels)


def bmp_rows(rows, from_top=False):
    lines = [r.tobytes() for r in rows]
    lines = [line + b"\0" * (-len(line) % 4) for line in lines]
    return b"".join(lines if from_top else lines[::-1])


def packed_bits(v, bits):
    per = 8 // bits
    v = np.pad(v, ((0, 0), (0, -v.shape[1] % per)))
    return sum(v[:, i::per].astype("uint8") << (8 - bits * (i + 1)) for i in range(per)).astype("uint8")


def rle8(v):
    out = b""
    for row in v[::-1]:
        x = 0
        while x < len(row):
            run = 1
            while x + run < len(row) and row[x + run] == row[x] and run < 255:
                run += 1
            if run > 1 or len(row) - x < 3:
                out += bytes([run, row[x]])
            else:
                run = min(3 + x % 4, len(row) - x)
                out += bytes([0, run]) + row[x : x + run].tobytes() + b"\0" * (run & 1)
            x += run
        out += b"\0\0"
    return out + b"\0\1"


for w, h in FEW:
    a, size = smooth(w, h, 3), f"{w}x{h}"
    bgr = a[..., ::-1]
    add(f"bmp-24-{size}", bmp(w, h, 24, bmp_rows(bgr)), a)
    add(f"bmp-24-top-down-{size}", bmp(w, -h, 24, bmp_rows(bgr, True)), a)
    junk = rng.integers(0, 256, (h, w, 1)).astype("uint8")
    add(f"bmp-32-{size}", bmp(w, h, 32, bmp_rows(np.concatenate([bgr, junk], -1))), a)
    add(f"bmp-32-zero-{size}", bmp(w, h, 32, bmp_rows(np.concatenate([bgr, junk * 0], -1))), a)
    add(f"bmp-32-top-down-{size}", bmp(w, -h, 32, bmp_rows(np.concatenate([bgr, junk], -1), True)), a)
    add(f"bmp-32-fields-{size}", bmp(w, h, 32, bmp_rows(np.concatenate([junk, a], -1)), 3, masks=struct.pack("<III", 0xFF00, 0xFF0000, 0xFF000000)), a)
    rgba = np.concatenate([a, junk], -1)
    add(f"bmp-32-alpha-{size}", bmp(w, h, 32, bmp_rows(np.concatenate([bgr, junk], -1)), 3, header=108, alpha=0xFF000000,
                                    masks=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)), white(rgba))
    v = rng.integers(0, 32768, (h, w)).astype("<u2")
    five = np.stack([v >> 10 & 31, v >> 5 & 31, v & 31], -1)
    add(f"bmp-16-{size}", bmp(w, h, 16, bmp_rows(v)), (five * 255 + 15) // 31)
    v = rng.integers(0, 65536, (h, w)).astype("<u2")
    six = np.stack([(v >> 11) * 255 / 31, (v >> 5 & 63) * 255 / 63, (v & 31) * 255 / 31], -1)
    add(f"bmp-565-{size}", bmp(w, h, 16, bmp_rows(v), 3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)), np.floor(six + 0.5))
    for bits in (1, 2, 4, 8):
        n = 1 << bits
        colours = rng.integers(0, 256, (n, 4)).astype("uint8")
        v = rng.integers(0, n, (h, w)).astype("uint8")
        data = bmp_rows(v if bits == 8 else packed_bits(v, bits))
        add(f"bmp-palette{bits}-{size}", bmp(w, h, bits, data, palette=colours.tobytes()), colours[v][..., 2::-1])
        short = np.zeros_like(colours)
        short[:2] = colours[:2]
        add(f"bmp-palette{bits}-short-{size}", bmp(w, h, bits, data, palette=colours[:2].tobytes(), used=2), short[v][..., 2::-1])
    v = (smooth(w, h, 1)[..., 0] // 16).astype("uint8")
    colours = rng.integers(0, 256, (256, 4)).astype("uint8")
    for top in (1, -1):
        add(f"bmp-rle8{'' if top > 0 else '-top-down'}-{size}", bmp(w, top * h, 8, rle8(v if top > 0 else v[::-1]), 1, colours.tobytes()), colours[v][..., 2::-1])
    pairs = b"".join(b"".join(bytes([1, p << 4]) for p in row) + b"\0\0" for row in v[::-1]) + b"\0\1"
    add(f"bmp-rle4-{size}", bmp(w, h, 4, pairs, 2, colours[:16].tobytes()), colours[v][..., 2::-1])
    core = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + struct.pack("<IHHHH", 12, w, h, 1, 24) + bmp_rows(bgr)
    add(f"bmp-os2-{size}", core, a)
steps = bytes([4, 1, 0, 2, 2, 1, 3, 2, 0, 0, 9, 3, 0, 1])  # four of 1, a step of (2, 1), three of 2; nine of 3
want = np.zeros((3, 9), int)
want[0, :4], want[1, 6:9], want[2] = 1, 2, 3
add("bmp-rle8-steps", bmp(9, 3, 8, steps, 1, colours.tobytes()), colours[want[::-1]][..., 2::-1])
# Runs over the edge are left out: of a colour, and of colours as they are. What they must not touch was written before.
over = bytes([9, 3, 0, 0, 30, 2, 0, 0]) + bytes([0, 12] + [1] * 12) + b"\0\1"
add("bmp-rle8-over-the-edge", bmp(9, 3, 8, over, 1, colours.tobytes()), colours[np.repeat([[1], [2], [3]], 9, 1)][..., 2::-1])
refuse("bmp-rle8-ends-early", bmp(9, 30, 8, bytes([9, 3, 0, 0, 9, 3, 0, 1]) * 3, 1, colours.tobytes()), "BMP: cut short")
refuse("bmp-rle8-cut", bmp(9, 3, 8, steps[:9], 1, colours.tobytes()), "BMP: cut short")
refuse("bmp-cut", bmp(17, 33, 24, b"\0" * 1000), "BMP: cut short")
refuse("bmp-holds-a-png", bmp(17, 33, 0, b"\0" * 1000, 5), "BMP: a JPEG or PNG in a BMP")
refuse("bmp-no-width", bmp(0, 33, 24, b"\0" * 1000), "BMP: the header says 0x33")

# ---- TGA ----


def tga(w, h, kind, bits, descriptor, data, colours=b"", map_bits=0, first=0, name=b""):
    n = len(colours) // ((map_bits + 7) // 8) if map_bits else 0
    return struct.pack("<BBBHHBHHHHBB", len(name), bool(map_bits), kind, first, n, map_bits, 0, 0, w, h, bits, descriptor) + name + colours + data


def runs(pixels):
    """[n][bytes] as packets, some across rows."""
    out, i = b"", 0
    while i < len(pixels):
        n = 1
        while i + n < len(pixels) and n < 128 and (pixels[i + n] == pixels[i]).all():
            n += 1
        if n > 1:
            out += bytes([127 + n]) + pixels[i].tobytes()
        else:
            n = min(5, len(pixels) - i)
            out += bytes([n - 1]) + pixels[i : i + n].tobytes()
        i += n
    return out


for w, h in FEW:
    a, size = smooth(w, h, 3), f"{w}x{h}"
    bgr = a[..., ::-1]
    junk = rng.integers(0, 256, (h, w, 1)).astype("uint8")
    bgra = np.concatenate([bgr, junk], -1)
    for corner, turn in ((0, np.s_[::-1]), (0x10, np.s_[::-1, ::-1]), (0x20, np.s_[:]), (0x30, np.s_[:, ::-1])):
        add(f"tga-24-{corner:02x}-{size}", tga(w, h, 2, 24, corner, bgr[turn].tobytes(), name=b"name"), a)
        add(f"tga-24-runs-{corner:02x}-{size}", tga(w, h, 10, 24, corner, runs(bgr[turn].reshape(-1, 3))), a)
    add(f"tga-32-{size}", tga(w, h, 2, 32, 0x28, bgra.tobytes()), white(np.concatenate([a, junk], -1)))
    add(f"tga-32-no-alpha-{size}", tga(w, h, 2, 32, 0x20, bgra.tobytes()), a)
    add(f"tga-32-zero-{size}", tga(w, h, 2, 32, 0x28, (bgra * [1, 1, 1, 0]).astype("uint8").tobytes()), a)
    v = rng.integers(0, 65536, (h, w)).astype("<u2")
    add(f"tga-16-{size}", tga(w, h, 2, 16, 0x20, v.tobytes()), (np.stack([v >> 10 & 31, v >> 5 & 31, v & 31], -1).astype(int) * 255 + 15) // 31)
    g = smooth(w, h, 1)[..., 0]
    add(f"tga-grey-{size}", tga(w, h, 3, 8, 0x20, g.tobytes()), grey3(g))
    add(f"tga-grey-runs-{size}", tga(w, h, 11, 8, 0x20, runs(g.reshape(-1, 1))), grey3(g))
    colours = rng.integers(0, 256, (100, 3)).astype("uint8")
    v = rng.integers(0, 110, (h, w)).astype("uint8")
    all_colours = np.zeros((256, 3), "uint8")
    all_colours[7:107] = colours
    for kind in (1, 9):
        data = v.tobytes() if kind == 1 else runs(v.reshape(-1, 1))
        add(f"tga-palette-{kind}-{size}", tga(w, h, kind, 8, 0x20, data, colours.tobytes(), 24, 7), all_colours[v][..., ::-1])
refuse("tga-cut", tga(17, 33, 2, 24, 0, b"\1" * 1000), "TGA: cut short")
refuse("tga-runs-cut", tga(17, 33, 10, 24, 0, b"\1" * 401), "TGA: cut short")

# ---- PNM ----
for w, h in FEW:
    size = f"{w}x{h}"
    for maximum in (1, 15, 100, 255, 256, 1000, 4095, 65535):
        deep = ">u2" if maximum > 255 else "u1"
        for letter, shape in (("5", (h, w)), ("6", (h, w, 3))):
            v = rng.integers(0, maximum + 1, shape)
            ref = v >> 8 if maximum == 65535 else (v * 255 + maximum // 2) // maximum
            ref = grey3(ref) if letter == "5" else ref
            add(f"pnm-P{letter}-{maximum}-{size}", f"P{letter}\n# a comment\n{w} {h}\n{maximum}\n".encode() + v.astype(deep).tobytes(), ref)
    v = rng.integers(0, 100, (h, w, 3))
    text = "\n".join(" ".join(map(str, row.reshape(-1))) for row in v)
    add(f"pnm-P3-{size}", f"P3 {w} {h} 99\n{text}\n".encode(), (v * 255 + 49) // 99)
    v = rng.integers(0, 2, (h, w))
    add(f"pnm-P1-{size}", f"P1 {w} {h}\n".encode() + "".join(map(str, v.reshape(-1))).encode(), grey3(255 - 255 * v))
    add(f"pnm-P4-{size}", f"P4 {w} {h}\n".encode() + packed_bits(v, 1).tobytes(), grey3(255 - 255 * v))
refuse("pnm-16-bit-cut", b"P6 4 4 65535\n" + b"\1" * 95, "PNM: cut short")
refuse("pnm-above-maximum", b"P5 2 1 99\n\x63\x64", "above the maximum 99")
refuse("pnm-no-maximum", b"P5 2 1 0\n\0\0", "PNM: the header's numbers")
refuse("pnm-text-cut", b"P2 3 1 99\n12 13", "PNM: cut short")

# ---- GIF ----
for w, h in FEW:
    a = smooth(w, h, 3)
    for colours in (2, 16, 256):
        for interlaced in (0, 1):
            data = saved(Image.fromarray(a).quantize(colours), "GIF", interlace=interlaced)
            add(f"gif-{colours}{'-interlaced' if interlaced else ''}-{w}x{h}", data, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
busy = rng.integers(0, 256, (64, 90)).astype("uint8")
full = saved(Image.fromarray(busy), "GIF")
add("gif-table-full", full, grey3(busy))


def lzw(codes, size):
    bits = "".join(format(c, f"0{size}b")[::-1] for c in codes)
    bits += "0" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
    return bytes([size - 1]) + b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255)) + b"\0"


def gif(w, h, frame, codes, extension=b"", colours=b"\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c"):
    return (b"GIF89a" + struct.pack("<HHBBB", w, h, 0x81, 0, 0) + colours + extension + b"," + struct.pack("<HHHHB", *frame, 0) +
            lzw([c for i, c in enumerate(codes) for c in ([4, c] if i % 2 == 0 else [c])] + [5], 3) + b";")


four = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]])
grid = rng.integers(0, 4, (5, 7))
canvas = np.full((9, 8, 3), 255)
canvas[2:7, 1:8] = four[grid]
add("gif-frame-within", gif(8, 9, (1, 2, 7, 5), grid.reshape(-1)), canvas)
clear = four.copy()
clear[2] = 255
add("gif-transparent", gif(7, 5, (0, 0, 7, 5), grid.reshape(-1), b"!\xf9\4\1\0\0\2\0"), clear[grid])
add("gif-no-screen", gif(0, 0, (0, 0, 7, 5), grid.reshape(-1)), four[grid])
refuse("gif-ends-early", gif(7, 5, (0, 0, 7, 5), grid.reshape(-1)[:20]), "GIF: cut short")
refuse("gif-no-palette", b"GIF89a\4\0\4\0\0\0\0,\0\0\0\0\4\0\4\0\0\2\2\x84\x51\0;", "GIF: no palette")
refuse("gif-35-bytes", b"GIF89a\0\x40\0\x40\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\0\x40\0\x40\0\2\1\x2c\0;", "GIF: cut short")

# ---- PSD, HDR ----
for w, h in FEW:
    a, size = smooth(w, h, 3), f"{w}x{h}"
    head = lambda bits: b"8BPS" + struct.pack(">H6xHIIHHIIIH", 1, 3, h, w, bits, 3, 0, 0, 0, 0)
    add(f"psd-8-{size}", head(8) + a.transpose(2, 0, 1).tobytes(), a)
    v = rng.integers(0, 65536, (h, w, 3))
    add(f"psd-16-{size}", head(16) + v.astype(">u2").transpose(2, 0, 1).tobytes(), v >> 8, 1, 1.0)
refuse("psd-cut", head(8) + b"\1" * 900, "PSD: cut short")

# ---- what limber needs a library for ----
picture = smooth(40, 30, 3)
for lossless in (False, True):
    data = saved(picture, "WEBP", lossless=lossless, quality=90)
    add(f"webp-{'lossless' if lossless else 'lossy'}", data, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), 2, 0.6, "webp")
    refuse(f"webp-cut-{lossless}", data[: len(data) - 40], "WebP")
rgba = np.concatenate([picture, smooth(40, 30, 1)], -1)
data = saved(Image.fromarray(rgba, "RGBA"), "WEBP", lossless=True, exact=True)
add("webp-alpha", data, white(rgba), 1, 0.5, "webp")
data = saved(Image.fromarray(picture), "WEBP", lossless=True, exif=b"Exif\0\0" + exif(6, 3, "<"))
add("webp-turned", data, np.rot90(picture, -1), 1, 0.1, "webp")
data = saved(Image.fromarray(picture), "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(255 - picture)])
add("webp-animated", data, picture, 1, 0.1, "webp")
for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
    data = saved(picture, "TIFF", compression=compression)
    add(f"tiff-{compression}", data, picture, 1, 0.1, "tiff")
    refuse(f"tiff-cut-{compression}", data[: len(data) // 2], "TIFF")
for o in range(1, 9):
    info = Image.Exif()
    info[0x112] = o
    data = saved(picture, "TIFF", exif=info)
    add(f"tiff-turned-{o}", data, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))), 1, 0.1, "tiff")
v = rng.integers(0, 65536, (30, 40)).astype("uint16")
add("tiff-grey16", saved(Image.fromarray(v), "TIFF"), grey3(v >> 8), 1, 0.6, "tiff")
add("tiff-grey", saved(picture[..., 0], "TIFF"), grey3(picture[..., 0]), 1, 0.1, "tiff")
add("tiff-palette", saved(Image.fromarray(picture).quantize(32), "TIFF"), np.asarray(Image.fromarray(picture).quantize(32).convert("RGB")), 1, 0.5, "tiff")
add("tiff-alpha", saved(Image.fromarray(rgba, "RGBA"), "TIFF"), white(rgba), 2, 0.8, "tiff")

# ---- what is refused by name ----
refuse("jxl", b"\xff\x0a\x10\xb0\x13\x08", "a JPEG XL picture: convert it")
refuse("jxl-box", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "a JPEG XL picture: convert it")
refuse("jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "a JPEG 2000 picture: convert it")
refuse("mp4", b"\0\0\0\x18ftypisom\0\0\2\0", "a video?")
refuse("cr3", b"\0\0\0\x18ftypcrx \0\0\0\1", "a raw picture")
for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis"):
    refuse(brand.decode(), b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic", "HEIC")
for brand in (b"avif", b"avis"):
    refuse(brand.decode(), b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1avif", "AVIF")

# ---- what writers and disks do to files ----
samples = rng.integers(0, 256, (9, 14, 3))
data = png(samples, 8, 2)
add("png-no-end", data[:-12], samples)
refuse("png-no-end-nor-all-pixels", data[:-42], "PNG: cut short")
damaged = bytearray(data)
damaged[data.index(b"IDAT") + 20] ^= 4
refuse("png-damaged-pixels", bytes(damaged), "the checksum of IDAT at byte 33 is not")
damaged = bytearray(data)
damaged[29] ^= 1
refuse("png-damaged-header", bytes(damaged), "the checksum of IHDR at byte 8 is not")
grid = rng.integers(0, 4, (5, 7))
colours = rng.integers(0, 256, (4, 3)).astype("u1")
data = bytearray(png(grid, 2, 3, palette=colours.tobytes()))
data[data.index(b"PLTE") + 6] ^= 64
refuse("png-damaged-palette", bytes(data), "the checksum of PLTE at byte 33 is not")
data = png(samples, 8, 2)
data = bytearray(data[:33] + chunk(b"tEXt", b"Comment\0fine") + data[33:])
data[data.index(b"fine")] ^= 1
add("png-damaged-comment", bytes(data), samples)
# as after a download that ended between two chunks: an end mark is missing, and pixels
whole = zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples.astype("u1")), 0)
head = png(samples, 8, 2)[:33]
add("png-two-chunks-no-end", head + chunk(b"IDAT", whole[:100]) + chunk(b"IDAT", whole[100:]), samples)
refuse("png-one-of-two-chunks", head + chunk(b"IDAT", whole[:100]), "PNG")

pixels = samples.astype("u1")
data = bytearray(bmp(14, 9, 24, bmp_rows(pixels[..., ::-1])))
data[10:14] = bytes(4)
add("bmp-begins-nowhere", bytes(data), pixels)
data = bytearray(bmp(7, 5, 8, bmp_rows(grid.astype("u1")), palette=b"".join(bytes([*c[::-1], 0]) for c in colours), used=4))
data[10:14] = bytes(4)
add("bmp-begins-nowhere-palette", bytes(data), colours[grid])

for name, entry in (("sbyte", struct.pack("<HIB3x", 6, 1, 6)), ("two", struct.pack("<HIHH", 3, 2, 6, 1))):
    note = b"II*\0" + struct.pack("<IHH", 8, 1, 0x112) + entry + b"\0" * 4
    add_jpeg(f"exif-6-{name}.jpeg", base[:2] + b"\xff\xe1" + struct.pack(">H", 8 + len(note)) + b"Exif\0\0" + note + base[2:],
             np.rot90(np.asarray(Image.open(io.BytesIO(base))), -1))
note = b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x112, 3, 3, 6, 1) + b"\0" * 4  # three do not fit: elsewhere
add_jpeg("exif-elsewhere.jpeg", base[:2] + b"\xff\xe1" + struct.pack(">H", 8 + len(note)) + b"Exif\0\0" + note + base[2:])


def tiff(tags, data):
    """Classic TIFF of the second byte order: 14 x 9 pixels of three bytes; data stands at byte 8."""
    out, more = struct.pack(">H", len(tags)), b""
    end = 8 + len(data) + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        body = struct.pack(f">{len(values)}I", *values)
        out += struct.pack(">HHI", tag, 4, len(values)) + (body if len(body) == 4 else struct.pack(">I", end + len(more)))
        more += body if len(body) > 4 else b""
    return b"MM\0*" + struct.pack(">I", 8 + len(data)) + data + out + b"\0" * 4 + more


shape = {256: [14], 257: [9], 258: [8, 8, 8], 262: [2], 277: [3]}
tiles = np.zeros((16, 16, 3), "u1")
tiles[:9, :14] = pixels
add("tiff-small-tile", tiff(shape | {322: [16], 323: [16], 324: [8], 325: [768]}, tiles.tobytes()), pixels, 1, 0.1, "tiff")
add("tiff-big-endian", tiff(shape | {273: [8], 278: [9], 279: [378]}, pixels.tobytes()), pixels, 1, 0.1, "tiff")
add("tiff-planes", tiff(shape | {273: [8, 134, 260], 278: [9], 279: [126] * 3, 284: [2]}, pixels.transpose(2, 0, 1).tobytes()), pixels, 1, 0.1, "tiff")
refuse("tiff-lab", tiff(shape | {262: [8], 273: [8], 278: [9], 279: [378]}, pixels.tobytes()), "TIFF")
refuse("tiff-cut-tile", tiff(shape | {322: [16], 323: [16], 324: [8], 325: [768]}, tiles.tobytes()[:-300]), "TIFF")

OUT.write_bytes(pack)
print(f"{count} pictures, {len(pack)} bytes")
