"""Detectron2's ``tools/lazyconfig_train_net.py``: a LazyConfig with our data, models and evaluators by `instantiate`."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyConfig, instantiate
from detectron2.engine import SimpleTrainer, default_setup, default_writers, hooks
from detectron2.engine.defaults import create_ddp_model
from detectron2.evaluation import inference_on_dataset, print_csv_format
from omegaconf import DictConfig
from torch import nn

from bdd100k_d2.modeling.roi_heads import BDD100KROIHeads

# What a user writes; `import bdd100k_d2` registers. The program itself stays as it is.
_COMMON = """
from detectron2 import model_zoo
from detectron2.config import LazyCall as L
from detectron2.data import DatasetMapper, build_detection_test_loader, get_detection_dataset_dicts
from detectron2.data import build_detection_train_loader, transforms as T

import bdd100k_d2
from bdd100k_d2.evaluation.evaluators import BDD100KDetEvaluator, BDD100KSemSegEvaluator

train = model_zoo.get_config("common/train.py").train
optimizer = model_zoo.get_config("common/optim.py").SGD
lr_multiplier = model_zoo.get_config("common/coco_schedule.py").lr_multiplier_1x
dataloader = model_zoo.get_config("common/data/coco.py").dataloader
dataloader.train.mapper.augmentations = [L(T.ResizeShortestEdge)(short_edge_length=96, max_size=160)]
dataloader.test.mapper.augmentations = [L(T.ResizeShortestEdge)(short_edge_length=96, max_size=160)]
dataloader.train.total_batch_size, dataloader.train.num_workers, dataloader.test.num_workers = 2, 0, 0
train.device, train.max_iter, train.eval_period, train.init_checkpoint, train.output_dir = "cpu", 1, 1, "", OUT
train.ddp.fp16_compression = False
"""
# Detectron2's model with our parts in it.
_STOCK_MODEL = """
from bdd100k_d2.modeling.roi_heads import BDD100KROIHeads

model = model_zoo.get_config("common/models/mask_rcnn_fpn.py").model
model.backbone.bottom_up.stages = L(bdd100k_stages)()
"""
CONFIGS = {
    "det": """
from detectron2.modeling import build_model
from support.prediction_models import detector

dataloader.train.dataset.names = "bdd100k_det_train"
dataloader.test.dataset.names = "bdd100k_det_val"
dataloader.evaluator = L(BDD100KDetEvaluator)(dataset_name="bdd100k_det_val", output_dir=OUT + "/inference")
model = L(build_model)(cfg=L(detector)(folder=L(Path)(OUT)))
""",
    "sem_seg": """
from detectron2.modeling import build_model
from support.small_models import small_config

dataloader.train.dataset.names = "bdd100k_sem_seg_train"
dataloader.test.dataset.names = "bdd100k_sem_seg_val"
dataloader.evaluator = L(BDD100KSemSegEvaluator)(dataset_name="bdd100k_sem_seg_val", output_dir=OUT + "/inference")
model = L(build_model)(cfg=L(small_config)(root=L(Path)(ROOT)))
""",
}
