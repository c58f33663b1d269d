"""Reading an image: Detectron2's pixels, in little more than half the time for JPEG.

Detectron2 itself, whose import takes seconds, is asked only for addresses and for other channels than RGB and BGR.
"""

import os

import cv2
import numpy as np
from PIL import Image

from ..errors import UnreadableError
from .image_files import open_image, read_image_file, upright

_END_OF_JPEG = b"\xff\xd9"


def load_image(path: str | os.PathLike[str], image_format: str) -> np.ndarray:
    """Reads what Detectron2's `read_image` reads, turned as its EXIF data say, of a file that an image may be.

    OpenCV decodes JPEG to the same pixels as Pillow; docs/PERFORMANCE.md has the times of the decoders. What is not a
    whole JPEG file of three channels is left to Pillow: other decoders convert grey and CMYK in their own way, and
    some fill up what is cut off. Of 16 bits the upper 8 are taken, of grey as of colours, where `read_image` makes
    nearly all of grey white.

    ``path`` may be an address that Detectron2's `PathManager` resolves. For RGB and BGR the result is (H, W, 3) uint8.

    Raises:
        UnreadableError: the file is missing, cut off, no image, too large, or of numbers whose range it does not say.
    """
    path = os.fspath(path)
    content = _read_address(path) if "://" in path else read_image_file(path)
    with open_image(content, f"{path}: ") as image:
        plain = image_format in ("RGB", "BGR") and (image.format, image.mode) == ("JPEG", "RGB")
        if plain and content.endswith(_END_OF_JPEG):
            pixels = _decode_jpeg(content)
            if pixels is not None:
                return pixels[..., ::-1] if image_format == "RGB" else pixels
        return _channels(upright(image, f"{path}: "), image_format)


def _channels(image: Image.Image, image_format: str) -> np.ndarray:
    """The pixels of an image in the channels that Detectron2 calls so."""
    if image_format in ("RGB", "BGR"):
        pixels = np.asarray(image.convert("RGB"))
        return pixels if image_format == "RGB" else pixels[..., ::-1]
    from detectron2.data.detection_utils import convert_PIL_to_numpy

    return np.asarray(convert_PIL_to_numpy(image, image_format))


def _read_address(address: str) -> bytes:
    from detectron2.utils.file_io import PathManager

    try:
        with PathManager.open(address, "rb") as file:
            return bytes(file.read())
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{address}: the image cannot be read ({error}); download it again.") from error


def _decode_jpeg(content: bytes) -> np.ndarray | None:
    """The pixels (H, W, 3) of a JPEG file, BGR; None where OpenCV does not take it, as beyond its own limits."""
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
