"""What the results of a run follow from beside its input: the model, by what tells it again when the run goes on."""

from typing import NamedTuple

from ..tasks import Task


class ModelIdentity(NamedTuple):
    """The task with the model's classes, and the texts by which `RunSettings` tells its config and its weights.

    Detections below ``min_score`` a model file does not give.
    """

    task: Task
    config: str
    weights: str
    min_score: float = 0.0
