"""The sizes of images that labels and predictions do not state, from the headers of their files."""

from collections.abc import Sequence
from pathlib import Path

from ..data.convert.image_sizes import ImagesBelow
from ..data.image_files import image_size
from ..errors import UnreadableError
from ..parallel import map_frames


def sizes_from(names: Sequence[str], images: Path | None, workers: int) -> dict[str, tuple[int, int]]:
    """(height, width) in pixels of the frames ``names`` whose image is in a folder and can be read, by name.

    Raises:
        DataError: there is no such folder, or several images may be a frame's.
    """
    if images is None or not names:
        return {}
    below = ImagesBelow(images)
    paths = {name: path for name in names if (path := below.find(name)) is not None}
    sizes = map_frames(_size, [*paths.values()], workers, "reading sizes", threads=True)
    return {name: size for name, size in zip(paths, sizes, strict=True) if size is not None}


def _size(path: Path) -> tuple[int, int] | None:
    try:
        return image_size(path)
    except UnreadableError:
        return None
