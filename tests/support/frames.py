"""Images and frames of labels to test with."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from bdd100k_d2.data.labels import Box2D, Frame, ImageSize, Label


def write_image(path: Path, height: int = 96, width: int = 160, seed: int = 0) -> None:
    """Writes an image of noise: large ones in squares of eight, because finer noise is slow to decode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = 8 if height >= 720 else 1
    pixels = np.random.default_rng(seed).integers(0, 256, (height // cell, width // cell, 3), np.uint8)
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(path), pixels)


BAD_IMAGES = ("narrow", "huge", "EPS", "float", "text")


def write_bad_image(path: Path, kind: str) -> None:
    """An image that is of no use, in one of the ways of `BAD_IMAGES`: Pillow or the resize have their own errors."""
    if kind == "narrow":
        Image.new("RGB", (65500, 1)).save(path, "JPEG")
    elif kind == "EPS":
        Image.new("RGB", (9, 9)).save(path, "EPS")
    elif kind == "float":
        Image.new("F", (160, 96)).save(path, "TIFF")
    elif kind == "text":
        # More than Pillow unpacks.
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text("a", "b" * 2_000_000, zip=True)
        Image.new("RGB", (160, 96)).save(path, "PNG", pnginfo=chunks)
    else:
        header = b"IHDR" + struct.pack(">IIBBBBB", 15_000, 15_000, 8, 2, 0, 0, 0)
        crc = zlib.crc32(header).to_bytes(4, "big")
        path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + crc + b"\0\0\0\0IDAT\x35\xaf\x06\x1e")


def make_frame(name: str, *boxes: tuple[str, float, float, float, float], **fields: object) -> Frame:
    """A frame of 160x96 pixels with boxes (category, x1, y1, x2, y2), inclusive."""
    labels = [Label(id=str(i), category=k, box2d=Box2D(*corners)) for i, (k, *corners) in enumerate(boxes)]
    return Frame(name=name, size=ImageSize(160, 96), labels=labels, **fields)
