"""What the recipes need beyond Detectron2's models; importing this registers it."""

from . import (  # noqa: F401, they register their own
    atss,
    attention_heads,
    cascade_mask_heads,
    decode_heads,
    encoder_decoder,
    hrnet,
    point_rend,
    resnet_backbone,
    retinanet,
    roi_heads,
    rpn,
    semantic_fpn,
    timm_backbone,
    torchvision_backbone,
)
