"""The names of the classes that weights were trained for: kept in checkpoints, and compared where these are loaded.

Without them weights for other classes of the same number, or for the same ones in another order, would fit a model.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from torch import nn

from ..errors import shown

KEY = "classes"
"""Of a checkpoint: names by kind, ``{"thing_classes": ["car", ...]}``; Detectron2's checkpointer passes it over."""

THINGS, STUFF = "thing_classes", "stuff_classes"
"""The kinds, by what Detectron2's metadata calls them."""

ClassNames = Mapping[str, Sequence[str]]
"""By kind, the names in the order of the ids."""

ClassCounts = dict[str, tuple[str, int]]
"""By kind, the config key of the number of classes, and the number."""

# So many classes a message names.
_MOST_NAMES = 20
_MOST_DIFFERENCES = 5


class _Head(NamedTuple):
    """The last layer of a head: what its rows are of, the key of their number, and how many are of no class."""

    kind: str
    key: str
    background: int


_HEADS = {
    r"box_predictor(\.\d+)?\.cls_score": _Head(THINGS, "MODEL.ROI_HEADS.NUM_CLASSES", 1),
    r"head\.cls_score": _Head(THINGS, "MODEL.RETINANET.NUM_CLASSES", 0),
    r"sem_seg_head\.(coarse_sem_seg_head\.)?(predictor|conv_seg)": _Head(STUFF, "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 0),
}
# Layers beside them that have so many rows for each class, unless they are for all classes together.
_BESIDE = {r"box_predictor(\.\d+)?\.bbox_pred": (THINGS, 4), r"mask_head(\.\d+)?\.predictor": (THINGS, 1)}
_BESIDE |= {r"auxiliary_head\.conv_seg": (STUFF, 1)}
# PointRend's layers, each of which takes the logits of all classes.
_TAKING_CLASSES = r"sem_seg_head\.point_head\.(fc\d+|predictor)"


def class_counts(shapes: Mapping[str, Sequence[int]]) -> ClassCounts:
    """The number of classes of tensors in Detectron2's names, by their ``shapes``.

    Heads that are not known are left out.
    """
    found: ClassCounts = {}
    for name, shape in shapes.items():
        layer, _, parameter = name.rpartition(".")
        for pattern, head in _HEADS.items():
            if parameter == "weight" and shape and _is(layer, pattern):
                # RetinaNet has a row for each class of each anchor, of which there are four numbers too.
                boxes = shapes.get(f"{layer.removesuffix('cls_score')}bbox_pred.weight", (4,))
                anchors = max(boxes[0] // 4, 1) if head.key.startswith("MODEL.RETINANET") else 1
                found.setdefault(head.kind, (head.key, shape[0] // anchors - head.background))
    return found


def class_tensors(shapes: Mapping[str, Sequence[int]], kinds: Collection[str]) -> list[str]:
    """Which tensors of these ``shapes`` are of layers with rows for each class of ``kinds``, or that take them all."""
    counts = class_counts(shapes)

    def has_class_rows(name: str, shape: Sequence[int]) -> bool:
        layer = name.rpartition(".")[0]
        if any(head.kind in kinds and _is(layer, pattern) for pattern, head in _HEADS.items()):
            return True
        if STUFF in kinds and takes_all_classes(name):
            return True
        for pattern, (kind, rows) in _BESIDE.items():
            if kind in kinds and kind in counts and _is(layer, pattern):
                number = counts[kind][1]
                # Of a single class the rows may be for all classes as well.
                return number > 1 and [*shape[:1]] == [rows * number]
        return False

    return [name for name, shape in shapes.items() if has_class_rows(name, shape)]


def takes_all_classes(name: str) -> bool:
    """Whether the tensor's layer takes the logits of all classes, as PointRend's do: its rows cannot be moved alone."""
    return _is(name.rpartition(".")[0], _TAKING_CLASSES)


def as_kept(names: ClassNames) -> dict[str, Any]:
    """What a checkpoint has beside its tensors: plain lists of text, which need no code to be read; or nothing."""
    return {KEY: {kind: [*ones] for kind, ones in names.items()}} if names else {}


def kept_names(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names in the content of a checkpoint, by kind; none where it has none, or something else under the key."""
    kept = content.get(KEY)
    return {
        kind: [*names]
        for kind, names in (kept.items() if isinstance(kept, Mapping) else ())
        if kind in (THINGS, STUFF) and _are_names(names)
    }


def stated_names(content: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names in the content of a checkpoint of OpenMMLab's that became ``model``, by the kind of its only head.

    They stand in ``meta``: as CLASSES, or in the ``dataset_meta`` of mmengine. A checkpoint of this package's has its
    own. Without a head, or where their number is not the head's, there are none.
    """
    own, meta = kept_names(content), content.get("meta")
    if own or not isinstance(meta, Mapping):
        return own
    counts = class_counts({name: tuple(tensor.shape) for name, tensor in model.items()})
    dataset = meta.get("dataset_meta")
    for place in (dataset if isinstance(dataset, Mapping) else {}, meta):
        for names in (place.get("classes"), place.get("CLASSES")):
            if _are_names(names) and [number for _, number in counts.values()] == [len(names)]:
                return {kind: [*names] for kind in counts}
    return {}


def other_kinds(theirs: ClassNames, ours: ClassNames) -> list[str]:
    """The kinds of which both have names, and not the same."""
    return [kind for kind, names in theirs.items() if kind in ours and [*names] != [*ours[kind]]]


def difference(theirs: Sequence[str], ours: Sequence[str]) -> str:
    """Words for a message: how the names of weights differ from those of data sets, class by class."""
    if len(theirs) != len(ours):
        return f"{len(theirs)} ({listed(theirs)}) in place of {len(ours)} ({listed(ours)})"
    places = [i for i, (one, other) in enumerate(zip(theirs, ours, strict=True)) if one != other]
    parts = [f"class {i} is {_quoted(theirs[i])}, not {_quoted(ours[i])}" for i in places[:_MOST_DIFFERENCES]]
    more = f" and {len(places) - len(parts)} more" if len(places) > len(parts) else ""
    what = "the same ones in another order" if sorted(theirs) == sorted(ours) else "others of the same number"
    return f"{what} ({'; '.join(parts)}{more})"


def refusal(theirs: ClassNames, ours: ClassNames) -> str | None:
    """Why weights for the classes ``theirs`` give wrong names and scores on data sets of ``ours``; None if they fit."""
    for kind in other_kinds(theirs, ours):
        return (
            f"the {kind.replace('_', ' ')} of the weights are not those of the data sets, but "
            f"{difference(theirs[kind], ours[kind])}: names and scores would be wrong. Name the data sets that the "
            f"weights are for, or register these with the weights' classes, in their order: "
            f"{listed(theirs[kind], None)}."
        )
    return None


def listed(names: Sequence[str], most: int | None = _MOST_NAMES) -> str:
    """The first ``most`` names, or all, for a message."""
    words = ", ".join(map(shown, names[:most]))
    return words if most is None or len(names) <= most else f"{words} and {len(names) - most} more"


def remember(model: nn.Module, names: ClassNames) -> None:
    """Notes on ``model`` what its classes are, for evaluations that do not load the weights."""
    model.class_names = {kind: [*ones] for kind, ones in names.items()}  # type: ignore[assignment]  # no tensor


def remembered(model: nn.Module) -> dict[str, list[str]]:
    """The names of the classes of ``model``, as far as they are known."""
    names: dict[str, list[str]] = getattr(model, "class_names", {})
    return names


def _is(layer: str, pattern: str) -> bool:
    return re.search(rf"(^|\.){pattern}$", layer) is not None


def _are_names(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(one, str) for one in value)


def _quoted(name: str) -> str:
    return shown(repr(name))
