"""Which code's initial values a head starts from."""

from detectron2.config import CfgNode

from ..errors import ConfigError


def starts_as_vis4d(cfg: CfgNode, head: str) -> bool:
    """Whether the key ``MODEL.<head>.INIT`` asks for Vis4D's initial values instead of Detectron2's.

    Raises:
        ConfigError: the key holds another name.
    """
    value: str = cfg.MODEL[head].INIT
    if value not in ("detectron2", "vis4d"):
        raise ConfigError(f"MODEL.{head}.INIT is {value!r}; there are detectron2 and vis4d.")
    return value == "vis4d"
