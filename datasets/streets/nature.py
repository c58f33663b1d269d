"""How trees, hedges and distant woods are drawn."""

import numpy as np

from .canvas import Color
from .pen import Pen
from .scene import Thing

_LEAVES = np.array([(62, 92, 40), (78, 110, 48), (52, 84, 46), (98, 116, 52), (112, 100, 44)])


def _foliage(pen: Pen, centers: np.ndarray, radii: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> None:
    """Leafy balls, dark below and at the edge, light above."""
    height = centers[:, 1]
    light = (height - height.min()) / max(float(np.ptp(height)), 1e-6)
    shades = (0.55 + 0.6 * light + rng.normal(0, 0.09, len(light)))[:, None] * base + rng.normal(0, 4, (len(light), 3))
    order = np.argsort(light + rng.normal(0, 0.25, len(light)))
    colors = [tuple(c) for c in np.clip(shades, 0, 255)[order].tolist()]
    pen.canvas.balls(pen.place(centers[order]), radii[order], colors)


def tree(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A broad-leaved tree. Its trunk is vegetation too, as in BDD100K's masks."""
    width, height, _ = thing.size
    base = _LEAVES[rng.integers(len(_LEAVES))] + rng.normal(0, 6, 3)
    bark: Color = tuple((np.array([84, 66, 50]) * rng.uniform(0.7, 1.2)).tolist())
    pen.shadow(width * 0.9, width * 0.9, 0.35)
    fork = height * rng.uniform(0.28, 0.4)
    pen.stroke([(0, 0, 0), (0, fork * 1.4, 0)], max(height * 0.045, 0.16), bark)
    for _ in range(4):
        x, y = rng.uniform(-0.3, 0.3) * width, rng.uniform(0.6, 0.85) * height
        pen.stroke([(0, fork, 0), (x, y, 0)], height * 0.022, bark)
    count = 110 if thing.z < 40 else 45
    angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    tall = (height - fork) / 2
    centers = np.stack(
        [np.cos(angle) * reach * width * 0.42, fork + tall * (1.02 + 0.82 * np.sin(angle) * reach), np.zeros(count)],
        axis=1,
    )
    _foliage(pen, centers, width * rng.uniform(0.05, 0.13, count), base, rng)


def conifer(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A fir: tiers of dark boughs, narrow at the top."""
    width, height, _ = thing.size
    width *= 0.7
    base = np.array([44, 74, 50]) + rng.normal(0, 5, 3)
    pen.shadow(width * 0.8, width * 0.8, 0.35)
    pen.stroke([(0, 0, 0), (0, height * 0.3, 0)], max(height * 0.035, 0.14), (70, 54, 42))
    tiers = 8
    for i in range(tiers):
        low = height * (0.12 + 0.82 * i / tiers)
        half = width / 2 * (1 - i / tiers) + 0.15
        color = tuple(np.clip(base * (0.75 + 0.05 * i + rng.normal(0, 0.04)), 0, 255).tolist())
        pen.face([(-half, low, 0), (0, low + height * 0.24, 0), (half, low, 0)], color)


def hedge(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A piece of a hedge or of bushes along the road."""
    _, height, length = thing.size
    base = _LEAVES[(thing.seed // 64) % len(_LEAVES)] * 0.9
    count = 48 if thing.z < 40 else 20
    centers = np.stack(
        [
            rng.uniform(-0.3, 0.3, count),
            rng.uniform(0.15, 0.85, count) * height,
            rng.uniform(-0.5, 0.5, count) * length,
        ],
        axis=1,
    )
    z = np.linspace(-length / 2, length / 2, 2)
    pen.face(
        [(0, 0, z[0]), (0, height * 0.8, z[0]), (0, height * 0.8, z[1]), (0, 0, z[1])], tuple((base * 0.6).tolist())
    )
    _foliage(pen, centers, rng.uniform(0.14, 0.3, count) * min(height, 1.6), base, rng)


def woods(pen: Pen, thing: Thing, rng: np.random.Generator) -> None:
    """A distant stand of trees."""
    width, height, _ = thing.size
    base = np.array([66, 88, 62]) + rng.normal(0, 6, 3)
    half = width / 2
    pen.face(
        [(-half, -0.5, 0), (-half, height * 0.5, 0), (half, height * 0.5, 0), (half, -0.5, 0)],
        tuple((base * 0.7).tolist()),
    )
    count = 30
    centers = np.stack(
        [rng.uniform(-1, 1, count) * half, rng.uniform(0.3, 0.85, count) * height, np.zeros(count)], axis=1
    )
    _foliage(pen, centers, rng.uniform(0.12, 0.3, count) * min(height, width), base, rng)
