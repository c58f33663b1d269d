"""The segmentation zoo's heads and backbones against mmseg 1.2.2: inference at two sizes, and a training step."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from comparing import (
    Line,
    build_seeded,
    difference,
    load_golden,
    of_size,
    our_names,
    picture,
    sampled,
    step_lines,
)
from seeded import seeded_mask
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.modeling.norms import adapt_sync_norms

# Golden file -> title, and the config that builds the same model.
SEGMENTERS = {
    "fcn_r50-d8": ("FCN R-50-D8", "sem_seg/fcn_R_50_D8_40k"),
    "pspnet_r50-d8": ("PSPNet R-50-D8", "sem_seg/pspnet_R_50_D8_40k"),
    "deeplabv3_r50-d8": ("DeepLabV3 R-50-D8", "sem_seg/deeplabv3_R_50_D8_40k"),
    "deeplabv3_r50-d8_769": ("DeepLabV3 R-50-D8, windows", "sem_seg/deeplabv3_R_50_D8_769_40k"),
    "deeplabv3plus_r50-d8": ("DeepLabV3+ R-50-D8", "sem_seg/deeplabv3plus_R_50_D8_40k"),
    "upernet_r50": ("UPerNet R-50", "sem_seg/upernet_R_50_40k"),
    "dnl_r50-d8": ("DNL R-50-D8", "sem_seg/dnl_R_50_D8_40k"),
    "nonlocal_r50-d8": ("Non-local R-50-D8", "sem_seg/nonlocal_R_50_D8_40k"),
    "gcnet_r50-d8": ("GCNet R-50-D8", "drivable/gcnet_R_50_D8_40k"),
    "pointrend_r50": ("PointRend R-50", "sem_seg/pointrend_R_50_40k"),
    "upernet_swin-t": ("UPerNet Swin-T", "sem_seg/upernet_swin_T_40k"),
    "upernet_convnext-t": ("UPerNet ConvNeXt-T", "sem_seg/upernet_convnext_T_fp16_40k"),
}
# The windows of the golden file, which are smaller than the zoo's by three.
_WINDOWS = {"SIZE": [257, 257], "STRIDE": [171, 171]}
# mmseg's names of losses -> ours.
_LOSSES = {"decode.loss_ce": "loss_sem_seg", "aux.loss_ce": "loss_auxiliary"}


def measure_segmenter_inference() -> Iterator[Line]:
    """Segmenters on one image of each of two sizes."""
    for stem, (title, config) in SEGMENTERS.items():
        golden = load_golden(f"openmmlab/{stem}")
        model = _build(config, golden).eval()
        sizes = [(size["input"], size["logits"]) for size in json.loads(str(golden["meta"]))["sizes"]]
        seen = [_measure_image(model, *size, golden) for size in sizes]
        maps, logits, others = (max(values) for values in zip(*seen, strict=True))
        yield Line(title, "features C2 to C5, two sizes", 1e-4, maps)
        yield Line(title, "logits, two sizes", 1e-4, logits)
        yield Line(title, "pixels of another class, two sizes", 0, others)


def measure_segmenter_training() -> Iterator[Line]:
    """A step on two images, with neither dropout nor drop path."""
    for stem, (title, config) in SEGMENTERS.items():
        golden = load_golden(f"openmmlab/{stem}")
        if "train/trained" not in golden:
            continue
        options = {"MODEL.SEM_SEG_HEAD.DROPOUT": 0.0, "MODEL.TORCHVISION.DROP_PATH": 0.0, "INPUT.CROP.ENABLED": False}
        model = _build(config, golden, options).train()
        losses = model([_labelled(256, 320, seed) for seed in range(2)])
        yield from step_lines(title, model, losses, golden, _LOSSES)
        names = our_names(golden)
        buffers = dict(model.named_buffers())
        moved = {name.removeprefix("train/"): value for name, value in golden.items() if "running_" in name}
        apart = max(difference(sampled(buffers[names[name]]), value) for name, value in moved.items())
        yield Line(title, f"{len(moved)} running statistics of the heads", 1e-4, apart)


def _build(config: str, golden: Mapping[str, np.ndarray], options: Mapping[str, Any] | None = None) -> nn.Module:
    cfg = bdd100k_d2.get_config(config)
    cfg.merge_from_list([part for pair in (options or {}).items() for part in pair])
    # Of the golden models.
    cfg.MODEL.DEVICE, cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = "cpu", 19
    if cfg.MODEL.SLIDING_WINDOW.SIZE:
        cfg.MODEL.SLIDING_WINDOW.SIZE, cfg.MODEL.SLIDING_WINDOW.STRIDE = _WINDOWS["SIZE"], _WINDOWS["STRIDE"]
    model = build_seeded(cfg, golden)
    adapt_sync_norms(model)
    return model


@torch.no_grad()
def _measure_image(
    model: nn.Module, size: tuple[int, int], original: tuple[int, int], golden: Mapping[str, np.ndarray]
) -> tuple[float, float, int]:
    """Largest differences of the backbone's maps and of the logits, and the pixels whose class is another."""
    expected, image = of_size(golden, *size), picture(*size)
    # Under an FPN, where there is one.
    backbone = getattr(model.backbone, "bottom_up", model.backbone)
    features = backbone(((image - model.pixel_mean) / model.pixel_std)[None])
    outputs = [f"res{i + 2}" for i in range(4)]
    found = {name: difference(sampled(features[name]), expected[f"backbone{i}"]) for i, name in enumerate(outputs)}
    logits = model([{"image": image, "height": original[0], "width": original[1]}])[0]["sem_seg"]
    others = int((logits.argmax(dim=0).numpy() != expected["classes"]).sum())
    return max(found.values()), difference(sampled(logits), expected["logits"]), others


def _labelled(height: int, width: int, seed: int) -> dict[str, Tensor]:
    mask = torch.from_numpy(seeded_mask(height, width, 19, seed=seed))
    return {"image": picture(height, width, seed), "sem_seg": mask}


SEGMENTER_MEASUREMENTS = (measure_segmenter_inference, measure_segmenter_training)
