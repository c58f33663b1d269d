"""Which learning rate and which decay each parameter has."""

from collections.abc import Iterator
from typing import Any

from detectron2.config import CfgNode
from detectron2.solver.build import get_default_optimizer_params, reduce_param_groups
from torch import nn

from ..config import with_our_keys
from ..errors import ConfigError
from ..modeling.torchvision_backbone import TorchvisionBackbone

# Bare parameters of a backbone of torchvision's that decay as its layer norms do.
_BARE = ("layer_scale", "relative_position_bias_table")
# Blocks of ConvNeXt's third stage that count as one layer.
_BLOCKS_OF_A_LAYER = 3


def parameter_groups(cfg: CfgNode, model: nn.Module) -> list[dict[str, Any]]:
    """The trained parameters of ``model`` in groups of one rate and one decay, as an optimizer takes them.

    They are Detectron2's, by ``SOLVER.WEIGHT_DECAY``, ``_NORM`` and ``_BIAS``, with the package's
    ``SOLVER.WEIGHT_DECAY_LAYER_NORM`` and ``SOLVER.LAYER_DECAY``.

    Raises:
        ConfigError: ``SOLVER.LAYER_DECAY`` asks for what is not there, or the model has no ConvNeXt of torchvision's.
    """
    solver = with_our_keys(cfg).SOLVER
    of_layer_norms = solver.WEIGHT_DECAY_LAYER_NORM
    if of_layer_norms is None:
        of_layer_norms = solver.WEIGHT_DECAY_NORM
    groups = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay=solver.WEIGHT_DECAY,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
    )
    decays = dict.fromkeys(_layer_norms(model), of_layer_norms)
    factors = {} if solver.LAYER_DECAY.RATE == 1 else _factors(solver.LAYER_DECAY, model)
    single = []
    for group in groups:
        for parameter in group["params"]:
            one = {**group, "params": [parameter], "lr": group["lr"] * factors.get(parameter, 1.0)}
            if parameter in decays:
                one["weight_decay"] = decays[parameter]
            single.append(one)
    reduced: list[dict[str, Any]] = reduce_param_groups(single)
    return reduced


def _layer_norms(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, nn.LayerNorm) or name in _BARE:
                yield parameter


def _factors(keys: CfgNode, model: nn.Module) -> dict[nn.Parameter, float]:
    """The factor of the rate of each parameter of the model's ConvNeXt."""
    backbone = next((module for module in model.modules() if isinstance(module, TorchvisionBackbone)), None)
    if backbone is None or backbone.is_swin:
        raise ConfigError(
            f"SOLVER.LAYER_DECAY.RATE is {keys.RATE}, and is for MODEL.TORCHVISION.NAME convnext_*; set it to 1."
        )
    if keys.BY not in ("layer", "stage"):
        raise ConfigError(f"SOLVER.LAYER_DECAY.BY is {keys.BY!r}; there are layer and stage.")
    if not 0 < keys.RATE < 1 or keys.LAYERS < 1:
        raise ConfigError(
            f"SOLVER.LAYER_DECAY.RATE is {keys.RATE} and LAYERS {keys.LAYERS}; give a rate from 0 to 1, and a number."
        )
    factors = {}
    for name, parameter in backbone.features.named_parameters():
        part, block = (int(number) for number in name.split(".")[:2])
        layer = _layer(part, block, keys.LAYERS) if keys.BY == "layer" else _stage(part)
        factors[parameter] = keys.RATE ** (keys.LAYERS + 1 - layer)
    return factors


def _layer(part: int, block: int, layers: int) -> int:
    """The layer of a block of `features`, whose odd parts are stages and whose even ones come before them."""
    if part == 0:
        return 0
    if part % 2 == 0:
        return {2: 2, 4: 3, 6: layers}[part]
    return {1: 1, 3: 2, 5: 3 + block // _BLOCKS_OF_A_LAYER, 7: layers}[part]


def _stage(part: int) -> int:
    return (part + 1) // 2 if part % 2 else 0
