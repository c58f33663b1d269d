"""What the detection recipes set beyond Detectron2: each key does what it says, and nothing where it is not set."""

import math
import re

import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import nn

import bdd100k_d2
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.norms import FixedStatisticsBatchNorm2d
from bdd100k_d2.modeling.recipe import TwoSidedBox2BoxTransform, build_box2box_transform
from bdd100k_d2.modeling.resnet_backbone import LinearP6P7
from bdd100k_d2.modeling.rpn import MinQualityMatcher

CLAMP = math.log(1000 / 16)


def small(cfg: CfgNode) -> CfgNode:
    """A ResNet-18 with few channels and proposals, on the CPU."""
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.WEIGHTS = ""
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 16
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    cfg.MODEL.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    cfg.MODEL.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    cfg.MODEL.ROI_BOX_HEAD.NUM_FC = 2
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 32
    cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
    return cfg


def batch() -> list[dict[str, object]]:
    """Two images with three boxes each."""
    random = torch.Generator().manual_seed(0)
    found = []
    for _ in range(2):
        instances = Instances((128, 192))
        instances.gt_boxes = Boxes([[10, 20, 60, 70], [100.0, 30, 150, 120], [0, 0, 190, 30]])
        instances.gt_classes = torch.tensor([0, 3, 9])
        image = torch.randint(0, 256, (3, 128, 192), generator=random, dtype=torch.uint8)
        found.append({"image": image, "instances": instances, "height": 128, "width": 192})
    return found


def losses_and_boxes(cfg: CfgNode) -> tuple[dict[str, float], torch.Tensor]:
    """What a model of ``cfg`` gives in training and in evaluation, all draws from one seed."""
    torch.manual_seed(0)
    model = build_model(cfg)
    torch.manual_seed(1)
    with EventStorage():
        losses = {name: float(loss.detach()) for name, loss in model(batch()).items()}
    with torch.no_grad():
        (found, _) = model.eval()(batch())
    return losses, found["instances"].pred_boxes.tensor


@pytest.mark.usefixtures("by_operators")
@pytest.mark.parametrize("cascade", [False, True])
def test_our_modules_equal_their_parents_without_our_keys(cascade: bool) -> None:
    stock = small(get_cfg())
    stock.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    stock.MODEL.ROI_HEADS.NAME = "CascadeROIHeads" if cascade else "StandardROIHeads"
    stock.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = cascade
    ours = get_cfg()
    bdd100k_d2.add_bdd100k_config(ours)
    ours = small(ours)
    ours.MODEL.BACKBONE.NAME = "build_bdd100k_resnet_fpn_backbone"
    ours.MODEL.PROPOSAL_GENERATOR.NAME = "BDD100KRPN"
    ours.MODEL.ROI_HEADS.NAME = "BDD100KCascadeROIHeads" if cascade else "BDD100KROIHeads"
    ours.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = cascade
    (expected, boxes), (losses, found) = losses_and_boxes(stock), losses_and_boxes(ours)
    assert losses == expected and len(expected) == (8 if cascade else 4)
    assert torch.equal(found, boxes)


def test_norms_keep_their_statistics_and_train_their_scale() -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    resnet = build_model(cfg).backbone.bottom_up.train()
    norms = [module for module in resnet.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(type(norm) is FixedStatisticsBatchNorm2d for norm in norms)
    trained = {name.split(".")[0] for name, value in resnet.named_parameters() if value.requires_grad}
    assert trained == {"res3", "res4", "res5"}
    norm = FixedStatisticsBatchNorm2d(4).train()
    norm.running_mean.copy_(torch.arange(4.0))
    norm.running_var.copy_(torch.arange(1.0, 5.0))
    nn.init.constant_(norm.weight, 2.0)
    x = torch.randn(2, 4, 3, 3)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    y = norm(x)
    scale = 2 / torch.sqrt(norm.running_var + norm.eps)
    torch.testing.assert_close(y, (x - norm.running_mean[:, None, None]) * scale[:, None, None])
    y.square().sum().backward()
    assert norm.weight.grad.abs().min() > 0 and norm.bias.grad.abs().min() > 0
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_deltas_are_limited_on_both_sides() -> None:
    boxes = torch.tensor([[0.0, 0.0, 100.0, 50.0]])
    deltas = torch.tensor([[0.0, 0.0, -60.0, -60.0, 1.0, -1.0, 60.0, 2.0]])
    weights = (10.0, 10.0, 5.0, 5.0)
    found = TwoSidedBox2BoxTransform(weights).apply_deltas(deltas, boxes).view(2, 4)
    width, height = found[0, 2] - found[0, 0], found[0, 3] - found[0, 1]
    torch.testing.assert_close(torch.stack([width, height]), torch.tensor([1.6, 0.8]), rtol=1e-4, atol=1e-4)
    # What is within the limits, or above them, is as in Detectron2.
    stock = Box2BoxTransform(weights).apply_deltas(deltas, boxes).view(2, 4)
    assert torch.equal(found[1], stock[1])
    assert stock[0, 2] - stock[0, 0] < 0.01
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    assert type(build_box2box_transform(cfg, weights)) is TwoSidedBox2BoxTransform
    cfg.MODEL.CLIP_DELTAS_BELOW = False
    assert type(build_box2box_transform(cfg, weights)) is Box2BoxTransform


def test_low_quality_matches_need_the_least_iou() -> None:
    # Rows are boxes, columns anchors; no IoU reaches 0.7.
    iou = torch.tensor([[0.6, 0.1, 0.0, 0.0], [0.0, 0.2, 0.25, 0.0], [0.0, 0.0, 0.0, 0.3]])
    matches, labels = MinQualityMatcher([0.3, 0.7], [0, -1, 1], 0.3)(iou)
    assert matches.tolist() == [0, 1, 1, 2]
    assert labels.tolist() == [1, 0, 0, 1]
    _, stock = Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True)(iou)
    assert stock.tolist() == [1, 0, 1, 1]


def rpn(**keys: object) -> nn.Module:
    """The RPN of a small model with some keys of ``MODEL.RPN`` set."""
    cfg = get_cfg()
    bdd100k_d2.add_bdd100k_config(cfg)
    cfg = small(cfg)
    cfg.MODEL.BACKBONE.NAME = "build_bdd100k_resnet_fpn_backbone"
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "BDD100KRPN"
    cfg.MODEL.ROI_HEADS.NAME = "BDD100KROIHeads"
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 1000
    cfg.MODEL.RPN.POSITIVE_FRACTION = 1.0
    for key, value in keys.items():
        cfg.MODEL.RPN[key] = value
    return build_model(cfg).proposal_generator


def test_low_quality_matches_learn_the_box_whose_best_they_are() -> None:
    # The second prediction is the first box's best, and overlaps the second box more, whose best is the first.
    iou = torch.tensor([[0.1, 0.4, 0.2], [0.8, 0.5, 0.0], [0.0, 0.0, 0.25]])
    stays, labels = MinQualityMatcher([0.3, 0.7], [0, -1, 1], 0.3)(iou)
    moved, moved_labels = MinQualityMatcher([0.3, 0.7], [0, -1, 1], 0.3, moves=True)(iou)
    assert stays.tolist() == [1, 1, 2] and moved.tolist() == [1, 0, 2]
    assert labels.tolist() == moved_labels.tolist() == [1, 1, 0]
    empty, labels = MinQualityMatcher([0.3, 0.7], [0, -1, 1], 0.3, moves=True)(torch.zeros(0, 3))
    assert empty.tolist() == labels.tolist() == [0, 0, 0]


def cascade_config(weights: list[float]) -> CfgNode:
    cfg = small(bdd100k_d2.get_config("det/cascade_rcnn_R_50_FPN_1x"))
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS = weights
    return cfg


def test_a_cascade_trains_with_the_labelled_boxes_in_each_stage() -> None:
    torch.manual_seed(0)
    model = build_model(cascade_config([1.0, 0.5, 0.25])).train()
    heads, seen = model.roi_heads, []
    predictor = heads.box_predictor[2]
    predictor.register_forward_hook(lambda *_: seen.append(None))
    sampled = heads.label_and_sample_proposals

    def watch(proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        result = sampled(proposals, targets)
        boxes = [one.proposal_boxes.tensor for one in result]
        seen.append(
            [(b[:, None] == t.gt_boxes.tensor).all(2).sum(0).tolist() for b, t in zip(boxes, targets, strict=True)]
        )
        return result

    heads.label_and_sample_proposals = watch
    with EventStorage():
        losses = model(batch())
    # Once each in each of three stages, however the stage before moved them.
    assert seen == [[[1, 1, 1]] * 2] * 3 + [None]
    assert heads.proposal_matcher is heads.proposal_matchers[0]
    # One weight changed, one stage's losses change with it.
    with EventStorage():
        torch.manual_seed(1)
        first = model(batch())
        heads.loss_weights[1] = 1.5
        torch.manual_seed(1)
        second = model(batch())
    assert len(losses) == 8
    for name in first:
        assert second[name].item() == pytest.approx(
            first[name].item() * (3 if name.endswith("stage1") else 1), rel=1e-5
        )


def test_an_image_without_boxes_trains_such_a_cascade() -> None:
    model = build_model(cascade_config([1.0, 0.5, 0.25])).train()
    empty = batch()
    for one in empty:
        one["instances"] = one["instances"][:0]
    with EventStorage():
        losses = model(empty)
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()


def test_a_weight_for_each_stage() -> None:
    with pytest.raises(ConfigError, match=r"LOSS_WEIGHTS is \[1.0, 0.5\]; give one for each of the 3 stages, or none"):
        build_model(cascade_config([1.0, 0.5]))


@pytest.mark.parametrize("config", ["det/cascade_rcnn_R_50_FPN_1x", "ins_seg/cascade_mask_rcnn_R_50_FPN_1x"])
@pytest.mark.parametrize(
    ("key", "value", "default"), [("CLASS_AGNOSTIC_NMS", True, False), ("MIN_LOW_QUALITY_IOU", 0.5, 0.0)]
)
def test_keys_that_a_cascade_lacks(config: str, key: str, value: float, default: float) -> None:
    cfg = small(bdd100k_d2.get_config(config))
    cfg.MODEL.ROI_HEADS[key] = value
    name = cfg.MODEL.ROI_HEADS.NAME
    message = f"MODEL.ROI_HEADS.{key} is {value}, but {name} has no such choice; set it to {default}."
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_model(cfg)


def test_anchors_across_the_border_are_left_out_before_matching() -> None:
    anchors = [Boxes([[-1.0, 0, 31, 32], [0, 0, 32, 32], [40, 40, 72, 72]]), Boxes([[60.0, 60, 101, 90]])]
    truth = Instances((100, 100))
    truth.gt_boxes = Boxes([[0.0, 0, 30, 32]])
    (labels,), (boxes,) = rpn(ALLOWED_BORDER=0).label_and_sample_anchors(anchors, [truth])
    # The second anchor takes the box that the first one, which crosses the border, would have had.
    assert labels.tolist() == [-1, 1, 0, -1]
    assert boxes[1].tolist() == [0, 0, 30, 32]
    (labels,), _ = rpn(ALLOWED_BORDER=1).label_and_sample_anchors(anchors, [truth])
    assert labels.tolist() == [1, 1, 0, -1]
    (labels,), _ = rpn().label_and_sample_anchors(anchors, [truth])
    assert labels.tolist() == [1, 1, 0, 0]


def test_an_image_without_boxes_trains_the_background() -> None:
    anchors = [Boxes([[-1.0, 0, 31, 32], [0, 0, 32, 32]])]
    truth = Instances((100, 100))
    truth.gt_boxes = Boxes(torch.zeros(0, 4))
    (labels,), (boxes,) = rpn(ALLOWED_BORDER=0).label_and_sample_anchors(anchors, [truth])
    assert labels.tolist() == [-1, 0] and boxes.shape == (2, 4)


def test_the_losses_are_divided_by_the_sampled_anchors() -> None:
    anchors = [Boxes([[0.0, 0, 32, 32], [10, 10, 42, 42], [50, 50, 82, 82]])]
    labels, boxes = [torch.tensor([1, -1, 0])], [torch.tensor([[0.0, 0, 30, 30]]).expand(3, 4)]
    logits, deltas = [torch.tensor([[0.0, 5, 0]])], [torch.ones(1, 3, 4)]
    with EventStorage():
        averaged = rpn(AVERAGE_OVER_SAMPLED=True).losses(anchors, logits, labels, deltas, boxes)
        stock = rpn().losses(anchors, logits, labels, deltas, boxes)
        nothing = rpn(AVERAGE_OVER_SAMPLED=True).losses(anchors, logits, [torch.full((3,), -1)], deltas, boxes)
    assert float(averaged["loss_rpn_cls"]) == pytest.approx(math.log(2))
    for name, value in stock.items():
        assert float(averaged[name]) == pytest.approx(float(value) * 1000 / 2)
        assert float(nothing[name]) == 0


def test_p7_comes_from_p6_with_or_without_a_relu() -> None:
    cfg = bdd100k_d2.get_config("det/retinanet_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    top = build_model(cfg).backbone.top_block
    assert type(top) is LinearP6P7
    c5 = torch.randn(1, 2048, 8, 8)
    p6, p7 = top(c5)
    torch.testing.assert_close(p7, top.p7(p6))
    assert p6.min() < 0 and not torch.allclose(p7, top.p7(p6.relu()))
    cfg.MODEL.FPN.RELU_BEFORE_P7 = True
    assert type(build_model(cfg).backbone.top_block) is not LinearP6P7


@pytest.mark.parametrize("name", ["det/faster_rcnn_R_50_FPN_1x", "sem_seg/semantic_fpn_R_50_40k"])
def test_unknown_initial_values_are_named(name: str) -> None:
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    head = "ROI_BOX_HEAD" if name.startswith("det") else "SEM_SEG_HEAD"
    cfg.MODEL[head].INIT = "caffe"
    with pytest.raises(ConfigError, match=f"MODEL.{head}.INIT is 'caffe'; there are detectron2 and vis4d"):
        build_model(cfg)


def test_fixed_statistics_need_batch_norm() -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.MODEL.DEVICE, cfg.MODEL.RESNETS.NORM = "cpu", "SyncBN"
    with pytest.raises(ConfigError, match="MODEL.RESNETS.NORM is 'SyncBN'; .*FIXED_NORM_STATISTICS needs BN"):
        build_model(cfg)


def test_our_retinanet_equals_detectron2s_without_our_keys() -> None:
    results = []
    for ours in (False, True):
        cfg = get_cfg()
        bdd100k_d2.add_bdd100k_config(cfg)
        cfg = small(cfg)
        cfg.MODEL.RESNETS.OUT_FEATURES = cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
        cfg.MODEL.META_ARCHITECTURE = "BDD100KRetinaNet" if ours else "RetinaNet"
        name = "build_bdd100k_retinanet_resnet_fpn_backbone" if ours else "build_retinanet_resnet_fpn_backbone"
        cfg.MODEL.BACKBONE.NAME = name
        cfg.MODEL.RETINANET.SCORE_THRESH_TEST = 0.0
        results.append(losses_and_boxes(cfg))
    (expected, boxes), (losses, found) = results
    assert losses == expected and len(expected) == 2
    assert torch.equal(found, boxes) and len(boxes) > 0


@pytest.mark.parametrize(
    "name", ["det/retinanet_R_50_FPN_1x", "det/cascade_rcnn_R_50_FPN_1x", "ins_seg/mask_rcnn_R_50_FPN_1x"]
)
def test_the_further_recipes_train(name: str) -> None:
    cfg = bdd100k_d2.get_config(name)
    features = (cfg.MODEL.RESNETS.OUT_FEATURES, cfg.MODEL.FPN.IN_FEATURES, cfg.MODEL.ANCHOR_GENERATOR.SIZES)
    cfg = small(cfg)
    cfg.MODEL.RESNETS.OUT_FEATURES, cfg.MODEL.FPN.IN_FEATURES, cfg.MODEL.ANCHOR_GENERATOR.SIZES = features
    torch.manual_seed(0)
    model = build_model(cfg)
    inputs = batch()
    for one in inputs:
        one["instances"].gt_masks = BitMasks(torch.ones(3, 128, 192, dtype=torch.bool))
    with EventStorage():
        losses = model(inputs)
    assert ("loss_mask" in losses) == cfg.MODEL.MASK_ON
    sum(losses.values()).backward()
    still = [
        key
        for key, value in model.named_parameters()
        if value.requires_grad and (value.grad is None or not value.grad.isfinite().all())
    ]
    assert not still and all(value.isfinite() for value in losses.values())
