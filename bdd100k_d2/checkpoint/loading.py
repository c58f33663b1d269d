"""Loading weights into a model, with errors that say what is wrong with them."""

import logging
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from ..errors import ConfigError, WeightsError
from .architecture import check_architecture, check_eps
from .backbone_names import check_trained
from .class_names import (
    KEY,
    ClassCounts,
    ClassNames,
    as_kept,
    class_counts,
    class_tensors,
    difference,
    kept_names,
    other_kinds,
    refusal,
    remember,
    stated_names,
)
from .class_rows import is_published, names_of_weights, take_rows_by_name
from .convert import convert_state, is_foreign, shortened
from .published import local_path
from .reading import DAMAGED, check_file, read_checkpoint, reason, tensors_of
from .timm_weights import AUTHOR, BACKBONE, rename_timm

logger = logging.getLogger(__name__)

_AUXILIARY = "auxiliary_head."
# A classifier of images has its last norm and its last layer beside the backbone, of each weight and bias.
_OF_CLASSIFIERS = 4


def load_weights(
    model: nn.Module, path: str, exact: bool = False, classes: ClassNames | None = None, trained_for: str = ""
) -> None:
    """Loads a file, or an address that Detectron2 resolves, into ``model``; an empty ``path`` leaves it as initialised.

    A checkpoint of another framework is converted first, see `convert.convert_state`. ``exact``, as for evaluation,
    wants every tensor to match; otherwise some have to, as for fine-tuning. ``classes`` are those of the data sets, as
    `engine.class_agreement.check_classes` returns them. The last layers of weights that are known to be for others give
    their rows to the classes of the same names, see `class_rows`; the other classes stay as initialised. If ``exact``
    such weights are refused, but where ``trained_for``, which is ``MODEL.WEIGHTS_CLASSES``, or the address tells what
    they are for: then the other classes are never predicted.

    Raises:
        WeightsError: the file does not exist, is no checkpoint, holds tensors that do not fit, which are named, or is
            for other classes.
    """
    if path:
        if exact:
            check_trained(path, "MODEL.WEIGHTS")
        loading = CheckingCheckpointer(model, exact=exact, classes=classes, trained_for=trained_for, save_to_disk=False)
        loading.load(path, checkpointables=[])
    elif exact:
        raise WeightsError("No weights to evaluate: add MODEL.WEIGHTS and a file to the command.")


class CheckingCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer that runs no code of a file and says in a `WeightsError` what is wrong with it.

    ``exact``, ``classes`` and ``trained_for`` are as in `load_weights`.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        exact: bool,
        classes: ClassNames | None = None,
        trained_for: str = "",
        **kwargs: Any,  # noqa: ANN401, the parent's
    ) -> None:
        super().__init__(model, save_dir, **kwargs)
        self.exact = exact
        self.classes = classes or {}
        self.trained_for = trained_for
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
            content = converted.checkpoint(content) | as_kept(stated_names(content, converted.model))
        else:
            content = _native(content, Path(filename).suffix)
        check_architecture(content["model"], self.model, self.path)
        is_classifier = bool(content.get("matching_heuristics"))
        check_eps(content, self.model, self.path, exact=self.exact, is_classifier=is_classifier)
        return content

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:  # noqa: ANN401, fvcore's tuple of incompatible keys
        names: ClassNames = kept_names(checkpoint)
        try:
            # Pickles of Detectron2's own zoo hold arrays.
            self._convert_ndarray_to_tensor(checkpoint["model"])
            counts = class_counts(_shapes(checkpoint["model"]))
            names = self._fit_classes(checkpoint["model"], counts, names, str(checkpoint.get("__author__", "")))
            incompatible = super()._load_model(checkpoint)
        except ConfigError:
            raise
        except DAMAGED as error:
            raise WeightsError(
                f"{self.path}: not a checkpoint of Detectron2 ({reason(error)}). Is it of another framework?"
            ) from error
        wrong = incompatible.incorrect_shapes
        shapes = [f"{key} (checkpoint {tuple(theirs)}, model {tuple(ours)})" for key, theirs, ours in wrong]
        missing = [key for key in incompatible.missing_keys if not key.endswith("num_batches_tracked")]
        unexpected = incompatible.unexpected_keys
        if self.exact:
            missing, unexpected = self._without_auxiliary(missing), self._without_auxiliary(unexpected)
        unfilled = {*missing, *(key for key, *_ in wrong)}
        wanted = [key for key in self.model.state_dict() if not key.endswith("num_batches_tracked")]
        filled = [key for key in wanted if key not in unfilled]
        of_backbone = filled and not shapes and all(key.startswith("backbone.") for key in filled)
        if self.exact and missing and of_backbone and len(unexpected) <= _OF_CLASSIFIERS:
            raise WeightsError(f"{self.path}: has weights of a backbone alone; give those of a trained model.")
        if len(unfilled) >= len(wanted) or (self.exact and (shapes or missing or unexpected)):
            lists = (("of another shape", shapes), ("missing", missing), ("not in the model", unexpected))
            raise WeightsError(
                f"{self.path}: these weights are not of this model"
                f"{''.join(shortened(what, keys) for what, keys in lists)}"
                f". Give the config that they were trained with{self._other_count(counts)}."
            )
        if self.exact and (problem := refusal(names, self.classes)):
            raise WeightsError(f"{self.path}: {problem}")
        checkpoint.pop(KEY, None)
        remember(self.model, {**names, **self.classes})
        return incompatible

    def _fit_classes(self, state: dict[str, Any], counts: ClassCounts, names: ClassNames, source: str) -> ClassNames:
        """Gives the last layers to the classes of the same names, in place; returns whose they are now."""
        known = names_of_weights(self.trained_for, self.path, counts, names, source)
        if not self.exact or (self.trained_for and not names) or is_published(self.path):
            self._warn_of_colours()
            initial = self.model.state_dict()
            taken = take_rows_by_name(state, initial, known, self.classes, self.path, switch_off=self.exact)
            now = {kind: self.classes[kind] for kind in taken}
            names, known = {**names, **known, **now}, {**known, **now}
        if not self.exact:
            self._leave_out_others(state, known)
        return names

    def _warn_of_colours(self) -> None:
        if is_published(self.path) and getattr(self.model, "input_format", "BGR") != "BGR":
            logger.warning(
                "%s: trained on BGR images of 0 to 255 with the strides in 1x1 convolutions, and this model is built "
                "for others; take configs/det/faster_rcnn_R_50_FPN_coco.yaml, or its keys.",
                self.path,
            )

    def _without_auxiliary(self, keys: list[str]) -> list[str]:
        """The tensors but those of the auxiliary head, which training alone uses; says so where there are some."""
        rest = [key for key in keys if not key.startswith(_AUXILIARY)]
        if len(rest) < len(keys):
            logger.warning(
                "%s: either the weights or the model have an auxiliary head. It predicts nothing; whether a model is "
                "trained with one says MODEL.SEM_SEG_HEAD.AUXILIARY.IN_FEATURE.",
                self.path,
            )
        return rest

    def _leave_out_others(self, state: dict[str, Any], theirs: ClassNames) -> None:
        """Takes the layers for other classes out of weights to go on from, where their shapes would fit."""
        others = other_kinds(theirs, self.classes)
        if left_out := class_tensors(_shapes(state), others) if others else []:
            for name in left_out:
                del state[name]
            logger.warning(
                "%s: the classes are not those of the data sets, but %s. %d tensors of the last layers stay as "
                "initialised: %s.",
                self.path,
                "; ".join(difference(theirs[kind], self.classes[kind]) for kind in others),
                len(left_out),
                ", ".join(left_out),
            )

    def _other_count(self, theirs: ClassCounts) -> str:
        """What to say of the first head of another number of classes, if there is one."""
        for kind, (key, number) in class_counts(_shapes(self.model.state_dict())).items():
            if kind in theirs and theirs[kind][1] != number:
                return f": they have {theirs[kind][1]} classes, the model {number} ({key})"
        return ""


def _shapes(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(getattr(tensor, "shape", ())) for name, tensor in state.items()}


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
