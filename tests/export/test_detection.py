"""A detector's graph finds what the model finds, for every kind of the zoo."""

import pytest
import torch
from detectron2.layers.mask_ops import _do_paste_mask
from detectron2.modeling.roi_heads import FastRCNNOutputLayers, MaskRCNNConvUpsampleHead, StandardROIHeads
from seeded import seeded_boxes
from support.small_detectors import FAMILIES, DetectorGraph, assert_equal, found_by, images, small_detector

from bdd100k_d2.errors import ConfigError
from bdd100k_d2.export.detection import check_detector
from bdd100k_d2.export.masks import paste_masks

FRAME = (180, 320)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_graph_finds_what_the_model_finds(family: str) -> None:
    if family in ("HRNet", "EfficientNet-Lite0"):
        pytest.importorskip("timm", reason="the extra 'timm' is not installed")
    model = small_detector(family)
    check_detector(model)
    batch = images(2, 128, 224)
    expected = found_by(model, batch, FRAME)
    assert expected["counts"].min() > 5
    assert_equal(DetectorGraph(model, FRAME).outputs(batch), expected, pixels=1e-3, scores=1e-6)


@pytest.mark.parametrize("size", [(97, 130), (256, 96), (64, 64)])
@torch.no_grad()
def test_images_of_any_size_are_padded_and_scaled_as_by_the_model(size: tuple[int, int]) -> None:
    model = small_detector("Faster R-CNN")
    for frame in (size, (55, 91)):
        expected = found_by(model, images(1, *size), frame)
        assert expected["counts"].item() > 10
        assert_equal(DetectorGraph(model, frame).outputs(images(1, *size)), expected, pixels=1e-3, scores=1e-6)


@pytest.mark.parametrize("family", ["Mask R-CNN", "RetinaNet", "ATSS"])
@torch.no_grad()
def test_where_nothing_is_found_the_tensors_are_empty(family: str) -> None:
    model = small_detector(family)
    owner = model.roi_heads.box_predictor if family == "Mask R-CNN" else model
    owner.test_score_thresh = 1.0
    outputs = DetectorGraph(model, FRAME).outputs(images(2, 64, 96))
    assert outputs["counts"].tolist() == [0, 0] and outputs["boxes"].shape == (0, 4)
    assert outputs["scores"].shape == outputs["classes"].shape == (0,)
    if family == "Mask R-CNN":
        assert outputs["masks"].shape == (0, *FRAME)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("part", ["proposal_generator.rpn_head.objectness_logits", "roi_heads.box_predictor.cls_score"])
@torch.no_grad()
def test_what_is_not_finite_is_nothing_as_for_the_model(part: str, value: float) -> None:
    model = small_detector("Faster R-CNN")
    model.get_parameter(f"{part}.bias")[0] = value
    batch = images(1, 128, 224)
    assert_equal(DetectorGraph(model, FRAME).outputs(batch), found_by(model, batch, FRAME), 1e-3, 1e-6)


@torch.no_grad()
def test_all_detections_are_kept_where_there_is_no_limit() -> None:
    model = small_detector("Faster R-CNN")
    model.roi_heads.box_predictor.test_topk_per_image = -1
    batch = images(1, 128, 224)
    expected = found_by(model, batch, FRAME)
    assert expected["counts"].item() > 100
    assert_equal(DetectorGraph(model, FRAME).outputs(batch), expected, 1e-3, 1e-6)


def test_masks_are_pasted_as_detectron2_pastes_them() -> None:
    masks = torch.rand(20, 28, 28, generator=torch.Generator().manual_seed(0))
    boxes = torch.from_numpy(seeded_boxes(90, 160, 20))
    boxes[0], boxes[1] = torch.tensor([0.0, 0, 160, 90]), torch.tensor([20.2, 20, 20.9, 70])
    probabilities, _ = _do_paste_mask(masks[:, None], boxes, 90, 160, skip_empty=False)
    expected = probabilities >= 0.5
    tie = (probabilities - 0.5).abs() < 1e-5
    pasted = paste_masks(masks, boxes, 90, 160)
    assert expected.any(dim=(1, 2)).all() and tie.float().mean() < 1e-3
    assert torch.equal(pasted | tie, expected | tie)
    assert paste_masks(masks[:0], boxes[:0], 90, 160).shape == (0, 90, 160)


class OtherHeads(StandardROIHeads):
    """Heads of a user's, which may do anything."""


class OtherPredictor(FastRCNNOutputLayers):
    """As these."""


class OtherMasks(MaskRCNNConvUpsampleHead):
    """As these."""

    def forward(self, x: torch.Tensor, instances: list) -> list:
        return instances


def test_parts_that_would_not_be_followed_are_refused() -> None:
    model = small_detector("Faster R-CNN")
    model.roi_heads.__class__ = OtherHeads
    with pytest.raises(ConfigError, match=r"MODEL\.ROI_HEADS\.NAME OtherHeads cannot be exported; these can: BDD100K"):
        check_detector(model)
    model = small_detector("Mask R-CNN")
    model.roi_heads.mask_head.__class__ = OtherMasks
    with pytest.raises(ConfigError, match=r"MODEL\.ROI_MASK_HEAD\.NAME OtherMasks cannot be exported: it has a fo"):
        check_detector(model)
    model.roi_heads.mask_on = False
    model.roi_heads.box_predictor.__class__ = OtherPredictor
    with pytest.raises(ConfigError, match=r"MODEL\.ROI_HEADS\.NAME's box predictor OtherPredictor cannot be export"):
        check_detector(model)
    model = small_detector("RetinaNet")
    model.anchor_generator = None
    with pytest.raises(ConfigError, match=r"MODEL\.ANCHOR_GENERATOR\.NAME NoneType cannot be exported"):
        check_detector(model)
    model = small_detector("Faster R-CNN")
    model.roi_heads.keypoint_on = True
    with pytest.raises(ConfigError, match=r"MODEL\.KEYPOINT_ON is True"):
        check_detector(model)
