"""Predicting on images: in batches, while the next ones are read."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.data.transforms import AugInput, AugmentationList
from detectron2.modeling import build_model

from ..checkpoint.loading import load_weights
from ..checkpoint.published import use_sources
from ..config import get_config
from ..data.augmentation import augment, build_augmentation
from ..data.images import load_image
from ..data.own_dataset import register_config_datasets
from ..engine.class_agreement import check_classes
from ..engine.precision import accelerate, autocast
from ..errors import ConfigError, DataError, UnreadableError
from ..modeling.norms import fold_norms
from ..parallel import cores

ImageOrPath = str | Path | np.ndarray
"""An image's path, or its pixels as OpenCV gives them: (H, W, 3) uint8, BGR."""

_OnError = Callable[[ImageOrPath, DataError], object]
# More threads decode faster than any model takes images.
_MOST_THREADS = 8


class _Read(NamedTuple):
    """A frame as it was given, its pixels (H, W, 3) uint8, RGB, and what the model takes."""

    frame: ImageOrPath
    image: np.ndarray
    inputs: dict[str, Any]


class Prediction(NamedTuple):
    """The result for one frame.

    Attributes:
        frame: as it was given.
        image: its pixels, (H, W, 3) uint8, RGB.
        output: what Detectron2's `DefaultPredictor` returns, on the CPU: ``instances``, ``sem_seg`` or
            ``panoptic_seg`` at the frame's size.
    """

    frame: ImageOrPath
    image: np.ndarray
    output: dict[str, Any]


class Predictor:
    """Detectron2's `DefaultPredictor` for many images: batches, mixed precision, and reading ahead in threads.

    Attributes:
        cfg: the model's config.
        model: in evaluation mode, its norms folded.
        metadata: of the first test set, or of none: the names and colours of the classes. Those of a set of
            ``DATASETS.OWN`` with its classes are there also where its files are not.
    """

    def __init__(self, cfg: CfgNode | str, *, batch_size: int = 1, amp: bool = False, fold: bool = True) -> None:
        """Builds the model and loads its weights.

        Args:
            cfg: a config with ``MODEL.WEIGHTS``; or the name of one that has published weights, such as
                ``det/faster_rcnn_R_50_FPN_1x``.
            batch_size: images that the model takes at a time. A batch holds images of one size; where the size
                changes, a new one begins.
            amp: compute in float16 on the GPU, in bfloat16 on a CPU that is faster for it.
            fold: see `modeling.norms.fold_norms`.

        Raises:
            ConfigError: there is no such config, a slice in it cannot be, ``batch_size`` is below 1, or the model has
                another number of classes than the first test set.
            WeightsError: the weights cannot be loaded, are not of this model, or are for other classes.
        """
        self.cfg = get_config(cfg, trained=True) if isinstance(cfg, str) else cfg.clone()
        if batch_size < 1:
            raise ConfigError(f"a batch of {batch_size} images: batch_size has to be 1 or more.")
        self.batch_size, self.amp = batch_size, amp
        self._threads = min(cores(), _MOST_THREADS)
        register_config_datasets(self.cfg)
        names = self.cfg.DATASETS.TEST
        self.metadata = MetadataCatalog.get(names[0] if names else "__unused")
        classes = check_classes(self.cfg, (), names[:1])
        model = build_model(self.cfg).eval()
        use_sources(self.cfg)
        load_weights(model, self.cfg.MODEL.WEIGHTS, exact=True, classes=classes)
        if fold:
            fold_norms(model)
        self.model = accelerate(self.cfg, model, amp)
        self._augmentations = AugmentationList(build_augmentation(self.cfg, is_train=False))

    def __call__(self, frame: ImageOrPath) -> dict[str, Any]:
        """Predicts one frame: what Detectron2's `DefaultPredictor` returns, on the model's device.

        Raises:
            DataError: the frame cannot be read, or is no image.
        """
        return self._infer([self._read(frame).inputs])[0]

    def stream(
        self, frames: Iterable[ImageOrPath], on_error: _OnError | None = None
    ) -> Generator[Prediction, None, None]:
        """Predicts frame after frame, in their order; ``frames`` may be endless.

        At most four batches, and one frame per thread, are in memory. Close the iterator, or exhaust it, to end its
        threads.

        Args:
            frames: read as far ahead as that. The results have the very objects. None and an array without pixels are
                frames that cannot be read.
            on_error: called with a frame that cannot be read or resized, which is then left out; without it that is an
                error, and the frames of its batch have no result either.

        Raises:
            DataError: a frame cannot be read, or is no image.
        """
        with closing(self._read_ahead(frames, on_error)) as ahead:
            for _, alike in groupby(ahead, lambda read: read.inputs["image"].shape):
                while batch := list(islice(alike, self.batch_size)):
                    outputs = self._infer([read.inputs for read in batch])
                    for (frame, image, _), output in zip(batch, outputs, strict=True):
                        yield Prediction(frame, image, {key: _on_cpu(value) for key, value in output.items()})

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
        inputs = AugInput(rgb if self.cfg.INPUT.FORMAT == "RGB" else rgb[..., ::-1])
        augment(self._augmentations, inputs, where)
        image = torch.from_numpy(np.ascontiguousarray(inputs.image.transpose(2, 0, 1)))
        return _Read(frame, rgb, {"image": image, "height": rgb.shape[0], "width": rgb.shape[1]})

    def _infer(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        with torch.no_grad(), autocast(self.cfg.MODEL.DEVICE, enabled=self.amp):
            return self.model(batch)


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


def _on_cpu(value: Any) -> Any:  # noqa: ANN401, tensors, instances, or the segments' pair
    if isinstance(value, tuple):
        return tuple(_on_cpu(one) for one in value)
    return value.to("cpu") if hasattr(value, "to") else value
