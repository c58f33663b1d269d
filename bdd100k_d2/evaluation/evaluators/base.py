"""What the evaluators of all tasks share."""

import logging
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from ...data.dataset_task import EVALUATOR_PREFIX, dataset_task
from ...data.folders import visible_files
from ...data.register import existing
from ...data.slices import slice_frames
from ...errors import ConfigError, shown
from ...inside import inside
from ...tasks import TASKS, Task
from ..prediction_files import mask_path, write_submission, wrong_classes
from ..toolkit_format import ToolkitScores, summary, table, write_toolkit_scores
from .records import Record, frame_stem, has_labels, is_released, named_records

logger = logging.getLogger(__name__)

Records = list[dict[str, Any]]
"""The inputs or the outputs of a model, one per image."""

DatasetScores = dict[str, dict[str, float]]
"""Scores as Detectron2 prints them: by what was predicted and by metric."""


_SCORES, _SUBMISSION = "scores.json", "submission.zip"
COCO_LIST, COCO_PANOPTIC_LIST, COCO_PANOPTIC = "coco_instances_results.json", "coco_panoptic_results.json", "panoptic"
RECORDS_LIST = "record_instances_results.json"
"""What results in COCO's forms are called in the folder of an evaluation: lists, and the folder of PNG files.

The last is the first list by the records' own ``image_id``.
"""

_FOLDERS = (*sorted({task.result_folder for task in TASKS.values() if task.result_folder is not None}), COCO_PANOPTIC)


def check_results_folder(folder: Path) -> None:
    """Raises DataError where a folder of masks in ``folder`` is a link to another one, whose files are not of here."""
    for name in _FOLDERS:
        inside(folder, name)


class OfficialEvaluator(DatasetEvaluator):
    """Writes the predictions in the official form and, where the dataset has labels, ``scores.json``.

    A subclass collects in each process what its task needs: columns, matrices or counts, never one object per
    prediction; they are gathered once, at the end. A split without public labels gets a ``submission.zip`` for the
    evaluation server in place of scores, if its results are PNG files; a det.json needs no zip.

    The ground truth of BDD100K's own splits and slices are their label files; that of any other data set, which users
    register, are its records. Names and number of the classes are those of the data set's metadata. Only scores of
    BDD100K's classes are the official ones, and only of its own splits there is a ``submission.zip``.

    Attributes:
        task: the task, with the classes of the data set.
        output_dir: where files go; None if nothing is written.
        label_path: of the ground truth, which is there; None for a split without public labels, and for records.
        frames: of a slice, by the stems of their images: the only ones that are scored; None for a whole split.
        records: of a data set that users register, by the frames' names; None for one of BDD100K's.
        is_scored: whether there is ground truth.
        with_coco_results: also write results in COCO's forms, of boxes, instances and panoptic segments.
    """

    task_name: str
    with_coco_results = False

    def __init__(self, dataset_name: str, output_dir: str | os.PathLike[str] | None = None) -> None:
        """Reads the ground truth.

        Raises:
            ConfigError: the data set is of another task, its metadata has no classes, or its ground truth lies where
                the results go.
            DataError: the ground truth cannot be used.
        """
        self.dataset_name = dataset_name
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.task = _task_of(dataset_name, self.task_name)
        self.names = self.task.names
        self.label_path = self.frames = None
        self.records: dict[str, Record] | None = None
        if is_released(dataset_name):
            metadata = MetadataCatalog.get(dataset_name)
            places = (metadata.label_path, metadata.other_label_path)
            self.label_path = existing(*(None if path is None else Path(path) for path in places))
            self.frames = slice_frames(dataset_name)
            self.is_scored = self.label_path is not None
        else:
            self.records = named_records(dataset_name, self.task)
            self.is_scored = has_labels(self.records, self.task)
        self._check_places()
        self._forget()

    def _check_places(self) -> None:
        """Raises ConfigError where :meth:`reset` would remove ground truth, or images, as an earlier run's results."""
        if self.output_dir is None:
            return
        keys = ("file_name", "sem_seg_file_name", "bitmask_file_name", "pan_seg_file_name")
        records = [] if self.records is None else [*self.records.values()]
        found = {Path(str(record[key])).parent for record in records for key in keys if key in record}
        label_path = MetadataCatalog.get(self.dataset_name).get("label_path", None)
        found |= {Path(path) for path in (label_path, self.label_path) if path is not None}
        resolved = {path.resolve() for path in found}
        removed = [self.output_dir / name for name in (*self._result_lists(), *self._result_folders())]
        for place in (path.resolve() for path in removed):
            if any(path.is_relative_to(place) for path in resolved):
                raise ConfigError(
                    f"{self.dataset_name}: its labels or images are in {place}, where the results of its evaluation "
                    "go; choose another OUTPUT_DIR."
                )

    def _result_lists(self) -> list[str]:
        lists = [_SCORES, self.task.result_list]
        if self.task.result_folder is not None:
            lists.append(_SUBMISSION)
        if self.task.has_scores:
            lists += [COCO_LIST, RECORDS_LIST]
        elif self.task.form == "bitmasks":
            lists.append(COCO_PANOPTIC_LIST)
        return [name for name in lists if name is not None]

    def _result_folders(self) -> list[str]:
        has_segments = self.task.form == "bitmasks" and not self.task.has_scores
        folders = [self.task.result_folder, COCO_PANOPTIC if has_segments else None]
        return [name for name in folders if name is not None]

    @abstractmethod
    def _forget(self) -> None:
        """Forgets all predictions; called by the constructor."""

    @property
    def source(self) -> Path | str:
        """What messages call the ground truth."""
        return self.label_path or f"the records of {self.dataset_name}"

    def reset(self) -> None:
        """Forgets all predictions and removes what an earlier evaluation of the same frames left behind, by name.

        These are the files that this evaluator writes: the lists, ``submission.zip`` of masks, and the PNG files of the
        data set's frames. All else in the folder is not of here and stays. Raises DataError as
        :func:`check_results_folder`.
        """
        self._forget()
        if self.output_dir is not None and comm.is_main_process():
            check_results_folder(self.output_dir)
            for name in self._result_lists():
                (self.output_dir / name).unlink(missing_ok=True)
            for folder in self._result_folders():
                for stem in self._stems() if (self.output_dir / folder).is_dir() else ():
                    mask_path(self.output_dir / folder, stem).unlink(missing_ok=True)
        # No rank writes before the old files are gone.
        comm.synchronize()

    def check_predicted(self, found: Any, frame: str) -> None:  # noqa: ANN401, instances, logits, or segments
        """Raises ConfigError where what a model gives for a frame cannot be of the classes of the data set."""
        wrong = wrong_classes(self.task, found)
        if wrong is not None:
            raise ConfigError(
                f"{self.dataset_name}: frame {shown(frame)}: the model gives {wrong}, but the data set has "
                f"{self.task.num_classes} classes: {', '.join(map(shown, self.names))}; evaluate a data set with the "
                "classes of the model."
            )

    def _stems(self) -> Collection[str]:
        """The stems of the frames that may be predicted, as far as they are known before."""
        if self.records is not None:
            return self.records
        images = Path(MetadataCatalog.get(self.dataset_name).image_root)
        return {frame_stem(entry.name) for entry in visible_files(images)} if images.is_dir() else ()

    def report(self, key: str, scores: ToolkitScores, extra: ToolkitScores, per_class: str) -> DatasetScores:
        """Writes ``scores.json``, logs the table and returns Detectron2's form under ``key``.

        ``extra`` scores are returned beside the ``scores`` by the official metrics; ``per_class`` is the metric that is
        returned for each class, as "AP-car".
        """
        if self.output_dir is not None:
            write_toolkit_scores(scores, self.output_dir / _SCORES)
        if self.task.is_official:
            logger.info("Official scores of %s:\n%s", self.dataset_name, table(scores))
        else:
            names = ", ".join(self.names)
            logger.info("%s: not the official scores: own classes (%s).\n%s", self.dataset_name, names, table(scores))
        each = {f"{per_class}-{name}": value for name, value in scores[per_class][0].items()}
        return {key: summary(scores) | summary(extra) | each}

    def no_scores(self, predicted: Collection[str]) -> DatasetScores:
        """The result of a data set without labels: nothing but, of BDD100K's own, the file for the evaluation server.

        It has the results of the ``predicted`` frames alone: the folder may hold those of another split.
        """
        logger.info("%s has no public labels: no scores.", self.dataset_name)
        folder = self.task.result_folder
        if folder is not None and self.output_dir is not None and self.records is None:
            path = self.output_dir / _SUBMISSION
            parts = [f"{folder}/{mask_path('', name).name}" for name in predicted]
            parts += [] if self.task.result_list is None else [self.task.result_list]
            write_submission(self.output_dir, path, parts)
            logger.info("%s is ready for the evaluation server.", path)
        return {}


def _task_of(dataset_name: str, task_name: str) -> Task:
    metadata = MetadataCatalog.get(dataset_name)
    task = dataset_task(metadata)
    if task is None or task.name != task_name:
        raise ConfigError(
            f"{dataset_name} is no data set of {task_name}: its metadata has the evaluator_type "
            f"{metadata.get('evaluator_type', None)!r}; choose the evaluator of its task, or set it to "
            f"{EVALUATOR_PREFIX}{task_name}."
        )
    if not task.names:
        kinds = "stuff_classes" if task.form == "masks" else "thing_classes"
        raise ConfigError(f"{dataset_name}: its metadata names no classes; set its {kinds}.")
    twice = next((name for name, count in Counter(task.names).items() if count > 1), None)
    if twice is not None:
        raise ConfigError(
            f"{dataset_name}: two of its classes are called {shown(repr(twice))}, so that their scores could not be "
            "told apart; give each class of its metadata a name of its own."
        )
    return task
