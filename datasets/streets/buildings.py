"""How buildings are drawn: walls, rows of windows, shop fronts, roofs."""

import numpy as np

from .canvas import Color
from .palette import pick
from .pen import Pen
from .scene import Thing

_WALLS = np.array(
    [
        (168, 106, 82),
        (196, 178, 150),
        (150, 146, 142),
        (186, 142, 110),
        (122, 94, 84),
        (208, 202, 192),
        (128, 134, 142),
        (174, 158, 120),
    ]
)
_LIT: Color = (236, 186, 112)
_PANE: Color = (74, 88, 104)


def building(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A block, a house with a gable, or a distant tower, by ``thing.state``; its front is the side facing the road."""
    width, height, length = thing.size
    half, end = width / 2, length / 2
    color = pick(rng, _WALLS, spread=8.0)
    eaves = height * 0.68 if thing.state == "house" else height
    if thing.state == "house":
        roof = tuple((np.array([112, 74, 62]) * rng.uniform(0.7, 1.15)).tolist())
        _walls(pen, (half, eaves, end), color, thing, rng)
        ridge = [(0.0, height, -end * 1.03), (0.0, height, end * 1.03)]
        for side in (-1, 1):
            slope = [
                (side * half * 1.08, eaves * 0.96, -end * 1.03),
                (side * half * 1.08, eaves * 0.96, end * 1.03),
                ridge[1],
                ridge[0],
            ]
            if pen.sees(slope[0], (side * (height - eaves), half, 0)):
                pen.face(slope, pen.shade(roof, (side * 0.6, 0.7, 0)))
        if pen.sees((0, eaves, -end), (0, 0, -1)):
            pen.face([(-half, eaves, -end), (half, eaves, -end), (0, height, -end)], pen.shade(color, (0, 0, -1)))
        return
    _walls(pen, (half, eaves, end), color, thing, rng)


def _walls(pen: Pen, corner: tuple[float, float, float], color: Color, thing: Thing, rng: np.random.Generator) -> None:
    half, height, end = corner
    pen.box((-half, 0, -end), (half, height, end), color, roof=tuple(c * 0.7 for c in color))
    far = thing.z > 100
    storey = 5.0 if far else rng.uniform(2.8, 3.5)
    bay = 5.0 if far else rng.uniform(1.9, 3.2)
    shop = thing.state == "block" and rng.random() < 0.6
    shares = rng.uniform(0.42, 0.68), rng.uniform(0.45, 0.65)
    for side in (-1, 1):
        if pen.sees((side * half, 1, 0), (side, 0, 0)):
            _facade(pen, (side, 0), (half, height, end), (storey, bay), shares, color, shop, rng)
    if pen.sees((0, 1, -end), (0, 0, -1)):
        _facade(pen, (0, -1), (half, height, end), (storey, bay), shares, color, False, rng)


def _facade(
    pen: Pen,
    side: tuple[int, int],
    corner: tuple[float, float, float],
    grid: tuple[float, float],
    shares: tuple[float, float],
    color: Color,
    shop: bool,
    rng: np.random.Generator,
) -> None:
    half, height, end = corner
    span = end if side[0] else half
    rows, columns = max(int(height / grid[0]), 1), max(int(2 * span / grid[1]), 1)
    tall, wide = height / rows, 2 * span / columns

    def quad(a: float, b: float, low: float, high: float, lift: float) -> list[tuple[float, float, float]]:
        if side[0]:
            x = side[0] * (half + lift)
            return [(x, low, a), (x, high, a), (x, high, b), (x, low, b)]
        z = side[1] * (end + lift)
        return [(a, low, z), (a, high, z), (b, high, z), (b, low, z)]

    normal = (side[0], 0, side[1])
    near = float(np.abs(pen.place([(0, 0, 0)])[0]).sum()) < 60  # farther away a window's bars are thinner than a pixel
    tone = pen.shade(color, normal)
    pen.faces([quad(-span, span, height * 0.97, height, 0.02)], tuple(c * 0.72 for c in tone))
    pen.faces(
        [quad(-span, span, row * tall - 0.09, row * tall + 0.09, 0.02) for row in range(1, rows)],
        tuple(c * 0.86 for c in tone),
    )
    windows, lit, sills, bars = [], [], [], []
    for row in range(1 if shop else 0, rows):
        low = (row + (1 - shares[1]) * 0.6) * tall
        for column in range(columns):
            a = -span + (column + (1 - shares[0]) / 2) * wide
            pane = quad(a, a + wide * shares[0], low, low + tall * shares[1], 0.02)
            (lit if rng.random() < 0.3 else windows).append(pane)
            if near:
                middle, up = a + wide * shares[0] / 2, low + tall * shares[1] * 0.55
                bars.append(quad(middle - 0.04, middle + 0.04, low, low + tall * shares[1], 0.03))
                bars.append(quad(a, a + wide * shares[0], up - 0.04, up + 0.04, 0.03))
            sills.append(quad(a - 0.08, a + wide * shares[0] + 0.08, low - 0.14, low, 0.03))
    pane_color = pen.shade(_PANE, normal)
    pen.faces(sills, tuple(min(c * 1.22, 255) for c in tone))
    pen.faces(windows, pane_color)
    pen.faces(lit, tuple(c * 1.25 for c in pane_color))
    for share in (0.55, 0.8, 1.0):
        chosen = [pane for pane in lit if rng.random() < 0.4]
        pen.canvas.lit_windows([pen.place(pane) for pane in chosen], tuple(c * share for c in _LIT))
    for bar in bars:  # crosses overlap, so they are filled one by one
        pen.faces([bar], tuple(min(c * 1.15, 255) for c in tone))
    if shop:
        awning = tuple(np.clip(rng.uniform(40, 200, 3), 0, 255).tolist())
        pen.faces([quad(-span * 0.96, span * 0.96, 0.2, tall * 0.78, 0.02)], (56, 62, 70))
        pen.faces([quad(-span, span, tall * 0.74, tall * 0.96, 0.05)], pen.shade(awning, normal))
        posts = np.linspace(-span * 0.96, span * 0.96, columns + 1)
        pen.faces([quad(p - 0.1, p + 0.1, 0.2, tall * 0.78, 0.03) for p in posts], tone)
        pen.canvas.lit_windows([pen.place(quad(-span * 0.9, span * 0.9, 0.6, tall * 0.7, 0.03))], (158, 128, 84))
