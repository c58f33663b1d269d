"""What an exported model's file says of itself: its task and classes, the images it takes, and where it comes from."""

from typing import Literal

import msgspec

from ..data.categories import Category
from ..errors import DataError, shown
from ..tasks import TASKS, Task

CARD_KEY = "bdd100k_d2"
"""The key of the file's metadata that holds the card, as JSON."""


class PanopticThresholds(msgspec.Struct, frozen=True):
    """How instances and stuff are merged: Detectron2's keys of ``MODEL.PANOPTIC_FPN.COMBINE``."""

    overlap: float
    stuff_area: float
    instance_score: float


USUAL_THRESHOLDS = PanopticThresholds(overlap=0.5, stuff_area=4096, instance_score=0.5)
"""Detectron2's, for a file that does not say them."""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """The card of a model file.

    Attributes:
        task: its name in `tasks.TASKS`.
        categories: the classes, in the order of their numbers in the output.
        size: height and width in pixels of the images that it takes; None for any.
        batch: how many images it takes at a time; None for any number.
        min_score: detections below it are not in the output; 0 where the task has no scores.
        precision: of the weights and of what is computed.
        config: the name of the config, or the path of its file.
        weights_sha256: of the file of weights that was exported.
        package_version: of this package, which wrote the file.
        panoptic: for panoptic models, whose graph ends before the merge; else None.
    """

    task: str
    categories: tuple[Category, ...]
    size: tuple[int, int] | None
    batch: int | None
    min_score: float
    precision: Literal["float32", "float16", "int8"]
    config: str
    weights_sha256: str
    package_version: str
    panoptic: PanopticThresholds | None = None

    @property
    def task_with_classes(self) -> Task:
        """The task with the classes of the model."""
        return TASKS[self.task].with_classes(self.categories)

    def to_json(self) -> str:
        """The card as text."""
        return msgspec.json.encode(self).decode()


def read_card(text: str, where: str) -> ModelCard:
    """The card that ``text`` holds; DataError, which begins with ``where``, if it is none."""
    try:
        card = msgspec.json.decode(text, type=ModelCard)
        if card.task not in TASKS:
            raise msgspec.ValidationError(f"there is no task {shown(card.task)!r}")
        if not card.categories:
            raise msgspec.ValidationError("there are no classes")
    except msgspec.MsgspecError as error:
        raise DataError(
            f"{where}: its metadata {CARD_KEY!r} is no card of a model of this package ({error}); export it again."
        ) from error
    return card
