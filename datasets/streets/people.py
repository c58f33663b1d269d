"""How pedestrians, riders, bicycles and motorcycles are drawn."""

import numpy as np

from .palette import pick
from .pen import Pen
from .scene import Thing

_SKIN = np.array([(236, 196, 168), (205, 155, 120), (150, 102, 74), (98, 66, 48)])
_TOPS = np.array(
    [(200, 40, 44), (40, 70, 150), (235, 235, 232), (38, 40, 46), (226, 170, 40), (70, 130, 90), (170, 90, 150)]
)
_TROUSERS = np.array([(40, 48, 78), (32, 32, 36), (96, 88, 76), (70, 72, 80)])
_HAIR = np.array([(30, 24, 22), (84, 56, 34), (190, 160, 100), (120, 118, 116)])
_VESTS = np.array([(214, 246, 40), (255, 120, 20)])
_FRAMES = np.array([(220, 40, 40), (30, 120, 210), (240, 240, 240), (40, 180, 110), (250, 190, 30)])
_TANKS = np.array([(190, 20, 26), (20, 50, 140), (30, 30, 34), (230, 110, 20)])


def pedestrian(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A person on foot, walking or standing."""
    unit = thing.size[1] / 1.75
    skin, top, trousers, hair = (pick(rng, colors) for colors in (_SKIN, _TOPS, _TROUSERS, _HAIR))
    stride = rng.uniform(0.05, 0.32) * unit
    pen.shadow(0.5, 0.5, 0.4)
    hip, shoulder = 0.92 * unit, 1.42 * unit
    for side, swing in ((-1, stride), (1, -stride)):
        x = side * 0.09 * unit
        pen.stroke([(x, hip, 0), (x, 0.48 * unit, swing * 0.6), (x, 0.06, swing)], 0.15 * unit, trousers)
        pen.stroke([(x, 0.05, swing - 0.03), (x, 0.05, swing + 0.16)], 0.09 * unit, (30, 28, 28))
    pen.stroke(
        [
            (-0.24 * unit, shoulder - 0.04, 0),
            (-0.28 * unit, 1.12 * unit, -stride * 0.5),
            (-0.25 * unit, 0.85 * unit, -stride),
        ],
        0.1 * unit,
        tuple(c * 0.85 for c in top),
    )
    for x in (-0.1, 0.0, 0.1):
        pen.stroke([(x * unit, hip + 0.06, 0), (x * 1.3 * unit, shoulder - 0.06, 0)], 0.22 * unit, top)
    pen.stroke(
        [
            (0.24 * unit, shoulder - 0.04, 0),
            (0.28 * unit, 1.12 * unit, stride * 0.5),
            (0.25 * unit, 0.85 * unit, stride),
        ],
        0.1 * unit,
        tuple(c * 0.85 for c in top),
    )
    pen.ball((0, 1.53 * unit, 0), 0.075 * unit, skin)
    pen.ball((0, 1.64 * unit, 0.01), 0.12 * unit, skin)
    pen.ball((0, 1.675 * unit, -0.03), 0.115 * unit, hair)


def rider(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A seated person with a helmet; ``thing.state`` names what is ridden."""
    motor = thing.state == "motorcycle"
    skin, top, trousers = pick(rng, _SKIN), pick(rng, _VESTS), pick(rng, _TROUSERS)
    seat, back, grip, foot = (0.85, -0.25, 0.45, 0.4) if motor else (0.98, -0.25, 0.42, 0.28)
    shoulder = (seat + 0.52, back + 0.32)
    for side in (-1, 1):
        x = side * 0.14
        knee = (seat - 0.12, back + 0.45) if side > 0 or motor else (seat - 0.24, back + 0.42)
        low = foot if side > 0 or motor else foot - 0.12
        pen.stroke([(x * 0.7, seat, back), (x, *knee), (x, low, back + 0.25)], 0.15, trousers)
        pen.stroke([(x, low - 0.02, back + 0.22), (x, low - 0.02, back + 0.44)], 0.1, (34, 30, 30))
        pen.stroke(
            [
                (side * 0.2, shoulder[0] - 0.03, shoulder[1]),
                (side * 0.28, seat + 0.25, (shoulder[1] + grip) / 2),
                (side * 0.27, seat + 0.14, grip),
            ],
            0.1,
            top,
        )
    for x in (-0.09, 0.0, 0.09):
        pen.stroke([(x, seat + 0.06, back), (x * 1.4, shoulder[0], shoulder[1])], 0.24, top)
    pen.stroke([(-0.16, seat + 0.27, back + 0.17), (0.16, seat + 0.27, back + 0.17)], 0.05, (240, 240, 240))
    head = (0, shoulder[0] + 0.24, shoulder[1] + 0.1)
    pen.ball(head, 0.115, skin)
    helmet = pick(rng, np.array([(245, 245, 245), (200, 30, 40), (30, 60, 160)]))
    pen.ball((0, head[1] + 0.035, head[2] - 0.02), 0.14 if motor else 0.125, helmet)


def bicycle(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A bicycle: two thin wheels and a bright frame."""
    frame = pick(rng, _FRAMES)
    front, rear, radius = 0.54, -0.54, 0.34
    pen.shadow(0.3, 1.6, 0.35)
    for z in (front, rear):
        pen.stroke([(0, 0.02, z - 0.02), (0, radius * 2, z)], 0.05, (34, 34, 36))
        pen.ring((0, radius, z), radius, 0.07, (30, 30, 32))
        for angle in np.arange(0, np.pi, np.pi / 4):
            y, along = radius * np.sin(angle), radius * np.cos(angle)
            pen.stroke([(0, radius - y, z - along), (0, radius + y, z + along)], 0.014, (150, 150, 150))
    crank, seat, head = (0, 0.32, -0.05), (0, 0.86, -0.22), (0, 0.85, 0.36)
    for line in ((crank, seat), (crank, head), (seat, head), ((0, radius, rear), crank), ((0, radius, rear), seat)):
        pen.stroke(line, 0.07, frame)
    pen.stroke([head, (0, radius, front)], 0.07, tuple(c * 0.8 for c in frame))
    pen.stroke([seat, (0, 0.96, -0.25)], 0.05, (60, 60, 60))
    pen.stroke([(0, 0.98, -0.36), (0, 0.98, -0.14)], 0.09, (26, 26, 28))
    pen.stroke([head, (0, 1.02, 0.36)], 0.05, (70, 70, 72))
    pen.stroke([(-0.27, 1.04, 0.3), (0, 1.02, 0.38), (0.27, 1.04, 0.3)], 0.06, (30, 30, 32))
    if pen.sees((0, 0.6, rear), (0, 0, -1)):
        pen.ball((0, 0.66, rear - 0.1), 0.05, (255, 30, 30), True)


def motorcycle(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A motorcycle: fat tyres, a coloured tank and fairing, an engine block."""
    paint = pick(rng, _TANKS)
    front, rear, radius = 0.72, -0.66, 0.32
    pen.shadow(0.7, 2.1, 0.5)
    for z in (front, rear):
        pen.box((-0.09, 0.02, z - 0.12), (0.09, radius * 2, z + 0.12), (24, 24, 26))
        pen.ring((0, radius, z), radius - 0.06, 0.15, (24, 24, 26))
        pen.disc((0, radius, z), 0.13, (150, 152, 158))
    pen.box((-0.17, 0.22, -0.35), (0.17, 0.62, 0.36), (92, 94, 100))
    pen.stroke([(0.2, 0.3, 0.2), (0.2, 0.3, -0.8)], 0.12, (188, 190, 196))
    pen.body([(-0.95, 0.74), (-0.9, 0.9), (-0.3, 0.84), (-0.2, 0.7), (-0.5, 0.62)], (0.3, 0.26), (36, 34, 36))
    pen.body([(-0.25, 0.66), (-0.2, 0.92), (0.2, 1.02), (0.42, 0.9), (0.36, 0.64)], (0.36, 0.3), paint)
    pen.stroke([(0, radius, front), (0, 0.95, 0.45)], 0.12, (130, 132, 138))
    pen.body([(0.4, 0.7), (0.42, 1.05), (0.6, 1.0), (0.68, 0.74)], (0.36, 0.3), paint)
    pen.stroke([(-0.36, 1.06, 0.34), (0, 1.02, 0.44), (0.36, 1.06, 0.34)], 0.07, (28, 28, 30))
    for x in (-0.4, 0.4):
        pen.ball((x, 1.17, 0.36), 0.07, (50, 52, 56))
    if pen.sees((0, 0.8, 0.68), (0, 0, 1)):
        pen.disc((0, 0.86, 0.69), 0.13, (255, 250, 226), 2, True)
    if pen.sees((0, 0.8, -0.95), (0, 0, -1)):
        pen.face(
            [(-0.13, 0.74, -0.97), (-0.13, 0.88, -0.97), (0.13, 0.88, -0.97), (0.13, 0.74, -0.97)], (255, 36, 30), True
        )
        pen.face([(-0.1, 0.52, -0.97), (-0.1, 0.68, -0.97), (0.1, 0.68, -0.97), (0.1, 0.52, -0.97)], (230, 230, 224))
