#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes src/base/unicode_table.h: what base/unicode.c needs to know of Unicode, from Python's unicodedata.

    python3 tools/make_unicode_table.py > src/base/unicode_table.h

Left out: Hangul, which is arithmetic, and compatibility ideographs, which no file system writes apart.
"""
import unicodedata


def rows(items, width):
    for i in range(0, len(items), width):
        print("    " + " ".join(items[i:i + width]))


def taken_for_itself(c):
    return 0xf900 <= c <= 0xfaff or 0x2f800 <= c <= 0x2fa1f


def checksum():
    """FNV-1a over NFD of every character followed by a mark below and one above, for tests/command/test_boxes.c."""
    value = 0xcbf29ce484222325
    for c in range(1, 0x110000):
        if taken_for_itself(c) or 0xd800 <= c < 0xe000:
            continue
        for byte in unicodedata.normalize("NFD", chr(c) + "\u0301\u0323").encode():
            value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


def main():
    pairs, classes = [], []
    for c in range(0x110000):
        kind = unicodedata.combining(chr(c))
        if kind:
            if classes and classes[-1][1] == c - 1 and classes[-1][2] == kind:
                classes[-1][1] = c
            else:
                classes.append([c, c, kind])
        to = unicodedata.decomposition(chr(c)).split()
        if to and to[0][0] != "<" and not taken_for_itself(c):
            pairs.append((c, *(int(t, 16) for t in to), 0)[:3])
    print("/* Unicode %s; made by tools/make_unicode_table.py. */" % unicodedata.unidata_version)
    print("#define NFD_CHECKSUM 0x%xu /* of all it says, by unicodedata: see there */" % checksum())
    print("/* clang-format off */")
    print("static const struct nfd_pair {\n    uint32_t from, first, second; /* second 0: there is none */\n} nfd_pairs[] = {")
    rows(["{0x%x,0x%x,0x%x}," % p for p in pairs], 6)
    print("};\nstatic const struct nfd_class {\n    uint32_t first, last;\n    uint8_t kind; /* canonical combining class */\n} nfd_classes[] = {")
    rows(["{0x%x,0x%x,%d}," % tuple(c) for c in classes], 7)
    print("};\n/* clang-format on */")


if __name__ == "__main__":
    main()
