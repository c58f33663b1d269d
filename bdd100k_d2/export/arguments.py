"""What an export refuses by its arguments and its config alone, before images are read and the model is built."""

import importlib
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.modeling import SemanticSegmentor

from ..atomic import check_out_file, check_writable
from ..checkpoint.backbone_names import check_trained
from ..checkpoint.published import local_path
from ..data.image_size import check_image_size
from ..data.model_class import model_class
from ..errors import ConfigError, DataError, OutputError, WeightsError, did_you_mean
from ..inside import refuse_overwriting
from ..modeling.encoder_decoder import EncoderDecoder
from ..predict.config_task import task_of
from ..predict.model_formats import BY_NAME, ONNX, OPENVINO, TORCH_EXPORT, ModelFormat
from ..predict.openvino_session import without_telemetry
from .readme import readme_path
from .resize import check_resize

QUANTIZERS = {ONNX: "onnxruntime", OPENVINO: "nncf"}
"""The formats that can be quantised, and by what."""

# What is imported where a file is written; of OpenVINO, ONNX's too.
_OF_ONNX = ("onnx", "onnxscript")
_PACKAGES = {ONNX: _OF_ONNX, OPENVINO: (*_OF_ONNX, "openvino")}

# The oldest operators that PyTorch's exporter writes.
_OLDEST_OPSET = 18


def check_export_arguments(
    cfg: CfgNode,
    to: str,
    out: Path,
    *,
    size: tuple[int, int] | None,
    batch: int | None,
    opset: int | None,
    half: bool,
    int8: bool,
    config: Path | None,
    overwrite: bool,
) -> ModelFormat:
    """The format of the file; arguments and errors are those of `run.export_model`. It writes nothing."""
    model_format = _format(to)
    if opset is not None and model_format not in _PACKAGES:
        raise ConfigError(f"--opset {opset}: only ONNX, of which OpenVINO's files are made, has opsets; leave it out.")
    if half and (model_format != OPENVINO or int8):
        raise ConfigError("--fp16: is of --to openvino without --int8; leave it out.")
    if int8 and model_format not in QUANTIZERS:
        raise ConfigError(
            f"--int8: only {' and '.join(one.name for one in QUANTIZERS)} are quantised; leave it out for {to}."
        )
    check_config(cfg, size, batch, config)
    if model_format == TORCH_EXPORT and size is None:
        _check_program_of_any_size(cfg)
    _check_out(cfg, model_format, out, config, overwrite)
    _check_packages((*_PACKAGES.get(model_format, ()), *([QUANTIZERS[model_format]] if int8 else [])))
    if opset is not None:
        _check_opset(opset)
    return model_format


def check_config(cfg: CfgNode, size: tuple[int, int] | None, batch: int | None, config: object = None) -> None:
    """Raises a ConfigError or WeightsError where a config's model has no graph of that size and number of images.

    Args:
        cfg: of the model.
        size: height and width of the images that it takes; None for any.
        batch: how many images it takes at a time; None for any number.
        config: what messages call ``cfg``.
    """
    if cfg.TEST.AUG.ENABLED:
        raise ConfigError(
            "TEST.AUG.ENABLED is True; a graph predicts an image once and cannot merge several predictions of it. "
            "Add TEST.AUG.ENABLED False to the command."
        )
    if not cfg.MODEL.WEIGHTS:
        raise WeightsError("No weights to export: add MODEL.WEIGHTS and a file to the command.")
    check_trained(cfg.MODEL.WEIGHTS, config or "the config")
    task_of(cfg)
    model = model_class(cfg)
    if size is None and issubclass(model, EncoderDecoder) and cfg.MODEL.SLIDING_WINDOW.SIZE:
        raise ConfigError(
            "--size dynamic: MODEL.SLIDING_WINDOW.SIZE is set, and how many windows an image has depends on its size; "
            "give the size of the images, such as --size 720x1280."
        )
    if batch is None and not issubclass(model, SemanticSegmentor):
        raise ConfigError("--batch dynamic: a detector takes a number of images that is known; give it, as --batch 1.")
    if size is not None:
        try:
            check_image_size(*size, "--size: an image")
        except DataError as error:
            raise ConfigError(str(error)) from error
    check_resize(cfg, size)


def _format(to: str) -> ModelFormat:
    if to not in BY_NAME:
        hint = did_you_mean(to, BY_NAME)
        raise ConfigError(f"--to {to}: there are {', '.join(BY_NAME)}.{hint and f' {hint}'}")
    return BY_NAME[to]


def _check_program_of_any_size(cfg: CfgNode) -> None:
    if cfg.INPUT.MIN_SIZE_TEST:
        raise ConfigError(
            "--size dynamic: torch.export cannot follow the sizes through both INPUT's resize and the model. Give the "
            "size of the images, as --size 720x1280; or add INPUT.MIN_SIZE_TEST 0 and give images that are resized "
            "already; or export to onnx, openvino or torchscript."
        )
    if task_of(cfg).name == "pan_seg":
        raise ConfigError(
            "--size dynamic: torch.export cannot follow the sizes through a panoptic model. Give the size of the "
            "images, as --size 720x1280; or export to onnx, openvino or torchscript."
        )


def _check_out(cfg: CfgNode, model_format: ModelFormat, out: Path, config: Path | None, overwrite: bool) -> None:
    if out.suffix != model_format.ending:
        raise OutputError(
            f"{out}: a file of {model_format.name} ends in {model_format.ending}, by which it is known; give such a "
            "name."
        )
    refuse_overwriting(out, [Path(local_path(cfg.MODEL.WEIGHTS)), *([config] if config else [])])
    for path in (out, readme_path(out), *([out.with_suffix(".bin")] if model_format == OPENVINO else [])):
        check_out_file(path)
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists; choose another --out, or replace it with --overwrite.")
    # Folders that are missing are made when the file is written, in the first one that is there.
    there = next(folder for folder in out.absolute().parents if folder.exists())
    check_writable(there, "choose another --out")


def _check_opset(opset: int) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if not _OLDEST_OPSET <= opset <= newest:
        raise ConfigError(f"--opset {opset}: PyTorch and onnx {onnx.__version__} write {_OLDEST_OPSET} to {newest}.")


def _check_packages(packages: tuple[str, ...]) -> None:
    """Raises a ConfigError where one of them is not installed."""
    try:
        with without_telemetry():
            for name in packages:
                importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in packages:
            raise
        raise ConfigError(
            f"the export needs {error.name}, which is not installed: pip install 'bdd100k_d2[export]'."
        ) from error
