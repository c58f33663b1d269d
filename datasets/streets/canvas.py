"""The image, the map of instance ids below it, and the drawing operations that keep the two in step."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .camera import HEIGHT, NEAR, WIDTH, Camera, clip

Color = tuple[float, float, float]
"""Red, green and blue, 0 to 255."""

_SHIFT = 4
_GUARD = 3000.0


@dataclass
class Item:
    """Something drawn: its classes and, once drawn, its extent.

    ``sem_seg`` and ``drivable`` are mask values; ``depth`` is in metres, or None for the ground; ``area`` is the number
    of pixels it covered when it was drawn, before anything nearer; ``bounds`` is (x1, y1, x2, y2) in pixels and may
    reach beyond the image; ``track`` is the number of an object of a film.
    """

    sem_seg: int
    det: str | None = None
    drivable: int = 2
    depth: float | None = None
    light_color: str = "NA"
    area: int = 0
    bounds: tuple[float, float, float, float] = (np.inf, np.inf, -np.inf, -np.inf)
    cut: bool = False
    track: int | None = None


class Canvas:
    """Draws item after item, far to near; whatever comes later covers what came before.

    Attributes:
        image: (HEIGHT, WIDTH, 3) uint8, RGB.
        ids: (HEIGHT, WIDTH) uint16, the index in ``items`` of what each pixel shows.
        glow: the (item id, polygons in 1/16 pixels, colour) of the lamps: what shines by itself, day and night.
        windows: the same of windows lit at night.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        self.ids = np.zeros((HEIGHT, WIDTH), np.uint16)
        self.items: list[Item] = []
        self.glow: list[tuple[int, list[np.ndarray], Color]] = []
        self.windows: list[tuple[int, list[np.ndarray], Color]] = []
        self._stencil = np.zeros((HEIGHT, WIDTH), np.uint8)

    def begin(self, item: Item) -> None:
        """Starts an item; all that is drawn up to :meth:`end` belongs to it."""
        self.items.append(item)

    def end(self) -> None:
        """Enters the item's pixels into the id map."""
        item = self.items[-1]
        x1, y1, x2, y2 = item.bounds
        if x2 < 0 or y2 < 0 or x1 > WIDTH - 1 or y1 > HEIGHT - 1:
            return
        # A stroke's rounded ends and a polygon's outline reach a little beyond its corners.
        window = np.s_[max(int(y1) - 2, 0) : int(y2) + 4, max(int(x1) - 2, 0) : int(x2) + 4]
        drawn = self._stencil[window] > 0
        self.ids[window][drawn] = len(self.items) - 1
        item.area = int(np.count_nonzero(drawn))
        self._stencil[window] = 0

    def polygons(
        self, polygons: Sequence[np.ndarray] | np.ndarray, color: Color, glows: bool = False, solid: bool = True
    ) -> None:
        """Fills polygons, each (N, 3) in metres, that do not overlap one another.

        With ``solid`` false only the image changes: a pattern on what the item has already covered.
        """
        self.fill(self._flatten(polygons), color, glows, solid)

    def fill(self, polygons: list[np.ndarray], color: Color, glows: bool = False, solid: bool = True) -> None:
        """Fills polygons, each (N, 2) in pixels, as :meth:`polygons` does."""
        fixed = [_fixed(points) for points in polygons if self._grow(points)]
        if not fixed:
            return
        cv2.fillPoly(self.image, fixed, color, cv2.LINE_AA, _SHIFT)
        if solid:
            cv2.fillPoly(self._stencil, fixed, 1, cv2.LINE_8, _SHIFT)
        if glows:
            self.glow.append((len(self.items) - 1, fixed, color))

    def lit_windows(self, polygons: Sequence[np.ndarray], color: Color) -> None:
        """Notes polygons, each (N, 3) in metres, that shine at night and look like glass by day."""
        fixed = [_fixed(points) for points in self._flatten(polygons) if self._grow(points)]
        if fixed:
            self.windows.append((len(self.items) - 1, fixed, color))

    def stroke(self, points: np.ndarray, width: float, color: Color) -> None:
        """Draws a line of ``width`` metres through (N, 3) points in metres."""
        points = np.asarray(points, float)
        if points[:, 2].min() < NEAR:
            self.items[-1].cut = True
            return
        flat = self.camera.project(points)
        pixels = width * self.camera.focal / points[:, 2].mean()
        thickness = max(round(pixels), 1)
        if not self._grow(flat, thickness / 2):
            return
        fixed = _fixed(np.clip(flat, -_GUARD, _GUARD))
        if pixels < 0.9:  # thinner than a pixel: paler, and part of what lies around it
            below = self.image[tuple(np.clip(flat.mean(0).astype(int)[::-1], 0, (HEIGHT - 1, WIDTH - 1)))]
            color = tuple(float(b) + (c - float(b)) * max(pixels, 0.35) for b, c in zip(below, color, strict=True))
        cv2.polylines(self.image, [fixed], False, color, thickness, cv2.LINE_AA, _SHIFT)
        cv2.polylines(self._stencil, [fixed], False, 1, thickness, cv2.LINE_8, _SHIFT)

    def ball(self, center: Sequence[float], radius: float, color: Color, glows: bool = False) -> None:
        """Draws a ball of ``radius`` metres around a point in metres."""
        self.balls(np.asarray([center], float), np.asarray([radius]), [color], glows)

    def balls(self, centers: np.ndarray, radii: np.ndarray, colors: Sequence[Color], glows: bool = False) -> None:
        """Draws balls, (N, 3) centres and (N,) radii in metres, in the order given."""
        ahead = centers[:, 2] > NEAR
        self.items[-1].cut |= not ahead.all()
        centers, radii = centers[ahead], radii[ahead]
        colors = [color for color, keep in zip(colors, ahead, strict=True) if keep]
        if not len(centers):
            return
        flat = self.camera.project(centers)
        pixels = radii * self.camera.focal / centers[:, 2]
        self._grow(np.concatenate([flat - pixels[:, None], flat + pixels[:, None]]))
        ats = np.rint(flat * (1 << _SHIFT)).astype(int).tolist()
        sizes = np.maximum(np.rint(pixels * (1 << _SHIFT)), 8).astype(int).tolist()
        near = ((flat + pixels[:, None] >= 0) & (flat - pixels[:, None] <= (WIDTH, HEIGHT))).all(1).tolist()
        for at, size, color, inside in zip(ats, sizes, colors, near, strict=True):
            if inside:
                cv2.circle(self.image, at, size, color, -1, cv2.LINE_AA, _SHIFT)
                cv2.circle(self._stencil, at, size, 1, -1, cv2.LINE_8, _SHIFT)
        if glows:
            angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
            ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            for at, size, color in zip(flat, pixels, colors, strict=True):
                self.glow.append((len(self.items) - 1, [_fixed(at + size * ring)], color))

    def shadow(self, points: np.ndarray, strength: float) -> None:
        """Darkens an (N, 3) polygon on the ground; the id map is not touched."""
        flattened = self._flatten([points])
        if not flattened:
            return
        flat = flattened[0]
        low = np.maximum(np.floor(flat.min(0)).astype(int) - 6, 0)
        high = np.minimum(np.ceil(flat.max(0)).astype(int) + 7, (WIDTH, HEIGHT))
        if (high - low < 2).any():
            return
        alpha = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(alpha, [_fixed(flat - low)], 255, cv2.LINE_AA, _SHIFT)
        soft = cv2.blur(alpha, (5, 3)).astype(np.float32) * (-strength / 255) + 1
        window = self.image[low[1] : high[1], low[0] : high[0]]
        window[...] = window * soft[..., None]

    def _flatten(self, polygons: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """Projects polygons, each (N, 3), and cuts them at the near plane and far outside the image."""
        flattened = []
        for points in polygons:
            if points[:, 2].min() < NEAR:
                points = clip(points, 2, NEAR, True)
                if self.items:
                    self.items[-1].cut = True
                if len(points) < 3:
                    continue
            flat = self.camera.project(points)
            if np.abs(flat).max() > _GUARD:
                for axis, limit, above in (
                    (0, -_GUARD, True),
                    (0, _GUARD, False),
                    (1, -_GUARD, True),
                    (1, _GUARD, False),
                ):
                    flat = clip(flat, axis, limit, above) if len(flat) else flat
            if len(flat) > 2:
                flattened.append(flat)
        return flattened

    def _grow(self, points: np.ndarray, margin: float = 0.0) -> bool:
        """Extends the item's bounds; returns whether any of it may lie in the image."""
        (x1, y1), (x2, y2) = points.min(0).tolist(), points.max(0).tolist()
        x1, y1, x2, y2 = x1 - margin, y1 - margin, x2 + margin, y2 + margin
        item = self.items[-1]
        a, b, c, d = item.bounds
        item.bounds = (min(a, x1), min(b, y1), max(c, x2), max(d, y2))
        return x2 >= 0 and y2 >= 0 and x1 <= WIDTH - 1 and y1 <= HEIGHT - 1


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixel coordinates in OpenCV's fixed-point form."""
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)
