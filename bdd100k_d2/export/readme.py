"""The README.txt beside a model file: what it takes and gives, and lines of Python and of C++ that run it."""

from pathlib import Path

from ..atomic import write_atomic
from ..predict.graph_outputs import output_names
from ..predict.model_card import ModelCard

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
# Of each ending: what pip installs, and the lines that import and run.
_PYTHON = {
    ".onnx": (
        "onnxruntime",
        "import onnxruntime",
        """session = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])
outputs = session.run({names}, {{"image": images}})""",
    ),
    ".xml": (
        "openvino",
        "import openvino",
        """model = openvino.Core().compile_model("{file}", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
results = model(images)
outputs = [results[name] for name in {names}]""",
    ),
    ".torchscript": (
        "torch torchvision",
        "import torch\nimport torchvision  # its operators",
        """model = torch.jit.load("{file}")
outputs = model(torch.from_numpy(images))""",
    ),
    ".pt2": (
        "torch torchvision",
        "import torch\nimport torchvision  # its operators",
        """model = torch.export.load("{file}").module()
outputs = model(torch.from_numpy(images))""",
    ),
}

_CPP_IMAGE = """cv::Mat image = cv::imread("image.jpg");
cv::cvtColor(image, image, cv::COLOR_BGR2RGB);
"""
_CPP = {
    ".onnx": (
        "<onnxruntime_cxx_api.h>",
        """Ort::Env env;
Ort::Session session(env, "{file}", Ort::SessionOptions());
std::vector<int64_t> shape{{1, image.rows, image.cols, 3}};
auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
auto input = Ort::Value::CreateTensor<uint8_t>(memory, image.data, image.total() * 3, shape.data(), shape.size());
const char *inputs[] = {{"image"}}, *names[] = {{{names}}};
auto outputs = session.Run(Ort::RunOptions(), inputs, &input, 1, names, {number});
const {type}* first = outputs[0].GetTensorData<{type}>();""",
    ),
    ".xml": (
        "<openvino/openvino.hpp>",
        """ov::Core core;
auto model = core.compile_model("{file}", "CPU", ov::hint::inference_precision(ov::element::f32));
auto request = model.create_infer_request();
ov::Shape shape{{1, size_t(image.rows), size_t(image.cols), 3}};
request.set_input_tensor(ov::Tensor(ov::element::u8, shape, image.data));
request.infer();
const {type}* first = request.get_tensor("{first}").data<{type}>();""",
    ),
    ".torchscript": (
        "<torch/script.h>",
        """torch::NoGradGuard no_grad;
torch::jit::Module model = torch::jit::load("{file}");
auto input = torch::from_blob(image.data, {{1, image.rows, image.cols, 3}}, torch::kUInt8);
auto outputs = model.forward({{input}}).toTuple();
torch::Tensor first = outputs->elements()[0].toTensor();""",
    ),
}
_NO_CPP = "C++ runs no program of torch.export as it is; export to onnx, openvino or torchscript for it.\n"


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
    sides = "any height and width" if card.size is None else f"{card.size[0]} high and {card.size[1]} wide"
    batch = "any number of images" if card.batch is None else f"{card.batch} at a time"
    title = f"{task.name}, {card.precision}, of {card.config or 'a config'}, by bdd100k_d2 {card.package_version}"
    weights = Path(file).with_suffix(".bin").name
    both = f" and {weights}, its weights, which belongs beside it" if file.endswith(".xml") else ""
    parts = [
        f"{file}{both}\n{title}",
        f"It takes `image`: uint8 (N, H, W, 3), RGB, pixels as they are read; {sides}, {batch}.\n"
        "Resizing, normalisation and what else belongs to the model are inside.",
        "It gives\n" + "\n".join(f"    {name}: {_told(name, card)}" for name in names),
        "Classes\n" + "\n".join(f"    {i} {one.name}" for i, one in enumerate(task.categories)),
        _python(file, card, names),
        _cpp(file, names),
    ]
    return "\n\n".join(parts) + "\n"


def _told(name: str, card: ModelCard) -> str:
    is_panoptic = card.panoptic is not None
    ids = "0 for all things, then the classes of stuff from 1 on" if is_panoptic else "the class of each pixel"
    things = " that are things, from 0 on" if is_panoptic else ""
    return _OUTPUTS[name].format(score=card.min_score, ids=ids, things=things)


def _python(file: str, card: ModelCard, names: tuple[str, ...]) -> str:
    packages, imports, run = _PYTHON[Path(file).suffix]
    run = run.format(file=file, names=[*names])
    lines = _IMAGE.format(imports=imports, batch=card.batch or 1, run=run, names=[*names])
    return f"Python (pip install {packages} numpy opencv-python-headless)\n\n{_indented(lines)}"


def _cpp(file: str, names: tuple[str, ...]) -> str:
    if Path(file).suffix not in _CPP:
        return _NO_CPP.strip()
    header, run = _CPP[Path(file).suffix]
    kind = "uint8_t" if names[0] == "sem_seg" else "float"
    quoted = ", ".join(f'"{name}"' for name in names)
    run = run.format(file=file, names=quoted, number=len(names), type=kind, first=names[0])
    return f"C++ (#include {header}, <opencv2/opencv.hpp>)\n\n{_indented(_CPP_IMAGE + run)}"


def _indented(lines: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in lines.splitlines())
