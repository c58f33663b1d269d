import json
from pathlib import Path

import numpy as np
import pytest

from bdd100k_d2.data.labels import Box2D, Frame, Label, LabelAttributes
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation import box_reader
from bdd100k_d2.evaluation.box_reader import reading_boxes
from bdd100k_d2.evaluation.boxes import ground_truth_columns, predicted_boxes


def frames_of(corners: list[tuple[float, float, float, float]]) -> list[Frame]:
    """Frames with three labels each, the second of which has no box."""
    labels = [Label(id=i, category="car", score=0.5, box2d=Box2D(*box)) for i, box in enumerate(corners)]
    pairs = [labels[i : i + 2] for i in range(0, len(labels), 2)]
    return [
        Frame(name=f"{i:05}.jpg", labels=[pair[0], Label(id="none"), *pair[1:]]) for i, pair in enumerate(pairs)
    ] + [Frame(name="last.jpg"), Frame(name="z.jpg", labels=[])]


# MessagePack begins a list of up to 15, of up to 65,535 and of more items in three ways.
@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_corners_are_those_of_the_labels_to_the_last_bit(count: int) -> None:
    corners = np.random.default_rng(count).normal(300, 400, (count, 4))
    frames = frames_of(list(map(tuple, corners.tolist())))
    boxes = predicted_boxes(frames)
    np.testing.assert_array_equal(boxes.corners, corners)
    assert boxes.corners.shape == (count, 4) and boxes.corners.dtype == np.float64
    assert boxes.without_box == (count + 1) // 2 and len(boxes.names) == len(frames)
    np.testing.assert_array_equal(boxes.frame, np.arange(count) // 2)
    names = sorted(frame.name for frame in frames)
    truth, _ = ground_truth_columns(frames, names)
    np.testing.assert_array_equal(truth.box[:, 2], corners[:, 2] - corners[:, 0] + 1)


@pytest.mark.parametrize("whole", [0, 7, -7, 200, 70_000, 1 << 40, -(1 << 40)])
def test_corners_of_frames_in_memory_may_be_whole_numbers(whole: int) -> None:
    """Of every size that MessagePack writes otherwise, among others."""
    corners = [(0.5, 1.5, 2.5, 3.5), (0.25, whole, 2.0, 3.0), (whole, whole, whole, whole)]
    np.testing.assert_array_equal(predicted_boxes(frames_of(corners)).corners, np.array(corners, np.float64))


def test_corners_of_frames_in_memory_may_be_numbers_of_numpy() -> None:
    corners = [tuple(np.float64(value) for value in (0.5, 1.5, 2.5, 3.5)), (0.25, 1.0, 2.0, 3.0)]
    np.testing.assert_array_equal(predicted_boxes(frames_of(corners)).corners, np.array(corners, np.float64))


def test_truth_has_no_scores_and_knows_what_is_a_crowd() -> None:
    boxes = [Label(category=name, box2d=Box2D(0.0, 0.0, 9.0, 4.0)) for name in ("car", "car", "other vehicle", "bus")]
    boxes[1].attributes = LabelAttributes(occluded=True, truncated=False, crowd=True)
    boxes[3].attributes = LabelAttributes(occluded=False, ignored=True)
    truth, flags = ground_truth_columns([Frame(name="a.jpg", labels=boxes)], ["a.jpg"])
    assert truth.box.tolist() == [[0, 0, 10, 5]] * 4
    assert truth.crowd.tolist() == flags.crowd.tolist() == [False, True, True, True]
    assert flags.occluded.tolist() == [-1, 1, -1, 0] and flags.truncated.tolist() == [-1, 0, -1, -1]


@pytest.mark.parametrize("forks", [True, False])
def test_the_shortest_labels_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: bool) -> None:
    """A part's boxes have to fit into as many bytes as it has in the file."""
    frames = [
        {
            "name": str(i),
            "labels": [
                {"category": ("bus", "car")[j % 2], "score": j % 2, "box2d": {"x1": j, "y1": 0, "x2": 9, "y2": 9}}
                for j in range(i % 9)
            ],
        }
        for i in range(60)
    ]
    path = tmp_path / "det.json"
    path.write_text(json.dumps(frames, separators=(",", ":")))
    monkeypatch.setattr(box_reader, "_LARGE", 0)
    monkeypatch.setattr(box_reader, "_PART", 200)
    monkeypatch.setattr(box_reader, "CAN_FORK", forks)
    # The general reader, which reads what the parts cannot, would come to the same.
    monkeypatch.setattr(box_reader, "read_predictions", None)
    with reading_boxes(path, 2) as boxes:
        found = boxes()
    assert found.names == [str(i) for i in range(60)]
    labels = [(i, j) for i in range(60) for j in range(i % 9)]
    assert list(zip(found.frame.tolist(), found.corners[:, 0].tolist(), strict=True)) == labels
    assert found.category.tolist() == [(4, 2)[j % 2] for _, j in labels]
    assert found.score.tolist() == [j % 2 for _, j in labels]
    assert all(column.flags.owndata and column.flags.aligned for column in found[1:5])


@pytest.mark.parametrize("corner", (1e308, -1e308, 1e100, np.inf, np.nan))
def test_corners_that_are_none_in_pixels_are_refused(corner: float) -> None:
    frames = [Frame("a.jpg", labels=[Label("7", "car", 0.5, box2d=Box2D(0, 0, corner, 9))])]
    with pytest.raises(DataError, match=r"frame a.jpg, label 7: the box \(0, 0, .*, 9\) is none in pixels; mend"):
        predicted_boxes(frames)
    with pytest.raises(DataError, match="is none in pixels"):
        ground_truth_columns(frames, ["a.jpg"])
