"""Reading an image: Detectron2's pixels, in little more than half the time for JPEG."""

import io
import os

import cv2
import numpy as np
from detectron2.data.detection_utils import read_image
from detectron2.utils.file_io import PathManager
from PIL import Image

from ..errors import UnreadableError

_END_OF_JPEG = b"\xff\xd9"


def load_image(path: str | os.PathLike[str], image_format: str) -> np.ndarray:
    """Reads what Detectron2's `read_image` reads, turned as its EXIF data say.

    OpenCV decodes JPEG to the same pixels as Pillow; docs/PERFORMANCE.md has the times of the decoders. What is not a
    whole JPEG file of three channels is left to Detectron2: other decoders convert grey and CMYK in their own way, and
    some fill up what is cut off.

    ``path`` may be an address that Detectron2's `PathManager` resolves. For RGB and BGR the result is (H, W, 3) uint8.

    Raises:
        UnreadableError: the file is missing, cut off, or no image.
    """
    path = os.fspath(path)
    try:
        return _read(path, image_format)
    except OSError as error:
        raise UnreadableError(f"{path}: the image cannot be read ({error}); download it again.") from error


def _read(path: str, image_format: str) -> np.ndarray:
    if image_format in ("RGB", "BGR"):
        with PathManager.open(path, "rb") as file:
            content = file.read()
        if content.endswith(_END_OF_JPEG) and _is_jpeg_of_three_channels(content):
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                return image[..., ::-1] if image_format == "RGB" else image
    return np.asarray(read_image(path, image_format))


def _is_jpeg_of_three_channels(content: bytes) -> bool:
    # It reads the header alone.
    with Image.open(io.BytesIO(content)) as image:
        return (image.format, image.mode) == ("JPEG", "RGB")
