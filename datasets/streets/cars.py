"""How cars are drawn."""

import numpy as np

from .canvas import Color
from .chassis import DARK, GLASS, LAMP, TAIL, draw_axles, draw_wheels
from .palette import pick
from .pen import Pen
from .scene import Thing

_CAR_COLORS = np.array(
    [
        (225, 228, 232),
        (196, 200, 204),
        (142, 147, 153),
        (84, 88, 94),
        (36, 38, 43),
        (24, 25, 28),
        (158, 28, 32),
        (28, 62, 130),
        (62, 104, 158),
        (40, 76, 62),
        (196, 176, 140),
        (208, 160, 30),
    ]
)
_CAR_CHANCES = np.array([18, 14, 13, 10, 12, 8, 8, 7, 4, 2, 2, 4]) / 102


def car(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A sedan, hatchback, sports utility vehicle or van; yellow ones are taxis."""
    width, height, length = thing.size
    body = pick(rng, _CAR_COLORS, _CAR_CHANCES)
    style = rng.choice(["sedan", "hatch", "suv", "van"], p=[0.45, 0.2, 0.25, 0.1])
    height *= {"sedan": 0.97, "hatch": 1.0, "suv": 1.15, "van": 1.3}[style]
    half, end, belt = width / 2, length / 2, height * (0.62 if style != "van" else 0.55)
    axles = [-length * 0.3, length * 0.31]
    pen.shadow(width * 1.12, length * 1.04, 0.55)
    draw_axles(pen, half, axles, 0.33)
    hood = end - (0.45 if style == "van" else 0.9 + 0.1 * length / 4.5)
    pen.body(
        [
            (-end, 0.28),
            (-end, belt * 0.86),
            (-end + 0.12, belt),
            (hood - 0.15, belt),
            (end - 0.12, belt * 0.8),
            (end, belt * 0.66),
            (end, 0.28),
        ],
        (width, width * 0.96),
        body,
    )
    rear = {"sedan": -end + 0.75, "hatch": -end + 0.3, "suv": -end + 0.12, "van": -end + 0.08}[style]
    slope = {"sedan": 0.7, "hatch": 0.45, "suv": 0.25, "van": 0.1}[style]
    top = [(rear, belt), (rear + slope, height), (hood - 0.85, height), (hood, belt)]
    pen.body(top, (width * 0.94, width * 0.76), GLASS, roof=body)
    _pillars(pen, top, (width * 0.94 / 2, width * 0.76 / 2), body)
    draw_wheels(pen, half, axles, 0.33)
    lit = thing.state != "parked"
    if pen.sees((0, belt, -end), (0, 0, -1)):
        braking = lit and rng.random() < 0.5
        for side in (-1, 1):
            outer, inner = side * (half - 0.04), side * (half - 0.42)
            pen.rectangle(
                (min(outer, inner), max(outer, inner)),
                (belt * 0.66, belt * 0.86),
                -end - 0.01,
                (255, 40, 34) if braking else TAIL,
                lit,
            )
        pen.rectangle((-half * 0.95, half * 0.95), (0.26, 0.42), -end - 0.01, DARK)
        pen.rectangle((-0.26, 0.26), (belt * 0.52, belt * 0.68), -end - 0.02, (226, 228, 222))
    if pen.sees((0, belt, end), (0, 0, 1)):
        pen.rectangle((-half * 0.5, half * 0.5), (belt * 0.42, belt * 0.6), end + 0.01, DARK)
        pen.rectangle((-half * 0.95, half * 0.95), (0.26, 0.38), end + 0.01, DARK)
        for side in (-1, 1):
            outer, inner = side * (half - 0.04), side * (half - 0.44)
            pen.rectangle((min(outer, inner), max(outer, inner)), (belt * 0.48, belt * 0.65), end + 0.01, LAMP, lit)
    for side in (-1, 1):
        if pen.sees((side * half, belt, 0), (side, 0, 0)):
            x, line = side * (half + 0.01), tuple(c * 0.6 for c in body)
            pen.stroke([(x, belt * 0.45, axles[0] + 0.45), (x, belt * 0.45, axles[1] - 0.45)], 0.03, line)
            for z in (-0.15, -0.15 + length * 0.22):
                pen.stroke([(x, belt * 0.3, z), (x, belt * 0.98, z)], 0.025, line)


def _pillars(pen: Pen, top: list[tuple[float, float]], halves: tuple[float, float], color: Color) -> None:
    """The painted frame around the windows of a cabin with that side profile."""
    (rear, belt), (roof_rear, height), (roof_front, _), (front, _) = top
    low, high = halves
    for z, roof_z, sign in ((rear, roof_rear, -1), (front, roof_front, 1)):
        if pen.sees((0, belt, z), (0, 0.5, sign)):
            tint = pen.shade(color, (0, 0.5, sign))
            pen.stroke([(-low, belt, z), (-high, height, roof_z), (high, height, roof_z), (low, belt, z)], 0.08, tint)
    for side in (-1, 1):
        if not pen.sees((side * low, belt, 0), (side, 0.2, 0)):
            continue
        tint = pen.shade(color, (side, 0.2, 0))
        corners = [
            (side * low, belt, rear),
            (side * high, height, roof_rear),
            (side * high, height, roof_front),
            (side * low, belt, front),
        ]
        pen.stroke(corners, 0.09, tint)
        middle = (rear + front) / 2 - 0.15
        pen.stroke([(side * low, belt, middle), (side * high, height, middle)], 0.08, tint)
        pen.stroke(
            [(side * low * 1.02, belt, rear), (side * low * 1.02, belt, front)], 0.05, tuple(c * 0.7 for c in tint)
        )
        mirror = front - 0.35
        pen.face(
            [
                (side * low, belt, mirror),
                (side * (low + 0.2), belt, mirror),
                (side * (low + 0.2), belt + 0.15, mirror),
                (side * low, belt + 0.15, mirror),
            ],
            tint,
        )
