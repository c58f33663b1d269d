"""The record of a run -> the files that the official tool takes; and where the other files of a frame go."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..data.labels import Frame, write_frames
from ..evaluation.results import detection_frame, mask_path, scored_frame
from ..tasks import TASKS
from .inputs import InputImages, InputVideo
from .journal import FrameLine, RunSettings


def frame_paths(folder: Path, settings: RunSettings, name: str) -> tuple[Path | None, Path | None]:
    """Where the mask or bitmask of a frame goes, and its overlay; None for one that the run does not write."""
    pixel_folder = TASKS[settings.task].result_folder
    pixels = None if pixel_folder is None else mask_path(folder / pixel_folder, name)
    has_overlay = settings.overlay and settings.video is None
    return pixels, mask_path(folder / "overlays", name).with_suffix(".jpg") if has_overlay else None


def write_official_files(
    task: str, lines: Iterable[FrameLine], folder: Path, source: InputImages | InputVideo
) -> list[Path]:
    """Writes the list of the task, ``det.json`` or ``score.json``; masks and bitmasks are there already.

    The list has the frames in the order of ``lines``, of which one at a time is held in memory.

    Returns:
        The folder of masks or bitmasks, and the list, as far as the task has them.

    Raises:
        OutputError: a file cannot be written.
    """
    record = TASKS[task]
    files = [folder / name for name in (record.result_folder, record.result_list) if name is not None]
    if record.result_list is None:
        return files
    if record.form == "boxes":
        write_frames(_detections(lines, record.names, source), files[-1])
    else:
        write_frames((scored_frame(line.name, np.array(line.scores)) for line in lines), files[-1])
    return files


def _detections(
    lines: Iterable[FrameLine], names: tuple[str, ...], source: InputImages | InputVideo
) -> Iterator[Frame]:
    count = 0
    for line in lines:
        objects = zip(line.corners or (), line.scores or (), line.classes or (), strict=True)
        frame = detection_frame(line.name, objects, count, names)
        count += len(line.scores or ())
        if isinstance(source, InputVideo):
            # Frames that cannot be read are counted too.
            frame.videoName, frame.frameIndex = source.stem, source.frame_index(line.name)
        yield frame
