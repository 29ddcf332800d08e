# SPDX-License-Identifier: MIT
"""The joints of the people in a folder of photographs, on a cluster of Spark.

    spark-submit examples/spark_poses.py PHOTOS OUT        also python3 examples/spark_poses.py: here, on all processors
    pip install limber pyspark 'pandas<3' pyarrow          on every machine; pyspark wants Java

PHOTOS and OUT are folders that all machines see. OUT/poses.jsonl gets the lines that `limber run PHOTOS` would write. Each task makes one part,
OUT/part-SHARD-of-ALL.jsonl: written aside under a name of its own, then renamed. So a part is whole or not there; a task that is tried
again, or twice at once, cannot double a line; and the same command goes on where a run has ended.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Iterator

import limber

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".avif", ".bmp")


# ---- in a worker ----


def line(model: limber.Model, image: str) -> str:
    try:
        return model.run(image).to_line(image)
    except limber.LimberError as e:  # a photograph that cannot be read: no reason to try the task again
        name = json.dumps(image, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
        return f'{{"image":{name},"error":{json.dumps(str(e).removeprefix(image + ": "))}}}'


def write_whole(place: pathlib.Path, lines: Iterator[str]) -> None:
    """All of it or nothing, whoever else writes the same."""
    aside = place.with_name(f".{place.name}.{socket.gethostname()}.{os.getpid()}")
    with open(aside, "w", encoding="utf-8", newline="") as file:
        for text in lines:
            file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, place)


def write_part(model: limber.Model, place: pathlib.Path, images: list[bytes]) -> int:
    if not place.exists():
        write_whole(place, (line(model, os.fsdecode(image)) for image in images))
    return len(images)


# ---- in the driver ----


def pictures(folder: str) -> list[bytes]:
    """Below `folder`, in byte order of the path and without what is hidden, as limber run has them."""
    found = []
    for at, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [os.fsencode(os.path.join(at, n)) for n in names if n.lower().endswith(ENDINGS) and not n.startswith(".")]
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--model", help="a checkpoint directory that all machines see [the one inside limber]")
    parser.add_argument("--precision", default="fp32", help="auto may differ from machine to machine [fp32]")
    parser.add_argument("--part", type=int, default=1000, help="photographs in a part [1000]")
    o = parser.parse_args()
    images = pictures(o.photos)
    of = max(1, -(-len(images) // o.part))
    out: pathlib.Path = o.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    places = [out / f"part-{shard:06}-of-{of:06}.jsonl" for shard in range(of)]

    # Parts of two kinds make no whole: what OUT was begun with is what it goes on with.
    kind = {"limber": limber.__version__, "model": o.model, "precision": o.precision, "images": len(images), "part": o.part}
    kind["names"] = hashlib.sha256(b"\0".join(images)).hexdigest()
    about = out / "spark.json"
    if not about.exists():
        write_whole(about, iter([json.dumps(kind)]))
    elif json.loads(about.read_text()) != kind:
        sys.exit(f"{about}: made of other photographs or with other options: choose another OUT")

    def poses(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        with limber.Model(o.model, precision=o.precision, threads=1) as model:  # Spark has a task a processor
            for batch in batches:
                lines = [write_part(model, places[shard], list(names)) for shard, names in zip(batch["shard"], batch["images"])]
                yield batch[["shard"]].assign(lines=lines)

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("limber")
    if "SPARK_ENV_LOADED" not in os.environ:  # not by spark-submit: this machine, and four tries of a task, as a cluster has them
        builder = builder.master(f"local[{len(os.sched_getaffinity(0))},4]").config("spark.ui.enabled", "false")
    spark = builder.getOrCreate()
    rows = [(s, [bytearray(i) for i in images[s * o.part : (s + 1) * o.part]]) for s in range(of)]
    shards = spark.createDataFrame(rows, "shard long, images array<binary>").repartition(of, "shard")
    written = sum(row.lines for row in shards.mapInPandas(poses, "shard long, lines long").collect())
    spark.stop()

    if written != len(images) or not all(place.exists() for place in places):
        sys.exit(f"{written} of {len(images)} photographs are done")
    aside = out / f".poses.jsonl.{os.getpid()}"
    with open(aside, "wb") as whole:
        for place in places:
            with open(place, "rb") as part:
                shutil.copyfileobj(part, whole)
    os.replace(aside, out / "poses.jsonl")
    for left in out.glob(".part-*"):  # of workers that died
        left.unlink()


if __name__ == "__main__":
    main()
