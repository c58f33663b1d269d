"""Loading weights into a model, with errors that say what is wrong with them."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from ..errors import WeightsError
from .architecture import check_architecture, check_eps
from .convert import convert_state, is_foreign, shortened
from .published import local_path
from .reading import DAMAGED, check_file, read_checkpoint, reason, tensors_of
from .timm_weights import AUTHOR, BACKBONE, rename_timm

logger = logging.getLogger(__name__)


def load_weights(model: nn.Module, path: str, exact: bool = False) -> None:
    """Loads a file, or an address that Detectron2 resolves, into ``model``; an empty ``path`` leaves it as initialised.

    A checkpoint of another framework is converted first, see `convert.convert_state`. ``exact``, as for evaluation,
    wants every tensor to match; otherwise some have to, as for fine-tuning.

    Raises:
        WeightsError: the file does not exist, is no checkpoint, or holds tensors that do not fit, which are named.
    """
    if path:
        CheckingCheckpointer(model, exact=exact, save_to_disk=False).load(path, checkpointables=[])
    elif exact:
        raise WeightsError("No weights to evaluate: add MODEL.WEIGHTS and a file to the command.")


class CheckingCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer that runs no code of a file and says in a `WeightsError` what is wrong with it."""

    def __init__(self, model: nn.Module, save_dir: str = "", *, exact: bool, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(model, save_dir, **kwargs)
        self.exact = exact
        # What messages call the file that is being loaded.
        self.path = ""

    def load(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401, the parent's
        """Loads a file or an address; see `fvcore.common.checkpoint.Checkpointer.load`."""
        self.path = path
        local = local_path(path)
        check_file(local, path)
        rest: dict[str, Any] = super().load(local, *args, **kwargs)
        return rest

    def _load_file(self, filename: str) -> dict[str, Any]:
        try:
            content = read_checkpoint(filename, self.path)
        except WeightsError as error:
            if filename == self.path:
                raise
            raise WeightsError(f"{error} What was fetched is in {filename}; remove it to fetch it again.") from error
        state = tensors_of(content)
        is_backbone = content.get("__author__") == AUTHOR
        if is_backbone:
            state = {key.removeprefix(BACKBONE): tensor for key, tensor in state.items()}
        # A model of the user's may hold a backbone of another framework under its names.
        is_own = not is_backbone and 2 * len(self.model.state_dict().keys() & state.keys()) > len(state)
        if not is_own and (renamed := rename_timm(state, self.model, self.path)) is not None:
            unused = len(state) - len(renamed)
            logger.info("%s: %d tensors of a model of timm, %d not used.", self.path, len(renamed), unused)
            return {"model": renamed, "__author__": AUTHOR}
        if not is_own and is_foreign(state):
            converted = convert_state(state, self.path)
            logger.info("%s: converted from %s.", self.path, converted.describe())
            content = converted.checkpoint(content)
        else:
            content = _native(content, Path(filename).suffix)
        check_architecture(content["model"], self.model, self.path)
        is_classifier = bool(content.get("matching_heuristics"))
        check_eps(content, self.model, self.path, exact=self.exact, is_classifier=is_classifier)
        return content

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:  # noqa: ANN401, fvcore's tuple of incompatible keys
        try:
            incompatible = super()._load_model(checkpoint)
        except DAMAGED as error:
            raise WeightsError(
                f"{self.path}: not a checkpoint of Detectron2 ({reason(error)}). Is it of another framework?"
            ) from error
        wrong = incompatible.incorrect_shapes
        shapes = [f"{key} (checkpoint {tuple(theirs)}, model {tuple(ours)})" for key, theirs, ours in wrong]
        missing = [key for key in incompatible.missing_keys if not key.endswith("num_batches_tracked")]
        unexpected = incompatible.unexpected_keys
        unfilled = {*missing, *(key for key, *_ in wrong)}
        wanted = [key for key in self.model.state_dict() if not key.endswith("num_batches_tracked")]
        if len(unfilled) >= len(wanted) or (self.exact and (shapes or missing or unexpected)):
            lists = (("of another shape", shapes), ("missing", missing), ("not in the model", unexpected))
            raise WeightsError(
                f"{self.path}: these weights are not of this model"
                f"{''.join(shortened(what, keys) for what, keys in lists)}"
                f". Give the config that they were trained with{self._other_classes(wrong)}."
            )
        return incompatible

    def _other_classes(self, wrong: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> str:
        """What to say of the first head of another number of classes, if one is among the tensors of another shape."""
        for tensor, theirs, ours in wrong:
            for ending, (key, background) in _HEADS.items():
                if tensor.endswith(ending):
                    if key.startswith("MODEL.RETINANET"):
                        # Of each anchor there are the classes and four numbers.
                        anchors = len(self.model.state_dict()[tensor.replace("cls_score", "bbox_pred")]) // 4
                        theirs, ours = [theirs[0] // anchors], [ours[0] // anchors]
                    return f": they have {theirs[0] - background} classes, the model {ours[0] - background} ({key})"
        return ""


# The weights of the heads that have a row for each class: the key of their number, and how many rows are of none.
_HEADS = {
    "box_predictor.cls_score.weight": ("MODEL.ROI_HEADS.NUM_CLASSES", 1),
    "box_predictor.0.cls_score.weight": ("MODEL.ROI_HEADS.NUM_CLASSES", 1),
    "sem_seg_head.predictor.weight": ("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 0),
    "head.cls_score.weight": ("MODEL.RETINANET.NUM_CLASSES", 0),
}


def _native(content: dict[str, Any], suffix: str) -> dict[str, Any]:
    """The content of a file of Detectron2, Detectron, pycls, or of tensors alone, as Detectron2's checkpointer wants.

    The rules are those of `DetectionCheckpointer`, which would read the file again, and any pickle.
    """
    if suffix == ".pkl" and not {"model", "__author__"} <= content.keys():
        arrays = content.get("blobs", content)
        arrays = {key: value for key, value in arrays.items() if not key.endswith("_momentum")}
        return {"model": arrays, "__author__": "Caffe2", "matching_heuristics": True}
    if "model_state" in content:
        arrays = {key: value for key, value in content["model_state"].items() if "num_batches_tracked" not in key}
        return {"model": arrays, "__author__": "pycls", "matching_heuristics": True}
    return content if "model" in content else {"model": dict(tensors_of(content))}
