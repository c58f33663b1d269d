"""Segmenters of a backbone and a head that takes its maps as they are, for images of any size."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, SemanticSegmentor
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..config import with_our_keys
from ..errors import ConfigError
from .decode_heads import DecodeHead, FCNHead

logger = logging.getLogger(__name__)


@META_ARCH_REGISTRY.register()
class EncoderDecoder(SemanticSegmentor):
    """What mmsegmentation calls so: a backbone, a `DecodeHead`, and in training an auxiliary `FCNHead`.

    Images are not padded: a padded one would be pooled otherwise. In inference images of one size are a batch, others
    go one by one. In training images smaller than ``train_size`` are padded to it behind the normalisation.

    Args:
        auxiliary_head: a second head in training; None for none.
        train_size: height and width of the crops that are trained on; None where there are none.
        window: height and width of the windows that an image is predicted in; None for the image as a whole.
        stride: how far windows are apart. The logits of pixels in several are averaged.
    """

    @configurable
    def __init__(
        self,
        *,
        auxiliary_head: FCNHead | None = None,
        train_size: tuple[int, int] | None = None,
        window: tuple[int, int] | None = None,
        stride: tuple[int, int] | None = None,
        **kwargs: Any,  # noqa: ANN401, the parent's keyword arguments
    ) -> None:
        super().__init__(**kwargs)
        self.auxiliary_head = auxiliary_head
        self.train_size, self.window, self.stride = train_size, window, stride
        self._is_warned = False

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The constructor's arguments; raises `ConfigError` for keys that do not go together."""
        arguments: dict[str, Any] = super().from_config(cfg)
        cfg = with_our_keys(cfg)
        head, backbone = arguments["sem_seg_head"], arguments["backbone"]
        if not isinstance(head, DecodeHead):
            raise ConfigError(
                f"MODEL.SEM_SEG_HEAD.NAME is {cfg.MODEL.SEM_SEG_HEAD.NAME}, which EncoderDecoder does not take; it "
                "takes FCNHead, PSPHead, ASPPHead, SeparableASPPHead, UPerHead, NLHead, DNLHead and GCHead."
            )
        crop, window = cfg.INPUT.CROP, cfg.MODEL.SLIDING_WINDOW
        if crop.ENABLED and crop.TYPE == "absolute":
            arguments["train_size"] = tuple(crop.SIZE)
        if window.SIZE:
            arguments |= {"window": _pair("SIZE", window.SIZE), "stride": _pair("STRIDE", window.STRIDE)}
            if any(step > side for step, side in zip(arguments["stride"], arguments["window"], strict=True)):
                raise ConfigError(
                    f"MODEL.SLIDING_WINDOW.STRIDE {window.STRIDE} is larger than SIZE {window.SIZE}; pixels between "
                    "the windows would have no class."
                )
        arguments["auxiliary_head"] = build_auxiliary_head(cfg, backbone)
        return arguments

    def forward(self, batched_inputs: list[dict[str, Any]]) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Takes one dict per image, and returns in training the losses, else dicts with logits (K, height, width).

        The inputs are ``image`` (3, H, W) in 0..255; in training ``sem_seg`` (H, W) class ids; and ``height`` and
        ``width``, the size of the result in pixels (default: that of ``image``). The logits are ``sem_seg``.
        """
        images = [(x["image"].to(self.device) - self.pixel_mean) / self.pixel_std for x in batched_inputs]
        if self.training:
            return self._losses(images, [x["sem_seg"].to(self.device) for x in batched_inputs])
        if len({image.shape for image in images}) == 1:
            logits = [*self.predict(torch.stack(images))]
        else:
            logits = [self.predict(image[None])[0] for image in images]
        results = []
        for result, inputs in zip(logits, batched_inputs, strict=True):
            height, width = result.shape[-2:]
            size = inputs.get("height", height), inputs.get("width", width)
            results.append({"sem_seg": self.sem_seg_head.resize(result[None], size)[0]})
        return results

    def _losses(self, images: list[Tensor], targets: list[Tensor]) -> dict[str, Tensor]:
        sizes = [image.shape[-2:] for image in images] + ([self.train_size] if self.train_size else [])
        height, width = (max(sides) for sides in zip(*sizes, strict=True))
        batch = torch.stack([_padded(image, height, width, 0.0) for image in images])
        head = self.sem_seg_head
        ids = torch.stack([_padded(target, height, width, head.ignore_value) for target in targets])
        features = self.backbone(batch)
        losses = {"loss_sem_seg": head.loss(head(features), ids)}
        if (auxiliary := self.auxiliary_head) is not None:
            losses["loss_auxiliary"] = auxiliary.loss(auxiliary(features), ids)
        return losses

    def predict(self, images: Tensor) -> Tensor:
        """Maps normalised images (N, 3, H, W) to logits (N, K, H, W)."""
        size = images.shape[-2:]
        if self.window is None or self.stride is None:
            return self._whole(images)
        height, width = (min(side, whole) for side, whole in zip(self.window, size, strict=True))
        if (height, width) == tuple(size):
            self._warn_of_small_image(size)
            return self._whole(images)
        rows = _beginnings(size[0], height, self.stride[0])
        columns = _beginnings(size[1], width, self.stride[1])
        places = [(slice(y, y + height), slice(x, x + width)) for y in rows for x in columns]
        windows = self._whole(torch.cat([images[:, :, y, x] for y, x in places])).chunk(len(places))
        total = windows[0].new_zeros(*windows[0].shape[:2], *size)
        counts = windows[0].new_zeros(size)
        for (y, x), logits in zip(places, windows, strict=True):
            total[:, :, y, x] += logits
            counts[y, x] += 1
        average: Tensor = total / counts
        return average

    def _whole(self, images: Tensor) -> Tensor:
        head = self.sem_seg_head
        logits: Tensor = head.resize(head(self.backbone(images)), images.shape[-2:])
        return logits

    def _warn_of_small_image(self, size: Sequence[int]) -> None:
        if not self._is_warned and any(whole < side for whole, side in zip(size, self.window or (), strict=True)):
            self._is_warned = True
            logger.warning(
                "An image of %dx%d is smaller than MODEL.SLIDING_WINDOW.SIZE %s and is predicted as a whole, as "
                "further ones are; set INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST to what the model was trained at.",
                *size,
                list(self.window or ()),
            )


def build_auxiliary_head(cfg: CfgNode, backbone: Backbone) -> FCNHead | None:
    """The second head of the recipes, one convolution on ``AUXILIARY.IN_FEATURE``; None where that is empty.

    Raises `ConfigError` where the backbone has no such map.
    """
    keys = cfg.MODEL.SEM_SEG_HEAD
    auxiliary = keys.AUXILIARY
    if not auxiliary.IN_FEATURE:
        return None
    shapes: dict[str, ShapeSpec] = backbone.output_shape()
    if auxiliary.IN_FEATURE not in shapes:
        raise ConfigError(
            f"MODEL.SEM_SEG_HEAD.AUXILIARY.IN_FEATURE is {auxiliary.IN_FEATURE!r}; the backbone has "
            f"{', '.join(shapes)}."
        )
    arguments = DecodeHead.from_config(cfg, shapes)
    arguments |= {"in_features": [auxiliary.IN_FEATURE], "channels": auxiliary.CONVS_DIM}
    arguments |= {"loss_weight": auxiliary.LOSS_WEIGHT, "num_convs": 1, "concatenate": False}
    head: FCNHead = FCNHead(**arguments)
    return head


def _pair(key: str, value: Sequence[int]) -> tuple[int, int]:
    if len(value) != 2 or any(side < 1 for side in value):
        raise ConfigError(f"MODEL.SLIDING_WINDOW.{key} is {value}; give height and width in pixels.")
    return value[0], value[1]


def _padded(image: Tensor, height: int, width: int, value: float) -> Tensor:
    return F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]), value=value)


def _beginnings(whole: int, side: int, stride: int) -> list[int]:
    """Where windows begin that cover ``whole`` pixels; the last is moved back to end with the image."""
    number = -(-(whole - side) // stride) + 1
    return [min(i * stride, whole - side) for i in range(number)]
