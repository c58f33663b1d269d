"""The output folder of a run: where the files go, what an earlier run left there, and the lists of the results.

What is removed is told by the record of the earlier run, and by nothing else.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..atomic import check_writable
from ..data.labels import Frame, write_frames
from ..errors import OutputError, shown
from ..evaluation.prediction_files import detection_frame, mask_path, scored_frame
from ..inside import inside, refuse_overwriting
from ..tasks import TASKS, Task
from .inputs import RESULT_FOLDERS, InputImages, InputVideo
from .journal import FILE_NAME, FrameLine, RunSettings, read_lines, read_settings

COUNTS_FILE = "track_counts.json"
TRACK_FILES = ("box_track.json", COUNTS_FILE)
"""What a run with tracking writes beside the list of its task."""

# On Linux.
_LONGEST_PATH = 4096


def frame_paths(folder: Path, settings: RunSettings, name: str) -> tuple[Path | None, Path | None]:
    """Where the mask or bitmask of a frame goes, and its overlay; None for one that the run does not write.

    That a link in place of their folders leads nowhere else is for :func:`check_output_folder`, once and not per frame.
    """
    pixel_folder = TASKS[settings.task].result_folder
    pixels = None if pixel_folder is None else mask_path(folder / pixel_folder, name)
    has_overlay = settings.overlay and settings.video is None
    return pixels, mask_path(folder / "overlays", name).with_suffix(".jpg") if has_overlay else None


def check_output_folder(
    folder: Path, task: Task, source: InputImages | InputVideo, resume: bool, overwrite: bool
) -> None:
    """Makes ``folder``, and checks that a run may write into it.

    Raises:
        DataError: the record is not that of a run, or what a run writes leads out of the folder by a link.
        OutputError: the folder cannot be written, or has what must not be replaced.
    """
    _check_input(folder, source)
    record = inside(folder, FILE_NAME)
    video = source.annotated_name if isinstance(source, InputVideo) else None
    lists = sorted(one.result_list for one in TASKS.values() if one.result_list)
    results = [inside(folder, name) for name in (*lists, *TRACK_FILES, *RESULT_FOLDERS, video) if name]
    found = [path for path in results if path.exists()]
    if record.exists():
        earlier = read_settings(record)
        if not (resume or overwrite):
            raise OutputError(
                f"{record}: the results of an earlier run are there; give --resume to go on with it, --overwrite to "
                "replace them, or choose another output folder."
            )
        own = _files_of(earlier)
        foreign = [
            path for path in found if path.name in (task.result_list, video, *TRACK_FILES) and path.name not in own
        ]
        if foreign:
            raise OutputError(
                f"{foreign[0]} is there, but not of the run that {FILE_NAME} tells of; choose another output folder."
            )
    elif found:
        raise OutputError(
            f"{found[0]} is there, but no {FILE_NAME}, which a run would have written with it; choose another "
            "output folder."
        )
    check_writable(folder, "choose another one")


def _files_of(settings: RunSettings) -> list[str]:
    """The names of the files that a run of these settings writes, but for those of single frames."""
    tracks = TRACK_FILES if settings.track else ()
    return [name for name in (TASKS[settings.task].result_list, settings.video, *tracks) if name]


def _check_input(folder: Path, source: InputImages | InputVideo) -> None:
    if isinstance(source, InputImages):
        results = {(folder / name).resolve() for name in RESULT_FOLDERS}
        for parent in dict.fromkeys(path.parent for path in source.paths.values()):
            if parent.resolve() in results:
                raise OutputError(f"{parent}: images of the input are where results go; choose another output folder.")
    elif not isinstance(source.source, int):
        refuse_overwriting(folder / source.annotated_name, [source.source])


def remove_results(folder: Path) -> None:
    """Removes the files of the run that the record in ``folder`` tells of, but the record, and no others.

    Raises:
        DataError: the record is not that of a run, or one of the files leads out of the folder by a link.
        OutputError: one cannot be removed.
    """
    record = inside(folder, FILE_NAME)
    if not record.exists():
        return
    settings = read_settings(record)
    results = [inside(folder, name) for name in _files_of(settings)]
    for name in RESULT_FOLDERS:
        inside(folder, name)
    # All names before the first file goes: a damaged record removes nothing.
    results += [path for line, _ in read_lines(record) for path in frame_paths(folder, settings, line.name) if path]
    try:
        for path in results:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{shown(error.filename, _LONGEST_PATH)}: cannot be removed ({error.strerror}).") from error


def write_result_lists(
    task: Task, lines: Iterable[FrameLine], folder: Path, source: InputImages | InputVideo
) -> list[Path]:
    """Writes the list of the task, ``det.json`` or ``score.json``, in the order of ``lines``.

    It returns the folder of masks or bitmasks, which are there already, and the list, as far as the task has them.

    Raises:
        OutputError: a file cannot be written.
    """
    files = [folder / name for name in (task.result_folder, task.result_list) if name is not None]
    if task.result_list is None:
        return files
    if task.form == "boxes":
        write_frames(_detections(lines, task, source), files[-1])
    else:
        write_frames((scored_frame(line.name, np.array(line.scores)) for line in lines), files[-1])
    return files


def _detections(lines: Iterable[FrameLine], task: Task, source: InputImages | InputVideo) -> Iterator[Frame]:
    count = 0
    for line in lines:
        objects = zip(line.corners or (), line.scores or (), line.classes or (), strict=True)
        frame = detection_frame(line.name, objects, count, task.names)
        count += len(line.scores or ())
        if isinstance(source, InputVideo):
            # Frames that cannot be read are counted too.
            frame.videoName, frame.frameIndex = source.stem, source.frame_index(line.name)
        yield frame
