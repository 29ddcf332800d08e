# SPDX-License-Identifier: MIT
"""limber: joints of people in photographs by Vision Transformers. numpy in, numpy out; no GPU and no download needed.

    import limber
    model = limber.Model()                       # or a ViTPose checkpoint directory
    people = model.run("photo.jpg")              # or an array, and boxes [people, 4]: x, y, width, height
    people.keypoints                             # [people, joints, 3]: x, y, score, in pixels
"""

from ._c import LimberError, lib as _lib
from ._heads import Heads
from ._model import Detector, Model
from ._patch import CONST, MEAN, ZERO, Patch
from ._people import Found, People, limb_names
from ._picture import ImageLike, read

__version__: str = _lib.limber_version().decode()
__all__ = ["Model", "People", "Detector", "Found", "Heads", "Patch", "ZERO", "MEAN", "CONST", "ImageLike", "LimberError", "limb_names", "read"]
