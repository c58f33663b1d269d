"""The package is light to import, its imports go one way, and every command answers --help."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bdd100k_d2

PACKAGE = Path(bdd100k_d2.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))

# The parts of the package from the bottom up: each may import those above it in this list, and itself.
LAYERS = (
    ("errors", "arguments", "atomic", "cores", "memory", "data.png"),
    ("data.categories",),
    ("data.labels",),
    ("data.rle", "data.bitmasks", "data.vintages"),
    ("data.masks", "data.sample", "data.augmentation", "data.pictures", "data.randomness", "data.workers"),
    ("data.datasets", "data.mapper", "data.order", "data.slices"),
    ("data.instances", "data.loader"),
    ("data.conversion",),
    ("data.register",),
    ("data.check",),
    ("evaluation.metrics",),
    ("evaluation.boxes", "evaluation.common_memory", "evaluation.official"),
    ("evaluation.results", "evaluation.toolkit"),
    ("evaluation.files",),
    ("evaluation.submission",),
    ("evaluation.evaluators",),
    ("benchmark",),
    ("modeling",),
    ("checkpoint",),
    ("report",),
    ("config",),
    ("engine",),
    ("zoo",),
    ("doctor",),
)
NEVER = {"modeling": ("data", "evaluation"), "evaluation": ("modeling", "engine"), "data": ("evaluation", "modeling")}
LIGHT = (
    "arguments",
    "cores",
    "memory",
    "data.categories",
    "data.labels",
    "data.rle",
    "data.bitmasks",
    "data.vintages",
    "data.masks",
    "data.datasets",
    "data.instances",
    "data.register",
    "data.sample",
    "data.slices",
    "data.check",
    "data.conversion",
    "evaluation.metrics",
    "evaluation.boxes",
    "evaluation.common_memory",
    "evaluation.official",
    "evaluation.results",
    "evaluation.toolkit",
    "evaluation.files",
    "evaluation.submission",
    "checkpoint.zoo",
    "benchmark",
    "report",
    "zoo",
)


def is_in(module: str, part: str) -> bool:
    return module == part or module.startswith(f"{part}.")


def layer(module: str) -> int:
    (found,) = {i for i, parts in enumerate(LAYERS) for part in parts if is_in(module, part)} or {None}
    assert found is not None, f"{module} has no place in LAYERS"
    return found


def imports(module: str) -> set[str]:
    """The modules of the package that ``module`` imports, wherever in it the import stands."""
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "bdd100k_d2"]
            assert not names, f"{module}: import {names} relatively"
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = module.split(".")[: -node.level]
            target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
        elif (node.module or "").split(".")[0] == "bdd100k_d2":
            target = node.module.removeprefix("bdd100k_d2").strip(".")
        else:
            continue
        names = [f"{target}.{alias.name}".strip(".") for alias in node.names]
        found |= {name if name in MODULES or f"{name}.__init__" in MODULES else target for name in names}
    return found - {""}


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__init__"])
def test_imports_go_one_way(module: str) -> None:
    if module.endswith("__init__") and module.count(".") == 1 and not imports(module):
        return
    for target in imports(module):
        assert layer(target) <= layer(module), f"{module} imports {target}"
        for part, forbidden in NEVER.items():
            if is_in(module, part):
                assert not any(is_in(target, one) for one in forbidden), f"{module} imports {target}"


@pytest.mark.parametrize("module", MODULES)
def test_the_package_does_not_import_the_tools(module: str) -> None:
    text = PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    assert not imported & {"tools", "datasets", "tests", *(path.stem for path in (ROOT / "tools").glob("*.py"))}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import bdd100k_d2;"
        "print(time.perf_counter() - start, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    seconds, torch, numpy = zip(*(run(code).split() for _ in range(3)), strict=True)
    assert min(map(float, seconds)) < 0.2
    assert {*torch, *numpy} == {"False"}


@pytest.mark.parametrize("part", LIGHT)
def test_light_parts_do_not_import_torch(part: str) -> None:
    modules = [f"bdd100k_d2.{m.removesuffix('.__init__')}" for m in MODULES if is_in(m, part) and m != "__init__"]
    heavy = run(f"import sys, {', '.join(modules)}; print(*({{'torch', 'detectron2'}} & set(sys.modules)))")
    assert modules and heavy == ""


def test_the_first_use_registers_models_and_datasets() -> None:
    code = (
        "import bdd100k_d2; bdd100k_d2.register_all;"
        "from detectron2.data import DatasetCatalog; from detectron2.modeling import META_ARCH_REGISTRY;"
        "print('bdd100k_det_val' in DatasetCatalog.list(), 'SemanticFPN' in META_ARCH_REGISTRY)"
    )
    assert run(code) == "True True"


def test_a_config_that_is_loaded_by_path_builds() -> None:
    code = (
        "import bdd100k_d2; cfg = bdd100k_d2.load_config('configs/sample/semantic_fpn_R_18.yaml');"
        "from detectron2.modeling import build_model; print(type(build_model(cfg)).__name__)"
    )
    assert run(code) == "SemanticFPN"


def test_a_root_that_was_registered_first_stays() -> None:
    code = (
        "from bdd100k_d2.data.register import register_all; register_all('/elsewhere');"
        "import bdd100k_d2; bdd100k_d2.get_config; from detectron2.data import MetadataCatalog;"
        "print(MetadataCatalog.get('bdd100k_det_val').image_root)"
    )
    assert run(code) == "/elsewhere/bdd100k/images/100k/val"


def test_unknown_public_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Trainr'"):
        bdd100k_d2.Trainr  # noqa: B018
    assert {"get_config", "register_all", "Trainer", "__version__"} <= set(dir(bdd100k_d2))


def test_the_first_use_makes_detectron2_know_published_weights() -> None:
    code = (
        "import bdd100k_d2; bdd100k_d2.load_config; from detectron2.utils.file_io import PathManager;"
        "print(PathManager.isfile('bdd100k://det/faster_rcnn_r50_fpn_1x'), PathManager.isfile('bdd100k://det/other'))"
    )
    assert run(code) == "True False"


COMMANDS = [*sorted((ROOT / "tools").glob("*.py")), ROOT / "datasets" / "make_sample.py"]


@pytest.mark.parametrize("tool", ["check_dataset", "convert_labels", "evaluate", "report"])
def test_commands_about_files_do_not_import_torch(tool: str) -> None:
    """Nothing that they import, wherever in them the import stands."""
    path = ROOT / "tools" / f"{tool}.py"
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    modules = sorted({node.module for node in nodes if node.module.startswith("bdd100k_d2.")})
    heavy = run(f"import sys, {', '.join(modules)}; print(*({{'torch', 'detectron2'}} & set(sys.modules)))")
    assert modules and heavy == ""


@pytest.mark.parametrize("tool", [path for path in COMMANDS if "argparse" in path.read_text()], ids=lambda p: p.stem)
def test_commands_answer_help(tool: Path) -> None:
    done = subprocess.run([sys.executable, tool, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "usage" in done.stdout
