"""Two runs compared, as files for a paper: every difference as CSV, the main ones as tables in Markdown."""

import csv
import io
import math
from collections.abc import Sequence

from ..tasks import Task
from .analysis.differences import BETTER, WORSE, ComparedPart, Comparison, Difference

_CSV_COLUMNS = (
    "attribute",
    "value",
    "frames",
    "class",
    "metric",
    "run",
    "baseline",
    "difference",
    "low",
    "high",
    "verdict",
)
_MAIN = {"boxes": ("AP", "AP50"), "masks": ("mIoU", "pAcc")}
_MAIN_BITMASKS = {"ins_seg": ("AP", "AP50"), "pan_seg": ("PQ", "SQ")}
_ALL_CLASSES = "all classes"


def main_metrics(task: Task) -> tuple[str, ...]:
    """The scores over all classes that a table of few columns shows, by the names of the toolkit's summary."""
    return _MAIN[task.form] if task.form in _MAIN else _MAIN_BITMASKS[task.name]


def main_metric(task: Task) -> str:
    """The one score over all classes that stands for the others."""
    return main_metrics(task)[0]


def as_csv(comparison: Comparison) -> str:
    """Every difference, one a line, of all frames first; percent with six decimals, empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for part in comparison.parts:
        for (metric, name), one in part.flat().items():
            numbers = (one.run, one.baseline, one.value, one.low, one.high)
            writer.writerow(
                [
                    _plain(part.attribute),
                    _plain(part.value),
                    part.num_frames,
                    _plain(name or _ALL_CLASSES),
                    metric,
                    *("" if math.isnan(value) else f"{value:.6f}" for value in numbers),
                    one.verdict,
                ]
            )
    return text.getvalue()


def as_markdown(comparison: Comparison) -> str:
    """A table by slice and one by class, with the main scores; a difference that is more than chance is bold."""
    metrics = main_metrics(comparison.task)
    slices = [
        (_slice_name(part), part.num_frames, [part.overall[name] for name in metrics]) for part in comparison.parts
    ]
    overall = comparison.all
    main = metrics[0].removeprefix("m")
    classes = [(name, None, [one]) for name, one in overall.classes[main].items()]
    notes = "Percent; differences in percentage points"
    if comparison.rounds:
        notes += (
            f", with 95 % intervals of a paired bootstrap over {comparison.num_frames:,} frames "
            f"({comparison.rounds:,} draws). Bold: 0 is not in the interval"
        )
    return "\n\n".join([_table("Slice", metrics, slices), _table("Class", (main,), classes), f"{notes}."]) + "\n"


def _table(title: str, metrics: Sequence[str], rows: Sequence[tuple[str, int | None, Sequence[Difference]]]) -> str:
    counted = rows[0][1] is not None
    head = [title, *(["Frames"] if counted else [])]
    for metric in metrics:
        head += [metric, f"{metric} of the baseline", "Difference"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, count, differences in rows:
        cells = [_escaped(name), *([f"{count:,}"] if counted else [])]
        for one in differences:
            cells += [_score(one.run), _score(one.baseline), _difference(one)]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _slice_name(part: ComparedPart) -> str:
    return f"{part.attribute}: {part.value}" if part.value else part.attribute


def _score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _difference(one: Difference) -> str:
    if math.isnan(one.value):
        return "-"
    text = f"{one.value:+.1f}"
    if not math.isnan(one.low):
        text += f" [{one.low:+.1f}, {one.high:+.1f}]"
    return f"**{text}**" if one.verdict in (BETTER, WORSE) else text


def _escaped(text: str) -> str:
    """A name that ends no cell and begins no element."""
    return "".join(f"\\{sign}" if sign in "\\|`*_<>[]" else sign for sign in text)


def _plain(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
