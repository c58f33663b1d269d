"""Where objects will be in the next frame: Kalman filters of constant velocity, of all objects at once."""

import numpy as np

# Standard deviations of a place and of a velocity, as shares of the size of the box.
_PLACE, _VELOCITY = 1 / 20, 1 / 160
# Of an object that has just been found: nothing is known of its velocity.
_FIRST_PLACE, _FIRST_VELOCITY = 2 * _PLACE, 10 * _VELOCITY


class BoxMotion:
    """The middle and the size of N boxes, x, y, width and height, each with its velocity in pixels a frame.

    The noise of the four is independent, as in SORT and ByteTrack, so that a filter of eight numbers is four of two.

    Attributes:
        place, velocity: (N, 4) float64.
        variance: (N, 4, 3) float64 of the place, of place and velocity, of the velocity.
    """

    def __init__(self) -> None:
        self.place, self.velocity = np.empty((0, 4)), np.empty((0, 4))
        self.variance = np.empty((0, 4, 3))

    @property
    def corners(self) -> np.ndarray:
        """(N, 4) float64 x1, y1, x2, y2 of the boxes."""
        half = self.place[:, 2:] / 2
        return np.concatenate([self.place[:, :2] - half, self.place[:, :2] + half], axis=1)

    def add(self, corners: np.ndarray) -> None:
        """Adds boxes, of (M, 4) corners, behind those that are there."""
        place = _place(corners)
        size = _size(place)
        variance = np.zeros((len(place), 4, 3))
        variance[..., 0], variance[..., 2] = (_FIRST_PLACE * size) ** 2, (_FIRST_VELOCITY * size) ** 2
        self.place = np.concatenate([self.place, place])
        self.velocity = np.concatenate([self.velocity, np.zeros_like(place)])
        self.variance = np.concatenate([self.variance, variance])

    def keep(self, rows: np.ndarray) -> None:
        """Leaves only some ``rows``, in their order."""
        self.place, self.velocity, self.variance = self.place[rows], self.velocity[rows], self.variance[rows]

    def predict(self, is_seen: np.ndarray) -> None:
        """Goes on to the next frame; boxes that are not seen, of (N,) bool, keep their size."""
        self.velocity[~is_seen, 2:] = 0
        self.place += self.velocity
        size, variance = _size(self.place), self.variance
        variance[..., 0] += 2 * variance[..., 1] + variance[..., 2] + (_PLACE * size) ** 2
        variance[..., 1] += variance[..., 2]
        variance[..., 2] += (_VELOCITY * size) ** 2

    def correct(self, rows: np.ndarray, corners: np.ndarray) -> None:
        """Takes in what was found, (M, 4) corners, of the boxes in ``rows``."""
        place, variance = self.place[rows], self.variance[rows]
        gain = variance[..., :2] / (variance[..., :1] + ((_PLACE * _size(place)) ** 2)[..., None])
        error = _place(corners) - place
        self.place[rows] = place + gain[..., 0] * error
        self.velocity[rows] += gain[..., 1] * error
        left = 1 - gain[..., 0]
        self.variance[rows] = np.stack(
            [
                left * variance[..., 0],
                left * variance[..., 1],
                variance[..., 2] - gain[..., 1] * variance[..., 1],
            ],
            axis=-1,
        )


def _place(corners: np.ndarray) -> np.ndarray:
    size = corners[:, 2:] - corners[:, :2]
    return np.concatenate([corners[:, :2] + size / 2, size], axis=1)


def _size(place: np.ndarray) -> np.ndarray:
    """(N, 4) width, height, width, height, one pixel at least."""
    return np.maximum(np.concatenate([place[:, 2:], place[:, 2:]], axis=1), 1)
