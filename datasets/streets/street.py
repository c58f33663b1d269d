"""How traffic lights, traffic signs, poles, walls and fences are drawn."""

import numpy as np

from .canvas import Color
from .pen import Pen
from .scene import Thing

_LAMPS: dict[str, tuple[Color, float]] = {
    "red": ((255, 48, 36), 0.82),
    "yellow": ((255, 196, 40), 0.5),
    "green": ((60, 255, 150), 0.18),
}
_WHITE: Color = (242, 242, 240)


def _polygon(pen: Pen, corners: int, turn: float, middle: float, radius: float, z: float, color: Color) -> None:
    angles = np.arange(corners) * 2 * np.pi / corners + turn
    pen.face([(radius * np.sin(a), middle + radius * np.cos(a), z) for a in angles], color)


def traffic_light(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A light box with three lamps, the one in ``thing.state`` lit; state NA is one seen from behind."""
    width, height, depth = thing.size
    half = width / 2
    housing: Color = (222, 178, 32) if rng.random() < 0.5 else (36, 38, 36)
    pen.box((-half, 0, 0), (half, height, depth), housing)
    if thing.state == "NA":
        back = tuple(c * 0.8 for c in housing)
        pen.rectangle((-half * 0.8, half * 0.8), (height * 0.06, height * 0.94), -0.01, back)
        return
    pen.rectangle((-half * 0.86, half * 0.86), (height * 0.04, height * 0.96), -0.01, (24, 25, 24))
    for name, (color, level) in _LAMPS.items():
        lit = name == thing.state
        shown = color if lit else tuple(c * 0.18 + 18 for c in color)
        pen.disc((0, height * level, -0.02), min(half * 0.78, height * 0.15), shown, 2, lit)


def traffic_sign(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A sign; ``thing.state`` names its kind, and with it its shape and colours."""
    width, height, _ = thing.size
    half, middle = width / 2, height / 2
    state = thing.state
    if state == "stop":
        _polygon(pen, 8, np.pi / 8, middle, half * 1.08, 0, _WHITE)
        _polygon(pen, 8, np.pi / 8, middle, half * 0.97, -0.01, (196, 24, 34))
        pen.rectangle((-half * 0.6, half * 0.6), (middle - height * 0.12, middle + height * 0.12), -0.02, _WHITE)
    elif state == "yield":
        pen.face([(-half, height, 0), (half, height, 0), (0, 0, 0)], (206, 30, 38))
        pen.face(
            [(-half * 0.52, height * 0.82, -0.01), (half * 0.52, height * 0.82, -0.01), (0, height * 0.3, -0.01)],
            _WHITE,
        )
    elif state == "warning":
        _polygon(pen, 4, 0, middle, half, 0, (30, 28, 24))
        _polygon(pen, 4, 0, middle, half * 0.92, -0.01, (250, 190, 24))
        pen.stroke(
            [
                (0, middle - height * 0.2, -0.02),
                (0, middle + height * 0.1, -0.02),
                (half * 0.3, middle + height * 0.2, -0.02),
            ],
            width * 0.1,
            (26, 26, 24),
        )
    elif state in ("round", "no entry"):
        pen.disc((0, middle, 0), half, (204, 26, 36), 2)
        if state == "round":
            pen.disc((0, middle, -0.01), half * 0.74, _WHITE, 2)
            pen.stroke(
                [(-half * 0.5, middle - half * 0.5, -0.02), (half * 0.5, middle + half * 0.5, -0.02)],
                width * 0.1,
                (204, 26, 36),
            )
        else:
            pen.rectangle((-half * 0.66, half * 0.66), (middle - height * 0.1, middle + height * 0.1), -0.01, _WHITE)
    elif state in ("speed", "parking"):
        ink: Color = (30, 30, 32) if state == "speed" else (24, 72, 170)
        ground = _WHITE if state == "speed" else (28, 84, 190)
        pen.rectangle((-half, half), (0, height), 0, ink if state == "speed" else _WHITE)
        pen.rectangle((-half * 0.9, half * 0.9), (height * 0.05, height * 0.95), -0.01, ground)
        mark = ink if state == "speed" else _WHITE
        pen.rectangle((-half * 0.6, half * 0.6), (height * 0.72, height * 0.84), -0.02, mark)
        for x in (-half * 0.36, half * 0.36):
            pen.rectangle((x - half * 0.2, x + half * 0.2), (height * 0.16, height * 0.58), -0.02, mark)
            pen.rectangle((x - half * 0.07, x + half * 0.07), (height * 0.26, height * 0.48), -0.03, ground)
    else:
        ground = (18, 116, 74) if rng.random() < 0.8 else (24, 84, 170)
        pen.rectangle((-half, half), (0, height), 0, _WHITE)
        edge = min(width, height) * 0.06
        pen.rectangle((-half + edge, half - edge), (edge, height - edge), -0.01, ground)
        rows = ((0.62, 0.78), (0.24, 0.42)) if state == "guide" else ((0.34, 0.66),)
        for low, high in rows:
            x = -half * rng.uniform(0.72, 0.82)
            while x < half * 0.66:
                step = width * rng.uniform(0.04, 0.12)
                pen.rectangle((x, min(x + step, half * 0.8)), (height * low, height * high), -0.02, _WHITE)
                x += step + width * 0.03


def pole(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A thin grey post."""
    tint = float(rng.uniform(105, 150))
    pen.stroke([(0, 0, 0), (0, thing.size[1], 0)], thing.size[0], (tint, tint + 2, tint + 6))
    pen.stroke(
        [(thing.size[0] * 0.2, 0, -0.02), (thing.size[0] * 0.2, thing.size[1], -0.02)],
        thing.size[0] * 0.3,
        (tint * 0.7, tint * 0.7, tint * 0.74),
    )


def arm(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A level arm that holds a light or a sign; its width may be negative, to the left."""
    pen.stroke([(0, 0, 0), (thing.size[0], 0, 0)], thing.size[1], (124, 126, 132))


def lamp(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A lamp post whose lamp hangs over the road."""
    reach, height, thick = thing.size
    tint = float(rng.uniform(95, 135))
    color = (tint, tint + 2, tint + 4)
    pen.stroke([(0, 0, 0), (0, height * 0.93, 0), (-reach * 0.3, height, 0), (-reach, height, 0)], thick, color)
    pen.stroke([(0, 0, 0), (0, 1.0, 0)], thick * 1.6, color)
    pen.box((-reach - 0.3, height - 0.1, -0.15), (-reach + 0.3, height + 0.06, 0.15), (80, 82, 86))
    pen.face(
        [
            (-reach - 0.28, height - 0.1, -0.15),
            (-reach - 0.28, height - 0.1, 0.15),
            (-reach + 0.28, height - 0.1, 0.15),
            (-reach + 0.28, height - 0.1, -0.15),
        ],
        (255, 226, 170),
        True,
    )
    pen.ball((-reach, height - 0.12, 0), 0.13, (255, 226, 170), True)


def wall(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A piece of a concrete wall: blocks in two shades with dark joints."""
    _, height, length = thing.size
    tint = 150 + 28 * np.sin(thing.seed // 64)
    base = (tint, tint * 0.97, tint * 0.92)
    pen.box((-0.12, 0, -length / 2), (0.12, height, length / 2), base, roof=tuple(c * 1.15 for c in base))
    rows, columns = max(round(height / 0.55), 2), max(round(length / 1.3), 1)
    for side in (-0.13, 0.13):
        if not pen.sees((side, 0.5, 0), (side, 0, 0)):
            continue
        tone = pen.shade(base, (side, 0, 0))
        step, long = height / rows, length / columns
        dark = [
            [
                (side, r * step + 0.03, z),
                (side, (r + 1) * step - 0.03, z),
                (side, (r + 1) * step - 0.03, z + long - 0.06),
                (side, r * step + 0.03, z + long - 0.06),
            ]
            for r in range(rows)
            for z in (-length / 2 + 0.03 + long * np.arange(columns))
            if rng.random() < 0.5
        ]
        pen.faces(dark, tuple(c * 0.88 for c in tone))
        for r in range(1, rows):
            pen.stroke(
                [(side, r * step, -length / 2), (side, r * step, length / 2)], 0.05, tuple(c * 0.6 for c in tone)
            )
        for c in range(columns):
            z = -length / 2 + c * long
            pen.stroke([(side, 0, z), (side, height, z)], 0.05, tuple(c * 0.6 for c in tone))


def fence(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A piece of a fence: upright slats between two rails; what shows between them is part of the fence."""
    _, height, length = thing.size
    style = (thing.seed // 64) % 3
    color: Color = ((232, 230, 224), (122, 84, 54), (60, 66, 62))[style]
    gap = tuple(c * 0.45 for c in color)
    pen.face(
        [(0, 0.08, -length / 2), (0, height * 0.9, -length / 2), (0, height * 0.9, length / 2), (0, 0.08, length / 2)],
        gap,
    )
    slats = np.arange(-length / 2 + 0.1, length / 2, 0.3)
    pen.faces([[(0, 0, z), (0, height, z), (0, height, z + 0.15), (0, 0, z + 0.15)] for z in slats], color)
    for level in (0.25, 0.75):
        pen.stroke(
            [(0, height * level, -length / 2), (0, height * level, length / 2)], 0.09, tuple(c * 0.8 for c in color)
        )
    pen.stroke([(0, 0, -length / 2), (0, height * 1.05, -length / 2)], 0.14, tuple(c * 0.9 for c in color))
