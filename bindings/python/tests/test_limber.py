# SPDX-License-Identifier: MIT
"""limber.Model against transformers' frozen answers, and what becomes of arguments, threads, forks and memory."""

import ast
import concurrent.futures
import ctypes
import gc
import importlib.util
import json
import os
import signal
import subprocess
import threading

import limber
import numpy as np
import pytest
from conftest import CASES, GOLDEN, ROOT, tensors
from limber import _c, _people

PICTURES = ROOT / "tests" / "corpus" / "images"
SAMPLES = ROOT / "data" / "samples"  # six drawn pictures of people
TINY = GOLDEN / "simple-hd32"


@pytest.fixture(scope="module")
def tiny():
    with limber.Model(TINY, whole=True, precision="fp32", threads=1) as model:
        yield model


@pytest.fixture(scope="module")
def inside():
    """The model and the detector inside the library."""
    with limber.Model(precision="fp32", threads=1) as model:
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


def test_the_model_inside(inside):
    assert len(inside.names) == 17 and inside.names[0] == "nose" and inside.names[16] == "right_ankle"
    assert inside.label_set == "COCO" and inside.mirror[:3] == (0, 2, 1)
    assert (inside.names.index("left_shoulder"), inside.names.index("left_elbow")) in inside.bones
    assert (inside.backend, inside.precision) == ("cpu", "fp32")
    dark = np.zeros((480, 640, 3), np.uint8)
    assert inside.run(dark).keypoints.shape == (0, 17, 3) and inside.run(dark).limbs.shape[0] == 0
    assert inside.find(dark).boxes.shape == (0, 4)
    with limber.Model(whole=True, threads=1) as model:
        assert model.run(dark).keypoints.shape == (1, 17, 3)
        with pytest.raises(limber.LimberError, match="without a detector"):
            model.find(dark)


def test_people_are_found(inside):
    """The people of a drawing, where the drawing has them; what run says of somebody found is what it says of that box."""
    drawn = json.loads((SAMPLES / "persons.json").read_text())
    ids = {i["file_name"]: i["id"] for i in drawn["images"]}
    for name in ("three.jpg", "running.jpg"):
        truth = [a for a in drawn["annotations"] if a["image_id"] == ids[name]]
        found, people = inside.find(SAMPLES / name), inside.run(SAMPLES / name)
        assert len(people) == len(truth) <= len(found) and (np.diff(found.scores) <= 0).all() and (np.diff(people.scores) <= 0).all()
        for joints, box, score, box_score in zip(people.keypoints, people.boxes, people.scores, people.box_scores):
            i = int(np.abs(found.boxes - box).max(1).argmin())
            assert np.array_equal(found.boxes[i], box) and found.scores[i] == box_score
            assert abs(score - box_score * joints[:, 2].mean()) < 1e-5
            assert np.array_equal(inside.run(SAMPLES / name, box).keypoints[0], joints)
            off = [np.abs(joints[:, :2] - np.reshape(a["keypoints"], (17, 3))[:, :2]).mean() / a["bbox"][3] for a in truth]
            assert min(off) < 0.1  # of the person's height; another person is further away
    both = inside.run([SAMPLES / "three.jpg", SAMPLES / "running.jpg"], [None, [[182, 80, 244, 383]]])
    assert [len(p) for p in both] == [3, 1] and both[1].box_scores[0] == 1
    assert [len(f) for f in inside.find([SAMPLES / "three.jpg", SAMPLES / "running.jpg"])] == [3, 1]


def test_a_detector_alone(inside):
    """Without a pose model: what a model with the same detector finds."""
    three = SAMPLES / "three.jpg"
    with limber.Detector(threads=1, precision="fp32") as detector:
        found, same = detector.find(three), inside.find(three)
        assert len(found) == 3 and np.array_equal(found.boxes, same.boxes) and np.array_equal(found.scores, same.scores)
        assert [len(f) for f in detector.find([three, SAMPLES / "running.jpg"])] == [3, 1] and detector.find([]) == []
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert all(np.array_equal(f.boxes, same.boxes) for f in pool.map(detector.find, [three] * 8))
        model = limber.Model(detector=detector, threads=1, precision="fp32")
    with pytest.raises(ValueError, match="the detector is closed"):
        detector.find(three)
    with pytest.raises(ValueError, match="the detector is closed"):
        limber.Model(detector=detector)
    assert len(model.run(three)) == 3  # goes on with it
    few = limber.Detector(max_people=2, threads=1, precision="fp32").find(three)
    assert np.array_equal(few.boxes, same.boxes[:2])
    sure = limber.Detector(min_box_score=float(same.scores[0]), threads=1, precision="fp32").find(three)
    assert np.array_equal(sure.boxes, same.boxes[:1])
    bgr = limber.Detector(order="bgr", threads=1, precision="fp32").find(np.ascontiguousarray(limber.read(three)[:, :, ::-1]))
    assert np.array_equal(bgr.boxes, same.boxes)
    with pytest.raises(limber.LimberError, match="min_box_score is 2") as refused:
        limber.Detector(min_box_score=2).find(three)
    assert refused.value.status == "argument"
    with pytest.raises(limber.LimberError, match="a pose model of 17 joints"):
        limber.Detector(TINY)
    with pytest.raises(ValueError, match="order is"):
        limber.Detector(order="rbg")


def test_detectors(inside, yard):
    three = SAMPLES / "three.jpg"
    shared = limber.Detector(GOLDEN / "yolos-plain", precision="fp32")
    with limber.Model(TINY, detector=shared, threads=1, min_box_score=0.01, max_people=2) as one:
        with limber.Model(TINY, detector=shared, threads=1, min_box_score=0.01) as other:
            del shared
            few, many = one.find(three), other.find(three)
            assert len(few) == 2 < len(many) and np.array_equal(few.boxes, many.boxes[:2]) and (many.scores >= 0.01).all()
        assert len(one.find(three)) == 2  # closing one model leaves the detector to the other
    with limber.Model(TINY, detector=GOLDEN / "yolos-plain", threads=1, min_box_score=0.01, precision="fp32") as model:
        assert np.array_equal(model.find(three).boxes, many.boxes)
    found = inside.find(three)
    least = float(found.scores[-2:].mean())
    with limber.Model(threads=1, precision="fp32", min_box_score=least) as model:
        assert len(model.find(three)) == (found.scores >= least).sum() == len(found) - 1
    with pytest.raises(limber.LimberError, match="a pose model of 17 joints"):
        limber.Model(detector=TINY)
    with pytest.raises(limber.LimberError, match="min_box_score is 2"):
        limber.Model(min_box_score=2)
    with pytest.raises(ValueError, match="takes no detector"):
        limber.Model(whole=True, detector=TINY)


def test_read(tiny, yard, tmp_path):
    for name in ("turned6.jpg", "grey.jpg", "rgba8.png"):
        pixels = limber.read(ROOT / "tests" / "images" / name, portable=True)
        head, size, most, data = (ROOT / "tests" / "images" / ("turned.ppm" if name == "turned6.jpg" else name + ".ppm")).read_bytes().split(maxsplit=3)
        height, width = pixels.shape[:2]
        wanted = np.frombuffer(b" ".join([head, size, most, data])[-width * height * 3 :], np.uint8).reshape(height, width, 3)
        assert np.abs(pixels.astype(int) - wanted).mean() < 2, name
    file = b"P6 200 150 255\n" + yard.tobytes()
    for same in (file, bytearray(file), memoryview(file)):
        assert np.array_equal(limber.read(same), yard)
        assert np.array_equal(tiny.run(same, [[20, 10, 100, 120]]).keypoints, tiny.run(yard, [[20, 10, 100, 120]]).keypoints)
    with pytest.raises(limber.LimberError) as e:
        limber.read(file[:-1])
    assert e.value.status == "format"
    with pytest.raises(limber.LimberError):
        limber.read(b"")


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
    heads, patch = closed.heads(), closed.patch()
    closed.close()
    closed.close()
    for use in (lambda: closed.run(yard), lambda: closed.find(yard), lambda: heads.add(yard), heads.summarise, lambda: patch.mean(0)):
        with pytest.raises(ValueError, match="closed"):
            use()
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
    with limber.Model(TINY, precision="fp32", threads=2) as model, model.heads(), limber.Detector(threads=2) as detector:
        found = detector.find(yard)
        wanted = model.run(yard, [[20, 10, 100, 120]]).keypoints
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(240)
            try:
                same = np.array_equal(model.run(yard, [[20, 10, 100, 120]]).keypoints, wanted)
                same = same and np.array_equal(detector.find(yard).boxes, found.boxes)
                detector.close()
                model.close()  # waits for nobody, though the parent's heads hold a session
                os.write(write, b"1" if same else b"0")
            finally:
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

    detector = limber.Detector(GOLDEN / "yolos-plain")

    def round_of(count):
        for _ in range(count):
            with limber.Model(TINY, detector=detector, precision="fp32", threads=1, min_box_score=0.01) as model:
                model.run(yard, [[20, 10, 100, 120]] * 3)
                model.run([str(PICTURES / "ok_rgb8.png")])
                model.find(yard)
                with limber.Detector(threads=1) as alone:
                    alone.find(yard)
                limber.read(SAMPLES / "three.jpg")
                with pytest.raises(limber.LimberError):
                    model.run(yard, [[0, 0, -1, 1]])
                with model.heads(bootstrap=10) as heads:
                    heads.add(yard, [[20, 10, 100, 120]])
                    heads.summarise()
                with model.patch() as patch:
                    patch.capture(0, yard, [20, 10, 100, 120])
            limber.Detector(GOLDEN / "yolos-plain")
            with pytest.raises(limber.LimberError):
                limber.Model(TINY, detector=detector, min_box_score=2)

    round_of(3)
    before = in_use()
    round_of(20)
    assert in_use() - before < 200_000


def test_any_order_of_ending(yard):
    """Objects that nobody closes, alone or in a ring that only the collector can end: sessions before models, and all of them once."""
    closed = []

    class Recorder:
        def __init__(self, lib):
            self.lib = lib

        def __getattr__(self, name):
            function = getattr(self.lib, name)
            if not name.endswith("_close"):
                return function
            return lambda handle: closed.append(name.removeprefix("limber_").removesuffix("_close")) or function(handle)

    kept, _c.lib = _c.lib, Recorder(_c.lib)
    try:
        for ring in (False, True):
            closed.clear()
            model = limber.Model(TINY, threads=1)
            model.run(yard)
            things = [model, model.heads(), model.patch()]
            if ring:
                things.append(things)
            del model, things
            gc.collect()
            order = {name: i for i, name in enumerate(closed)}  # the last of each
            sessions = closed.count("session")
            assert sessions == 2 and sorted(closed) == sorted(["detector", "heads", "model", "patch"] + ["session"] * sessions)
            assert order["session"] < min(order["model"], order["detector"])
            assert max(order["heads"], order["patch"]) < order["session"]
    finally:
        _c.lib = kept


def test_closing_waits(tiny, yard):
    """A model that is closed while threads run ends their calls well, and refuses the next."""
    for _ in range(5):
        model = limber.Model(TINY, precision="fp32", threads=1)
        started, ends = threading.Semaphore(0), []

        def work():
            try:
                while True:
                    model.run(yard, [[20, 10, 100, 120]])
                    started.release()
            except ValueError as e:
                ends.append(str(e))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads:
            t.start()
        for _ in range(6):
            started.acquire()  # all are in the middle of it, as good as surely
        model.close()
        assert not model._sessions._taken
        for t in threads:
            t.join()
        assert ends == ["the model is closed"] * 3


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


def test_lines_are_those_of_limber_run(inside, tmp_path):
    """To the byte: with people found, with boxes, whole; of a name that wants every escape."""
    command = os.environ.get("LIMBER")
    if not command:
        pytest.skip("LIMBER does not name the command")
    odd = b'a "\\\n\t\x01\x7f\xc2\x85\xff\xc3\xa4.jpg'
    (tmp_path / os.fsdecode(odd)).write_bytes((SAMPLES / "three.jpg").read_bytes())
    images = [tmp_path / os.fsdecode(odd), SAMPLES / "running.jpg", SAMPLES / "stretching.png"]
    boxes = [[[66, 142, 206, 270], [-3.25, 130.125, 111, 260]], [[10, 20, 300, 400.5]], []]
    (tmp_path / "boxes.jsonl").write_text("".join(json.dumps({"image": str(i), "boxes": b}) + "\n" for i, b in zip(images, boxes)))
    with limber.Model(whole=True, precision="fp32", threads=1) as whole:
        for model, given, options in ((inside, None, []), (inside, boxes, ["--boxes", tmp_path / "boxes.jsonl"]), (whole, None, ["--whole"])):
            lines = [p.to_line(i) for p, i in zip(model.run(images, given), images)]
            said = subprocess.run([command, "run", "--quiet", "--precision", "fp32", *options, *images], stdout=subprocess.PIPE, check=True).stdout
            assert "\n".join(lines).encode() + b"\n" == said


def test_numbers_are_those_of_limber_run():
    """What src/base/json_write.c makes of them."""
    wanted = {(10, 2): "10", (0.005, 2): "0.01", (-0.005, 2): "-0.01", (-0.004, 2): "0", (1.1, 2): "1.1", (0.0625, 4): "0.0625", (123456.789, 2): "123456.79"}
    wanted.update({(2.5, 0): "3", (-1.0, 2): "-1", (1e17, 2): "100000000000000000", (float("nan"), 2): "null", (99.995, 2): "100", (0.00005, 4): "0.0001"})
    assert {k: _people._number(*k) for k in wanted} == wanted


def test_heads(yard):
    with limber.Model(TINY, whole=True, precision="fp32", threads=1) as model, model.heads(bootstrap=50, seed=3) as heads:
        for x in range(0, 40, 10):
            heads.add(yard, [[x, 5, 100, 120], [60, 20, 90, 110]])
        table = heads.summarise()
        assert (table["images"], table["people"]) == (4, 8) and table["grid"] == (16, 12)
        assert [(h["layer"], h["head"]) for h in table["heads"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert table["classes"][:3] == ["head", "torso", "left_arm"]
        r = table["heads"][0]["classes"]["torso"]["r_limb"]
        assert -1 <= r["low"] <= r["mean"] <= r["high"] <= 1 and r["images"] >= 1
        anywhere = table["heads"][3]["anywhere"]
        assert [*anywhere] == [*table["classes"], "outline", "joints"]
        assert all(a["r"]["images"] == 4 and 0 < a["share"] < 1 and 0 <= a["p"] <= 1 for a in (anywhere["torso"], anywhere["outline"]))
        with pytest.raises(ValueError, match="joints are"):
            heads.add(yard, [[0, 5, 100, 120]], np.zeros((2, 17, 3)))
        with pytest.raises(TypeError, match="no option"):
            model.heads(move=3)
        heads.add(yard)  # the whole image is one person
        assert heads.summarise()["people"] == 9


def test_heads_find_people(inside):
    with inside.heads(bootstrap=0) as heads:
        heads.add(SAMPLES / "three.jpg")
        heads.add(np.zeros((480, 640, 3), np.uint8))
        table = heads.summarise()
        assert (table["images"], table["people"]) == (2, 3)


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


@pytest.mark.parametrize("page", ["bindings/python/README.md", "docs/python.md"])
def test_the_pages_run(page, tmp_path, monkeypatch):
    """Every example of a page, one after the other as in a notebook, on pictures of ours. A line that ends in `# -> VALUE` must give it."""
    blocks = [b.split("```")[0] for b in (ROOT / page).read_text().split("```python\n")[1:]]
    assert blocks
    for name in ("photo.jpg", "other.jpg"):
        (tmp_path / name).write_bytes((SAMPLES / "three.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    cells = {}
    for block in blocks:
        if needs := [n for n in ("pandas", "supervision", "PIL", "pycocotools") if f"import {n}" in block or f"to_{n}(" in block or f"from {n}" in block]:
            if any(importlib.util.find_spec(n) is None for n in needs):
                continue
        for node in ast.parse(block).body:
            source = ast.get_source_segment(block, node)
            said = block.splitlines()[node.end_lineno - 1].partition("# -> ")[2]
            if isinstance(node, ast.Expr):
                value = eval(source, cells)
                assert not said or repr(value) == said, (source, value)
            else:
                assert not said, source
                exec(source, cells)
