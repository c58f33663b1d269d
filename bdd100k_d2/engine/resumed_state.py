"""Is the training state of a checkpoint one to go on from? It would fail, or count wrong, only later."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..errors import WeightsError, shown

# No training has so many iterations.
_MOST_ITERATIONS = 10**12
# NumPy's limit, which Detectron2 seeds with it.
MOST_SEED = 2**32 - 1
# What Adam and AdamW keep of a parameter.
_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


def check_numbers(state: Mapping[str, Any]) -> None:
    """Checks the iteration, and the seed, batch and precision where they are there, of a state of `Trainer`.

    Raises:
        WeightsError: one is missing, of another type, or out of its range.
    """
    if not isinstance(state, Mapping):
        raise WeightsError("The state of the training is none.")
    if "iteration" not in state:
        raise WeightsError("The state of the training has no iteration.")
    for name, least, most in (("iteration", 0, _MOST_ITERATIONS), ("seed", 0, MOST_SEED), ("batch", 1, 10**9)):
        value = state.get(name, least)
        if type(value) is not int or not least <= value <= most:
            raise WeightsError(
                f"The {name} of the training, {_said(value)}, is no whole number from {least} to {most}."
            )
    if not isinstance(state.get("bfloat16", False), bool):
        raise WeightsError(
            f"Whether the training is in bfloat16 is {_said(state['bfloat16'])}, neither True nor False."
        )
    for name in ("hooks", "_trainer"):
        if not isinstance(state.get(name, {}), Mapping):
            raise WeightsError(f"The state of the training has under {name} what is none.")


def check_schedule(state: object, scheduler: LRScheduler) -> None:
    """Checks the state of a learning rate's schedule before ``scheduler`` takes it over, which takes anything.

    Raises:
        WeightsError: a value is of another type than the schedule's, or would replace one of its functions.
    """
    if not isinstance(state, Mapping):
        raise WeightsError("The state of the learning rate's schedule is none.")
    own = scheduler.state_dict()
    for key, value in state.items():
        known = own.get(key)
        if isinstance(known, list):
            fits = isinstance(value, list) and len(value) == len(known) and all(map(_is_number, value))
        elif key in own:
            fits = _is_number(value) if _is_number(known) else known is None or isinstance(value, type(known))
        else:
            # Of another version of PyTorch.
            fits = isinstance(key, str) and not hasattr(scheduler, key)
        if not fits:
            raise WeightsError(f"The learning rate's schedule has {shown(repr(key))} of another type.")


def check_optimizer(optimizer: Optimizer) -> None:
    """Checks what ``optimizer`` has taken over from a checkpoint.

    Raises:
        WeightsError: it is of another optimizer or model.
    """
    for group in optimizer.param_groups:
        for key, default in optimizer.defaults.items():
            if key not in group or not _is_like(group[key], default):
                raise WeightsError(f"The optimizer's {key} is of another optimizer.")
    wanted = _MOMENTS if "betas" in optimizer.defaults else set()
    for parameter, kept in optimizer.state.items():
        if not isinstance(kept, Mapping) or (kept and not wanted <= kept.keys()):
            raise WeightsError("The optimizer's state of a parameter is of another optimizer.")
        for key, value in kept.items():
            shape = value.shape if isinstance(value, Tensor) else ()
            if not (isinstance(value, Tensor) or value is None or _is_number(value)) or (
                key != "step" and value is not None and shape != parameter.shape
            ):
                raise WeightsError(f"The optimizer's {shown(key)} is of another model.")


def check_loss_scale(state: Mapping[str, Any]) -> None:
    """Raises WeightsError unless the numbers of a state of PyTorch's `GradScaler` are numbers."""
    scaler = state.get("grad_scaler", {})
    if not isinstance(scaler, Mapping) or not all(map(_is_number, scaler.values())):
        raise WeightsError("The scale of the losses is no number.")


def _is_like(value: object, default: object) -> bool:
    """Whether a value may be that of an optimizer's argument."""
    if isinstance(default, tuple):
        return isinstance(value, tuple | list) and len(value) == len(default) and all(map(_is_number, value))
    return _is_number(value) if _is_number(default) else value is None or isinstance(value, bool)


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _said(value: object) -> str:
    # A whole number may have too many digits to be written.
    return f"of {value.bit_length()} bits" if type(value) is int and value.bit_length() > 99 else shown(repr(value))
