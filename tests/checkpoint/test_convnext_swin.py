"""ConvNeXt and Swin of all who publish them arrive where they belong, or are refused in a sentence."""

from pathlib import Path

import pytest
import torch
import torchvision
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager
from support import module_trees as trees
from support.backbone_trees import convnext, swin
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torchvision.models.swin_transformer import PatchMerging

import bdd100k_d2
from bdd100k_d2.checkpoint.architecture import title_of
from bdd100k_d2.checkpoint.convert import convert_file, convert_state, convert_state_to_mmdet
from bdd100k_d2.checkpoint.convnext_swin import to_concatenated_blocks, to_unfolded_blocks
from bdd100k_d2.checkpoint.loading import load_weights
from bdd100k_d2.errors import WeightsError
from bdd100k_d2.modeling.torchvision_backbone import TorchvisionBackbone

RPN_AND_BOXES = trees.rpn() | trees.box_head("roi_head.bbox_head", 10, 10)


def neck(width: int) -> trees.Shapes:
    shapes: trees.Shapes = {}
    for i in range(4):
        shapes |= trees.layer(f"neck.lateral_convs.{i}.conv", trees.FPN, width * 2**i, 1, 1)
        shapes |= trees.layer(f"neck.fpn_convs.{i}.conv", trees.FPN, trees.FPN, 3, 3)
    return shapes


def detector(family: str, size: str = "T", width: int = 96) -> dict[str, Tensor]:
    """mmdet's Faster R-CNN, narrow but for the backbone."""
    backbone = (
        swin("backbone.", openmmlab=True, width=width)
        if family == "swin"
        else convnext("backbone.", openmmlab=True, size=size, width=width)
    )
    return trees.random_tensors(backbone | neck(width) | RPN_AND_BOXES)


def narrow_config(name: str, *keys: object) -> CfgNode:
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE, cfg.MODEL.FPN.OUT_CHANNELS, cfg.MODEL.ROI_BOX_HEAD.FC_DIM = "cpu", trees.FPN, trees.FC
    cfg.merge_from_list([*keys])
    return cfg


CONFIGS = {"convnext": "det/faster_rcnn_convnext_T_FPN_fp16_1x", "swin": "det/faster_rcnn_swin_T_FPN_1x"}


@pytest.mark.parametrize("family", CONFIGS)
def test_a_detector_fills_the_model_and_goes_back(family: str) -> None:
    state = detector(family)
    converted = convert_state(state, "a.pth")
    assert converted.source == f"mmdet Faster R-CNN with a {'Swin' if family == 'swin' else 'ConvNeXt'}"
    with torch.device("meta"):
        model = build_model(narrow_config(CONFIGS[family], "MODEL.DEVICE", "meta"))
    expected = {key: value.shape for key, value in model.state_dict().items()}
    assert {key: value.shape for key, value in converted.model.items()} == expected
    assert all(key.endswith("relative_position_index") for key in converted.dropped)
    back = convert_state_to_mmdet(converted.model, "b.pth").model
    assert back.keys() == state.keys() - converted.dropped.keys()
    assert all(torch.equal(back[key], state[key]) for key in back)


def test_convnexts_tensors_arrive_where_they_belong() -> None:
    state = detector("convnext")
    model = convert_state(state, "a.pth").model
    for theirs, ours in {
        "downsample_layers.0.0.weight": "features.0.0.weight",
        "downsample_layers.0.1.bias": "features.0.1.bias",
        "downsample_layers.3.0.weight": "features.6.0.weight",
        "downsample_layers.3.1.weight": "features.6.1.weight",
        "stages.2.8.depthwise_conv.weight": "features.5.8.block.0.weight",
        "stages.2.8.norm.weight": "features.5.8.block.2.weight",
        "stages.2.8.pointwise_conv1.weight": "features.5.8.block.3.weight",
        "stages.2.8.pointwise_conv2.bias": "features.5.8.block.5.bias",
        "norm3.weight": "norms.res5.weight",
    }.items():
        assert torch.equal(model[f"backbone.bottom_up.{ours}"], state[f"backbone.{theirs}"]), theirs
    scale = model["backbone.bottom_up.features.3.2.layer_scale"]
    assert torch.equal(scale, state["backbone.stages.1.2.gamma"].reshape(192, 1, 1))


@torch.no_grad()
def test_the_merging_of_patches_is_the_unfolding_one() -> None:
    torch.manual_seed(0)
    merging = PatchMerging(6)
    norm, reduction = nn.LayerNorm(24), nn.Linear(24, 12, bias=False)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    for name, tensor in (
        ("norm.weight", norm.weight),
        ("norm.bias", norm.bias),
        ("reduction.weight", reduction.weight),
    ):
        merging.state_dict()[name].copy_(to_concatenated_blocks(tensor))
        assert torch.equal(to_unfolded_blocks(to_concatenated_blocks(tensor)), tensor)
    x = torch.rand(2, 4, 8, 6)
    unfolded = F.unfold(x.permute(0, 3, 1, 2), kernel_size=2, stride=2).transpose(1, 2)
    torch.testing.assert_close(merging(x).reshape(2, 8, 12), reduction(norm(unfolded)), rtol=0, atol=1e-6)


def as_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names of Microsoft's tensors: the merging stands in the stage behind it, and constants are not saved."""
    for i in (2, 1, 0):
        state = {key.replace(f"layers.{i}.downsample", f"layers.{i + 1}.downsample"): v for key, v in state.items()}
    return {key: v for key, v in state.items() if not key.endswith(("_index", "attn_mask"))}


def imagenet(who: str) -> tuple[dict[str, Tensor], str]:
    """A classifier's tensors, and the name of its architecture."""
    head = {"head.weight": torch.zeros(5, 768), "head.bias": torch.zeros(5)}
    last = trees.random_tensors(trees.norm("norm", 768, statistics=False))
    if who == "OpenMMLab":
        fc = {f"head.fc.{key}": value for key, value in (("weight", torch.zeros(5, 768)), ("bias", torch.zeros(5)))}
        shapes = convnext("backbone.", openmmlab=True, norms=False) | trees.norm(
            "backbone.norm3", 768, statistics=False
        )
        return trees.random_tensors(shapes) | fc, "convnext_tiny"
    if who == "Meta":
        return trees.random_tensors(convnext("", openmmlab=False)) | last | head, "convnext_tiny"
    if who in ("Microsoft", "timm"):
        state = trees.random_tensors(swin("", openmmlab=False)) | last | head
        return as_timm(state) if who == "timm" else state, "swin_t"
    name = who.removeprefix("torchvision ")
    return dict(getattr(torchvision.models, name)(num_classes=5).state_dict()), name


@pytest.mark.parametrize(
    "who", ["OpenMMLab", "Meta", "Microsoft", "timm", "torchvision convnext_tiny", "torchvision swin_t"]
)
def test_imagenet_weights_start_a_backbone(who: str, tmp_path: Path) -> None:
    state, name = imagenet(who)
    torch.save({"model": state}, tmp_path / "a.pth")
    backbone = TorchvisionBackbone(name)
    model = nn.ModuleDict({"backbone": nn.ModuleDict({"bottom_up": backbone})})
    norms = {key: value.clone() for key, value in backbone.norms.state_dict().items()}
    load_weights(model, str(tmp_path / "a.pth"))
    found, converted = backbone.state_dict(), convert_state(state, "a.pth")
    features = {key for key in found if key.startswith("features.")}
    assert features <= converted.model.keys() and all(torch.equal(found[key], converted.model[key]) for key in features)
    # ConvNeXt's last norm is the start of its last output's; Swin's is the classifier's.
    others = found.keys() - features - ({"norms.res5.weight", "norms.res5.bias"} if "convnext" in name else set())
    assert all(torch.equal(found[key], norms[key.removeprefix("norms.")]) for key in others)
    if "convnext" in name:
        theirs = next(key for key in ("backbone.norm3.weight", "norm.weight", "classifier.0.weight") if key in state)
        assert torch.equal(found["norms.res5.weight"], state[theirs])


def test_microsofts_and_timms_swin_are_one() -> None:
    state, _ = imagenet("Microsoft")
    microsoft, timm = convert_state(state, "a.pth").model, convert_state(as_timm(state), "a.pth").model
    assert microsoft.keys() == timm.keys() and all(torch.equal(microsoft[key], timm[key]) for key in timm)


@pytest.mark.parametrize(
    ("family", "size", "width", "built", "message"),
    [
        (
            "convnext",
            "T",
            96,
            "det/faster_rcnn_convnext_S_FPN_fp16_3x",
            r"are of a ConvNeXt-T, and the config builds a ConvNeXt-S: set MODEL.TORCHVISION.NAME convnext_tiny",
        ),
        (
            "convnext",
            "S",
            96,
            "det/cascade_rcnn_convnext_S_FPN_fp16_3x",
            r"are of a ConvNeXt-S, and the config builds a ConvNeXt-T: set MODEL.TORCHVISION.NAME convnext_small",
        ),
        ("convnext", "S", 128, "det/faster_rcnn_swin_T_FPN_1x", r"are of a ConvNeXt-B, and the config builds a Swin-T"),
        (
            "swin",
            "T",
            8,
            "det/faster_rcnn_swin_T_FPN_1x",
            r"are of a Swin of 8 channels with 6 blocks.*no MODEL.TORCHV",
        ),
    ],
)
def test_weights_of_another_size(family: str, size: str, width: int, built: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    tensors = detector(family, size, width)
    torch.save({"state_dict": tensors}, path)
    cfg = narrow_config(built, "MODEL.DEVICE", "meta")
    with torch.device("meta"):
        model = build_model(cfg)
    for exact in (True, False):
        with pytest.raises(WeightsError, match=rf"a\.pth: these weights {message}"):
            load_weights(model, str(path), exact=exact)


def test_titles() -> None:
    assert title_of({}) is None and title_of({"features.0.0.weight": torch.zeros(3)}) is None
    assert title_of(convert_state(detector("swin"), "a").model) == "Swin-T"


@pytest.mark.parametrize(
    ("meta", "eps", "message"),
    [
        ({"mmengine_version": "0.10"}, 1e-5, r"epsilon of 1e-06 in .*DOWNSAMPLE_EPS is 1e-05: set it to 1e-06\."),
        ({"mmdet_version": "2.25"}, 1e-6, r"epsilon of 1e-05 in .*DOWNSAMPLE_EPS is 1e-06: set it to 1e-05\."),
        ({"mmengine_version": "0.10"}, 1e-6, None),
        ({"mmdet_version": "2.25"}, 1e-5, None),
        ({}, 1e-5, None),
    ],
)
def test_the_epsilon_of_the_version_that_trained(
    meta: dict[str, str], eps: float, message: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, converted = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save({"meta": meta, "state_dict": detector("convnext")}, path)
    convert_file(path, converted)
    model = build_model(narrow_config(CONFIGS["convnext"], "MODEL.TORCHVISION.DOWNSAMPLE_EPS", eps))
    for file in (path, converted):
        if message is None:
            load_weights(model, str(file), exact=True)
            continue
        with pytest.raises(WeightsError, match=message):
            load_weights(model, str(file), exact=True)
        # To go on training, they are as good as any.
        with caplog.at_level("INFO", logger="bdd100k_d2"):
            load_weights(model, str(file))
        assert "these weights were trained with an epsilon" in caplog.text


def test_imagenet_weights_say_which_epsilon_they_had(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(imagenet("OpenMMLab")[0], tmp_path / "a.pth")
    model = nn.ModuleDict({"backbone": TorchvisionBackbone("convnext_tiny", downsample_eps=1e-5)})
    with caplog.at_level("INFO", logger="bdd100k_d2"):
        load_weights(model, str(tmp_path / "a.pth"))
    assert "DOWNSAMPLE_EPS is 1e-05. The zoo's models were trained so" in caplog.text


@pytest.mark.parametrize("config", ["swin_T_FPN_1x", "swin_B_FPN_fp16_3x", "convnext_T_FPN_fp16_1x"])
def test_the_configs_name_weights_that_are_known(config: str) -> None:
    assert PathManager.isfile(bdd100k_d2.get_config(f"det/faster_rcnn_{config}").MODEL.WEIGHTS)


def test_names_of_imagenet_weights() -> None:
    for name, expected in {
        "torchvision://swin_t": "swin_t",
        "open-mmlab://convnext-tiny_3rdparty_32xb128-noema_in1k": "convnext-tiny",
    }.items():
        assert PathManager.isfile(name) and expected in name
    assert not PathManager.isfile("microsoft://swin_v2") and not PathManager.isfile("torchvision://resnet50")
    with pytest.raises(WeightsError, match=r"swin_tiny: no weights of this name. .*swin_tiny_patch4_window7_224"):
        PathManager.get_local_path("microsoft://swin_tiny")
