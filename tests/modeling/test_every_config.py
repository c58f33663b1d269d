"""Every config that is shipped, its model at a fraction of its size, takes a step of training and gives results."""

from collections.abc import Iterator

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import nn

import bdd100k_d2
from bdd100k_d2.config import config_names
from bdd100k_d2.modeling.norms import adapt_sync_norms
from bdd100k_d2.predict.config_task import task_of
from bdd100k_d2.predict.frame_result import result_of

SIZE = (64, 96)
# Narrow, and of each kind of backbone the smallest.
NARROW: dict[str, object] = {
    "MODEL.RESNETS.DEPTH": 50,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 2,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    "MODEL.FPN.OUT_CHANNELS": 64,
    "MODEL.HRNET.WIDTH": 18,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 16,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 8,
    "MODEL.SEM_SEG_HEAD.CONVS_DIM": 32,
    "MODEL.SEM_SEG_HEAD.AUXILIARY.CONVS_DIM": 8,
    # Without weights from ImageNet and a warm-up.
    "SOLVER.BASE_LR": 1e-4,
}


def reduced(name: str) -> CfgNode:
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS, cfg.INPUT.CROP.ENABLED = "cpu", "", False
    cfg.merge_from_list([part for pair in NARROW.items() for part in pair])
    if cfg.MODEL.TORCHVISION.NAME:
        cfg.MODEL.TORCHVISION.NAME = "swin_t" if "swin" in cfg.MODEL.TORCHVISION.NAME else "convnext_tiny"
    # All boxes, whatever a model that has learnt nothing thinks of them.
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = cfg.MODEL.RETINANET.SCORE_THRESH_TEST = -1.0
    return cfg


def one_config_a_model() -> list[str]:
    """Of configs whose reduced models and optimizers are the same, the first."""
    names: dict[str, str] = {}
    for name in config_names():
        cfg = reduced(name)
        key = f"{cfg.DATASETS.TEST}{cfg.SOLVER.OPTIMIZER}{cfg.SOLVER.CLIP_GRADIENTS.ENABLED}\n{cfg.MODEL!r}"
        names.setdefault(key, name)
    return [*names.values()]


def labelled() -> dict[str, object]:
    instances = Instances(SIZE)
    instances.gt_boxes, instances.gt_classes = Boxes(torch.tensor([[8.0, 8.0, 60.0, 50.0]])), torch.tensor([2])
    instances.gt_masks = BitMasks(torch.ones(1, *SIZE, dtype=torch.bool))
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, *SIZE), generator=generator, dtype=torch.uint8)
    mask = torch.randint(0, 3, SIZE, generator=generator)
    return {"image": image, "instances": instances, "sem_seg": mask, "height": SIZE[0], "width": SIZE[1]}


def quick_and_slow() -> Iterator[object]:
    """The first model of each task is quick; all of them together take a minute."""
    tasks: set[str] = set()
    for name in one_config_a_model():
        task = name.partition("/")[0]
        yield pytest.param(name, marks=pytest.mark.slow if task in tasks else ())
        tasks.add(task)


@pytest.mark.parametrize("name", quick_and_slow())
def test_a_config_takes_a_step_and_gives_results(name: str) -> None:
    cfg = reduced(name)
    torch.manual_seed(0)
    model = build_model(cfg).train()
    adapt_sync_norms(model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and "hrnet" in name:
            # Its statistics are for weights from ImageNet; without them so many sums overflow.
            nn.init.constant_(module.weight, 0.1)
    optimizer = bdd100k_d2.Trainer.build_optimizer(cfg, model)
    with EventStorage():
        losses = model([labelled(), labelled()])
    assert losses and all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    trained = {key: value for key, value in model.named_parameters() if value.requires_grad}
    assert all(value.grad is not None and value.grad.isfinite().all() for value in trained.values())
    before = {key: value.detach().clone() for key, value in trained.items() if value.grad.abs().sum() > 0}
    optimizer.step()
    moved = [key for key, value in before.items() if not torch.equal(value, trained[key].detach())]
    assert moved and len(before) > 0.5 * len(trained)
    with torch.no_grad():
        (output,) = model.eval()([labelled()])
    result = result_of(task_of(cfg), output)
    assert result.pixels.shape[:2] == SIZE or (len(result.scores) and (result.scores >= 0).all())
