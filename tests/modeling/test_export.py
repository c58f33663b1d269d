"""The zoo's models are scripted and traced as Detectron2's own are, and give what they give without."""

from collections.abc import Callable

import pytest
import torch
from detectron2.export import TracingAdapter, scripting_with_instances
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from support.small_models import SMALL_MODELS
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.modeling.norms import adapt_sync_norms
from bdd100k_d2.modeling.recipe import TwoSidedBox2BoxTransform

pytestmark = pytest.mark.usefixtures("by_operators")

FIELDS = {
    "proposal_boxes": Boxes,
    "objectness_logits": Tensor,
    "pred_boxes": Boxes,
    "scores": Tensor,
    "pred_classes": Tensor,
    "pred_masks": Tensor,
}
SIZES = ((128, 224), (100, 150))


class RawOutputs(nn.Module):
    """An R-CNN without what Detectron2 does to its outputs afterwards, as Detectron2's own export scripts it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: tuple[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
        return [one.get_fields() for one in self.model.inference(inputs, do_postprocess=False)]


def small_model(name: str) -> nn.Module:
    """A zoo's model at a fraction of its size, with random weights whose scores have no ties."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    cfg.merge_from_list(SMALL_MODELS["sem_seg" if name.startswith("sem_seg") else "det"])
    if "atss" in name:
        # Of 32 groups.
        cfg.MODEL.FPN.OUT_CHANNELS = 32
    if cfg.MODEL.SEM_SEG_HEAD.NORM == "GN":
        # 32 groups of channels.
        cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM = 32
    # Fewer than the smaller image has.
    cfg.MODEL.POINT_HEAD.SUBDIVISION_NUM_POINTS = 500
    cfg.MODEL.ROI_MASK_HEAD.CONV_DIM, cfg.MODEL.RETINANET.SCORE_THRESH_TEST = 8, 0.0
    torch.manual_seed(0)
    model = build_model(cfg)
    adapt_sync_norms(model)
    # Detectron2's own are so small that many scores would be the same.
    for part, parameter in model.named_parameters():
        if part.startswith("head.") or "cls_score" in part or "objectness" in part:
            nn.init.normal_(parameter, std=0.2)
    return model.eval()


def image(height: int, width: int) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(height)) * 255


def assert_equal(found: Instances | dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert len(expected["scores"]) > 10
    for name, value in expected.items():
        tensors = [getattr(one, "tensor", one) for one in (found[name], value)]
        assert torch.equal(*tensors), name


@pytest.mark.parametrize("name", ["det/faster_rcnn_R_50_FPN_1x", "ins_seg/mask_rcnn_R_50_FPN_1x"])
@torch.no_grad()
def test_an_rcnn_is_scripted(name: str) -> None:
    model = small_model(name)
    assert isinstance(model.proposal_generator.box2box_transform, TwoSidedBox2BoxTransform)
    scripted = scripting_with_instances(RawOutputs(model).eval(), FIELDS)
    for size in SIZES:
        inputs = {"image": image(*size)}
        (expected,) = model.inference([inputs], do_postprocess=False)
        assert expected.has("pred_masks") == name.startswith("ins_seg")
        assert_equal(scripted((inputs,))[0], expected.get_fields())


@pytest.mark.parametrize("name", ["det/retinanet_R_50_FPN_1x", "det/atss_R_50_FPN_1x"])
@torch.no_grad()
def test_a_dense_detector_is_scripted(name: str) -> None:
    model = small_model(name)
    scripted = scripting_with_instances(model, FIELDS)
    for height, width in SIZES:
        inputs = [{"image": image(height, width)}]
        (expected,) = model(inputs)
        found = scripted(inputs)[0]
        fields = {name: getattr(found, name) for name in expected["instances"].get_fields()}
        assert_equal(fields, expected["instances"].get_fields())


def raw(model: nn.Module, inputs: list[dict[str, Tensor]]) -> list[Instances]:
    return model.inference(inputs, do_postprocess=False)


TRACED: dict[str, Callable[..., object] | None] = {
    "det/faster_rcnn_R_50_FPN_1x": raw,
    "det/cascade_rcnn_R_50_FPN_1x": raw,
    "ins_seg/mask_rcnn_R_50_FPN_1x": raw,
    "det/retinanet_R_50_FPN_1x": None,
    "det/atss_R_50_FPN_1x": None,
    "sem_seg/semantic_fpn_R_50_40k": None,
    "det/faster_rcnn_R_50_FPN_dconv_1x": raw,
    "sem_seg/semantic_fpn_R_50_40k_gn_dconv": None,
    "sem_seg/pointrend_R_50_40k": None,
}


@pytest.mark.parametrize("name", TRACED)
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_model_is_traced_at_one_size_and_runs_at_another(name: str) -> None:
    model = small_model(name)

    def adapter(size: tuple[int, int]) -> TracingAdapter:
        return TracingAdapter(model, [{"image": image(*size)}], inference_func=TRACED[name]).eval()

    traced = torch.jit.trace(adapter(SIZES[0]), (image(*SIZES[0]),), check_trace=False)
    for size in SIZES:
        expected = adapter(size)(image(*size))
        assert len(expected[0]) > 10
        found = traced(image(*size))
        assert all(map(torch.equal, found, expected)) and len(found) == len(expected)
