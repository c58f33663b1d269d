"""The checkpoints of a run: each whole, the wanted ones kept, and a damaged one passed over."""

import logging
import re
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import torch
from detectron2.utils import comm
from torch import nn

from ..atomic import file_digest, write_atomic
from ..errors import ConfigError, DataError, OutputError, WeightsError
from ..inside import check_plain_name
from .checksum import is_as_written, read_checked, remove_checked, write_checked
from .class_names import ClassNames, as_kept
from .loading import CheckingCheckpointer
from .reading import DAMAGED, reason

logger = logging.getLogger(__name__)

# The name of the checkpoint with the best score so far.
BEST = "model_best"
_TAG = "last_checkpoint"
_NUMBERED = re.compile(r"model_(\d+)\.pth")
# What a process that was killed while it saved leaves behind, see `atomic.atomic_path`.
_LEFTOVER = re.compile(rf"\.(.+\.pth(\.sha256)?|{_TAG})\.\d+\.tmp")


class _Found(NamedTuple):
    path: Path
    content: dict[str, Any]


class TrainingCheckpointer(CheckingCheckpointer):
    """Detectron2's checkpointer with checksums, for training.

    Each checkpoint has the names of the ``classes`` that are trained, see `class_names`. Beside ``<name>.pth`` stands
    ``<name>.pth.sha256``; ``last_checkpoint`` names a checkpoint only after both have reached the disk. Of the
    checkpoints ``model_<iteration>.pth`` it keeps the newest ``keep``, 0 for all; others, such as the best one and
    ``model_final.pth``, are not counted and stay. By default the main process alone writes.

    Attributes:
        run: names the run, from its start through every time it is resumed.
        newest: the checkpoint that this process tagged last; None before.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        keep: int = 0,
        classes: ClassNames | None = None,
        **kwargs: Any,  # noqa: ANN401, the parent's
    ) -> None:
        super().__init__(model, save_dir, exact=True, classes=classes, **kwargs)
        self.keep = keep
        self.run = uuid.uuid4().hex
        self.newest: Path | None = None
        self._cleared = False

    def save(self, name: str, *, tag: bool = True, **kwargs: Any) -> None:  # noqa: ANN401, what can be pickled
        """Writes ``<name>.pth`` with ``kwargs`` in it, then deletes the checkpoints that are not kept.

        With ``tag`` a resumed run goes on from it. An `OutputError` leaves what was there as it was.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        path = Path(self.save_dir, f"{name}.pth")
        self._clear_leftovers()
        content = {"model": self.model.state_dict(), "run": self.run, **as_kept(self.classes)}
        content |= {key: value.state_dict() for key, value in self.checkpointables.items()} | kwargs
        logger.info("Saving checkpoint to %s", path)
        try:
            write_checked(content, path)
            if tag:
                self.tag_last_checkpoint(path.name)
        except OutputError as error:
            raise OutputError(f"{error} {self._what_is_left()}") from error
        if tag:
            self.newest = path
            self._delete_old(path)

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Names the checkpoint that a resumed run goes on from; an `OutputError` leaves the name as it was."""
        write_atomic(Path(self.save_dir, _TAG), last_filename_basename)

    def last_good(self) -> Path | None:
        """The checkpoint to go on from: the one in ``last_checkpoint``, or if it is damaged the newest one before it.

        Each damaged one is named in a warning; if all are, it raises `WeightsError`. None where there is no checkpoint.
        """
        found = self._last_good()
        return None if found is None else found.path

    def resume(self) -> dict[str, Any] | None:
        """Loads model and checkpointables from :meth:`last_good`; to be called in all processes.

        The main process chooses. One that does not find the same file, on another machine's disk, is sent its content.
        Returns what else the checkpoint holds, such as ``iteration``; None where there is no checkpoint.

        Raises:
            WeightsError: no checkpoint is whole, or the chosen one is of another config.
            ConfigError: the run cannot go on by the config.
        """
        found = self._agree()
        if found is None:
            return None
        self.path, content = str(found.path), found.content
        remedy = (
            "It is the last checkpoint of the output folder: resume with the config that wrote it, choose another "
            "OUTPUT_DIR, or start over without --resume."
        )
        logger.info("Going on from %s", self.path)
        try:
            self._load_model(content)
            for key, value in self.checkpointables.items():
                if key in content:
                    value.load_state_dict(content.pop(key))
        except ConfigError:
            raise
        except WeightsError as error:
            # A state that is refused does not know its file.
            what = str(error) if str(error).startswith(self.path) else f"{self.path}: {error}"
            raise WeightsError(f"{what} {remedy}") from error
        except DAMAGED as error:
            raise WeightsError(
                f"{self.path}: its training state is of another config ({type(error).__name__}: {reason(error)}). "
                f"{remedy}"
            ) from error
        run = content.pop("run", self.run)
        if not isinstance(run, str):
            raise WeightsError(f"{self.path}: the name of its run is no text. {remedy}")
        self.run = run
        return content

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """Resumes where there is a checkpoint, else loads the weights of ``path`` alone; the name is Detectron2's."""
        rest = self.resume() if resume else None
        return self.load(path, checkpointables=[]) if rest is None else rest

    def _candidates(self) -> list[Path]:
        """The checkpoints that a run can go on from, in the order in which they are tried."""
        folder = Path(self.save_dir)
        if not (folder / _TAG).is_file():
            return []
        numbered = {path: number for path in folder.glob("model_*.pth") if (number := _number(path)) is not None}
        tag = self._tagged()
        if tag is None:
            logger.warning("%s: empty or unreadable; the newest checkpoint is tried.", folder / _TAG)
        elif (last := _number(tag)) is not None:
            # Later ones are of an earlier run in this folder.
            numbered = {path: number for path, number in numbered.items() if number < last}
        found = [] if tag is None else [tag]
        # By when they were written: a run that was started in this folder before may have left others between them.
        found += sorted(numbered, key=lambda path: (path.stat().st_mtime_ns, numbered[path]), reverse=True)
        best = folder / f"{BEST}.pth"
        return [*found, best] if best.is_file() else found

    def _tagged(self) -> Path | None:
        try:
            # Detectron2 wrote whole paths once.
            name = Path(Path(self.save_dir, _TAG).read_text().strip()).name
            check_plain_name(name, _TAG)
        except (OSError, UnicodeDecodeError, DataError):
            return None
        return Path(self.save_dir, name)

    def _last_good(self) -> _Found | None:
        problems = []
        for path in self._candidates():
            try:
                content = read_checked(path)
                if "trainer" in self.checkpointables and "trainer" not in content:
                    raise WeightsError(
                        f"{path}: holds weights without the state of a training; give it as MODEL.WEIGHTS."
                    )
            except WeightsError as error:
                logger.warning("%s It is passed over; the checkpoint before it is tried.", error)
                problems.append(str(error))
            else:
                if problems:
                    logger.warning("%s is whole: the run goes on from it.", path)
                return _Found(path, content)
        if problems:
            raise WeightsError(
                f"{self.save_dir}: no checkpoint to resume from is whole. {' '.join(problems)} Copy a good one into "
                f"the folder and write its name into {_TAG}, or start over without --resume."
            )
        return None

    def _agree(self) -> _Found | None:
        """What the main process finds, in every process."""
        if comm.get_world_size() == 1:
            return self._last_good()
        found, name, digest, problem = None, None, None, None
        if comm.is_main_process():
            try:
                found = self._last_good()
            except WeightsError as error:
                problem = str(error)
            if found is not None:
                name, digest = found.path.name, file_digest(found.path)
        name, digest, problem = comm.all_gather((name, digest, problem))[0]
        if problem is not None:
            raise WeightsError(problem)
        if name is None:
            return None
        path = Path(self.save_dir, name)
        if found is None and path.is_file() and file_digest(path) == digest:
            found = _Found(path, read_checked(path))
        if not all(comm.all_gather(found is not None)):
            logger.info("Sending the checkpoint to the processes that have no %s", path)
            contents: list[Any] = [None if found is None else found.content]
            torch.distributed.broadcast_object_list(contents, src=0)
            found = found or _Found(path, contents[0])
        return found

    def _delete_old(self, newest: Path) -> None:
        number = _number(newest)
        if self.keep <= 0 or number is None:
            return
        numbers = {path: _number(path) for path in newest.parent.glob("model_*.pth")}
        # Later ones than the newest are of an earlier run, and not this one's to delete.
        own = sorted((n, path) for path, n in numbers.items() if n is not None and n <= number)
        try:
            if own[: -self.keep] and not is_as_written(newest):
                logger.warning("%s: reads otherwise than it was written; no older checkpoint is deleted.", newest)
                return
            for _, path in own[: -self.keep]:
                remove_checked(path)
        except OSError as error:
            logger.warning("Old checkpoints of %s are left: %s", newest.parent, error)

    def _clear_leftovers(self) -> None:
        if self._cleared:
            return
        self._cleared = True
        for path in Path(self.save_dir).glob(".*.tmp"):
            if _LEFTOVER.fullmatch(path.name):
                logger.info("Deleting %s, which a process left that was stopped while it saved.", path)
                path.unlink(missing_ok=True)

    def _what_is_left(self) -> str:
        tag = self._tagged()
        if tag is None:
            return "No checkpoint of the run was written yet."
        return f"{tag} is as it was: once there is room, go on from it with --resume."


def _number(path: Path) -> int | None:
    found = _NUMBERED.fullmatch(path.name)
    return int(found[1]) if found else None
