"""Memory in which forked processes leave the boxes that they have read.

Through the pipe of a pool, a million boxes take a fifth as long as reading them, most of it in the process that waits.
"""

import sys
from mmap import mmap

import numpy as np

CAN_FORK = sys.platform == "linux"
"""Whether a process may begin as a copy of another one, with which it then has memory in common; macOS's own libraries
do not bear it."""

BOX = np.dtype([("frame", np.int64), ("category", np.int64), ("corners", np.float64, 4), ("score", np.float64)])
"""A box in the memory: 56 bytes. In a label file ``{"category":"bus","score":0,"box2d":{"x1":0,"y1":0,"x2":0,"y2":0}}``
has 66, so that the boxes of a part always have room at its place."""


class CommonMemory:
    """As many bytes as a file, for the boxes of its parts, each at the place of its part.

    Only what is written takes up memory. It is the same for this process and for those that are forked later, to which
    it is handed as it is; it cannot be pickled.
    """

    def __init__(self, size: int) -> None:
        """Takes the size of the file in bytes."""
        self._memory = mmap(-1, size)

    def boxes(self, start: int, count: int) -> np.ndarray:
        """(N,) `BOX`, the ``count`` boxes of the part of the file that begins at byte ``start``, to write or read."""
        # NumPy is slower where numbers of eight bytes do not begin at a multiple of eight.
        return np.frombuffer(self._memory, BOX, count, -(-start // 8) * 8)
