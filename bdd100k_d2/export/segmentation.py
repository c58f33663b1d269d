"""A segmenter as a graph: from images to the class ids of their frames' pixels."""

import torch
from detectron2.modeling import SemanticSegmentor
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from ..modeling.encoder_decoder import EncoderDecoder
from ..modeling.semantic_fpn import SemanticFPN
from ..modeling.tracing import same_size
from .known_parts import check_parts
from .preprocessing import prepared

# What is written out here does not follow what a class that derives from these does otherwise.
_MODELS = (SemanticSegmentor, SemanticFPN, EncoderDecoder)


def check_segmenter(model: SemanticSegmentor) -> None:
    """ConfigError if ``model`` is of a kind whose pixels `segment` would not compute as it does.

    Its backbone and its head are called as it calls them, and may be of any class.
    """
    check_parts(("META_ARCHITECTURE", model, _MODELS))


def segment(model: SemanticSegmentor, images: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """What ``model`` makes of the pixels of a batch.

    Args:
        model: built by Detectron2, in evaluation mode.
        images: (N, 3, h, w), 0 to 255, in the order of channels that the model takes, resized as it takes them.
        height: H, of the frames.
        width: W.

    Returns:
        ``sem_seg`` (N, H, W) uint8 class ids.
    """
    return {"sem_seg": logits(model, images, height, width).argmax(dim=1).to(torch.uint8)}


def logits(model: SemanticSegmentor, images: Tensor, height: int, width: int) -> Tensor:
    """The logits (N, K, H, W) that the ids of `segment` are the largest of; the arguments are the same."""
    if isinstance(model, EncoderDecoder):
        normalised = (images - model.pixel_mean) / model.pixel_std
        whole: Tensor = model.sem_seg_head.resize(model.predict(normalised), (height, width))
        return whole
    size = images.shape[2:]
    # Of sizes that do not divide by the head's stride more is predicted than there is.
    predicted: Tensor = model.sem_seg_head(model.backbone(prepared(model, images)))[0][..., : size[0], : size[1]]
    if same_size(size, (height, width)):
        return predicted
    return F.interpolate(predicted, size=(height, width), mode="bilinear", align_corners=False)
