"""Choosing a colour from a table."""

import numpy as np

from .canvas import Color


def pick(rng: np.random.Generator, colors: np.ndarray, chances: np.ndarray | None = None, spread: float = 6.0) -> Color:
    """One of the (N, 3) ``colors``, each equally likely unless (N,) ``chances`` say otherwise, varied by ``spread``."""
    color = colors[rng.choice(len(colors), p=chances)] + rng.normal(0, spread, 3)
    return tuple(np.clip(color, 0, 255).tolist())
