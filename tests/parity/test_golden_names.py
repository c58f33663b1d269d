"""The published names of tensors, which the golden files have, go to Detectron2's and back."""

import json

import pytest
import torch
from comparing import load_golden

from bdd100k_d2.checkpoint.convert import convert_state, convert_state_to_mmdet

SOURCES = {
    "atss_r50": "mmdet ATSS",
    "pointrend_r50": "mmseg PointRend",
    "dnl_r50-d8": "mmseg segmenter",
    "nonlocal_r50-d8": "mmseg segmenter",
    "gcnet_r50-d8": "mmseg segmenter",
}


@pytest.mark.parametrize("stem", SOURCES)
def test_every_tensor_goes_there_and_back(stem: str) -> None:
    shapes = json.loads(str(load_golden(f"openmmlab/{stem}")["shapes"]))
    # Each number is stored once, however large its tensor.
    state = {name: torch.tensor(float(i)).expand(shape) for i, (name, shape) in enumerate(shapes.items())}
    counters = {name for name in shapes if name.endswith("num_batches_tracked")}
    converted = convert_state(state, "a.pth")
    assert converted.source == SOURCES[stem]
    assert converted.dropped == dict.fromkeys(counters, "counters of batches")
    back = convert_state_to_mmdet(converted.model, "b.pth").model
    assert back.keys() == shapes.keys() - counters
    assert all(torch.equal(tensor, state[name]) for name, tensor in back.items())
