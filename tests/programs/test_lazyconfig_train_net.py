"""Detectron2's ``tools/lazyconfig_train_net.py``: a LazyConfig of our data, models and evaluators."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyConfig, instantiate
from detectron2.engine import SimpleTrainer, default_setup, default_writers, hooks
from detectron2.engine.defaults import create_ddp_model
from detectron2.evaluation import inference_on_dataset, print_csv_format
from torch import nn

from bdd100k_d2.config import config_folder
from bdd100k_d2.modeling.retinanet import BDD100KRetinaNet
from bdd100k_d2.modeling.semantic_fpn import SemanticFPN

# What a user writes, who imports the package there; the program stays as it is.
COMMON = """
from detectron2 import model_zoo
from detectron2.config import LazyCall as L
from detectron2.data import transforms as T
from detectron2.modeling import build_model

import bdd100k_d2
from bdd100k_d2.evaluation.evaluators import {evaluator}
from bdd100k_d2.modeling.retinanet import BDD100KRetinaNet

train = model_zoo.get_config("common/train.py").train
optimizer = model_zoo.get_config("common/optim.py").SGD
optimizer.lr = 0.01
lr_multiplier = model_zoo.get_config("common/coco_schedule.py").lr_multiplier_1x
dataloader = model_zoo.get_config("common/data/coco.py").dataloader
for _part in (dataloader.train, dataloader.test):
    _part.mapper.augmentations = [L(T.ResizeShortestEdge)(short_edge_length=96, max_size=160)]
    _part.num_workers = 0
dataloader.train.mapper.use_instance_mask, dataloader.train.total_batch_size = False, 2
dataloader.train.dataset.names = "bdd100k_{task}_train"
dataloader.test.dataset.names = "bdd100k_{task}_val"
dataloader.evaluator = L({evaluator})(dataset_name="bdd100k_{task}_val", output_dir="{out}/inference")
train.device, train.max_iter, train.eval_period, train.log_period = "cpu", 2, 1, 1
train.init_checkpoint, train.output_dir = "", "{out}"
"""
# Detectron2's config of a model with our class in the place of its own.
RETINANET = """
model = model_zoo.get_config("common/models/retinanet.py").model
model._target_, model.clip_before_nms, model.num_classes = BDD100KRetinaNet, True, 10
model.backbone.bottom_up.stages.depth = 18
del model.backbone.bottom_up.stages["stride_in_1x1"]
model.backbone.top_block.in_channels = 512
"""
# A model of our YAML files.
SEMANTIC_FPN = """
model = L(build_model)(cfg=L(bdd100k_d2.load_config)(path="{config}", overrides=["MODEL.DEVICE", "cpu"]))
"""
SEMANTIC_YAML = """
_BASE_: {base}
MODEL:
  RESNETS: {{NORM: BN, RES2_OUT_CHANNELS: 64}}
  SEM_SEG_HEAD: {{NORM: BN, CONVS_DIM: 8}}
"""


def evaluate(cfg: Any, model: nn.Module) -> dict[str, dict[str, float]]:  # noqa: ANN401, what a LazyConfig is
    loader, evaluator = instantiate(cfg.dataloader.test), instantiate(cfg.dataloader.evaluator)
    scores = inference_on_dataset(model, loader, evaluator)
    print_csv_format(scores)
    return scores


def train(cfg: Any) -> nn.Module:  # noqa: ANN401, what a LazyConfig is
    model = instantiate(cfg.model)
    model.to(cfg.train.device)
    cfg.optimizer.params.model = model
    optimizer = instantiate(cfg.optimizer)
    model = create_ddp_model(model, **cfg.train.ddp)
    trainer = SimpleTrainer(model, instantiate(cfg.dataloader.train), optimizer)
    checkpointer = DetectionCheckpointer(model, cfg.train.output_dir, trainer=trainer)
    trainer.register_hooks(
        [
            hooks.IterationTimer(),
            hooks.LRScheduler(scheduler=instantiate(cfg.lr_multiplier)),
            hooks.PeriodicCheckpointer(checkpointer, **cfg.train.checkpointer),
            hooks.EvalHook(cfg.train.eval_period, lambda: evaluate(cfg, model)),
            hooks.PeriodicWriter(default_writers(cfg.train.output_dir, cfg.train.max_iter), cfg.train.log_period),
        ]
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=False)
    trainer.train(0, cfg.train.max_iter)
    return model


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("task", "evaluator", "model", "kind", "score"),
    [
        ("det", "BDD100KDetEvaluator", RETINANET, BDD100KRetinaNet, "bbox/AP"),
        ("sem_seg", "BDD100KSemSegEvaluator", SEMANTIC_FPN, SemanticFPN, "sem_seg/mIoU"),
    ],
)
def test_a_training_with_evaluation(
    task: str, evaluator: str, model: str, kind: type[nn.Module], score: str, tmp_path: Path
) -> None:
    path, out = tmp_path / "lazy.py", tmp_path / "out"
    base = config_folder() / "sample/semantic_fpn_R_18.yaml"
    (tmp_path / "small.yaml").write_text(SEMANTIC_YAML.format(base=base))
    path.write_text((COMMON + model).format(task=task, evaluator=evaluator, out=out, config=tmp_path / "small.yaml"))
    cfg = LazyConfig.apply_overrides(LazyConfig.load(str(path)), ["optimizer.lr=0.001"])
    default_setup(cfg, SimpleNamespace(config_file=str(path)))
    torch.manual_seed(0)
    trained = train(cfg)
    assert type(trained) is kind
    metrics: dict[str, float] = {}
    for line in (out / "metrics.json").read_text().splitlines():
        metrics |= json.loads(line)
    assert metrics["total_loss"] > 0 and 0 <= metrics[score] <= 100
    assert (out / "inference/scores.json").is_file()
    # What it saved is as good as the model.
    again = instantiate(cfg.model)
    DetectionCheckpointer(again).load(str(out / "model_final.pth"))
    scores = evaluate(cfg, again.eval())
    assert scores[score.split("/")[0]][score.split("/")[1]] == pytest.approx(metrics[score])
