"""What mmdet's Panoptic FPN does otherwise than Detectron2's: one NMS, the loss at 1/4, and what a proposal learns."""

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.modeling.matcher import Matcher
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

import bdd100k_d2
from bdd100k_d2.modeling.roi_heads import OneNMSOutputLayers
from bdd100k_d2.modeling.rpn import MinQualityMatcher
from bdd100k_d2.modeling.semantic_fpn import SemanticFPNHead

ONE_X = "pan_seg/panoptic_fpn_R_50_FPN_1x"


def predictions(boxes: list[list[float]], scores: list[list[float]]) -> tuple[tuple, list[Instances]]:
    """Logits of these scores, deltas of nothing, and the proposals."""
    probabilities = torch.tensor(scores)
    rest = 1 - probabilities.sum(dim=1, keepdim=True)
    logits = torch.cat([probabilities, rest], dim=1).log()
    proposals = Instances((100, 100))
    proposals.proposal_boxes = Boxes(torch.tensor(boxes))
    return (logits, torch.zeros(len(boxes), 4 * probabilities.shape[1])), [proposals]


def test_one_nms_for_all_classes() -> None:
    cfg = bdd100k_d2.get_config(ONE_X)
    cfg.MODEL.DEVICE, cfg.MODEL.ROI_HEADS.NUM_CLASSES = "cpu", 2
    layers = OneNMSOutputLayers(cfg, ShapeSpec(channels=4))
    boxes = [[0, 0, 50, 50], [0, 0, 50, 48], [60, 60, 90, 90], [60, 0, 90, 30], [0, 60, 130, 90.0]]
    # The second overlaps a better one of another class; 0.6 itself is not enough.
    scores = [[0.01, 0.9], [0.8, 0.1], [0.7, 0.2], [0.59, 0.4], [0.95, 0.01]]
    ((found,), (numbers,)) = layers.inference(*predictions(boxes, scores))
    assert numbers.tolist() == [4, 0, 2] and found.pred_classes.tolist() == [0, 1, 0]
    torch.testing.assert_close(found.scores, torch.tensor([0.95, 0.9, 0.7]))
    assert found.pred_boxes.tensor[0].tolist() == [0, 60, 100, 90] and found.image_size == (100, 100)
    layers.test_topk_per_image = 2
    assert layers.inference(*predictions(boxes, scores))[1][0].tolist() == [4, 0]
    layers.test_topk_per_image, layers.test_score_thresh = -1, 0.3
    assert layers.inference(*predictions(boxes, scores))[1][0].tolist() == [4, 0, 2, 3]
    layers.test_score_thresh = 0.99
    ((none,), _) = layers.inference(*predictions(boxes, scores))
    assert len(none) == 0


def test_the_loss_at_a_quarter() -> None:
    """Every fourth pixel of the mask, and the mean over those that are ignored as well."""
    torch.manual_seed(0)
    head = SemanticFPNHead(
        {"p2": ShapeSpec(channels=4, stride=4)},
        num_classes=3,
        conv_dims=32,
        common_stride=4,
        loss_weight=0.5,
        norm="GN",
        ignore_value=255,
        average_over_ignored=True,
        loss_at_stride=True,
    ).train()
    logits, targets = torch.randn(2, 3, 6, 8), torch.full((2, 24, 32), 255)
    quarter = torch.randint(0, 3, (2, 6, 8))
    quarter[:, 4:] = 255
    targets[:, ::4, ::4] = quarter
    loss = head.losses(logits, targets)["loss_sem_seg"]
    expected = F.cross_entropy(logits, quarter, reduction="sum", ignore_index=255) / (2 * 6 * 8) / 2
    torch.testing.assert_close(loss, expected)
    # A mask whose size does not divide by 4 has a last row and column of its own.
    odd = head.losses(logits, targets[:, :21, :29])["loss_sem_seg"]
    torch.testing.assert_close(odd, expected)
    ignored = head.losses(logits, torch.full_like(targets, 255))["loss_sem_seg"]
    assert ignored == 0


def test_the_heads_are_those_of_the_config() -> None:
    cfg = bdd100k_d2.get_config(ONE_X)
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        heads = build_model(cfg).roi_heads
    assert isinstance(heads.box_predictor, OneNMSOutputLayers) and isinstance(heads.proposal_matcher, MinQualityMatcher)
    # The second proposal is the best of both boxes; from 0.5 on it learns the later one, as in mmdet. The last two are
    # the boxes themselves.
    overlaps = torch.tensor([[0.6, 0.9, 0.2, 1, 0.3], [0.1, 0.7, 0.45, 0.3, 1]])
    matches, labels = heads.proposal_matcher(overlaps)
    assert (matches.tolist(), labels.tolist()) == ([0, 1, 1, 0, 1], [1, 1, 0, 1, 1])
    cfg = bdd100k_d2.get_config("ins_seg/mask_rcnn_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        heads = build_model(cfg).roi_heads
    assert type(heads.proposal_matcher) is Matcher and not isinstance(heads.box_predictor, OneNMSOutputLayers)


def learned(proposals: list[list[float]], boxes: list[list[float]], classes: list[int], appends: bool) -> list[int]:
    """The classes that the panoptic model's heads train these proposals and, where appended, the boxes for."""
    cfg = bdd100k_d2.get_config(ONE_X)
    cfg.MODEL.DEVICE, cfg.MODEL.ROI_HEADS.PROPOSAL_APPEND_GT = "meta", appends
    cfg.MODEL.ROI_HEADS.POSITIVE_FRACTION = 1.0
    with torch.device("meta"):
        heads = build_model(cfg).roi_heads
    given, labelled = Instances((200, 200)), Instances((200, 200))
    given.proposal_boxes = Boxes(torch.tensor(proposals).view(-1, 4))
    # Numbers, by which the sampled ones are put into order.
    given.objectness_logits = torch.arange(len(proposals)).float()
    labelled.gt_boxes, labelled.gt_classes = Boxes(torch.tensor(boxes).view(-1, 4)), torch.tensor(classes).long()
    with EventStorage():
        (sampled,) = heads.label_and_sample_proposals([given], [labelled])
    order = sampled.objectness_logits.argsort(stable=True)
    return sampled.gt_classes[order].tolist()


def test_the_appended_boxes_are_nobodys_best() -> None:
    """mmdet matches first and adds the labelled boxes afterwards."""
    boxes = [[0, 0, 100, 100.0], [0, 0, 100, 150]]
    # It overlaps the first most, with 100 / 115, and is the best of the second, with 115 / 150.
    proposal = [0, 0, 100, 115.0]
    (own, *added) = learned([proposal], boxes, [3, 7], appends=True)
    assert own == 7 and sorted(added) == [3, 7]
    assert learned([proposal], boxes, [3, 7], appends=False) == [7]
    # Two boxes in one place learn their own classes, and without proposals the boxes alone are left.
    assert sorted(learned([], [boxes[0], boxes[0]], [3, 7], appends=True)) == [3, 7]
    assert learned([], [boxes[0]], [3], appends=False) == []
    assert learned([proposal], [], [], appends=True) == [10]
    # Below 0.5 a best proposal learns nothing.
    (own, *_) = learned([[0, 0, 100, 49.0]], [boxes[0]], [3], appends=True)
    assert own == 10
