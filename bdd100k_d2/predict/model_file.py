"""A model file as a `Runtime`: what it was made for, by its card or by what the user says, and frames for its graph."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..data.class_list import with_classes
from ..errors import ConfigError, DataError, FrameSizeError, MissingRuntimeError, PredictionError, WeightsError, shown
from ..regular_file import check_regular_file
from ..tasks import TASKS, Task
from .file_stamp import file_state
from .graph_outputs import frame_outputs, output_names
from .model_card import CARD_KEY, USUAL_THRESHOLDS, read_card
from .model_formats import BY_ENDING, ONNX, OPENVINO, TORCH_EXPORT, TORCHSCRIPT, ModelFormat
from .model_identity import ModelIdentity
from .runtime import Runtime

logger = logging.getLogger(__name__)

_LONGEST_REASON = 500


class Session(Protocol):
    """A graph that is ready to run.

    Attributes:
        card: the text that the file has under `CARD_KEY`; None if there is none.
        input_type: of its one input, as NumPy calls it; None where the file does not say it, and the shape is empty.
        input_shape: of that input, None for a size that may be any.
        outputs: the names of its outputs; None where they are told by their order alone.
    """

    card: str | None
    input_type: str | None
    input_shape: tuple[int | None, ...]
    outputs: tuple[str, ...] | None

    def run(self, images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """The outputs of these names for images (N, H, W, 3) uint8."""


Open = Callable[[Path, int | None, bool], Session]
"""Opens a file, to compute with so many threads, and in bfloat16 if that is wanted and the CPU is faster for it."""


def _onnx(path: Path, threads: int | None, amp: bool) -> Session:
    from .onnx_session import OnnxSession

    return OnnxSession(path, threads, amp)


def _openvino(path: Path, threads: int | None, amp: bool) -> Session:
    from .openvino_session import OpenVinoSession

    return OpenVinoSession(path, threads, amp)


def _torchscript(path: Path, threads: int | None, amp: bool) -> Session:
    from .torch_session import TorchScriptSession

    return TorchScriptSession(path, threads, amp)


def _exported_program(path: Path, threads: int | None, amp: bool) -> Session:
    from .torch_session import ExportedProgramSession

    return ExportedProgramSession(path, threads, amp)


_OPENERS: dict[ModelFormat, Open] = {
    ONNX: _onnx,
    OPENVINO: _openvino,
    TORCHSCRIPT: _torchscript,
    TORCH_EXPORT: _exported_program,
}


def is_model_file(source: object) -> bool:
    """Whether ``source`` is a path, or a text that is one of a model file or of any other file that is there."""
    if isinstance(source, os.PathLike):
        return True
    return isinstance(source, str) and (Path(source).suffix.lower() in BY_ENDING or Path(source).is_file())


def told_task(name: str | None, class_names: Sequence[str] | None) -> Task | None:
    """What a user says of a file that does not say it: the task of a name, and its classes, None for BDD100K's.

    Raises:
        ConfigError: there is no such task, or these cannot be its classes.
    """
    if name is None:
        if class_names is not None:
            raise ConfigError("--class-names: they are of a task; give its --task too.")
        return None
    if name not in TASKS:
        raise ConfigError(f"--task: there is no {shown(repr(name))}; there are {', '.join(TASKS)}.")
    if class_names is not None and name == "pan_seg":
        raise ConfigError(
            "--class-names: which classes of pan_seg are things no list of names says; export the model with "
            "tools/export.py, which does."
        )
    return with_classes(TASKS[name], class_names, "--class-names")


def open_model_file(path: Path, *, task: Task | None, amp: bool, threads: int | None) -> "ModelFile":
    """Opens a model file by the runtime that its ending tells; arguments and errors are those of `Predictor`."""
    model_format = BY_ENDING.get(path.suffix.lower())
    if model_format is None:
        raise ConfigError(f"{path}: no model file by its ending; known are {', '.join(BY_ENDING)}.")
    try:
        check_regular_file(path)
        if not path.stat().st_size:
            raise WeightsError(f"{path}: the file is empty; copy it again, or export the model again.")
    except (OSError, DataError) as error:
        if isinstance(error, WeightsError):
            raise
        what = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise WeightsError(f"{path}: the model file cannot be read ({what}); give another one.") from error
    try:
        session = _OPENERS[model_format](path, threads, amp)
    except ModuleNotFoundError as error:
        if error.name not in model_format.packages:
            raise
        raise MissingRuntimeError(
            f"{path}: is run by {error.name}, which is not installed; install it with: {model_format.pip_line}"
        ) from error
    return ModelFile(path, session, task)


class ModelFile(Runtime):
    """A model that was exported into a file.

    Its outputs are those of Detectron2's models as arrays: ``instances`` an `ArrayInstances`; ``sem_seg`` (H, W) uint8
    class ids, of a panoptic model those of its semantic head; ``panoptic_seg`` (H, W) int32 segments and their infos.

    Attributes:
        path: of the file.
        card: what it says of itself; None for a file of another tool.
        task: with the classes of the model.
    """

    def __init__(self, path: Path, session: Session, task: Task | None = None) -> None:
        """Checks what the file says; ``task`` is for one that does not say it. Errors are those of `Predictor`."""
        self.path, self._session = path, session
        self.card = None if session.card is None else read_card(session.card, str(path))
        if self.card is None:
            self.task = self._told(task)
            batch, *size = (*session.input_shape, None, None, None)[:3]
            self.fixed_batch, self._size = batch, (size[0], size[1])
        else:
            self.task = self.card.task_with_classes
            self.fixed_batch, self._size = self.card.batch, self.card.size or (None, None)
            if task is not None and (task.name, task.names) != (self.task.name, self.task.names):
                raise ConfigError(
                    f"{path}: is of {self.task.name} with the classes {shown(', '.join(self.task.names))}, as it says "
                    f"itself, not of {task.name} with {shown(', '.join(task.names))}; give the config that it was made "
                    "from, or leave --task out."
                )
        self.min_score = 0.0 if self.card is None else self.card.min_score
        self._thresholds = None
        if self.task.name == "pan_seg":
            self._thresholds = (self.card and self.card.panoptic) or USUAL_THRESHOLDS
        self._names = output_names(self.task)
        self._check_graph()

    def _told(self, task: Task | None) -> Task:
        if task is None:
            raise ConfigError(
                f"{self.path}: has no metadata {CARD_KEY!r}, by which tools/export.py says the task and the classes of "
                f"a model; give its --task ({', '.join(TASKS)}), and --class-names where they are not BDD100K's. In a "
                "script: Predictor(path, task=...)."
            )
        if task.is_official:
            others = "" if task.name == "pan_seg" else "; --class-names tells others"
            logger.info("%s: the classes are taken to be BDD100K's: %s%s.", self.path, ", ".join(task.names), others)
        return task

    def _check_graph(self) -> None:
        kind, shape = self._session.input_type, self._session.input_shape
        if kind is not None and not (kind == "uint8" and len(shape) == 4 and shape[3] in (3, None)):
            there = f"{kind} ({', '.join('any' if one is None else str(one) for one in shape)})"
            raise ConfigError(
                f"{self.path}: takes {there}; its input has to be uint8 (images, height, width, 3), RGB, with resizing "
                "and normalisation in the graph, as tools/export.py writes it."
            )
        outputs = self._session.outputs
        missing = [] if outputs is None else [name for name in self._names if name not in outputs]
        if missing:
            raise ConfigError(
                f"{self.path}: has no output {' and no '.join(missing)}, which {self.task.name} needs; it has "
                f"{shown(', '.join(outputs or ()))}. Give the task that it is of, or export it with tools/export.py."
            )

    @property
    def identity(self) -> ModelIdentity:
        """As `Runtime` says."""
        # What lies beside another kind of file is none of it.
        is_pair = self.path.suffix.lower() == OPENVINO.ending
        files = [self.path, *([self.path.with_suffix(".bin")] if is_pair else [])]
        config = "" if self.card is None else self.card.config
        weights = "; ".join(file_state(file.absolute()) for file in files)
        return ModelIdentity(self.task, config, weights, self.min_score)

    def prepare(self, image: np.ndarray, where: str) -> tuple[np.ndarray, tuple[int, ...]]:
        """As `Runtime` says; FrameSizeError for a size that the graph cannot take."""
        height, width = image.shape[:2]
        wanted = self._size[0] or height, self._size[1] or width
        if (height, width) != wanted:
            raise FrameSizeError(
                f"{where}the image is {height}x{width}, and {self.path} takes {wanted[0]}x{wanted[1]} alone, height by "
                f"width; resize the images, or export the model with --size {height}x{width}, or with --size dynamic "
                "where it can."
            )
        return image, image.shape

    def infer(self, batch: list[np.ndarray]) -> list[dict[str, Any]]:
        """As `Runtime` says. A batch that is too small for the graph is filled up, and what that gives left out.

        Raises:
            PredictionError: the graph cannot be run on these frames.
            WeightsError: what it gives is not of the task.
        """
        images = np.stack([*batch, *batch[-1:] * ((self.fixed_batch or 0) - len(batch))])
        try:
            arrays = self._session.run(images, self._names)
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            reason = shown(error, _LONGEST_REASON)
            raise PredictionError(
                f"{self.path}: cannot be run on images of {images.shape[1]}x{images.shape[2]}, {len(images)} at a time "
                f"({reason}); try fewer or other images, or export the model again."
            ) from error
        return frame_outputs(arrays, self.task, images.shape, self._thresholds, str(self.path))[: len(batch)]
