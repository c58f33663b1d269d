"""What the evaluators of all tasks share."""

import logging
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from ...data.register import existing
from ...data.slices import slice_frames
from ...tasks import TASKS
from ..results import write_submission
from ..toolkit_format import ToolkitScores, summary, table, write_scores

logger = logging.getLogger(__name__)

Inputs = list[dict[str, Any]]
Scores = dict[str, dict[str, float]]


class OfficialEvaluator(DatasetEvaluator):
    """Writes the predictions in the official form and, where the dataset has labels, ``scores.json``.

    A subclass collects in each process what its task needs: columns, matrices or counts, never one object a
    prediction; they are gathered once, at the end.

    Attributes:
        task: of the subclass.
        submission: of the subclass; what goes into ``submission.zip`` for the evaluation server, which is written for
            splits without public labels. A det.json needs no zip.
        dataset_name: in Detectron2's catalogs.
        output_dir: of all files.
        names: of the task's classes.
        label_path: of the ground truth, which is there; None for a split without public labels.
        frames: of a slice, by the stems of their images: the only ones that are scored; None for a whole split.
    """

    task: str
    submission: tuple[str, ...] = ()

    def __init__(self, dataset_name: str, output_dir: Path) -> None:
        """Takes a registered dataset of the task and the folder to write into."""
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        self.names = TASKS[self.task].names
        metadata = MetadataCatalog.get(dataset_name)
        # A dataset that users register themselves has no second place.
        places = (metadata.label_path, metadata.get("other_label_path", None))
        self.label_path = existing(*(None if path is None else Path(path) for path in places))
        self.frames = slice_frames(dataset_name)

    def reset(self) -> None:
        """Forgets all predictions and removes what an earlier evaluation, perhaps of another split, left behind."""
        if comm.is_main_process():
            for pattern in ("*.json", "*.zip", "masks/*.png", "bitmasks/*.png"):
                for path in self.output_dir.glob(pattern):
                    path.unlink()
        # No rank writes before the old files are gone.
        comm.synchronize()

    def report(self, key: str, official: ToolkitScores, further: ToolkitScores, per_class: str) -> Scores:
        """Writes ``scores.json``, logs the official table and returns Detectron2's form.

        Args:
            key: of the result: "bbox", "sem_seg" ...
            official: scores.
            further: scores that the official tool does not have.
            per_class: the metric that is returned for each class, as "AP-car".
        """
        write_scores(official, self.output_dir / "scores.json")
        logger.info("Official scores of %s:\n%s", self.dataset_name, table(official))
        each = {f"{per_class}-{name}": value for name, value in official[per_class][0].items()}
        return {key: summary(official) | summary(further) | each}

    def no_scores(self) -> Scores:
        """The result of a split without public labels: nothing but the file for the evaluation server."""
        logger.info("%s has no public labels: no scores.", self.dataset_name)
        if self.submission:
            path = self.output_dir / "submission.zip"
            write_submission(self.output_dir, path, self.submission)
            logger.info("%s is ready for the evaluation server.", path)
        return {}
