#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What each CUDA kernel costs, read from the cubin files that nvcc left, and compared with what was counted before.

    cubin_budget.py *.cubin                       prints the table
    cubin_budget.py --check budgets.txt *.cubin   compares; exit status 1 where a kernel grew
    cubin_budget.py --write budgets.txt --compiler "nvcc 13.0.88" *.cubin    keeps the table, and who compiled

A cubin is an ELF file: section .nv.info holds registers and stack, .text.KERNEL the code. No cuobjdump is
needed: from sm_75 on an instruction is 16 bytes and its opcode the low 12 bits of the first word (calibrated against nvdisasm for
sm_80 and sm_90; for sm_100 and sm_120 the names are carried over from there). `loop` is the loop with the most tensor core
instructions, or for kernels without any the longest: what runs again and again, both sides of its branches counted. Numbers are
instructions a warp.
File names end in .sm_NN.cubin. Python's standard library is enough."""
import argparse
import collections
import re
import struct
import sys

OPCODES = {
    0x002: "MOV", 0x007: "SEL", 0x008: "FSEL", 0x009: "FMNMX", 0x00b: "FSETP", 0x00c: "ISETP", 0x010: "IADD3", 0x011: "LEA", 0x012: "LOP3",
    0x016: "PRMT", 0x019: "SHF", 0x020: "FMUL", 0x021: "FADD", 0x023: "FFMA", 0x024: "IMAD", 0x025: "IMAD", 0x027: "IMAD", 0x028: "DMUL",
    0x029: "DADD", 0x02b: "DFMA", 0x035: "IADD", 0x036: "VIADD", 0x03e: "F2FP", 0x076: "FMNMX3", 0x108: "MUFU", 0x182: "LDC",
}
EXACT = {
    0x23c: "HMMA", 0x236: "HFMA2", 0x304: "F2F", 0x308: "MUFU", 0x387: "STL", 0x388: "STS", 0x381: "LDG", 0x386: "STG", 0x83b: "LDSM",
    0x947: "BRA", 0x547: "BRA", 0x981: "LDG", 0x983: "LDL", 0x984: "LDS", 0x986: "STG", 0x987: "STL", 0x988: "STS", 0x9af: "LDGDEPBAR",
    0x91a: "DEPBAR", 0xb1d: "BAR", 0xf89: "SHFL", 0x389: "SHFL", 0x589: "SHFL", 0x989: "SHFL", 0xfae: "LDGSTS", 0x94d: "EXIT", 0x918: "NOP",
}
GROUPS = [
    ("tensor", ("HMMA",)), ("ldmatrix", ("LDSM",)), ("special", ("MUFU",)), ("fp32", ("FFMA", "FMUL", "FADD", "FMNMX", "FMNMX3", "FSEL", "FSETP")),
    ("fp64", ("DFMA", "DMUL", "DADD")), ("convert", ("F2FP", "F2F")), ("shuffle", ("SHFL",)), ("cp.async", ("LDGSTS", "LDGDEPBAR", "DEPBAR")),
    ("shared", ("LDS", "STS")), ("global", ("LDG", "STG")), ("barrier", ("BAR",)), ("spill", ("LDL", "STL")),
]
COLUMNS = ["registers", "stack", "code", "loop"] + [name for name, _ in GROUPS] + ["other"]


def sections(path):
    with open(path, "rb") as file:
        data = file.read()
    table = struct.unpack_from("<Q", data, 40)[0]
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
    strings = data[headers[names][4]:headers[names][4] + headers[names][5]]
    for h in headers:
        name = strings[h[0]:strings.index(b"\0", h[0])].decode()
        yield name, h, data[h[4]:h[4] + h[5]]


def opcode_name(op):
    return EXACT.get(op) or OPCODES.get(op & 0x1ff) or "op_%03x" % op


def disassemble(code, sm):
    """Names of the instructions, and the backward branches as (first, last) of a loop."""
    names, loops = [], []
    for i in range(len(code) // 16):
        low, high = struct.unpack_from("<QQ", code, i * 16)
        name = opcode_name(low & 0xfff)
        names.append(name)
        if name != "BRA":
            continue
        if sm < 90:  # a signed byte offset in the upper word
            offset = low >> 32
            offset -= (offset >> 31) << 32
        else:  # bits 16..23 and 34.. , in words
            words = (low >> 34) | ((high & 0x3ffff) << 30)
            words -= (words >> 47) << 48
            offset = ((words << 8) | (low >> 16 & 0xff)) * 4
        target = i * 16 + 16 + offset
        if offset < -16 and target >= 0:
            loops.append((target // 16, i))
    return names, loops


def kernels(path):
    """{kernel: {column: number}} of one file."""
    sm = int(re.search(r"sm_(\d+)a?\.cubin$", path).group(1))
    found, registers, stacks, symbols = {}, {}, {}, {}
    parts = list(sections(path))
    for name, _, data in parts:
        if name == ".symtab":
            strings = next(d for n, _, d in parts if n == ".strtab")
            for i in range(len(data) // 24):
                at = struct.unpack_from("<I", data, i * 24)[0]
                symbols[i] = strings[at:strings.index(b"\0", at)].decode()
    for name, _, data in parts:
        at = 0
        while name == ".nv.info" and at + 4 <= len(data):  # records: form, attribute, length, value
            form, attribute, length = struct.unpack_from("<BBH", data, at)
            if form == 4 and length == 8 and attribute in (0x2f, 0x11):  # EIATTR_REGCOUNT, EIATTR_FRAME_SIZE
                symbol, value = struct.unpack_from("<II", data, at + 4)
                (registers if attribute == 0x2f else stacks)[symbols[symbol]] = value
            at += 4 + (length if form == 4 else 0)
    for name, _, data in parts:
        if not name.startswith(".text."):
            continue
        kernel = name[6:]
        names, loops = disassemble(data, sm)
        loop = max(loops, key=lambda l: names[l[0]:l[1] + 1].count("HMMA"), default=None)
        if not loop or "HMMA" not in names[loop[0]:loop[1] + 1]:
            loop = max(loops, key=lambda l: l[1] - l[0], default=None)
        body = names[loop[0]:loop[1] + 1] if loop else []
        count = collections.Counter(body)
        row = {"registers": registers[kernel], "stack": stacks.get(kernel, 0), "code": sum(n != "NOP" for n in names), "loop": len(body)}
        for group, members in GROUPS:
            row[group] = sum(count[m] for m in members)
        row["other"] = len(body) - sum(row[group] for group, _ in GROUPS)
        row["spill"] = sum(n in ("LDL", "STL") for n in names)  # anywhere, not only in the loop
        found[kernel] = row
    return found


def short(name):
    """attention_tile<f16,64,1> for _Z14attention_tileI3f16Li64ELb1EEv16attention_params."""
    m = re.match(r"_Z(\d+)", name)
    length, rest = int(m.group(1)), name[m.end():]
    base, rest = rest[:length], rest[length:]
    if not rest.startswith("I"):
        return base
    words, rest = [], rest[1:]
    while rest and rest[0] != "E":
        literal, typed = re.match(r"L[ib](\d+)E", rest), re.match(r"(\d+)", rest)
        if literal:
            words.append(literal.group(1))
            rest = rest[literal.end():]
        elif typed:
            words.append(rest[typed.end():typed.end() + int(typed.group(1))])
            rest = rest[typed.end() + int(typed.group(1)):]
        else:
            back = re.match(r"S\d*_", rest)  # a type that was named before
            words.append("same" if back else {"f": "float"}.get(rest[0], rest[0]))
            rest = rest[back.end() if back else 1:]
    return base + "<" + ",".join(words) + ">"


def table_of(paths):
    rows = {}
    for path in sorted(paths):
        sm = "sm_" + re.search(r"sm_(\d+)a?\.cubin$", path).group(1)
        for kernel, row in kernels(path).items():
            rows[(short(kernel), sm)] = row
    return rows


def lines_of(rows, compiler):
    yield "# compiled by " + compiler
    yield "# instructions a warp, from the cubins (tools/cubin_budget.py); registers a thread; loop: the one that matters, by kind"
    yield "# " + " ".join(["kernel", "sm"] + COLUMNS)
    for (kernel, sm), row in sorted(rows.items(), key=lambda item: (item[0][0], int(item[0][1][3:]))):
        yield " ".join([kernel, sm] + [str(row[c]) for c in COLUMNS])


def read_table(path):
    rows = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words and words[0] != "#":
                rows[(words[0], words[1])] = dict(zip(COLUMNS, map(int, words[2:])))
    return rows


def compare(kept, now):
    """A kernel may become cheaper silently, never dearer: 2 registers and 3 % of the loop are a compiler's breath."""
    wrong = []
    for key, row in now.items():
        if row["spill"] or row["stack"]:
            wrong.append("%s %s: %d spill instructions, %d bytes of stack" % (*key, row["spill"], row["stack"]))
        if key not in kept:
            wrong.append("%s %s: not in the table; look at it, then --write" % key)
            continue
        old = kept[key]
        if row["registers"] > old["registers"] + 2:
            wrong.append("%s %s: %d registers, %d were counted" % (*key, row["registers"], old["registers"]))
        if row["loop"] > old["loop"] * 1.03 + 4:
            wrong.append("%s %s: the loop is %d instructions, %d were counted" % (*key, row["loop"], old["loop"]))
        for kind in ("tensor", "ldmatrix", "special", "shuffle", "barrier"):
            if row[kind] > old[kind]:
                wrong.append("%s %s: %d %s instructions in the loop, %d were counted" % (*key, row[kind], kind, old[kind]))
    wrong += ["%s %s: in the table, but not compiled" % key for key in kept if key not in now]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="FILE")
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("--compiler", default="an unnamed compiler")
    parser.add_argument("cubins", nargs="+")
    args = parser.parse_args()
    rows = table_of(args.cubins)
    if args.write:
        with open(args.write, "w", encoding="utf-8") as file:
            file.write("\n".join(lines_of(rows, args.compiler)) + "\n")
    elif args.check:
        wrong = compare(read_table(args.check), rows)
        for line in wrong:
            print("FAIL " + line)
        print("%d kernels x architectures compared with %s, %d wrong" % (len(rows), args.check, len(wrong)))
        sys.exit(1 if wrong else 0)
    else:
        print("\n".join(lines_of(rows, args.compiler)))


if __name__ == "__main__":
    main()
