"""How large an image may be: what a header or a label file promises is compared before memory is taken for it."""

import os

from ..errors import ConfigError, DataError, shown

MAX_PIXELS_VARIABLE = "BDD100K_MAX_PIXELS"
"""The environment variable that sets another limit."""

DEFAULT_MAX_PIXELS = 100_000_000
"""Fifty times the pixels of 1920x1080."""


def max_pixels() -> int:
    """The most pixels that an image may have; ConfigError where `MAX_PIXELS_VARIABLE` is no positive whole number."""
    text = os.environ.get(MAX_PIXELS_VARIABLE, "")
    if not text:
        return DEFAULT_MAX_PIXELS
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) > 0):
        raise ConfigError(
            f"{MAX_PIXELS_VARIABLE} is {shown(repr(text))}; set it to a number of pixels such as 400000000."
        )
    return int(text)


def check_image_size(height: int, width: int, where: str) -> None:
    """Raises DataError, whose message begins with ``where`` and a blank, unless an image may have that size."""
    if height <= 0 or width <= 0:
        raise DataError(f"{where} is {shown(width)}x{shown(height)} pixels; an image has one or more each way.")
    most = max_pixels()
    if height * width > most:
        raise DataError(
            f"{where} is {shown(width)}x{shown(height)} pixels, more than {most:,} in all; if it is that large, set "
            f"{MAX_PIXELS_VARIABLE} to more."
        )
