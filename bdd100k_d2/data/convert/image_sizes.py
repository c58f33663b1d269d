"""The sizes of images: what the labels state, else the image's own, else what is told, else that of BDD100K's."""

import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError, shown
from ..image_files import image_size
from ..image_names import image_stem, is_bdd100k_stem, is_image_name, path_parts
from ..image_size import check_image_size
from ..labels import HEIGHT, WIDTH, Frame, ImageSize, Label
from .source_files import files_through_links

logger = logging.getLogger(__name__)

_GIVE = "give --images with the folder of the images, or --size 1280x720"


class ImagesBelow:
    """The images in a folder and in those in it, found by the names of their frames.

    A frame's name is that of its image, in a folder that `frame_names` may write before it: ``0.jpg``, or ``a__0.jpg``
    and, if there is more than one folder before it, ``x__a__0.jpg`` of several images of one stem.

    Args:
        folder: through links to folders too.
        masks: files that are labels themselves, and so no images wherever they lie.

    Raises:
        DataError: there is no such folder, or it cannot be read.
    """

    def __init__(self, folder: Path, masks: Iterable[Path] = ()) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of images; check --images.")
        names_in: dict[str, list[str]] = {}
        for place, name in files_through_links(folder, is_image_name):
            names_in.setdefault(place, []).append(name)
        masks_in: dict[str, set[str]] = {}
        for path in masks:
            masks_in.setdefault(os.path.dirname(path), set()).add(path.name)  # noqa: PTH120, of many files
        # Whatever links lead to either.
        real: dict[str, set[str]] = {}
        for place, names in masks_in.items():
            real.setdefault(os.path.realpath(place), set()).update(names)
        self._folder = folder
        self.paths: list[Path] = []
        self._found: dict[str, list[Path]] = {}
        for place in sorted(names_in):
            others = real.get(os.path.realpath(place), ()) if real else ()
            for name in sorted(names_in[place]):
                if name not in others:
                    self.paths.append(Path(place, name))
                    self._found.setdefault(image_stem(name), []).append(self.paths[-1])
        for stem, images in [*self._found.items()]:
            if len(images) > 1:
                for image in images:
                    folders = image.relative_to(folder).parts[:-1]
                    for i in range(len(folders)):
                        self._found.setdefault("__".join([*folders[i:], stem]), []).append(image)
        for stem in [one for one in self._found if not one.isascii()]:
            self._found.setdefault(unicodedata.normalize("NFC", stem), self._found[stem])

    def find(self, name: str) -> Path | None:
        """The image of a frame; None without one, DataError where several may be it.

        Where several have its stem, it has the ending of its name and, if it is called by no folders, lies in the
        folder itself. Letters with accents may be written in either way of Unicode. Of a name with folders, as
        Scalabel's may be, those agree with the image's, as far as both have them.
        """
        *folders, name = path_parts(name)
        stem = image_stem(name)
        if folders:
            # Of several images the one that most folders agree with.
            several = (self._called("__".join([*folders[i:], stem])) for i in range(len(folders) + 1))
            agreeing = ([one for one in images if self._agrees(one, folders)] for images in several)
            return the_image(next(filter(None, agreeing), []), name)
        images = self._called(stem)
        if len(images) > 1:
            images = _of_ending(images, name)
            direct = [image for image in images if image.parent == self._folder]
            # Not where a file is called as one in a folder would be.
            if len({image_stem(image.name) for image in images}) == 1:
                images = direct or images
        return the_image(images, name)

    def _called(self, stem: str) -> list[Path]:
        return self._found.get(stem) or self._found.get(unicodedata.normalize("NFC", stem), [])

    def _agrees(self, image: Path, folders: Sequence[str]) -> bool:
        """Whether the folders of an image and those of a name, from the last one up, are the same as far as both go."""
        own = image.relative_to(self._folder).parts[-2::-1]
        return all(_same_text(one, other) for one, other in zip(own, reversed(folders), strict=False))


def _same_text(one: str, other: str) -> bool:
    return one == other or unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def _of_ending(images: list[Path], name: str) -> list[Path]:
    """Those of several images that have the ending of a frame's name, else those that have it in other letters."""
    ending = name[len(image_stem(name)) :]
    exact = [image for image in images if image.suffix == ending]
    return exact or [image for image in images if image.suffix.lower() == ending.lower()] or images


def the_image(images: list[Path], name: str) -> Path | None:
    """That of ``images`` of one stem that a frame's name is of: the one with its ending, or the only one.

    None without any, DataError where several may be it.
    """
    if len(images) > 1:
        images = _of_ending(images, name)
    if len(images) > 1:
        raise DataError(
            f"{images[0]} and {images[1]} are images of one name, which the labels do not tell apart; give a folder "
            "that has one of them, or labels that name the folders and the endings too."
        )
    return images[0] if images else None


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
    images = None if options.images is None else ImagesBelow(options.images)
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


def _told(frame: Frame, source: Path, options: SizeOptions, images: ImagesBelow | None) -> ImageSize | None:
    image = None if images is None else images.find(frame.name)
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
