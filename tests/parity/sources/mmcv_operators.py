"""mmcv's compiled operators, from torchvision: import this before mmdet and mmseg, and mmcv-lite serves them on a CPU.

mmcv-lite has the Python side of every operator; what it lacks is the compiled `mmcv._ext`. Those that the zoo's models
need are the same functions in torchvision: non-maximum suppression, RoIAlign, deformable convolution with and without
a mask (offsets y, x of each tap in turn). object other raises NotImplementedError when it is called.
"""

import sys
from types import ModuleType
from typing import NoReturn

from torch import Tensor
from torchvision import ops


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    if offset:
        raise NotImplementedError("torchvision's nms measures boxes without the offset of one pixel")
    return ops.nms(boxes, scores, iou_threshold)


class _Extension(ModuleType):
    """Stands for `mmcv._ext`: mmcv looks every operator up when it is imported."""

    nms = staticmethod(_nms)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> NoReturn:
            raise NotImplementedError(f"mmcv's operator {name} is not among those that torchvision serves here")

        return missing


sys.modules["mmcv._ext"] = _Extension("mmcv._ext")

import mmcv.ops  # noqa: E402, needs the module above


def _deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    *_: object,
) -> Tensor:
    return ops.deform_conv2d(input, offset, weight, None, stride, padding, dilation)


def _modulated_deform_conv2d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    *_: object,
) -> Tensor:
    return ops.deform_conv2d(input, offset, weight, bias, stride, padding, dilation, mask)


def _roi_align(
    input: Tensor,
    rois: Tensor,
    output_size: object,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    pool_mode: str = "avg",
    aligned: bool = True,
) -> Tensor:
    if pool_mode != "avg":
        raise NotImplementedError("torchvision's roi_align takes the mean")
    return ops.roi_align(input, rois, output_size, float(spatial_scale), sampling_ratio, aligned)


for _module, _function in (
    ("deform_conv", _deform_conv2d),
    ("modulated_deform_conv", _modulated_deform_conv2d),
    ("roi_align", _roi_align),
):
    # mmcv's classes look their function up in their own module; others take it from mmcv.ops.
    _name = _function.__name__[1:]
    setattr(sys.modules[f"mmcv.ops.{_module}"], _name, _function)
    setattr(mmcv.ops, _name, _function)
