"""Files without a usable label: read as what they are, or refused, and never scored 0 without a word."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from support.conversion_cases import run

from bdd100k_d2.data import unlabelled
from bdd100k_d2.data.convert.scalabel import read_scalabel
from bdd100k_d2.data.labels import Box2D, Label
from bdd100k_d2.data.vintages import Vintage, read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation import box_reader
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import summary

CORNERS = {"x1": 10, "y1": 20, "x2": 99, "y2": 80}


def write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def truth(folder: Path) -> Path:
    label = {"id": "0", "category": "car", "box2d": CORNERS}
    return write(folder / "gt.json", [{"name": name, "labels": [label]} for name in ("a.jpg", "b.jpg")])


def flat(*names: str, **changes: object) -> list[dict[str, Any]]:
    box = {"timestamp": 10000, "category": "car", "bbox": [10, 20, 99, 80], "score": 0.9} | changes
    return [{"name": name} | {key: value for key, value in box.items() if value is not None} for name in names]


@pytest.mark.parametrize("large", (False, True))
def test_the_flat_list_of_2018_is_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, large: bool
) -> None:
    if large:
        monkeypatch.setattr(box_reader, "_LARGE", 0)
        monkeypatch.setattr(box_reader, "_PART", 1)
    # One box per frame could be frames without labels; several stand apart.
    for entries in (flat("a.jpg", "b.jpg"), [*flat("a.jpg", "b.jpg"), *flat("a.jpg", category="bus", score=0.1)]):
        with caplog.at_level(logging.INFO, "bdd100k_d2"):
            found = evaluate_files("det", truth(tmp_path), write(tmp_path / "pred.json", entries), workers=1)
        assert summary(found.official)["AP"] == pytest.approx(100)
        assert f"the flat list of the challenge of 2018, {len(entries)} boxes (x1, y1, x2, y2) of 2" in caplog.text


def test_the_flat_list_is_gathered_in_frames(tmp_path: Path) -> None:
    entries = [*flat("b.jpg", "a.jpg"), *flat("b.jpg", category="bike", score=None, timestamp="x", id="i")]
    path = write(tmp_path / "flat.json", entries)
    b, a = read_labels(path).frames
    assert (b.name, a.name) == ("b.jpg", "a.jpg")
    assert b.labels == [
        Label(0, "car", 0.9, box2d=Box2D(10, 20, 99, 80)),
        Label("i", "bike", None, box2d=Box2D(10, 20, 99, 80)),
    ]
    assert [frame.name for frame in read_scalabel(path)] == ["b.jpg", "a.jpg"]
    assert run(path, tmp_path / "coco.json", "coco").labels == 3


def test_a_flat_list_may_be_ground_truth(tmp_path: Path) -> None:
    path = write(tmp_path / "flat.json", flat("a.jpg", "b.jpg", score=None, category="person"))
    assert read_labels(path).vintage is Vintage.LISTS_2018
    predictions = write(tmp_path / "pred.json", flat("a.jpg", "b.jpg", category="person"))
    assert summary(evaluate_files("det", path, predictions, workers=1).official)["AP"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (flat("a.jpg", bbox=[50, 60, 30, 40]), "entry 0, of frame a.jpg: a bbox of the flat list of 2018 is x1, y1"),
        ([*flat("a.jpg"), *flat("a.jpg", bbox=[50, 60, 70, 40])], "entry 1, of frame a.jpg: .*x, y, width and height"),
        ([*flat("a.jpg"), {"name": "b.jpg"}], 'no frame has "labels", and 1 of 2 have "'),
        (flat("a.jpg", bbox=None, box2d=CORNERS), 'no frame has "labels", and 1 of 1 have "'),
    ],
)
def test_other_flat_lists_are_refused(tmp_path: Path, entries: list[dict[str, Any]], message: str) -> None:
    path = write(tmp_path / "pred.json", entries)
    with pytest.raises(DataError, match=f"pred.json: {message}"):
        evaluate_files("det", truth(tmp_path), path, workers=1)
    with pytest.raises(DataError, match=f"pred.json: {message}"):
        run(path, tmp_path / "coco.json", "coco")


OBJECT = {"category": "car", "score": 0.9, "box2d": CORNERS}


@pytest.mark.parametrize("key", ("objects", "annotations", "predictions", "boxes", "instances", "Labels", "x\x1b[31m"))
@pytest.mark.parametrize("large", (False, True))
def test_objects_under_another_key_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, large: bool
) -> None:
    if large:
        monkeypatch.setattr(box_reader, "_LARGE", 0)
        monkeypatch.setattr(box_reader, "_PART", 1)
    path = write(tmp_path / "pred.json", [{"name": "a.jpg", key: [OBJECT]}, {"name": "b.jpg", key: [1]}])
    shown = key.replace("\x1b", r"\\x1b").replace("[", r"\[")
    message = rf'pred.json: no frame has "labels", and 1 of 2 have "{shown}"; write frames as .*convert_labels.py reads'
    with pytest.raises(DataError, match=message):
        evaluate_files("det", truth(tmp_path), path, workers=1)
    with pytest.raises(DataError, match=message):
        run(path, tmp_path / "coco.json", "coco")
    assert not (tmp_path / "coco.json").exists()


@pytest.mark.parametrize(
    "frames",
    [
        [{"name": "a.jpg"}, {"name": "b.jpg", "videoName": "b", "frameIndex": 3, "timestamp": 1, "url": None}],
        [{"name": "a.jpg", "labels": None}, {"name": "b.jpg", "labels": []}],
        [{"name": "a.jpg", "attributes": {"weather": "clear"}, "tags": ["x"], "gps": [1.5, 2]}],
        [{"name": "a.jpg", "labels": None, "tags": ["x"], "points": [{"x": 1}, 2], "boxes": [[1, 2]], "score": 1}],
        [{"name": "a.jpg", "size": {"width": 160, "height": 96}, "attributes": {"weather": "clear"}, "x": "y"}],
        [],
    ],
)
def test_frames_without_labels_stay_frames(tmp_path: Path, frames: list[dict[str, Any]]) -> None:
    found = read_labels(write(tmp_path / "in.json", frames)).frames
    assert [frame.name for frame in found] == [one["name"] for one in frames]
    assert not any(frame.labels for frame in found)


@pytest.mark.parametrize("indent", (None, 4))
def test_objects_beside_labels_that_are_null_are_named(tmp_path: Path, indent: int | None) -> None:
    frames = [{"name": f"{i}.jpg", "labels": None, "tags": ["x"], "objects": [OBJECT]} for i in range(2)]
    path = tmp_path / "in.json"
    path.write_text(json.dumps(frames, indent=indent))
    with pytest.raises(DataError, match='in.json: no frame has any "labels", and 2 of 2 have "objects"; write'):
        read_labels(path)
    path.write_text(json.dumps([{"name": "a.jpg", "labels": [], "objects": [OBJECT]}], indent=indent))
    with pytest.raises(DataError, match='in.json: no frame has any "labels", and 1 of 1 have "objects"; write'):
        read_labels(path)
    path.write_text(json.dumps([{"name": "a.jpg", "boxes": [[1, 2, 3, 4]]}], indent=indent))
    with pytest.raises(DataError, match='in.json: no frame has "labels", and 1 of 1 have "boxes"; write'):
        read_labels(path)


def test_labels_are_decoded_to_the_first_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = {"category": "lane", "poly2d": []}
    path = write(tmp_path / "in.json", [{"name": f"{i}.jpg", "labels": [lane] * 9} for i in range(9)])
    decoded = []
    monkeypatch.setattr(unlabelled, "_begins", lambda *_: decoded.append(1) or False)
    assert len(read_labels(path).frames) == 9 and len(decoded) == 1


def test_objects_of_the_first_release_under_another_key(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"name": "a", "frames": [{"timestamp": 1, "labels": [OBJECT]}]})
    with pytest.raises(DataError, match='a.json: no frame has "objects", and 1 of 1 have "labels"'):
        read_labels(path)


@pytest.mark.parametrize("key", ("bbox", "box", "xyxy"))
def test_labels_without_a_shape_are_refused(tmp_path: Path, key: str) -> None:
    label = {"id": 0, "category": "car", "score": 0.9, key: [10, 20, 99, 80]}
    path = write(tmp_path / "pred.json", [{"name": "a.jpg", "labels": [label]}, {"name": "b.jpg", "labels": [label]}])
    message = rf'pred.json: no label has a box \(box2d\), a mask .*, and 2 have "{key}"; a box is written as "box2d"'
    with pytest.raises(DataError, match=message):
        evaluate_files("det", truth(tmp_path), path, workers=1)
    with pytest.raises(DataError, match=message):
        run(path, tmp_path / "coco.json", "coco")


@pytest.mark.parametrize("shape", ({"poly2d": [{"vertices": []}]}, {"box3d": {"a": 1}}, {"graph": {}}, {}))
def test_labels_of_other_shapes_are_labels(tmp_path: Path, shape: dict[str, Any]) -> None:
    label = {"id": 0, "category": "lane", "attributes": {"laneStyle": "solid"}} | shape
    (frame,) = read_labels(write(tmp_path / "in.json", [{"name": "a.jpg", "labels": [label]}])).frames
    assert [label.category for label in frame.labels] == ["lane"]


# All pixels of the official size.
MASK = {"counts": "0PPTl0", "size": [720, 1280]}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"category": "car", "score": 1, "rle": MASK}], 'not one of the 1 predictions has "box2d", but rle; write'),
        ([{"category": "car", "score": 1, "poly2d": []}], 'not one of the 1 predictions has "box2d", but poly2d;'),
        (None, 'no frame has "labels"; write "labels": \\[\\] for a frame without'),
    ],
)
def test_predictions_of_which_none_can_be_scored(
    tmp_path: Path, labels: list[dict[str, Any]] | None, message: str
) -> None:
    frame = {"name": "a.jpg"} | ({} if labels is None else {"labels": labels})
    with pytest.raises(DataError, match=f"pred.json: {message}"):
        evaluate_files("det", truth(tmp_path), write(tmp_path / "pred.json", [frame]), workers=1)


@pytest.mark.parametrize("task", ("ins_seg", "pan_seg", "sem_seg"))
def test_predicted_boxes_are_no_masks(tmp_path: Path, task: str) -> None:
    labels = [{"id": 0, "category": "car", "rle": MASK}]
    gt = write(tmp_path / "gt.json", [{"name": "a.jpg", "labels": labels}])
    pred = write(tmp_path / "pred.json", [{"name": "a.jpg", "labels": [OBJECT]}])
    with pytest.raises(DataError, match='pred.json: not one of the 1 predictions has "rle", but box2d; write "rle"'):
        evaluate_files(task, gt, pred, workers=1)


@pytest.mark.parametrize("labels", ([], None))
def test_no_prediction_at_all_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: list[Any] | None
) -> None:
    path = write(tmp_path / "pred.json", [{"name": "a.jpg", "labels": labels}])
    masks = [{"id": 0, "category": "car", "rle": MASK}]
    gt = write(tmp_path / "masks.json", [{"name": "a.jpg", "labels": masks}])
    for task, of in (("det", truth(tmp_path)), ("ins_seg", gt), ("pan_seg", gt), ("sem_seg", gt)):
        caplog.clear()
        evaluate_files(task, of, path, workers=1)
        assert "pred.json: no frame has a prediction, so everything counts as missed." in caplog.text


def test_a_key_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "pred.json"
    path.write_bytes(b'[{"name": "a.jpg", "labels": [{"category": "car", "rle": null, "\xed": 0.5}]}]')
    with pytest.raises(DataError, match="pred.json: not UTF-8 .byte 0xed in line 1."):
        evaluate_files("det", truth(tmp_path), path, workers=1)


def test_ground_truth_without_boxes_is_refused(tmp_path: Path) -> None:
    gt = write(tmp_path / "gt.json", [{"name": "a.jpg", "labels": [{"category": "lane", "poly2d": []}]}])
    pred = write(tmp_path / "pred.json", [{"name": "a.jpg", "labels": [OBJECT]}])
    with pytest.raises(DataError, match=r"gt.json: not one of the 1 labels has a box \(box2d\); give labels/det_20/"):
        evaluate_files("det", gt, pred, workers=1)


@pytest.mark.parametrize("large", (False, True))
def test_objects_of_some_frames_under_another_key_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr(box_reader, "_LARGE", 0)
        monkeypatch.setattr(box_reader, "_PART", 1)
    label = {"category": "car", "box2d": CORNERS, "score": 0.9}
    path = write(tmp_path / "p.json", [{"name": "a.jpg", "labels": [label]}, {"name": "b.jpg", "predictions": [label]}])
    message = 'frame b.jpg has no "labels" but "predictions", where others have labels; call them the same'
    with pytest.raises(DataError, match=message):
        evaluate_files("det", truth(tmp_path), path, workers=1)
    for other in (
        {"labels": [], "objects": [label]},
        {"detections": [[10, 20, 99, 80]]},
        {"annotations": [{"name": "car", "coords": [10, 20]}]},
        {"frames": [{"objects": [label]}]},
    ):
        write(path, [{"name": "a.jpg", "labels": [label]}, {"name": "b.jpg"} | other])
        with pytest.raises(
            DataError, match='frame b.jpg has no "labels" but "(objects|detections|annotations|frames)"'
        ):
            evaluate_files("det", truth(tmp_path), path, workers=1)
        for to in ("coco", "scalabel"):
            with pytest.raises(DataError, match='frame b.jpg has no "labels" but "(objects|detections|annot|frames)'):
                run(path, tmp_path / "out.json", to)
    # What is no list of objects is no label.
    write(path, [{"name": "a.jpg", "labels": [label]}, {"name": "b.jpg", "tags": ["wet"], "cameras": [{"lens": 1}]}])
    assert len(evaluate_files("det", truth(tmp_path), path, workers=1).official) > 1


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"name": "car", "class": 2, "confidence": 0.9, "box": {"x1": 1, "y1": 1, "x2": 5, "y2": 5}}, "class"),
        ({"name": "a.jpg", "xmin": 1, "ymin": 1, "xmax": 5, "ymax": 5}, "xmin"),
        ({"name": "a.jpg", "conf": 0.5, "x": 1}, "conf"),
    ],
)
def test_a_table_with_a_row_per_box_is_refused(tmp_path: Path, row: dict[str, Any], key: str) -> None:
    path = write(tmp_path / "rows.json", [row, row])
    with pytest.raises(DataError, match=f'no frame has "labels", and 2 of 2 have "{key}"'):
        read_labels(path)


def test_the_box_that_should_be_written_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "b.json", [{"name": "a.jpg", "labels": [{"category": "car", "bbox": [1, 2, 3, 4]}]}])
    with pytest.raises(DataError, match=r'a box is written as "box2d": {"x1", "y1", "x2", "y2"}, in pixels'):
        read_labels(path)
