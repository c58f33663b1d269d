"""The record of a run -> the files that the official tool takes."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..data.labels import Frame
from ..evaluation.boxes import Boxes
from ..evaluation.results import detection_frames, scored_frame, write_detections, write_instance_scores
from ..tasks import TASKS
from .frame_result import PIXEL_FOLDERS
from .inputs import InputVideo
from .journal import FrameLine


def write_official_files(
    task: str, lines: Iterable[FrameLine], folder: Path, video: InputVideo | None = None
) -> list[Path]:
    """Writes ``det.json`` or ``score.json``; masks and bitmasks are there already.

    Args:
        task: of the run.
        lines: of the frames that are done, in the order of the file; one at a time is held in memory.
        folder: of the results.
        video: that the frames are from; None of images.

    Returns:
        The result files, and the folder of masks or bitmasks.

    Raises:
        OutputError: a file cannot be written.
    """
    files = [folder / PIXEL_FOLDERS[task]] if task in PIXEL_FOLDERS else []
    if task == "det":
        files.append(folder / "det.json")
        frames = _detections(lines)
        write_detections(frames if video is None else _of_video(frames, video), files[-1])
    elif task == "ins_seg":
        files.append(folder / "score.json")
        write_instance_scores((scored_frame(line.name, np.array(line.scores)) for line in lines), files[-1])
    return files


def _detections(lines: Iterable[FrameLine]) -> Iterator[Frame]:
    count = 0
    for line in lines:
        for frame in detection_frames(_boxes(line), TASKS["det"].names):
            # Ids count on through all frames.
            for label in frame.labels:
                label.id = str(count)
                count += 1
            yield frame


def _boxes(line: FrameLine) -> Boxes:
    return Boxes(
        [line.name],
        np.zeros(len(line.classes), np.int64),
        np.array(line.classes, np.int64),
        np.array(line.corners, np.float64).reshape(-1, 4),
        np.array(line.scores, np.float64),
    )


def _of_video(frames: Iterator[Frame], video: InputVideo) -> Iterator[Frame]:
    for frame in frames:
        # Frames that cannot be read are counted too.
        frame.videoName, frame.frameIndex = video.stem, video.frame_index(frame.name)
        yield frame
