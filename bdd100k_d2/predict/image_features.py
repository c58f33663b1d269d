"""What a config's model sees in images as a whole, by which they differ: features of its backbone."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..data.images import load_image
from ..errors import ConfigError
from ..installation import needs_detectron2

if TYPE_CHECKING:
    from detectron2.config import CfgNode


class ImageFeatures:
    """Gives the features of images, (N, C) float32.

    Of each image they are the means over the pixels of the backbone's last map (an FPN's, of the network below it),
    scaled to length 1.

    Args:
        cfg: of a detector, with its weights.

    Raises:
        ConfigError: the model is no detector that has a backbone of Detectron2's.
    """

    def __init__(self, cfg: "CfgNode") -> None:
        with needs_detectron2("the features of a model"):
            from .config_model import ConfigModel
        if cfg.TEST.AUG.ENABLED:
            raise ConfigError("TEST.AUG.ENABLED is True; features are of an image as it is, set it False.")
        self._model = ConfigModel(cfg, amp=False, fold=True, threads=None)
        if not all(hasattr(self._model.model, name) for name in ("backbone", "preprocess_image")):
            raise ConfigError(
                f"MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE}, of which no features of images can be "
                "had; give the config of a detector."
            )

    def __call__(self, paths: Sequence[Path]) -> np.ndarray:
        """The features of these images; UnreadableError where one cannot be read."""
        bar = tqdm(paths, "features", disable=not sys.stderr.isatty())
        rows = [self._of(path) for path in bar]
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)

    def _of(self, path: Path) -> np.ndarray:
        import torch

        inputs, (_, height, width) = self._model.prepare(load_image(path, "RGB"), f"{path}: ")
        model: Any = self._model.model
        with torch.no_grad():
            images = model.preprocess_image([inputs])
            network = getattr(model.backbone, "bottom_up", model.backbone)
            last = [*network(images.tensor).values()][-1][0].float()
        # Without what the image was padded with.
        rows, columns = (
            -(-size * of_map // padded)
            for size, of_map, padded in zip((height, width), last.shape[1:], images.tensor.shape[2:], strict=True)
        )
        mean = last[:, :rows, :columns].mean(dim=(1, 2)).cpu().numpy()
        length = float(np.linalg.norm(mean))
        return np.asarray(mean / length if length else mean, np.float32)
