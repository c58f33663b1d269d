"""The pinhole camera and the road it stands on: metres to pixels."""

from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 1280, 720
NEAR = 0.7
"""Metres in front of the camera; nothing nearer is drawn."""


@dataclass(frozen=True)
class Camera:
    """A level camera above a flat ground. x points right, y up from the ground, z forward, all in metres."""

    focal: float
    horizon: float
    height: float
    center: float = WIDTH / 2

    def project(self, points: np.ndarray) -> np.ndarray:
        """Projects (N, 3) points with z >= NEAR to (N, 2) pixel coordinates (x, y); pixel centres are integers."""
        scale = self.focal / points[:, 2]
        flat = np.empty((len(points), 2))
        flat[:, 0] = self.center + points[:, 0] * scale
        flat[:, 1] = self.horizon + (self.height - points[:, 1]) * scale
        return flat

    def ground_depth(self) -> np.ndarray:
        """The distance of the ground seen in each image row, (HEIGHT,) metres, infinite above the horizon."""
        below = np.arange(HEIGHT) - self.horizon
        return np.where(below > 0.5, self.focal * self.height / np.maximum(below, 0.5), np.inf)


@dataclass(frozen=True)
class Road:
    """The road's course and cross-section. Lateral positions are in metres right of the ego lane's centre."""

    heading: float
    curvature: float
    offset: float
    lane: float
    lanes_left: int
    lanes_right: int
    lanes_opposing: int
    parking_left: bool
    parking_right: bool
    sidewalk_left: float
    sidewalk_right: float
    junction: float | None

    def x(self, lateral: float | np.ndarray, z: float | np.ndarray) -> float | np.ndarray:
        """The camera's x, in metres, of a lateral position at distance ``z``."""
        return lateral - self.offset + self.heading * z + 0.5 * self.curvature * z * z

    def yaw(self, z: float) -> float:
        """The road's direction at distance ``z`` in radians, 0 straight ahead, positive to the right."""
        return float(np.arctan(self.heading + self.curvature * z))

    @property
    def center_line(self) -> float:
        """The lateral position that divides the two directions."""
        return -self.lane * (0.5 + self.lanes_left)

    @property
    def left(self) -> float:
        """The lateral position of the left edge of the carriageway."""
        return self.center_line - self.lane * self.lanes_opposing - (2.4 if self.parking_left else 0.4)

    @property
    def right(self) -> float:
        """The lateral position of the right edge of the carriageway."""
        return self.lane * (0.5 + self.lanes_right) + (2.4 if self.parking_right else 0.4)


def clip(points: np.ndarray, axis: int, limit: float, keep_above: bool) -> np.ndarray:
    """The part of an (N, D) polygon on one side of an axis-aligned plane, as (M, D); M may be 0."""
    values = points[:, axis] - limit if keep_above else limit - points[:, axis]
    if (values >= 0).all():
        return points
    if (values < 0).all():
        return points[:0]
    following, after = np.roll(points, -1, axis=0), np.roll(values, -1)
    kept: list[np.ndarray] = []
    for point, value, other, other_value in zip(points, values, following, after, strict=True):
        if value >= 0:
            kept.append(point)
        if (value >= 0) != (other_value >= 0):
            kept.append(point + (other - point) * (value / (value - other_value)))
    return np.array(kept)
