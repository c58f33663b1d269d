import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.utils.events import EventStorage, get_event_storage
from torch.nn import functional as F  # noqa: N812

import bdd100k_d2
from bdd100k_d2.data.register import register_all
from bdd100k_d2.engine.hooks.evaluation import fixed_subset
from bdd100k_d2.engine.hooks.val_loss import ValidationLoss
from bdd100k_d2.engine.trainer import Trainer
from bdd100k_d2.errors import ConfigError

Make = Callable[..., CfgNode]
TEST_SET = ("DATASETS.TEST", ("bdd100k_sem_seg_val",))


@pytest.fixture
def det_cfg(tiny_root: Path, tmp_path: Path) -> CfgNode:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.MODEL.DEVICE = "cpu"
    cfg.INPUT.MIN_SIZE_TEST, cfg.OUTPUT_DIR = 64, str(tmp_path / "out")
    cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE, cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 16, 8
    return cfg


def random_states() -> tuple[object, ...]:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_the_losses_are_those_of_the_images_as_evaluation_sees_them(small_cfg: Make) -> None:
    cfg = small_cfg(*TEST_SET, "MODEL.SEM_SEG_HEAD.DROPOUT", 0.5, "MODEL.SEM_SEG_HEAD.AVERAGE_OVER_IGNORED", False)
    cfg.MODEL.SEM_SEG_HEAD.LOSS_WEIGHT = 1.0
    torch.manual_seed(0)
    model = Trainer.build_model(cfg)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2)
    found = ValidationLoss(cfg, model)()["val_loss"]

    # By hand: the logits of an evaluation at the network's size against the mask at that size.
    model.eval()
    expected = []
    records = DatasetCatalog.get("bdd100k_sem_seg_val")
    for record, (batch,) in zip(records, Trainer.build_test_loader(cfg, "bdd100k_sem_seg_val"), strict=True):
        assert batch["file_name"] == record["file_name"]
        height, width = batch["image"].shape[1:]
        assert (height, width) == (72, 128)
        mask = cv2.imread(record["sem_seg_file_name"], cv2.IMREAD_UNCHANGED)
        # Blocks of one class make any choice among the nearest pixels the same.
        mask = torch.from_numpy(mask[5::10, 5::10].astype(np.int64))
        with torch.no_grad():
            (output,) = model([{"image": batch["image"]}])
            expected.append(F.cross_entropy(output["sem_seg"][None], mask[None], ignore_index=255).item())
    assert found["loss_sem_seg"] == found["total_loss"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_nothing_of_the_training_changes(det_cfg: CfgNode) -> None:
    """A detector draws its anchors and regions at random, and has norms that learn their statistics."""
    model = Trainer.build_model(det_cfg)
    model.roi_heads.eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = random_states()
    measure = ValidationLoss(det_cfg, model)
    with EventStorage() as storage:
        first = measure()
        assert storage is get_event_storage() and not storage.latest()
    assert {"loss_cls", "loss_rpn_loc", "total_loss"} <= first["val_loss"].keys()
    assert random_states() == states
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    # Whatever was drawn before, the same losses.
    torch.manual_seed(7), np.random.seed(7)
    assert measure() == first
    assert ValidationLoss(det_cfg, model)() == first


def test_it_is_logged_in_its_period_and_changes_no_weight(small_cfg: Make, tmp_path: Path) -> None:
    weights = []
    for period in (0, 2):
        cfg = small_cfg(
            *TEST_SET, "TEST.VAL_LOSS.PERIOD", period, "SOLVER.MAX_ITER", 3, "SEED", 2, "TEST.NUM_PICTURES", 0
        )
        trainer = Trainer(cfg)
        trainer.train()
        weights.append(trainer.model.sem_seg_head.predictor.weight.detach())
    assert torch.equal(*weights)
    iterations = [i for _, i in trainer.storage.history("val_loss/total_loss").values()]
    assert iterations == [1, 3]


def test_a_set_without_labels(small_cfg: Make) -> None:
    cfg = small_cfg("DATASETS.TEST", ("bdd100k_sem_seg_test",))
    with pytest.raises(ConfigError, match=r"PERIOD needs labels, but bdd100k_sem_seg_test has none; set .* to 0"):
        ValidationLoss(cfg, torch.nn.Linear(1, 1))()
    with pytest.raises(ConfigError, match=r"DATASETS\.TEST is empty"):
        ValidationLoss(small_cfg(), torch.nn.Linear(1, 1))()


def test_a_subset_is_spread_evenly_and_leaves_out_what_has_no_label() -> None:
    box = {"annotations": [{"iscrowd": 0}]}
    crowd, empty = {"annotations": [{"iscrowd": 1}]}, {"annotations": []}
    DatasetCatalog.register("subset_test", lambda: [{"id": i, **(box, crowd, empty)[i % 3]} for i in range(30)])
    try:
        ids = [record["id"] for record in fixed_subset(["subset_test"], 4, "KEY", labelled=True)]
        assert ids == [0, 9, 18, 27]
        assert [r["id"] for r in fixed_subset(["subset_test"], 3, "KEY")] == [0, 14, 29]
        assert len(fixed_subset(["subset_test"], 1, "KEY")) == 1 and len(fixed_subset(["subset_test"], 99, "KEY")) == 30
    finally:
        DatasetCatalog.remove("subset_test")
