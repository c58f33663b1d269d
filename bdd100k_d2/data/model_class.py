"""The class of the model that a config names: what is asked of a model holds for those that inherit from it too."""

from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY


def model_class(cfg: CfgNode) -> type:
    """What ``MODEL.META_ARCHITECTURE`` is registered as; ``object`` where it is not."""
    name = cfg.MODEL.META_ARCHITECTURE
    found: type = META_ARCH_REGISTRY.get(name) if name in META_ARCH_REGISTRY else object
    return found if isinstance(found, type) else object
