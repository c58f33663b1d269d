"""What the recipes need beyond Detectron2's models; importing this registers it."""

from . import backbone as _  # noqa: F401, registers the backbone
from .semantic_fpn import SemanticFPN, SemanticFPNHead

__all__ = ["SemanticFPN", "SemanticFPNHead"]
