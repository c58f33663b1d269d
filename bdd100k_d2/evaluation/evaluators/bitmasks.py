"""What the evaluators of instance and panoptic segmentation share: a bitmask an image, written and compared."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from ...data.bitmasks import Bitmask, decode_bitmask, empty_bitmask
from ...data.labels import image_stem
from .. import results
from ..files.matched_frames import match_frames
from .base import OfficialEvaluator
from .truth import BitmaskTruth


class BitmaskEvaluator(OfficialEvaluator):
    """Writes ``bitmasks/`` and scores them by the rules for bitmasks, which are the server's.

    They are also the rules where the labels are run lengths.

    Attributes:
        truth: the ground truth, read image by image; None for a split without public labels.
    """

    def __init__(self, dataset_name: str, output_dir: Path) -> None:
        """Takes a registered dataset of the task and the folder to write into."""
        super().__init__(dataset_name, output_dir)
        self.truth = None if self.label_path is None else BitmaskTruth(self.label_path, self.task, self.frames)

    def write(self, pixels: np.ndarray, image_name: str) -> tuple[Bitmask, Bitmask] | None:
        """Writes the bitmask (H, W, 4) uint8 of an image.

        Returns:
            Ground truth and prediction to be compared; None for a split without public labels.

        Raises:
            DataError: the ground truth is missing or unreadable, or has another size.
            OutputError: the bitmask cannot be written.
        """
        path = results.mask_path(self.output_dir / "bitmasks", image_name)
        results.write_mask(pixels, path)
        if self.truth is None:
            return None
        return self.truth.read(image_name, pixels.shape[:2]), decode_bitmask(pixels, path)

    def missing(self, predicted: Collection[str]) -> Iterator[tuple[str, Bitmask, Bitmask]]:
        """Yields each frame of the ground truth that is not in ``predicted``, which are names of images.

        Officially it counts, with an empty prediction; two of the released bitmasks have no image.

        Yields:
            The name of its image, the ground truth, and a prediction without instances.
        """
        stems = {image_stem(name) for name in predicted}
        for stem in match_frames(self.truth.stems, stems, self.truth.path, self.output_dir / "bitmasks"):
            if stem not in stems:
                truth = self.truth.read(stem)
                yield f"{stem}.jpg", truth, empty_bitmask(truth)
