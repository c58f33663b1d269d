"""The config keys of the package, and the configs it ships."""

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import yaml
from detectron2.config import CfgNode, get_cfg

from .errors import ConfigError


def add_bdd100k_config(cfg: CfgNode) -> None:
    """Adds the package's keys to ``cfg``. Their defaults change nothing in a stock Detectron2 config but the device."""
    # Detectron2's default is "cuda", which fails where there is none.
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

    # Three 3x3 convolutions in place of the 7x7 one: the ResNet-v1c of the segmentation zoo.
    cfg.MODEL.RESNETS.DEEP_STEM = False

    # Share of the head's feature channels that are zeroed in training.
    cfg.MODEL.SEM_SEG_HEAD.DROPOUT = 0.0
    # Divide the loss by all pixels, as the zoo's recipe does, or by the ones that are not ignored, as Detectron2 does.
    cfg.MODEL.SEM_SEG_HEAD.AVERAGE_OVER_IGNORED = False

    # Draw a segmentation crop again, at most ten times, while one class covers this share of its labelled pixels.
    cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA = 1.0

    # Brightness, contrast, saturation and hue, changed together and in random order.
    cfg.INPUT.COLOR_JITTER = CfgNode()
    # Share of the pictures that are changed.
    cfg.INPUT.COLOR_JITTER.PROB = 0.0
    # Factors are drawn from 1 - x to 1 + x, the hue's shift from -x to x of the colour circle.
    cfg.INPUT.COLOR_JITTER.BRIGHTNESS = 0.125
    cfg.INPUT.COLOR_JITTER.CONTRAST = 0.5
    cfg.INPUT.COLOR_JITTER.SATURATION = 0.5
    cfg.INPUT.COLOR_JITTER.HUE = 0.05

    # "SGD" as in Detectron2, or "AdamW", which decouples WEIGHT_DECAY from the gradient.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # LR_SCHEDULER_NAME "WarmupPolyLR" falls from BASE_LR to POLY_MIN_LR as (1 - iteration / MAX_ITER) ** POLY_POWER.
    cfg.SOLVER.POLY_POWER = 0.9
    cfg.SOLVER.POLY_MIN_LR = 0.0001


def get_config(name: str) -> CfgNode:
    """The config of a shipped model.

    Args:
        name: a path below ``configs/`` without its ending, e.g. ``det/faster_rcnn_R_50_FPN_1x``.

    Raises:
        ConfigError: no such config; the message lists the names there are.
    """
    return load_config(config_folder() / f"{name}.yaml")


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> CfgNode:
    """Reads a config file over the defaults of Detectron2 and of the package.

    Args:
        path: a YAML file, with ``_BASE_`` or without.
        overrides: keys and values in turn, as on the command line.

    Raises:
        ConfigError: no such file, or a key that does not exist.
    """
    cfg = get_cfg()
    add_bdd100k_config(cfg)
    if not Path(path).is_file():
        raise ConfigError(
            f"{path or 'no config file'}: no such config; give one with --config-file. "
            f"Shipped are {', '.join(config_names())}."
        )
    try:
        # Detectron2's own merge would fall back to the unsafe loader.
        cfg.merge_from_other_cfg(CfgNode(CfgNode.load_yaml_with_base(str(path), allow_unsafe=False)))
        cfg.merge_from_list(list(overrides))
    except (KeyError, AssertionError) as error:
        message = str(error.args[0] if error.args else error)
        raise ConfigError(f"{path}: {message}.{_suggestion(message, cfg)}") from error
    except (ValueError, TypeError, AttributeError, OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not a usable config: {' '.join(str(error).split())}") from error
    return cfg


def config_folder() -> Path:
    """The folder of the shipped configs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """The names that :func:`get_config` takes."""
    folder = config_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.yaml"))


def _suggestion(message: str, cfg: CfgNode) -> str:
    unknown = message.rsplit(" ", 1)[-1]
    close = difflib.get_close_matches(unknown, list(_keys(cfg)), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _keys(cfg: CfgNode, prefix: str = "") -> Iterator[str]:
    for key, value in cfg.items():
        yield prefix + key
        if isinstance(value, CfgNode):
            yield from _keys(value, f"{prefix}{key}.")
