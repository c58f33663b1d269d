"""The page: what was read of the runs, plots and images, put into the template and written as one folder."""

from collections.abc import Sequence
from pathlib import Path

from ..atomic import write_atomic
from ..tasks import TASKS
from .curves import panels, plot
from .figure import THEMES
from .folder import check_folder, new_page
from .gallery import make_gallery, mask_colors
from .run import Evaluation, History, Run, read_run
from .template import render

_SCRIPTS = ("sort.js", "viewer.js")

# The scores that the plot of the evaluations shows: as Detectron2's log ends their keys.


def write_runs_page(
    folders: Sequence[Path], out: Path, root: Path | None = None, score_threshold: float = 0.3, max_frames: int = 16
) -> Path:
    """Writes ``out/index.html`` and ``out/assets``, which refer to nothing outside of ``out``.

    An older report is replaced, with its images and plots.

    Args:
        folders: run folders (OUTPUT_DIR of Detectron2), shown in this order.
        out: the folder of the page; made if it is not there.
        root: the folder that holds ``bdd100k/``; default ``$DETECTRON2_DATASETS``, else ``datasets``.
        score_threshold: detections with a lower score are not drawn.
        max_frames: frames in the gallery of a test set.

    Returns:
        The path of the page.

    Raises:
        DataError: a run, a label file or an image cannot be used.
        OutputError: a file cannot be written, or ``out`` has a page that is no report.
    """
    check_folder(out, [])
    runs = [read_run(folder, root) for folder in folders]
    with new_page(out) as page:
        sections = [
            _section(run, f"run-{number}", page, score_threshold, max_frames) for number, run in enumerate(runs, 1)
        ]
        write_atomic(page / "index.html", render("runs.html", _SCRIPTS, sections=sections, threshold=score_threshold))
    return out / "index.html"


def _section(run: Run, key: str, out: Path, score_threshold: float, max_frames: int) -> dict[str, object]:
    """What the template shows of a run; files in ``out/assets`` that belong to it begin with ``key``."""
    evaluations = []
    for evaluation in run.evaluations:
        prefix = f"{key}-{evaluation.name}"
        evaluations.append(
            {
                "title": evaluation.title,
                "dataset": evaluation.name,
                "is_det": evaluation.split.task == "det",
                "scores": evaluation.scores,
                "gallery": make_gallery(evaluation, out, prefix, max_frames, score_threshold),
                "legend": _legend(evaluation.split.task),
            }
        )
    return {
        "key": key,
        "name": run.name,
        "title": " and ".join(dict.fromkeys(evaluation.title for evaluation in run.evaluations)),
        "facts": run.facts,
        "curves": _write_curves(run, key, out) if run.history else [],
        "evaluations": evaluations,
    }


def _legend(task: str) -> list[tuple[str, tuple[int, int, int]]]:
    if task == "det":
        return [(category.name, category.color) for category in TASKS[task].categories]
    painted = zip(TASKS[task].categories, mask_colors(task), strict=True)
    return [(category.name, color) for category, color in painted if color is not None]


def _write_curves(run: Run, key: str, out: Path) -> list[dict[str, str]]:
    history = run.history
    keys = [pair for evaluation in run.evaluations for pair in _score_keys(history, evaluation, len(run.evaluations))]
    curves = []
    for panel in panels(history, keys):
        files = {}
        for name, theme in THEMES.items():
            files[name] = f"assets/{key}-{panel.name}-{name}.svg"
            write_atomic(out / files[name], plot(panel, theme, history.iterations - 1))
        curves.append({"title": panel.title, **files})
    return curves


def _score_keys(history: History, evaluation: Evaluation, num_evaluations: int) -> list[tuple[str, str]]:
    """Detectron2 logs ``bbox/AP`` for the only test set, ``<name>/bbox/AP`` for one of several."""
    several = num_evaluations > 1
    name = evaluation.name
    pairs = []
    for key in history.names():
        *parts, score = key.split("/")
        of_this = len(parts) == 2 and parts[0] == name if several else len(parts) == 1
        if of_this and score in TASKS[evaluation.split.task].plotted:
            pairs.append((key, f"{score}, {name}" if several else score))
    return pairs
