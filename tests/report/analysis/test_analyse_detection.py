import json
import logging
from pathlib import Path

import numpy as np
import pytest

from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, Label, LabelAttributes, write_frames
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.report.analysis.detection import analyse_detection
from bdd100k_d2.report.analysis.detection_records import ERROR_TYPES, NOT_COUNTED, RIGHT, DetectionAnalysis
from bdd100k_d2.tasks import TASKS


def box(x: float, category: str = "car", score: float | None = None, size: int = 40, **attributes: bool) -> Label:
    attributes = LabelAttributes(**attributes) if attributes else None
    return Label("0", category, score, attributes, Box2D(x, 0, x + size - 1, size - 1))


FRAMES = [
    Frame(
        "b.jpg",
        attributes=FrameAttributes("rainy", "highway", "night"),
        labels=[box(0, occluded=True), box(100, "bus", occluded=False), box(300, "other vehicle", size=200)],
    ),
    Frame("a.jpg", attributes=FrameAttributes("clear", "highway", "night"), labels=[box(0), box(600, "van")]),
    Frame("c.jpg", labels=[]),
    Frame("d.jpg", attributes=FrameAttributes("clear", "highway", "daytime"), labels=[box(0, "train")]),
]
FOUND = [
    Frame("a.jpg", labels=[box(0, score=0.9), box(2, score=0.8), box(620, score=0.7)]),
    Frame("b.jpg", labels=[box(0, score=0.2), box(100, "truck", 0.6), box(350, score=0.95, size=50)]),
    Frame("c.jpg", labels=[box(50, "rider", 0.5), box(50, "rider", 0.1)]),
]


def analyse(folder: Path, truth: list[Frame], found: list[Frame], **arguments: object) -> DetectionAnalysis:
    write_frames(truth, folder / "labels.json")
    write_frames(found, folder / "det.json")
    return analyse_detection(folder / "labels.json", folder / "det.json", **{"bootstrap": 20, **arguments})


@pytest.fixture
def analysis(tmp_path: Path) -> DetectionAnalysis:
    return analyse(tmp_path, FRAMES, FOUND)


def test_the_headline_is_the_official_score(oracles: Path) -> None:
    truth, predicted = oracles / "det" / "gt.json", oracles / "det" / "pred.json"
    found = analyse_detection(truth, predicted, bootstrap=50)
    expected = json.loads((oracles / "expected.json").read_text())["det"]
    assert {name: one.value for name, one in found.headline.items()} == expected["scores"]
    evaluation = evaluate_files("det", truth, predicted, by="occluded")
    by_class = {
        metric: [{row.name: row.toolkit_scores[metric] for row in found.classes}, {"OVERALL": one.value}]
        for metric, one in found.headline.items()
    }
    # As text, in which NaN equals NaN.
    assert json.dumps(by_class) == json.dumps(evaluation.official)
    for row in found.classes:
        per_class = expected["AP_per_class"][row.name]
        assert row.ap.value == per_class or (per_class is None and np.isnan(row.ap.value))
        assert np.isnan(row.ap.value) or row.ap.low <= row.ap.value <= row.ap.high
    for metric in ("AP", "AP50", "AP75", "AR100"):
        value, low, high = found.headline[metric]
        assert low < value < high and high - low < 15
    assert found.num_boxes + found.num_ignored == 3241 and found.num_ignored == 132
    assert (found.num_frames, found.num_detections) == (202, 5372)
    assert json.dumps(found.slices["occluded"].to_json()) == json.dumps(evaluation.slices["occluded"].to_json())


def test_counts_of_the_split(analysis: DetectionAnalysis) -> None:
    assert (analysis.num_frames, analysis.num_boxes, analysis.num_ignored, analysis.num_detections) == (4, 5, 1, 8)
    assert analysis.num_without_prediction == 1
    car = analysis.classes[TASKS["det"].names.index("car")]
    assert (car.boxes, car.confident) == (3, 4)
    assert analysis.errors[0].counts == {
        "classification": 1,
        "localisation": 1,
        "both": 0,
        "duplicate": 1,
        "background": 1,
        "missed": 2,  # the car of a low score, and the train
    }
    assert analysis.errors[0].right == 1 and analysis.sizes[0].found.sum() == 1
    assert analysis.confusion[TASKS["det"].names.index("bus"), TASKS["det"].names.index("truck")] == 1
    assert {curve.name for curve in analysis.curves} == {"car", "bus", "train"}


def test_slices_that_are_known(analysis: DetectionAnalysis) -> None:
    assert set(analysis.slices) == {"weather", "scene", "timeofday", "size", "occluded"}
    weather = analysis.slices["weather"]
    assert [(row.value, row.count) for row in weather.rows] == [("rainy", 1), ("clear", 2), ("unlabelled", 1)]
    assert weather.rows[1].scores["AP"][0]["train"] == 0
    size = analysis.slices["size"]
    assert [(row.value, row.count) for row in size.rows] == [("small", 0), ("medium", 5), ("large", 0)]
    assert summary(size.rows[1].scores) == {
        "AP": analysis.headline["APm"].value,
        "AR": analysis.headline["ARm"].value,
    }
    assert "32x32" in size.definition and "96x96" in size.definition


def test_the_worst_frames_come_first_with_all_their_boxes(analysis: DetectionAnalysis) -> None:
    # a and b have two errors each, and nothing of b is right.
    assert [frame.name for frame in analysis.worst] == ["b.jpg", "a.jpg", "c.jpg", "d.jpg"]
    assert list(analysis.frame_errors.items()) == [("b.jpg", 2), ("a.jpg", 2), ("c.jpg", 1), ("d.jpg", 1)]
    b, a, c, d = analysis.worst
    assert [one.outcome for one in b.predicted] == [NOT_COUNTED, "classification", RIGHT]
    assert [one.truth for one in b.predicted] == [2, 1, 0] and [one.iou for one in b.predicted] == [1, 1, 1]
    assert b.truth[0].found_score == pytest.approx(0.2) and b.truth[0].occluded is True
    assert np.isnan(b.truth[1].found_score) and b.truth[1].blamed_score == 0.6 and b.truth[1].occluded is False
    assert b.truth[2].ignored and b.truth[2].corners == (300, 0, 499, 199) and b.truth[2].occluded is False
    assert [one.outcome for one in a.predicted] == [RIGHT, "duplicate", "localisation"]
    assert a.predicted[2].iou == pytest.approx(1 / 3) and a.predicted[0].corners == (0, 0, 39, 39)
    assert (b.attributes.weather, c.attributes, d.attributes.timeofday) == ("rainy", None, "daytime")
    assert [one.truth for one in c.predicted] == [-1, -1] and d.predicted == ()
    assert "score 0.3" in analysis.ranking


def test_each_class_error_and_slice_has_its_worst_frames(tmp_path: Path) -> None:
    names_ = [frame.name for frame in analyse(tmp_path, FRAMES, FOUND, worst=1, worst_each=1).worst]
    # d is the worst of class train and of daytime, c of class rider and of type background.
    assert names_ == ["b.jpg", "a.jpg", "c.jpg", "d.jpg"]
    assert [frame.name for frame in analyse(tmp_path, FRAMES, FOUND, worst=1, worst_each=0).worst] == ["b.jpg"]
    assert analyse(tmp_path, FRAMES, FOUND, worst=0, worst_each=0).worst == ()


def test_any_frame_is_to_be_had_by_its_name(tmp_path: Path) -> None:
    found = [*FOUND[:2], Frame("c.jpg", labels=[])]
    analysis = analyse(tmp_path, FRAMES, found, worst=0, worst_each=0)
    assert list(analysis.frame_errors.items()) == [("b.jpg", 2), ("a.jpg", 2), ("d.jpg", 1), ("c.jpg", 0)]
    assert analysis.worst == ()
    c, b = analysis.frames(["c.jpg", "b.jpg"])
    assert (c.name, c.truth, c.predicted) == ("c.jpg", (), ())
    # As text, in which NaN equals NaN.
    assert str(b) == str(analyse(tmp_path, FRAMES, found, worst=1, worst_each=0).worst[0])


def test_the_score_threshold_decides_what_counts(tmp_path: Path) -> None:
    low, high = (analyse(tmp_path, FRAMES, FOUND, score_threshold=score) for score in (0.0, 0.99))
    assert low.errors[0].right == 2 and low.errors[0].counts["missed"] == 1
    assert high.errors[0].right == 0 and high.errors[0].counts == {**dict.fromkeys(ERROR_TYPES, 0), "missed": 5}
    assert low.headline["AP"] == high.headline["AP"] and low.errors[0].costs == high.errors[0].costs


def test_a_shown_frame_can_be_redrawn_at_any_threshold(oracles: Path) -> None:
    files = oracles / "det" / "gt.json", oracles / "det" / "pred.json"
    threshold = 0.6
    at_low, expected = (
        analyse_detection(*files, bootstrap=0, worst=0, worst_each=0, score_threshold=score) for score in (0, threshold)
    )
    total = dict.fromkeys((*ERROR_TYPES, RIGHT), 0)
    for shown in at_low.frames(list(expected.frame_errors)):
        kept = [one for one in shown.predicted if one.score >= threshold]
        missed = [
            one
            for one in shown.truth
            if not (one.ignored or one.found_score >= threshold or one.blamed_score >= threshold)
        ]
        counts = {kind: sum(one.outcome == kind for one in kept) for kind in total} | {"missed": len(missed)}
        assert sum(counts[kind] for kind in ERROR_TYPES) == expected.frame_errors[shown.name]
        total = {kind: total[kind] + count for kind, count in counts.items()}
        assert all(shown.truth[one.truth].found_score == one.score for one in kept if one.outcome == RIGHT)
    assert total == {**expected.errors[0].counts, RIGHT: expected.errors[0].right} and len(expected.frame_errors) == 202


def test_one_frame_again_and_again_has_no_width(tmp_path: Path) -> None:
    labels = [box(0), box(100), box(200, "bus")]
    found = [box(0, score=0.9), box(500, score=0.8), box(103, score=0.7), box(208, "bus", 0.6)]
    copies = [Frame(f"{i}.jpg", labels=labels) for i in range(30)], [Frame(f"{i}.jpg", labels=found) for i in range(30)]
    analysis = analyse(tmp_path, *copies, bootstrap=50)
    for one in (analysis.headline["AP"], analysis.headline["AR100"], analysis.classes[2].ap, analysis.classes[4].ap50):
        assert one.value == pytest.approx(one.low, abs=1e-9) == pytest.approx(one.high, abs=1e-9) and one.value > 0


def test_images_are_found_and_missing_ones_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").touch()
    with caplog.at_level(logging.WARNING):
        worst = analyse(tmp_path, FRAMES, FOUND, images=images).worst
    assert {frame.name: frame.image for frame in worst}["a.jpg"] == images / "a.jpg"
    assert sum(frame.image is None for frame in worst) == 3
    assert "3 of 4 images to be shown are not in this folder; the first is b.jpg" in caplog.text


def test_no_detection_at_all(tmp_path: Path) -> None:
    analysis = analyse(tmp_path, FRAMES, [Frame(frame.name, labels=[]) for frame in FRAMES])
    assert analysis.headline["AP"].value == analysis.headline["AP"].low == analysis.headline["AP"].high == 0
    assert analysis.errors[0].counts == {**dict.fromkeys(ERROR_TYPES, 0), "missed": 5}
    assert analysis.num_without_prediction == 4 and analysis.confusion[:, -1].sum() == 5
    assert all(len(curve.recall) == 0 and curve.ap == 0 for curve in analysis.curves)


def test_no_ground_truth_at_all(tmp_path: Path) -> None:
    analysis = analyse(tmp_path, [Frame(frame.name) for frame in FRAMES], FOUND)
    assert np.isnan([*analysis.headline["AP"]]).all() and analysis.curves == ()
    assert analysis.errors[0].counts["background"] == 6 and np.isnan(analysis.errors[0].costs["background"])
    assert set(analysis.slices) == {"size"}


def test_frames_without_prediction_count_as_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    analysis = analyse(tmp_path, FRAMES, FOUND[:1])
    assert "3 of 4 frames have no prediction and count as empty" in caplog.text
    assert analysis.num_without_prediction == 3 and analysis.errors[0].counts["missed"] == 3


@pytest.mark.parametrize("place", ["truth", "predictions"])
def test_unknown_classes_are_refused(tmp_path: Path, place: str) -> None:
    bad = [Frame("a.jpg", labels=[box(0, "spaceship", 0.5)])]
    with pytest.raises(DataError, match=r"frame a.jpg, label 0: unknown category 'spaceship'"):
        analyse(tmp_path, *((bad, FOUND) if place == "truth" else (FRAMES, bad)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bootstrap": -1}, "bootstrap is -1; give 0 or more."),
        ({"worst": -2}, "worst is -2"),
        ({"score_threshold": 1.5}, "score threshold of 1.5 .* from 0 to 1"),
    ],
)
def test_bad_numbers_are_refused(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        analyse(tmp_path, FRAMES, FOUND, **arguments)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.json: no such file or folder; check the path."):
        analyse_detection(tmp_path / "nowhere.json", tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="images: no such folder; give the folder of the images"):
        analyse(tmp_path, FRAMES, FOUND, images=tmp_path / "images")
