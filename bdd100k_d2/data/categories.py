"""The only table of class names, ids, colours, aliases and ignored classes.

A class's position in its task's table is its training id; the ids in bitmasks (ins_seg, pan_seg) count from 1.
Sources: ``bdd100k/configs/det.toml`` for the detection classes and both mappings, ``bdd100k/label/label.py`` for the
segmentation classes and their colours.
"""

import bisect
import colorsys
from collections.abc import Sequence
from typing import NamedTuple


class Category(NamedTuple):
    """A class: its official name, its RGB colour and whether it is countable."""

    name: str
    color: tuple[int, int, int]
    is_thing: bool


# BDD100K publishes no detection colours; these are told apart on day and on night images.
DET = (
    Category("pedestrian", (255, 70, 90), True),
    Category("rider", (255, 140, 0), True),
    Category("car", (30, 170, 255), True),
    Category("truck", (120, 110, 255), True),
    Category("bus", (0, 215, 190), True),
    Category("train", (180, 120, 60), True),
    Category("motorcycle", (225, 80, 255), True),
    Category("bicycle", (255, 120, 190), True),
    Category("traffic light", (255, 215, 40), True),
    Category("traffic sign", (90, 225, 70), True),
)

SEM_SEG = (
    Category("road", (128, 64, 128), False),
    Category("sidewalk", (244, 35, 232), False),
    Category("building", (70, 70, 70), False),
    Category("wall", (102, 102, 156), False),
    Category("fence", (190, 153, 153), False),
    Category("pole", (153, 153, 153), False),
    Category("traffic light", (250, 170, 30), False),
    Category("traffic sign", (220, 220, 0), False),
    Category("vegetation", (107, 142, 35), False),
    Category("terrain", (152, 251, 152), False),
    Category("sky", (70, 130, 180), False),
    Category("person", (220, 20, 60), True),
    Category("rider", (255, 0, 0), True),
    Category("car", (0, 0, 142), True),
    Category("truck", (0, 0, 70), True),
    Category("bus", (0, 60, 100), True),
    Category("train", (0, 80, 100), True),
    Category("motorcycle", (0, 0, 230), True),
    Category("bicycle", (119, 11, 32), True),
)

DRIVABLE = (
    Category("direct", (219, 94, 86), False),
    Category("alternative", (86, 211, 219), False),
    Category("background", (0, 0, 0), False),
)

# Instance segmentation has the countable detection classes, with the same ids.
INS_SEG = DET[:8]

# [[scalabel.categories]] of box_track.toml: the groups of these classes over which tracking is scored too.
TRACKING_GROUPS = {
    "human": ("pedestrian", "rider"),
    "vehicle": ("car", "truck", "bus", "train"),
    "bike": ("motorcycle", "bicycle"),
}

PAN_SEG = (
    Category("dynamic", (111, 74, 0), False),
    Category("ego vehicle", (0, 0, 0), False),
    Category("ground", (81, 0, 81), False),
    Category("static", (0, 0, 0), False),
    Category("parking", (250, 170, 160), False),
    Category("rail track", (230, 150, 140), False),
    Category("road", (128, 64, 128), False),
    Category("sidewalk", (244, 35, 232), False),
    Category("bridge", (150, 100, 100), False),
    Category("building", (70, 70, 70), False),
    Category("fence", (190, 153, 153), False),
    Category("garage", (180, 100, 180), False),
    Category("guard rail", (180, 165, 180), False),
    Category("tunnel", (150, 120, 90), False),
    Category("wall", (102, 102, 156), False),
    Category("banner", (250, 170, 100), False),
    Category("billboard", (220, 220, 250), False),
    Category("lane divider", (255, 165, 0), False),
    Category("parking sign", (220, 20, 60), False),
    Category("pole", (153, 153, 153), False),
    Category("polegroup", (153, 153, 153), False),
    Category("street light", (220, 220, 100), False),
    Category("traffic cone", (255, 70, 0), False),
    Category("traffic device", (220, 220, 220), False),
    Category("traffic light", (250, 170, 30), False),
    Category("traffic sign", (220, 220, 0), False),
    Category("traffic sign frame", (250, 170, 250), False),
    Category("terrain", (152, 251, 152), False),
    Category("vegetation", (107, 142, 35), False),
    Category("sky", (70, 130, 180), False),
    Category("person", (220, 20, 60), True),
    Category("rider", (255, 0, 0), True),
    Category("bicycle", (119, 11, 32), True),
    Category("bus", (0, 60, 100), True),
    Category("car", (0, 0, 142), True),
    Category("caravan", (0, 0, 90), True),
    Category("motorcycle", (0, 0, 230), True),
    Category("trailer", (0, 0, 110), True),
    Category("train", (0, 80, 100), True),
    Category("truck", (0, 0, 70), True),
)

IGNORE_LABEL = 255
"""The mask value of pixels that are neither trained nor scored."""

# [name_mapping] of det.toml: older and finer names of the same class.
ALIASES = {"bike": "bicycle", "caravan": "car", "motor": "motorcycle", "person": "pedestrian", "van": "car"}

# [ignored_mapping] of det.toml: objects near a class, scored as crowd (never missed, never a false positive) and not
# trained on.
IGNORED_CATEGORIES = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}

# Attribute values of a frame, in the order of the tagging task's indices.
WEATHER = ("rainy", "snowy", "clear", "overcast", "undefined", "partly cloudy", "foggy")
SCENE = ("tunnel", "residential", "parking lot", "undefined", "city street", "gas stations", "highway")
TIME_OF_DAY = ("daytime", "night", "dawn/dusk", "undefined")


def own_categories(
    names: Sequence[str], colors: Sequence[Sequence[int]] | None = None, *, are_things: bool
) -> tuple[Category, ...]:
    """Categories of users' own classes, with their RGB ``colors``.

    Without colors a class has BDD100K's colour of its name, if there is one, else the hue that is farthest from those
    before it and from BDD100K's among them. "background" is black, because it is not painted.
    """
    if colors is None:
        known = {category.name: category.color for category in (*DRIVABLE, *SEM_SEG, *DET)}
        # Black and greys have none.
        taken = [known[name] for name in names if len({*known.get(name, ())}) > 1]
        hues = sorted(colorsys.rgb_to_hsv(*color)[0] for color in taken)
        colors = [known.get(name) or _next_color(hues) for name in names]
    return tuple(
        Category(name, (int(r), int(g), int(b)), are_things) for name, (r, g, b) in zip(names, colors, strict=True)
    )


def _next_color(hues: list[float]) -> tuple[int, int, int]:
    """A colour of the hue in the middle of the widest gap between ``hues``, sorted and of 0 to 1, which gets it too."""
    after = [*hues[1:], hues[0] + 1] if hues else [1.0]
    width, start = max((end - start, start) for start, end in zip(hues or [0.0], after, strict=True))
    hue = (start + width / 2) % 1
    bisect.insort(hues, hue)
    red, green, blue = (round(255 * one) for one in colorsys.hsv_to_rgb(hue, 0.75, 1))
    return red, green, blue


class LabelClass(NamedTuple):
    """What a category name of a label file means for a task: the class index, and whether it is an ignored one."""

    index: int  # type: ignore[assignment]  # in place of a tuple's own `index`, which nobody calls
    ignored: bool


DET_CLASSES: dict[str, LabelClass] = {category.name: LabelClass(i, False) for i, category in enumerate(DET)}
DET_CLASSES |= {alias: DET_CLASSES[name] for alias, name in ALIASES.items()}
DET_CLASSES |= {other: LabelClass(DET_CLASSES[name].index, True) for other, name in IGNORED_CATEGORIES.items()}


# What the label files call regions and lines that no task here scores.
_UNSCORED = {"unlabeled", "drivable area", "lane"}
_UNSCORED_PREFIXES = ("lane/", "area/")

_ALL_NAMES = {category.name for category in (*DET, *SEM_SEG, *DRIVABLE, *PAN_SEG)}
_ALL_NAMES |= {*ALIASES, *IGNORED_CATEGORIES, *_UNSCORED}


def is_known(category: str | None) -> bool:
    """Whether BDD100K has a class of this name in any task or vintage; any other name is a mistake."""
    return category in _ALL_NAMES or (category is not None and category.startswith(_UNSCORED_PREFIXES))
