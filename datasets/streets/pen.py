"""Drawing in an object's own coordinates: placed, turned and shaded on the canvas."""

from collections.abc import Sequence

import numpy as np

from .canvas import Canvas, Color

_SUN = np.array([-0.45, 0.8, -0.4])


class Pen:
    """Local coordinates: x to the object's right, y up, z to its front; metres. Yaw 0 shows its back to the camera."""

    def __init__(self, canvas: Canvas, x: float, z: float, yaw: float, base: float = 0.0) -> None:
        self.canvas = canvas
        self._origin = np.array([x, base, z])
        sine, cosine = np.sin(yaw), np.cos(yaw)
        self._turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
        self._eye = np.array([0, canvas.camera.height, 0])

    def place(self, points: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Local (N, 3) points in the camera's coordinates."""
        return np.asarray(points, float) @ self._turn.T + self._origin

    def sees(self, point: Sequence[float], normal: Sequence[float]) -> bool:
        """Whether a surface through ``point`` with outward ``normal`` shows its outside to the camera."""
        return bool((self.place([point])[0] - self._eye) @ (self._turn @ np.asarray(normal, float)) < 0)

    def shade(self, color: Color, normal: np.ndarray | Sequence[float]) -> Color:
        """``color`` as daylight leaves it on a surface with local ``normal``."""
        normal = self._turn @ np.asarray(normal, float)
        light = 0.8 + 0.22 * float(normal @ _SUN) / (float(np.linalg.norm(normal)) + 1e-9)
        return tuple(min(channel * light, 255.0) for channel in color)

    def face(self, points: Sequence[Sequence[float]], color: Color, glows: bool = False) -> None:
        """Fills one convex polygon without shading it."""
        self.canvas.polygons([self.place(points)], color, glows)

    def rectangle(
        self, x: tuple[float, float], y: tuple[float, float], z: float, color: Color, glows: bool = False
    ) -> None:
        """Fills an upright rectangle that faces along the local z direction."""
        self.face([(x[0], y[0], z), (x[0], y[1], z), (x[1], y[1], z), (x[1], y[0], z)], color, glows)

    def faces(self, polygons: Sequence[Sequence[Sequence[float]]], color: Color, glows: bool = False) -> None:
        """Fills convex polygons of one number of corners that do not overlap one another."""
        if len(polygons):
            corners = np.asarray(polygons, float)
            self.canvas.polygons(self.place(corners.reshape(-1, 3)).reshape(corners.shape), color, glows)

    def body(
        self,
        profile: Sequence[tuple[float, float]],
        widths: tuple[float, float],
        color: Color,
        roof: Color | None = None,
    ) -> None:
        """Draws a convex body: a side profile of (z, y) points, ``widths`` wide at its bottom and top."""
        outline = np.asarray(profile, float)
        low, high = outline[:, 1].min(), outline[:, 1].max()
        half = (widths[0] + (widths[1] - widths[0]) * (outline[:, 1] - low) / max(high - low, 1e-6)) / 2
        right = np.stack([half, outline[:, 1], outline[:, 0]], axis=1)
        left = right * (-1, 1, 1)
        middle = np.array([0, outline[:, 1].mean(), outline[:, 0].mean()])
        following = np.roll(np.arange(len(outline)), -1)
        rim = [np.array([left[a], right[a], right[b], left[b]]) for a, b in enumerate(following)]
        for points in [left, right, *rim]:
            (a, b, c), (d, e, f) = (points[1] - points[0]).tolist(), (points[2] - points[0]).tolist()
            normal = np.array([b * f - c * e, c * d - a * f, a * e - b * d])
            if normal @ (points.mean(0) - middle) < 0:
                normal = -normal
            if self.sees(points[0], normal):
                top = roof is not None and normal[1] > 0.8 * np.linalg.norm(normal)
                self.face(points, self.shade(roof if top else color, normal))

    def box(self, low: Sequence[float], high: Sequence[float], color: Color, roof: Color | None = None) -> None:
        """Draws an upright box between two local corners; it is centred on x = 0 only if the corners are."""
        (x1, y1, z1), (x2, y2, z2) = low, high
        shifted = Pen.__new__(Pen)
        shifted.canvas, shifted._turn, shifted._eye = self.canvas, self._turn, self._eye
        shifted._origin = self._origin + self._turn @ np.array([(x1 + x2) / 2, 0, 0])
        shifted.body([(z1, y1), (z1, y2), (z2, y2), (z2, y1)], (x2 - x1, x2 - x1), color, roof)

    def disc(self, center: Sequence[float], radius: float, color: Color, axis: int = 0, glows: bool = False) -> None:
        """Fills a flat disc whose axis is the local x (0) or z (2) direction."""
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        across, up = radius * np.cos(angles), radius * np.sin(angles)
        none = np.zeros(20)
        ring = np.stack([none, up, across] if axis == 0 else [across, up, none], axis=1)
        self.canvas.polygons([self.place(ring + np.asarray(center, float))], color, glows)

    def arch(self, center: Sequence[float], radius: float, color: Color) -> None:
        """Fills the upper half of a disc in the local y-z plane: a wheel's arch."""
        angles = np.linspace(0, np.pi, 12)
        points = np.stack([np.zeros(12), radius * np.sin(angles), radius * np.cos(angles)], axis=1)
        self.canvas.polygons([self.place(points + np.asarray(center, float))], color)

    def ring(self, center: Sequence[float], radius: float, width: float, color: Color) -> None:
        """Draws a circle line in the local y-z plane: a wheel seen from the side."""
        angles = np.linspace(0, 2 * np.pi, 25)
        points = np.stack([np.zeros(25), radius * np.sin(angles), radius * np.cos(angles)], axis=1)
        self.stroke(points + np.asarray(center, float), width, color)

    def stroke(self, points: Sequence[Sequence[float]] | np.ndarray, width: float, color: Color) -> None:
        """Draws a line of ``width`` metres."""
        self.canvas.stroke(self.place(points), width, color)

    def ball(self, center: Sequence[float], radius: float, color: Color, glows: bool = False) -> None:
        """Draws a ball."""
        self.canvas.ball(self.place([center])[0], radius, color, glows)

    def shadow(self, width: float, length: float, strength: float) -> None:
        """Darkens the ground below an object of that size."""
        a, b = width / 2, length / 2
        ground = self.place([(-a, 0, -b), (a, 0, -b), (a, 0, b), (-a, 0, b)])
        ground[:, 1] = 0
        self.canvas.shadow(ground, strength)
