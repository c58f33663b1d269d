"""Tiny graphs with the inputs and outputs of exported models, whose results follow from the pixels by simple rules."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bdd100k_d2.predict.graph_outputs import output_names
from bdd100k_d2.predict.model_card import CARD_KEY, ModelCard, PanopticThresholds
from bdd100k_d2.tasks import TASKS, Task

BOXES = np.array([[8, 10, 68.5, 70.25], [20, 5, 50, 60], [100, 40, 150, 90]], np.float32)
SCORES = np.array([0.9, 0.75, 0.125], np.float32)
CLASSES = np.array([2, 0, 1])
THRESHOLDS = np.array([80, 120, 160])
"""An object's mask has the pixels whose green is above its threshold."""

PANOPTIC = PanopticThresholds(overlap=0.5, stuff_area=64, instance_score=0.5)
_DTYPES = {"boxes": "FLOAT", "scores": "FLOAT", "classes": "INT64", "counts": "INT64", "masks": "BOOL"}


def expected(images: np.ndarray, name: str) -> np.ndarray:
    """The output ``name`` for images (N, H, W, 3)."""
    count = len(images)
    if name == "boxes":
        shift = images.astype(np.float32).mean(axis=(1, 2, 3), keepdims=True).reshape(-1, 1, 1) / np.float32(16)
        return (BOXES + shift).reshape(-1, 4)
    if name == "masks":
        green = images[..., 1]
        return (green[:, None] > THRESHOLDS[:, None, None]).reshape(-1, *green.shape[1:])
    if name == "sem_seg":
        return images[..., 0] // 64
    return {
        "scores": np.tile(SCORES, count),
        "classes": np.tile(CLASSES, count),
        "counts": np.full(count, len(BOXES)),
    }[name]


def card(task: Task = TASKS["det"], **fields: object) -> ModelCard:
    """The card of such a file."""
    known = {
        "task": task.name,
        "categories": task.categories,
        "size": None,
        "batch": None,
        "min_score": 0.05 if task.has_scores else 0.0,
        "precision": "float32",
        "config": "tests/tiny",
        "weights_sha256": "0" * 64,
        "package_version": "0.1.0",
        "panoptic": PANOPTIC if task.name == "pan_seg" else None,
    }
    return ModelCard(**known | fields)


def write_onnx(path: Path, task: Task = TASKS["det"], text: str | None = "", **fields: object) -> Path:
    """An ONNX file of `onnx_bytes`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(onnx_bytes(task, text, **fields))
    return path


def onnx_bytes(
    task: Task = TASKS["det"],
    text: str | None = "",
    size: tuple[int, int] | None = None,
    batch: int | None = None,
    names: Sequence[str] | None = None,
    dtype: str = "UINT8",
    classes: Sequence[int] = CLASSES,
) -> bytes:
    """An ONNX graph of ``task``, or with the outputs ``names`` alone; ``text`` is its card, None for none."""
    names = output_names(task) if names is None else names
    shape = [batch or "N", *(size or ("H", "W")), 3]
    constants = {
        "base": BOXES[None],
        "scale": np.float32(16),
        "scores3": SCORES[None],
        "classes3": np.array(classes, np.int64)[None],
        "three": np.array([len(BOXES)], np.int64),
        "thresholds": THRESHOLDS.astype(np.int32)[None, :, None, None],
        "sixty_four": np.array(64, np.int32),
        "all": np.array([-1], np.int64),
        "four": np.array([-1, 4], np.int64),
        "one_two": np.array([1, 2], np.int64),
        "axis1": np.array([1], np.int64),
        "red": np.array(0, np.int64),
        "green": np.array(1, np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Cast", ["image"], ["int"], to=TensorProto.INT32),
        node("ReduceMean", ["float"], ["mean"], axes=[1, 2, 3], keepdims=0),
        node("Div", ["mean", "scale"], ["shift1"]),
        node("Unsqueeze", ["shift1", "one_two"], ["shift"]),
        node("Shape", ["image"], ["count"], start=0, end=1),
        node("Shape", ["image"], ["plane"], start=1, end=3),
    ]
    column = node("Concat", ["count", "axis1"], ["column"], axis=0)
    made = {
        "boxes": [node("Add", ["base", "shift"], ["moved"]), node("Reshape", ["moved", "four"], ["boxes"])],
        "scores": [column, node("Tile", ["scores3", "column"], ["rows"]), node("Reshape", ["rows", "all"], ["scores"])],
        "classes": [node("Tile", ["classes3", "column"], ["kinds"]), node("Reshape", ["kinds", "all"], ["classes"])],
        "counts": [node("Expand", ["three", "count"], ["counts"])],
        "masks": [
            node("Gather", ["int", "green"], ["greens"], axis=3),
            node("Unsqueeze", ["greens", "axis1"], ["greens1"]),
            node("Greater", ["greens1", "thresholds"], ["above"]),
            node("Concat", ["all", "plane"], ["flat"], axis=0),
            node("Reshape", ["above", "flat"], ["masks"]),
        ],
        "sem_seg": [
            node("Gather", ["int", "red"], ["reds"], axis=3),
            node("Div", ["reds", "sixty_four"], ["quarters"]),
            node("Cast", ["quarters"], ["sem_seg"], to=TensorProto.UINT8),
        ],
    }
    outputs = [
        helper.make_tensor_value_info(name, getattr(TensorProto, _DTYPES.get(name, "UINT8")), None) for name in names
    ]
    graph = helper.make_graph(
        [*nodes, *(one for name in names for one in made[name])],
        "tiny",
        [helper.make_tensor_value_info("image", getattr(TensorProto, dtype), shape)],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if text is not None:
        text = text or card(task, size=size, batch=batch).to_json()
        helper.set_model_props(model, {CARD_KEY: text})
    return model.SerializeToString()


def write_openvino(path: Path, task: Task = TASKS["det"], text: str = "", **fields: object) -> Path:
    """The same graph for OpenVINO."""
    from bdd100k_d2.predict.openvino_session import import_openvino, openvino_core

    openvino = import_openvino()
    source = write_onnx(path.with_name(f"{path.stem}-source.onnx"), task, **fields)
    model = openvino_core().read_model(source)
    fixed = {key: fields[key] for key in ("size", "batch") if key in fields}
    model.set_rt_info(text or card(task, **fixed).to_json(), CARD_KEY)
    openvino.save_model(model, path, compress_to_fp16=False)
    source.unlink()
    return path


def write_torch(path: Path, task: Task = TASKS["det"], shape: tuple[int, ...] = (1, 96, 160, 3)) -> Path:
    """The same graph for PyTorch, by the ending; it takes images of ``shape`` alone."""
    import torch

    names = output_names(task)

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in (("base", BOXES), ("three", SCORES), ("kinds", CLASSES), ("thresholds", THRESHOLDS)):
                self.register_buffer(name, torch.from_numpy(value))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            count = image.shape[0]
            shift = image.float().mean(dim=(1, 2, 3)).reshape(-1, 1, 1) / 16
            masks = image[..., 1].int()[:, None] > self.thresholds[:, None, None]
            made = {
                "boxes": (self.base + shift).reshape(-1, 4),
                "scores": self.three.repeat(count),
                "classes": self.kinds.repeat(count),
                "counts": torch.full((count,), len(BOXES)),
                "masks": masks.reshape(-1, *image.shape[1:3]),
                "sem_seg": image[..., 0] // 64,
            }
            return tuple(made[name] for name in names)

    path.parent.mkdir(parents=True, exist_ok=True)
    example, files = (
        torch.zeros(shape, dtype=torch.uint8),
        {CARD_KEY: card(task, size=shape[1:3], batch=shape[0]).to_json()},
    )
    if path.suffix == ".pt2":
        torch.export.save(torch.export.export(Graph(), (example,)), path, extra_files=files)
    else:
        torch.jit.save(torch.jit.trace(Graph(), example), path, _extra_files=files)
    return path
