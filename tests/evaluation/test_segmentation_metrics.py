import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bdd100k_d2.data.masks import check_mask, frame_to_mask, read_mask
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.metrics.segmentation import confusion_matrix, segmentation_scores, without_background
from bdd100k_d2.evaluation.toolkit_format import extra_segmentation_metrics, official_segmentation, summary
from bdd100k_d2.tasks import TASKS


def test_the_mask_oracle(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["sem_seg_masks"]
    truth, prediction = (read_mask(oracles / expected[side] / "a.png") for side in ("gt", "pred"))
    # The toolkit's own test scores two classes of which the second takes in whatever lies beyond.
    matrix = confusion_matrix(np.minimum(truth, 1), np.minimum(prediction, 1), 2)
    assert matrix.tolist() == [[93, 1, 0], [4, 2, 0]]
    scores = segmentation_scores(matrix)
    assert {
        "mIoU": scores.mean(scores.iou),
        "mAcc": scores.mean(scores.precision),
        "fIoU": scores.frequency_iou,
        "pAcc": scores.pixel_accuracy,
    } == pytest.approx(expected["scores"], abs=1e-9, rel=0)


def test_the_run_length_oracle(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["sem_seg"]
    classes = TASKS["sem_seg"].names
    ids = {name: i for i, name in enumerate(classes)}
    truth, prediction = (read_labels(oracles / expected[side]).frames[0] for side in ("gt", "pred"))
    matrix = confusion_matrix(frame_to_mask(truth, ids, 720, 1280), frame_to_mask(prediction, ids, 720, 1280), 19)
    official = official_segmentation(TASKS["sem_seg"], matrix)
    assert summary(official) == pytest.approx(expected["scores"], abs=1e-9, rel=0)
    for name, value in expected["IoU"].items():
        assert official["IoU"][0][name] == pytest.approx(value, abs=1e-8)
    # "Acc" is the precision; the recall is another number.
    recall = extra_segmentation_metrics(TASKS["sem_seg"], matrix)["Recall"]
    assert recall[1]["AVERAGE"] == pytest.approx(np.mean([v for v in recall[0].values() if not np.isnan(v)]))
    assert official["Acc"][1]["AVERAGE"] != pytest.approx(recall[1]["AVERAGE"])


def test_a_missing_prediction_counts_as_wrong(oracles: Path) -> None:
    ids = {name: i for i, name in enumerate(TASKS["sem_seg"].names)}
    truth = frame_to_mask(read_labels(oracles / "sem_seg/sem_seg_sample.json").frames[0], ids, 720, 1280)
    scores = segmentation_scores(confusion_matrix(truth, np.full_like(truth, 255), 19))
    assert scores.mean(scores.iou) == scores.pixel_accuracy == scores.frequency_iou == 0


def reference_matrix(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    matrix = np.zeros((num_classes, num_classes + 1), np.int64)
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if t < num_classes:
            matrix[t, min(p, num_classes)] += 1
    return matrix


def test_noise_and_areas_are_counted_alike() -> None:
    rng = np.random.default_rng(1)
    areas = np.kron(rng.integers(0, 19, (3, 4)), np.ones((8, 8))).astype(np.uint8)
    noise = rng.integers(0, 256, areas.shape).astype(np.uint8)
    for truth, prediction in ((areas, areas), (areas, noise), (noise, areas), (noise, noise[::-1])):
        np.testing.assert_array_equal(confusion_matrix(truth, prediction, 19), reference_matrix(truth, prediction, 19))
    assert confusion_matrix(areas[:0], areas[:0], 19).sum() == 0


def test_out_of_range_predictions_are_wrong_and_ignored_pixels_do_not_count() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 5, 255], (30, 40)).astype(np.uint8)
    prediction = rng.choice([0, 1, 5, 7, 19, 30, 255], (30, 40)).astype(np.uint8)
    matrix = confusion_matrix(truth, prediction, 19)
    np.testing.assert_array_equal(matrix, reference_matrix(truth, prediction, 19))
    assert matrix.dtype == np.int64 and matrix.sum() == (truth != 255).sum()
    scores = segmentation_scores(matrix)
    assert scores.present.sum() == 3
    # Class 7 is predicted and never true: 0, and not in the mean.
    assert scores.iou[7] == 0 and scores.iou[18] == 0
    assert scores.mean(scores.iou) == pytest.approx(scores.iou[[0, 1, 5]].mean())
    assert np.isnan(scores.recall[7])


def test_counts_do_not_wrap() -> None:
    frame = confusion_matrix(np.zeros((720, 1280), np.uint8), np.zeros((720, 1280), np.uint8), 19)
    matrix = frame * 10_000
    assert matrix[0, 0] == 9_216_000_000 and segmentation_scores(matrix).pixel_accuracy == 100


def test_drivable_background_is_not_scored_officially() -> None:
    truth = np.array([[0, 0, 1, 2, 2, 2, 255]], np.uint8)
    everywhere_direct = np.array([[0, 0, 1, 0, 0, 0, 0]], np.uint8)
    matrix = confusion_matrix(truth, everywhere_direct, 3)
    official = segmentation_scores(without_background(matrix, 2))
    assert official.mean(official.iou) == 100
    strict = segmentation_scores(matrix)
    np.testing.assert_allclose(strict.iou, [40, 100, 0])
    missed = without_background(confusion_matrix(truth, np.full_like(truth, 2), 3), 2)
    np.testing.assert_array_equal(missed, [[0, 0, 2], [0, 0, 1]])


@pytest.mark.parametrize("mode", ["sem_seg", "drivable"])
def test_random_masks_equal_the_toolkit(tmp_path: Path, mode: str) -> None:
    seg = pytest.importorskip("bdd100k.eval.seg", reason="the toolkit is not installed: pip install -e .[toolkit]")
    rng = np.random.default_rng(5)
    classes = len(TASKS[mode].names)
    total = np.zeros((classes, classes + 1), np.int64)
    for i in range(6):
        truth = rng.choice([*range(0, classes, 2), 1, 255], (40, 60)).astype(np.uint8)
        prediction = np.where(rng.random((40, 60)) < 0.7, truth, rng.integers(0, classes + 3, (40, 60))).astype(
            np.uint8
        )
        if i == 5:  # a missing prediction
            prediction[:] = 255
        for name, mask in (("gt", truth), ("pred", prediction)):
            if (name, i) != ("pred", 5):
                (tmp_path / name).mkdir(exist_ok=True)
                cv2.imwrite(str(tmp_path / name / f"{i}.png"), mask)
        total += confusion_matrix(truth, prediction, classes)
    paths = [[str(path) for path in sorted((tmp_path / name).iterdir())] for name in ("gt", "pred")]
    theirs = seg.evaluate_segmentation(*paths, mode=mode, nproc=1, with_logs=False)
    ours = official_segmentation(TASKS[mode], total)
    assert summary(ours) == pytest.approx(theirs.summary(), abs=1e-9, rel=0)
    assert ours["IoU"][0] == pytest.approx(theirs.IoU[0], abs=1e-9, rel=0)
    assert ours["Acc"][0] == pytest.approx(theirs.Acc[0], abs=1e-9, rel=0)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), "one channel of 8-bit class ids, this image is RGB"),
        (np.zeros((4, 4), np.uint16), "one channel of 8-bit class ids"),
        (np.zeros((4, 4, 4), np.uint8), "this image is RGBA"),
    ],
)
def test_masks_of_another_kind_are_refused(tmp_path: Path, pixels: np.ndarray, message: str) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), pixels)
    with pytest.raises(DataError, match=message) as error:
        read_mask(tmp_path / "mask.png")
    assert "mask.png" in str(error.value)


def test_unreadable_masks_are_named(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"no image")
    for name in ("mask.png", "missing.png"):
        with pytest.raises(DataError, match=f"{name}: the mask cannot be read"):
            read_mask(tmp_path / name)


def test_ids_that_are_no_class_are_named() -> None:
    mask = np.array([[0, 18, 255]], np.uint8)
    assert check_mask(mask, 19, "a.png") is mask
    with pytest.raises(DataError, match=r"a.png: the mask holds the ids \[19, 200\]; 0 to 18 and 255 are allowed"):
        check_mask(np.array([[0, 19, 200]], np.uint8), 19, "a.png")


def test_run_lengths_of_another_size_are_named(oracles: Path) -> None:
    frame = read_labels(oracles / "sem_seg/sem_seg_sample.json").frames[0]
    with pytest.raises(DataError, match="frame 7d06fefd-f7be05a6.jpg, label .*720x1280 pixels, the image 100x100"):
        frame_to_mask(frame, {"sky": 10}, 100, 100)
