"""HRNets of timm: timm's numbers, mmsegmentation's fusion, mmdet's pyramid, norms, and what is refused.

The parity tests compare them with mmdet and mmseg.
"""

import sys

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.export import TracingAdapter
from detectron2.modeling import build_backbone, build_model
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torch.nn.modules.batchnorm import _BatchNorm

import bdd100k_d2
from bdd100k_d2.config import config_names
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.hrnet import HRNet
from bdd100k_d2.modeling.norms import adapt_sync_norms

timm = pytest.importorskip("timm", reason="the extra 'timm' is not installed")

DETECTOR, SEGMENTER = "det/faster_rcnn_hrnet_W18_1x", "sem_seg/fcn_hrnet_W48_40k"
CONFIGS = [name for name in config_names() if "hrnet" in name]


def config(name: str, *keys: object) -> CfgNode:
    """A config with the narrowest backbone and narrow heads."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS, cfg.MODEL.HRNET.WIDTH = "cpu", "", 18
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM, cfg.MODEL.ROI_MASK_HEAD.CONV_DIM, cfg.MODEL.FPN.OUT_CHANNELS = 16, 8, 16
    cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM = 32
    cfg.merge_from_list([*keys])
    return cfg


def images(*size: int, number: int = 1) -> Tensor:
    return torch.rand(number, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_it_is_timms_with_the_names_of_its_tensors() -> None:
    ours = HRNet(18).eval()
    theirs = timm.create_model("hrnet_w18", features_only=True, feature_location="", out_indices=(1, 2, 3, 4)).eval()
    theirs.load_state_dict(ours.state_dict())
    found, expected = ours(images(64, 96)), theirs(images(64, 96))
    assert [(shape.channels, shape.stride) for shape in ours.output_shape().values()] == [
        (18, 4),
        (36, 8),
        (72, 16),
        (144, 32),
    ]
    assert all(map(torch.equal, found.values(), expected))
    assert not any(key.startswith(("incre_modules", "classifier", "final")) for key in ours.state_dict())


@pytest.mark.parametrize("size", [(64, 96), (45, 77), (90, 130)])
@torch.no_grad()
def test_branches_are_resized_to_each_others_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    backbone = HRNet(18, bilinear=True).eval()
    levels = backbone(images(*size))
    for shape, level in zip(backbone.output_shape().values(), levels.values(), strict=True):
        assert level.shape[1:] == (shape.channels, *(-(-side // shape.stride) for side in size))
    module = backbone.stage2[0]
    maps = [torch.randn(1, 18, 11, 13), torch.randn(1, 36, 6, 7)]
    fine, coarse = module.branches[0](maps[0]), module.branches[1](maps[1])
    conv, norm, _ = module.fuse_layers[0][1]
    doubled = F.interpolate(norm(conv(coarse)), size=(12, 14), mode="bilinear", align_corners=False)
    resized = F.interpolate(doubled, size=(11, 13), mode="bilinear", align_corners=False)
    down = module.fuse_layers[1][0](fine)
    for found, expected in zip(module(maps), (fine + resized, coarse + down), strict=True):
        torch.testing.assert_close(found, expected.relu(), rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_pyramid_puts_all_branches_together() -> None:
    torch.manual_seed(0)
    pyramid = build_backbone(config(DETECTOR)).eval()
    assert pyramid.size_divisibility == 32 and pyramid.bottom_up.size_divisibility == 0
    assert {name: shape.stride for name, shape in pyramid.output_shape().items()} == {
        f"p{i}": 2**i for i in range(2, 7)
    }
    x = images(64, 96)
    branches = pyramid.bottom_up(x).values()
    together = torch.cat([F.interpolate(b, size=(16, 24), mode="bilinear", align_corners=False) for b in branches], 1)
    reduced = pyramid.fpn_reduction(together)
    levels = pyramid(x)
    for i in range(5):
        pooled = reduced if i == 0 else nn.AvgPool2d(2**i)(reduced)
        expected = F.conv2d(pooled, *getattr(pyramid, f"fpn_output{i + 2}").parameters(), padding=1)
        torch.testing.assert_close(levels[f"p{i + 2}"], expected, rtol=0, atol=1e-6)


def test_norms_of_detectors_keep_their_statistics_and_are_trained() -> None:
    backbone = build_backbone(config(DETECTOR)).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items() if "running_" in key}
    sum(level.sum() for level in backbone(images(64, 96)).values()).backward()
    after = backbone.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items()) and len(before) > 500
    assert all(p.requires_grad and p.grad is not None for p in backbone.parameters())


def test_norms_of_segmenters_are_synchronised_and_learn_their_statistics() -> None:
    model = build_model(config(SEGMENTER)).train()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    assert all(isinstance(norm, nn.SyncBatchNorm) and norm.eps == 1e-5 and norm.momentum == 0.1 for norm in norms)
    adapt_sync_norms(model)
    assert all(type(norm) is nn.BatchNorm2d for norm in norms)
    model.backbone(images(64, 96))
    learnt = [module for module in model.backbone.modules() if isinstance(module, _BatchNorm)]
    assert all(norm.num_batches_tracked == 1 for norm in learnt) and len(learnt) == len(norms) - 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["MODEL.HRNET.WIDTH", 20], r"MODEL\.HRNET\.WIDTH is 20; there are 18, 30, 32, 40, 44, 48, 64\."),
        (["MODEL.HRNET.NORM", "GN"], r"MODEL\.HRNET\.NORM is 'GN'; there are BN and SyncBN\."),
        (["MODEL.HRNET.NORM", "SyncBN"], r"NORM is 'SyncBN'; MODEL\.BACKBONE\.FIXED_NORM_STATISTICS needs BN\."),
    ],
)
def test_what_cannot_be_built(keys: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_backbone(config(DETECTOR, *keys))


@pytest.mark.parametrize("name", [DETECTOR, SEGMENTER])
def test_without_timm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    message = (
        r"MODEL\.BACKBONE\.NAME build_hrnet_\S*backbone needs timm, which is not installed: pip install 'bdd100k_d2\["
    )
    with pytest.raises(ConfigError, match=message):
        build_model(config(name))


def test_there_are_fourteen() -> None:
    assert len(CONFIGS) == 14


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configs_name_one_model(name: str) -> None:
    cfg = bdd100k_d2.get_config(name)
    assert f"_W{cfg.MODEL.HRNET.WIDTH}_" in name and cfg.MODEL.WEIGHTS.endswith(f"hrnetv2_w{cfg.MODEL.HRNET.WIDTH}")
    segments = name.startswith(("sem_seg/", "drivable/"))
    assert cfg.MODEL.HRNET.BILINEAR == (cfg.MODEL.HRNET.NORM == "SyncBN") == segments
    assert segments != cfg.MODEL.BACKBONE.FIXED_NORM_STATISTICS
    assert not segments or cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM == 15 * cfg.MODEL.HRNET.WIDTH


def labelled(height: int, width: int) -> dict[str, object]:
    instances = Instances((height, width))
    instances.gt_boxes, instances.gt_classes = Boxes(torch.tensor([[8.0, 8.0, 60.0, 50.0]])), torch.tensor([2])
    instances.gt_masks = BitMasks(torch.ones(1, height, width, dtype=torch.bool))
    mask = torch.randint(0, 3, (height, width), generator=torch.Generator().manual_seed(0))
    image = (images(height, width)[0] * 255).byte()
    return {"image": image, "instances": instances, "sem_seg": mask, "height": height, "width": width}


def train_and_evaluate(cfg: CfgNode) -> None:
    torch.manual_seed(0)
    model = build_model(cfg).train()
    adapt_sync_norms(model)
    optimizer = bdd100k_d2.Trainer.build_optimizer(cfg, model)
    before = model.backbone.state_dict()
    before = {key: value.clone() for key, value in before.items() if "stage4.2" in key and key.endswith("weight")}
    with EventStorage():
        losses = model([labelled(64, 96)] * 2)
    sum(losses.values()).backward()
    assert all(p.requires_grad and p.grad.isfinite().all() for p in model.parameters()), "nothing is frozen"
    optimizer.step()
    after = model.backbone.state_dict()
    assert before and not any(torch.equal(after[key], value) for key, value in before.items())
    with torch.no_grad():
        (result,) = model.eval()([labelled(64, 96)])
    found = result["sem_seg"] if "sem_seg" in result else result["instances"].pred_boxes.tensor
    assert found.isfinite().all()


@pytest.mark.parametrize("name", [DETECTOR, "ins_seg/mask_rcnn_hrnet_W18_1x", SEGMENTER])
def test_a_config_trains_a_step_and_evaluates(name: str) -> None:
    train_and_evaluate(config(name, "INPUT.CROP.ENABLED", False))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_the_segmenter_is_traced_at_one_size_and_runs_at_another() -> None:
    model = build_model(config(SEGMENTER))
    adapt_sync_norms(model)
    model.eval()
    sizes = ((64, 96), (50, 77))
    adapters = [TracingAdapter(model, [{"image": images(*size)[0]}]).eval() for size in sizes]
    traced = torch.jit.trace(adapters[0], (images(*sizes[0])[0],), check_trace=False)
    for size, adapter in zip(sizes, adapters, strict=True):
        x = images(*size)[0]
        assert torch.equal(traced(x)[0], adapter(x)[0])
