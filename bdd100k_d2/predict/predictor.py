"""Predicting on images: in batches, while the next ones are read."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..data.images import load_image
from ..errors import ConfigError, DataError, PredictionError, UnreadableError
from ..installation import needs_detectron2
from ..parallel import cores
from ..tasks import Task
from .model_file import ModelFile, is_model_file, open_model_file
from .model_identity import ModelIdentity
from .runtime import Runtime
from .sliced_runtime import SlicedRuntime
from .slicing import Slices

if TYPE_CHECKING:
    from detectron2.config import CfgNode
    from detectron2.data import Metadata
    from torch import nn

    from .config_model import ConfigModel

ImageOrPath = str | Path | np.ndarray
"""An image's path, or its pixels as OpenCV gives them: (H, W, 3) uint8, BGR."""

_OnError = Callable[[ImageOrPath, DataError], object]
# More threads decode faster than any model takes images.
_MOST_THREADS = 8


class _Read(NamedTuple):
    """A frame as it was given, its pixels (H, W, 3) uint8, RGB, and what the model takes, with its shape."""

    frame: ImageOrPath
    image: np.ndarray
    inputs: Any
    shape: tuple[int, ...]


class Prediction(NamedTuple):
    """The result for one frame.

    Attributes:
        frame: as it was given.
        image: its pixels, (H, W, 3) uint8, RGB.
        output: ``instances``, ``sem_seg`` or ``panoptic_seg`` at the frame's size. Of a config what Detectron2's
            `DefaultPredictor` returns, on the CPU; of a model file the same as arrays, see `ModelFile`.
    """

    frame: ImageOrPath
    image: np.ndarray
    output: dict[str, Any]


class Predictor:
    """Detectron2's `DefaultPredictor` for many images: batches, mixed precision, and reading ahead in threads.

    It runs the model of a config; or a model file, without Detectron2, and without PyTorch that of ONNX or OpenVINO.

    Attributes:
        batch_size, amp, slices: as below.
        runtime: what runs the model.
    """

    def __init__(
        self,
        source: "CfgNode | str | os.PathLike[str]",
        *,
        batch_size: int | None = None,
        amp: bool = False,
        fold: bool = True,
        threads: int | None = None,
        task: Task | None = None,
        slices: Slices | None = None,
    ) -> None:
        """Builds the model and loads its weights, or opens the file.

        Args:
            source: a config with ``MODEL.WEIGHTS``; the name of one that has published weights, such as
                ``det/faster_rcnn_R_50_FPN_1x``; or the path of a model file, which its ending tells: ``.onnx``,
                ``.xml``, ``.torchscript`` or ``.pt2``.
            batch_size: images that the model takes at a time. A batch holds images of one size; where the size
                changes, a new one begins. None is 1, or what the file was made for.
            amp: compute in float16 on the GPU, in bfloat16 on a CPU that is faster for it. Of the model files OpenVINO
                alone can.
            fold: see `modeling.norms.fold_norms`; of a config.
            threads: of the CPU, to compute with; None for as many as there are cores.
            task: of a model file that does not say it.
            slices: parts of each frame that are predicted beside it, magnified, for small objects; of det and ins_seg.
                ``instances`` are then an `ArrayInstances`.

        Raises:
            ConfigError: there is no such config, a slice in it cannot be, ``batch_size`` is below 1, or the model has
                another number of classes than the first test set; ``TEST.AUG`` cannot be applied to it; or the model
                file cannot do what is asked of it, or does not have what is needed.
            MissingRuntimeError: what runs the model is not installed.
            WeightsError: the weights or the model file cannot be loaded, are not of this model, or are for other
                classes.
        """
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"a batch of {batch_size} images: batch_size has to be 1 or more.")
        if is_model_file(source):
            self.runtime: Runtime = open_model_file(Path(source), task=task, amp=amp, threads=threads)
        else:
            self.runtime = _config_model(cast("CfgNode | str", source), amp=amp, fold=fold, threads=threads)
        if slices is not None:
            self.runtime = SlicedRuntime(self.runtime, slices)
        fixed = self.runtime.fixed_batch
        if fixed is not None and batch_size not in (None, fixed):
            raise ConfigError(
                f"{source}: takes batches of {fixed}, not of {batch_size}; leave the batch size out, or export the "
                f"model with --batch {batch_size}."
            )
        self.batch_size, self.amp, self.slices = batch_size or fixed or 1, amp, slices
        self._threads = min(cores(), _MOST_THREADS)

    @property
    def identity(self) -> ModelIdentity:
        """What a run tells the model by, and its task; ConfigError where a config's first test set tells none."""
        return self.runtime.identity

    @property
    def cfg(self) -> "CfgNode":
        """The config of the model; a model file has none."""
        return self._config_model.cfg

    @property
    def model(self) -> "nn.Module":
        """The model of a config, in evaluation mode, its norms folded.

        With ``TEST.AUG.ENABLED`` it is what merges the predictions.
        """
        return self._config_model.model

    @model.setter
    def model(self, model: "nn.Module") -> None:
        self._config_model.model = model

    @property
    def metadata(self) -> "Metadata":
        """Of a config's first test set, or of none: the names and colours of the classes.

        Those of a set of ``DATASETS.OWN`` with its classes are there also where its files are not.
        """
        return self._config_model.metadata

    @property
    def _config_model(self) -> "ConfigModel":
        runtime = self.runtime.runtime if isinstance(self.runtime, SlicedRuntime) else self.runtime
        if isinstance(runtime, ModelFile):
            raise AttributeError(
                f"{runtime.path}: a model file has no cfg, model or metadata, which are those of a config; its task "
                "and classes are in identity.task, and what else it says in runtime.card."
            )
        return cast("ConfigModel", runtime)

    def __call__(self, frame: ImageOrPath) -> dict[str, Any]:
        """Predicts one frame: what Detectron2's `DefaultPredictor` returns, on the model's device; or as `ModelFile`.

        Raises:
            DataError: the frame cannot be read, or is no image.
        """
        return self.runtime.infer([self._read(frame).inputs])[0]

    def stream(
        self, frames: Iterable[ImageOrPath], on_error: _OnError | None = None
    ) -> Generator[Prediction, None, None]:
        """Predicts frame after frame, in their order; ``frames`` may be endless.

        At most four batches, and one frame per thread, are in memory. Close the iterator, or exhaust it, to end its
        threads.

        Args:
            frames: read as far ahead as that. The results have the very objects. None and an array without pixels are
                frames that cannot be read.
            on_error: called with a frame that cannot be read or resized, or that the model file does not take for its
                size or cannot be run on, which is then left out; without it that is an error, and the frames of its
                batch have no result either.

        Raises:
            DataError: a frame cannot be read, or is no image.
        """
        with closing(self._read_ahead(frames, on_error)) as ahead:
            for _, alike in groupby(ahead, lambda read: read.shape):
                while batch := list(islice(alike, self.batch_size)):
                    try:
                        outputs = self.runtime.infer([read.inputs for read in batch])
                    except PredictionError as error:
                        if on_error is None:
                            raise
                        for read in batch:
                            on_error(read.frame, error)
                        continue
                    for read, output in zip(batch, outputs, strict=True):
                        yield Prediction(read.frame, read.image, self.runtime.on_cpu(output))

    def _read_ahead(self, frames: Iterable[ImageOrPath], on_error: _OnError | None) -> Generator[_Read, None, None]:
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="read")
        waiting: deque[tuple[ImageOrPath, Future[_Read]]] = deque()
        remaining = iter(frames)
        try:
            while True:
                missing = 2 * self.batch_size + self._threads - len(waiting)
                waiting.extend((frame, pool.submit(self._read, frame)) for frame in islice(remaining, missing))
                if not waiting:
                    return
                frame, future = waiting.popleft()
                try:
                    yield future.result()
                except DataError as error:
                    if on_error is None:
                        raise
                    on_error(frame, error)
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, frame: ImageOrPath) -> _Read:
        if isinstance(frame, str | os.PathLike):
            where, rgb = f"{os.fspath(frame)}: ", load_image(frame, "RGB")
        else:
            where, rgb = "a frame: ", _pixels(frame)[..., ::-1]
        return _Read(frame, rgb, *self.runtime.prepare(rgb, where))


def _config_model(cfg: "CfgNode | str", *, amp: bool, fold: bool, threads: int | None) -> Runtime:
    with needs_detectron2("the model of a config"):
        from .config_model import ConfigModel
    return ConfigModel(cfg, amp=amp, fold=fold, threads=threads)


def _pixels(frame: Any) -> np.ndarray:  # noqa: ANN401, whatever a caller streams
    """A frame that is no path: an array (H, W, 3) of uint8; DataError for all else."""
    if frame is None:
        raise UnreadableError("a frame is None; a camera or video gives that for one that it cannot read.")
    if not isinstance(frame, np.ndarray):
        raise DataError(f"a frame has to be a path or a uint8 array (H, W, 3), BGR, not {type(frame).__name__}.")
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise DataError(f"a frame has to be a uint8 array (H, W, 3), BGR, not {frame.dtype} {frame.shape}.")
    if not frame.size:
        raise UnreadableError(f"a frame is an array without pixels, {frame.shape}; was it read to its end?")
    return frame
