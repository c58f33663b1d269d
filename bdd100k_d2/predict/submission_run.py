"""A split that is predicted for the evaluation server: a prediction run, and the file of a submission that it makes."""

import shutil
from pathlib import Path

from detectron2.config import CfgNode

from ..atomic import atomic_path, check_out_file, file_digest, write_atomic
from ..data.datasets import load_images
from ..data.register import data_folder, locate
from ..errors import ConfigError, OutputError, shown
from ..evaluation.prediction_files import write_submission
from ..evaluation.submission import Defect, check_submission, incomplete_split
from ..inside import refuse_overwriting
from ..lock import locked
from ..parallel import cores
from ..tasks import TASKS
from .config_task import task_of
from .inputs import InputImages
from .predictor import Predictor
from .run import PredictionRun, Summary

# In the folder of the frames: the SHA-256 of the file that was made of them, or is about to be.
_DIGEST = "submission.sha256"


class SubmissionRun:
    """Checks what a user asks for, before the model is built; then predicts a split and makes the server's file."""

    def __init__(
        self,
        cfg: CfgNode,
        task: str,
        path: Path,
        split: str = "test",
        root: Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Finds the images of the split below ``root``/bdd100k; see `data.root.default_root`.

        The results of the frames go into a folder beside the file, ``<name>_<task>_frames``; ``resume`` goes on with
        those in it, ``overwrite`` replaces them. A file at ``path`` is replaced with ``overwrite``, and with ``resume``
        if it was made of those frames.

        Raises:
            ConfigError: the config is of another task, or ``path`` has another ending.
            DataError: the split's images are not there.
            OutputError: the folder or the file cannot be written, or must not be replaced.
        """
        if path.suffix.lower() != (suffix := TASKS[task].submission_suffix):
            raise ConfigError(f"--out {path}: a submission of {task} ends in {suffix}.")
        if (of_config := task_of(cfg)).name != task:
            raise ConfigError(f"the config is of {of_config.name}, not of {task}: its DATASETS.TEST says so.")
        if not of_config.is_official:
            raise ConfigError(
                f"the server takes BDD100K's classes of {task}, all of them and no others, but the first set of "
                f"DATASETS.TEST has {shown(', '.join(of_config.names))}; tools/predict.py predicts those."
            )
        self._task, self._path, self._split = TASKS[task], path, split
        self._images = locate(f"bdd100k_{task}_{split}", root).present().images
        self._source = InputImages({one["image_id"]: Path(one["file_name"]) for one in load_images(self._images)})
        self._folder = path.with_name(f"{path.stem}_{task}_frames")
        self._resume, self._overwrite = resume, overwrite
        check_out_file(path)
        weights = Path(cfg.MODEL.WEIGHTS)
        refuse_overwriting(path, [data_folder(root), *([weights] if weights.is_file() else [])])
        self._run = PredictionRun(cfg, self._source, self._folder, resume=resume, overwrite=overwrite)
        self._check_file()

    def _check_file(self) -> None:
        """Raises OutputError if the file is there and is not to be replaced."""
        path = self._path
        if self._overwrite or not path.is_file():
            return
        if not self._resume:
            raise OutputError(f"{path}: is there; give --overwrite to replace it, or choose another --out.")
        if file_digest(path) not in self._digests():
            raise OutputError(
                f"{path}: is there, but was not made of {self._folder}; move it, or choose another --out."
            )

    def run(self, predictor: Predictor) -> tuple[list[Defect], Summary]:
        """Predicts all images and writes the file; returns what is wrong with it, and what the run did.

        Raises:
            BDD100KError: :meth:`PredictionRun.run` fails.
        """
        with locked(self._folder):
            summary = self._run.run(predictor)
            self._check_file()
            self._write(summary)
        frames = list(self._source.paths)
        incomplete = incomplete_split(self._task.name, self._split, self._images, frames)
        defects = check_submission(self._task.name, self._path, frames, processes=cores())
        return ([] if incomplete is None else [incomplete]) + defects, summary

    def _digests(self) -> list[str]:
        path = self._folder / _DIGEST
        return path.read_text(errors="replace").split() if path.is_file() else []

    def _write(self, summary: Summary) -> None:
        before = file_digest(self._path) if self._path.is_file() else None
        with atomic_path(self._path) as temporary:
            if self._task.submission_suffix == ".json":
                shutil.copyfile(summary.files[0], temporary)
            else:
                write_submission(self._folder, temporary, [path.name for path in summary.files])
            # By which a later start knows the file again, whichever of the two is there if this one ends here.
            known = [one for one in self._digests() if one == before]
            write_atomic(self._folder / _DIGEST, "\n".join([*known, file_digest(temporary)]) + "\n")
