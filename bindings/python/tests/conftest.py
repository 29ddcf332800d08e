# SPDX-License-Identifier: MIT
"""Where the tests find the repository; LIMBER_LIBRARY names a liblimber that is not installed with the package."""

import json
import pathlib
import struct

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden"
CASES = ["simple-hd32", "classic-hd32-bf16", "plus-hd64-f16", "sharded-hd80", "nobias-eps"]


def tensors(path):
    """The tensors of a safetensors file."""
    data = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    types = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I32": np.int32, "I64": np.int64}
    found = {}
    for name, t in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__" and t["dtype"] in types:
            begin, end = t["data_offsets"]
            found[name] = np.frombuffer(data[8 + size + begin : 8 + size + end], types[t["dtype"]]).reshape(t["shape"])
    return found


@pytest.fixture(scope="session")
def yard():
    """[150, 200, 3], the picture that the frozen answers are about."""
    return tensors(GOLDEN / "processor" / "golden.safetensors")["yard.image"]
