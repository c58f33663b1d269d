"""A good submission passes; each thing that can be wrong is named with its file and frame, all in one go."""

import codecs
import gzip
import json
import os
import re
import shutil
import struct
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from bdd100k_d2.data.labels import write_frames
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.boxes import Boxes
from bdd100k_d2.evaluation.prediction_files import (
    detection_frames,
    instance_bitmask,
    mask_path,
    panoptic_bitmask,
    scored_frame,
    write_mask,
    write_submission,
)
from bdd100k_d2.evaluation.submission import Defect, check_submission, describe_defects, members
from bdd100k_d2.tasks import TASKS

CORNERS = ("x1", "y1", "x2", "y2")
FRAMES = ["a.jpg", "b.jpg", "c.jpg"]
SIZE = (72, 128)


def check(task: str, path: Path) -> list[Defect]:
    return check_submission(task, path, FRAMES, SIZE)


def texts(findings: list[Defect]) -> list[str]:
    return [f"{f.kind}: {f.file}: {f.frame}: {f.text}" for f in findings]


def zipped(folder: Path, *parts: str) -> Path:
    path = folder.with_suffix(".zip")
    write_submission(folder, path, parts or (".",))
    return path


@pytest.fixture
def det(tmp_path: Path) -> Path:
    # In each frame but the last the whole image, and a box narrower than a pixel.
    corners = np.array([[0, 0, 127, 71], [5, 5, 4.5, 8]] * 2, float)
    boxes = Boxes(FRAMES, np.array([0, 0, 1, 1]), np.array([2, 9] * 2), corners, np.array([0.5, 1] * 2))
    frames = detection_frames(boxes, TASKS["det"].names)
    write_frames(frames, tmp_path / "det.json")
    return tmp_path / "det.json"


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for i, name in enumerate(FRAMES):
        write_mask(np.full(SIZE, i, np.uint8), mask_path(tmp_path / "masks", name))
    return tmp_path / "masks"


@pytest.fixture
def ins_seg(tmp_path: Path) -> Path:
    shapes = np.zeros((3, *SIZE), bool)
    shapes[0, :40] = shapes[1, 30:] = shapes[2, 20:60, 5:9] = True
    scored = []
    for name in FRAMES:
        scores = np.array([0.3, 0.9, 0.6])
        pixels, kept = instance_bitmask(shapes, scores, np.array([0, 7, 2]))
        write_mask(pixels, mask_path(tmp_path / "out" / "bitmasks", name))
        scored.append(scored_frame(name, scores[kept]))
    write_frames(scored, tmp_path / "out" / "score.json")
    return tmp_path / "out"


@pytest.fixture
def pan_seg(tmp_path: Path) -> Path:
    segments = np.arange(72 * 128).reshape(SIZE) // 1024
    for name in FRAMES:
        write_mask(panoptic_bitmask(segments, {1: 6, 2: 34, 3: 34, 4: 39}), mask_path(tmp_path / "pan", name))
    return tmp_path / "pan"


def test_good_submissions(det: Path, masks: Path, ins_seg: Path, pan_seg: Path, tmp_path: Path) -> None:
    assert check("det", det) == []
    # A folder may hold other files as well, as the evaluators' does.
    (tmp_path / "scores.json").write_text("{}")
    assert check("det", tmp_path) == []
    (tmp_path / "scores.json").unlink()
    det_folder = tmp_path / "only"
    det_folder.mkdir()
    shutil.copy(det, det_folder)
    assert check("det", zipped(det_folder)) == []
    for task in ("sem_seg", "drivable"):
        assert check(task, masks) == check(task, masks.parent / "masks") == check(task, zipped(masks)) == []
    assert check("ins_seg", ins_seg) == check("ins_seg", zipped(ins_seg, "bitmasks", "score.json")) == []
    assert check("pan_seg", pan_seg) == check("pan_seg", zipped(pan_seg)) == []
    assert describe_defects([]) == ""


def test_what_a_mac_leaves_beside_the_files_is_none_of_them(det: Path, masks: Path, tmp_path: Path) -> None:
    junk = {"__MACOSX/._a.png": masks, "__MACOSX/._det.json": tmp_path / "only"}
    (tmp_path / "only").mkdir()
    shutil.copy(det, tmp_path / "only/other.json")
    for (name, folder), task in zip(junk.items(), ("sem_seg", "det"), strict=True):
        path = zipped(folder)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"\0\5\26\7")
        assert texts(check(task, path)) == [f"extra file: {name}: None: does not belong into the zip"]
        (folder / name).parent.mkdir()
        (folder / name).write_bytes(b"\0\5\26\7")
        assert check(task, folder) == []


def test_masks_in_one_folder_of_a_zip(masks: Path) -> None:
    path = masks.parent / "nested.zip"
    write_submission(masks.parent, path, ("masks",))
    assert check("sem_seg", path) == []


def test_processes_find_the_same(masks: Path, ins_seg: Path) -> None:
    mask_path(masks, "b.jpg").write_bytes(b"")
    mask_path(ins_seg / "bitmasks", "b.jpg").write_bytes(b"")
    for task, path in (("sem_seg", zipped(masks)), ("ins_seg", zipped(ins_seg))):
        found = check_submission(task, path, FRAMES, SIZE, processes=2)
        assert len(found) == 1 and found == check_submission(task, path, FRAMES, SIZE)


Edit = Callable[[list[dict[str, Any]]], object]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda f: f.pop(), "missing frame: det.json: c.jpg: is not in the list"),
        (lambda f: f.append(f[0]), "frame twice: det.json: a.jpg: stands in the list again"),
        (lambda f: f.append({"name": "z.jpg"}), "extra frame: det.json: z.jpg: is no image of the split"),
        (lambda f: f.append({"labels": []}), "frame: det.json: None: number 3 of the list is no frame: Object missing"),
        (
            lambda f: f[0]["labels"][1].update(category="unicorn"),
            "category: det.json: a.jpg: 1 of 2 labels, first 1 (",
        ),
        (lambda f: f[0]["labels"][1].pop("score"), "label: det.json: a.jpg: 1 of 2 labels; label 1 (traffic sign): Ob"),
        (lambda f: f[0]["labels"][0].update(score=None), "label: det.json: a.jpg: 1 of 2 labels; label 0 (car): Expec"),
        (lambda f: f[0]["labels"].append(7), "label: det.json: a.jpg: 1 of 3 labels; a label that is no object"),
        (
            lambda f: f[1]["labels"][1].update(score=float("nan")),
            "score: det.json: b.jpg: 1 of 2 labels, first 3 (tr",
        ),
        (lambda f: f[0]["labels"][0]["box2d"].update(x2=float("inf")), "box: det.json: a.jpg: 1 of 2 labels, first 0"),
        (lambda f: f[0]["labels"][1]["box2d"].update(x2=3.5), "box: det.json: a.jpg: 1 of 2 labels, first 1 (traffic"),
        (
            lambda f: f[0]["labels"][0]["box2d"].update(x2=128),
            "box: det.json: a.jpg: 1 of 2 labels, first 0 (car): b",
        ),
        (lambda f: f[0]["labels"][0].pop("box2d"), "label: det.json: a.jpg: 1 of 2 labels; label 0 (car): Object miss"),
    ],
)
def test_bad_detections(edit: Edit, expected: str, det: Path) -> None:
    frames = json.loads(det.read_text())
    edit(frames)
    det.write_text(json.dumps(frames))
    (found,) = texts(check("det", det))
    assert found.startswith(expected)


def test_all_is_found_at_once_and_counted(det: Path) -> None:
    frames = [{"name": f"{i}.jpg"} for i in range(1200)]
    frames.append({"name": "a.jpg", "labels": [{"category": "car", "score": float("nan"), "id": 3}]})
    det.write_text(json.dumps(frames))
    findings = check("det", det)
    assert Counter(f.kind for f in findings) == {"extra frame": 1200, "missing frame": 2, "label": 1}
    assert describe_defects(findings, most=1).splitlines() == [
        "extra frame: 1,200",
        "  det.json: frame 0.jpg: is no image of the split",
        "  and 1,199 more",
        "label: 1",
        "  det.json: frame a.jpg: 1 of 1 labels; label 3 (car): Object missing required field `box2d`",
        "missing frame: 2",
        "  det.json: frame b.jpg: is not in the list",
        "  and 1 more",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "file: det.json: None: the file is empty"),
        (b'{"frames": []}', 'file: det.json: None: holds {"frames": [...]}; the server takes the list itself'),
        (b"7", "file: det.json: None: holds no list of frames"),
        (b'[{"name": "a.jpg", "labels": [{"ca', "file: det.json: None: the JSON is cut off after 34 bytes"),
    ],
)
def test_files_that_are_no_list(content: bytes, expected: str, det: Path) -> None:
    det.write_bytes(content)
    first, *missing = texts(check("det", det))
    assert first.startswith(expected)
    assert [text.split(":")[0] for text in missing] == ["missing frame"] * 3


LIST = b'[{"name": "a.jpg"}, {"name": "b.jpg"}, {"name": "c.jpg"}]'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (codecs.BOM_UTF8 + LIST, "begins with a byte-order mark, which the official loader refuses; save it in UTF-8"),
        (LIST.decode().encode("utf-16"), "is UTF-16 or UTF-32; the server reads UTF-8 alone: save it so"),
        (LIST.decode().encode("utf-16-le"), "is UTF-16 or UTF-32"),
        (gzip.compress(LIST), "is packed by gzip, which the server does not read; unpack it"),
        (b'{"name": "a.jpg", "labels": []}\n{"name": "b.jpg"}\n', "holds a JSON object a line; the server takes one"),
        (b'{"name": "a.jpg", "labels": []}', "holds one frame alone; the server takes one list of all frames"),
        (b'[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]', "is a list of COCO results"),
        (b'{"images": [], "annotations": []}', "is a COCO file; convert it with tools/convert_labels.py"),
        (LIST.replace(b"b.jpg", b"b.jpg\xff"), r"is not UTF-8 \(byte 0xff at 35\); save it so"),
        (b"[" * 10_000, "has lists or objects that lie too deep in each other"),
    ],
)
def test_files_that_the_official_loader_does_not_take(content: bytes, expected: str, det: Path) -> None:
    det.write_bytes(content)
    first = next(one for one in check("det", det) if one.kind == "file")
    assert re.match(expected, first.text)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            lambda f: f.__setitem__(
                slice(None),
                [{"name": n, "category": "car", "bbox": [1, 2, 3, 4], "score": 0.5} for n in FRAMES for _ in range(3)],
            ),
            "labels: det.json: None: 9 of 9 are objects with the name of their frame each, as in the lists of 2018",
        ),
        (
            lambda f: [frame.update(objects=frame.pop("labels")) for frame in f],
            'labels: det.json: None: 3 frames have no "labels", but "objects", which is not read; call it labels',
        ),
        (
            lambda f: f[0].update(predictions=f[0].pop("labels")),
            'labels: det.json: None: 1 frames have no "labels", but "predictions", which is not read; call it labels',
        ),
        (lambda f: [frame.update(labels=[]) for frame in f], "labels: det.json: None: no frame has a prediction"),
        (lambda f: [frame.pop("labels") for frame in f], "labels: det.json: None: no frame has a prediction"),
        (lambda f: [frame.update(labels=None) for frame in f], "labels: det.json: None: no frame has a prediction"),
    ],
)
def test_files_without_predictions_say_why(edit: Edit, expected: str, det: Path) -> None:
    frames = json.loads(det.read_text())
    edit(frames)
    for document in (frames, [*frames, {"name": "a.jpg", "x": float("nan")}]):
        det.write_text(json.dumps(document))
        found = [text for text in texts(check("det", det)) if "frame twice" not in text]
        assert len(found) == 1 and (found[0].startswith(expected) or document is not frames)


def test_one_frame_without_labels_is_one_without_predictions(det: Path) -> None:
    frames = json.loads(det.read_text())
    for frame, edit in zip(frames, ({"labels": []}, {"labels": None}), strict=False):
        edit_of = {**frame, **edit, "url": "x", "videoName": "v", "timestamp": 66.6, "lanes": {}, "index": 7}
        frame.clear()
        frame.update(edit_of)
    frames[2] = {
        "name": "c.jpg",
        "labels": [{"id": 1, "category": "car", "score": 1, "box2d": dict.fromkeys(CORNERS, 1)}],
    }
    det.write_text(json.dumps(frames))
    assert check("det", det) == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda f: f[0]["labels"][0].pop("id"),
        lambda f: f[0]["labels"][0].update(id=None),
        lambda f: f[0]["labels"][0].update(id=1.5, attributes={"occluded": True}),
        lambda f: f[0]["labels"][0].update(attributes={"trafficLightColor": None}),
        lambda f: f[0]["labels"][0].update(attributes=["occluded"]),
        lambda f: f[0].update(attributes={"weather": None}),
        lambda f: f[0].update(attributes={"weather": "clear", "hour": 7}),
        lambda f: f[0].update(timestamp=66.6, frameIndex=1.0, videoName=5),
        lambda f: f[0].update(timestamp=[1]),
        lambda f: f[0].update(size={"width": 128}),
        lambda f: f[0].update(size={"width": 128, "height": 72}),
        lambda f: f[0].update(labels={}),
        lambda f: f[0].update(labels=None, more=1),
        lambda f: f[0]["labels"][0].update(box2d=[1, 2, 3, 4]),
        lambda f: f[0]["labels"][0]["box2d"].pop("x1"),
        lambda f: f[0]["labels"][0].update(category=["car"]),
        lambda f: f.append(None),
    ],
)
def test_what_the_official_loader_refuses_is_never_sound(edit: Edit, det: Path) -> None:
    io = pytest.importorskip("scalabel.label.io", reason="the official toolkit is not installed")
    frames = json.loads(det.read_text())
    edit(frames)
    det.write_text(json.dumps(frames))
    try:
        io.load(str(det))
    except (TypeError, ValueError):
        assert check("det", det)
    else:
        assert check("det", det) == []


def test_what_a_file_says_is_printed_in_one_harmless_line(det: Path) -> None:
    frames = json.loads(det.read_text())
    frames[0]["labels"][0]["category"] = "car\x1b[31m\n" + "x" * 500
    frames.append({"name": "\ud800\n.jpg"})
    frames.append({"name": "a\x1b\n.jpg"})
    det.write_text(json.dumps(frames))
    report = describe_defects(check("det", det))
    assert len(report.splitlines()) == 5 and "\x1b" not in report and r"car\x1b[31m\nxx" in report


def rgb(path: Path) -> None:
    Image.new("RGB", (128, 72)).save(path)


def palette(path: Path) -> None:
    Image.new("P", (128, 72)).save(path)


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.zeros(SIZE, np.uint16)).save(path)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Path.unlink, "missing frame: b.png: b.jpg: has no file"),
        (lambda p: shutil.copy(p, p.with_name("z.png")), "extra frame: z.png: None: no image of the split has this"),
        (rgb, "image: b.png: b.jpg: has to be grey of 8 bits, is RGB of 8 bits"),
        (palette, "image: b.png: b.jpg: has to be grey of 8 bits, is palette of"),
        (sixteen_bits, "image: b.png: b.jpg: has to be grey of 8 bits, is grey of 16 bits"),
        (lambda p: p.write_bytes(b""), "image: b.png: b.jpg: is an empty file"),
        (lambda p: p.write_bytes(b"GIF89a" * 9), "image: b.png: b.jpg: is a GIF file; write PNG files"),
        (lambda p: p.write_bytes(p.read_bytes()[:50]), "image: b.png: b.jpg: is a damaged PNG file"),
        (
            lambda p: write_mask(np.zeros((128, 72), np.uint8), p),
            "image: b.png: b.jpg: is 72x128 pixels",
        ),
        (
            lambda p: write_mask(np.full(SIZE, 255, np.uint8), p),
            "class id: b.png: b.jpg: 9,216 pixels have the ids",
        ),
    ],
)
def test_bad_masks(edit: Callable[[Path], object], expected: str, masks: Path) -> None:
    edit(masks / "b.png")
    for path in (masks, zipped(masks)):
        (found,) = texts(check("sem_seg", path))
        assert found.startswith(expected)


def test_drivable_has_three_classes(masks: Path) -> None:
    write_mask(np.arange(72 * 128, dtype=np.uint8).reshape(SIZE) % 5, masks / "a.png")
    assert texts(check("drivable", masks)) == [
        "class id: a.png: a.jpg: 3,672 pixels have the ids 3, 4; classes are 0 to 2, others score as wrong"
    ]


def test_masks_in_several_folders(masks: Path) -> None:
    (masks / "more" / "deep").mkdir(parents=True)
    (masks / "c.png").rename(masks / "more" / "deep" / "c.png")
    shutil.copy(masks / "a.png", masks / "more" / "deep" / "a.png")
    (masks / "notes.txt").touch()
    kinds = Counter(f.kind for f in check("sem_seg", masks))
    assert kinds == {"layout": 2, "frame twice": 1}
    assert Counter(f.kind for f in check("sem_seg", zipped(masks))) == kinds | {"extra file": 1}


def test_bad_zips(masks: Path) -> None:
    path = zipped(masks)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="masks.zip: the zip cannot be opened .*cut off"):
        check("sem_seg", path)
    # A byte within the pixels of b.png.
    place = content.index(b"IDAT", content.index(b"b.png")) + 8
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    (found,) = texts(check("sem_seg", path))
    assert found.startswith("image: b.png: b.jpg: the zip is damaged here (Bad CRC-32")
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../d.png", "/e.png", "c:\\f.png"):
            archive.writestr(name, b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(masks / "a.png", "a.png")
    found = check("sem_seg", path)
    assert [(f.kind, f.file) for f in found[:4]] == [
        ("unsafe name", "../d.png"),
        ("unsafe name", "/e.png"),
        ("file twice", "a.png"),
        ("unsafe name", "c:\\f.png"),
    ]
    assert len(found) == 4


def test_a_member_that_unpacks_to_far_more_than_a_mask(masks: Path) -> None:
    path = masks.parent / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.png", "c.png"):
            archive.write(masks / name, name)
        with archive.open("b.png", "w") as file:
            for _ in range(65):
                file.write(bytes(1 << 20))
    assert texts(check("sem_seg", path)) == ["image: b.png: b.jpg: unpacks to 68,157,440 bytes, which no mask has"]


def test_a_list_that_unpacks_to_a_hundred_times_its_size(det: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "_SMALL_FILE", 1 << 20)
    path = det.with_name("bomb.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("det.json", bytes(2 << 20))
    first, *_ = texts(check("det", path))
    assert first == "file: det.json: None: unpacks to 2,097,152 bytes, which no list has"


def test_a_zip_that_unpacks_to_a_hundred_times_its_size(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "_SMALL_ZIP", 1 << 20)
    path = masks.parent / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(64):
            archive.writestr(f"{i}.png", bytes(1 << 18))
    with pytest.raises(DataError, match=r"bomb.zip: the zip unpacks to 16,777,216 bytes, more than 100 times its own"):
        check("sem_seg", path)


def test_a_member_that_says_less_than_it_holds(masks: Path) -> None:
    path = masks.parent / "lie.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.png", "c.png"):
            archive.write(masks / name, name)
        archive.writestr("b.png", bytes(50 << 20))
    content = path.read_bytes()
    path.write_bytes(content.replace((50 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    tracemalloc.start()
    (found,) = texts(check("sem_seg", path))
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()
    assert found.startswith("image: b.png: b.jpg: the zip is damaged here (Bad CRC-32")


@pytest.mark.parametrize(
    ("method", "flags", "expected"),
    [
        (zipfile.ZIP_LZMA, 0, "is packed by another method than deflate; zip the files again"),
        (zipfile.ZIP_BZIP2, 0, "is packed by another method than deflate; zip the files again"),
        (97, 0, "is packed by another method than deflate; zip the files again"),
        (zipfile.ZIP_STORED, 1, "is encrypted; zip the files without a password"),
        (zipfile.ZIP_STORED, 1 << 5, "the zip is damaged here (compressed patched data"),
    ],
)
def test_members_that_servers_do_not_unpack(masks: Path, method: int, flags: int, expected: str) -> None:
    content = bytearray(zipped(masks).read_bytes())
    for signature, name_at in ((b"PK\3\4", 30), (b"PK\1\2", 46)):
        place = next(i for i in found_at(content, signature) if content[i + name_at : i + name_at + 5] == b"b.png")
        start = place + (6 if name_at == 30 else 8)
        content[start : start + 4] = struct.pack("<HH", flags, method)
    masks.with_suffix(".zip").write_bytes(content)
    (found,) = texts(check("sem_seg", masks.with_suffix(".zip")))
    assert found.startswith(f"image: b.png: b.jpg: {expected}")


def found_at(content: bytes, what: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(what), content)]


def test_a_damaged_zip_has_defects_or_one_error(masks: Path, det: Path) -> None:
    """Each byte of the list of the members is changed, in turn, and bytes of the members at random."""
    (det.parent / "only").mkdir()
    shutil.copy(det, det.parent / "only")
    rng = np.random.default_rng(0)
    for task, path in (("sem_seg", zipped(masks)), ("det", zipped(det.parent / "only"))):
        whole = path.read_bytes()
        listed = whole.index(b"PK\1\2")
        for place in (*range(listed, len(whole)), *rng.integers(0, listed, 100)):
            damaged = bytearray(whole)
            damaged[place] = rng.choice([0, 1, 127, 128, 255, damaged[place] ^ 1])
            path.write_bytes(damaged)
            try:
                defects = check(task, path)
            except DataError as error:
                assert str(error).startswith(f"{path}: ")
            else:
                assert "\0" not in describe_defects(defects)


def edit_scores(folder: Path, edit: Edit) -> None:
    frames = json.loads((folder / "score.json").read_text())
    edit(frames)
    (folder / "score.json").write_text(json.dumps(frames))


def two_categories(folder: Path) -> None:
    pixels = np.array(Image.open(folder / "bitmasks" / "b.png"))
    pixels[0, 0, 0] += 1
    write_mask(pixels, folder / "bitmasks" / "b.png")


def ninth_category(folder: Path) -> None:
    pixels = np.array(Image.open(folder / "bitmasks" / "b.png"))
    pixels[pixels[..., 0] == 8, 0] = 9
    write_mask(pixels, folder / "bitmasks" / "b.png")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda d: (d / "bitmasks" / "b.png").unlink(), "missing frame: b.png: b.jpg: has no file"),
        (
            lambda d: edit_scores(d, lambda f: f[1]["labels"].pop()),
            "instance: bitmasks/b.png: b.jpg: 1 instances (3)",
        ),
        (
            lambda d: edit_scores(d, lambda f: f[1]["labels"].append({"index": 9, "score": 1})),
            "instance: bitmasks/b.png: b.jpg: 1 instances (9) of score.json have no pixel",
        ),
        (
            lambda d: edit_scores(d, lambda f: f[1]["labels"].append({"index": 1, "score": 1})),
            "instance: bitmasks/b.png: b.jpg: an index stands twice",
        ),
        (
            lambda d: edit_scores(d, lambda f: f[1]["labels"][0].update(score=float("nan"))),
            "score: score.json: b.jpg: a score is not finite",
        ),
        (
            lambda d: rgb(d / "bitmasks" / "b.png"),
            "image: bitmasks/b.png: b.jpg: has to be RGBA of 8 bits, is RGB of",
        ),
        (two_categories, "image: bitmasks/b.png: b.jpg: the bitmask: annotation id 3 has several categories (1, 2)"),
        (ninth_category, "category: bitmasks/b.png: b.jpg: instances 1 have category ids other than 1 to 8"),
    ],
)
def test_bad_instances(edit: Callable[[Path], object], expected: str, ins_seg: Path) -> None:
    edit(ins_seg)
    for path in (ins_seg, zipped(ins_seg)):
        (found,) = texts(check("ins_seg", path))
        assert found.startswith(expected)


def test_instances_by_id_instead_of_index(ins_seg: Path) -> None:
    edit_scores(ins_seg, lambda f: f[2].update(labels=[{"id": "1", "score": 0.5}]))
    label, instances = texts(check("ins_seg", ins_seg))
    assert label == "label: score.json: c.jpg: 1 of 1 labels; label 1 (None): Object missing required field `index`"
    assert instances.startswith("instance: bitmasks/c.png: c.jpg: 3 instances (1, 2, 3) have no score")


def test_the_layout_of_instances(ins_seg: Path, tmp_path: Path) -> None:
    nested = tmp_path / "nested.zip"
    write_submission(ins_seg.parent, nested, ("out",))
    assert texts(check("ins_seg", nested)) == [
        "layout: out/score.json: None: the server looks for bitmasks and score.json at the top of the zip, not in out"
    ]
    (ins_seg / "score.json").unlink()
    (found,) = texts(check("ins_seg", ins_seg))
    assert found.startswith("layout: score.json: None: 0 files of this name")


def test_segments_that_would_not_be_scored(pan_seg: Path) -> None:
    pixels = np.array(Image.open(pan_seg / "a.png"))
    pixels[pixels[..., 0] == 40, 1] = 1
    write_mask(pixels, pan_seg / "a.png")
    pixels[pixels[..., 0] == 7, 0] = 41
    write_mask(pixels, pan_seg / "c.png")
    assert texts(check("pan_seg", pan_seg)) == [
        "instance: a.png: a.jpg: segments are marked as crowd or ignored, and would not be scored",
        "category: c.png: c.jpg: instances 7 have category ids other than 1 to 40",
        "instance: c.png: c.jpg: segments are marked as crowd or ignored, and would not be scored",
    ]


def test_more_segments_than_the_official_tool_takes(pan_seg: Path) -> None:
    ids = np.arange(72 * 128, dtype=np.uint8).reshape(SIZE) % 101
    write_mask(np.dstack([np.full_like(ids, 35), ids * 0, ids * 0, ids + 1]), pan_seg / "b.png")
    assert texts(check("pan_seg", pan_seg)) == [
        "instance: b.png: b.jpg: 101 segments; the official tool fails on more than 100 in an image"
    ]


def segment(rows: slice, height: int = 72, category: str = "road") -> dict[str, Any]:
    mask = np.zeros((height, 128), np.uint8, order="F")
    mask[rows] = 1
    rle = coco_mask.encode(mask)
    return {"id": "0", "category": category, "rle": {"counts": rle["counts"].decode(), "size": rle["size"]}}


def test_segments_as_run_lengths(tmp_path: Path) -> None:
    path = tmp_path / "pan_seg.json"
    frames = [{"name": name, "labels": [segment(slice(9)), segment(slice(9, 20), category="car")]} for name in FRAMES]
    path.write_text(json.dumps(frames))
    assert check("pan_seg", path) == []
    frames[0]["labels"].append(segment(slice(8, 10)))
    frames[1]["labels"].append(segment(slice(30, 40), height=90))
    frames[2]["labels"][0]["category"] = "pedestrian"
    frames[2]["labels"][1]["rle"]["counts"] = "0"
    path.write_text(json.dumps(frames))
    found = texts(check("pan_seg", path))
    for text, start in zip(
        found,
        (
            "overlap: pan_seg.json: a.jpg: segments overlap, for which the official tool scores none of the frame",
            "run lengths: pan_seg.json: b.jpg: label 0 (road): the mask has 90x128 pixels, the image 72x128",
            "category: pan_seg.json: c.jpg: label 0 (pedestrian): no class of pan_seg",
            "run lengths: pan_seg.json: c.jpg: label 0 (car): the run lengths add up to 0 pixels",
        ),
        strict=True,
    ):
        assert text.startswith(start)


def test_nothing_to_check(masks: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file or folder; give the file, folder or zip"):
        check("det", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no file in it"):
        check("sem_seg", tmp_path / "empty")
    with pytest.raises(DataError, match="masks: one JSON file is expected, det.json"):
        check("det", masks)
    with pytest.raises(DataError, match="no task 'lane'"):
        check("lane", masks)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="a superuser may read any file")
def test_a_file_that_may_not_be_read(masks: Path) -> None:
    (masks / "b.png").chmod(0)
    assert texts(check("sem_seg", masks)) == ["image: b.png: b.jpg: cannot be read (Permission denied)"]
