"""The package is light to import, its imports go one way, and every command answers --help."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bdd100k_d2

PACKAGE = Path(bdd100k_d2.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))

# The parts of the package from the bottom up: each may import those above it in this list, and itself.
LAYERS = (
    (
        "errors",
        "inside",
        "regular_file",
        "lock",
        "interruption",
        "cli",
        "atomic",
        "parallel",
        "_version",
        "registration",
        "installation",
        "data.folders",
        "data.image_size",
    ),
    ("yaml_file", "data.image_files", "data.png"),
    ("data.categories",),
    ("tasks",),
    ("data.dataset_task",),
    ("data.image_names", "data.class_list"),
    ("data.root",),
    ("data.json_file",),
    ("data.labels",),
    ("data.diagnosis", "data.other_classes"),
    ("data.rle", "data.bitmasks", "data.score_file", "data.splitter"),
    ("data.coco_attributes", "data.coco_masks"),
    ("data.coco",),
    ("data.label_document", "data.unlabelled"),
    ("data.vintages",),
    ("data.coco_results", "data.videos"),
    ("data.selection",),
    (
        "data.masks",
        "data.float_photometric",
        "data.images",
        "data.model_class",
        "data.multi_image",
        "data.photometric",
        "data.randomness",
        "data.stuff",
        "data.workers",
    ),
    ("data.class_frequency", "data.copy_paste"),
    ("data.class_balanced_crop", "data.objects_by_class"),
    ("data.augmentation", "data.panoptic_png"),
    ("data.panoptic_mask",),
    ("data.datasets", "data.mapper", "data.sampler", "data.slices"),
    ("data.combining_mapper", "data.copy_paste_mapper", "data.instances", "data.training_records"),
    ("data.loader",),
    ("data.convert",),
    ("data.register",),
    ("data.own_places", "data.unchanged"),
    ("data.own_class_names",),
    ("data.own_records",),
    ("data.coco_panoptic", "data.own_dataset"),
    ("data.check",),
    ("evaluation.metrics", "tracking"),
    ("evaluation.array_instances", "evaluation.boxes", "evaluation.own_classes", "evaluation.toolkit_format"),
    ("evaluation.box_reader", "evaluation.prediction_files"),
    ("evaluation.files",),
    ("evaluation.submission",),
    ("evaluation.evaluators",),
    ("zoo.table", "zoo.download", "zoo.local_files"),
    ("config",),
    ("modeling",),
    ("checkpoint",),
    ("drawing",),
    ("report",),
    ("suspects",),
    (
        "engine.class_agreement",
        "engine.expected_results",
        "engine.fingerprint",
        "engine.own_sets",
        "engine.parallel",
        "engine.parameter_groups",
        "engine.precision",
        "engine.refused_keys",
        "engine.resumed_state",
        "engine.solver",
        "engine.test_time_augmentation",
        "engine.rendezvous",
    ),
    ("engine.hooks",),
    ("engine.trainer",),
    ("engine.launch",),
    ("predict",),
    ("export",),
    ("__init__",),
    ("zoo.sizes", "zoo.local_check", "zoo.page", "zoo.__main__"),
    ("doctor",),
)
NEVER = {
    "modeling": ("data", "evaluation"),
    "evaluation": ("modeling", "engine"),
    "data": ("evaluation", "modeling"),
    "engine": ("report",),
    "report": ("engine", "predict", "modeling"),
    "suspects": ("engine", "predict", "modeling"),
    "predict": ("report", "suspects"),
    "export": ("report", "suspects"),
}
LIGHT = (
    "cli",
    "parallel",
    "data.categories",
    "tasks",
    "data.image_files",
    "data.labels",
    "data.rle",
    "data.bitmasks",
    "data.score_file",
    "data.coco",
    "data.splitter",
    "data.vintages",
    "data.videos",
    "data.masks",
    "data.images",
    "data.datasets",
    "data.instances",
    "data.register",
    "data.slices",
    "data.own_dataset",
    "data.coco_panoptic",
    "data.check",
    "data.convert",
    "evaluation.metrics",
    "evaluation.boxes",
    "evaluation.own_classes",
    "evaluation.box_reader",
    "evaluation.toolkit_format",
    "evaluation.prediction_files",
    "evaluation.files",
    "evaluation.submission",
    "drawing.draw",
    "drawing.overlay",
    "drawing.legend",
    "drawing.tails",
    "tracking",
    "report",
    "predict.predictor",
    "predict.run",
    "predict.model_file",
    "predict.onnx_session",
    "predict.openvino_session",
    "suspects",
    "zoo.table",
    "zoo.page",
)


def is_in(module: str, part: str) -> bool:
    return module == part or module.startswith(f"{part}.")


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text())


def layers(module: str) -> set[int]:
    return {i for i, parts in enumerate(LAYERS) for part in parts if is_in(module, part)}


def absolute_imports(module: str) -> set[str]:
    """What ``module`` imports by its whole name, wherever in it the import stands."""
    found = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module)
    return found


def imports(module: str) -> set[str]:
    """The modules of the package that ``module`` imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(parsed(module)):
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


def wrong_imports(module: str) -> Iterator[str]:
    """Imports of ``module`` that go up, or into a part that it must not know."""
    targets = imports(module)
    if module.endswith("__init__") and module.count(".") == 1 and not targets:
        return
    for name in (module, *sorted(targets)):
        if len(layers(name)) != 1:
            yield f"{name} has {len(layers(name))} places in LAYERS"
            return
    for target in sorted(targets):
        if max(layers(target)) > max(layers(module)):
            yield f"{module} imports {target}, which is above it"
        for part, forbidden in NEVER.items():
            if is_in(module, part) and any(is_in(target, one) for one in forbidden):
                yield f"{module} imports {target}, which {part} never does"


def test_imports_go_one_way() -> None:
    wrong = [line for module in MODULES if module != "__init__" for line in wrong_imports(module)]
    assert not wrong, "\n".join(wrong)


def test_the_package_imports_itself_relatively_and_never_the_tools() -> None:
    strangers = {"tools", "datasets", "tests", "streets", *(path.stem for path in (ROOT / "tools").iterdir())}
    wrong = []
    for module in MODULES:
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.Import) and any(is_in(alias.name, "bdd100k_d2") for alias in node.names):
                wrong.append(f"{module}, line {node.lineno}: import bdd100k_d2 relatively")
        found = {name.split(".")[0] for name in absolute_imports(module)} & strangers
        wrong += [f"{module} imports {name}" for name in sorted(found)]
    assert not wrong, "\n".join(wrong)


# An interpreter that imports libraries once, and forks for each code: name -> [exit status, what it printed].
_RUN_EACH = """
import importlib, json, os, sys, tempfile, traceback
codes, libraries = json.loads(sys.argv[1])
for library in libraries:
    importlib.import_module(library)
assert "bdd100k_d2" not in sys.modules
found = {}
for name, code in codes.items():
    with tempfile.TemporaryFile("w+") as printed:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                os.dup2(printed.fileno(), 1)
                os.dup2(printed.fileno(), 2)
                exec(code, {"__name__": "__main__"})
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        printed.seek(0)
        found[name] = [status, printed.read().strip()]
print(json.dumps(found))
"""


def run_each(codes: Mapping[str, str], *libraries: str) -> dict[str, tuple[int, str]]:
    """The exit status of each code and what it prints, in a process that has imported ``libraries`` and nothing of us.

    Importing them in an interpreter for each code would take seconds.
    """
    command = [sys.executable, "-c", _RUN_EACH, json.dumps([codes, libraries])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return {name: (status, printed) for name, (status, printed) in json.loads(done.stdout).items()}


def test_importing_the_package_is_light() -> None:
    code = "import sys, bdd100k_d2; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert run_each({"import": code}) == {"import": (0, "False False")}


COMMANDS = [*sorted((ROOT / "tools").glob("*.py")), ROOT / "datasets" / "make_sample.py"]
COMMANDS_ABOUT_FILES = ("check_dataset", "convert_labels", "evaluate", "pick", "report", "suspects")


def modules_of(part: str) -> list[str]:
    return [f"bdd100k_d2.{m.removesuffix('.__init__')}" for m in MODULES if is_in(m, part) and m != "__init__"]


def modules_of_command(tool: str) -> list[str]:
    """What it imports, wherever in it the import stands."""
    path = ROOT / "tools" / f"{tool}.py"
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return sorted({node.module for node in nodes if node.module.startswith("bdd100k_d2.")})


@pytest.mark.slow
def test_light_parts_and_commands_about_files_do_not_import_torch() -> None:
    modules = {part: modules_of(part) for part in LIGHT}
    modules |= {f"{tool}.py": modules_of_command(tool) for tool in COMMANDS_ABOUT_FILES}
    assert all(modules.values())
    code = "import sys, {}; print(*({{'torch', 'detectron2'}} & set(sys.modules)))"
    found = run_each({name: code.format(", ".join(names)) for name, names in modules.items()}, "numpy", "cv2")
    wrong = [f"{name}: {printed}" for name, (status, printed) in found.items() if status or printed]
    assert not wrong, "\n".join(wrong)


_REGISTERED = (
    "from detectron2.data import DatasetCatalog, MetadataCatalog; from detectron2.modeling import META_ARCH_REGISTRY;"
    "from detectron2.utils.file_io import PathManager;"
    "print('bdd100k_det_val' in DatasetCatalog.list(), len(MetadataCatalog.get('bdd100k_det_val').thing_classes),"
    "'SemanticFPN' in META_ARCH_REGISTRY, PathManager.isfile('bdd100k://det/faster_rcnn_r50_fpn_1x'))"
)
FIRST_USES = {
    "an import after Detectron2's registers all": ("import bdd100k_d2;" + _REGISTERED, "True 10 True True"),
    "a second import changes nothing": (
        "import bdd100k_d2, importlib, sys; finders = [*sys.meta_path]; importlib.reload(bdd100k_d2);"
        "assert sys.meta_path == finders;" + _REGISTERED,
        "True 10 True True",
    ),
    "metadata that a script asked for before is filled": (
        "from detectron2.data import MetadataCatalog; held = MetadataCatalog.get('bdd100k_det_val');"
        "import bdd100k_d2; print(held.thing_classes[2], held is MetadataCatalog.get('bdd100k_det_val'))",
        "car True",
    ),
    "another's data set of the name stays": (
        "from detectron2.data import DatasetCatalog; DatasetCatalog.register('bdd100k_det_val', lambda: [3]);"
        "DatasetCatalog.register('bdd100k_det_train_night', lambda: [4]); import bdd100k_d2;"
        "print(DatasetCatalog.get('bdd100k_det_val'), DatasetCatalog.get('bdd100k_det_train_night'),"
        "'bdd100k_det_val_night' in DatasetCatalog.list(), 'bdd100k_det_train_rainy' in DatasetCatalog.list())",
        "[3] [4] False True",
    ),
    "registers models and datasets": (
        "import bdd100k_d2; bdd100k_d2.register_all;"
        "from detectron2.data import DatasetCatalog; from detectron2.modeling import META_ARCH_REGISTRY;"
        "print('bdd100k_det_val' in DatasetCatalog.list(), 'SemanticFPN' in META_ARCH_REGISTRY)",
        "True True",
    ),
    "a config that is loaded by path builds": (
        "import bdd100k_d2; cfg = bdd100k_d2.load_config('configs/sample/semantic_fpn_R_18.yaml');"
        "from detectron2.modeling import build_model; print(type(build_model(cfg)).__name__)",
        "SemanticFPN",
    ),
    "a root that was registered first stays": (
        "from bdd100k_d2.data.register import register_all; register_all('/elsewhere');"
        "import bdd100k_d2; bdd100k_d2.get_config; from detectron2.data import MetadataCatalog;"
        "print(MetadataCatalog.get('bdd100k_det_val').image_root)",
        "/elsewhere/bdd100k/images/100k/val",
    ),
    "makes Detectron2 know published weights": (
        "import bdd100k_d2; bdd100k_d2.load_config; from detectron2.utils.file_io import PathManager;"
        "print(PathManager.isfile('bdd100k://det/faster_rcnn_r50_fpn_1x'), PathManager.isfile('bdd100k://det/other'))",
        "True False",
    ),
}
COMMANDS_WITH_ARGUMENTS = [path for path in COMMANDS if "argparse" in path.read_text()]


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple[int, str]]:
    """What each first use of the package prints, and each command at --help."""
    codes = {name: code for name, (code, _) in FIRST_USES.items()}
    for path in COMMANDS_WITH_ARGUMENTS:
        start = f"import runpy, sys; sys.path.insert(0, {str(path.parent)!r}); sys.argv = [{str(path)!r}, '--help'];"
        codes[path.stem] = f"{start} runpy.run_path({str(path)!r}, run_name='__main__')"
    return run_each(codes, "torch", "detectron2.data", "detectron2.engine", "detectron2.modeling")


@pytest.mark.parametrize("use", FIRST_USES)
def test_the_first_use(answers: dict[str, tuple[int, str]], use: str) -> None:
    assert answers[use][0] == 0 and answers[use][1].splitlines()[-1] == FIRST_USES[use][1], answers[use][1]


@pytest.mark.parametrize(
    "first",
    [
        # Each takes an interpreter that imports all of it.
        "detectron2.engine",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "detectron2.data",
                "detectron2.modeling",
                "bdd100k_d2.checkpoint.published",
                "bdd100k_d2.modeling",
            )
        ),
    ],
)
def test_detectron2_may_be_imported_last(first: str) -> None:
    code = f"import bdd100k_d2, sys; assert 'torch' not in sys.modules; import {first}, detectron2.checkpoint;"
    loader = "import detectron2.data; print(type(detectron2.data.__loader__).__name__)"
    ((status, printed),) = run_each({first: code + _REGISTERED + ";" + loader}).values()
    assert status == 0 and printed.splitlines()[-2:] == ["True 10 True True", "SourceFileLoader"], printed


def test_a_package_that_is_imported_anew_watches_once() -> None:
    """As notebooks do it: two that watch would ask one another without end."""
    code = (
        "import importlib, sys, bdd100k_d2; others = len(sys.meta_path) - 1;"
        "[sys.modules.pop(name) for name in [*sys.modules] if name.startswith('bdd100k_d2')];"
        "import bdd100k_d2; importlib.reload(bdd100k_d2.registration); importlib.reload(bdd100k_d2);"
        "loader = importlib.util.find_spec('detectron2.data').loader;"
        "print(type(loader).__name__, type(loader._loader).__name__, len(sys.meta_path) - others)"
    )
    assert run_each({"anew": code}, "importlib.util") == {"anew": (0, "_Loader SourceFileLoader 1")}


def test_a_config_of_a_run_builds_after_the_import() -> None:
    code = (
        "import bdd100k_d2; from bdd100k_d2.config import add_bdd100k_config; from detectron2.config import get_cfg;"
        "from detectron2.modeling import build_model; cfg = get_cfg(); add_bdd100k_config(cfg);"
        "cfg.merge_from_file('configs/sample/semantic_fpn_R_18.yaml'); print(type(build_model(cfg)).__name__)"
    )
    ((status, printed),) = run_each({"run": code}).values()
    assert status == 0 and printed.splitlines()[-1] == "SemanticFPN", printed


def test_a_process_that_is_spawned_has_what_is_registered() -> None:
    """As the workers of a loader are on some systems: it imports the package anew, with what it needs."""
    there = "len(__import__('detectron2.data').data.MetadataCatalog.get('bdd100k_det_val').thing_classes)"
    code = (
        "import multiprocessing; pool = multiprocessing.get_context('spawn').Pool(1);"
        f"print(pool.apply(eval, (\"__import__('bdd100k_d2') and {there}\",)))"
    )
    ((status, printed),) = run_each({"spawn": code}).values()
    assert status == 0 and printed.splitlines()[-1] == "10", printed


def test_commands_answer_help(answers: dict[str, tuple[int, str]]) -> None:
    found = {path.stem: answers[path.stem] for path in COMMANDS_WITH_ARGUMENTS}
    assert len(found) > 10
    wrong = [f"{tool}: {printed}" for tool, (status, printed) in found.items() if status or "usage" not in printed]
    assert not wrong, "\n".join(wrong)


def test_unknown_public_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Trainr'"):
        bdd100k_d2.Trainr  # noqa: B018
    assert {"get_config", "register_all", "Trainer", "__version__"} <= set(dir(bdd100k_d2))


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module: imports(module) & set(MODULES) - {module} for module in MODULES}
    # The package's face hands names on when they are asked for; what imports it does so inside of a function.
    del graph["__init__"]
    TopologicalSorter({module: found - {"__init__"} for module, found in graph.items()}).prepare()
