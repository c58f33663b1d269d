"""How trucks, buses and trains are drawn."""

from itertools import pairwise

import numpy as np

from .canvas import Color
from .chassis import DARK, GLASS, LAMP, TAIL, draw_axles, draw_wheels
from .palette import pick
from .pen import Pen
from .scene import Thing

_TRUCK_CABS = np.array([(210, 212, 214), (186, 40, 36), (36, 66, 140), (44, 110, 80), (224, 150, 30)])
_TRUCK_BOXES = np.array([(238, 238, 234), (226, 226, 220), (232, 214, 170), (206, 214, 224), (176, 120, 66)])
_BUS_COLORS = np.array([(240, 178, 20), (196, 34, 40), (28, 128, 120), (30, 92, 176)])
_TRAIN_STRIPES = np.array([(190, 30, 40), (24, 78, 160), (20, 120, 84)])


def _panes(
    pen: Pen, x: float, y: tuple[float, float], z: tuple[float, float], count: int, gap: float, color: Color
) -> None:
    """A row of ``count`` windows on the side at ``x``, if the camera sees that side."""
    if not pen.sees((x, y[0], 0), (np.sign(x), 0, 0)):
        return
    edges = np.linspace(z[0], z[1], count + 1)
    pen.faces(
        [[(x, y[0], a + gap), (x, y[1], a + gap), (x, y[1], b - gap), (x, y[0], b - gap)] for a, b in pairwise(edges)],
        color,
    )


def truck(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A lorry: a cab in front of a tall cargo box with a gap between them."""
    width, height, length = thing.size
    half, end = width / 2, length / 2
    cab, box = pick(rng, _TRUCK_CABS), pick(rng, _TRUCK_BOXES)
    split = end - 2.0
    axles = [-end + 1.2, -end + 2.3, end - 1.0]
    pen.shadow(width * 1.1, length * 1.03, 0.6)
    draw_axles(pen, half, axles, 0.5)
    pen.box((-half * 0.9, 0.5, -end), (half * 0.9, 0.95, split), DARK)

    def cargo() -> None:
        pen.box((-half, 0.95, -end), (half, height, split - 0.25), box)
        stripe = tuple(c * 0.75 for c in cab)
        for side in (-1, 1):
            x = side * (half + 0.01)
            if pen.sees((x, 1, 0), (side, 0, 0)):
                pen.face(
                    [(x, 1.5, -end + 0.5), (x, 2.3, -end + 0.5), (x, 2.3, split - 0.9), (x, 1.5, split - 0.9)], stripe
                )
                pen.face([(x, 0.95, -end), (x, 1.08, -end), (x, 1.08, split - 0.25), (x, 0.95, split - 0.25)], TAIL)
        if pen.sees((0, 1, -end), (0, 0, -1)):
            z = -end - 0.01
            line = tuple(c * 0.6 for c in box)
            for x in (-half * 0.94, 0.0, half * 0.94):
                pen.stroke([(x, 1.0, z), (x, height - 0.08, z)], 0.06, line)
            for x in (-half * 0.45, half * 0.45):
                pen.stroke([(x, 1.1, z), (x, height - 0.2, z)], 0.05, (120, 122, 126))
            pen.rectangle((-half, half), (0.95, 1.08), z, (214, 60, 40))
            pen.rectangle((-half, half), (0.5, 0.72), z, (205, 205, 205))
            for side in (-1, 1):
                low, high = sorted((side * half * 0.95, side * half * 0.65))
                pen.rectangle((low, high), (0.74, 0.92), z - 0.01, (255, 40, 30), True)

    def front() -> None:
        pen.body(
            [(split, 0.45), (split, height * 0.8), (end - 0.45, height * 0.8), (end - 0.05, height * 0.5), (end, 0.45)],
            (width * 0.95, width * 0.92),
            cab,
        )
        for side in (-1, 1):
            x = side * (half * 0.95 + 0.01)
            if pen.sees((x, 1, 0), (side, 0, 0)):
                pen.face(
                    [
                        (x, height * 0.5, split + 0.5),
                        (x, height * 0.74, split + 0.5),
                        (x, height * 0.74, end - 0.55),
                        (x, height * 0.5, end - 0.25),
                    ],
                    GLASS,
                )
        if pen.sees((0, 1, end), (0, 0, 1)):
            pen.face(
                [
                    (-half * 0.85, height * 0.5, end + 0.0),
                    (-half * 0.82, height * 0.77, end - 0.42),
                    (half * 0.82, height * 0.77, end - 0.42),
                    (half * 0.85, height * 0.5, end),
                ],
                GLASS,
            )
            pen.rectangle((-half * 0.6, half * 0.6), (0.8, height * 0.42), end + 0.02, DARK)
            for side in (-1, 1):
                low, high = sorted((side * half * 0.9, side * half * 0.62))
                pen.rectangle((low, high), (0.7, 0.95), end + 0.02, LAMP, True)

    for part in (cargo, front) if abs(thing.yaw) > np.pi / 2 else (front, cargo):
        part()
    draw_wheels(pen, half, axles, 0.5)


def bus(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A city or school bus: one long box with a row of windows and a bright colour."""
    width, height, length = thing.size
    half, end = width / 2, length / 2
    color = pick(rng, _BUS_COLORS)
    axles = [-end + 2.4, end - 2.2]
    pen.shadow(width * 1.1, length * 1.03, 0.6)
    draw_axles(pen, half, axles, 0.48)
    pen.box((-half, 0.35, -end), (half, height, end), color, roof=(236, 236, 232))
    for side in (-1, 1):
        x = side * (half + 0.01)
        if pen.sees((x, 1, 0), (side, 0, 0)):
            pen.face(
                [(x, height * 0.93, -end), (x, height, -end), (x, height, end), (x, height * 0.93, end)],
                (240, 240, 236),
            )
            pen.face(
                [(x, height * 0.34, -end), (x, height * 0.39, -end), (x, height * 0.39, end), (x, height * 0.34, end)],
                (244, 244, 240),
            )
            _panes(pen, x * 1.005, (height * 0.5, height * 0.86), (-end + 0.3, end - 0.2), 7, 0.09, GLASS)
    if pen.sees((0, 1, -end), (0, 0, -1)):
        z = -end - 0.01
        pen.rectangle((-half * 0.82, half * 0.82), (height * 0.55, height * 0.84), z, GLASS)
        pen.rectangle((-half, half), (0.35, 0.6), z, DARK)
        pen.rectangle((-half * 0.5, half * 0.5), (height * 0.88, height * 0.96), z, (255, 150, 20), True)
        pen.rectangle((-half * 0.6, half * 0.6), (height * 0.26, height * 0.44), z, tuple(c * 0.7 for c in color))
        for side in (-1, 1):
            low, high = sorted((side * half * 0.95, side * half * 0.75))
            pen.rectangle((low, high), (height * 0.3, height * 0.46), z - 0.01, (255, 40, 30), True)
    if pen.sees((0, 1, end), (0, 0, 1)):
        z = end + 0.01
        pen.rectangle((-half * 0.92, half * 0.92), (height * 0.4, height * 0.82), z, GLASS)
        pen.stroke([(0, height * 0.4, z), (0, height * 0.82, z)], 0.06, DARK)
        pen.rectangle((-half * 0.7, half * 0.7), (height * 0.86, height * 0.96), z, (255, 150, 20), True)
        pen.rectangle((-half, half), (0.35, 0.6), z, DARK)
        for side in (-1, 1):
            low, high = sorted((side * half * 0.92, side * half * 0.66))
            pen.rectangle((low, high), (0.7, 0.95), z, LAMP, True)
    draw_wheels(pen, half, axles, 0.48)


def train(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A silver tram of two cars with a coloured stripe."""
    width, height, length = thing.size
    half, end = width / 2, length / 2
    stripe = pick(rng, _TRAIN_STRIPES)
    silver: Color = (188, 194, 200)
    pen.shadow(width * 1.2, length, 0.6)
    car_length = length / 2
    order = (0, 1) if abs(thing.yaw) > np.pi / 2 else (1, 0)
    for index in order:
        z1 = -end + index * car_length + 0.25
        z2 = z1 + car_length - 0.5
        pen.box((-half * 0.85, 0.15, z1 + 0.4), (half * 0.85, 0.6, z2 - 0.4), DARK)
        pen.box((-half, 0.5, z1), (half, height, z2), silver, roof=(120, 124, 130))
        for side in (-1, 1):
            x = side * (half + 0.01)
            if not pen.sees((x, 1, 0), (side, 0, 0)):
                continue
            pen.face([(x, 0.95, z1), (x, 1.5, z1), (x, 1.5, z2), (x, 0.95, z2)], stripe)
            pen.face([(x, 3.1, z1), (x, 3.3, z1), (x, 3.3, z2), (x, 3.1, z2)], stripe)
            _panes(pen, x * 1.005, (1.8, 2.9), (z1 + 0.2, z2 - 0.2), 6, 0.16, (30, 36, 44))
        for z, sign in ((z1, -1), (z2, 1)):
            if pen.sees((0, 1, z), (0, 0, sign)):
                pen.rectangle((-half, half), (0.95, 1.5), z + sign * 0.01, stripe)
                pen.rectangle((-half * 0.85, half * 0.85), (1.8, 3.1), z + sign * 0.01, (30, 36, 44))
                pen.rectangle((-half * 0.4, half * 0.4), (3.25, 3.5), z + sign * 0.01, (255, 170, 40), True)
                for side in (-1, 1):
                    low, high = sorted((side * half * 0.85, side * half * 0.6))
                    pen.rectangle((low, high), (1.0, 1.3), z + sign * 0.02, LAMP if sign > 0 else (255, 40, 30), True)
