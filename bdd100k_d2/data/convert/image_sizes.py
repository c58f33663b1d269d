"""The sizes of images: what the labels state, else the image's own, else what is told, else that of BDD100K's."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError, shown
from ..image_files import image_size
from ..image_names import image_stem, images_by_stem, is_bdd100k_stem, is_image_name
from ..image_size import check_image_size
from ..labels import HEIGHT, WIDTH, Frame, ImageSize, Label
from .source_files import files_through_links

logger = logging.getLogger(__name__)

_GIVE = "give --images with the folder of the images, or --size 1280x720"


def images_below(folder: Path) -> dict[str, list[Path]]:
    """The images in a folder and in those in it, by their stems; several of one stem lie in different folders.

    Those are there by their stems with folders before it too, as `frame_names` writes them: ``a__0``, ``b__0`` and, if
    there is more than one folder before it, ``x__a__0``; the stem alone is that of the one in ``folder`` itself. Of
    several of one stem in one folder it is that in ``.jpg``, as `images_by_stem`.

    Raises:
        DataError: there is no such folder, or it cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images; check --images.")
    by_folder: dict[str, list[str]] = {}
    for place, name in files_through_links(folder, is_image_name):
        by_folder.setdefault(place, []).append(name)
    found: dict[str, list[Path]] = {}
    for place in sorted(by_folder):
        for stem, name in images_by_stem(by_folder[place]).items():
            found.setdefault(stem, []).append(Path(place, name))
    for stem, images in [*found.items()]:
        if len(images) > 1:
            for image in images:
                folders = image.relative_to(folder).parts[:-1]
                for i in range(len(folders)):
                    found.setdefault("__".join([*folders[i:], stem]), []).append(image)
            found[stem] = [image for image in images if image.parent == folder] or images
    return found


def the_image(stem: str, images: dict[str, list[Path]]) -> Path | None:
    """The image of a stem among those of `images_below`; None without one, DataError where several have it."""
    found = images.get(stem)
    if found is None:
        return None
    if len(found) > 1:
        raise DataError(
            f"{found[0]} and {found[1]} are images of one name, which the labels do not tell apart; give a folder that "
            "has one of them, or labels that name the folders too."
        )
    return found[0]


def size_of_image(path: Path) -> ImageSize:
    """The size of an image; DataError, which names ``--size``, where it cannot be read."""
    try:
        height, width = image_size(path)
    except DataError as error:
        raise DataError(f"{str(error).rstrip('.')}; mend it, or give --size.") from error
    return ImageSize(width, height)


class SizeOptions(NamedTuple):
    """Where sizes come from that frames do not state: the folder of their images, else one ``size`` for all.

    ``assumed`` says that without both all frames have the size of BDD100K's, and not only those that are named so.
    """

    images: Path | None
    size: ImageSize | None
    assumed: bool


def _is_official(frame: Frame) -> bool:
    """Whether a frame or its video is named as BDD100K's are."""
    return any(is_bdd100k_stem(image_stem(str(name))) for name in (frame.name, frame.videoName))


def with_sizes(frames: Iterator[Frame], source: Path, options: SizeOptions) -> Iterator[Frame]:
    """Yields the frames of ``source``, each with the size of its image.

    What a frame or its masks state comes first, then its image's own, then the ``size`` of the options, then 1280x720,
    which one warning counts, but of frames that are named as BDD100K's are.

    Raises:
        DataError: no size is known, an image is missing or cannot be read, a size is none that an image may have, or
            a box reaches out of the 1280x720 that are taken.
    """
    images = {} if options.images is None else images_below(options.images)
    taken = 0
    for frame in frames:
        if frame.size is None:
            size, beyond = _look_at_labels(frame)
            size = size or _told(frame, source, options, images)
            if size is not None:
                check_image_size(size.height, size.width, f"{source}: frame {frame.name}: the image")
            else:
                official = _is_official(frame)
                _check_assumption(frame, beyond, source, official or options.assumed)
                size = ImageSize(WIDTH, HEIGHT)
                # Frames of BDD100K never state it.
                taken += not official
            frame.size = size
        yield frame
    if taken:
        logger.warning(
            "%s: %d frames do not state their size; %dx%d, BDD100K's, is taken: give --images or --size for others.",
            source,
            taken,
            WIDTH,
            HEIGHT,
        )


def _look_at_labels(frame: Frame) -> tuple[ImageSize | None, Label | None]:
    """The size that the masks state, and a label whose box reaches out of BDD100K's images."""
    beyond = None
    for label in frame.labels or ():
        box, rle = label.box2d, label.rle
        # Polygons whose image states no size state none either.
        if rle is not None and rle.size:
            return ImageSize(rle.size[1], rle.size[0]), None
        # A pixel more, because corners are rounded, and predicted.
        if box is not None and (box.x2 > WIDTH or box.y2 > HEIGHT):
            beyond = label
    return None, beyond


def _told(frame: Frame, source: Path, options: SizeOptions, images: dict[str, list[Path]]) -> ImageSize | None:
    image = the_image(image_stem(frame.name), images)
    if image is not None:
        return size_of_image(image)
    if options.images is not None and options.size is None:
        raise DataError(f"{source}: frame {frame.name}: {options.images} has no image of this name; check --images.")
    return options.size


def _check_assumption(frame: Frame, beyond: Label | None, source: Path, assumed: bool) -> None:
    """Raises DataError unless the size of BDD100K's images may be assumed of a frame."""
    if not assumed:
        raise DataError(f"{source}: frame {frame.name} does not state its size; {_GIVE}.")
    if beyond is not None and beyond.box2d is not None:
        raise DataError(
            f"{source}: frame {frame.name}, label {shown(beyond.id)}: the box reaches to ({beyond.box2d.x2:g}, "
            f"{beyond.box2d.y2:g}), so the image is not one of BDD100K's {WIDTH}x{HEIGHT}, and its size is not stated; "
            f"{_GIVE}."
        )
