"""Tensors of OpenMMLab's and Vis4D's models under Detectron2's names, and back.

The trees of `module_trees` were compared with the real models of mmdet 3.3.0, mmseg 1.2.2, Vis4D 1.0.0 and timm 1.0.31
at full width: equal names and shapes.
"""

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from support import module_trees as trees
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.checkpoint.convert import convert_state, convert_state_to_mmdet, is_foreign
from bdd100k_d2.errors import WeightsError

FASTER, MASK = "det/faster_rcnn_R_50_FPN_1x", "ins_seg/mask_rcnn_R_50_FPN_1x"
CASCADE, RETINANET = "det/cascade_rcnn_R_50_FPN_1x", "det/retinanet_R_50_FPN_1x"
PANOPTIC = "pan_seg/panoptic_fpn_R_50_FPN_1x"
POINTREND = "sem_seg/pointrend_R_50_40k"
ATSS = "det/atss_R_50_FPN_1x"
SEMANTIC, SEMANTIC_GN = "sem_seg/semantic_fpn_R_50_40k", "sem_seg/semantic_fpn_R_50_40k_gn"
MODELS = {
    "mmdet Faster R-CNN": (trees.faster_rcnn(), FASTER),
    "mmdet Mask R-CNN": (trees.mask_rcnn(), MASK),
    "mmdet Cascade R-CNN": (trees.cascade_rcnn(), CASCADE),
    "mmdet Cascade Mask R-CNN": (trees.cascade_mask_rcnn(), "ins_seg/cascade_mask_rcnn_R_50_FPN_1x"),
    "mmdet RetinaNet": (trees.retinanet(), RETINANET),
    "mmdet Panoptic FPN": (trees.panoptic_fpn(), PANOPTIC),
    "mmdet Faster R-CNN with DCN": (trees.deformable(trees.faster_rcnn()), "det/faster_rcnn_R_50_FPN_dconv_1x"),
    "mmdet Mask R-CNN with DCN": (trees.deformable(trees.mask_rcnn()), "ins_seg/mask_rcnn_R_50_FPN_dconv_1x"),
    "mmseg Semantic FPN with DCN and GN": (
        trees.deformable_head(trees.semantic_fpn(group_norm=True)),
        "sem_seg/semantic_fpn_R_50_40k_gn_dconv",
    ),
    "mmdet ATSS": (trees.atss(), ATSS),
    "mmseg Semantic FPN": (trees.semantic_fpn(), SEMANTIC),
    "mmseg Semantic FPN with GN": (trees.semantic_fpn(group_norm=True), SEMANTIC_GN),
    "mmseg PointRend": (trees.point_rend(), POINTREND),
    "Vis4D Faster R-CNN": (trees.as_vis4d(trees.faster_rcnn()), FASTER),
    "Vis4D Faster R-CNN of old torchvision": (trees.as_vis4d(trees.faster_rcnn(), sequences=False), FASTER),
    "Vis4D Mask R-CNN": (trees.as_vis4d(trees.mask_rcnn()), MASK),
    "Vis4D RetinaNet": (trees.as_vis4d(trees.retinanet()), RETINANET),
    "Vis4D Semantic FPN": (trees.as_vis4d(trees.semantic_fpn()), SEMANTIC),
}
OPENMMLAB = [name for name in MODELS if name.startswith("mm")]
BOTH = [name for name in OPENMMLAB if name.replace("mmdet", "Vis4D").replace("mmseg", "Vis4D") in MODELS]


def small(name: str) -> CfgNode:
    """A shipped config of the trees' widths."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = cfg.MODEL.RESNETS.WIDTH_PER_GROUP = trees.WIDTH
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 4 * trees.WIDTH
    cfg.MODEL.FPN.OUT_CHANNELS = cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = trees.FPN
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = trees.FC
    cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM = trees.SEM_SEG
    return cfg


@pytest.mark.parametrize("wrapper", ["", "module.", "model."])
@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_used_or_dropped_for_a_reason(name: str, wrapper: str) -> None:
    state = {wrapper + key: value for key, value in trees.random_tensors(MODELS[name][0]).items()}
    assert is_foreign(state)
    converted = convert_state(state, "a.pth")
    assert name.startswith(converted.source) and not converted.matching_heuristics
    counters = {key.removeprefix(wrapper) for key in state if key.endswith("num_batches_tracked")}
    assert converted.dropped == dict.fromkeys(counters, "counters of batches")
    assert len(converted.model) == len(state) - len(counters) > 200
    assert not is_foreign(converted.model)


@pytest.mark.parametrize("name", MODELS)
def test_detectron2s_model_of_the_architecture_takes_all_of_it(name: str) -> None:
    shapes, config = MODELS[name]
    model = build_model(small(config))
    converted = convert_state(trees.random_tensors(shapes), "a.pth").model
    model.load_state_dict(converted, strict=True)
    counters = {key for key in model.state_dict() if key.endswith("num_batches_tracked")}
    assert model.state_dict().keys() - counters == converted.keys()


# Pairs of tensors, by the table of the architectures' module trees; "#" stands for what differs between the two.
BACKBONE = {
    "backbone.layer1.0.conv3.weight": "backbone.bottom_up.res2.0.conv3.weight",
    "backbone.layer1.0.downsample.0.weight": "backbone.bottom_up.res2.0.shortcut.weight",
    "backbone.layer3.0.downsample.1.running_var": "backbone.bottom_up.res4.0.shortcut.norm.running_var",
    "backbone.layer3.5.bn2.running_mean": "backbone.bottom_up.res4.5.conv2.norm.running_mean",
    "backbone.layer4.2.bn1.bias": "backbone.bottom_up.res5.2.conv1.norm.bias",
}
STEM = {
    "backbone.conv1.weight": "backbone.bottom_up.stem.conv1.weight",
    "backbone.bn1.weight": "backbone.bottom_up.stem.conv1.norm.weight",
}
DEEP_STEM = {
    "backbone.stem.0.weight": "backbone.bottom_up.stem.conv1.weight",
    "backbone.stem.1.bias": "backbone.bottom_up.stem.conv1.norm.bias",
    "backbone.stem.3.weight": "backbone.bottom_up.stem.conv2.weight",
    "backbone.stem.4.running_var": "backbone.bottom_up.stem.conv2.norm.running_var",
    "backbone.stem.6.weight": "backbone.bottom_up.stem.conv3.weight",
    "backbone.stem.7.weight": "backbone.bottom_up.stem.conv3.norm.weight",
}
NECK = {
    f"neck.{theirs}.{i}.conv.{part}": f"backbone.{ours}{i + 2}.{part}"
    for theirs, ours in (("lateral_convs", "fpn_lateral"), ("fpn_convs", "fpn_output"))
    for i in range(4)
    for part in ("weight", "bias")
}
PROPOSALS = {
    "rpn_head.rpn_conv.weight": "proposal_generator.rpn_head.conv.weight",
    "rpn_head.rpn_cls.bias": "proposal_generator.rpn_head.objectness_logits.bias",
    "rpn_head.rpn_reg.weight": "proposal_generator.rpn_head.anchor_deltas.weight",
}
BOXES = {
    "roi_head.bbox_head.shared_fcs.0.weight": "roi_heads.box_head.fc1.weight",
    "roi_head.bbox_head.shared_fcs.1.bias": "roi_heads.box_head.fc2.bias",
    "roi_head.bbox_head.fc_cls.weight": "roi_heads.box_predictor.cls_score.weight",
    "roi_head.bbox_head.fc_reg.weight": "roi_heads.box_predictor.bbox_pred.weight",
}
MASKS = {
    f"roi_head.mask_head.convs.{i}.conv.weight": f"roi_heads.mask_head.mask_fcn{i + 1}.weight" for i in range(4)
} | {
    "roi_head.mask_head.upsample.weight": "roi_heads.mask_head.deconv.weight",
    "roi_head.mask_head.conv_logits.bias": "roi_heads.mask_head.predictor.bias",
}
STAGES = {
    theirs.replace("bbox_head", f"bbox_head.{i}"): ours.replace("box_head", f"box_head.{i}").replace(
        "box_predictor", f"box_predictor.{i}"
    )
    for theirs, ours in BOXES.items()
    for i in range(3)
}
STAGES_OF_MASKS = {
    theirs.replace("mask_head", f"mask_head.{i}"): ours.replace("mask_head", f"mask_head.{i}")
    for theirs, ours in MASKS.items()
    for i in range(3)
}
DENSE_NECK = {
    f"neck.{theirs}.{i}.conv.weight": f"backbone.{ours}{i + 3}.weight"
    for theirs, ours in (("lateral_convs", "fpn_lateral"), ("fpn_convs", "fpn_output"))
    for i in range(3)
} | {f"neck.fpn_convs.{i}.conv.bias": f"backbone.top_block.p{i + 3}.bias" for i in (3, 4)}
DENSE = (
    DENSE_NECK
    | {f"bbox_head.cls_convs.{i}.conv.weight": f"head.cls_subnet.{2 * i}.weight" for i in range(4)}
    | {f"bbox_head.reg_convs.{i}.conv.weight": f"head.bbox_subnet.{2 * i}.weight" for i in range(4)}
)
TOWERS = {
    f"bbox_head.{theirs}_convs.{i}.{part}": f"head.{ours}_subnet.{i}.{our_part}"
    for theirs, ours in (("cls", "cls"), ("reg", "bbox"))
    for i in range(4)
    for part, our_part in (("conv.weight", "weight"), ("gn.weight", "norm.weight"), ("gn.bias", "norm.bias"))
} | {
    "bbox_head.atss_cls.weight": "head.cls_score.weight",
    "bbox_head.atss_reg.bias": "head.bbox_pred.bias",
    "bbox_head.atss_centerness.weight": "head.centerness.weight",
    "bbox_head.scales.0.scale": "head.scales.0.scale",
    "bbox_head.scales.4.scale": "head.scales.4.scale",
}
BRANCHES = {
    f"decode_head.scale_heads.{level}.{step}.{theirs}": f"sem_seg_head.p{level + 2}.{step}.{ours}"
    for level, step in ((0, 0), (1, 0), (2, 0), (2, 2), (3, 0), (3, 2), (3, 4))
    for theirs, ours in (("conv.weight", "weight"), ("#.weight", "norm.weight"), ("#.bias", "norm.bias"))
} | {"decode_head.conv_seg.weight": "sem_seg_head.predictor.weight"}
LEVELS = {
    f"semantic_head.conv_upsample_layers.{level}.conv.{step}.{theirs}": f"sem_seg_head.p{level + 2}.{2 * step}.{ours}"
    for level, step in ((0, 0), (1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
    for theirs, ours in (("conv.weight", "weight"), ("gn.weight", "norm.weight"), ("gn.bias", "norm.bias"))
}
OFFSETS = {
    f"backbone.layer{stage}.{block}.conv2.conv_offset.{part}": (
        f"backbone.bottom_up.res{stage + 1}.{block}.conv2_offset.{part}"
    )
    for stage, block in ((2, 0), (3, 5), (4, 2))
    for part in ("weight", "bias")
}
HEAD_OFFSETS = {
    f"decode_head.scale_heads.{level}.{step}.conv.conv_offset.{part}": f"sem_seg_head.p{level + 2}.{step}.offset.{part}"
    for level, step in ((0, 0), (2, 2), (3, 4))
    for part in ("weight", "bias")
}
POINTS = {
    theirs.replace("decode_head", "decode_head.0"): ours.replace("sem_seg_head", "sem_seg_head.coarse_sem_seg_head")
    for theirs, ours in BRANCHES.items()
} | {
    "decode_head.1.fcs.0.conv.weight": "sem_seg_head.point_head.fc1.weight",
    "decode_head.1.fcs.2.conv.bias": "sem_seg_head.point_head.fc3.bias",
    "decode_head.1.fc_seg.weight": "sem_seg_head.point_head.predictor.weight",
}
PAIRS = {
    "mmseg PointRend": DEEP_STEM | NECK | POINTS,
    "mmdet Faster R-CNN": STEM | NECK | PROPOSALS | BOXES,
    "mmdet Mask R-CNN": STEM | NECK | PROPOSALS | BOXES | MASKS,
    "mmdet Cascade R-CNN": STEM | NECK | PROPOSALS | STAGES,
    "mmdet Cascade Mask R-CNN": STEM | NECK | PROPOSALS | STAGES | STAGES_OF_MASKS,
    "mmdet RetinaNet": STEM | DENSE,
    "mmdet Panoptic FPN": STEM | NECK | PROPOSALS | BOXES | MASKS | LEVELS,
    "mmdet Faster R-CNN with DCN": STEM | NECK | PROPOSALS | BOXES | OFFSETS,
    "mmdet Mask R-CNN with DCN": STEM | NECK | PROPOSALS | BOXES | MASKS | OFFSETS,
    "mmseg Semantic FPN with DCN and GN": DEEP_STEM | NECK | BRANCHES | HEAD_OFFSETS,
    "mmdet ATSS": STEM | DENSE_NECK | TOWERS,
    "mmseg Semantic FPN": DEEP_STEM | NECK | BRANCHES,
    "mmseg Semantic FPN with GN": DEEP_STEM | NECK | BRANCHES,
}


@pytest.mark.parametrize("name", OPENMMLAB)
def test_tensors_arrive_where_they_belong(name: str) -> None:
    state = trees.random_tensors(MODELS[name][0])
    model = convert_state(state, "a.pth").model
    for theirs, ours in (BACKBONE | PAIRS[name]).items():
        theirs = theirs.replace("#", "gn" if name.endswith("GN") else "bn")
        assert torch.equal(model[ours], state[theirs]), theirs


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("sequences", [True, False])
def test_vis4ds_model_becomes_what_openmmlabs_becomes(name: str, sequences: bool) -> None:
    shapes = MODELS[name][0]
    state = trees.random_tensors(shapes)
    renamed = dict(zip(trees.as_vis4d(shapes, sequences), state.values(), strict=True))
    ours, theirs = convert_state(renamed, "a.ckpt").model, convert_state(state, "a.pth").model
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", OPENMMLAB)
def test_there_and_back(name: str) -> None:
    state = trees.random_tensors(MODELS[name][0])
    converted = convert_state(state, "a.pth").model
    for source in (converted, {f"module.{key}": value for key, value in converted.items()}, state):
        back = convert_state_to_mmdet(source, "b.pth")
        assert back.model.keys() == {key for key in state if not key.endswith("num_batches_tracked")}
        assert all(torch.equal(back.model[key], state[key]) for key in back.model)
    assert name.removeprefix("mmdet ").removeprefix("mmseg ").startswith(back.source.removeprefix("Detectron2 "))


def test_what_mmdet_computes_itself_is_dropped_on_the_way_back() -> None:
    state = convert_state(trees.random_tensors(trees.faster_rcnn()), "a.pth").model
    old = {"pixel_mean": torch.zeros(3, 1, 1), "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4)}
    counter = {"backbone.bottom_up.stem.conv1.norm.num_batches_tracked": torch.tensor(3)}
    converted = convert_state_to_mmdet(state | old | counter, "a.pth")
    assert converted.dropped == {
        **dict.fromkeys(old, "buffers that mmdet computes"),
        **dict.fromkeys(counter, "counters of batches"),
    }
    assert len(converted.model) == len(state)


def ratio_major_anchors(size: float) -> Tensor:
    """Half widths and heights (9, 2) of a cell's anchors in the order of mmdet and Vis4D: scales fastest."""
    ratios, scales = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([2 ** (i / 3) for i in range(3)]) * size
    widths = (1 / ratios.sqrt())[:, None] * scales[None, :]
    heights = ratios.sqrt()[:, None] * scales[None, :]
    return torch.stack([widths, heights], dim=-1).reshape(9, 2)


def test_retinanets_channels_follow_their_anchors() -> None:
    classes = 10
    theirs = ratio_major_anchors(32)
    cfg = small(RETINANET)
    (ours,) = DefaultAnchorGenerator(
        sizes=cfg.MODEL.ANCHOR_GENERATOR.SIZES[:1],
        aspect_ratios=cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS,
        strides=[8],
        offset=0.0,
    ).cell_anchors
    sizes = ours[:, 2:] - ours[:, :2]
    assert not torch.allclose(sizes, theirs)
    state = trees.random_tensors(trees.retinanet(classes))
    # A channel's bias says of which anchor and class it is, or of which anchor and coordinate.
    codes = {"cls": torch.arange(9.0)[:, None] * 100 + torch.arange(classes)}
    codes["reg"] = torch.arange(9.0)[:, None] * 100 + torch.arange(4)
    state |= {f"bbox_head.retina_{name}.bias": code.flatten() for name, code in codes.items()}
    converted = convert_state(state, "a.pth").model
    for name, columns in (("cls_score", classes), ("bbox_pred", 4)):
        code = converted[f"head.{name}.bias"].reshape(9, columns)
        anchors = (code // 100).long()
        assert torch.equal(code % 100, torch.arange(columns).float().expand(9, -1))
        torch.testing.assert_close(theirs[anchors[:, 0]], sizes, rtol=0, atol=1e-4)
        assert (anchors == anchors[:, :1]).all()
    # The weights of a channel go with its bias.
    order = (converted["head.bbox_pred.bias"].reshape(9, 4)[:, 0] // 100).long()
    weight = state["bbox_head.retina_reg.weight"].reshape(9, 4, trees.FPN, 3, 3)[order]
    assert torch.equal(converted["head.bbox_pred.weight"], weight.reshape(36, trees.FPN, 3, 3))


def test_the_class_of_all_things_is_first_here_and_last_there() -> None:
    state = trees.random_tensors(trees.panoptic_fpn())
    model = convert_state(state, "a.pth").model
    for part in ("weight", "bias"):
        ours, theirs = model[f"sem_seg_head.predictor.{part}"], state[f"semantic_head.conv_logits.{part}"]
        assert len(ours) == 31 and torch.equal(ours[0], theirs[30]) and torch.equal(ours[1:], theirs[:30])


def with_context_blocks() -> trees.Shapes:
    return trees.mask_rcnn() | trees.layer("backbone.layer2.0.context_block.conv_mask", 1, 64, 1, 1)


def with_two_mask_heads_for_three_stages() -> trees.Shapes:
    shapes = trees.cascade_rcnn()
    for stage in (1, 2):
        shapes |= trees.mask_head(f"roi_head.mask_head.{stage}", 8)
    return shapes


def with_pooled_shortcuts() -> trees.Shapes:
    shapes = {key: shape for key, shape in trees.resnet().items() if ".downsample.0." not in key}
    return shapes | {"layer1.0.downsample.1.weight": (32, 8, 1, 1)} | trees.norm("layer1.0.downsample.2", 32)


def with_dyhead() -> trees.Shapes:
    name = "neck.1.dyhead_blocks.0.spatial_conv_offset"
    return trees.atss() | trees.layer(name, 27, trees.FPN, 3, 3)


def with_another_parameter() -> trees.Shapes:
    return trees.faster_rcnn() | {"backbone.conv1.weight_orig": (8, 3, 7, 7)}


def of_mmdet_1() -> trees.Shapes:
    return {key.replace("roi_head.bbox_head.", "bbox_head."): shape for key, shape in trees.faster_rcnn().items()}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (with_context_blocks(), r"mmdet Mask R-CNN.*layer2\.0\.context_block\.conv_mask\.weight.*GCNet's context"),
        (
            with_two_mask_heads_for_three_stages(),
            r"mmdet Cascade R-CNN.*roi_head\.mask_head\.1\.convs\.0\.conv\.weight.* and 19 more",
        ),
        (with_pooled_shortcuts(), r"torchvision or timm ResNet.*layer1\.0\.downsample\.2\.weight.*average-pooled"),
        (with_dyhead(), r"looks like mmdet ATSS.*neck\.1\.dyhead_blocks.*It uses .*DyHead, which is not built here\."),
        (with_another_parameter(), r"they are: backbone\.conv1\.weight_orig\. It is of another architecture"),
        (of_mmdet_1(), r"an OpenMMLab model with a ResNet.*rpn_head\.rpn_conv\.weight"),
    ],
)
def test_tensors_without_a_place_are_an_error_that_names_them(shapes: trees.Shapes, message: str) -> None:
    state = trees.random_tensors(shapes)
    assert is_foreign(state)
    with pytest.raises(WeightsError, match=rf"^a\.pth: .*{message}"):
        convert_state(state, "a.pth")


def test_two_tensors_for_one_place() -> None:
    state = trees.random_tensors(trees.as_vis4d(trees.faster_rcnn()))
    state["fpn.inner_blocks.0.weight"] = state["fpn.inner_blocks.0.0.weight"]
    with pytest.raises(WeightsError, match=r"they are: fpn\.inner_blocks\.0\.weight"):
        convert_state(state, "a.pth")


def test_anchors_of_another_number() -> None:
    shapes = trees.retinanet() | trees.layer("bbox_head.retina_reg", 12, trees.FPN, 3, 3)
    with pytest.raises(WeightsError, match=r"a\.pth: bbox_head\.retina_reg\.weight: 12 channels are not those of 9"):
        convert_state(trees.random_tensors(shapes), "a.pth")


@pytest.mark.parametrize("state", [{}, nn.Linear(2, 2).state_dict(), {"blobs": torch.zeros(1)}])
def test_other_files_are_not_foreign(state: dict) -> None:
    assert not is_foreign(state)
    with pytest.raises(WeightsError, match=r"^a\.pth: not a checkpoint of a framework that can be converted \(mmdet"):
        convert_state(state, "a.pth")
    with pytest.raises(WeightsError, match=r"^a\.pth: not a Detectron2 checkpoint that has a counterpart in mmdet"):
        convert_state_to_mmdet(state, "a.pth")


def test_detectron2s_own_names_need_no_conversion() -> None:
    state = convert_state(trees.random_tensors(trees.faster_rcnn()), "a.pth").model
    with pytest.raises(WeightsError, match=r"b\.pth: has Detectron2's names already"):
        convert_state(state, "b.pth")


def test_a_detectron2_model_with_more_than_mmdet_has() -> None:
    state = convert_state(trees.random_tensors(trees.faster_rcnn()), "a.pth").model
    state["backbone.fpn_lateral2.norm.weight"] = torch.zeros(trees.FPN)
    with pytest.raises(WeightsError, match=r"Detectron2 Faster R-CNN.*place in mmdet Faster R-CNN.*fpn_lateral2\.norm"):
        convert_state_to_mmdet(state, "b.pth")
