"""The page on which a person goes through suspects by keyboard, and saves what was decided."""

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from ..data.image_names import image_name
from ..data.rle import check_rle
from ..report.analysis.frames import find_images
from ..report.html import check_page_folder, new_page, write_page
from ..report.page_images import GalleryImages
from ..report.results.page import as_script_data
from .decisions import DECISIONS_FORMAT, label_source
from .find import FoundSuspects, SuspectOptions, find_suspects
from .records import Suspect

_KIND = "suspects"
_OVERLAY = (255, 64, 64, 150)


def write_suspects_page(
    task: str,
    truth: Path,
    predicted: Sequence[Path],
    out: Path,
    images: Path | None = None,
    options: SuspectOptions | None = None,
) -> tuple[Path, FoundSuspects]:
    """Writes ``out/index.html`` and ``out/assets``, which refer to nothing outside of ``out``.

    Arguments and errors are those of :func:`.find.find_suspects`; the page's path is returned with what it shows.

    Raises:
        OutputError: a file cannot be written, or ``out`` is a folder that is to be read or has another page.
    """
    options = options or SuspectOptions()
    read = [truth, *predicted, images, options.masks, options.image_ids]
    check_page_folder(out, [path for path in read if path is not None], _KIND)
    with new_page(out) as folder:
        found = find_suspects(task, truth, predicted, images, options)
        gallery = GalleryImages(folder)
        data = _script_data(found, truth, images, gallery)
        page = {
            "task": task,
            "truth": str(truth),
            "predicted": [str(path) for path in predicted],
            "num_frames": found.num_frames,
            "notes": _notes(found, gallery, images),
            "data": as_script_data(data),
        }
        write_page(folder, "suspects.html", ("suspects.js",), _KIND, page=page)
    return out / "index.html", found


def _notes(found: FoundSuspects, gallery: GalleryImages, images: Path | None) -> list[str]:
    notes = [*found.notes]
    if images is None:
        return [*notes, "No folder of images was given (--images), so none are shown."]
    number = gallery.missing + gallery.unreadable
    return [*notes, f"{number:,} images are missing in {images}, or damaged."] if number else notes


def _script_data(found: FoundSuspects, truth: Path, images: Path | None, gallery: GalleryImages) -> dict[str, object]:
    names = list(dict.fromkeys(one.change.frame for one in found.suspects))
    paths = find_images([image_name(name) for name in names], images)
    frames = []
    for name, path in zip(names, paths, strict=True):
        image = gallery.add(gallery.start_frame(name), image_name(name), path, found.sizes.get(name, (720, 1280)))
        boxes = [{"name": one, "box": box} for one, box in found.boxes.get(name, ())]
        frames.append({"name": name, **image._asdict(), "boxes": boxes})
    place = {name: i for i, name in enumerate(names)}
    return {
        "format": DECISIONS_FORMAT,
        "task": found.task.name,
        "labels": msgspec.to_builtins(label_source(truth)),
        "nothing": next(iter(found.notes), "No suspects."),
        "frames": frames,
        "suspects": [_suspect(one, place[one.change.frame]) for one in found.suspects],
    }


def _suspect(one: Suspect, frame: int) -> dict[str, object]:
    return {
        "kind": one.kind,
        "score": round(one.score, 4),
        "evidence": one.evidence,
        "frame": frame,
        "label": one.label_box,
        "model": one.model_box,
        "overlay": _overlay(one),
        "change": msgspec.to_builtins(one.change),
    }


def _overlay(one: Suspect) -> str | None:
    """The region of a mask as the address of a PNG in the size of its box; None for a box."""
    if one.change.region is None or one.label_box is None:
        return None
    x1, y1, x2, y2 = map(int, one.label_box)
    mask = coco_mask.decode(check_rle(one.change.region, one.change.region.size, one.change.frame))
    image = np.zeros((y2 - y1 + 1, x2 - x1 + 1, 4), np.uint8)
    red, green, blue, alpha = _OVERLAY
    image[mask[y1 : y2 + 1, x1 : x2 + 1] > 0] = (blue, green, red, alpha)
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
