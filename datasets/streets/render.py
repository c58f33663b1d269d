"""A scene -> its image, its instance map, its masks and its boxes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bdd100k_d2.data.labels import Box2D, Label, LabelAttributes

from . import buildings, cars, nature, people, street, vehicles
from .camera import HEIGHT, WIDTH
from .canvas import Canvas, Item
from .ground import ground, hood, sky
from .pen import Pen
from .scene import SEM_SEG, Scene, Thing
from .weather import develop

_MIN_PIXELS, _MIN_SIDE, _MIN_SHARE = 20, 4, 0.06
_OCCLUDED = 0.15

_PAINTERS: dict[str, Callable[[Pen, Thing, np.random.Generator], None]] = {
    "car": cars.car,
    "truck": vehicles.truck,
    "bus": vehicles.bus,
    "train": vehicles.train,
    "motorcycle": people.motorcycle,
    "bicycle": people.bicycle,
    "rider": people.rider,
    "pedestrian": people.pedestrian,
    "traffic light": street.traffic_light,
    "traffic sign": street.traffic_sign,
    "pole": street.pole,
    "arm": street.arm,
    "lamp": street.lamp,
    "wall": street.wall,
    "fence": street.fence,
    "hedge": nature.hedge,
    "tree": nature.tree,
    "conifer": nature.conifer,
    "woods": nature.woods,
    "building": buildings.building,
}


@dataclass(frozen=True)
class Rendering:
    """A drawn frame.

    Attributes:
        image: (HEIGHT, WIDTH, 3) uint8, RGB.
        ids: (HEIGHT, WIDTH) uint16, the index in ``items`` of what each pixel shows.
        items: what was drawn.
    """

    image: np.ndarray
    ids: np.ndarray
    items: list[Item]

    def sem_seg(self) -> np.ndarray:
        """The (HEIGHT, WIDTH) uint8 mask of sem_seg training ids, 255 ignored."""
        return np.array([item.sem_seg for item in self.items], np.uint8)[self.ids]

    def drivable(self) -> np.ndarray:
        """The (HEIGHT, WIDTH) uint8 mask of drivable ids: 0 direct, 1 alternative, 2 background."""
        return np.array([item.drivable for item in self.items], np.uint8)[self.ids]

    def boxes(self) -> dict[int, Box2D]:
        """Item index -> the box around its visible pixels, of each object that an annotator would see."""
        boxes: dict[int, Box2D] = {}
        for index, item in enumerate(self.items):
            if item.det is None or item.area == 0:
                continue
            x1, y1, x2, y2 = item.bounds
            left, top = max(int(x1) - 3, 0), max(int(y1) - 3, 0)
            visible = self.ids[top : int(y2) + 5, left : int(x2) + 5] == index
            if np.count_nonzero(visible) < max(_MIN_PIXELS, _MIN_SHARE * item.area):
                continue
            columns, rows = np.flatnonzero(visible.any(0)), np.flatnonzero(visible.any(1))
            if min(columns[-1] - columns[0], rows[-1] - rows[0]) + 1 < _MIN_SIDE:
                continue
            boxes[index] = Box2D(
                float(left + columns[0]), float(top + rows[0]), float(left + columns[-1]), float(top + rows[-1])
            )
        return boxes

    def labels(self) -> list[Label]:
        """The labels of a det_20 frame, far to near; ids number them from 0, in a film they are the objects' own."""
        labels = []
        for number, (index, box) in enumerate(self.boxes().items()):
            item = self.items[index]
            visible = int(np.count_nonzero(self.ids == index))
            x1, y1, x2, y2 = item.bounds
            attributes = LabelAttributes(
                occluded=visible < (1 - _OCCLUDED) * item.area,
                truncated=bool(item.cut or x1 < -1 or y1 < -1 or x2 > WIDTH or y2 > HEIGHT),
                trafficLightColor=item.light_color,
            )
            number = number if item.track is None else item.track
            labels.append(Label(str(number), item.det, attributes=attributes, box2d=box))
        return labels


def _order(thing: Thing) -> tuple[float, float]:
    """Sorts things so that each is drawn after all that it may cover."""
    nearer = 0.0
    if thing.kind == "building":
        nearer = -thing.size[2] / 2  # its far end counts: all that stands along it is before it
    elif thing.kind == "arm":
        nearer = -4.0  # behind what hangs on it, however far that reaches
    elif thing.kind == "rider":
        nearer = 0.02  # before what is ridden
    return thing.layer, nearer - thing.z - 0.5 * abs(thing.x)


def render(scene: Scene) -> Rendering:
    """Draws a scene, far to near, so that the id map is exact."""
    rng = np.random.default_rng(scene.seed)
    canvas = Canvas(scene.camera)
    sky(canvas, scene, rng)
    for thing in scene.skyline:
        _draw(canvas, thing)
    ground(canvas, scene, rng)
    for thing in sorted(scene.things, key=_order):
        _draw(canvas, thing)
    if scene.hood:
        hood(canvas, rng)
    return Rendering(develop(canvas, scene, rng), canvas.ids, canvas.items)


def _draw(canvas: Canvas, thing: Thing) -> None:
    light = thing.state if thing.det == "traffic light" else "NA"
    canvas.begin(Item(SEM_SEG[thing.category], thing.det, depth=thing.z, light_color=light, track=thing.track))
    _PAINTERS[thing.kind](
        Pen(canvas, thing.x, thing.z, thing.yaw, thing.base), thing, np.random.default_rng(thing.seed)
    )
    canvas.end()
