"""Whether weights are those of a backbone alone, told by their name, without fetching them."""

from ..errors import WeightsError, shown

_OF_BACKBONES = (
    "detectron2://ImageNetPretrained/",
    "microsoft://",
    "open-mmlab://",
    "pip://",
    "timm://",
    "torchvision://",
)


def check_trained(weights: str, where: object = "the config") -> None:
    """Raises a WeightsError, which begins with ``where``, if ``MODEL.WEIGHTS`` are what a training begins with."""
    if weights.startswith(_OF_BACKBONES):
        raise WeightsError(
            f"{where} names weights of a backbone alone ({shown(weights)}); add MODEL.WEIGHTS with those of a trained "
            "model."
        )
