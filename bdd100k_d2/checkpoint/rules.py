"""How a foreign layout of tensors becomes Detectron2's and back: module names in pairs, and the few reorderings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import WeightsError

PARAMETERS = ("weight", "bias", "running_mean", "running_var")
# Blocks in the longest stage there is, ResNet-152's third.
_BLOCKS = 36
_STAGES = 4

# Takes and returns a tensor.
Reorder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layout:
    """The names that a framework gives to the modules of one architecture."""

    # What messages call it, e.g. "mmdet Faster R-CNN".
    source: str
    # Their module -> Detectron2's.
    modules: Mapping[str, str]
    # Their module or tensor -> what is done with its tensors on the way to Detectron2.
    reorder: Mapping[str, Reorder] = field(default_factory=dict)
    # Their modules or tensors that Detectron2 has no use for -> why.
    dropped: Mapping[str, str] = field(default_factory=dict)
    # Their module -> how many first rows of its tensors Detectron2 has no use for, and why.
    cut: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    # Whether it is a classifier, whose backbone Detectron2 has to find in its model by the ends of the names.
    matching_heuristics: bool = False
    # Their tensors that are no module's weight, bias or statistics -> Detectron2's.
    tensors: Mapping[str, str] = field(default_factory=dict)
    # Their module or tensor -> what undoes its reordering, where that is not its own inverse.
    undo: Mapping[str, Reorder] = field(default_factory=dict)

    def extended(
        self,
        source: str,
        modules: Mapping[str, str],
        reorder: Mapping[str, Reorder] | None = None,
        undo: Mapping[str, Reorder] | None = None,
    ) -> "Layout":
        """This layout, of a backbone, with the modules of what stands on it."""
        return replace(
            self,
            source=source,
            modules={**self.modules, **modules},
            reorder={**self.reorder, **(reorder or {})},
            undo={**self.undo, **(undo or {})},
        )

    def inverse(self, source: str) -> "Layout":
        """The layout of the way back, whose messages call what it reads ``source``."""
        ours = {**self.modules, **self.tensors}
        return Layout(
            source,
            {new: old for old, new in self.modules.items()},
            {ours[name]: self.undo.get(name, reorder) for name, reorder in self.reorder.items()},
            tensors={new: old for old, new in self.tensors.items()},
        )


def resnet(theirs: str, ours: str, deep_stem: Mapping[str, str] | None = None) -> dict[str, str]:
    """The modules of a ResNet of any depth, named as torchvision does, to Detectron2's.

    ``theirs`` and ``ours`` are prefixes with a dot, such as ``backbone.`` and ``backbone.bottom_up.``. The modules of a
    stem of three convolutions are given as ``deep_stem``, instead of ``conv1`` and ``bn1``.
    """
    names = deep_stem or {"conv1": "stem.conv1", "bn1": "stem.conv1.norm"}
    modules = {f"{theirs}{a}": f"{ours}{b}" for a, b in names.items()}
    for stage in range(1, _STAGES + 1):
        for block in range(_BLOCKS):
            a, b = f"{theirs}layer{stage}.{block}", f"{ours}res{stage + 1}.{block}"
            for conv in (1, 2, 3):
                modules[f"{a}.conv{conv}"] = f"{b}.conv{conv}"
                modules[f"{a}.bn{conv}"] = f"{b}.conv{conv}.norm"
            # Of a deformable convolution, in OpenMMLab's ResNets.
            modules[f"{a}.conv2.conv_offset"] = f"{b}.conv2_offset"
            modules[f"{a}.downsample.0"] = f"{b}.shortcut"
            modules[f"{a}.downsample.1"] = f"{b}.shortcut.norm"
    return modules


# What a backbone has no use for.
CLASSIFIER = {"fc": "the ImageNet classifier"}

# Part of a tensor's name -> what is behind it, for messages.
UNSUPPORTED = {
    "context_block": "GCNet's context blocks, which Detectron2 has not",
    "dyhead_blocks": "DyHead, which is not built here",
    "downsample.2": "average-pooled shortcuts (ResNet-D), which Detectron2 has not",
}

# The stem of ResNet-v1c in mmcv, mmseg and Vis4D.
STEM_V1C = {f"stem.{i}": name for i, name in zip((0, 3, 6), ("stem.conv1", "stem.conv2", "stem.conv3"), strict=True)}
STEM_V1C |= {f"stem.{i + 1}": f"{STEM_V1C[f'stem.{i}']}.norm" for i in (0, 3, 6)}


def swap_ratios_and_scales(tensor: Tensor) -> Tensor:
    """Reorders RetinaNet's (A * C, ...) output channels between ratio-major and scale-major anchors.

    A cell's A anchors are three ratios of height and width times three scales; C is 4 or the number of classes. mmdet
    and Vis4D count scales fastest, Detectron2 ratios. There being three of each, it is its own inverse.

    Raises:
        WeightsError: the channels are not those of nine anchors.
    """
    if len(tensor) % 9:
        raise WeightsError(f"{len(tensor)} channels are not those of 9 anchors per cell")
    cells = tensor.reshape(3, 3, len(tensor) // 9, *tensor.shape[1:])
    return cells.transpose(0, 1).reshape(tensor.shape)


def background_last(tensor: Tensor) -> Tensor:
    """Moves the first of K + 1 classes, the background, behind the others: (K + 1, ...) to the same shape."""
    return torch.cat([tensor[1:], tensor[:1]])
