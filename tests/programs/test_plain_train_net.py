"""Detectron2's ``tools/plain_train_net.py`` with the package's configs: its loop, and what it needs to be given."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer, PeriodicCheckpointer
from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_test_loader, build_detection_train_loader
from detectron2.engine import default_writers
from detectron2.evaluation import COCOEvaluator, inference_on_dataset, print_csv_format
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from support.prediction_models import config_file, detector
from support.small_models import small_config

import bdd100k_d2
from bdd100k_d2.engine import solver
from bdd100k_d2.evaluation.evaluators import build_evaluator as get_evaluator


def detection(folder: Path, task: str = "det") -> CfgNode:
    cfg = detector(folder, task)
    cfg.DATASETS.TRAIN = (f"bdd100k_{task}_train",)
    cfg.SOLVER.LR_SCHEDULER_NAME, cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = "WarmupMultiStepLR", (96,), 160
    cfg.INPUT.MASK_FORMAT = "bitmask"
    return cfg


def segmentation(folder: Path) -> CfgNode:
    return small_config(folder, "DATASETS.TEST", ("bdd100k_sem_seg_val",))


CONFIGS: dict[str, tuple[Callable[..., CfgNode], str, str]] = {
    "det": (detection, "bbox", "AP50"),
    "ins_seg": (lambda folder: detection(folder, "ins_seg"), "segm", "AP50"),
    "sem_seg": (segmentation, "sem_seg", "mIoU"),
}


def set_up(path: Path, output: Path) -> CfgNode:
    """The config as the program reads it, with the one line that it needs."""
    cfg = get_cfg()
    bdd100k_d2.add_bdd100k_config(cfg)
    cfg.merge_from_file(str(path))
    options = {"OUTPUT_DIR": str(output), "SOLVER.IMS_PER_BATCH": 2, "SOLVER.MAX_ITER": 1, "DATALOADER.NUM_WORKERS": 0}
    cfg.merge_from_list([one for pair in options.items() for one in pair])
    cfg.freeze()
    output.mkdir()
    return cfg


@pytest.mark.parametrize("task", CONFIGS)
def test_an_iteration_and_an_evaluation(task: str, root: Path, tmp_path: Path) -> None:
    make, kind, score = CONFIGS[task]
    cfg = set_up(config_file(make(root), tmp_path), tmp_path / "out")
    model = build_model(cfg).train()
    optimizer = solver.build_optimizer(cfg, model)
    schedule = solver.build_schedule(cfg, optimizer)
    checkpointer = DetectionCheckpointer(model, cfg.OUTPUT_DIR, optimizer=optimizer, scheduler=schedule)
    start = checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=False).get("iteration", -1) + 1
    periodic = PeriodicCheckpointer(checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD, max_iter=cfg.SOLVER.MAX_ITER)
    writers = default_writers(cfg.OUTPUT_DIR, cfg.SOLVER.MAX_ITER)
    before = [parameter.clone() for parameter in model.parameters()]
    with EventStorage(start) as storage:
        for data, iteration in zip(build_detection_train_loader(cfg), range(start, cfg.SOLVER.MAX_ITER), strict=False):
            storage.iter = iteration
            losses = model(data)
            total = sum(losses.values())
            assert torch.isfinite(total).all()
            storage.put_scalars(total_loss=total.item(), **{k: v.item() for k, v in comm.reduce_dict(losses).items()})
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            storage.put_scalar("lr", optimizer.param_groups[0]["lr"], smoothing_hint=False)
            schedule.step()
            for writer in writers:
                writer.write()
            periodic.step(iteration)
    assert not all(map(torch.equal, before, model.parameters()))
    assert (tmp_path / "out/model_final.pth").is_file() and (tmp_path / "out/metrics.json").read_text()
    (name,) = cfg.DATASETS.TEST
    folder = tmp_path / "out/inference" / name
    evaluator = get_evaluator(cfg, name, str(folder))
    results = inference_on_dataset(model, build_detection_test_loader(cfg, name), evaluator)
    print_csv_format(results)
    assert 0 <= results[kind][score] <= 100
    # Where the program wants it.
    assert (folder / "scores.json").is_file()


def test_detectron2s_own_optimizer_and_schedule_are_of_configs_that_have_them() -> None:
    """As the docs say: all recipes of detectors and instance segmentation have."""
    for name in ("det/faster_rcnn_R_50_FPN_1x", "det/retinanet_R_50_FPN_3x", "ins_seg/mask_rcnn_R_50_FPN_1x"):
        cfg = bdd100k_d2.get_config(name)
        model = torch.nn.Linear(2, 2)
        ours, theirs = solver.build_optimizer(cfg, model), build_optimizer(cfg, model)
        for schedule in (solver.build_schedule(cfg, ours), build_lr_scheduler(cfg, theirs)):
            assert schedule.get_last_lr() == pytest.approx([cfg.SOLVER.BASE_LR * cfg.SOLVER.WARMUP_FACTOR])
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    with pytest.raises(ValueError, match="Unknown LR scheduler: WarmupPolyLR"):
        build_lr_scheduler(cfg, build_optimizer(cfg, model))


@pytest.mark.usefixtures("root")
def test_detectron2s_evaluator_takes_a_data_set_and_scores_it_alike(tmp_path: Path) -> None:
    """Who writes `COCOEvaluator` into the program gets our scores, to the last digit."""
    name, found = "bdd100k_det_val", []
    assert MetadataCatalog.get(name).evaluator_type == "bdd100k_det"
    cfg = detection(tmp_path)
    for evaluator in (get_evaluator(cfg, name), COCOEvaluator(name, output_dir=str(tmp_path / "coco"))):
        evaluator.reset()
        for record in DatasetCatalog.get(name):
            boxes = BoxMode.convert(
                np.array([one["bbox"] for one in record["annotations"]], float).reshape(-1, 4),
                BoxMode.XYWH_ABS,
                BoxMode.XYXY_ABS,
            )
            # Wide ones stay close to what is labelled.
            instances = Instances((96, 160), pred_boxes=Boxes(torch.from_numpy(boxes) + torch.tensor([9, 0, 0, 0])))
            instances.pred_classes = torch.tensor([one["category_id"] for one in record["annotations"]], dtype=int)
            instances.scores = torch.linspace(0.9, 0.5, len(boxes))
            evaluator.process([record], [{"instances": instances}])
        found.append(evaluator.evaluate()["bbox"])
    ours, theirs = found
    assert 0 < ours["AP"] < 100
    for score in ("AP", "AP50", "AP75", "APs", "APm", "APl"):
        assert ours[score] == pytest.approx(theirs[score], abs=1e-9, nan_ok=True), score
