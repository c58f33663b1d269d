"""What mmseg's segmenters give for seeded weights, with the configs of the BDD100K zoo. Environment: make_golden.py."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mm_backbones import CHANNELS, convnext_t, hrnet, swin_t
from mm_record import SIZES, batch, fill, gradients, meta, prefixed, published_eps, sample, samples

import mmseg  # isort: skip, after mm_record
import mmseg.models
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from seeded import seeded_mask
from torch import nn

CONFIGS = Path(mmseg.__file__).parent / ".mim/configs/_base_/models"
TRAIN_SIZE = (256, 320)


@dataclass(frozen=True)
class Segmenter:
    """A golden segmenter: mmseg's config, what the zoo changes in it, pictures, and own scales of seeded weights.

    A picture has a size and the size that its logits are resized to in the end, as the zoo's 769 rows do.
    """

    config: str
    change: Callable[[ConfigDict], None] = lambda cfg: None
    sizes: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = tuple((size, size) for size in SIZES)
    scales: Mapping[str, float] = field(default_factory=dict)
    train: bool = False


def segmenter(name: str) -> dict[str, np.ndarray]:
    """Inference on pictures of two sizes and, of some, the losses and gradients of a batch."""
    init_default_scope("mmseg")
    recipe = SEGMENTERS[name]
    cfg = _config(recipe)
    model = MODELS.build(cfg)
    published_eps(model)
    arrays = fill(model, recipe.scales)
    with torch.no_grad():
        for size, original in recipe.sizes:
            arrays |= prefixed("{}x{}".format(*size), _segment(model, size, original))
    if recipe.train:
        arrays |= prefixed("train", _train(model, cfg, recipe.scales))
    training = f"two pictures of {TRAIN_SIZE}, BN of the batch, no dropout, no drop path" if recipe.train else None
    sizes = [{"input": size, "logits": original} for size, original in recipe.sizes]
    return {"meta": meta(cfg, sizes=sizes, training=training), **arrays}


def _config(recipe: Segmenter) -> ConfigDict:
    cfg = Config.fromfile(CONFIGS / recipe.config).model
    cfg.pop("data_preprocessor", None)
    cfg.pop("pretrained", None)
    recipe.change(cfg)
    cfg.backbone.init_cfg = None
    for part in _parts(cfg):
        # One process; at test and in one process the same function as the published SyncBN.
        if part.get("norm_cfg", {}).get("type") == "SyncBN":
            part.norm_cfg = {"type": "BN", "requires_grad": True}
    return cfg


def _parts(cfg: ConfigDict) -> Iterator[ConfigDict]:
    for name in ("backbone", "decode_head", "auxiliary_head"):
        part = cfg.get(name)
        yield from part if isinstance(part, list) else [part] if part else []


def _segment(model: nn.Module, size: tuple[int, int], original: tuple[int, int]) -> dict[str, np.ndarray]:
    images = batch([size], 1)
    metainfo = {"img_shape": size, "ori_shape": original, "pad_shape": size, "padding_size": [0, 0, 0, 0]}
    outputs = model.backbone(images)
    features = model.neck(outputs) if model.with_neck else outputs
    arrays = samples("backbone", outputs)
    if model.with_neck:
        arrays |= samples("neck", features)
    if isinstance(model.decode_head, nn.ModuleList):
        arrays |= {"head": sample(model.decode_head[0](features))}
    else:
        arrays |= {"head": sample(model.decode_head(features))}
    if model.with_auxiliary_head:
        arrays |= {"auxiliary": sample(model.auxiliary_head(features))}
    (result,) = model.predict(images, [SegDataSample(metainfo=metainfo)])
    logits = result.seg_logits.data
    return arrays | {"logits": sample(logits), "classes": logits.argmax(dim=0).numpy().astype(np.uint8)}


def _train(model: nn.Module, cfg: ConfigDict, scales: Mapping[str, float]) -> dict[str, np.ndarray]:
    for part in _parts(cfg):
        if "dropout_ratio" in part:
            part.dropout_ratio = -1
    model = MODELS.build(cfg)
    published_eps(model)
    fill(model, scales)
    model.train()
    data = []
    for seed in range(2):
        item = SegDataSample(metainfo={"img_shape": TRAIN_SIZE, "ori_shape": TRAIN_SIZE, "pad_shape": TRAIN_SIZE})
        ids = torch.from_numpy(seeded_mask(*TRAIN_SIZE, 19, seed=seed))
        item.gt_sem_seg = PixelData(data=ids[None])
        data.append(item)
    arrays = gradients(model, model.loss(batch([TRAIN_SIZE] * 2, 1), data))
    # What one batch does to the running statistics of the norms of the heads.
    moved = {name: value for name, value in model.named_buffers() if "head." in name and "running" in name}
    return arrays | {name: sample(value) for name, value in moved.items()}


def _backbone(make: Callable[[], dict[str, Any]]) -> Callable[[ConfigDict], None]:
    def change(cfg: ConfigDict) -> None:
        cfg.backbone = ConfigDict(make())
        cfg.decode_head.in_channels = CHANNELS["swin-t"]
        cfg.auxiliary_head.in_channels = CHANNELS["swin-t"][2]

    return change


def _sliding(cfg: ConfigDict) -> None:
    """The zoo's 769x769 rows, made smaller by three: two windows in a picture of 241x427, six in one of 300x500."""
    cfg.decode_head.align_corners = cfg.auxiliary_head.align_corners = True
    cfg.test_cfg = ConfigDict(mode="slide", crop_size=(257, 257), stride=(171, 171))


def _dconv_head(cfg: ConfigDict) -> None:
    """Group norms and modulated deformable convolutions in the head of a Semantic FPN."""
    cfg.decode_head.conv_cfg = {"type": "DCNv2"}
    cfg.decode_head.norm_cfg = {"type": "GN", "num_groups": 32, "requires_grad": True}


def _hr48(cfg: ConfigDict) -> None:
    cfg.backbone.update(hrnet(48))
    cfg.decode_head.in_channels = CHANNELS["w48"]
    cfg.decode_head.channels = sum(CHANNELS["w48"])


# Deformable convolutions look a pixel or two aside.
OFFSETS = {"conv_offset": 0.02}
# Pixels attend to many, not to one alone.
SIMILAR = {".theta.": 0.01, ".phi.": 0.01}
# HRNet adds up more than a ResNet.
SUMMED = {"decode_head.convs": 0.001}

SEGMENTERS = {
    "upernet_swin-t": Segmenter("upernet_swin.py", _backbone(swin_t), train=True),
    "upernet_convnext-t": Segmenter("upernet_convnext.py", _backbone(convnext_t), train=True),
    "deeplabv3_r50-d8": Segmenter("deeplabv3_r50-d8.py", train=True),
    "deeplabv3_r50-d8_769": Segmenter(
        "deeplabv3_r50-d8.py", _sliding, sizes=(((241, 427), (240, 426)), ((300, 500), (300, 500)))
    ),
    "deeplabv3plus_r50-d8": Segmenter("deeplabv3plus_r50-d8.py"),
    "pspnet_r50-d8": Segmenter("pspnet_r50-d8.py"),
    "fcn_r50-d8": Segmenter("fcn_r50-d8.py"),
    "upernet_r50": Segmenter("upernet_r50.py"),
    "fpn_r50_gn_dconv": Segmenter("fpn_r50.py", _dconv_head, scales=OFFSETS),
    "fcn_hr48": Segmenter("fcn_hr18.py", _hr48, scales=SUMMED),
    "pointrend_r50": Segmenter("pointrend_r50.py"),
    "dnl_r50-d8": Segmenter("dnl_r50-d8.py", scales=SIMILAR, train=True),
    "nonlocal_r50-d8": Segmenter("nonlocal_r50-d8.py", scales=SIMILAR),
    "gcnet_r50-d8": Segmenter("gcnet_r50-d8.py", train=True),
}
