"""JSON lists in a submission: what the official loader refuses, or reads as nothing, is a defect."""

import codecs
import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from support.submissions import FRAMES, Edit, check, texts

from bdd100k_d2.evaluation.submission import describe_defects

CORNERS = ("x1", "y1", "x2", "y2")


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
        (gzip.compress(LIST, mtime=0), "is packed by gzip, which the server does not read; unpack it"),
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


VECTOR = [0, 1, "2"]
NODE = {"location": [1, 2], "category": "x", "id": "a"}


@pytest.mark.parametrize("part", ("frame", "label"))
@pytest.mark.parametrize(
    "fields",
    [
        {"rle": {"counts": [1, 2], "size": [3, 4]}},
        {"rle": {}},
        {"rle": {"counts": 5, "size": ["3", 4.5]}},
        {"poly2d": [[[1, 2], [3, 4]]]},
        {"poly2d": [{"vertices": [[1, 2]], "closed": True}]},
        {"poly2d": [{"vertices": [[1, "2"]], "closed": "yes", "types": "L"}]},
        {"poly2d": [{"vertices": [[1, 2, 3]], "closed": True, "types": "L"}]},
        {"index": "a"},
        {"index": " 1_000 "},
        {"index": "1.5"},
        {"index": 1.5},
        {"manualShape": "maybe"},
        {"manualShape": "OFF", "manualAttributes": 1.0},
        {"manualAttributes": 2},
        {"box3d": {"alpha": 1, "orientation": VECTOR, "location": VECTOR}},
        {"box3d": {"alpha": 1, "orientation": VECTOR, "location": VECTOR, "dimension": VECTOR}},
        {"box3d": {"alpha": "x", "orientation": VECTOR, "location": VECTOR, "dimension": VECTOR}},
        {"graph": {"nodes": [], "edges": []}},
        {"graph": {"nodes": [NODE, NODE | {"location": [1, 2, 3, 4]}], "edges": []}},
        {"graph": {"nodes": [NODE | {"score": " 1e3"}], "edges": [{"source": 1}]}},
        {"graph": {"nodes": [NODE], "edges": [{"source": 1, "target": 2, "type": True}]}},
        {"timestamp": "10:31:07"},
        {"timestamp": float("nan")},
        {"timestamp": " +12 ", "frameIndex": True},
        {"frameIndex": "x"},
        {"frameIndex": 1e300},
        {"url": []},
        {"url": {}},
        {"url": 7.5, "videoName": False},
        {"size": {"width": float("nan"), "height": 72}},
        {"size": {"width": "128", "height": 72.9}},
        {"intrinsics": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
        {"intrinsics": {}},
        {"intrinsics": {"focal": [1, 2], "center": ["3", 4], "skew": "nan", "radial": None}},
        {"extrinsics": {"location": VECTOR}},
        {"extrinsics": {"location": VECTOR, "rotation": VECTOR}},
    ],
)
def test_every_field_is_taken_as_the_official_loader_takes_it(fields: dict[str, Any], part: str, det: Path) -> None:
    io = pytest.importorskip("scalabel.label.io", reason="the official toolkit is not installed")
    frames = json.loads(det.read_text())
    (frames[0] if part == "frame" else frames[0]["labels"][0]).update(fields)
    det.write_text(json.dumps(frames))
    try:
        io.load(str(det))
    except (TypeError, ValueError):
        expected = ["label"] if part == "label" else ["frame", "missing frame"]
        assert [defect.kind for defect in check("det", det)] == expected
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


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": "car-1"}, "id: pan_seg.json: a.jpg: label car-1 (road): the official tool takes whole numbers for ids"),
        ({"id": 1.5}, "id: pan_seg.json: a.jpg: label 1.5 (road): the official tool takes"),
        ({"attributes": {"crowd": True}}, "segment: pan_seg.json: a.jpg: label 0 (road): is marked as crowd or"),
        ({"attributes": {"ignored": 1}}, "segment: pan_seg.json: a.jpg: label 0 (road): is marked as crowd or"),
        (
            {"score": "high"},
            "label: pan_seg.json: a.jpg: 1 of 1 labels; label 0 (road): Expected another value - at `$.score`",
        ),
        ({"box2d": [1, 2, 3, 4]}, "label: pan_seg.json: a.jpg: 1 of 1 labels; label 0 (road): Expected `object | null"),
    ],
)
def test_segments_on_which_the_official_tool_fails(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    path = tmp_path / "pan_seg.json"
    frames = [{"name": name, "labels": [segment(slice(9))]} for name in FRAMES]
    frames[0]["labels"][0].update(changes)
    path.write_text(json.dumps(frames))
    (found,) = texts(check("pan_seg", path))
    assert found.startswith(expected)
    frames[0]["labels"] = [segment(slice(9)) | {"id": " 12", "attributes": {"crowd": False}}]
    path.write_text(json.dumps(frames))
    assert check("pan_seg", path) == []


def test_run_lengths_of_half_a_character(tmp_path: Path) -> None:
    frames = [{"name": name, "labels": [segment(slice(9))]} for name in FRAMES]
    frames[0]["labels"][0]["rle"]["counts"] = "\ud800"
    (tmp_path / "pan_seg.json").write_text(json.dumps(frames))
    (found,) = texts(check("pan_seg", tmp_path / "pan_seg.json"))
    assert found.startswith("run lengths: pan_seg.json: a.jpg: label 0 (road): the run lengths hold a character that")
