"""What a task of BDD100K is: its classes, where its images and labels lie, what was released, names and scores.

Data only. What is done for a task stands in its layer, in one dict there with the names of `TASKS` for keys.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

from .data.categories import (
    DET,
    DET_CLASSES,
    DRIVABLE,
    IGNORE_LABEL,
    INS_SEG,
    PAN_SEG,
    SEM_SEG,
    Category,
    LabelClass,
    is_known,
    own_categories,
)
from .errors import DataError, shown

SPLITS = ("train", "val", "test")
"""The images of each task; ``test`` has no public labels."""

NO_SUCH_VALUE = -1
"""In `Task.class_of_value`: no mask of the task has a pixel of this value."""


class SplitCounts(NamedTuple):
    """The number of images of a released split and of the frames that its labels have; None where not known."""

    images: int
    frames: int | None


class Metric(NamedTuple):
    """A field of ``scores.json``: its key, how a page calls its mean and its column, and what it measures."""

    key: str
    mean_title: str
    column_title: str
    meaning: str
    in_headline: bool
    in_table: bool = True


@dataclass(frozen=True)
class Task:
    """A task. Paths are those of the official downloads below ``<root>/bdd100k``, with ``{split}`` in them.

    Attributes:
        name: as in ``bdd100k_<name>_val`` and on the command lines.
        categories: the classes, in the order of their training ids.
        form: what the labels and the results are: boxes, masks with a class for each pixel, or bitmasks of objects.
        labels: the label file, or the folder of masks or bitmasks.
        counts: what was released, by split; nothing of other classes than BDD100K's.
        metrics: the fields of ``scores.json``.
        plotted: the keys of the scores that are drawn over a training.
        other_images, other_labels: where another download has them; None if there is no other.
        attribute_files: label files that have the frames' attributes; the first that is there counts.
        result_list: the JSON file of the results: of boxes, or of the scores of bitmasks; None if there is none.
        has_scores: the results are objects with scores.
        unscored: the id of a class that is trained and predicted but not scored; None if all are scored.
        class_of_value: 256 numbers, for masks: the training id that each value of a pixel stands for, `IGNORE_LABEL`
            for one that is neither trained nor scored, `NO_SUCH_VALUE` for one that no mask may hold.
        other_names: category names that labels may have besides those of the classes, and the class that each is of.
    """

    name: str
    title: str
    categories: tuple[Category, ...]
    form: Literal["boxes", "masks", "bitmasks"]
    images: str
    labels: str
    counts: Mapping[str, SplitCounts]
    metrics: tuple[Metric, ...]
    plotted: tuple[str, ...]
    other_images: str | None = None
    other_labels: str | None = None
    attribute_files: tuple[str, ...] = ()
    result_list: str | None = None
    has_scores: bool = False
    unscored: int | None = None
    class_of_value: tuple[int, ...] = ()
    other_names: Mapping[str, LabelClass] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names."""
        return tuple(category.name for category in self.categories)

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """The classes' RGB colours."""
        return tuple(category.color for category in self.categories)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.categories)

    @cached_property
    def label_classes(self) -> Mapping[str, LabelClass]:
        """By each category name that a label may have, the class that it is of."""
        return {name: LabelClass(i, False) for i, name in enumerate(self.names)} | dict(self.other_names)

    @property
    def is_official(self) -> bool:
        """Whether it has BDD100K's classes; only then are files and scores those of the official toolkit."""
        official = SCORED_TASKS.get(self.name)
        return official is self or (official is not None and official.names == self.names)

    def with_names(self, names: Sequence[str], colors: Sequence[Sequence[int]] | None = None) -> "Task":
        """The task with the classes of these names, as `with_classes`; without ``colors`` BDD100K's keep theirs."""
        official = SCORED_TASKS[self.name]
        if colors is None and [*names] == [*official.names]:
            return official
        return self.with_classes(own_categories(names, colors, are_things=self.form != "masks"))

    def with_classes(self, categories: Sequence[Category]) -> "Task":
        """The task with other classes, each of one name alone; where they are BDD100K's, in order, only their colours.

        With its colours too it is the task of BDD100K itself.
        """
        official = SCORED_TASKS[self.name]
        if [category.name for category in categories] == [*official.names]:
            colors = tuple(category.color for category in categories)
            if colors == official.colors:
                return official
            return replace(
                official,
                categories=tuple(
                    own._replace(color=color) for own, color in zip(official.categories, colors, strict=True)
                ),
            )
        return replace(
            official,
            categories=tuple(categories),
            counts={},
            unscored=None,
            class_of_value=_ids(categories) if self.form == "masks" else (),
            other_names={},
        )

    def class_of(self, category: str | None, where: str) -> LabelClass:
        """The class of a label by its category name; DataError, which begins with ``where``, for an unknown one."""
        known = self.label_classes.get(category or "")
        if known is None:
            names, classes = self.names, self.label_classes
            aliases = [name for name, one in classes.items() if not one.ignored and name not in names]
            ignored = [name for name, one in classes.items() if one.ignored]
            parts = [f"Known are {', '.join(map(shown, names))}"]
            parts += [f"the aliases {', '.join(aliases)}"] if aliases else []
            parts += [f"and the ignored {', '.join(ignored)}"] if ignored else []
            raise DataError(f"{where}: unknown category {shown(repr(category))}. {', '.join(parts)}.")
        return known

    def class_if_any(self, category: str | None, where: str) -> LabelClass | None:
        """As `class_of`, but None for a class of another task of BDD100K, which has no part in this one."""
        if self.is_official and category not in self.label_classes and is_known(category):
            return None
        return self.class_of(category, where)

    def __reduce__(self) -> tuple[Callable[..., "Task"], tuple[object, ...]]:
        # A task of BDD100K is one object in each process; its mappings cannot be pickled.
        return _with_classes, (self.name, self.categories)

    @property
    def result_folder(self) -> str | None:
        """The folder with one PNG per frame that results go into; None for boxes."""
        return None if self.form == "boxes" else self.form

    @property
    def results(self) -> tuple[str, ...]:
        """What the results are, by their places in the folder of an evaluation: the PNG files' folder and the list."""
        return tuple(place for place in (self.result_folder, self.result_list) if place is not None)

    @property
    def submission_suffix(self) -> str:
        """The ending of the file that the evaluation server takes: boxes as they are, PNG files as a zip."""
        return ".json" if self.form == "boxes" else ".zip"


def _with_classes(name: str, categories: tuple[Category, ...]) -> Task:
    return SCORED_TASKS[name].with_classes(categories)


def _ids(categories: Sequence[Category]) -> tuple[int, ...]:
    """The values of masks that hold the training ids themselves."""
    known = range(len(categories))
    return tuple(value if value in known or value == IGNORE_LABEL else NO_SUCH_VALUE for value in range(256))


_COCO = (
    Metric("AP", "AP", "AP", "average precision, mean over the IoU thresholds 0.50 to 0.95", True),
    Metric("AP50", "AP50", "AP50", "average precision at IoU 0.50", True),
    Metric("AP75", "AP75", "AP75", "average precision at IoU 0.75", True),
    Metric("APs", "APs", "APs", "AP of small objects, below 32 x 32 pixels", True),
    Metric("APm", "APm", "APm", "AP of medium objects, 32 x 32 to 96 x 96 pixels", True),
    Metric("APl", "APl", "APl", "AP of large objects, above 96 x 96 pixels", True),
    Metric("AR1", "AR1", "AR1", "average recall with 1 detection per frame", False),
    Metric("AR10", "AR10", "AR10", "average recall with 10 detections per frame", False),
    Metric("AR100", "AR100", "AR100", "average recall with 100 detections per frame", False),
    Metric("ARs", "ARs", "ARs", "AR100 of small objects", False),
    Metric("ARm", "ARm", "ARm", "AR100 of medium objects", False),
    Metric("ARl", "ARl", "ARl", "AR100 of large objects", False),
)
_SEGMENTATION = (
    Metric("IoU", "mIoU", "IoU", "intersection over union; the mean is over the classes in the ground truth", True),
    Metric("fIoU", "fIoU", "fIoU", "IoU weighted by how often a class occurs", True, in_table=False),
    Metric("pAcc", "pAcc", "pAcc", "share of the labelled pixels whose class is right", True, in_table=False),
    # The official name is Acc; it divides by the predicted pixels, so it is precision, not recall.
    Metric("Acc", "mean precision", "Precision", 'right pixels over predicted pixels; officially named "Acc"', True),
)
_PANOPTIC = (
    Metric("PQ", "PQ", "PQ", "panoptic quality: segmentation quality times recognition quality", True),
    Metric("SQ", "SQ", "SQ", "segmentation quality: mean IoU of the segments that were found", True),
    Metric("RQ", "RQ", "RQ", "recognition quality: F1 of the segments", True),
)

# Instance segmentation has the first of the detection classes.
_INS_SEG_CLASSES = {name: one for name, one in DET_CLASSES.items() if one.index < len(INS_SEG)}

_DET_LABELS = "labels/det_20/det_{split}.json"


def _counts(train: tuple[int, int | None], val: tuple[int, int | None], test: int) -> Mapping[str, SplitCounts]:
    return MappingProxyType(dict(zip(SPLITS, map(SplitCounts._make, (train, val, (test, None))), strict=True)))


def _attribute_files(name: str, *folders: str) -> tuple[str, ...]:
    return tuple(f"labels/{name}/{folder}/{name}_{{split}}.json" for folder in folders)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "det",
            "Object detection",
            DET,
            "boxes",
            images="images/100k/{split}",
            labels=_DET_LABELS,
            counts=_counts((70_000, 69_863), (10_000, 10_000), 20_000),
            metrics=_COCO,
            plotted=("AP", "AP50"),
            attribute_files=(_DET_LABELS,),
            result_list="det.json",
            has_scores=True,
            other_names=DET_CLASSES,
        ),
        Task(
            "sem_seg",
            "Semantic segmentation",
            SEM_SEG,
            "masks",
            images="images/10k/{split}",
            labels="labels/sem_seg/masks/{split}",
            counts=_counts((7_000, 7_000), (1_000, 1_000), 2_000),
            metrics=_SEGMENTATION,
            plotted=("mIoU", "pAcc"),
            # The download of 2018.
            other_images="seg/images/{split}",
            other_labels="seg/labels/{split}",
            attribute_files=_attribute_files("sem_seg", "polygons", "rles"),
            class_of_value=_ids(SEM_SEG),
        ),
        Task(
            "drivable",
            "Drivable area",
            DRIVABLE,
            "masks",
            images="images/100k/{split}",
            labels="labels/drivable/masks/{split}",
            counts=_counts((70_000, None), (10_000, None), 20_000),
            metrics=_SEGMENTATION,
            plotted=("mIoU", "pAcc"),
            attribute_files=(_DET_LABELS, *_attribute_files("drivable", "polygons")),
            unscored=len(DRIVABLE) - 1,
            class_of_value=_ids(DRIVABLE),
        ),
        Task(
            "ins_seg",
            "Instance segmentation",
            INS_SEG,
            "bitmasks",
            images="images/10k/{split}",
            labels="labels/ins_seg/bitmasks/{split}",
            counts=_counts((7_000, 7_000), (1_000, 1_000), 2_000),
            metrics=_COCO,
            plotted=("AP", "AP50"),
            other_labels="labels/ins_seg/rles/ins_seg_{split}.json",
            attribute_files=_attribute_files("ins_seg", "polygons", "rles"),
            result_list="score.json",
            has_scores=True,
            other_names=_INS_SEG_CLASSES,
        ),
        Task(
            "pan_seg",
            "Panoptic segmentation",
            PAN_SEG,
            "bitmasks",
            images="images/10k/{split}",
            labels="labels/pan_seg/bitmasks/{split}",
            counts=_counts((7_000, 7_000), (1_000, 1_000), 2_000),
            metrics=_PANOPTIC,
            plotted=("PQ",),
            other_labels="labels/pan_seg/rles/pan_seg_{split}.json",
            attribute_files=_attribute_files("pan_seg", "polygons", "rles"),
        ),
    )
}

SCORED_TASKS: dict[str, Task] = TASKS | {
    "box_track": Task(
        "box_track",
        "Multiple object tracking",
        # The countable classes that move, as instance segmentation has them.
        INS_SEG,
        "boxes",
        images="images/track/{split}",
        labels="labels/box_track_20/{split}",
        counts={},
        metrics=(),
        plotted=(),
        result_list="box_track.json",
        has_scores=True,
        other_names=_INS_SEG_CLASSES,
    )
}
"""Those, and tasks of videos, whose files are scored and predicted: nothing is trained for them."""
