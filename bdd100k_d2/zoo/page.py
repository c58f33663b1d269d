"""Lists the models: their configs, published scores, weights and sizes.

    python -m bdd100k_d2.zoo [--markdown] [--measure] [--local DIR] [TEXT]

With TEXT only the models whose config or weights contain it. ``--markdown`` prints the tables of docs/MODEL_ZOO.md;
``--measure`` builds the configs first and counts their parameters and operations anew, which takes minutes. ``--local``
lists in place of them which published weights lie in a folder, whole and of the right model.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

from ..atomic import write_atomic
from ..cli import command, path, say
from ..tasks import TASKS
from .table import PREFIX, ROWS, SIZES_FILE, ModelSize, ZooRow, read_sizes

_RECIPE = "its recipe: does the config train as the source did? If not, docs/MODEL_ZOO.md says what differs."


def plain_table(rows: Sequence[ZooRow], sizes: dict[str, ModelSize]) -> str:
    """The rows as text in aligned columns."""
    header = ("config", "schedule", "metric", "val", "test", "source", "weights", "params", "GFLOPs", "its recipe")
    lines: list[tuple[str, ...]] = [header]
    for row in rows:
        weights = PREFIX + row.weights if row.weights else "not published"
        facts = (row.config, row.schedule, _metric(row), *_scores(row), row.source, weights)
        is_recipe = "-" if not row.scores else "yes" if row.is_recipe else "no"
        lines.append((*facts, *_size(sizes.get(row.config)), is_recipe))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return f"{table}\n\n{_RECIPE}"


def markdown_tables(rows: Sequence[ZooRow], sizes: dict[str, ModelSize]) -> str:
    """The rows as one Markdown table per task, with links that work from ``docs/``."""
    parts = []
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        metric = _metric(of_task[0])
        columns = ["Config", "Schedule", f"Val, {metric}", f"Test, {metric}", "Source", "Weights"]
        columns += ["Parameters", "GFLOPs", "Trained differently in", "Held by"]
        lines = [columns, ["---"] * len(columns), *(_markdown_cells(row, sizes) for row in of_task)]
        parts.append("\n".join([f"### {TASKS[task].title}", "", *(f"| {' | '.join(line)} |" for line in lines)]))
    return "\n\n".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    with command():
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bdd100k_d2.zoo", description=__doc__.split("\n")[0])
    parser.add_argument("text", nargs="?", default="", help="only models whose config or weights contain it")
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/MODEL_ZOO.md")
    parser.add_argument("--measure", action="store_true", help="count parameters and operations anew (minutes)")
    parser.add_argument(
        "--local", type=path, metavar="DIR", help="say which weights lie in this folder, and check them"
    )
    options = parser.parse_args(arguments)
    rows = [row for row in ROWS if options.text.lower() in f"{row.config} {PREFIX}{row.weights or ''}".lower()]
    if not rows:
        print(f"No model's config or weights contain {options.text!r}.", file=sys.stderr)  # noqa: T201, a command
        return 1
    if options.local:
        # It imports PyTorch, which takes seconds.
        from .local_check import check_folder, local_table

        found = check_folder(rows, options.local)
        say(local_table(found, options.local))
        return int(any(one.error for one in found))
    if options.measure:
        from .sizes import measure_sizes

        sizes = read_sizes() if SIZES_FILE.exists() else {}
        sizes |= measure_sizes(dict.fromkeys(row.config for row in rows))
        configs = dict.fromkeys(row.config for row in ROWS)
        content = {config: sizes[config]._asdict() for config in configs if config in sizes}
        write_atomic(SIZES_FILE, json.dumps(content, indent=1) + "\n")
    table = markdown_tables if options.markdown else plain_table
    say(table(rows, read_sizes()))
    return 0


def _metric(row: ZooRow) -> str:
    if not row.scores:
        return "-"
    if len(row.scores) == 1:
        return row.scores[0].metric
    return " / ".join(score.metric.removesuffix(" AP") for score in row.scores) + " AP"


def _scores(row: ZooRow) -> tuple[str, str]:
    if not row.scores:
        return "not trained", "-"
    # Vis4D publishes one decimal, the zoo two.
    digits = 1 if all(round(score.val, 1) == score.val and score.test is None for score in row.scores) else 2
    val = " / ".join(f"{score.val:.{digits}f}" for score in row.scores)
    test = " / ".join("-" if score.test is None else f"{score.test:.{digits}f}" for score in row.scores)
    return val, "-" if row.scores[0].test is None else test


def _size(size: ModelSize | None) -> tuple[str, str]:
    return ("-", "-") if size is None else (f"{size.parameters / 1e6:.1f} M", f"{size.gflops:.1f}")


def _markdown_cells(row: ZooRow, sizes: dict[str, ModelSize]) -> list[str]:
    name = row.config.partition("/")[2]
    tests = [f"[{PurePosixPath(test).stem.split('_')[1]}](../{test})" for test in row.tests]
    return [
        f"[`{name}`](../configs/{row.config}.yaml)",
        row.schedule,
        *_scores(row),
        row.source,
        f"`{PREFIX}{row.weights}`" if row.weights else "not published",
        *_size(sizes.get(row.config)),
        row.difference or "-",
        ", ".join(tests) or "-",
    ]
