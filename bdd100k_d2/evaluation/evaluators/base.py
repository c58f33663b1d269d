"""What the evaluators of all tasks share."""

import logging
from abc import abstractmethod
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from ...data.register import existing
from ...data.slices import slice_frames
from ...inside import inside
from ...tasks import TASKS
from ..prediction_files import write_submission
from ..toolkit_format import ToolkitScores, summary, table, write_toolkit_scores

logger = logging.getLogger(__name__)

Records = list[dict[str, Any]]
"""The inputs or the outputs of a model, one per image."""

DatasetScores = dict[str, dict[str, float]]
"""Scores as Detectron2 prints them: by what was predicted and by metric."""


_SCORES, _SUBMISSION = "scores.json", "submission.zip"
_FILES = (_SCORES, _SUBMISSION, *sorted(task.result_list for task in TASKS.values() if task.result_list is not None))
_FOLDERS = sorted({task.result_folder for task in TASKS.values() if task.result_folder is not None})


def check_results_folder(folder: Path) -> None:
    """Raises DataError where a folder of masks in ``folder`` is a link to another one, whose files are not of here."""
    for name in _FOLDERS:
        inside(folder, name)


class OfficialEvaluator(DatasetEvaluator):
    """Writes the predictions in the official form and, where the dataset has labels, ``scores.json``.

    A subclass collects in each process what its task needs: columns, matrices or counts, never one object per
    prediction; they are gathered once, at the end. A split without public labels gets a ``submission.zip`` for the
    evaluation server in place of scores, if its results are PNG files; a det.json needs no zip.

    Attributes:
        label_path: of the ground truth, which is there; None for a split without public labels.
        frames: of a slice, by the stems of their images: the only ones that are scored; None for a whole split.
    """

    task: str

    def __init__(self, dataset_name: str, output_dir: Path) -> None:
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        self.names = TASKS[self.task].names
        metadata = MetadataCatalog.get(dataset_name)
        # A dataset that users register themselves has no second place.
        places = (metadata.label_path, metadata.get("other_label_path", None))
        self.label_path = existing(*(None if path is None else Path(path) for path in places))
        self.frames = slice_frames(dataset_name)
        self._forget()

    @abstractmethod
    def _forget(self) -> None:
        """Forgets all predictions; called first by the constructor."""

    def reset(self) -> None:
        """Forgets all predictions and removes what an earlier evaluation, perhaps of another split, left behind.

        Raises DataError as :func:`check_results_folder`.
        """
        self._forget()
        if comm.is_main_process():
            check_results_folder(self.output_dir)
            # By their names: the folder may be a link to one that holds more.
            for pattern in (*_FILES, *(f"{folder}/*.png" for folder in _FOLDERS)):
                for path in self.output_dir.glob(pattern):
                    path.unlink()
        # No rank writes before the old files are gone.
        comm.synchronize()

    def report(self, key: str, official: ToolkitScores, extra: ToolkitScores, per_class: str) -> DatasetScores:
        """Writes ``scores.json``, logs the official table and returns Detectron2's form under ``key``.

        ``extra`` scores are returned beside the ``official`` ones; ``per_class`` is the metric that is returned for
        each class, as "AP-car".
        """
        write_toolkit_scores(official, self.output_dir / _SCORES)
        logger.info("Official scores of %s:\n%s", self.dataset_name, table(official))
        each = {f"{per_class}-{name}": value for name, value in official[per_class][0].items()}
        return {key: summary(official) | summary(extra) | each}

    def no_scores(self) -> DatasetScores:
        """The result of a split without public labels: nothing but the file for the evaluation server."""
        logger.info("%s has no public labels: no scores.", self.dataset_name)
        if TASKS[self.task].result_folder is not None:
            path = self.output_dir / _SUBMISSION
            write_submission(self.output_dir, path, TASKS[self.task].results)
            logger.info("%s is ready for the evaluation server.", path)
        return {}
