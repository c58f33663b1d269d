"""A file like Detectron2's torchvision/R-50.pkl starts the backbones of the recipes."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from support.module_trees import random_tensors, resnet

import bdd100k_d2
from bdd100k_d2.checkpoint.loading import load_weights


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Random tensors under the names of that file: those of the detector's ResNet-50, and a classifier."""
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    rng = np.random.default_rng(0)
    state = build_model(cfg).backbone.bottom_up.state_dict()
    names = [key for key in state if not key.endswith("num_batches_tracked")]
    found = {key: rng.normal(size=tuple(state[key].shape)).astype(np.float32) for key in names}
    return found | {"fc.weight": np.zeros((1000, 2048), np.float32)}


@pytest.mark.parametrize("name", ["det/faster_rcnn_R_50_FPN_1x", "sem_seg/semantic_fpn_R_50_40k"])
def test_imagenet_weights_start_the_recipes(tmp_path: Path, arrays: dict[str, np.ndarray], name: str) -> None:
    content = {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(content, protocol=2))
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg)
    load_weights(model, str(tmp_path / "R-50.pkl"))
    loaded = model.backbone.bottom_up.state_dict()
    body = [key for key in arrays if key.startswith("res")]
    assert len(body) > 200
    assert all(torch.equal(loaded[key], torch.from_numpy(arrays[key])) for key in body)
    # The deep stem has other shapes and keeps its initial values.
    same = loaded["stem.conv1.weight"].shape == arrays["stem.conv1.weight"].shape
    assert same == (not cfg.MODEL.RESNETS.DEEP_STEM)
    if same:
        assert torch.equal(loaded["stem.conv1.weight"], torch.from_numpy(arrays["stem.conv1.weight"]))


def test_the_deep_stem_starts_from_openmmlabs_weights(tmp_path: Path) -> None:
    # The segmenter's own address; what it serves has these names, and the layout of PyTorch before 1.6.
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    assert cfg.MODEL.WEIGHTS == "open-mmlab://resnet50_v1c"
    cfg.MODEL.DEVICE = "cpu"
    state = random_tensors({**resnet(width=64, deep_stem=True), "fc.weight": (1000, 2048), "fc.bias": (1000,)})
    torch.save(state, tmp_path / "v1c.pth", _use_new_zipfile_serialization=False)
    model = build_model(cfg)
    load_weights(model, str(tmp_path / "v1c.pth"))
    loaded = model.backbone.bottom_up
    assert torch.equal(loaded.stem.conv1.weight, state["stem.0.weight"])
    assert torch.equal(loaded.stem.conv3.norm.running_var, state["stem.7.running_var"])
    assert torch.equal(loaded.res4[5].conv3.weight, state["layer3.5.conv3.weight"])
