"""The last layers of weights for other classes: their rows go to the classes of the same name."""

import logging
from collections.abc import Mapping, Sequence

from detectron2.data import MetadataCatalog
from tabulate import tabulate
from torch import Tensor

from ..errors import ConfigError, shown
from .class_names import STUFF, THINGS, ClassCounts, ClassNames, class_tensors, takes_all_classes

logger = logging.getLogger(__name__)

# Our name -> names of others for it, or for a kind of it.
_SYNONYMS = {
    "pedestrian": ("person", "people"),
    "person": ("pedestrian",),
    "motorcycle": ("motorbike", "motor"),
    "bicycle": ("bike",),
    "traffic sign": ("stop sign",),
}
# What switches a class off, also in half precision.
_NEVER = -1e4
_DETECTRON2_COCO = "detectron2://COCO-"
_DETECTRON2_ROWS = 80
# torchvision counts the ids of COCO, of which some have no class.
_TORCHVISION_ROWS = 90


def names_of_weights(value: str, path: str, counts: ClassCounts, kept: ClassNames, source: str = "") -> ClassNames:
    """The names of the classes of weights, of which there are ``counts``, by kind, as far as they are known.

    They are those that are ``kept`` in the file; else what ``MODEL.WEIGHTS_CLASSES``, the ``value``, says: a data set
    that has names, or these between commas; else COCO's, where Detectron2 published the weights, or torchvision, which
    is told by the ``source`` that they were converted from.

    Raises:
        ConfigError: ``value`` has another number of names than the weights have classes.
    """
    if kept or not value:
        return kept or _published(path, counts, source)
    names: dict[str, Sequence[str]] = {}
    for kind, (_, number) in counts.items():
        given = _given(value, kind)
        if len(given) != number and len(counts) > 1:
            raise ConfigError(
                f"MODEL.WEIGHTS_CLASSES {shown(value)}: {path} has classes of things and of stuff; name a data set "
                "that has the names of both."
            )
        if len(given) != number:
            raise ConfigError(
                f"MODEL.WEIGHTS_CLASSES {shown(value)}: {len(given)} names, but {path} has {number} classes; give "
                "those that the weights were trained for, in their order."
            )
        names[kind] = given
    return names


def is_published(path: str) -> bool:
    """Whether ``path`` is the address of a model of COCO in Detectron2's zoo."""
    return path.startswith(_DETECTRON2_COCO)


def take_rows_by_name(
    state: dict[str, Tensor],
    initial: Mapping[str, Tensor],
    theirs: ClassNames,
    ours: ClassNames,
    path: str,
    *,
    switch_off: bool,
) -> list[str]:
    """Gives the layers of ``state`` that have rows for each class the rows of our classes, in place.

    A class takes the row of its name, or of a synonym. Others keep their rows in ``initial``, the model's tensors, or
    with ``switch_off``, for prediction, are never predicted. Logs which class takes which; ``path`` names the weights.

    Returns:
        The kinds of which any class found its row; the layers of others are as they were.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    taken = []
    for kind in (THINGS, STUFF):
        if kind not in theirs or kind not in ours or [*theirs[kind]] == [*ours[kind]]:
            continue
        places = [_place(name, theirs[kind]) for name in ours[kind]]
        if all(place is None for place in places):
            continue
        layers = class_tensors(shapes, [kind])
        if any(map(takes_all_classes, layers)):
            continue
        for name in layers:
            if name in initial:
                state[name] = _rows(state[name], initial[name], places, len(theirs[kind]), name, switch_off)
        taken.append(kind)
        rest = "never predicted" if switch_off else "as initialised"
        rows = [
            (ours_name, rest if place is None else theirs[kind][place])
            for ours_name, place in zip(ours[kind], places, strict=True)
        ]
        table = tabulate(rows, ("class", "takes the rows of"), tablefmt="pipe")
        logger.info("%s: %s of other weights, by name:\n%s", path, kind.replace("_", " "), table)
    return taken


def _given(value: str, kind: str) -> list[str]:
    if value in MetadataCatalog.list():
        return [*(MetadataCatalog.get(value).get(kind, None) or ())]
    return [name.strip() for name in value.split(",")]


def _published(path: str, counts: ClassCounts, source: str) -> ClassNames:
    number = counts[THINGS][1] if THINGS in counts else 0
    if is_published(path) and number == _DETECTRON2_ROWS:
        return {THINGS: MetadataCatalog.get("coco_2017_train").thing_classes}
    if source.startswith("torchvision") and number == _TORCHVISION_ROWS:
        # Its import takes a second.
        from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

        categories = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
        return {THINGS: categories[1:]}
    return {}


def _place(name: str, theirs: Sequence[str]) -> int | None:
    lower = [one.lower() for one in theirs]
    for one in (name, *_SYNONYMS.get(name.lower(), ())):
        if one.lower() in lower:
            return lower.index(one.lower())
    return None


def _rows(
    source: Tensor, initial: Tensor, places: Sequence[int | None], number: int, name: str, switch_off: bool
) -> Tensor:
    """``source``, which has rows for ``number`` classes, with rows for ours; as it is where ``initial`` has no such.

    Behind the rows of the classes of Faster R-CNN's scores is one of the background. RetinaNet has a row for each class
    of its first anchor, then of the second and so on; others have all rows of a class together.
    """
    is_score = not name.rpartition(".")[0].endswith("bbox_pred")
    background = int("box_predictor" in name and is_score)
    each = (len(source) - background) // number
    if initial.shape != (each * len(places) + background, *source.shape[1:]):
        return source

    def by_class(tensor: Tensor, classes: int) -> Tensor:
        rows = tensor[: each * classes]
        if "head.cls_score" in name:
            return rows.view(each, classes, *source.shape[1:]).transpose(0, 1)
        return rows.view(classes, each, *source.shape[1:])

    result = initial.detach().clone().to(source)
    ours, theirs = by_class(result, len(places)), by_class(source, number)
    for i, place in enumerate(places):
        if place is not None:
            ours[i] = theirs[place]
        elif switch_off:
            ours[i] = _NEVER if is_score and name.endswith("bias") else 0.0
    if background:
        result[-1] = source[-1]
    return result
