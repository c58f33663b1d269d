"""Is the training state of a checkpoint one to go on from? It would fail, or count wrong, only later."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

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
        raise WeightsError("The state of the training is no mapping.")
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
            raise WeightsError(f"{name!r} in the state of the training is no mapping.")


def place_in_schedule(state: object, iteration: int) -> dict[str, int]:
    """What to take over of the state of a learning rate's schedule: how far it is. The config rules the rest.

    ``iteration`` is that of the training, which has been checked.

    Raises:
        WeightsError: the state does not tell that, or is further than the training.
    """
    if not isinstance(state, Mapping):
        raise WeightsError("The state of the learning rate's schedule is no mapping.")
    if "last_epoch" not in state:
        raise WeightsError("The state of the learning rate's schedule has no last_epoch.")
    # PyTorch's names: each counts the iterations that are done, the second one also the first rate.
    most = {"last_epoch": iteration + 1, "_step_count": iteration + 2}
    place = {name: state[name] for name in most if name in state}
    for name, value in place.items():
        if type(value) is not int or not 0 <= value <= most[name]:
            wanted = f"no whole number from 0 to {most[name]}"
            raise WeightsError(f"The {name} of the learning rate's schedule, {_said(value)}, is {wanted}.")
    return place


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
            if key == "step" and not _is_count(value):
                raise WeightsError("The optimizer's number of steps is no count.")
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


def _is_count(value: object) -> bool:
    count = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    return isinstance(count, int | float) and _is_number(count) and 0 <= count <= _MOST_ITERATIONS


def _said(value: object) -> str:
    # A whole number may have too many digits to be written.
    return f"of {value.bit_length()} bits" if type(value) is int and value.bit_length() > 99 else shown(repr(value))
