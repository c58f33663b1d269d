"""Predicting a whole split, and the file for the evaluation server, checked."""

import os
import shutil
from pathlib import Path

from detectron2.config import CfgNode

from ..atomic import atomic_path
from ..data.datasets import load_images
from ..data.register import locate
from ..errors import ConfigError
from ..evaluation.results import write_submission
from ..evaluation.submission import Defect, check_submission
from ..parallel import cores
from ..tasks import TASKS
from .inputs import InputImages
from .predictor import Predictor
from .run import PredictionRun, Summary, task_of


class SubmissionRun:
    """Checks what a user asks for, before the model is built; then predicts a split and makes the server's file."""

    def __init__(
        self,
        cfg: CfgNode,
        task: str,
        path: Path,
        split: str = "test",
        root: str | os.PathLike[str] | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Finds the images of the split.

        Args:
            cfg: of a model of the task.
            task: one of `TASKS`.
            path: of the file; it ends in the task's ``submission_suffix``. The results of the frames go into a folder
                beside it, ``<name>_<task>_frames``.
            split: "train", "val" or "test".
            root: holds ``bdd100k/``; default: :func:`~bdd100k_d2.data.register.default_root`.
            resume: go on with the results in that folder.
            overwrite: replace them.

        Raises:
            ConfigError: the config is of another task, or ``path`` has another ending.
            DataError: the split's images are not there.
            OutputError: the folder cannot be written.
        """
        suffix = TASKS[task].submission_suffix
        if path.suffix.lower() != suffix:
            raise ConfigError(f"--out {path}: a submission of {task} ends in {suffix}.")
        of_config, _ = task_of(cfg)
        if of_config != task:
            raise ConfigError(f"the config is of {of_config}, not of {task}: its DATASETS.TEST says so.")
        self._task, self._path, self._split = TASKS[task], path, split
        self._images = locate(f"bdd100k_{task}_{split}", root).present().images
        self._source = InputImages({one["image_id"]: Path(one["file_name"]) for one in load_images(self._images)})
        self._folder = path.with_name(f"{path.stem}_{task}_frames")
        self._run = PredictionRun(cfg, self._source, self._folder, resume=resume, overwrite=overwrite)

    def run(self, predictor: Predictor) -> tuple[list[Defect], Summary]:
        """Predicts all images, writes the file and checks it: names, ids, categories, sizes, and their number.

        Returns:
            What is wrong with the file (nothing, if it can be handed in), and what the run did.

        Raises:
            BDD100KError: :meth:`PredictionRun.run` fails.
        """
        summary = self._run.run(predictor)
        parts = [name for name in (self._task.result_folder, self._task.result_list) if name is not None]
        if self._task.submission_suffix == ".json":
            with atomic_path(self._path) as temporary:
                shutil.copyfile(self._folder / parts[0], temporary)
        else:
            write_submission(self._folder, self._path, parts)
        findings = self._missing()
        findings += check_submission(self._task.name, self._path, list(self._source.paths), processes=cores())
        return findings, summary

    def _missing(self) -> list[Defect]:
        there, wanted = len(self._source.paths), self._task.counts[self._split].images
        if there == wanted:
            return []
        text = f"{there:,} images are there, the release has {wanted:,}; the server takes only all of them"
        return [Defect("split", str(self._images), None, text)]
