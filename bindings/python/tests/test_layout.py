# SPDX-License-Identifier: MIT
"""The ctypes structs against the headers: sizes and offsets as a C compiler has them."""

import ctypes
import shutil
import subprocess

import pytest
from conftest import ROOT
from limber import _c

STRUCTS = {
    "limber_error": _c.Error,
    "limber_options": _c.Options,
    "limber_image": _c.Image,
    "limber_box": _c.Box,
    "limber_keypoint": _c.Keypoint,
    "limber_limb": _c.Limb,
    "limber_person": _c.Person,
    "limber_people": _c.People,
    "limber_found": _c.Found,
    "limber_image_options": _c.ImageOptions,
    "limber_heads_options": _c.HeadsOptions,
    "limber_heads_estimate": _c.HeadsEstimate,
    "limber_heads_example": _c.HeadsExample,
    "limber_heads_class": _c.HeadsClass,
    "limber_heads_any": _c.HeadsAny,
    "limber_heads_head": _c.HeadsHead,
    "limber_heads_result": _c.HeadsResult,
    "limber_patch_options": _c.PatchOptions,
}


def test_structs_are_the_headers(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        pytest.skip("no C compiler")
    wanted, rows = [], []
    for name, struct in STRUCTS.items():
        rows.append(f'printf("{name} %zu\\n", sizeof({name}));')
        wanted.append(f"{name} {ctypes.sizeof(struct)}")
        for field, _ in struct._fields_:
            rows.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field.rstrip("_")}));')
            wanted.append(f"{name}.{field} {getattr(struct, field).offset}")
    rows.append('printf("LIMBER_API_VERSION %d\\n", LIMBER_API_VERSION / 100);')
    wanted.append(f"LIMBER_API_VERSION {_c.API}")
    source = tmp_path / "layout.c"
    source.write_text('#include <stddef.h>\n#include <stdio.h>\n#include "limber_heads.h"\n#include "limber_patch.h"\nint main(void)\n{\n' + "\n".join(rows) + "\n}\n")
    subprocess.run([compiler, "-I", str(ROOT / "include"), str(source), "-o", str(tmp_path / "layout")], check=True)
    assert subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True).stdout.splitlines() == wanted
