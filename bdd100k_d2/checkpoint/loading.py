"""Loading weights into a model, with errors that say what is wrong with them."""

import pickle
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from ..errors import WeightsError
from .pickles import load_arrays

# What torch.load and pickle raise for files that are cut off, are no checkpoints, or want to run code.
_DAMAGED = (
    pickle.UnpicklingError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def load_weights(model: nn.Module, path: str, exact: bool = False) -> None:
    """Loads a Detectron2 checkpoint or a model-zoo file into ``model``; an empty ``path`` leaves it as initialised.

    Args:
        model: filled in place.
        path: a file, or an address that Detectron2 resolves (``detectron2://``, ``https://``).
        exact: whether every tensor has to match, as for evaluation; otherwise some have to, as for fine-tuning.

    Raises:
        WeightsError: no such file, not a checkpoint, or tensors that do not fit; the message names them.
    """
    if path:
        _CheckingCheckpointer(model, exact).load(path, checkpointables=[])
    elif exact:
        raise WeightsError("No weights to evaluate: add MODEL.WEIGHTS and a file to the command.")


def check_resumable(model: nn.Module, path: str) -> None:
    """Holds that the checkpoint ``path`` is whole and of ``model``, into which it loads the weights.

    Raises:
        WeightsError: it is missing, damaged, or of another config.
    """
    try:
        load_weights(model, path, exact=True)
    except WeightsError as error:
        raise WeightsError(
            f"{error} It is the last checkpoint of the output folder: resume with the config that wrote it, choose "
            "another OUTPUT_DIR, or start over without --resume."
        ) from error


class _CheckingCheckpointer(DetectionCheckpointer):
    def __init__(self, model: nn.Module, exact: bool) -> None:
        super().__init__(model, save_to_disk=False)
        self.exact = exact
        self.path = ""

    def load(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401, the parent's
        self.path = path
        try:
            local = self.path_manager.get_local_path(path)
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"{path}: the weights cannot be fetched ({error}). Fetch the file by hand and give its path as "
                "MODEL.WEIGHTS, or train from random weights with MODEL.WEIGHTS ''."
            ) from error
        if not self.path_manager.isfile(local):
            raise WeightsError(f"{path}: no such file of weights; check MODEL.WEIGHTS.")
        return super().load(local, *args, **kwargs)

    def _load_file(self, filename: str) -> dict[str, Any]:
        try:
            if filename.endswith(".pkl"):
                # Detectron2 would unpickle anything; what passes here, it may read.
                load_arrays(filename)
            return super()._load_file(filename)
        except _DAMAGED as error:
            raise WeightsError(
                f"{self.path}: not a checkpoint, or a damaged one ({_reason(error)}). Fetch or write it again."
            ) from error

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:  # noqa: ANN401, fvcore's tuple of incompatible keys
        try:
            incompatible = super()._load_model(checkpoint)
        except _DAMAGED as error:
            raise WeightsError(
                f"{self.path}: not a checkpoint of Detectron2 ({_reason(error)}). Is it of another framework?"
            ) from error
        shapes = [
            f"{key} (checkpoint {tuple(theirs)}, model {tuple(ours)})"
            for key, theirs, ours in incompatible.incorrect_shapes
        ]
        missing = [key for key in incompatible.missing_keys if not key.endswith("num_batches_tracked")]
        unexpected = incompatible.unexpected_keys
        nothing_fits = len({*missing, *(key for key, *_ in incompatible.incorrect_shapes)}) >= len(
            [key for key in self.model.state_dict() if not key.endswith("num_batches_tracked")]
        )
        if nothing_fits or (self.exact and (shapes or missing or unexpected)):
            raise WeightsError(
                f"{self.path}: these weights are not of this model"
                f"{_list('of another shape', shapes)}{_list('missing', missing)}{_list('not in the model', unexpected)}"
                ". Give the config that they were trained with."
            )
        return incompatible


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _list(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return f"; {what}: {', '.join(keys[:5])}{more}"
