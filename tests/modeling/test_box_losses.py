"""The focal loss of ROI heads: its numbers and gradients, and models that are trained with it."""

import math

import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

import bdd100k_d2
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.box_losses import FocalOutputLayers
from bdd100k_d2.modeling.recipe import TwoSidedBox2BoxTransform
from bdd100k_d2.modeling.roi_heads import OneNMSFocalOutputLayers

FOCAL = ("MODEL.ROI_BOX_HEAD.CLS_LOSS", "sigmoid_focal")


def config(*keys: object) -> CfgNode:
    cfg = get_cfg()
    bdd100k_d2.add_bdd100k_config(cfg)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    cfg.merge_from_list([*keys])
    return cfg


def layers(*keys: object) -> FocalOutputLayers:
    return FocalOutputLayers(config(*keys), ShapeSpec(channels=8))


def proposals(*classes: int) -> list[Instances]:
    one = Instances((50, 50))
    one.proposal_boxes = Boxes(torch.tensor([[5.0, 5, 20, 20]]).repeat(len(classes), 1))
    one.gt_boxes = Boxes(torch.tensor([[6.0, 5, 22, 20]]).repeat(len(classes), 1))
    one.gt_classes = torch.tensor(classes)
    return [one]


def by_hand(logits: torch.Tensor, classes: tuple[int, ...], alpha: float, gamma: float) -> torch.Tensor:
    """Lin et al., 2017, equation 5: the sum of -alpha_t (1 - p_t)^gamma log(p_t), over the foreground."""
    total = torch.zeros((), dtype=logits.dtype)
    for row, category in zip(logits, classes, strict=True):
        for k in range(3):
            p = 1 / (1 + torch.exp(-row[k]))
            right, weight = (p, alpha) if k == category else (1 - p, 1 - alpha)
            total = total - weight * (1 - right) ** gamma * torch.log(right)
    return total / max(sum(category < 3 for category in classes), 1)


@pytest.mark.parametrize("classes", [(0, 2, 3, 3, 1), (3, 3, 3, 3, 3)])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 0.5)])
def test_the_loss_and_its_gradient_are_the_papers(classes: tuple[int, ...], alpha: float, gamma: float) -> None:
    head = layers("MODEL.ROI_BOX_HEAD.FOCAL_LOSS_ALPHA", alpha, "MODEL.ROI_BOX_HEAD.FOCAL_LOSS_GAMMA", gamma)
    scores = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    deltas = torch.zeros(5, 12, requires_grad=True)
    with EventStorage():
        found = head.losses((scores, deltas), proposals(*classes))
    expected = by_hand(scores.double(), classes, alpha, gamma)
    torch.testing.assert_close(found["loss_cls"].double(), expected, atol=1e-6, rtol=1e-6)
    (gradient,) = torch.autograd.grad(found["loss_cls"], scores)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, scores)[0], atol=1e-6, rtol=1e-5)
    # The background's logit is not trained.
    assert (gradient[:, 3] == 0).all() and (gradient[:, :3] != 0).all()
    stock = FastRCNNOutputLayers(config(), ShapeSpec(channels=8))
    with EventStorage():
        assert found["loss_box_reg"] == stock.losses((scores, deltas), proposals(*classes))["loss_box_reg"]


def test_without_alpha_and_gamma_it_is_the_cross_entropy() -> None:
    head = layers("MODEL.ROI_BOX_HEAD.FOCAL_LOSS_ALPHA", -1.0, "MODEL.ROI_BOX_HEAD.FOCAL_LOSS_GAMMA", 0.0)
    scores = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    with EventStorage():
        found = head.losses((scores, torch.zeros(4, 12)), proposals(0, 1, 3, 3))["loss_cls"]
    targets = F.one_hot(torch.tensor([0, 1, 3, 3]), 4)[:, :3].float()
    expected = F.binary_cross_entropy_with_logits(scores[:, :3], targets, reduction="sum") / 2
    torch.testing.assert_close(found, expected)


def test_scores_are_sigmoids_and_begin_with_the_prior() -> None:
    head = layers("MODEL.ROI_BOX_HEAD.PRIOR_PROB", 0.05)
    scores, deltas = head(torch.zeros(2, 8))
    (probabilities,) = head.predict_probs((scores, deltas), proposals(0, 3))
    torch.testing.assert_close(probabilities, torch.full((2, 4), 0.05))
    assert {name: one.shape for name, one in head.state_dict().items()} == {
        name: one.shape for name, one in FastRCNNOutputLayers(config(), ShapeSpec(channels=8)).state_dict().items()
    }


def test_what_is_logged_takes_a_proposal_without_a_score_for_background() -> None:
    with EventStorage() as storage:
        # The unused logit of the background is the largest of each.
        scores = torch.tensor([[1.0, -1, -1, 9], [-1, -1, -1, -9], [-1, -1, -1, 9]])
        layers().losses((scores, torch.zeros(3, 12)), proposals(0, 1, 3))
        latest = {name: value for name, (value, _) in storage.latest().items()}
    assert latest["fast_rcnn/cls_accuracy"] == pytest.approx(2 / 3) and latest["fast_rcnn/false_negative"] == 0.5


@pytest.mark.parametrize("name", ["faster_rcnn_R_50_FPN_1x", "cascade_rcnn_R_50_FPN_1x"])
@pytest.mark.parametrize("average_logits", [True, False])
def test_models_train_with_it(name: str, average_logits: bool) -> None:
    cfg = bdd100k_d2.get_config(f"det/{name}")
    small = "MODEL.DEVICE cpu MODEL.RESNETS.DEPTH 18 MODEL.RESNETS.RES2_OUT_CHANNELS 64"
    heads = "MODEL.FPN.OUT_CHANNELS 16 MODEL.ROI_BOX_HEAD.FC_DIM 16 MODEL.ROI_HEADS.SCORE_THRESH_TEST 0.0"
    cfg.merge_from_list([*small.split(), *heads.split(), *FOCAL])
    if name.startswith("cascade"):
        cfg.MODEL.ROI_BOX_CASCADE_HEAD.AVERAGE_LOGITS = average_logits
    else:
        cfg.MODEL.ROI_HEADS.CLASS_AGNOSTIC_NMS = average_logits
    model = build_model(cfg)
    predictors = [*getattr(model.roi_heads.box_predictor, "children", list)()]
    if name.startswith("faster"):
        expected = OneNMSFocalOutputLayers if average_logits else FocalOutputLayers
        assert type(model.roi_heads.box_predictor) is expected
    else:
        assert [type(one) for one in predictors] == 3 * [FocalOutputLayers]
        transforms = [one.box2box_transform for one in predictors]
        assert len({id(one) for one in transforms}) == 3
        assert all(type(one) is TwoSidedBox2BoxTransform for one in transforms)
    labels = Instances((64, 96))
    labels.gt_boxes, labels.gt_classes = Boxes([[10.0, 10, 60, 50]]), torch.tensor([9])
    image = {"image": torch.zeros(3, 64, 96, dtype=torch.uint8), "instances": labels, "height": 64, "width": 96}
    with EventStorage():
        losses = model([image])
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    with torch.no_grad():
        (found,) = model.eval()([image])
    # Of the softmax they would be a tenth or more, or less than this all together.
    assert found["instances"].scores.max() < 0.05


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("CLS_LOSS", "focal", "CLS_LOSS is 'focal'; there are softmax and sigmoid_focal"),
        ("FOCAL_LOSS_ALPHA", 1.5, "FOCAL_LOSS_ALPHA is 1.5; give a weight, 0 to 1, or -1 for none"),
        ("FOCAL_LOSS_GAMMA", -1.0, "FOCAL_LOSS_GAMMA is -1.0; give a power, 0 or more"),
        ("FOCAL_LOSS_GAMMA", math.inf, "FOCAL_LOSS_GAMMA is inf; give a power"),
        ("PRIOR_PROB", 0.0, "PRIOR_PROB is 0.0; give a score between 0 and 1"),
    ],
)
def test_impossible_keys_are_refused(key: str, value: object, message: str) -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    cfg.merge_from_list([*FOCAL, f"MODEL.ROI_BOX_HEAD.{key}", value])
    with pytest.raises(ConfigError, match=rf"MODEL\.ROI_BOX_HEAD\.{message}"):
        build_model(cfg)
