"""The images that a quantised model's ranges are measured on: the same ones, in the same order, each time."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.image_files import image_size
from ..data.images import load_image
from ..errors import DataError
from ..predict.inputs import InputVideo, find_input

logger = logging.getLogger(__name__)


class Calibration(NamedTuple):
    """How a model is quantised.

    Attributes:
        source: what to calibrate with, as :class:`CalibrationImages` takes it.
        limit: of more images so many are taken.
        kept: parts of the model whose layers stay in float, as ``roi_heads.box_predictor``.
    """

    source: str
    limit: int = 300
    kept: tuple[str, ...] = ()

    def images(self, size: tuple[int, int] | None, batch: int | None) -> "CalibrationImages":
        """The images, in batches of a graph that takes ``size`` and ``batch``."""
        return CalibrationImages(self.source, self.limit, size, batch)


class CalibrationImages:
    """Batches of a graph for what a user gives to calibrate with.

    Attributes:
        paths: of the images that are taken, in their order.
    """

    def __init__(self, text: str, limit: int, size: tuple[int, int] | None, batch: int | None) -> None:
        """Finds the images.

        Args:
            text: a folder, a pattern, or a list of images, as ``--input`` of ``tools/predict.py``.
            limit: of more images so many are taken, at equal distances in the order of their paths or of the list.
            size: height and width that the graph takes, so that images of another one are left out; None for any.
            batch: how many images it takes at a time; None for any number.

        Raises:
            DataError: there is no image of that size.
        """
        source = find_input(text)
        if isinstance(source, InputVideo):
            raise DataError(f"{text}: is a video; calibrate with images, best those that the model was trained on.")
        paths = [*source.paths.values()]
        self.paths = [paths[i * len(paths) // limit] for i in range(limit)] if len(paths) > limit else paths
        if size is not None:
            self._leave_out(text, size)
        self._batch = batch or 1
        # Where the graph takes any size the next image may have another one.
        self._read_at_once = 1 if size is None else self._batch

    def _leave_out(self, text: str, size: tuple[int, int]) -> None:
        kept = [path for path in self.paths if image_size(path) == size]
        left_out = len(self.paths) - len(kept)
        wanted = f"{size[0]}x{size[1]}, the size that the graph takes"
        if not kept:
            raise DataError(f"{text}: no image of {wanted}; give others, or export with another --size.")
        if left_out:
            logger.warning("%s: %d images are left out, which are not of %s.", text, left_out, wanted)
        self.paths = kept

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self.paths) // self._read_at_once)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Images (N, H, W, 3) uint8, RGB; a batch is filled up with its last image."""
        for start in range(0, len(self.paths), self._read_at_once):
            images = self._read(self.paths[start : start + self._read_at_once])
            yield np.stack([*images, *images[-1:] * (self._batch - len(images))])

    def _read(self, paths: Sequence[Path]) -> list[np.ndarray]:
        return [load_image(path, "RGB") for path in paths]
