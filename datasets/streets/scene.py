"""What a sample frame shows, and which objects each frame of a split gets."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bdd100k_d2.data import categories
from bdd100k_d2.tasks import TASKS

from .camera import Camera, Road

SEM_SEG = {name: index for index, name in enumerate(TASKS["sem_seg"].names)}
SEM_SEG["ignored"] = categories.IGNORE_LABEL


@dataclass(frozen=True)
class Thing:
    """An object: what it is, where it stands on the ground, which way it faces.

    ``kind`` chooses how it is drawn; ``category`` is its sem_seg class. ``size`` is (width, height, length) in metres,
    ``base`` the height of its lower end, ``state`` what its kind understands: a lamp's colour, a sign's shape.
    ``layer`` is 0 for what closes the view to the side, 1 for a train before that, 2 for all that stands before both.
    ``track`` is its number in a film.
    """

    kind: str
    category: str
    x: float
    z: float
    yaw: float
    size: tuple[float, float, float]
    seed: int
    base: float = 0.0
    state: str = ""
    layer: int = 2
    det: str | None = None
    track: int | None = None


@dataclass(frozen=True)
class Scene:
    """A whole frame before it is drawn. Attributes have BDD100K's own values.

    ``travelled`` is how far the camera of a film has come, in metres.
    """

    weather: str
    scene: str
    timeofday: str
    camera: Camera
    road: Road
    things: list[Thing]
    skyline: list[Thing]
    hood: bool
    rails: float | None
    seed: int
    travelled: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a frame must hold: its attributes and how many objects of each det category."""

    weather: str
    scene: str
    timeofday: str
    counts: dict[str, int] = field(default_factory=dict)


# Objects a frame, in BDD100K's order of frequency; the rare ones are raised so that a small set holds some of each.
RATES = {
    "traffic sign": 2.8,
    "traffic light": 2.1,
    "pedestrian": 1.6,
    "truck": 0.62,
    "bus": 0.47,
    "bicycle": 0.42,
    "motorcycle": 0.32,
    "train": 0.24,
    "rider": 0.36,  # last: a rider waits for something to ride
}
_NOT_ON_HIGHWAYS = {"pedestrian", "bicycle", "motorcycle", "rider", "traffic light", "train"}
_SCENES = ("city street",) * 5 + ("residential",) * 3 + ("highway",) * 2
_TIMES = ("daytime",) * 6 + ("night",) * 3 + ("dawn/dusk",)
_WEATHERS = ("clear",) * 4 + ("overcast",) * 2 + ("partly cloudy", "rainy", "snowy", "foggy")


def frame_plans(rng_seed: list[int], count: int) -> Iterator[Plan]:
    """The plans of a split's first ``count`` frames; frame i is the same whatever ``count`` is.

    A category of rate r comes up in such a way that any n frames hold about n * r of it: none depends on luck.
    """
    rng = np.random.default_rng(rng_seed)
    owed = {name: 0.5 + 0.5 * rng.random() for name in RATES}
    decks: list[list[str]] = [[], [], []]
    for _ in range(count):
        for deck, values in zip(decks, (_SCENES, _TIMES, _WEATHERS), strict=True):
            if not deck:
                deck.extend(rng.permutation(np.array(values)).tolist())
        kind, time, weather = (deck.pop() for deck in decks)
        counts = {}
        for name, rate in RATES.items():
            owed[name] += rate
            busy = kind == "highway" and name in _NOT_ON_HIGHWAYS
            counts[name] = 0 if busy else max(int(owed[name]), 0)
            if name == "train":
                counts[name] = min(counts[name], 1)
            if name == "pedestrian" and counts[name]:
                counts[name] = int(rng.integers(0, 2 * counts[name] + 1))
            if name == "rider":
                counts[name] = min(counts[name], counts["bicycle"] + counts["motorcycle"])
            owed[name] -= counts[name]
        counts["car"] = int(rng.integers(4, 17))
        yield Plan(weather, kind, time, counts)
