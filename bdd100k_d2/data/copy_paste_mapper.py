"""Training samples with objects of other records in them: the mapper of ``INPUT.COPY_PASTE``."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.modeling import PanopticFPN, SemanticSegmentor

from ..errors import ConfigError
from .copy_paste import CopyPaste, Source
from .mapper import BDD100KDatasetMapper
from .model_class import model_class

_Record = dict[str, Any]
_Drawn = tuple[_Record, int] | None

# What is to be pasted, within the record.
_SOURCES = "copy_paste_sources"


class CopyPasteMapper(BDD100KDatasetMapper):
    """A `BDD100KDatasetMapper` that pastes objects of other records into an image before it augments it.

    Args:
        paste: puts them there.
        num_objects: the least and the most that are drawn for an image.
    """

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        paste: CopyPaste,
        num_objects: tuple[int, int],
        **kwargs: Any,  # noqa: ANN401, the parent's
    ) -> None:
        super().__init__(is_train, **kwargs)
        self.paste, self.num_objects = paste, num_objects

    @classmethod
    def from_config(
        cls, cfg: CfgNode, is_train: bool = True, class_weights: Mapping[int, float] | None = None
    ) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``; `ConfigError` for what cannot be pasted."""
        _check(cfg)
        arguments: dict[str, Any] = super().from_config(cfg, is_train, class_weights)
        keys = cfg.INPUT.COPY_PASTE
        arguments["paste"] = CopyPaste(
            tuple(keys.SCALE_RANGE), keys.FLIP_PROB, keys.MAX_COVER, keys.BLEND_SIGMA, cfg.MODEL.MASK_ON
        )
        arguments["num_objects"] = tuple(keys.NUM_OBJECTS)
        return arguments

    def __call__(self, dataset_dict: _Record, draw: Callable[[], _Drawn] | None = None) -> dict[str, Any]:
        """Maps one dict, which stays as it is, with objects from ``draw``, at random.

        ``draw`` gives a dict and which of its annotations it is, or None where there is no object; without ``draw`` the
        image stays as it is. Raises what `BDD100KDatasetMapper` does, of each of the images.
        """
        least, most = self.num_objects
        number = 0 if draw is None else int(np.random.randint(least, most + 1))
        sources = [] if draw is None else [draw() for _ in range(number)]
        return super().__call__({**dataset_dict, _SOURCES: [one for one in sources if one is not None]})

    def _read(self, record: _Record) -> np.ndarray:
        drawn = record.pop(_SOURCES)
        image = super()._read(record)
        # Reading sets sizes that a record has not.
        read = super()._read
        sources = (Source(read(copy.copy(other)), other["annotations"], place) for other, place in drawn)
        image, record["annotations"] = self.paste(image, record.get("annotations", ()), sources)
        return image


def _check(cfg: CfgNode) -> None:
    keys, model = cfg.INPUT.COPY_PASTE, cfg.MODEL
    name = "INPUT.COPY_PASTE.ENABLED is True"
    if model.KEYPOINT_ON or issubclass(model_class(cfg), PanopticFPN | SemanticSegmentor):
        raise ConfigError(
            f"{name}; objects are pasted with boxes and masks of their own, and {model.META_ARCHITECTURE} trains on "
            "masks of all pixels or keypoints here: set it False."
        )
    if model.MASK_ON and cfg.INPUT.MASK_FORMAT != "bitmask":
        raise ConfigError(
            f"{name}, but INPUT.MASK_FORMAT is {cfg.INPUT.MASK_FORMAT!r}; what is seen of a mask is no polygon: set it "
            "to bitmask."
        )
    if cfg.INPUT.MOSAIC.ENABLED or cfg.INPUT.MIXUP.ENABLED:
        raise ConfigError(f"{name}, and so is INPUT.MOSAIC.ENABLED or INPUT.MIXUP.ENABLED; choose one of them.")
    number, scale = keys.NUM_OBJECTS, keys.SCALE_RANGE
    if len(number) != 2 or not all(isinstance(one, int) for one in number) or not 0 <= number[0] <= number[1]:
        raise ConfigError(f"INPUT.COPY_PASTE.NUM_OBJECTS is {number}; give the least and the most, 0 or more.")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] < np.inf:
        raise ConfigError(f"INPUT.COPY_PASTE.SCALE_RANGE is {scale}; give the least and the most, more than 0.")
    for key in ("FLIP_PROB", "MAX_COVER"):
        if not 0 <= keys[key] <= 1:
            raise ConfigError(f"INPUT.COPY_PASTE.{key} is {keys[key]}; give a share, 0 to 1.")
    if not 0 <= keys.BLEND_SIGMA < np.inf:
        raise ConfigError(f"INPUT.COPY_PASTE.BLEND_SIGMA is {keys.BLEND_SIGMA}; give pixels, 0 for a plain border.")
