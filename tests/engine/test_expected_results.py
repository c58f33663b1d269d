"""Expected scores that no evaluation gives are refused before the training."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from support.bitmask_sets import write_bitmasks

import bdd100k_d2
from bdd100k_d2.engine.expected_results import check_expected_results
from bdd100k_d2.errors import ConfigError


@pytest.fixture(autouse=True)
def registered(tiny_root: Path) -> Iterator[None]:
    bdd100k_d2.register_all(tiny_root)
    for task in ("ins_seg", "pan_seg"):
        write_bitmasks(tiny_root, task, [1, 3])
    yield
    for catalog in (DatasetCatalog, MetadataCatalog):
        if "theirs" in catalog.list():
            catalog.remove("theirs")


def config(tests: tuple[str, ...], *rows: object) -> CfgNode:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.DATASETS.TEST, cfg.TEST.EXPECTED_RESULTS, cfg.MODEL.DEVICE = tests, [*rows], "cpu"
    return cfg


@pytest.mark.parametrize(
    ("task", "key", "metrics", "unknown"),
    [
        ("det", "bbox", ["AP", "ARl", "AP-car"], "AP-street"),
        ("ins_seg", "segm", ["AP", "AP75", "AP-train"], "AP-traffic light"),
        ("sem_seg", "sem_seg", ["mIoU", "mAcc", "mRecall", "fIoU", "pAcc", "IoU-sky"], "mIoU-strict"),
        ("drivable", "drivable", ["mIoU", "mIoU-strict", "IoU-direct"], "IoU-background"),
        ("pan_seg", "panoptic_seg", ["PQ", "PQ/STUFF", "N/THING", "PQ-sky"], "NUM"),
    ],
)
def test_what_an_evaluator_gives_may_be_expected(task: str, key: str, metrics: list[str], unknown: str) -> None:
    name = f"bdd100k_{task}_val"
    check_expected_results(config((name,), *([key, metric, 30.0, 1.5] for metric in metrics)))
    with pytest.raises(
        ConfigError, match=f"^TEST.EXPECTED_RESULTS: {name} has no score {key}/{unknown}, but .*{metrics[0]}, "
    ):
        check_expected_results(config((name,), [key, metrics[0], 30, 1], [key, unknown, 30, 1]))
    with pytest.raises(
        ConfigError, match=f"^TEST.EXPECTED_RESULTS: {name} has no scores 'keypoints', but {key}; mend it.$"
    ):
        check_expected_results(config((name,), ["keypoints", "AP", 30, 1]))


def test_what_no_evaluation_gives_is_refused_when_the_trainer_is_built() -> None:
    row = ["bbox", "AP", 30.0, 1.0]
    for tests, rows, message in (
        (("bdd100k_det_val",), [["box", "AP", 30.0, 1.0]], "bdd100k_det_val has no scores 'box', but bbox; mend it"),
        ((), [row], "is of the scores of one test set, but DATASETS.TEST names none; name one"),
        (("bdd100k_det_val", "bdd100k_det_val_night"), [row], "of one test set, but DATASETS.TEST names 2; name one"),
        (("bdd100k_det_test",), [row], "bdd100k_det_test has no labels, so it is not scored; name another test set"),
        (
            ("bdd100k_det_val",),
            [["bbox", "AP", 30.0]],
            "is no expected score; write each as .bbox, AP, 31.5, 0.2.: task",
        ),
        (("bdd100k_det_val",), [["bbox", "AP", "30", 1]], "is no expected score"),
        (("bdd100k_det_val",), ["bbox"], "'bbox' is no expected score"),
    ):
        with pytest.raises(ConfigError, match=f"^TEST.EXPECTED_RESULTS.*{message}"):
            bdd100k_d2.Trainer(config(tests, *rows))


def test_detectron2s_evaluators_are_not_known() -> None:
    DatasetCatalog.register("theirs", lambda: [{"file_name": "a.jpg", "annotations": []}])
    MetadataCatalog.get("theirs").set(evaluator_type="coco", thing_classes=["a"])
    check_expected_results(config(("theirs",), ["keypoints", "AP", 30.0, 1.0]))
    check_expected_results(config((), *()))
