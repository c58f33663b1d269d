import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bdd100k_d2.data.labels import Frame, FrameAttributes, write_frames
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.report.analysis.segmentation import SegmentationAnalysis, analyse_segmentation
from bdd100k_d2.tasks import TASKS


def write(folder: Path, masks: dict[str, list[list[int]]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, rows in masks.items():
        cv2.imwrite(str(folder / f"{stem}.png"), np.array(rows, np.uint8))
    return folder


# road 0, car 13, sky 10
TRUTH = {
    "a": [[0, 0, 0, 0], [13, 13, 255, 255]],
    "b": [[0, 0, 10, 10], [0, 0, 10, 10]],
    "c": [[255] * 4, [255] * 4],
}
FOUND = {
    "a": [[0, 0, 0, 13], [13, 13, 0, 0]],
    "b": [[0, 0, 10, 10], [0, 0, 10, 10]],
    "c": [[0] * 4, [0] * 4],
}


def analyse(folder: Path, task: str = "sem_seg", **arguments: object) -> SegmentationAnalysis:
    truth, found = write(folder / "truth", TRUTH), write(folder / "found", FOUND)
    return analyse_segmentation(TASKS[task], truth, found, **{"bootstrap": 20, "workers": 1, **arguments})


def random_masks(folder: Path, task: str, frames: int, seed: int = 0) -> tuple[Path, Path]:
    rng = np.random.default_rng(seed)
    classes = len(TASKS[task].names)
    truth = {f"{i:03d}": np.repeat(np.repeat(rng.integers(0, classes, (6, 8)), 4, 0), 4, 1) for i in range(frames)}
    found = {
        name: np.where(rng.random(mask.shape) < 0.3 + 0.6 * rng.random(), mask, rng.integers(0, classes, mask.shape))
        for name, mask in truth.items()
    }
    truth["000"][:4] = 255
    return write(folder / "truth", truth), write(folder / "found", found)


def test_the_headline_is_the_official_score_of_run_lengths(oracles: Path) -> None:
    files = oracles / "sem_seg" / "sem_seg_sample.json", oracles / "sem_seg" / "sem_seg_preds.json"
    analysis = analyse_segmentation(TASKS["sem_seg"], *files, bootstrap=5)
    expected = json.loads((oracles / "expected.json").read_text())["sem_seg"]
    scores = {name: analysis.headline[name].value for name in expected["scores"]}
    assert scores == pytest.approx(expected["scores"], abs=1e-9)
    ious = {row.name: row.iou.value for row in analysis.classes if row.is_scored}
    assert ious == pytest.approx(expected["IoU"], abs=1e-6)
    (frame,) = analysis.worst
    assert frame.score == pytest.approx(expected["scores"]["mIoU"])
    # One frame, drawn again and again.
    assert all(one.low == one.high == pytest.approx(one.value) for one in analysis.headline.values())


@pytest.mark.parametrize("task", ["sem_seg", "drivable"])
def test_scores_are_those_of_the_command(tmp_path: Path, task: str) -> None:
    truth, found = random_masks(tmp_path, task, 12)
    evaluation = evaluate_files(task, truth, found)
    analysis = analyse_segmentation(TASKS[task], truth, found, bootstrap=100)
    assert {name: one.value for name, one in analysis.headline.items()} == (
        summary(evaluation.official) | summary(evaluation.extra_metrics)
    )
    assert ("mIoU-strict" in analysis.headline) == (task == "drivable")
    for one in (*analysis.headline.values(), *(row.iou for row in analysis.classes)):
        assert one.low < one.value < one.high
    scored = {row.name: row for row in analysis.classes if row.is_scored}
    assert list(scored) == list(evaluation.official["IoU"][0])
    for name, row in scored.items():
        assert row.iou.value == evaluation.official["IoU"][0][name]
        assert row.precision == evaluation.official["Acc"][0][name]
        assert row.recall == evaluation.extra_metrics["Recall"][0][name]
    if task == "drivable":
        background = analysis.classes[-1]
        assert (
            background.iou.value == evaluation.extra_metrics["IoU-strict"][0]["background"] and not background.is_scored
        )
    # 12 frames of 24x32 pixels, of which the first has four rows of pixels that are left out.
    assert analysis.confusion.sum() == 12 * 24 * 32 - 4 * 32
    assert [row.true_pixels for row in analysis.classes] == analysis.confusion.sum(axis=1).tolist()


def test_the_worst_frames_and_their_masks(tmp_path: Path) -> None:
    analysis = analyse(tmp_path)
    # c has no scored pixel.
    assert [(frame.name, frame.score) for frame in analysis.worst] == [
        ("a", pytest.approx(100 * (3 / 4 + 2 / 3) / 2)),
        ("b", 100.0),
    ]
    worst = analysis.worst[0]
    assert worst.truth.read().tolist() == TRUTH["a"] and worst.predicted.read().tolist() == FOUND["a"]
    assert worst.pixel_accuracy == pytest.approx(100 * 5 / 6) and worst.attributes is None and worst.image is None
    assert worst.classes == {"road": 75.0, "car": pytest.approx(200 / 3)}
    assert analysis.slices == {} and analysis.num_frames == 3
    # Of slices that there are not nothing is shown.
    assert analysis.ranking.endswith("Shown are the first 60, the 4 with the most wrong pixels of each class.")
    road = analysis.classes[0]
    assert (road.true_pixels, road.frames) == (8, 2)


def test_frames_that_are_bad_at_a_class_are_shown_too(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth", {"a": [[0, 0, 13]], "b": [[10, 10, 10]], "c": [[10, 10, 0]]})
    found = write(tmp_path / "found", {"a": [[13, 13, 0]], "b": [[10, 10, 0]], "c": [[10, 10, 0]]})
    shown = analyse_segmentation(TASKS["sem_seg"], truth, found, bootstrap=0, worst=1, worst_each=1).worst
    assert [frame.name for frame in shown] == ["a", "b"]
    shown = analyse_segmentation(TASKS["sem_seg"], truth, found, bootstrap=0, worst=0, worst_each=1).worst
    assert [frame.name for frame in shown] == ["a", "b"]


def test_background_as_direct_is_no_official_error_of_drivable(tmp_path: Path) -> None:
    truth, found = write(tmp_path / "truth", {"a": [[0, 1, 2, 2]]}), write(tmp_path / "found", {"a": [[0, 1, 0, 2]]})
    analysis = analyse_segmentation(TASKS["drivable"], truth, found, bootstrap=0)
    (frame,) = analysis.worst
    assert frame.score == 100 and frame.classes == {"direct": 100, "alternative": 100, "background": 50}
    assert analysis.confusion[2, 0] == 1 and analysis.headline["mIoU-strict"].value < 100


def test_a_class_on_pixels_that_are_not_scored_has_no_iou(tmp_path: Path) -> None:
    # Direct is predicted where the truth is background, which the official score of direct does not see.
    truth, found = write(tmp_path / "truth", {"a": [[1, 1, 2, 2]]}), write(tmp_path / "found", {"a": [[1, 1, 0, 2]]})
    (frame,) = analyse_segmentation(TASKS["drivable"], truth, found, bootstrap=0).worst
    assert frame.classes == {"alternative": 100, "background": 50}
    write(tmp_path / "found", {"a": [[1, 0, 0, 2]]})
    (frame,) = analyse_segmentation(TASKS["drivable"], truth, found, bootstrap=0).worst
    assert frame.classes == {"direct": 0, "alternative": 50, "background": 50}


def test_slices_by_the_attributes_of_a_label_file(tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    write_frames(
        [
            Frame("a.jpg", attributes=FrameAttributes("rainy", None, "night")),
            Frame("b.jpg", attributes=FrameAttributes("clear", None, "night")),
        ],
        labels,
    )
    analysis = analyse(tmp_path, attributes=labels)
    assert set(analysis.slices) == {"weather", "timeofday"}
    weather = analysis.slices["weather"]
    assert [(row.value, row.count) for row in weather.rows] == [("rainy", 1), ("clear", 1), ("unlabelled", 1)]
    assert summary(weather.rows[0].scores)["mIoU"] == analysis.worst[0].score
    assert weather.rows[0].scores["IoU"][0]["road"] == 75 and str(labels) in weather.definition
    assert analysis.worst[0].attributes.weather == "rainy"
    assert [row.count for row in analysis.slices["timeofday"].rows] == [2, 1]


def test_attributes_of_other_frames_are_refused(tmp_path: Path) -> None:
    write_frames([Frame("z.jpg", attributes=FrameAttributes("rainy"))], tmp_path / "labels.json")
    with pytest.raises(DataError, match="none of the 3 scored frames is in it; give the labels of the split"):
        analyse(tmp_path, attributes=tmp_path / "labels.json")


def test_images_and_predictions_that_are_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = write(tmp_path / "truth", TRUTH)
    found = write(tmp_path / "found", {"b": FOUND["b"]})
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpeg").touch()
    analysis = analyse_segmentation(TASKS["sem_seg"], truth, found, tmp_path / "images", bootstrap=0)
    a, b = analysis.worst
    assert (a.score, a.predicted, a.image) == (0, None, None) and b.image == tmp_path / "images" / "b.jpeg"
    assert "2 of 3 frames have no prediction" in caplog.text and "1 of 2 images to be shown" in caplog.text
    assert analysis.confusion[:, -1].sum() == 6


def test_masks_without_a_scored_pixel(tmp_path: Path) -> None:
    truth, found = write(tmp_path / "truth", {"c": TRUTH["c"]}), write(tmp_path / "found", {"c": FOUND["c"]})
    analysis = analyse_segmentation(TASKS["sem_seg"], truth, found, bootstrap=5)
    assert np.isnan(analysis.headline["mIoU"].value) and analysis.worst == ()
    assert not any(row.is_scored for row in analysis.classes)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no analysis of masks for task 'det'; there are sem_seg, drivable."):
        analyse(tmp_path, "det")
    with pytest.raises(ConfigError, match="worst_each is -1"):
        analyse(tmp_path, worst_each=-1)
    with pytest.raises(DataError, match="images: no such folder"):
        analyse(tmp_path, images=tmp_path / "images")
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        analyse_segmentation(TASKS["sem_seg"], tmp_path / "nowhere", tmp_path / "found")
