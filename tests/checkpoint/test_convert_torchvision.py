"""torchvision's and timm's models compute the same with Detectron2's modules after the conversion."""

import logging
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torchvision
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY, DefaultAnchorGenerator
from support import module_trees as trees
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.checkpoint.convert import convert_state
from bdd100k_d2.checkpoint.loading import load_weights

FASTER, SEMANTIC = "det/faster_rcnn_R_50_FPN_1x", "sem_seg/semantic_fpn_R_50_40k"


def fill(model: nn.Module, scales: dict[str, float]) -> None:
    """Random values that keep the activations in range; ``scales`` for the ends of names, else He's."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var"):
            value.uniform_(0.8, 1.2, generator=generator)
        elif value.ndim == 1 and name.endswith(("bias", "running_mean")):
            value.normal_(0, 0.05, generator=generator)
        elif value.ndim == 1:
            # A residual branch adds less than it is given, as in a trained network.
            low, high = (0.2, 0.4) if "bn3" in name else (0.8, 1.2)
            value.uniform_(low, high, generator=generator)
        else:
            deviation = (2 / value[0].numel()) ** 0.5
            deviation = next((scale for end, scale in scales.items() if name.endswith(end)), deviation)
            value.normal_(0, deviation, generator=generator)


def small_config(name: str, depth: int) -> CfgNode:
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.RESNETS.DEPTH = depth
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64 if depth == 18 else 256
    return cfg


def features(resnet: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """What torchvision's stages make of images (N, 3, H, W)."""
    x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(image))))
    found = {}
    for i in range(1, 5):
        x = getattr(resnet, f"layer{i}")(x)
        found[f"res{i + 1}"] = x
    return found


def deep_stem() -> nn.Sequential:
    """timm's, whose last norm is the network's bn1."""

    def conv(inner: int, outer: int, stride: int = 1) -> nn.Conv2d:
        return nn.Conv2d(inner, outer, 3, stride, 1, bias=False)

    first, second = (conv(3, 32, 2), nn.BatchNorm2d(32), nn.ReLU()), (conv(32, 32), nn.BatchNorm2d(32), nn.ReLU())
    return nn.Sequential(*first, *second, conv(32, 64))


@pytest.mark.parametrize(
    ("depth", "deep", "config", "source"),
    [
        (18, False, FASTER, "torchvision or timm ResNet"),
        (50, False, FASTER, "torchvision or timm ResNet"),
        (50, True, SEMANTIC, "timm ResNet with a deep stem"),
    ],
)
def test_a_classifiers_backbone_computes_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, depth: int, deep: bool, config: str, source: str
) -> None:
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    if deep:
        theirs.conv1 = deep_stem()
    fill(theirs, {})
    torch.save(theirs.state_dict(), tmp_path / "resnet.pth")
    ours = build_model(small_config(config, depth)).eval()
    with caplog.at_level(logging.INFO, logger="bdd100k_d2"):
        load_weights(ours, str(tmp_path / "resnet.pth"))
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("bdd100k_d2")]
    assert line.startswith(f"{tmp_path / 'resnet.pth'}: converted from {source}, ")
    assert "2 the ImageNet classifier" in line
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = features(theirs.eval(), image)
        found = ours.backbone.bottom_up(image)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)


def test_openmmlabs_resnet_v1c_starts_the_segmentation_recipe(tmp_path: Path) -> None:
    shapes = trees.resnet(width=64, deep_stem=True) | trees.layer("fc", 1000, 2048)
    state = trees.random_tensors(shapes)
    converted = convert_state(state, "a.pth")
    assert converted.source == "open-mmlab ResNet-v1c" and converted.matching_heuristics
    assert {key for key, why in converted.dropped.items() if why == "the ImageNet classifier"} == {
        "fc.weight",
        "fc.bias",
    }
    torch.save({"state_dict": state, "meta": {}}, tmp_path / "resnet50_v1c.pth")
    model = build_model(small_config(SEMANTIC, 50))
    load_weights(model, str(tmp_path / "resnet50_v1c.pth"))
    backbone = model.backbone.bottom_up.state_dict()
    names = {key for key in backbone if not key.endswith("num_batches_tracked")}
    assert names == converted.model.keys()
    assert all(torch.equal(backbone[key], converted.model[key]) for key in names)
    assert torch.equal(backbone["stem.conv2.weight"], state["stem.3.weight"])
    assert torch.equal(backbone["stem.conv3.norm.bias"], state["stem.7.bias"])


class RoundedAnchors(DefaultAnchorGenerator):
    """torchvision's anchors have whole corners."""

    def generate_cell_anchors(self, *args: object, **kwargs: object) -> Tensor:
        return super().generate_cell_anchors(*args, **kwargs).round()


@pytest.fixture
def rounded_anchors() -> str:
    ANCHOR_GENERATOR_REGISTRY.register(RoundedAnchors)
    yield "RoundedAnchors"
    ANCHOR_GENERATOR_REGISTRY._obj_map.pop("RoundedAnchors")


def without_sequences(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of torchvision before 0.14."""
    found = OrderedDict()
    for key, value in state.items():
        if key.startswith("backbone.fpn."):
            key = key.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
        found[key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")] = value
    assert len(found) == len(state) and found.keys() != state.keys()
    return found


def spread_classes(model: nn.Module, image: Tensor) -> None:
    """Scores no class by what all boxes have in common, so that random weights find several."""
    seen = []
    hook = model.roi_heads.box_head.register_forward_hook(lambda *call: seen.append(call[-1]))
    with torch.no_grad():
        model([image])
        hook.remove()
        predictor = model.roi_heads.box_predictor.cls_score
        predictor.weight *= 10
        predictor.bias.copy_(-predictor.weight @ seen[0].mean(dim=0))


@pytest.mark.slow
def test_faster_rcnn_detects_the_same(tmp_path: Path, rounded_anchors: str) -> None:
    # P6 of an image that 64 divides: for another one torchvision takes a smaller stride than the level has.
    height, width = 192, 256
    theirs = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=11, min_size=height, max_size=width
    ).eval()
    scales = {
        **{f"layer_blocks.{i}.0.weight": 0.001 for i in range(4)},
        "rpn.head.conv.0.0.weight": 0.03,
        "cls_logits.weight": 0.02,
        "rpn.head.bbox_pred.weight": 0.004,
        "cls_score.weight": 0.06,
        "box_predictor.bbox_pred.weight": 0.02,
    }
    fill(theirs, scales)
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(2))
    spread_classes(theirs, image)
    torch.save(theirs.state_dict(), tmp_path / "new.pth")
    torch.save({"model": without_sequences(theirs.state_dict()), "epoch": 3}, tmp_path / "old.pth")

    cfg = bdd100k_d2.get_config(FASTER)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = theirs.transform.image_mean, theirs.transform.image_std
    cfg.MODEL.ANCHOR_GENERATOR.NAME = rounded_anchors
    # Details of the recipe that torchvision lacks, as Detectron2 does.
    cfg.MODEL.CLIP_DELTAS_BELOW = False
    cfg.MODEL.PROPOSAL_GENERATOR.MIN_SIZE = 0
    cfg.MODEL.ROI_BOX_HEAD.POOLER_TYPE = "ROIAlign"
    cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO = 2
    with torch.no_grad():
        (expected,) = theirs([image])
    assert len(expected["boxes"]) == 100 and len(expected["labels"].unique()) > 3
    for name in ("new.pth", "old.pth"):
        ours = build_model(cfg).eval()
        load_weights(ours, str(tmp_path / name), exact=True)
        with torch.no_grad():
            (found,) = ours([{"image": image}])
        found = found["instances"]
        torch.testing.assert_close(found.pred_boxes.tensor, expected["boxes"], rtol=0, atol=0.05)
        torch.testing.assert_close(found.scores, expected["scores"], rtol=0, atol=1e-5)
        assert torch.equal(found.pred_classes, expected["labels"] - 1)


def test_the_backgrounds_boxes_are_dropped_with_a_reason() -> None:
    theirs = torchvision.models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    state = theirs.state_dict()
    predictor = "roi_heads.box_predictor"
    state[f"{predictor}.cls_score.bias"] = torch.tensor([9.0, 1, 2])
    state[f"{predictor}.bbox_pred.bias"] = torch.arange(12.0)
    converted = convert_state(state, "a.pth")
    assert converted.source == "torchvision Faster R-CNN"
    assert converted.model[f"{predictor}.cls_score.bias"].tolist() == [1, 2, 9]
    assert converted.model[f"{predictor}.bbox_pred.bias"].tolist() == list(range(4, 12))
    assert converted.model[f"{predictor}.bbox_pred.weight"].shape == (8, 1024)
    reason = "the background's boxes, which Detectron2 does not predict"
    rows = {key: why for key, why in converted.dropped.items() if "bbox_pred" in key}
    assert rows == {f"{predictor}.bbox_pred.{part}[:4]": reason for part in ("weight", "bias")}


def test_mask_rcnn_of_torchvision_is_not_converted() -> None:
    state = torchvision.models.detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    with pytest.raises(bdd100k_d2.errors.WeightsError, match=r"roi_heads\.mask_head\.0\.0\.weight"):
        convert_state(state, "a.pth")
