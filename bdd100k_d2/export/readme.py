"""The README.txt beside a model file: what it takes and gives, and lines of Python and of C++ that run it."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..atomic import write_atomic
from ..data.categories import Category
from ..predict.graph_outputs import output_names
from ..predict.model_card import CARD_KEY, ModelCard
from ..predict.model_formats import BY_ENDING, ONNX, OPENVINO, TORCH_EXPORT, TORCHSCRIPT, ModelFormat
from .readme_cpp import cpp

_OUTPUTS = {
    "boxes": "float32 (D, 4), x1, y1, x2, y2 in pixels of the images; those of the first image come first",
    "scores": "float32 (D,), from {score:g} on",
    "classes": "int64 (D,), numbers of the classes below{things}",
    "counts": "int64 (N,), how many of the D detections are of each image",
    "masks": "bool (D, H, W), which pixels each detection has",
    "sem_seg": "uint8 (N, H, W), {ids}",
}

_IMAGE = """import cv2
import numpy as np
{imports}
image = cv2.cvtColor(cv2.imread("image.jpg"), cv2.COLOR_BGR2RGB)
images = np.stack([image] * {batch})
{run}
for name, output in zip({names}, outputs):
    print(name, output.shape)"""
# The lines that import what runs a file, and that run it.
_PYTHON = {
    ONNX: (
        "import onnxruntime",
        """session = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])
outputs = session.run({names}, {{"image": images}})""",
    ),
    OPENVINO: (
        "import openvino",
        """model = openvino.Core().compile_model("{file}", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
results = model(images)
outputs = [results[name] for name in {names}]""",
    ),
    TORCHSCRIPT: (
        "import torch\nimport torchvision  # its operators",
        """model = torch.jit.load("{file}")
outputs = model(torch.from_numpy(images))""",
    ),
    TORCH_EXPORT: (
        "import torch\nimport torchvision  # its operators",
        """model = torch.export.load("{file}").module()
outputs = model(torch.from_numpy(images))""",
    ),
}
_TRUST = """

torch.export.load reads pickles, which may hold code that it runs: open a .pt2 file only from whom you trust."""

_MERGE = """`bdd100k_d2.Predictor` merges `masks` and `sem_seg` into segments.
bdd100k_d2/predict/panoptic_merge.py does so in NumPy, with
    overlap {overlap:g}: an object is left out of which a larger share is taken by objects of higher scores
    stuff_area {stuff_area:g}: stuff is left out of which fewer pixels are left by the objects
    instance_score {instance_score:g}: objects of lower scores are left out
The file says so itself: `panoptic` in the JSON under the key {key} of its metadata."""


def readme_path(path: Path) -> Path:
    """Where the text beside the model file ``path`` lies; several files in one folder have one each."""
    return path.with_name(f"{path.name}.README.txt")


def write_readme(path: Path, card: ModelCard) -> None:
    """Writes the text beside the model file ``path``; OutputError if it cannot be written."""
    write_atomic(readme_path(path), readme(path.name, card))


def readme(file: str, card: ModelCard) -> str:
    """The text for a model file of that name."""
    task = card.task_with_classes
    names = output_names(task)
    model_format = BY_ENDING[Path(file).suffix.lower()]
    sides = "any height and width" if card.size is None else f"{card.size[0]} high and {card.size[1]} wide"
    batch = "any number of images" if card.batch is None else f"{card.batch} at a time"
    title = f"{task.name}, {card.precision}, of {card.config or 'a config'}, by bdd100k_d2 {card.package_version}"
    weights = Path(file).with_suffix(".bin").name
    both = f" and {weights}, its weights, which belongs beside it" if model_format == OPENVINO else ""
    parts = [
        f"{file}{both}\n{title}",
        f"It takes `image`: uint8 (N, H, W, 3), RGB, pixels as they are read; {sides}, {batch}.\n"
        "Resizing, normalisation and what else belongs to the model are inside.",
        "It gives\n" + "\n".join(f"    {name}: {_told(name, card)}" for name in names),
        *_classes(card),
        _python(model_format, file, card, names),
        cpp(model_format, file, card.batch or 1, names),
    ]
    return "\n\n".join(parts) + "\n"


def _told(name: str, card: ModelCard) -> str:
    is_panoptic = card.panoptic is not None
    ids = "0 for all things, then the classes of stuff from 1 on" if is_panoptic else "the class of each pixel"
    things = " that are things, from 0 on" if is_panoptic else ""
    return _OUTPUTS[name].format(score=card.min_score, ids=ids, things=things)


def _classes(card: ModelCard) -> list[str]:
    """The classes by the numbers that the outputs have of them; of panoptic models how both outputs are merged, too."""
    if card.panoptic is None:
        return ["Classes\n" + _numbered(card.categories, 0)]
    things, stuff = ([one for one in card.categories if one.is_thing is wanted] for wanted in (True, False))
    thresholds = msgspec.structs.asdict(card.panoptic)
    return [
        "Classes of things, in `classes`\n" + _numbered(things, 0),
        "Classes of stuff, in `sem_seg`\n" + _numbered(stuff, 1),
        _MERGE.format(key=CARD_KEY, **thresholds),
    ]


def _numbered(categories: Iterable[Category], first: int) -> str:
    return "\n".join(f"    {number} {one.name}" for number, one in enumerate(categories, first))


def _python(model_format: ModelFormat, file: str, card: ModelCard, names: tuple[str, ...]) -> str:
    imports, run = _PYTHON[model_format]
    run = run.format(file=file, names=[*names])
    lines = _IMAGE.format(imports=imports, batch=card.batch or 1, run=run, names=[*names])
    trust = _TRUST if model_format == TORCH_EXPORT else ""
    return f"Python ({model_format.pip_line} numpy opencv-python-headless)\n\n{_indented(lines)}{trust}"


def _indented(lines: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in lines.splitlines())
