"""What the recipes need beyond Detectron2's models; importing this registers it."""

from . import backbone, timm_backbone  # noqa: F401, they register what they hold
from .retinanet import BDD100KRetinaNet
from .roi_heads import BDD100KCascadeROIHeads, BDD100KROIHeads
from .rpn import BDD100KRPN
from .semantic_fpn import SemanticFPN, SemanticFPNHead

__all__ = [
    "BDD100KRPN",
    "BDD100KCascadeROIHeads",
    "BDD100KROIHeads",
    "BDD100KRetinaNet",
    "SemanticFPN",
    "SemanticFPNHead",
]
