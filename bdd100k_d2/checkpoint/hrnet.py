"""The layouts of HRNets: of the ImageNet classifiers of its authors and of timm, and below OpenMMLab's models."""

import re
from collections.abc import Set

from .rules import Layout

# The modules of the backbone; those of a classifier are called otherwise.
_BACKBONE = re.compile(r"(conv|bn)[12]|(layer1|transition[123]|stage[234])\..*")
# A module that no ResNet has.
_SIGN = "stage4.0.branches.0.0.conv1"
_CLASSIFIER = re.compile(r"(incre_modules|downsamp_modules|final_layer)\..*|classifier")


def hrnet_classifier(modules: Set[str]) -> Layout | None:
    """The layout of an ImageNet classifier with these modules; None if it is none."""
    if _SIGN not in modules:
        return None
    dropped = {name: "the ImageNet classifier" for name in modules if _CLASSIFIER.fullmatch(name)}
    names = {name: name for name in modules if _BACKBONE.fullmatch(name)}
    return Layout("ImageNet HRNet", names, dropped=dropped, matching_heuristics=True)


def hrnet_backbone(modules: Set[str], theirs: str, ours: str) -> Layout | None:
    """The layout of the HRNet whose modules begin with ``theirs``, put under ``ours``, and of its pyramid of features.

    None if there is none among ``modules``. The names are the same on both sides, so ``modules`` may be either's.
    """
    for prefix in (theirs, ours):
        if f"{prefix}{_SIGN}" in modules:
            own = [name.removeprefix(prefix) for name in modules if name.startswith(prefix)]
            names = {f"{theirs}{name}": f"{ours}{name}" for name in own if _BACKBONE.fullmatch(name)}
            names |= {"neck.reduction_conv.conv": "backbone.fpn_reduction"}
            return Layout(
                "HRNet", names | {f"neck.fpn_convs.{i}.conv": f"backbone.fpn_output{i + 2}" for i in range(5)}
            )
    return None
