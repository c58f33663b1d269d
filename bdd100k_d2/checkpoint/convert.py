"""Checkpoints of other frameworks as Detectron2's, and Detectron2's as OpenMMLab's; every tensor is accounted for."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._version import __version__
from ..atomic import atomic_path
from ..errors import OutputError, WeightsError
from . import convnext_swin, from_openmmlab, from_torchvision, from_vis4d, hrnet
from .architecture import EPS_KEY, title_of, trained_eps
from .class_names import as_kept, kept_names, stated_names
from .reading import read_checkpoint, tensors_of
from .rules import PARAMETERS, UNSUPPORTED, Layout

LAYOUTS = ("detectron2", "mmdet")
FRAMEWORKS = "mmdet, mmseg, open-mmlab, Vis4D, torchvision and timm"
_COUNTER = "num_batches_tracked"
# What wrappers put before all names: PyTorch's compiler and data parallelism, Lightning.
_PREFIXES = ("_orig_mod.", "module.", "model.")
# Buffers of old Detectron2 checkpoints, which mmdet computes.
_COMPUTED = ("pixel_mean", "pixel_std", "anchor_generator.cell_anchors")


@dataclass(frozen=True)
class Converted:
    """Tensors, ``model``, under the names of another framework."""

    # What they were taken for, e.g. "mmdet Faster R-CNN".
    source: str
    model: dict[str, Tensor]
    # Tensors that were left out, by their old names -> why.
    dropped: dict[str, str]
    # As in `Layout`.
    matching_heuristics: bool

    def checkpoint(self, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What Detectron2's checkpointer loads; ``content`` is that of the file that the tensors were read from."""
        eps = trained_eps(content or {})
        made: dict[str, Any] = {"model": self.model, "__author__": self.source}
        if eps is not None and (title_of(self.model) or "").startswith("ConvNeXt"):
            made[EPS_KEY] = eps
        return made | ({"matching_heuristics": True} if self.matching_heuristics else {})

    def describe(self) -> str:
        """One line: what it was taken for, how many tensors were used, how many dropped and why."""
        reasons = ", ".join(f"{number} {reason}" for reason, number in Counter(self.dropped.values()).items())
        dropped = f"{len(self.dropped)} dropped" + (f" ({reasons})" if reasons else "")
        return f"{self.source}, {len(self.model)} tensors used, {dropped}"


def is_foreign(state: Mapping[str, Any]) -> bool:
    """Whether the names are those of a framework that `convert_state` knows."""
    return all(isinstance(key, str) for key in state) and _layout_of(_modules(_without_prefix(state))) is not None


def convert_state(state: Mapping[str, Tensor], name: str) -> Converted:
    """Gives a foreign model's tensors Detectron2's names and channel orders.

    The names may have the ``module.`` and ``model.`` of wrappers; messages call the file ``name``.

    Raises:
        WeightsError: the framework is not known, or Detectron2's model has no place for some tensors, which are named.
    """
    state = _without_prefix(_tensors(state, name))
    modules = _modules(state)
    layout = _layout_of(modules)
    if layout is None:
        if any(module.startswith(("backbone.bottom_up.", "res2.")) for module in modules):
            raise WeightsError(f"{name}: has Detectron2's names already; use it as it is.")
        raise WeightsError(
            f"{name}: not a checkpoint of a framework that can be converted ({FRAMEWORKS}, with a ResNet, "
            f"ConvNeXt or Swin){shortened('it holds', list(state))}. Give one of those."
        )
    model, dropped = _rename(state, layout, name, "Detectron2")
    return Converted(layout.source, model, dropped, layout.matching_heuristics)


def convert_state_to_mmdet(state: Mapping[str, Tensor], name: str) -> Converted:
    """Gives the tensors of a Detectron2 model the names and channel orders of mmdet 3.x; a Semantic FPN's mmseg's.

    A foreign model's tensors get Detectron2's names first. Raises `WeightsError` as :func:`convert_state` does.
    """
    state = _without_prefix(_tensors(state, name))
    dropped: dict[str, str] = {}
    if is_foreign(state):
        converted = convert_state(state, name)
        state, dropped = converted.model, converted.dropped
    layout = from_openmmlab.layout_for_detectron2(state.keys())
    if layout is None:
        raise WeightsError(
            f"{name}: not a Detectron2 checkpoint that has a counterpart in mmdet or mmseg (Faster, Mask, Cascade "
            "R-CNN, RetinaNet, ATSS, Semantic or Panoptic FPN, PointRend on an FPN, and segmenters without one, over a "
            "ResNet, ConvNeXt, Swin or HRNet)"
            f"{shortened('it holds', list(state))}."
        )
    computed = {key: "buffers that mmdet computes" for key in state if any(part in key for part in _COMPUTED)}
    used = {key: tensor for key, tensor in state.items() if key not in computed}
    inverse = layout.inverse(f"Detectron2 {layout.source.partition(' ')[2]}")
    model, counters = _rename(used, inverse, name, layout.source)
    return Converted(inverse.source, model, dropped | computed | counters, False)


def convert_file(
    source: Path | str,
    destination: Path | str,
    *,
    to: str = "detectron2",
    overwrite: bool = False,
    classes: Sequence[str] = (),
) -> Converted:
    """Writes a checkpoint under the names of another framework, with those of its ``classes``, or that it states.

    ``to`` is "detectron2", or "mmdet" for the names of mmdet 3.x and mmseg, which Detectron2's checkpoints get too.

    Raises:
        WeightsError: ``source`` cannot be read or converted.
        OutputError: ``destination`` exists or cannot be written.
    """
    source, destination = Path(source), Path(destination)
    if to not in LAYOUTS:
        raise ValueError(f"{to}: convert to one of {', '.join(LAYOUTS)}")
    if destination.is_dir():
        raise OutputError(f"{destination}: a folder; give the name of the file to write.")
    if destination.exists() and source.exists() and destination.samefile(source):
        raise OutputError(f"{destination}: is the file to convert; choose another destination.")
    if destination.exists() and not overwrite:
        raise OutputError(f"{destination}: exists; choose another destination, or replace it with --overwrite.")
    if destination.suffix == ".pkl":
        raise OutputError(f"{destination}: Detectron2 reads .pkl as plain pickles; name the destination .pth.")
    content = read_checkpoint(source)
    state = tensors_of(content)
    stated = {"meta": {"CLASSES": [*classes]}} if classes else content
    if to == "detectron2":
        converted = convert_state(state, str(source))
        content = converted.checkpoint(content) | as_kept(stated_names(stated, converted.model))
    else:
        converted = convert_state_to_mmdet(state, str(source))
        content = {"meta": {"bdd100k_d2_version": __version__}, "state_dict": converted.model}
        # Where mmdet does not look: its functions for pictures want a palette with the names.
        content |= as_kept(kept_names(stated))
    with atomic_path(destination) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
    return converted


def shortened(what: str, keys: Sequence[str]) -> str:
    """Words for a message: "; what: the first five keys and how many more", or nothing where there are no keys."""
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return f"; {what}: {', '.join(keys[:5])}{more}" if keys else ""


def _tensors(state: Mapping[Any, Any], name: str) -> dict[str, Tensor]:
    """The state with its arrays, as Detectron2's model zoo has them, made tensors."""
    known = (Tensor, np.ndarray)
    strange = [str(k) for k, value in state.items() if not (isinstance(k, str) and isinstance(value, known))]
    if strange:
        raise WeightsError(f"{name}: not a checkpoint of tensors by name{shortened('among them are', strange)}.")
    return {key: torch.as_tensor(value) for key, value in state.items()}


def _without_prefix(state: Mapping[str, Any]) -> dict[str, Any]:
    state = dict(state)
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _modules(state: Mapping[str, Any]) -> set[str]:
    return {key.rpartition(".")[0] for key in state}


def _layout_of(modules: Set[str]) -> Layout | None:
    # An HRNet begins as a ResNet does.
    frameworks = [framework.layout_of for framework in (from_vis4d, from_torchvision, from_openmmlab)]
    readers = (hrnet.hrnet_classifier, *frameworks, convnext_swin.classifier_layout)
    return next(filter(None, (read(modules) for read in readers)), None)


def _rename(
    state: Mapping[str, Tensor], layout: Layout, name: str, target: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors that ``layout`` has a place for, by their new names, and the dropped ones with the reasons."""
    model: dict[str, Tensor] = {}
    dropped = {}
    strange = []
    for key, tensor in state.items():
        module, _, parameter = key.rpartition(".")
        new = layout.tensors.get(key)
        if new is None and module in layout.modules and parameter in PARAMETERS:
            new = f"{layout.modules[module]}.{parameter}"
        if (reason := layout.dropped.get(key, layout.dropped.get(module))) is not None:
            dropped[key] = reason
        elif module in layout.modules and parameter == _COUNTER:
            dropped[key] = "counters of batches"
        elif new is None or new in model:
            strange.append(key)
        else:
            if module in layout.cut:
                rows, why = layout.cut[module]
                # A view would keep the whole tensor, also in a file.
                tensor = tensor[rows:].clone()
                dropped[f"{key}[:{rows}]"] = why
            try:
                reorder = layout.reorder.get(key, layout.reorder.get(module))
                model[new] = reorder(tensor) if reorder else tensor
            except WeightsError as error:
                raise WeightsError(f"{name}: {key}: {error}; the conversion knows no other.") from error
    if strange:
        parts = [what for part, what in UNSUPPORTED.items() if any(part in key for key in strange)]
        raise WeightsError(
            f"{name}: looks like {layout.source}, but has tensors without a place in {target}"
            f"{shortened('among them' if parts else 'they are', strange)}. "
            + (f"It uses {' and '.join(parts)}." if parts else "It is of another architecture.")
        )
    return model, dropped
