"""Weights of HRNets: published detectors and segmenters, and the ImageNet classifiers that they start from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from support import ROOT
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.checkpoint.convert import convert_file, convert_state, convert_state_to_mmdet, is_foreign
from bdd100k_d2.checkpoint.loading import load_weights
from bdd100k_d2.checkpoint.published import open_mmlab_file
from bdd100k_d2.errors import WeightsError

timm = pytest.importorskip("timm", reason="the extra 'timm' is not installed")

# Golden file, which has the names and shapes of mmdet's or mmseg's model -> the config of ours.
PUBLISHED = {
    "faster_rcnn_hrnetv2p_w18": "det/faster_rcnn_hrnet_W18_1x",
    "fcn_hr48": "sem_seg/fcn_hrnet_W48_40k",
}


def published(stem: str) -> dict[str, Tensor]:
    """Tensors of the published names and shapes, each of one number of its own."""
    with np.load(ROOT / "tests/parity/golden/openmmlab" / f"{stem}.npz") as arrays:
        shapes = json.loads(str(arrays["shapes"]))
    return {name: torch.tensor(float(i)).expand(shape) for i, (name, shape) in enumerate(shapes.items())}


def build(config: str, device: str = "cpu") -> nn.Module:
    cfg = bdd100k_d2.get_config(config)
    cfg.MODEL.DEVICE = device
    with torch.device(device):
        return build_model(cfg)


@pytest.mark.parametrize("stem", PUBLISHED)
def test_a_published_model_fills_ours(stem: str) -> None:
    state = published(stem)
    assert is_foreign(state)
    converted = convert_state(state, "a.pth")
    assert set(converted.dropped.values()) == {"counters of batches"}
    ours = {k: v.shape for k, v in build(PUBLISHED[stem], "meta").state_dict().items() if not k.endswith("_tracked")}
    assert {key: value.shape for key, value in converted.model.items()} == ours
    prefix = "backbone.bottom_up." if stem.startswith("faster") else "backbone."
    for name in ("conv2.weight", "transition3.3.0.1.running_var", "stage4.2.fuse_layers.0.3.0.weight"):
        assert torch.equal(converted.model[f"{prefix}{name}"], state[f"backbone.{name}"])


def test_the_pyramid_of_a_detector_and_back() -> None:
    state = published("faster_rcnn_hrnetv2p_w18")
    converted = convert_state(state, "a.pth")
    assert converted.source == "mmdet Faster R-CNN with a HRNet"
    pairs = {"neck.reduction_conv.conv.bias": "backbone.fpn_reduction.bias"}
    pairs |= {f"neck.fpn_convs.{i}.conv.weight": f"backbone.fpn_output{i + 2}.weight" for i in range(5)}
    assert all(torch.equal(converted.model[ours], state[theirs]) for theirs, ours in pairs.items())
    back = convert_state_to_mmdet(converted.model, "b.pth").model
    assert back.keys() == {key for key in state if not key.endswith("num_batches_tracked")}
    assert all(torch.equal(back[key], state[key]) for key in back)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A file of timm's, which its authors' and OpenMMLab's equal in names."""
    torch.manual_seed(0)
    state = timm.create_model("hrnet_w18").state_dict()
    path = tmp_path_factory.mktemp("weights") / "hrnetv2_w18.pth"
    torch.save(state, path)
    return path, state


def narrow(config: str) -> nn.Module:
    cfg = bdd100k_d2.get_config(config)
    cfg.MODEL.DEVICE, cfg.MODEL.HRNET.WIDTH, cfg.MODEL.ROI_BOX_HEAD.FC_DIM = "cpu", 18, 16
    return build_model(cfg)


@pytest.mark.parametrize("config", PUBLISHED.values())
@pytest.mark.parametrize("is_converted", [False, True])
def test_imagenet_weights_start_a_backbone(
    config: str, is_converted: bool, classifier: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    path, state = classifier
    if is_converted:
        # As what open-mmlab:// stands for is kept.
        converted = convert_file(path, tmp_path / "d2.pth")
        assert converted.source == "ImageNet HRNet" and converted.matching_heuristics
        assert set(converted.dropped.values()) == {"the ImageNet classifier", "counters of batches"}
        path = tmp_path / "d2.pth"
    model = narrow(config)
    load_weights(model, str(path))
    body = (model.backbone.bottom_up if config.startswith("det/") else model.backbone).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in body.items() if not key.endswith("_tracked"))


def test_weights_of_another_width(classifier: tuple[Path, dict[str, Tensor]]) -> None:
    model = build("det/faster_rcnn_hrnet_W32_1x")
    with pytest.raises(
        WeightsError, match=r"hrnetv2_w18\.pth: .*another model of timm than MODEL\.HRNET\.WIDTH.*shape"
    ):
        load_weights(model, str(classifier[0]))


def test_an_hrnet_is_no_resnet(classifier: tuple[Path, dict[str, Tensor]]) -> None:
    state = classifier[1] | {"stage5.0.weight": torch.zeros(3)}
    with pytest.raises(WeightsError, match=r"looks like ImageNet HRNet, but .*stage5\.0\.weight"):
        convert_state(state, "a.pth")


@pytest.mark.parametrize("width", [18, 32, 40, 48])
def test_the_names_of_imagenet_weights(width: int) -> None:
    file = open_mmlab_file(f"msra/hrnetv2_w{width}")
    assert file.path == f"pretrain/third_party/hrnetv2_w{width}-{file.sha256_start}.pth" and len(file.sha256_start) == 8
