"""Objects of other images pasted into a training image.

Source: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation, 2021: what is
pasted hides what lies below; masks and boxes become those of the parts that are seen. Boxes without masks are pasted as
rectangles. What is drawn comes from NumPy's global generator.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from detectron2.structures import BoxMode, polygons_to_bitmask
from pycocotools import mask as coco_mask

# How often a place is drawn for an object while it would hide too much there.
_ATTEMPTS = 10
# From this share of its area on, another object that lies in a pasted rectangle is pasted with it.
_LEAST_SHARE = 0.5

_Annotation = dict[str, Any]


class Source(NamedTuple):
    """An image (H, W, 3) uint8 with its annotations, and which of them is to be pasted."""

    image: np.ndarray
    annotations: Sequence[_Annotation]
    place: int


class Patch(NamedTuple):
    """What is pasted: pixels (h, w, 3) uint8, which of them (h, w) bool, and what is labelled in it.

    ``boxes`` (K, 4) are x1, y1, x2, y2 in the patch, ``classes`` (K,); the first is the object itself.
    """

    pixels: np.ndarray
    cover: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray

    def resized(self, factor: float) -> "Patch":
        """It by another size, at least one pixel."""
        height, width = self.cover.shape
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        if size == (width, height):
            return self
        # OpenCV takes no view of reversed channels.
        pixels = cv2.resize(np.ascontiguousarray(self.pixels), size, interpolation=cv2.INTER_LINEAR)
        cover = cv2.resize(self.cover.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        scale = np.array([size[0] / width, size[1] / height] * 2)
        return Patch(np.asarray(pixels), np.asarray(cover), self.boxes * scale, self.classes)

    def flipped(self) -> "Patch":
        """It with left and right exchanged."""
        width = self.cover.shape[1]
        boxes = np.stack([width - self.boxes[:, 2], self.boxes[:, 1], width - self.boxes[:, 0], self.boxes[:, 3]], 1)
        return Patch(self.pixels[:, ::-1], self.cover[:, ::-1], boxes, self.classes)


class CopyPaste:
    """Pastes objects: each at the height of the frame where it was, anywhere between left and right.

    Args:
        scale_range: the factor that an object is resized by, beside that of the frames' heights.
        flip_prob: how often it is flipped.
        max_cover: the share of an object, as far as it is seen, that may be hidden by one that is pasted.
        blend_sigma: standard deviation in pixels of the Gaussian that softens its border; 0 for none.
        use_masks: paste, and cut, masks; else the boxes' rectangles.
    """

    def __init__(
        self,
        scale_range: tuple[float, float],
        flip_prob: float,
        max_cover: float,
        blend_sigma: float,
        use_masks: bool,
    ) -> None:
        self.scale_range, self.flip_prob, self.max_cover = scale_range, flip_prob, max_cover
        self.blend_sigma, self.use_masks = blend_sigma, use_masks

    def __call__(
        self, image: np.ndarray, annotations: Sequence[_Annotation], sources: Iterable[Source]
    ) -> tuple[np.ndarray, list[_Annotation]]:
        """A copy of an image (H, W, 3) with the sources' objects in it, and the annotations of what is seen.

        Crowds, which are not trained on, stay as they are. An object that has no place is left out.
        """
        image, annotations = image.copy(), [*annotations]
        for source in sources:
            factor = np.random.uniform(*self.scale_range) * image.shape[0] / source.image.shape[0]
            is_flipped = bool(np.random.random_sample() < self.flip_prob)
            patch, bottom = self.cut(source)
            patch = patch.resized(factor)
            patch = patch.flipped() if is_flipped else patch
            top = round(bottom * image.shape[0] / source.image.shape[0]) - patch.cover.shape[0]
            room = image.shape[1] - patch.cover.shape[1]
            if top < 0 or room < 0 or not patch.cover.any():
                continue
            for left in np.random.randint(room + 1, size=_ATTEMPTS).tolist():
                if (after := self.paste(image, annotations, patch, left, top)) is not None:
                    image, annotations = after
                    break
        return image, annotations

    def cut(self, source: Source) -> tuple[Patch, int]:
        """The object of a source, and the row below it; empty where its mask or its box has nothing in the image."""
        image, one = source.image, source.annotations[source.place]
        height, width = image.shape[:2]
        if self.use_masks:
            cover = decode(one["segmentation"], height, width)
            x1, y1, x2, y2 = _around(cover)
            boxes, classes = np.array([[0, 0, x2 - x1, y2 - y1]], np.float64), [one["category_id"]]
        else:
            whole = box_corners(one).clip(0, [width, height, width, height])
            others = [other for place, other in enumerate(source.annotations) if place != source.place]
            with_it = [whole, *(box_corners(other) for other in others if _is_within(other, whole))]
            low = np.min(with_it, axis=0).clip(0)
            high = np.max(with_it, axis=0).clip(max=[width, height, width, height])
            x1, y1, x2, y2 = (int(value) for value in (*np.floor(low[:2]), *np.ceil(high[2:])))
            window = np.array([x1, y1, x2, y2], np.float64)
            crowds = any(
                other.get("iscrowd", 0) and _overlaps(box_corners(other), (x1, y1, x2, y2)) for other in others
            )
            # The objects of a crowd would have no labels.
            cover = np.full((height, width), not crowds)
            inside = [one, *(other for other in others if _is_within(other, window))]
            boxes = np.stack([box_corners(one).clip(window[[0, 1, 0, 1]], window[[2, 3, 2, 3]]) for one in inside])
            boxes, classes = boxes - [x1, y1, x1, y1], [one["category_id"] for one in inside]
        part = slice(y1, y2), slice(x1, x2)
        return Patch(image[part], cover[part], boxes, np.array(classes)), y2

    def paste(
        self, image: np.ndarray, annotations: Sequence[_Annotation], patch: Patch, left: int, top: int
    ) -> tuple[np.ndarray, list[_Annotation]] | None:
        """The image and its annotations with a patch, whose upper left pixel is there; None if it would hide too much.

        The image is written to; an object of which nothing is left is dropped.
        """
        height, width = patch.cover.shape
        window = left, top, left + width, top + height
        seen = []
        for one in annotations:
            is_touched = not one.get("iscrowd", 0) and _overlaps(self._extent(one), window)
            after = self._seen(one, patch.cover, window, image.shape[:2]) if is_touched else one
            if after is None:
                return None
            if after:
                seen.append(after)
        part = image[top : top + height, left : left + width]
        part[:] = self._blended(part, patch)
        return image, seen + self._annotations(patch, left, top, image.shape[:2])

    def _seen(
        self, one: _Annotation, cover: np.ndarray, window: tuple[int, int, int, int], size: tuple[int, int]
    ) -> _Annotation | None:
        """An annotation below ``cover`` (h, w) at ``window``, as it is seen: empty for nothing, None for too little."""
        x1, y1, x2, y2 = window
        if self.use_masks:
            mask = decode(one["segmentation"], *size)
            before = int(mask.sum())
            mask[y1:y2, x1:x2] &= ~cover
            left = int(mask.sum())
            if left == before:
                return one
            if before - left > self.max_cover * before:
                return None
            return {**one, **_of_mask(mask)} if left else {}
        box = box_corners(one)
        hidden = _area(box.clip([x1, y1, x1, y1], [x2, y2, x2, y2]))
        if hidden > self.max_cover * _area(box):
            return None
        rest = visible_box(box, window)
        return {} if rest is None else {**one, "bbox": rest.tolist(), "bbox_mode": BoxMode.XYXY_ABS}

    def _extent(self, one: _Annotation) -> np.ndarray:
        """x1, y1, x2, y2 around what an annotation covers; the box of a mask may be another."""
        if not self.use_masks:
            return box_corners(one)
        if isinstance(one["segmentation"], list):
            points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in one["segmentation"]])
            return np.concatenate([np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))])
        x, y, width, height = coco_mask.toBbox(_packed(one["segmentation"])).tolist()
        return np.array([x, y, x + width, y + height])

    def _blended(self, below: np.ndarray, patch: Patch) -> np.ndarray:
        if not self.blend_sigma:
            return np.where(patch.cover[..., None], patch.pixels, below)
        weight = cv2.GaussianBlur(
            patch.cover.astype(np.float32), (0, 0), self.blend_sigma, borderType=cv2.BORDER_CONSTANT
        )[..., None]
        return np.asarray(np.rint(below + weight * (patch.pixels.astype(np.float32) - below)).astype(np.uint8))

    def _annotations(self, patch: Patch, left: int, top: int, size: tuple[int, int]) -> list[_Annotation]:
        if self.use_masks:
            mask = np.zeros(size, bool)
            mask[top : top + patch.cover.shape[0], left : left + patch.cover.shape[1]] = patch.cover
            return [{**_of_mask(mask), "category_id": int(patch.classes[0]), "iscrowd": 0}]
        boxes = (patch.boxes + np.array([left, top, left, top])).tolist()
        return [
            {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": category, "iscrowd": 0}
            for box, category in zip(boxes, patch.classes.tolist(), strict=True)
        ]


def all_corners(annotations: Sequence[_Annotation]) -> np.ndarray:
    """The boxes (N, 4) of one or more annotations as x1, y1, x2, y2 in pixels."""
    modes = {one["bbox_mode"] for one in annotations}
    if len(modes) > 1:
        return np.stack([box_corners(one) for one in annotations])
    boxes = np.array([one["bbox"] for one in annotations], np.float64)
    return np.asarray(BoxMode.convert(boxes, modes.pop(), BoxMode.XYXY_ABS))


def box_corners(annotation: _Annotation) -> np.ndarray:
    """The box (4,) of an annotation as x1, y1, x2, y2 in pixels."""
    return np.asarray(all_corners([annotation])[0])


def decode(segmentation: Any, height: int, width: int) -> np.ndarray:  # noqa: ANN401, any form that Detectron2 takes
    """The mask (height, width) bool of polygons, or of run lengths, compressed or plain."""
    if isinstance(segmentation, list):
        return np.asarray(polygons_to_bitmask(segmentation, height, width), bool)
    return np.asarray(coco_mask.decode(_packed(segmentation)), bool)


def visible_box(box: np.ndarray, hidden: tuple[float, float, float, float]) -> np.ndarray | None:
    """The box (4,) around what is left of ``box`` where another rectangle hides it; None if nothing is."""
    rest = box.copy()
    for x in (0, 1):
        y = 1 - x
        # Only a rectangle across the whole of the other direction makes it shorter in this one.
        if hidden[y] > box[y] or hidden[y + 2] < box[y + 2]:
            continue
        if hidden[x] <= box[x]:
            rest[x] = max(box[x], hidden[x + 2])
        elif hidden[x + 2] >= box[x + 2]:
            rest[x + 2] = min(box[x + 2], hidden[x])
    return rest if rest[0] < rest[2] and rest[1] < rest[3] else None


def _packed(segmentation: dict[str, Any]) -> dict[str, Any]:
    if isinstance(segmentation["counts"], list):
        packed: dict[str, Any] = coco_mask.frPyObjects(segmentation, *segmentation["size"])
        return packed
    return segmentation


def _of_mask(mask: np.ndarray) -> _Annotation:
    packed = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"bbox": coco_mask.toBbox(packed).tolist(), "bbox_mode": BoxMode.XYWH_ABS, "segmentation": packed}


def _around(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _is_within(annotation: _Annotation, box: np.ndarray) -> bool:
    """Whether an object lies in a box by so much that it is seen there."""
    own = box_corners(annotation)
    part = _area(own.clip(box[[0, 1, 0, 1]], box[[2, 3, 2, 3]]))
    return not annotation.get("iscrowd", 0) and 0 < _LEAST_SHARE * _area(own) <= part


def _area(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def _overlaps(box: np.ndarray, window: tuple[int, int, int, int]) -> bool:
    return bool(box[0] < window[2] and box[1] < window[3] and box[2] > window[0] and box[3] > window[1])
