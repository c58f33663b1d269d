"""What Detectron2 v0.6 needs to run on current PyTorch, NumPy, Pillow and setuptools.

`PATCHES` holds one entry for each change to a file of the release, `NEW_FILES` the files that are written whole.
`tools/install_detectron2.py` applies both to a fresh copy of the source; the result exists only in the environment.
"""

from __future__ import annotations

from typing import NamedTuple


class Patch(NamedTuple):
    """One change: `old` is replaced by `new` in `file`, where it must occur exactly `count` times."""

    file: str
    old: str
    new: str
    reason: str
    count: int = 1


NUMPY_ALIAS = "NumPy 1.24 removed its aliases of the Python types"
LOGGER_WARN = "Logger.warn is deprecated in favour of Logger.warning"
MESHGRID = "torch.meshgrid warns without indexing; 'ij' is what it did"
TORCH_AMP = "torch.cuda.amp is deprecated; torch.amp takes the device"
NO_COMPILED_EVAL = "without the compiled COCO evaluation, pycocotools does the same work"

PATCHES = (
    Patch(
        "detectron2/__init__.py",
        "from .utils.env import setup_environment\n",
        "import warnings\n\nfrom .utils.env import setup_environment\n\n"
        'warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)\n',
        "fvcore and the box transforms compile small functions with TorchScript, which works and warns at every start",
    ),
    Patch(
        "detectron2/checkpoint/detection_checkpoint.py",
        "data = torch.load(f)",
        'data = torch.load(f, map_location="cpu", weights_only=True)',
        "a checkpoint may not run code, and need not fit on the device it was saved from",
    ),
    Patch(
        "detectron2/config/lazy.py",
        "        import black\n\n        cfg = OmegaConf",
        "        cfg = OmegaConf",
        "black only formats the text that to_py returns: see the next entry",
    ),
    Patch(
        "detectron2/config/lazy.py",
        "        py_str = _to_str(cfg, prefix=[prefix])\n",
        "        py_str = _to_str(cfg, prefix=[prefix])\n"
        "        try:\n            import black\n        except ImportError:\n            return py_str\n",
        "a formatter is no dependency of a training library; without it the text is not wrapped",
    ),
    Patch("detectron2/data/build.py", "dtype=np.int\n", "dtype=np.int64\n", NUMPY_ALIAS),
    Patch("detectron2/data/build.py", "dtype=np.int)", "dtype=np.int64)", NUMPY_ALIAS),
    Patch("detectron2/data/datasets/coco.py", "logger.warn(", "logger.warning(", LOGGER_WARN, count=2),
    Patch("detectron2/data/datasets/pascal_voc.py", "dtype=np.str)", "dtype=str)", NUMPY_ALIAS),
    Patch(
        "detectron2/data/transforms/transform.py",
        "Image.LINEAR",
        "Image.BILINEAR",
        "Pillow 10 removed the second name of the same filter",
    ),
    Patch("detectron2/engine/defaults.py", "logger.warn(", "logger.warning(", LOGGER_WARN),
    Patch(
        "detectron2/engine/train_loop.py",
        "from torch.cuda.amp import GradScaler\n\n            grad_scaler = GradScaler()",
        'from torch.amp import GradScaler\n\n            grad_scaler = GradScaler("cuda")',
        TORCH_AMP,
    ),
    Patch(
        "detectron2/engine/train_loop.py",
        "from torch.cuda.amp import autocast",
        "from torch.amp import autocast",
        TORCH_AMP,
    ),
    Patch("detectron2/engine/train_loop.py", "with autocast():", 'with autocast("cuda"):', TORCH_AMP),
    Patch("detectron2/evaluation/coco_evaluation.py", "_logger.warn(", "_logger.warning(", LOGGER_WARN, count=2),
    Patch(
        "detectron2/evaluation/coco_evaluation.py",
        "self._use_fast_impl = use_fast_impl",
        "self._use_fast_impl = use_fast_impl and COCOeval_opt is not COCOeval",
        NO_COMPILED_EVAL,
    ),
    Patch(
        "detectron2/evaluation/fast_eval_api.py",
        'logger.info("COCOeval_opt.accumulate() finished in {:0.2f} seconds.".format(toc - tic))\n',
        'logger.info("COCOeval_opt.accumulate() finished in {:0.2f} seconds.".format(toc - tic))\n\n\n'
        'if not hasattr(_C, "COCOevalAccumulate"):\n    COCOeval_opt = COCOeval\n',
        NO_COMPILED_EVAL,
    ),
    Patch("detectron2/evaluation/lvis_evaluation.py", "ogger.warn(", "ogger.warning(", LOGGER_WARN, count=2),
    Patch("detectron2/evaluation/pascal_voc_evaluation.py", "np.bool)", "bool)", NUMPY_ALIAS, count=2),
    Patch("detectron2/evaluation/sem_seg_evaluation.py", "_logger.warn(", "_logger.warning(", LOGGER_WARN, count=2),
    Patch(
        "detectron2/evaluation/sem_seg_evaluation.py",
        "np.array(output, dtype=np.int)",
        "output.numpy()",
        f"{NUMPY_ALIAS}; NumPy 2 warns where np.array copies a tensor, and these are class numbers as int64 already",
    ),
    Patch("detectron2/evaluation/sem_seg_evaluation.py", "dtype=np.int)", "dtype=np.int64)", NUMPY_ALIAS),
    Patch("detectron2/evaluation/sem_seg_evaluation.py", "np.float)", "np.float64)", NUMPY_ALIAS, count=5),
    Patch(
        "detectron2/export/__init__.py",
        "from .api import *\n",
        "",
        "it imports caffe2, which left PyTorch; tracing and scripting stay",
    ),
    Patch(
        "detectron2/layers/mask_ops.py",
        "np.array(mask, copy=False)",
        "np.asarray(mask)",
        "in NumPy 2 copy=False is an error where a copy is needed",
    ),
    Patch(
        "detectron2/layers/nms.py",
        "    return torch.ops.detectron2.nms_rotated(",
        "    from detectron2 import _C\n\n    return _C.nms_rotated(",
        "the compiled operator is not there: say so, as for the others",
    ),
    Patch(
        "detectron2/model_zoo/model_zoo.py",
        "import pkg_resources\n",
        "from importlib.resources import files\n",
        "setuptools 82 removed pkg_resources",
    ),
    Patch(
        "detectron2/model_zoo/model_zoo.py",
        'pkg_resources.resource_filename(\n        "detectron2.model_zoo", os.path.join("configs", config_path)\n    )',
        'str(files("detectron2.model_zoo") / "configs" / config_path)',
        "setuptools 82 removed pkg_resources",
    ),
    Patch(
        "detectron2/modeling/anchor_generator.py",
        "torch.meshgrid(shifts_y, shifts_x)",
        'torch.meshgrid(shifts_y, shifts_x, indexing="ij")',
        MESHGRID,
    ),
    Patch("detectron2/structures/masks.py", "np.bool)", "bool)", NUMPY_ALIAS, count=3),
    Patch("detectron2/utils/video_visualizer.py", "dtype=np.bool)", "dtype=bool)", NUMPY_ALIAS),
    Patch("detectron2/utils/visualizer.py", "np.bool)", "bool)", NUMPY_ALIAS, count=3),
    Patch(
        "projects/Panoptic-DeepLab/panoptic_deeplab/post_processing.py",
        "torch.arange(width, dtype=offsets.dtype, device=offsets.device),\n    )",
        'torch.arange(width, dtype=offsets.dtype, device=offsets.device),\n        indexing="ij",\n    )',
        MESHGRID,
    ),
    Patch(
        "projects/Panoptic-DeepLab/panoptic_deeplab/dataset_mapper.py",
        "from panopticapi.utils import rgb2id\n",
        "",
        "panopticapi is not on PyPI: needed only where it is used, as elsewhere in Detectron2; see the next entry",
    ),
    Patch(
        "projects/Panoptic-DeepLab/panoptic_deeplab/dataset_mapper.py",
        "        # Generates training targets for Panoptic-DeepLab.\n",
        "        # Generates training targets for Panoptic-DeepLab.\n        from panopticapi.utils import rgb2id\n\n",
        "the import that the entry above moves",
    ),
)

COMPILED_OPERATORS = '''"""Stands in for Detectron2's compiled operators, which this pure-Python build does not have.

ROIAlign and NMS come from torchvision, so the R-CNN and segmentation models need none of them.
"""


class MissingOperatorError(NotImplementedError, AttributeError):
    """A compiled operator was used. It is an AttributeError too, so that hasattr(_C, name) is False."""


def has_cuda():
    return False


def get_compiler_version():
    return "none: pure-Python build"


def get_cuda_version():
    return "none: pure-Python build"


def __getattr__(name):
    raise MissingOperatorError(
        f"This Detectron2 is a pure-Python build without the compiled operator '{name}' (rotated boxes, Detectron2's "
        "own deformable convolution and fast COCO evaluation need it). Build Detectron2 from source to use it: "
        "pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2"
    )
'''

SETUP = '''"""Builds Detectron2 as a pure-Python distribution."""

from pathlib import Path

from setuptools import find_packages, setup

PROJECTS = {
    "detectron2.projects.point_rend": "projects/PointRend/point_rend",
    "detectron2.projects.deeplab": "projects/DeepLab/deeplab",
    "detectron2.projects.panoptic_deeplab": "projects/Panoptic-DeepLab/panoptic_deeplab",
}
ZOO = Path("detectron2/model_zoo")

setup(
    name="detectron2",
    version="@VERSION@",
    description="Detectron2 v0.6 without compiled operators, changed to run on current PyTorch, NumPy and Pillow",
    url="https://github.com/facebookresearch/detectron2",
    author="FAIR",
    license="Apache-2.0",
    packages=[*find_packages(include=["detectron2", "detectron2.*"]), *PROJECTS],
    package_dir=PROJECTS,
    package_data={
        "detectron2.model_zoo": [str(path.relative_to(ZOO)) for path in (ZOO / "configs").rglob("*.*")],
    },
    python_requires=">=3.10",
    # What its modules import, except torch, torchvision and OpenCV: which build of those fits is the user's choice.
    install_requires=[
        "cloudpickle",
        "fvcore>=0.1.5.post20221221",
        "hydra-core>=1.1",
        "iopath>=0.1.9",
        "matplotlib",
        "numpy",
        "omegaconf>=2.1",
        "Pillow>=10",
        "pycocotools>=2.0.7",
        "PyYAML",
        "tabulate",
        "tensorboard",
        "termcolor",
        "tqdm",
        "yacs>=0.1.8",
    ],
)
'''

NEW_FILES = {"detectron2/_C.py": COMPILED_OPERATORS, "setup.py": SETUP}
