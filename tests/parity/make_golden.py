"""Writes the golden files that the parity tests compare with, from the frameworks that produced the published numbers.

They run in an environment of their own, for they need NumPy 1 (1 to 4 minutes, 6 GB; Python 3.10 to 3.12):

    python3 -m venv ENV && ENV/bin/python -m pip install torch==2.5.1 torchvision==0.20.1 "numpy<2" vis4d==1.0.0

"zoo" needs mmdet and mmsegmentation too, whose operators are compiled (10 to 20 minutes more):

    ENV/bin/python -m pip install "setuptools<81" wheel ninja psutil
    MMCV_WITH_OPS=1 FORCE_CUDA=0 ENV/bin/python -m pip install --no-build-isolation --no-deps mmcv==2.1.0
    ENV/bin/python -m pip install mmdet==3.3.0 mmsegmentation==1.2.2 "numpy<2" ftfy regex

Then, in this folder, `ENV/bin/python make_golden.py detector segmenter recipe zoo`; without names, all.
"""

import argparse
import importlib
from pathlib import Path

import numpy as np

# Golden file -> module and function that makes its arrays.
MAKERS = {
    "detector": ("sources.vis4d_models", "detector"),
    "segmenter": ("sources.vis4d_models", "segmenter"),
    "zoo": ("sources.mm_models", "zoo"),
    "recipe": ("sources.vis4d_recipe", "recipe"),
    "strong": ("sources.mm_strong", "strong"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"golden files to write, of {', '.join(MAKERS)} (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "golden")
    args = parser.parse_args()
    for name in args.names or MAKERS:
        module, function = MAKERS[name]
        arrays = getattr(importlib.import_module(module), function)()
        path = args.out / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path}: {len(arrays)} arrays, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
