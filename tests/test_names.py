"""No word is the public name of two things in the package."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import bdd100k_d2

PACKAGE = Path(bdd100k_d2.__file__).parent

# A name, the modules in which it is one and the same thing, and what that is.
EXCEPTIONS = (
    ("logger", "*", "a module's own logger, which no other imports"),
    ("main", "*", "what a command runs"),
    ("layout_of", "checkpoint.from_*", "tells the models of one library, chosen from a table of libraries"),
    ("faster_rcnn", "checkpoint.from_*", "the rules of one model for each library"),
)


def defined_names(tree: ast.Module) -> Iterator[str]:
    """The public classes, functions and constants of a module, but for what it imports."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
        else:
            continue
        yield from (name for name in found if not name.startswith("_"))


def modules_of_names() -> dict[str, set[str]]:
    """Name -> the modules that define it."""
    modules = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for name in defined_names(ast.parse(path.read_text())):
            modules[name].add(module)
    return modules


def test_a_public_name_is_one_thing() -> None:
    modules = modules_of_names()
    for name, pattern, _ in EXCEPTIONS:
        same = {module for module in modules[name] if fnmatch(module, pattern)}
        # One of them stands for all.
        modules[name] -= set(sorted(same)[1:])
    wrong = [f"{name}: {', '.join(sorted(places))}" for name, places in sorted(modules.items()) if len(places) > 1]
    assert not wrong, "\n".join(wrong)


def test_the_exceptions_are_needed() -> None:
    modules = modules_of_names()
    idle = [
        f"{name} in {pattern}"
        for name, pattern, _ in EXCEPTIONS
        if len([module for module in modules[name] if fnmatch(module, pattern)]) < 2
    ]
    assert not idle, "\n".join(idle)
