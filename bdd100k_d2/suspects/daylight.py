"""Frames whose time of day does not fit how bright their image is: a night frame that is tagged daytime."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..data.image_files import open_image, read_image_file, upright_size
from ..data.labels import FrameAttributes
from ..errors import UnreadableError
from ..parallel import map_frames
from .records import TIME_OF_DAY_TAG, LabelChange, Suspect

_TAGS = ("daytime", "night")
# Where it may be dark by day and bright by night.
_INDOORS = ("tunnel", "parking lot", "gas stations")
# Of fewer frames nobody knows how bright they are.
_LEAST_FRAMES = 5
# In levels of grey, of 255: no set of frames is as equal as a few may happen to be.
_LEAST_SPREAD = 8.0
_SMALLER = 8


def brightness(path: Path | None) -> float:
    """The mean level of grey of an image, 0 to 255; NaN for None, or an image that cannot be read.

    A JPEG is decoded at an eighth of its size.
    """
    if path is None:
        return float("nan")
    try:
        with open_image(read_image_file(path), f"{path}: ") as image:
            height, width = upright_size(image)
            image.draft("L", (max(width // _SMALLER, 1), max(height // _SMALLER, 1)))
            return float(np.asarray(image.convert("L")).mean())
    except (UnreadableError, OSError):
        return float("nan")


def daylight_suspects(
    attributes: Mapping[str, FrameAttributes], images: Mapping[str, Path | None], prior: float, workers: int
) -> list[Suspect]:
    """The frames tagged "daytime" that are as dark as those tagged "night", and the other way round.

    How bright either is, is told by the median and the spread of the frames that are tagged so, but for those of
    tunnels, parking lots and gas stations. Without five of each there are no suspects.
    """
    names, tags = _outdoors(attributes, images)
    if min(np.bincount(tags, minlength=2)) < _LEAST_FRAMES:
        return []
    levels = np.array(list(map_frames(brightness, [images[name] for name in names], workers, "measuring light", True)))
    known = ~np.isnan(levels)
    middle, spread = _by_tag(levels[known], tags[known])
    if not middle[0] > middle[1]:
        return []
    # Student's t of three degrees, whose tails bear some frames at dusk.
    likelihood = (1 + ((levels[:, None] - middle) / spread) ** 2 / 3) ** -2.0 / spread
    # The distance to its tag counts, not how far beyond the other one it is.
    own, other = likelihood[np.arange(len(tags)), tags], likelihood[np.arange(len(tags)), 1 - tags]
    beyond = np.where(tags == 0, levels < middle[1], levels > middle[0])
    other = np.where(beyond, 1 / spread[1 - tags], other)
    score = prior * other / np.maximum(prior * other + (1 - prior) * own, 1e-300)
    chosen = np.flatnonzero(known & (score >= 2 * prior))
    return [
        _suspect(names[i], int(tags[i]), float(score[i]), float(levels[i]), middle.tolist(), spread.tolist())
        for i in chosen
    ]


def daylight_note(attributes: Mapping[str, FrameAttributes], images: Mapping[str, Path | None]) -> str | None:
    """Says that the time of day was not looked at, where too few frames are tagged; None where it was."""
    _, tags = _outdoors(attributes, images)
    day, night = np.bincount(tags, minlength=2).tolist()
    if min(day, night) >= _LEAST_FRAMES:
        return None
    return (
        f"Time of day was not looked at: {day:,} frames with an image are tagged daytime and {night:,} night, and "
        f"{_LEAST_FRAMES} of each are needed."
    )


def _outdoors(
    attributes: Mapping[str, FrameAttributes], images: Mapping[str, Path | None]
) -> tuple[list[str], np.ndarray]:
    """The frames that are compared, and the places of their tags, (N,) int64."""
    names = [
        name
        for name, one in attributes.items()
        if one.timeofday in _TAGS and one.scene not in _INDOORS and images.get(name) is not None
    ]
    return names, np.array([_TAGS.index(attributes[name].timeofday or "") for name in names], np.int64)


def _by_tag(levels: np.ndarray, tags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2,) the median, and the spread by the median distance to it, of each tag."""
    of_tags = [levels[tags == tag] for tag in range(2)]
    middle = np.array([np.median(one) if len(one) else np.nan for one in of_tags])
    spread = np.array(
        [1.4826 * np.median(abs(one - m)) if len(one) else np.nan for one, m in zip(of_tags, middle, strict=True)]
    )
    return middle, np.maximum(spread, _LEAST_SPREAD)


def _suspect(
    name: str, tag: int, score: float, level: float, middle: Sequence[float], spread: Sequence[float]
) -> Suspect:
    now, other = _TAGS[tag], _TAGS[1 - tag]
    evidence = (
        f"Tagged {now}, with a mean brightness of {level:.0f} of 255; frames tagged {now} have {middle[tag]:.0f} "
        f"\N{PLUS-MINUS SIGN} {spread[tag]:.0f}, those tagged {other} {middle[1 - tag]:.0f} \N{PLUS-MINUS SIGN} "
        f"{spread[1 - tag]:.0f}."
    )
    return Suspect(TIME_OF_DAY_TAG, score, evidence, LabelChange("set_time", name, timeofday=other, old=now))
