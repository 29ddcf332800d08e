# SPDX-License-Identifier: MIT
"""limber.Model against transformers' frozen answers, and what becomes of arguments, threads, forks and memory."""

import ctypes
import gc
import json
import os
import signal
import threading

import limber
import numpy as np
import pytest
from conftest import CASES, GOLDEN, ROOT, tensors
from limber import _c

PICTURES = ROOT / "tests" / "corpus" / "images"
TINY = GOLDEN / "simple-hd32"


@pytest.fixture(scope="module")
def tiny():
    with limber.Model(TINY, precision="fp32", threads=1) as model:
        yield model


@pytest.mark.parametrize("case", CASES)
def test_as_transformers(case, yard):
    golden = tensors(GOLDEN / case / "golden.safetensors")
    with limber.Model(GOLDEN / case, precision="fp32", threads=1) as model:
        people = model.run(yard, golden["boxes"])
        wanted, scores = golden.get("keypoints", golden.get("expert0.keypoints")), golden.get("scores", golden.get("expert0.scores"))
        assert np.abs(people.keypoints[:, :, :2] - wanted).max() <= 1e-3
        assert np.abs(people.keypoints[:, :, 2] - scores.reshape(people.keypoints.shape[:2])).max() <= 1e-4
        assert people.keypoints.shape[1] == len(model.names) and len(people) == len(golden["boxes"])
        assert np.array_equal(people.boxes, golden["boxes"]) and (people.box_scores == 1).all()
        assert np.abs(people.scores - people.keypoints[:, :, 2].mean(1)).max() < 1e-5
        assert people.size == (150, 200)


def test_flip_as_transformers(yard):
    golden = tensors(TINY / "golden.safetensors")
    with limber.Model(TINY, precision="fp32", threads=1, flip=True) as model:
        assert np.abs(model.run(yard, golden["boxes"]).keypoints[:, :, :2] - golden["flip.keypoints"]).max() <= 1e-3


def test_the_model_inside():
    with limber.Model() as model:
        assert model.run(np.zeros((480, 640, 3), np.uint8)).keypoints.shape == (1, 17, 3)
        assert model.names[0] == "nose" and model.names[16] == "right_ankle" and model.backend in ("cpu", "cuda")


def test_images_of_every_kind(tiny, yard, tmp_path):
    box = [[20, 10, 100, 120.5]]
    wanted = tiny.run(yard, box).keypoints
    alpha = np.dstack([yard, np.full(yard.shape[:2], 7, np.uint8)])
    wide = np.zeros((150, 260, 3), np.uint8)
    wide[:, 30:230] = yard
    (tmp_path / "yard.ppm").write_bytes(b"P6 200 150 255\n" + yard.tobytes())
    for same in (alpha, wide[:, 30:230], np.asfortranarray(yard), yard[::-1][::-1], tmp_path / "yard.ppm", str(tmp_path / "yard.ppm")):
        assert np.array_equal(tiny.run(same, box).keypoints, wanted)
    with limber.Model(TINY, precision="fp32", threads=1, order="bgr") as model:
        assert np.array_equal(model.run(yard[:, :, ::-1], box).keypoints, wanted)
        assert np.array_equal(model.run(tmp_path / "yard.ppm", box).keypoints, wanted)
    grey = yard[:, :, 1]
    assert np.array_equal(tiny.run(grey, box).keypoints, tiny.run(np.dstack([grey] * 3), box).keypoints)
    assert not np.array_equal(tiny.run(yard[:, :, ::-1], box).keypoints, wanted)
    PIL = pytest.importorskip("PIL.Image")
    assert np.array_equal(tiny.run(PIL.fromarray(yard), box).keypoints, wanted)


def test_lists_are_one_by_one(tiny, yard):
    images, boxes = [yard, yard[20:, 10:], yard], [[[5, 5, 60, 90], [50, 20, 80, 100]], None, []]
    together = tiny.run(images, boxes)
    assert [len(p) for p in together] == [2, 1, 0]
    for people, image, box in zip(together, images, boxes):
        alone = tiny.run(image, box)
        assert np.array_equal(people.keypoints, alone.keypoints) and np.array_equal(people.limbs, alone.limbs)
    assert together[2].keypoints.shape == (0, 17, 3) and tiny.run([]) == []
    assert [len(p) for p in tiny.run([yard, yard])] == [1, 1]


def test_limbs(tiny, yard):
    people = tiny.run(yard, [[20, 10, 100, 120]])
    shoulder, elbow = (people.keypoints[0, people.names.index(n)] for n in ("left_shoulder", "left_elbow"))
    length, angle, score = people.limbs[0, limber.limb_names.index("left_upper_arm")]
    right, up = elbow[0] - shoulder[0], shoulder[1] - elbow[1]
    assert abs(length - np.hypot(right, up)) < 1e-3 and abs(angle - np.degrees(np.arctan2(up, right))) < 1e-3
    assert score == min(shoulder[2], elbow[2])


def test_errors(tiny, yard, tmp_path):
    with pytest.raises(limber.LimberError, match="nowhere") as e:
        limber.Model("nowhere")
    assert e.value.status == "io"
    with pytest.raises(limber.LimberError, match="backend"):
        limber.Model(backend="gpu")
    with pytest.raises(limber.LimberError, match="no.jpg"):
        tiny.run(tmp_path / "no.jpg")
    (tmp_path / "cut.jpg").write_bytes((PICTURES / "ok_baseline.jpg").read_bytes()[:200])
    with pytest.raises(limber.LimberError) as e:
        tiny.run(tmp_path / "cut.jpg")
    assert e.value.status == "format"
    for box in ([[0, 0, np.nan, 5]], [[0, 0, -1, 5]], [[0, 0, 0, 0]]):
        with pytest.raises(limber.LimberError) as e:
            tiny.run(yard, box)
        assert e.value.status == "argument"
    for image, kind in ((yard.astype(np.float32), TypeError), (7, TypeError), (yard[0, 0], ValueError), (yard[:, :, :2], ValueError), (yard[:0], ValueError)):
        with pytest.raises(kind):
            tiny.run(image)
    for boxes in ([[1, 2, 3]], [[[1, 2, 3, 4]]]):
        with pytest.raises(ValueError, match="boxes are"):
            tiny.run(yard, boxes)
    with pytest.raises(ValueError, match="2 images and boxes for 1"):
        tiny.run([yard, yard], [None])
    with pytest.raises(ValueError, match="order"):
        limber.Model(order="rbg")
    closed = limber.Model(TINY)
    closed.close()
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.run(yard)
    assert len(tiny.run(yard)) == 1  # none of it harmed the model


def test_threads_share_a_model(tiny, yard):
    boxes = [[[3 * i, 2 * i, 90, 110]] for i in range(12)]
    wanted = [tiny.run(yard, b).keypoints for b in boxes]
    got = [None] * 12

    def work(first):
        for i in range(first, 12, 4):
            got[i] = tiny.run(yard, boxes[i]).keypoints

    threads = [threading.Thread(target=work, args=(t,)) for t in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(np.array_equal(a, b) for a, b in zip(got, wanted))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_the_lock_is_free_in_the_library(tiny, yard, tmp_path):
    """The library waits for bytes that only another thread of this interpreter can write: with the lock held nobody ever would."""
    assert isinstance(_c.lib, ctypes.CDLL) and not isinstance(_c.lib, ctypes.PyDLL)
    pipe = tmp_path / "yard.ppm"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"P6 200 150 255\n" + yard.tobytes()))
    writer.start()
    signal.alarm(240)  # ends the process rather than wait for ever
    people = tiny.run(pipe, [[20, 10, 100, 120]])
    signal.alarm(0)
    writer.join()
    assert np.array_equal(people.keypoints, tiny.run(yard, [[20, 10, 100, 120]]).keypoints)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_has_sessions_of_its_own(yard):
    with limber.Model(TINY, precision="fp32", threads=2) as model:
        wanted = model.run(yard, [[20, 10, 100, 120]]).keypoints
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            same = np.array_equal(model.run(yard, [[20, 10, 100, 120]]).keypoints, wanted)
            os.write(write, b"1" if same else b"0")
            os._exit(0)
        os.close(write)
        assert os.read(read, 1) == b"1"
        os.close(read)
        os.waitpid(child, 0)


def test_nothing_leaks(yard):
    """Of what the allocator has given out: a hundred rounds add less than one round takes."""

    class Mallinfo2(ctypes.Structure):
        _fields_ = [(n, ctypes.c_size_t) for n in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("no mallinfo2")
    libc.mallinfo2.restype = Mallinfo2

    def in_use():
        gc.collect()
        m = libc.mallinfo2()
        return m.uordblks + m.hblkhd

    def round_of(count):
        for _ in range(count):
            with limber.Model(TINY, precision="fp32", threads=1) as model:
                model.run(yard, [[20, 10, 100, 120]] * 3)
                model.run([str(PICTURES / "ok_rgb8.png")])
                with pytest.raises(limber.LimberError):
                    model.run(yard, [[0, 0, -1, 1]])
                with model.heads(bootstrap=10) as heads:
                    heads.add(yard, [[20, 10, 100, 120]])
                    heads.summarise()
                with model.patch() as patch:
                    patch.capture(0, yard, [20, 10, 100, 120])

    round_of(3)
    before = in_use()
    round_of(20)
    assert in_use() - before < 200_000


def test_to_coco_and_pandas_and_supervision(tiny, yard):
    people = tiny.run(yard, [[20, 10, 100, 120], [50, 30, 60, 90]])
    entries = json.loads(json.dumps(people.to_coco(42)))
    assert [e["image_id"] for e in entries] == [42, 42] and len(entries[0]["keypoints"]) == 51
    assert np.allclose(np.reshape(entries[1]["keypoints"], (17, 3)), people.keypoints[1])
    try:
        import pandas  # noqa: F401
    except ImportError:
        pass
    else:
        table = people.to_pandas()
        assert len(table) == 34 and list(table.joint[:2]) == ["nose", "left_eye"] and np.isclose(table.x[17], people.keypoints[1, 0, 0])
    supervision = pytest.importorskip("supervision")
    points = people.to_supervision()
    assert len(points) == 2 and np.array_equal(points.xy, people.keypoints[:, :, :2])
    drawn = supervision.VertexAnnotator().annotate(yard.copy(), points)
    assert not np.array_equal(drawn, yard)


def test_heads(yard):
    with limber.Model(TINY, precision="fp32", threads=1) as model, model.heads(bootstrap=50, seed=3) as heads:
        for x in range(0, 40, 10):
            heads.add(yard, [[x, 5, 100, 120], [60, 20, 90, 110]])
        table = heads.summarise()
        assert (table["images"], table["people"]) == (4, 8) and table["grid"] == (16, 12)
        assert [(h["layer"], h["head"]) for h in table["heads"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert table["classes"][:3] == ["head", "torso", "left_arm"]
        r = table["heads"][0]["classes"]["torso"]["r_limb"]
        assert -1 <= r["low"] <= r["mean"] <= r["high"] <= 1 and r["images"] >= 1
        with pytest.raises(ValueError, match="joints are"):
            heads.add(yard, [[0, 5, 100, 120]], np.zeros((2, 17, 3)))
        with pytest.raises(TypeError, match="no option"):
            model.heads(move=3)


def test_patch(yard):
    box = [20, 10, 100, 120]
    with limber.Model(TINY, precision="fp32", threads=1) as model:
        patch = model.patch()
        patch.capture(0, yard, box)
        patch.capture(1, yard // 2, box)
        assert (patch.layers, patch.heads, patch.joints) == (2, 2, 17)
        plain, maps = patch.run(1, 0, [])
        assert np.abs(plain - model.run(yard // 2, [box]).keypoints[0]).max() < 1e-3
        assert maps.shape == (17, patch.map_height, patch.map_width)
        every = [(layer, head) for layer in range(2) for head in range(2)]
        patched, _ = patch.run(1, 0, every, with_input=True)
        assert np.abs(patched - model.run(yard, [box]).keypoints[0]).max() < 1e-3
        assert np.abs(patch.run(1, 0, [(1, 0)])[1] - maps).max() > 0
        with pytest.raises(ValueError, match="layer 2"):
            patch.run(1, 0, [(2, 0)])
        with pytest.raises(limber.LimberError):
            patch.run(3, 0, [])  # an empty slot
    # leaving the model closed it


def test_the_readme_runs(tmp_path, monkeypatch):
    """The first example of README.md, on a picture of ours."""
    example = (ROOT / "bindings/python/README.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "photo.jpg").write_bytes(b"P6 640 480 255\n" + bytes(640 * 480 * 3))  # pictures are known by their bytes
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(example, found)
    assert found["people"].keypoints.shape == (1, 17, 3)
