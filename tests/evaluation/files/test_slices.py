import json
from pathlib import Path

import numpy as np
import pytest

from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, Label, LabelAttributes, attributes_of, write_frames
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.evaluation.files.detection import MatchedBoxes, open_det
from bdd100k_d2.evaluation.files.instances import open_ins_seg
from bdd100k_d2.evaluation.files.segmentation import MatchedMasks
from bdd100k_d2.evaluation.files.slices import slice_by_box, slice_by_frame, slices_of
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.tasks import TASKS

SOURCE = Path("labels.json")


def box(x: float, score: float | None = None, **attributes: bool | None) -> Label:
    return Label(
        id="0",
        category="car",
        score=score,
        attributes=LabelAttributes(**attributes) if attributes else None,
        box2d=Box2D(x, 0, x + 39, 39),
    )


FRAMES = [
    Frame(name="a.jpg", attributes=FrameAttributes(weather="rainy"), labels=[box(0, occluded=True), box(100)]),
    Frame(name="b.jpg", attributes=FrameAttributes(weather="undefined"), labels=[box(0, occluded=False)]),
    Frame(name="c.jpg", labels=[box(0, occluded=True)]),
    Frame(name="d.jpg", attributes=FrameAttributes(weather="hail"), labels=[box(0, occluded=False)]),
    Frame(name="e.jpg", attributes=FrameAttributes(weather="rainy"), labels=None),
]


ATTRIBUTES = attributes_of(FRAMES)


@pytest.fixture
def matched(tmp_path: Path) -> MatchedBoxes:
    # Found are both boxes of a, the box of b after a false alarm, and nothing in c; d has only a false alarm.
    found = [
        Frame(name="a.jpg", labels=[box(0, 0.9), box(100, 0.8)]),
        Frame(name="b.jpg", labels=[box(500, 0.9), box(0, 0.6)]),
        Frame(name="d.jpg", labels=[box(500, 0.3)]),
    ]
    write_frames(found, tmp_path / "pred.json")
    write_frames(FRAMES, tmp_path / "labels.json")
    return open_det(tmp_path / "labels.json", tmp_path / "pred.json", 1).matched


def test_frames_without_an_attribute_are_a_row_of_their_own(matched: MatchedBoxes) -> None:
    by_weather = slice_by_frame(matched, "weather", ATTRIBUTES, SOURCE)
    assert [(row.value, row.count) for row in by_weather.rows] == [
        ("rainy", 2),
        ("undefined", 1),
        ("hail", 1),
        ("unlabelled", 1),
    ]
    recall = {row.value: row.scores["AR100"][0]["car"] for row in by_weather.rows}
    assert recall == pytest.approx({"rainy": 100, "undefined": 100, "hail": 0, "unlabelled": 0})
    assert {row.value: row.scores["AP50"][0]["car"] for row in by_weather.rows}["undefined"] == pytest.approx(50)
    assert "weather has that value" in by_weather.definition and "labels.json" in by_weather.definition


def test_rows_add_up_to_all_frames_and_score_like_the_frames_alone(oracles: Path, tmp_path: Path) -> None:
    frames = read_labels(oracles / "det/gt.json").frames
    for i, frame in enumerate(frames):
        frame.attributes = FrameAttributes(timeofday=(None, "night", "daytime")[i % 3])
    matched = open_det(oracles / "det/gt.json", oracles / "det/pred.json", 1).matched
    rows = slice_by_frame(matched, "timeofday", attributes_of(frames), SOURCE).rows
    assert [row.value for row in rows] == ["daytime", "night", "unlabelled"]
    assert sum(row.count for row in rows) == len(matched.names)
    write_frames([frame for frame in frames if frame.attributes.timeofday == "night"], tmp_path / "night.json")
    alone = open_det(tmp_path / "night.json", oracles / "det/pred.json", 1).matched.toolkit_scores()
    assert summary(rows[1].scores) == pytest.approx(summary(alone), abs=1e-12, rel=0, nan_ok=True)


def test_boxes_outside_of_a_slice_are_neither_missed_nor_false(matched: MatchedBoxes) -> None:
    by_occluded = slice_by_box(matched, "occluded")
    assert [(row.value, row.count) for row in by_occluded.rows] == [("true", 2), ("false", 2), ("unlabelled", 1)]
    recall = {row.value: row.scores["AR100"][0]["car"] for row in by_occluded.rows}
    assert recall == pytest.approx({"true": 50, "false": 50, "unlabelled": 100})
    precision = {row.value: row.scores["AP50"][0]["car"] for row in by_occluded.rows}
    # Of equal scores, a's right detection comes before b's false alarm; the detections of other boxes do not count.
    assert precision["true"] == pytest.approx(100 * 51 / 101)
    # The false alarm is above the right one.
    assert precision["false"] == pytest.approx(50 * 51 / 101)
    assert "count as crowds" in by_occluded.definition


def test_boxes_of_any_attribute_are_all_boxes(oracles: Path) -> None:
    matched = open_det(oracles / "det/gt.json", oracles / "det/pred.json", 1).matched
    rows = slices_of(matched, ["occluded", "truncated"], {}, SOURCE)["truncated"].rows
    # Of 3,241 boxes 132 are crowds, which are not scored.
    assert sum(row.count for row in rows) == np.count_nonzero(~matched.flags.crowd) == 3241 - 132
    everything = matched.toolkit_scores(boxes=np.ones(3241, bool))
    assert summary(everything) == summary(matched.toolkit_scores())


def test_mask_problems_are_sliced_by_the_frames_stem() -> None:
    matrices = np.zeros((3, 19, 20), np.int64)
    matrices[0, 0, 0] = matrices[1, 0, 1] = matrices[2, 0, 0] = 10
    matched = MatchedMasks(TASKS["sem_seg"], ["a", "b", "x.y"], matrices)
    rows = slice_by_frame(matched, "weather", ATTRIBUTES, SOURCE).rows
    assert [(row.value, row.count, summary(row.scores)["mIoU"]) for row in rows] == [
        ("rainy", 1, 100),
        ("undefined", 1, 0),
        ("unlabelled", 1, 100),
    ]


def test_a_frame_borrows_nothing_of_another_one_that_is_scored() -> None:
    names = ["a.jpg", "a.png"]
    matched = MatchedMasks(TASKS["sem_seg"], names, np.ones((2, 19, 20), np.int64))
    found = slice_by_frame(matched, "weather", {"a.png": FrameAttributes(weather="clear")}, Path("gt.json"))
    assert {row.value: row.count for row in found.rows} == {"clear": 1, "unlabelled": 1}


def test_bitmasks_are_sliced_by_the_frames_stem(oracles: Path) -> None:
    folder = oracles / "ins_seg_bitmask"
    matched = open_ins_seg(folder / "gt", folder / "pred", folder / "pred.json", 1)
    assert matched.names == ["a.png"]
    (row,) = slice_by_frame(matched, "weather", ATTRIBUTES, SOURCE).rows
    assert (row.value, row.count) == ("rainy", 1) and str(row.scores) == str(matched.toolkit_scores())


def test_the_definition_is_written_with_the_scores(matched: MatchedBoxes) -> None:
    slices = slices_of(matched, ["weather", "occluded"], ATTRIBUTES, SOURCE)
    written = json.loads(json.dumps(slices["weather"].to_json()))
    assert written["definition"] == slices["weather"].definition
    assert list(written["rows"]) == ["rainy", "undefined", "hail", "unlabelled"]
    assert written["rows"]["rainy"]["frames"] == 2 and written["rows"]["rainy"]["scores"]["AR100"][0]["car"] == 100
    assert slices["occluded"].to_json()["rows"]["true"]["boxes"] == 2
