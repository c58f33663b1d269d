import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from torch import nn

import bdd100k_d2
from bdd100k_d2.modeling.resnet_backbone import AnySizeFPN, DeepStem


def small_config(**keys: object) -> CfgNode:
    """Semantic FPN with ResNet-18 that computes what Detectron2's does."""
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.NORM = cfg.MODEL.SEM_SEG_HEAD.NORM = "BN"
    cfg.MODEL.SEM_SEG_HEAD.DROPOUT = 0.0
    cfg.MODEL.SEM_SEG_HEAD.AVERAGE_OVER_IGNORED = False
    cfg.merge_from_list([part for item in keys.items() for part in item])
    return cfg


def stock(cfg: CfgNode) -> nn.Module:
    """Detectron2's own classes, built from the same config."""
    cfg = cfg.clone()
    cfg.MODEL.META_ARCHITECTURE = "SemanticSegmentor"
    cfg.MODEL.SEM_SEG_HEAD.NAME = "SemSegFPNHead"
    cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    return build_model(cfg)


def batch(*sizes: tuple[int, int], dtype: torch.dtype = torch.uint8) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "image": torch.randint(0, 256, (3, h, w), generator=generator).to(dtype),
            "sem_seg": torch.randint(0, 21, (h, w), generator=generator).apply_(lambda v: v if v < 19 else 255),
            "height": h,
            "width": w,
        }
        for h, w in sizes
    ]


def test_equals_detectron2() -> None:
    cfg = small_config()
    ours, theirs = build_model(cfg), stock(cfg)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    theirs.load_state_dict(ours.state_dict())
    inputs = batch((64, 96), (64, 64))
    losses, expected = ours(inputs), theirs(inputs)
    assert losses.keys() == expected.keys() == {"loss_sem_seg"}
    torch.testing.assert_close(losses["loss_sem_seg"], expected["loss_sem_seg"], rtol=1e-6, atol=0)
    ours.eval()
    theirs.eval()
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        for one, other in zip(ours(inputs), theirs(inputs), strict=True):
            torch.testing.assert_close(one["sem_seg"], other["sem_seg"], rtol=0, atol=0)


@pytest.mark.parametrize("size", [(90, 160), (33, 65), (47, 50)])
def test_sizes_that_do_not_divide_by_32(size: tuple[int, int]) -> None:
    model = build_model(small_config())
    model(batch(size, (40, 40)))["loss_sem_seg"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        (output,) = model(batch(size))
    assert output["sem_seg"].shape == (19, *size)
    with torch.no_grad():
        (alone,) = model(batch(size))
        first, _ = model(batch(size, size))
    torch.testing.assert_close(alone["sem_seg"], first["sem_seg"], rtol=1e-4, atol=1e-4)


def test_results_have_the_asked_size() -> None:
    model = build_model(small_config()).eval()
    inputs = batch((60, 80))
    inputs[0].update(height=120, width=160)
    with torch.no_grad():
        assert model(inputs)[0]["sem_seg"].shape == (19, 120, 160)


def test_the_recipes_loss_divides_by_all_pixels() -> None:
    model = build_model(small_config()).train()
    head = model.sem_seg_head
    logits = torch.randn(1, 19, 8, 8)
    targets = torch.randint(0, 19, (1, 32, 32))
    targets[:, :16] = 255
    over_valid = head.losses(logits, targets)["loss_sem_seg"]
    head.average_over_ignored = True
    assert head.losses(logits, targets)["loss_sem_seg"] == pytest.approx(over_valid.item() / 2)
    all_ignored = head.losses(logits, torch.full_like(targets, 255))["loss_sem_seg"]
    head.average_over_ignored = False
    assert all_ignored == head.losses(logits, torch.full_like(targets, 255))["loss_sem_seg"] == 0


def test_dropout_acts_in_training_only() -> None:
    model = build_model(small_config(**{"MODEL.SEM_SEG_HEAD.DROPOUT": 0.5}))
    features = {f"p{k}": torch.randn(1, 64, 64 >> k, 64 >> k) for k in range(2, 6)}
    head = model.sem_seg_head
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert not torch.equal(head.layers(features), head.layers(features))
    head.eval()
    assert torch.equal(head.layers(features), head.layers(features))


def test_the_deep_stem_is_the_v1c_stem() -> None:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg)
    assert isinstance(model.backbone, AnySizeFPN) and isinstance(model.backbone.bottom_up.stem, DeepStem)
    shapes = {key: tuple(v.shape) for key, v in model.state_dict().items() if ".stem.conv" in key and v.dim() == 4}
    assert shapes == {
        "backbone.bottom_up.stem.conv1.weight": (32, 3, 3, 3),
        "backbone.bottom_up.stem.conv2.weight": (32, 32, 3, 3),
        "backbone.bottom_up.stem.conv3.weight": (64, 32, 3, 3),
    }
    stem = model.backbone.bottom_up.stem.eval()
    assert stem(torch.randn(1, 3, 50, 70)).shape == (1, 64, 13, 18)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_frozen_deep_stem_is_frozen() -> None:
    cfg = small_config(**{"MODEL.RESNETS.DEEP_STEM": True, "MODEL.BACKBONE.FREEZE_AT": 1})
    model = build_model(cfg)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen and all(".stem." in name for name in frozen)
