"""What mmdet's and mmseg's models give for seeded weights. Runs in their environment, see make_golden.py."""

import json
from pathlib import Path

import mmdet
import mmseg
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS as SEG_MODELS
from seeded import seeded_image, seeded_state, spread_places
from torch import Tensor, nn

SIZE = (192, 320)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
DETECTORS = ("faster-rcnn_r50_fpn", "cascade-rcnn_r50_fpn", "retinanet_r50_fpn", "mask-rcnn_r50_fpn")


def zoo() -> dict[str, np.ndarray]:
    """Results of four detectors with ten classes and of two segmenters with nineteen."""
    arrays = {}
    for name in DETECTORS:
        key = name.split("_", maxsplit=1)[0]
        arrays.update({f"{key}/{part}": value for part, value in _detect(name).items()})
    for key, norm in (("fpn", {"type": "BN"}), ("fpn-gn", {"type": "GN", "num_groups": 32})):
        arrays.update({f"{key}/{part}": value for part, value in _segment(norm).items()})
    return arrays


def _detect(name: str) -> dict[str, np.ndarray]:
    init_default_scope("mmdet")
    cfg = Config.fromfile(Path(mmdet.__file__).parent / f".mim/configs/_base_/models/{name}.py").model
    _without_weights(cfg)
    if "roi_head" in cfg:
        heads = cfg.roi_head.bbox_head
        for head in heads if isinstance(heads, list) else [heads]:
            head.num_classes = 10
        if "mask_head" in cfg.roi_head:
            cfg.roi_head.mask_head.num_classes = 10
    else:
        cfg.bbox_head.num_classes = 10
    model = MODELS.build(cfg)
    shapes = _fill(model)
    sample = DetDataSample(
        metainfo={
            "img_shape": SIZE,
            "ori_shape": SIZE,
            "pad_shape": SIZE,
            "batch_input_shape": SIZE,
            "scale_factor": (1, 1),
        }
    )
    with torch.no_grad():
        (result,) = model.predict(_image(), [sample])
    found = result.pred_instances
    arrays = {
        "shapes": shapes,
        "boxes": found.bboxes.numpy(),
        "scores": found.scores.numpy(),
        "classes": found.labels.numpy().astype(np.uint8),
    }
    if "masks" in found:
        arrays["masks"] = np.packbits(np.asarray(found.masks), axis=-1)
    return arrays


def _segment(norm: dict[str, object]) -> dict[str, np.ndarray]:
    init_default_scope("mmseg")
    cfg = Config.fromfile(Path(mmseg.__file__).parent / ".mim/configs/_base_/models/fpn_r50.py").model
    _without_weights(cfg)
    cfg.backbone.norm_cfg = {"type": "BN"}
    cfg.decode_head.norm_cfg = norm
    model = SEG_MODELS.build(cfg)
    shapes = _fill(model)
    metainfo = {"img_shape": SIZE, "ori_shape": SIZE, "pad_shape": SIZE}
    with torch.no_grad():
        logits = model.encode_decode(_image(), [metainfo])
    flat = logits.flatten()
    places = torch.from_numpy(spread_places(len(flat)))
    return {"shapes": shapes, "logits": flat[places].numpy()}


def _without_weights(cfg: Config) -> None:
    cfg.pop("data_preprocessor", None)
    cfg.pop("pretrained", None)
    cfg.backbone.init_cfg = None


def _fill(model: nn.Module) -> np.ndarray:
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    values = seeded_state(shapes)
    model.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in values.items()})
    model.eval()
    return np.array(json.dumps(shapes))


def _image() -> Tensor:
    pixels = torch.from_numpy(seeded_image(*SIZE)).permute(2, 0, 1).float()
    return ((pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])[None]
