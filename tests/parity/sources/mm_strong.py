"""Mosaic, MixUp and PhotoMetricDistortion of mmdetection 2.x, whose version 3 pads and clips otherwise.

That version needs an mmcv which is compiled; of it this takes one file, which needs no more than OpenCV and NumPy:

    python -m pip download --no-deps mmdet==2.25.1 && unzip mmdet-2.25.1-py3-none-any.whl
    MMDET_2=$PWD/mmdet ENV/bin/python make_golden.py strong
"""

import os
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from seeded import seeded_boxes, seeded_image

# Height and width that images are fitted into, and those of the images.
SIZE = (45, 80)
IMAGES = ((45, 80), (90, 160), (64, 70), (30, 120), (72, 128))


def strong() -> dict[str, np.ndarray]:
    """What each of the three makes of seeded images, and its draws."""
    module = _transforms(Path(os.environ["MMDET_2"]) / "datasets" / "pipelines" / "transforms.py")
    arrays: dict[str, np.ndarray] = {}
    for case, (x, y) in enumerate(((0.5, 0.5), (1.49, 1.1), (0.8, 1.5))):
        mosaic = module.Mosaic(img_scale=SIZE)
        # The first one decides whether there is a mosaic at all.
        module.random = _Given([0.0, x, y])
        results = _labelled(0) | {"mix_results": [_labelled(i) for i in (1, 2, 3)]}
        made = mosaic(results)
        arrays |= {f"mosaic{case}/draws": np.array([x, y])} | _kept(f"mosaic{case}", made)
    # The last is larger than its target, of which a part is taken.
    for case, (ratio, flip, target, offset) in enumerate(
        ((0.55, 0.1, 1, ()), (1.5, 0.9, 1, ()), (1.3, 0.9, 0, (7, 3)), (1.0, 0.2, 2, (5,)))
    ):
        mixup = module.MixUp(img_scale=SIZE)
        module.random = _Given([ratio, flip], offset)
        made = mixup(_labelled(target) | {"mix_results": [_labelled(4 - case)]})
        y_x = (*(0,) * (2 - len(offset)), *offset)
        draws = np.array([ratio, flip > 0.5, target, 4 - case, *y_x])
        arrays |= {f"mixup{case}/draws": draws} | _kept(f"mixup{case}", made)
    cases = (
        ([], [0, 0, 0, 0, 0, 0], None),
        ([31.5, 1.45, 0.6, -17.5], [1, 1, 1, 1, 1, 0], None),
        ([-31.5, 1.49, 17.5, 0.55], [1, 0, 1, 1, 1, 1], [2, 0, 1]),
    )
    for case, (amounts, flags, order) in enumerate(cases):
        module.random = _Given(amounts, flags, order)
        made = module.PhotoMetricDistortion()({"img": seeded_image(*SIZE, seed=9)})
        # Contrast, where it is changed, comes second if the second flag is 1.
        names = (
            ("brightness", "contrast", "saturation", "hue") if flags[1] else ("brightness", "saturation", "hue", "last")
        )
        arrays[f"photometric{case}/image"] = made["img"]
        arrays[f"photometric{case}/names"] = np.array(names[: len(amounts)])
        arrays[f"photometric{case}/amounts"] = np.array(amounts)
        arrays[f"photometric{case}/order"] = np.array([] if order is None else order, np.int64)
    return arrays


class _Given:
    """In place of `numpy.random`: draws that are given."""

    def __init__(
        self, uniform: Sequence[float], randint: Sequence[int] = (), order: Sequence[int] | None = None
    ) -> None:
        self._uniform, self._randint, self._order = [*uniform], [*randint], order

    def uniform(self, *_: float) -> float:
        return self._uniform.pop(0)

    def randint(self, *_: int) -> int:
        return self._randint.pop(0)

    def permutation(self, _: int) -> np.ndarray:
        return np.array(self._order)


def _labelled(number: int) -> dict[str, Any]:
    height, width = IMAGES[number]
    boxes = seeded_boxes(height, width, 6, seed=number)
    return {
        "img": seeded_image(height, width, seed=number),
        "gt_bboxes": boxes,
        "gt_labels": np.arange(6) + 10 * number,
    }


def _kept(name: str, made: dict[str, Any]) -> dict[str, np.ndarray]:
    keys = {"image": "img", "boxes": "gt_bboxes", "classes": "gt_labels"}
    return {f"{name}/{key}": made[value] for key, value in keys.items()}


def _transforms(path: Path) -> Any:  # noqa: ANN401, a module
    """The file of mmdet as a module, with what it takes of mmcv and mmdet from here."""

    def inside(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
        return (boxes[:, 0] < width) & (boxes[:, 2] > 0) & (boxes[:, 1] < height) & (boxes[:, 3] > 0)

    def registered(*_: object, **__: object) -> Callable[[type], type]:
        return lambda kind: kind

    of_mmcv = {
        "imresize": lambda image, size: cv2.resize(image, size, interpolation=cv2.INTER_LINEAR),
        "bgr2hsv": lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2HSV),
        "hsv2bgr": lambda image: cv2.cvtColor(image, cv2.COLOR_HSV2BGR),
    }
    stubs: dict[str, dict[str, object]] = {
        "mmcv": of_mmcv,
        "mmdet": {},
        "mmdet.core": {"BitmapMasks": None, "PolygonMasks": None, "find_inside_bboxes": inside},
        "mmdet.core.evaluation": {},
        "mmdet.core.evaluation.bbox_overlaps": {"bbox_overlaps": None},
        "mmdet.utils": {"log_img_scale": lambda *_, **__: None},
        "mmdet.datasets": {},
        "mmdet.datasets.builder": {"PIPELINES": types.SimpleNamespace(register_module=registered)},
    }
    for name, members in stubs.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(members)
    module = types.ModuleType("mmdet.datasets.pipelines.transforms")
    module.__package__ = "mmdet.datasets.pipelines"
    sys.modules["mmdet.datasets.pipelines"] = types.ModuleType("mmdet.datasets.pipelines")
    exec(compile(path.read_text(), str(path), "exec"), vars(module))
    return module
