"""Lists of images, such as darknet's ``train.txt``: one path per line, whose labels lie beside it or at ``labels``."""

from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError, shown
from ...regular_file import check_regular_file
from ..folders import visible_files
from ..image_names import image_stem, is_image_name, path_parts
from .image_sizes import images_below, the_image
from .source_files import text_lines
from .splits import splits_in
from .yolo_parts import IMAGES, LABELS, YoloFrame, images_of_split

_MOST_BYTES_OF_LIST = 1 << 28
_BYTES_LOOKED_AT = 1 << 12


def is_image_list(path: Path) -> bool:
    """Whether a text file names an image in its first line that is not empty."""
    try:
        check_regular_file(path)
        with path.open("rb") as file:
            beginning = file.read(_BYTES_LOOKED_AT)
    except OSError:
        # Whoever reads it says what is wrong.
        return False
    lines = beginning.decode("utf-8-sig", errors="replace").split("\n")
    return is_image_name(next((line.strip() for line in lines if line.strip()), ""))


def split_lists(folder: Path) -> dict[str, Path]:
    """The lists of images directly in a folder that are named after a split, by their names without ``.txt``."""
    found = (Path(entry.name) for entry in visible_files(folder, ".txt"))
    return {one.stem: folder / one for one in found if splits_in(one.stem) and is_image_list(folder / one)}


def listed_frames(path: Path, images: Path | None, anywhere: bool) -> Iterator[YoloFrame]:
    """Yields the frames of a list, in its order; with ``images`` their images are those of that folder.

    Lists are often of another machine: where a path leads to no image and no labels, its last parts are looked for
    beside the list. Unless they may lie ``anywhere``, files that a list names do not lead out of its folder.

    Raises:
        DataError: the list cannot be read, or a line names no image, or one of which nothing is there.
    """
    own = path.parent
    # In paths of a list among the labels, "images" stands for their folder.
    bases = [own, own.parent] if own.name == LABELS else [own]
    found = None if images is None else images_below(images_of_split(images, path.stem, None))
    for number, line in enumerate(text_lines(path, _MOST_BYTES_OF_LIST), 1):
        text = line.strip().replace("\\", "/")
        if not text:
            continue
        if not is_image_name(text) or "\0" in text:
            raise DataError(f"{path}: line {number}: {shown(text)} is no path of an image; mend the list.")
        frame = next(filter(None, map(_frame_at, _candidates(text, bases, anywhere))), None)
        if found is not None:
            *folders, name = path_parts(text)
            keys = ("__".join([*folders[i:], image_stem(name)]) for i in range(len(folders) + 1))
            image = next((image for one in keys if (image := the_image(one, found)) is not None), None)
            frame = YoloFrame(name, frame.labels if frame else None, image, text)
        if frame is None or not (frame.labels or frame.image):
            raise DataError(
                f"{path}: line {number}: neither the image {shown(text)} nor its labels are there; mend the list."
            )
        yield frame._replace(place=text)


def _candidates(text: str, bases: list[Path], anywhere: bool) -> Iterator[Path]:
    if anywhere and text.startswith("/"):
        yield Path(text)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    for skipped in range(len(parts)):
        rest = parts[skipped:]
        if anywhere or ".." not in rest:
            yield from (base.joinpath(*rest) for base in bases)


def _frame_at(image: Path) -> YoloFrame | None:
    """The frame of an image at a path; None where neither it nor its labels are there."""
    labels = [image.with_suffix(".txt")]
    folders = image.parts[:-1]
    if IMAGES in folders:
        last = len(folders) - 1 - folders[::-1].index(IMAGES)
        labels.insert(0, Path(*folders[:last], LABELS, *folders[last + 1 :], image.name).with_suffix(".txt"))
    label = next((one for one in labels if one.is_file()), None)
    is_there = image.is_file()
    return YoloFrame(image.name, label, image if is_there else None, image.name) if label or is_there else None
