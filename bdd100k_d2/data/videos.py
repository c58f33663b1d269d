"""The frames of videos in label files, video by video and in the order of time."""

import os
from pathlib import Path
from typing import Any

from ..errors import DataError, shown
from .folders import label_files, warn_of_unread_label_files
from .image_size import check_image_size
from .labels import Frame, is_frame_name, without_collection
from .vintages import file_frames


def read_videos(path: str | os.PathLike[str]) -> dict[str, list[Frame]]:
    """Reads a label file, or those of a folder, in Scalabel's tracking format: frames with videoName and frameIndex.

    A file may hold one video or several, a video lie in several files, and videos have frames of equal names.

    Returns:
        By the names of the videos, sorted, their frames by ``frameIndex``, which is an int.

    Raises:
        DataError: a file that cannot be read as :func:`~bdd100k_d2.data.vintages.read_labels` says, a frame that is in
            no video or has no number in it, or two of one number or name.
    """
    path = Path(path)
    warn_of_unread_label_files(path)
    videos: dict[str, dict[int, tuple[Frame, Path]]] = {}
    with without_collection():
        for file in label_files(path):
            for frame in file_frames(file):
                _check_frame(frame, file)
                numbered = videos.setdefault(frame.videoName, {})
                other = numbered.setdefault(frame.frameIndex, (frame, file))
                if other[0] is not frame:
                    raise DataError(
                        f"{file}: frame {shown(frame.name)} has the frameIndex {frame.frameIndex} in video "
                        f"{shown(frame.videoName)}, as frame {shown(other[0].name)} of {other[1]}; remove one of the "
                        "two, or number the frames of each video."
                    )
    found = {video: [frame for _, (frame, _) in sorted(videos[video].items())] for video in sorted(videos)}
    for video, frames in found.items():
        _check_names(video, frames, path)
    return found


def _check_frame(frame: Frame, file: Path) -> None:
    for what, name in (("frame", frame.name), ("video", frame.videoName)):
        if name is None or name == "":
            raise DataError(
                f"{file}: frame {shown(frame.name)} is in no video; tracking labels have the name of the video, "
                '"videoName", and the number of the frame in it, "frameIndex", in each frame.'
            )
        if not isinstance(name, str) or not is_frame_name(name):
            raise DataError(f"{file}: a {what} is called '{shown(name)}'; rename it to a printable name.")
    number: Any = frame.frameIndex
    if not isinstance(number, int) or isinstance(number, bool):
        raise DataError(
            f"{file}: frame {shown(frame.name)} of video {shown(frame.videoName)} has the frameIndex "
            f"{shown(number)}; number the frames of each video by whole numbers, in the order of time."
        )
    if frame.size is not None:
        check_image_size(frame.size.height, frame.size.width, f"{file}: frame {shown(frame.name)}")


def _check_names(video: str, frames: list[Frame], path: Path) -> None:
    names: set[str] = set()
    for frame in frames:
        if frame.name in names:
            raise DataError(f"{path}: frame {shown(frame.name)} stands twice in video {shown(video)}; remove one.")
        names.add(frame.name)
