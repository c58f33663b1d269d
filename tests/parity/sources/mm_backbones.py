"""The zoo's backbones as mmdet, mmseg and mmpretrain write them, without pretrained weights and drop path."""

from typing import Any

CHANNELS = {
    "swin-t": [96, 192, 384, 768],
    "convnext-t": [96, 192, 384, 768],
    "r50": [256, 512, 1024, 2048],
    "w18": [18, 36, 72, 144],
    "w48": [48, 96, 192, 384],
}


def swin_t() -> dict[str, Any]:
    return {
        "type": "SwinTransformer",
        "embed_dims": 96,
        "depths": [2, 2, 6, 2],
        "num_heads": [3, 6, 12, 24],
        "window_size": 7,
        "mlp_ratio": 4,
        "qkv_bias": True,
        "qk_scale": None,
        "drop_rate": 0.0,
        "attn_drop_rate": 0.0,
        "drop_path_rate": 0.0,
        "patch_norm": True,
        "out_indices": (0, 1, 2, 3),
        "with_cp": False,
    }


def convnext_t() -> dict[str, Any]:
    """Needs `mm_record.published_eps` after it was built."""
    return {
        "type": "mmpretrain.ConvNeXt",
        "arch": "tiny",
        "out_indices": [0, 1, 2, 3],
        "drop_path_rate": 0.0,
        "layer_scale_init_value": 1.0,
        "gap_before_final_norm": False,
    }


def hrnet(width: int) -> dict[str, Any]:
    branches = [width * 2**i for i in range(4)]
    extra = {"stage1": _stage(1, "BOTTLENECK", [64])}
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        extra[f"stage{stage}"] = _stage(modules, "BASIC", branches[:stage])
    return {"type": "HRNet", "extra": extra}


def _stage(modules: int, block: str, channels: list[int]) -> dict[str, Any]:
    return {
        "num_modules": modules,
        "num_branches": len(channels),
        "block": block,
        "num_blocks": (4,) * len(channels),
        "num_channels": tuple(channels),
    }
