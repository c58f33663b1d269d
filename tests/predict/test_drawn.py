"""Results of a frame: what is taken of a model's output, and how it is drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances

import bdd100k_d2
from bdd100k_d2.data.bitmasks import decode_bitmask
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.predict.frame_result import FrameResult, class_indices, draw_result, read_pixels, result_of
from bdd100k_d2.tasks import TASKS

DET, INS_SEG, PAN_SEG = (TASKS[name] for name in ("det", "ins_seg", "pan_seg"))
IMAGE = np.full((60, 80, 3), 100, np.uint8)


def instances(*rows: tuple[list[float], float, int], masks: bool = False) -> dict[str, Instances]:
    found = Instances((60, 80))
    found.pred_boxes = Boxes(torch.tensor([box for box, _, _ in rows]))
    found.scores = torch.tensor([score for _, score, _ in rows])
    found.pred_classes = torch.tensor([k for _, _, k in rows])
    if masks:
        found.pred_masks = torch.zeros(len(rows), 60, 80, dtype=torch.bool)
        for mask, ((x1, y1, x2, y2), _, _) in zip(found.pred_masks, rows, strict=True):
            mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    return {"instances": found}


def test_boxes_are_inclusive_and_selected() -> None:
    output = instances(([10.0, 20, 40, 50], 0.75, 2), ([50.0, 5, 70, 25], 0.25, 2), ([0.0, 0, 9, 9], 0.5, 4))
    every = result_of(DET, output)
    assert every.corners.tolist() == [[10, 20, 39, 49], [50, 5, 69, 24], [0, 0, 8, 8]] and not every.pixels.size
    some = result_of(DET, output, 0.5, class_indices(DET, ["car"]))
    assert (some.corners.tolist(), some.classes.tolist(), some.scores.tolist()) == ([[10, 20, 39, 49]], [2], [0.75])


def test_only_objects_of_enough_score_are_drawn() -> None:
    output = instances(([10.0, 20, 40, 50], 0.75, 2), ([50.0, 5, 70, 25], 0.25, 4))
    result = result_of(DET, output)
    drawn = draw_result(DET, IMAGE[..., ::-1], result)[:60]
    car, bus = (30, 170, 255), (0, 215, 190)
    assert (drawn[49, 15] == car).all() and not (drawn == bus).all(axis=2).any()
    assert (draw_result(DET, IMAGE, result, 0.2)[24, 52] == bus).all()


def test_masks_of_the_objects_that_are_drawn_keep_their_owners() -> None:
    rows = (([0.0, 0, 20, 60], 0.2, 2), ([20.0, 0, 60, 60], 0.9, 4), ([40.0, 0, 80, 60], 0.5, 2))
    result = result_of(INS_SEG, instances(*rows, masks=True))
    # Best first, as in the bitmask.
    assert result.scores.tolist() == pytest.approx([0.9, 0.5, 0.2]) and result.classes.tolist() == [4, 2, 2]
    drawn = draw_result(INS_SEG, IMAGE, result)[:60].astype(int)
    bus, car = (0, 215, 190), (30, 170, 255)
    assert abs(drawn[45, 50] - (100 + np.array(bus)) / 2).max() <= 1  # the higher score
    assert abs(drawn[45, 70] - (100 + np.array(car)) / 2).max() <= 1
    assert (drawn[45, 5] == 100).all()  # below 0.3


def test_segments_of_the_classes_that_are_wanted(tmp_path: Path) -> None:
    segments = torch.zeros(60, 80, dtype=torch.int32)
    segments[:, :20], segments[:, 20:40], segments[:, 40:60] = 1, 2, 3
    bdd100k_d2.register_all("/nowhere")
    of_set = MetadataCatalog.get("bdd100k_pan_seg_val")
    car, road = TASKS["pan_seg"].names.index("car"), TASKS["pan_seg"].names.index("road")
    infos = [
        {"id": 1, "isthing": True, "category_id": of_set.thing_dataset_id_to_contiguous_id[car + 1]},
        {"id": 2, "isthing": True, "category_id": of_set.thing_dataset_id_to_contiguous_id[car + 1]},
        {"id": 3, "isthing": False, "category_id": of_set.stuff_dataset_id_to_contiguous_id[road + 1]},
    ]
    output = {"panoptic_seg": (segments, infos), "sem_seg": None}
    every = result_of(PAN_SEG, output)
    bitmask = decode_bitmask(every.pixels, "it")
    assert sorted(bitmask.categories.tolist()) == [road + 1, car + 1, car + 1]
    drawn = draw_result(PAN_SEG, IMAGE, every)[:60].astype(int)
    assert abs(drawn[30, 10] - (100 + np.array((0, 0, 142))) / 2).max() <= 1
    assert abs(drawn[30, 50] - (100 + np.array((128, 64, 128))) / 2).max() <= 1
    assert (drawn[30, 19] == drawn[30, 20]).all() and (drawn[30, 19] != drawn[30, 10]).any()  # between two cars
    some = result_of(PAN_SEG, output, classes=class_indices(PAN_SEG, ["road"]))
    assert decode_bitmask(some.pixels, "it").categories.tolist() == [road + 1]
    write_mask(every.pixels, tmp_path / "a.png")
    np.testing.assert_array_equal(read_pixels(PAN_SEG, tmp_path / "a.png"), every.pixels)


def test_a_bitmask_that_is_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    for task in ("ins_seg", "pan_seg", "sem_seg"):
        with pytest.raises(
            DataError, match=r"a.png: the (bit)?mask cannot be read .*\. It is of an earlier start: give "
        ):
            read_pixels(TASKS[task], tmp_path / "a.png")


def test_a_result_that_is_not_of_its_frame_is_told() -> None:
    columns = np.zeros((2, 4)), np.zeros(2, np.int64), np.ones(2)
    one = np.zeros((*IMAGE.shape[:2], 4), np.uint8)
    one[:5, :5] = 1, 0, 0, 1
    with pytest.raises(DataError, match="a result has 1 instances and 2 scores. It is of an earlier start"):
        draw_result(INS_SEG, IMAGE, FrameResult(*columns, one))
    for task, pixels in (("ins_seg", one[:9]), ("pan_seg", one[:9]), ("sem_seg", one[:9, :, 0])):
        with pytest.raises(DataError, match=r"a result has \d+x9 pixels, its frame \d+x\d+. It is of an earlier start"):
            draw_result(TASKS[task], IMAGE, FrameResult(*columns, pixels))


def test_a_detector_gives_no_masks() -> None:
    with pytest.raises(ConfigError, match="DATASETS.TEST is of ins_seg, but the model gives instances"):
        result_of(INS_SEG, instances(([10.0, 20, 40, 50], 0.75, 2)))
