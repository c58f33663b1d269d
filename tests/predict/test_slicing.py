"""Slices of a frame, and what becomes of the objects in them, by a detector that finds bright rectangles."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.commands import run_tool
from support.model_files import write_onnx, write_openvino
from support.prediction_models import detector
from torchvision.ops import batched_nms

import bdd100k_d2
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.evaluation.array_instances import ArrayInstances
from bdd100k_d2.predict import slicing
from bdd100k_d2.predict.inputs import find_input
from bdd100k_d2.predict.model_identity import ModelIdentity
from bdd100k_d2.predict.run import PredictionRun
from bdd100k_d2.predict.runtime import Runtime
from bdd100k_d2.predict.sliced_runtime import SlicedRuntime
from bdd100k_d2.predict.slicing import Slices, Window, different, merged, parse_slices, windows
from bdd100k_d2.tasks import TASKS


def test_two_slices_lie_beside_each_other_halfway_up() -> None:
    # 1280 / (2 - 0.2) = 711.1, no less, and 720 in proportion.
    assert windows(720, 1280, Slices(2, 1)) == [Window(0, 160, 712, 560), Window(568, 160, 1280, 560)]


@pytest.mark.parametrize("slices", [Slices(2, 2), Slices(3, 3, 0.5), Slices(4, 4, 0)])
@pytest.mark.parametrize("size", [(720, 1280), (97, 33), (5, 1000)])
def test_as_many_rows_as_columns_cover_the_frame(slices: Slices, size: tuple[int, int]) -> None:
    cut = windows(*size, slices)
    covered = np.zeros(size, bool)
    for left, top, right, bottom in cut:
        assert 0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]
        covered[top:bottom, left:right] = True
    assert covered.all() and len(cut) == slices.columns * slices.rows
    assert len({(one.right - one.left, one.bottom - one.top) for one in cut}) == 1


def test_more_rows_than_columns_reach_from_top_to_bottom() -> None:
    first, second = windows(720, 1280, Slices(1, 2, 0))
    assert (first.top, first.bottom, second.top, second.bottom) == (0, 360, 360, 720)
    assert (first.left, first.right) == (320, 960)


def test_one_slice_is_the_frame_itself() -> None:
    assert windows(720, 1280, Slices(1, 1, 0.5)) == []
    assert windows(1, 1, Slices(3, 2)) == []


@pytest.mark.parametrize("text", ["2", "0x1", "2x", "2x-1", "100x1", "9x9", "2 x 1", "ax1"])
def test_what_is_no_slices_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--slices {text}: give columns by rows, as 2x1")):
        parse_slices(text)


def test_slices_are_parsed() -> None:
    assert parse_slices("3x2", 0.5) == Slices(3, 2, 0.5) and str(parse_slices("2x1")) == "2x1, overlap 0.2"
    with pytest.raises(ConfigError, match="a slice overlap of 1: give the share"):
        parse_slices("2x1", 1.0)


def objects(boxes: list[list[float]], scores: list[float], classes: list[int] | None = None) -> ArrayInstances:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    kinds = np.zeros(len(array), np.int64) if classes is None else np.array(classes)
    return ArrayInstances((100, 200), array, np.array(scores, np.float32), kinds)


LEFT, RIGHT = Window(0, 25, 100, 75), Window(100, 25, 200, 75)


def test_boxes_go_back_to_the_frame() -> None:
    found = merged((100, 200), [LEFT, RIGHT], [objects([], []), objects([], []), objects([[20, 30, 40, 50]], [0.5])])
    assert found.pred_boxes.tolist() == [[110, 40, 120, 50]] and found.image_size == (100, 200)


def test_of_one_object_in_two_parts_the_higher_score_stays() -> None:
    frame = objects([[110, 40, 120, 50], [0, 0, 100, 90]], [0.6, 0.1])
    right = objects([[22, 30, 42, 50]], [0.8])
    found = merged((100, 200), [LEFT, RIGHT], [frame, objects([], []), right])
    assert found.pred_boxes.tolist() == [[111, 40, 121, 50], [0, 0, 100, 90]]
    assert found.scores.tolist() == pytest.approx([0.8, 0.1])
    # Of another class it is another object.
    other = objects([[22, 30, 42, 50]], [0.8], [1])
    assert len(merged((100, 200), [LEFT, RIGHT], [frame, objects([], []), other])) == 3


def test_what_overlaps_in_one_part_is_the_models_own_affair() -> None:
    frame = objects([[110, 40, 130, 50], [111, 40, 131, 50]], [0.6, 0.5])
    assert len(merged((100, 200), [LEFT], [frame, objects([], [])])) == 2


def test_an_object_that_a_slice_cuts_is_left_out_but_for_the_border_of_the_frame() -> None:
    boxes = [[0, 40, 20, 60], [180, 40, 199, 60], [50, 1, 70, 20], [50, 80, 70, 100], [50, 40, 70, 60]]
    found = merged((100, 200), [LEFT], [objects([], []), objects(boxes, [0.9, 0.8, 0.7, 0.6, 0.5])])
    # It begins at the frame's left border, and was cut at the right, above and below.
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])


def test_large_objects_are_left_to_the_frame() -> None:
    # 96 of 720 pixels are 13.3 of 100: of the magnified slice twice as many.
    sides = (26, 27)
    found = [objects([[50, 40, 50 + side, 40 + side]], [0.5]) for side in sides]
    assert [len(merged((100, 200), [LEFT], [objects([], []), one])) for one in found] == [1, 0]
    assert len(merged((100, 200), [LEFT], [found[1], objects([], [])])) == 1


def test_masks_are_placed_back_and_keep_their_place() -> None:
    masks = np.zeros((1, 100, 200), bool)
    masks[0, 30:50, 20:40] = True
    right = objects([[20, 30, 40, 50]], [0.5])
    right = ArrayInstances((100, 200), right.pred_boxes, right.scores, right.pred_classes, masks)
    none = ArrayInstances((100, 200), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), np.zeros((0, 100, 200), bool))
    found = merged((100, 200), [LEFT, RIGHT], [none, none, right])
    expected = np.zeros((100, 200), bool)
    expected[40:50, 110:120] = True
    np.testing.assert_array_equal(found.pred_masks, expected[None])
    assert merged((100, 200), [LEFT], [none, none]).pred_masks.shape == (0, 100, 200)


@pytest.mark.parametrize("seed", range(5))
def test_with_each_box_a_part_of_its_own_it_is_torchvisions_nms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 100, (200, 2))
    boxes = np.column_stack([corners, corners + rng.uniform(5, 60, (200, 2))])
    scores, classes = rng.permutation(200) / 200, rng.integers(0, 3, 200)
    expected = batched_nms(*(torch.from_numpy(one) for one in (boxes, scores, classes)), 0.5)
    assert different(boxes, scores, classes, np.arange(200)).tolist() == expected.tolist()
    assert sorted(different(boxes, scores, classes, np.zeros(200)).tolist()) == list(range(200))


class Bright(Runtime):
    """Finds bright rectangles that are at least 8 pixels high, on images of 360x640 alone."""

    def __init__(self, task: str = "det", fixed_batch: int | None = None) -> None:
        self.task, self.fixed_batch = TASKS[task], fixed_batch
        self.batches: list[int] = []

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity(self.task, "", "")

    def prepare(self, image: np.ndarray, where: str) -> tuple[np.ndarray, tuple[int, ...]]:
        assert image.shape == (360, 640, 3) and image.flags.c_contiguous
        return image[..., 0], image.shape

    def infer(self, batch: list[np.ndarray]) -> list[dict[str, ArrayInstances]]:
        self.batches.append(len(batch))
        return [{"instances": self._find(image)} for image in batch]

    def _find(self, image: np.ndarray) -> ArrayInstances:
        count, labels, stats, _ = cv2.connectedComponentsWithStats((image > 127).astype(np.uint8))
        rows = [(i, *stats[i, :4]) for i in range(1, count) if stats[i, 3] >= 8]
        boxes = np.array([[x, y, x + w, y + h] for _, x, y, w, h in rows], np.float32).reshape(-1, 4)
        masks = np.array([labels == i for i, *_ in rows], bool).reshape(-1, *image.shape)
        scores = np.array([0.5 + h / 1000 for *_, h in rows], np.float32)
        kinds = np.zeros(len(rows), np.int64)
        return ArrayInstances(image.shape, boxes, scores, kinds, masks if self.task.form != "boxes" else None)


FAR = [(100, 180, 12, 5), (310, 170, 10, 6), (350, 200, 9, 5), (600, 175, 12, 6)]
NEAR = [(200, 100, 220, 200), (0, 150, 60, 60), (20, 340, 30, 15)]


def drawn(rectangles: list[tuple[int, int, int, int]]) -> np.ndarray:
    image = np.zeros((360, 640, 3), np.uint8)
    for x, y, w, h in rectangles:
        image[y : y + h, x : x + w] = 255
    return image


def corners(found: ArrayInstances) -> np.ndarray:
    return found.pred_boxes[np.lexsort(found.pred_boxes.T[::-1])]


def test_small_objects_are_found_in_slices_and_large_ones_once() -> None:
    apart = [one for one in FAR if not 200 <= one[0] < 420]
    image = drawn([*apart, *NEAR])
    runtime = Bright()
    whole = runtime.infer([image[..., 0]])[0]["instances"]
    assert len(whole) == len(NEAR)
    sliced = SlicedRuntime(runtime, Slices(2, 1))
    prepared, _ = sliced.prepare(image, "")
    (output,) = sliced.infer([prepared])
    expected = np.array(sorted([x, y, x + w, y + h] for x, y, w, h in [*apart, *NEAR]))
    np.testing.assert_allclose(corners(output["instances"]), expected, atol=1.0)


def test_an_object_on_the_cut_is_found_once_and_whole() -> None:
    # The slices of 2x1 without overlap meet at 320; with it, both have what is between 284 and 355.
    image = drawn([(316, 180, 8, 6)])
    for overlap, count in ((0.2, 1), (0.0, 0)):
        sliced = SlicedRuntime(Bright(), Slices(2, 1, overlap))
        (output,) = sliced.infer([sliced.prepare(image, "")[0]])
        assert len(output["instances"]) == count
        if count:
            np.testing.assert_allclose(output["instances"].pred_boxes, [[316, 180, 324, 186]], atol=1.0)


def test_masks_of_slices_lie_on_the_objects() -> None:
    rectangles = [FAR[0], NEAR[1]]
    sliced = SlicedRuntime(Bright("ins_seg"), Slices(2, 1))
    (output,) = sliced.infer([sliced.prepare(drawn(rectangles), "")[0]])
    found = output["instances"]
    union = found.pred_masks.any(axis=0)
    truth = drawn(rectangles)[..., 0] > 0
    assert len(found) == 2 and (union & truth).sum() / (union | truth).sum() > 0.97


@pytest.mark.parametrize("fixed", [None, 2])
def test_the_model_takes_as_many_images_as_there_are_frames(fixed: int | None) -> None:
    runtime = Bright(fixed_batch=fixed)
    sliced = SlicedRuntime(runtime, Slices(2, 2))
    frames = [drawn(FAR), drawn(NEAR)]
    together = sliced.infer([sliced.prepare(frame, "")[0] for frame in frames])
    assert runtime.batches == [2] * 5 and sliced.fixed_batch == fixed
    for frame, output in zip(frames, together, strict=True):
        (alone,) = sliced.infer([sliced.prepare(frame, "")[0]])
        np.testing.assert_array_equal(output["instances"].pred_boxes, alone["instances"].pred_boxes)


def test_masks_of_classes_are_refused(tmp_path: Path) -> None:
    said = "--slices: objects of several slices are put together by their scores, which det and ins_seg have; sem_seg"
    with pytest.raises(ConfigError, match=said):
        SlicedRuntime(Bright("sem_seg"), Slices(2, 1))
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cv2.imwrite(str(tmp_path / "in.png"), drawn(FAR))
    with pytest.raises(ConfigError, match=said):
        PredictionRun(cfg, find_input(str(tmp_path), tmp_path / "out"), tmp_path / "out", slices=Slices(2, 1))


@pytest.mark.parametrize("task", ["det", "ins_seg"])
def test_one_slice_that_covers_all_is_no_slice(task: str, tmp_path: Path) -> None:
    cfg = detector(tmp_path, task)
    frame = np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8)
    plain, sliced = (bdd100k_d2.Predictor(cfg, slices=slices)(frame)["instances"] for slices in (None, Slices(1, 1)))
    np.testing.assert_array_equal(plain.pred_boxes.tensor.numpy(), sliced.pred_boxes)
    np.testing.assert_array_equal(plain.scores.numpy(), sliced.scores)
    if task == "ins_seg":
        np.testing.assert_array_equal(plain.pred_masks.numpy(), sliced.pred_masks)


@pytest.mark.parametrize("kind", ["config", "onnx", "openvino"])
def test_every_runtime_takes_slices(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tiny graphs find large objects alone.
    monkeypatch.setattr(slicing, "_LARGEST", 9.0)
    if kind == "config":
        source = detector(tmp_path, "ins_seg")
    else:
        write = {"onnx": write_onnx, "openvino": write_openvino}[kind]
        ending = {"onnx": "onnx", "openvino": "xml"}[kind]
        # Of a fixed size, which slices are magnified to.
        source = write(tmp_path / f"model.{ending}", TASKS["ins_seg"], size=(96, 160))
    predictor = bdd100k_d2.Predictor(source, slices=Slices(2, 1))
    frame = np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8)
    (prediction,) = predictor.stream([frame])
    found = prediction.output["instances"]
    plain = len(bdd100k_d2.Predictor(source)(frame)["instances"])
    assert isinstance(found, ArrayInstances) and found.pred_masks.shape == (len(found), 96, 160)
    assert len(found) > plain and (np.diff(found.scores) <= 0).all()


def test_the_command_and_its_record(tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "model.onnx", TASKS["det"])
    image = tmp_path / "in.png"
    cv2.imwrite(str(image), np.full((96, 160, 3), 40, np.uint8))
    line = ("--model", model, "--input", image, "--output", tmp_path / "out", "--slices", "2x1")
    assert run_tool("predict", *line).returncode == 0
    assert '"slices":"2x1, overlap 0.2"' in (tmp_path / "out/frames.jsonl").read_text()
    again = run_tool("predict", *line, "--slice-overlap", "0.5", "--resume")
    assert again.returncode == 1 and "slices '2x1, overlap 0.2', now it is '2x1, overlap 0.5'" in again.stderr
    alone = run_tool("predict", *line[:-2], "--slice-overlap", "0.5", "--resume")
    assert alone.returncode == 2 and "--slice-overlap is of --slices" in alone.stderr
