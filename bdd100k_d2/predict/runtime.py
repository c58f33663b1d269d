"""What a `Predictor` runs a model on: the interface that the PyTorch model of a config and model files share."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .model_identity import ModelIdentity


class Runtime(ABC):
    """A model that is ready to predict."""

    fixed_batch: int | None = None
    """How many frames it takes at a time; None for any number."""

    @property
    @abstractmethod
    def identity(self) -> ModelIdentity:
        """What tells the model, and the task with its classes."""

    @abstractmethod
    def prepare(self, image: np.ndarray, where: str) -> tuple[Any, tuple[int, ...]]:
        """What :meth:`infer` takes of a frame (H, W, 3) uint8, RGB, and its shape; any thread may.

        A batch has frames of one shape. ``where`` begins the message of the DataError for a frame that cannot be taken.
        """

    @abstractmethod
    def infer(self, batch: list[Any]) -> list[dict[str, Any]]:
        """The outputs for what :meth:`prepare` has made of frames of one shape, at the frames' sizes."""

    def on_cpu(self, output: dict[str, Any]) -> dict[str, Any]:
        """An output where NumPy can have it."""
        return output
