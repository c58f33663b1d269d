"""What we write and read back is what was predicted, and scores as it does."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bdd100k_d2.data.bitmasks import Bitmask, decode_bitmask, encode_bitmask, read_bitmask
from bdd100k_d2.data.labels import Box2D, Frame, Label, write_frames
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.evaluation.boxes import Boxes
from bdd100k_d2.evaluation.files.detection import match_boxes, open_det
from bdd100k_d2.evaluation.files.instances import matched_bitmasks, open_ins_seg
from bdd100k_d2.evaluation.files.panoptic import matched_segments, open_pan_seg
from bdd100k_d2.evaluation.files.segmentation import MatchedMasks, open_masks
from bdd100k_d2.evaluation.metrics.instances import match_instances
from bdd100k_d2.evaluation.metrics.panoptic import bitmask_counts
from bdd100k_d2.evaluation.metrics.segmentation import confusion_matrix
from bdd100k_d2.evaluation.prediction_files import (
    detection_frames,
    instance_bitmask,
    mask_path,
    panoptic_bitmask,
    scored_frame,
    write_mask,
    write_submission,
)
from bdd100k_d2.tasks import TASKS

NAMES = TASKS["det"].names


def test_detections_score_as_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame_names = [f"{i}.jpg" for i in range(20)]
    first = rng.uniform(0, 500, (240, 2))
    corners = np.concatenate([first, first + rng.uniform(1, 200, (240, 2))], axis=1)
    classes, frame = rng.integers(0, 10, 240), np.arange(240) // 12
    objects = list(zip(corners.tolist(), classes, strict=True))
    truth = [
        Frame(name, labels=[Label(category=NAMES[k], box2d=Box2D(*box)) for box, k in objects[12 * i : 12 * i + 12]])
        for i, name in enumerate(frame_names)
    ]
    boxes = Boxes(frame_names, frame, classes, corners + rng.normal(0, 3, corners.shape), rng.random(240))
    write_frames(truth, tmp_path / "truth.json")
    in_memory = match_boxes(tmp_path / "truth.json", boxes, tmp_path / "det.json").toolkit_scores()
    assert 20 < in_memory["AP"][-1]["OVERALL"] < 100
    path = tmp_path / "det.json"
    write_frames(detection_frames(boxes, NAMES), path)
    read = read_labels(path).frames
    assert [label.id for label in read[1].labels] == [str(i) for i in range(12, 24)]
    np.testing.assert_equal(open_det(tmp_path / "truth.json", path, 1).matched.toolkit_scores(), in_memory)
    write_frames([], tmp_path / "empty.json")
    assert json.loads((tmp_path / "empty.json").read_text()) == []


@pytest.mark.parametrize("task", ["sem_seg", "drivable"])
def test_masks_score_as_in_memory(task: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = len(TASKS[task].names)
    matrices = []
    for name in ("a.b.jpg", "c.jpg"):
        truth, prediction = rng.integers(0, classes, (2, 72, 128), np.uint8)
        matrices.append(confusion_matrix(truth, prediction, classes))
        write_mask(truth, mask_path(tmp_path / "truth", name))
        write_mask(prediction, mask_path(tmp_path / "predicted", name))
    assert {path.name for path in (tmp_path / "predicted").iterdir()} == {"a.b.png", "c.png"}
    in_memory = MatchedMasks(TASKS[task], ["a.b", "c"], np.array(matrices)).toolkit_scores()
    assert open_masks(TASKS[task], tmp_path / "truth", tmp_path / "predicted", 1).toolkit_scores() == in_memory


def random_bitmask(rng: np.random.Generator, classes: int) -> Bitmask:
    """Blocks of 30 instances, some of them crowds or ignored, over a background."""
    instances = np.kron(rng.integers(0, 31, (9, 16), np.uint8), np.ones((8, 8), np.uint8))
    attributes = rng.choice([0, 0, 0, 1, 2, 12], 30).astype(np.uint8)
    return Bitmask(instances, np.arange(1, 31), rng.integers(1, classes + 1, 30), attributes)


def test_instances_score_as_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    matches, scored = [], []
    for name in ("a.jpg", "b.jpg"):
        truth = random_bitmask(rng, 8)
        write_mask(encode_bitmask(truth), mask_path(tmp_path / "truth", name))
        # Masks that overlap, two of three of which are near an instance.
        masks = (truth.instances == np.arange(1, 31)[:, None, None]) | (rng.random((30, 72, 128)) < 0.02)
        scores = rng.choice(np.linspace(0.1, 0.9, 12), 30)
        pixels, kept = instance_bitmask(masks, scores, np.where(rng.random(30) < 0.3, 1, truth.categories - 1))
        predicted = decode_bitmask(pixels, name)
        seen = decode_bitmask(encode_bitmask(truth), name)
        matches.append(match_instances(seen, predicted, np.arange(len(kept)), scores[kept], 8))
        scored.append(scored_frame(name, scores[kept]))
        write_mask(pixels, mask_path(tmp_path / "bitmasks", name))
    write_frames(scored, tmp_path / "score.json")
    in_memory = matched_bitmasks(["a", "b"], matches, TASKS["ins_seg"]).toolkit_scores()
    assert 5 < in_memory["AP"][-1]["OVERALL"] < 95
    read = open_ins_seg(tmp_path / "truth", tmp_path / "bitmasks", tmp_path / "score.json", 1).toolkit_scores()
    np.testing.assert_equal(read, in_memory)


def test_segments_score_as_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    counts = []
    for name in ("a.jpg", "b.jpg"):
        truth = random_bitmask(rng, 40)
        write_mask(encode_bitmask(truth), mask_path(tmp_path / "truth", name))
        segments = np.where(rng.random((72, 128)) < 0.3, 0, truth.instances)
        classes = dict(enumerate((truth.categories - 1).tolist(), start=1))
        pixels = panoptic_bitmask(segments, classes)
        write_mask(pixels, mask_path(tmp_path / "bitmasks", name))
        counts.append(bitmask_counts(decode_bitmask(encode_bitmask(truth), name), decode_bitmask(pixels, name), 40))
    in_memory = matched_segments(["a", "b"], counts, "N", TASKS["pan_seg"]).toolkit_scores()
    assert 5 < in_memory["PQ"][-1]["OVERALL"] < 95
    np.testing.assert_equal(open_pan_seg(tmp_path / "truth", tmp_path / "bitmasks", 1).toolkit_scores(), in_memory)


def test_overlaps_go_to_the_higher_score(tmp_path: Path) -> None:
    masks = np.zeros((4, 2, 6), bool)
    masks[0, 0, :4] = True
    masks[1, 0, 2:] = True
    masks[2, 0, 1:3] = True  # hidden below 0 and 1
    masks[3, 1, 5] = True
    pixels, kept = instance_bitmask(masks, np.array([0.5, 0.9, 0.1, 0.9]), np.array([2, 0, 1, 7]))
    assert kept.tolist() == [1, 3, 0]
    write_mask(pixels, tmp_path / "a.png")
    found = read_bitmask(tmp_path / "a.png")
    assert found.instances.tolist() == [[3, 3, 1, 1, 1, 1], [0, 0, 0, 0, 0, 2]]
    assert found.ids.tolist() == [1, 2, 3] and found.categories.tolist() == [1, 8, 3]
    assert not found.attributes.any()


def test_equal_scores_keep_the_earlier_instance() -> None:
    pixels, kept = instance_bitmask(np.ones((2, 1, 1), bool), np.array([0.5, 0.5]), np.array([3, 4]))
    assert kept.tolist() == [0] and pixels.tolist() == [[[4, 0, 0, 1]]]


def test_hundreds_of_instances_are_all_kept() -> None:
    masks = np.eye(300, dtype=bool)[:, None]
    pixels, kept = instance_bitmask(masks, np.arange(300) / 300, np.zeros(300, int))
    assert kept.tolist() == list(range(299, -1, -1))
    assert decode_bitmask(pixels, "a.png").ids.tolist() == list(range(1, 301))


def test_more_instances_than_ids_of_which_few_are_seen() -> None:
    count = (1 << 16) + 5
    masks = np.zeros((count, 1, 300), bool)
    masks[np.arange(count), 0, np.arange(count) % 300] = True
    # Hidden ones take no id.
    pixels, kept = instance_bitmask(masks, -np.arange(count), np.zeros(count, int))
    assert kept.tolist() == list(range(300))
    assert decode_bitmask(pixels, "a.png").ids.tolist() == list(range(1, 301))


def test_no_instance_is_an_empty_bitmask(tmp_path: Path) -> None:
    pixels, kept = instance_bitmask(np.zeros((0, 3, 4), bool), np.zeros(0), np.zeros(0, int))
    assert pixels.shape == (3, 4, 4) and not pixels.any() and len(kept) == 0
    write_frames([scored_frame("a.jpg", np.array([0.5, 0.25])), scored_frame("b.jpg", kept)], tmp_path / "s")
    assert json.loads((tmp_path / "s").read_text()) == [
        {"name": "a.jpg", "labels": [{"index": 1, "score": 0.5}, {"index": 2, "score": 0.25}]},
        {"name": "b.jpg", "labels": []},
    ]


def test_panoptic_segments() -> None:
    segments = np.array([[-1, 0, 1, 2], [3, 4, 5, 1000]])
    road, car = TASKS["pan_seg"].names.index("road"), TASKS["pan_seg"].names.index("car")
    # 5 is a segment that the caller leaves out; 1 and 3 are the same stuff.
    found = decode_bitmask(panoptic_bitmask(segments, {4: car, 2: car, 1: road, 3: road, 1000: 29}), "a.png")
    assert found.ids.tolist() == [road + 1, 30, 31, 32]
    assert found.categories.tolist() == [road + 1, 30, car + 1, car + 1]
    assert found.instances.tolist() == [[0, 0, 1, 4], [1, 3, 0, 2]]
    assert not panoptic_bitmask(segments, {}).any()
    many = np.arange(1, 301)[None]
    assert decode_bitmask(panoptic_bitmask(many, dict.fromkeys(range(1, 301), car)), "a.png").ids.max() == 330
    with pytest.raises(DataError, match=r"classes \[40\]; pan_seg has the classes 0 to 39"):
        panoptic_bitmask(segments, {1: 40})


def test_a_submission_is_the_same_bytes_whenever_it_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for name in ("b", "a"):
        write_mask(np.full((9, 16, 4), 7, np.uint8), folder / "bitmasks" / f"{name}.png")
    write_frames([scored_frame("a.jpg", np.array([0.5]))] * 50, folder / "score.json")
    (folder / "scores.json").write_text("{}")
    (folder / "bitmasks" / ".a.png.1.tmp").write_text("left behind")
    for name in ("one.zip", "two.zip"):
        assert write_submission(folder, folder / name, ("bitmasks", "score.json")) == 3
    assert (folder / "one.zip").read_bytes() == (folder / "two.zip").read_bytes()
    with zipfile.ZipFile(folder / "one.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["bitmasks/a.png", "bitmasks/b.png", "score.json"]
        with archive.open("bitmasks/a.png") as file:
            assert (np.asarray(Image.open(file)) == 7).all()
        assert archive.getinfo("score.json").compress_size < archive.getinfo("score.json").file_size / 5
    # All of a folder, flat, and not the zip itself.
    assert write_submission(folder / "bitmasks", folder / "bitmasks" / "all.zip") == 2
    assert write_submission(folder / "bitmasks", folder / "bitmasks" / "all.zip") == 2
    with zipfile.ZipFile(folder / "bitmasks" / "all.zip") as archive:
        assert archive.namelist() == ["a.png", "b.png"]


def test_submissions_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="score.json: no such file or folder; write the predictions first"):
        write_submission(tmp_path, tmp_path / "a.zip", ("score.json",))
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="masks: no file to zip"):
        write_submission(tmp_path / "masks", tmp_path / "a.zip")
    write_mask(np.zeros((9, 16), np.uint8), tmp_path / "masks" / "a.png")
    with pytest.raises(OutputError, match="a.zip: cannot be written"):
        write_submission(tmp_path / "masks", tmp_path / "masks" / "a.png" / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["masks"]
