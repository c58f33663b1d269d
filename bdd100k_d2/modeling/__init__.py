"""What the recipes need beyond Detectron2's models; importing this registers it."""

from . import resnet_backbone, retinanet, roi_heads, rpn, semantic_fpn, timm_backbone  # noqa: F401, they register their own
