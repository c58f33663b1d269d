"""The page about training runs: what was read of them, plots and images, put into the template as one folder."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..data.register import data_folder
from ..drawing.overlay import classes_of_task
from .analysis.seeds import seed_tables
from .gallery import make_gallery
from .html import check_page_folder, new_page, write_page
from .plots import draw_panel, panels, write_plot
from .results.seeds import seed_parts
from .results.tables import unofficial_notes
from .run import EvaluationResults, History, Run, read_run

logger = logging.getLogger(__name__)

_PLOT_SIZE = (5.0, 3.1)


def write_runs_page(
    folders: Sequence[Path], out: Path, root: Path | None = None, score_threshold: float = 0.3, max_frames: int = 16
) -> Path:
    """Writes ``out/index.html`` and ``out/assets``, which refer to nothing outside of ``out``; returns the page's path.

    An older report is replaced, with its images and plots.

    Args:
        folders: run folders (OUTPUT_DIR of Detectron2), shown in this order; one that is given twice once.
        out: made if it is not there.
        root: the folder that holds ``bdd100k/``; default ``$DETECTRON2_DATASETS``, else ``datasets``.
        score_threshold: detections with a lower score are not drawn.
        max_frames: frames in the gallery of a test set.

    Raises:
        DataError: a run, a label file or an image cannot be used.
        OutputError: a file cannot be written, or ``out`` has what is no report's, or lies in the data.
    """
    check_page_folder(out, [data_folder(root)])
    runs = [read_run(folder, root) for folder in _different(folders)]
    with new_page(out) as page:
        sections = [
            _section(run, f"run-{number}", page, score_threshold, max_frames) for number, run in enumerate(runs, 1)
        ]
        together = seed_parts(seed_tables(runs))
        scripts = ("sort.js", "viewer.js")
        write_page(page, "runs.html", scripts, sections=sections, together=together, threshold=score_threshold)
    return out / "index.html"


def _different(folders: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for folder in folders:
        place = folder.resolve()
        if place in found:
            logger.warning("%s: given before, as %s; it is shown and counted once.", folder, found[place])
        else:
            found[place] = folder
    return [*found.values()]


def _section(run: Run, key: str, out: Path, score_threshold: float, max_frames: int) -> dict[str, object]:
    """What the template shows of a run; files in ``out/assets`` that belong to it begin with ``key``."""
    evaluations = [
        {
            "dataset": evaluation.name,
            "has_boxes": evaluation.data.task.form == "boxes",
            "scores": evaluation.scores,
            "notes": [*evaluation.data.notes, *unofficial_notes(evaluation.data.task)],
            "gallery": make_gallery(evaluation, out, f"{key}-{number}-{evaluation.name}", max_frames, score_threshold),
            "legend": classes_of_task(evaluation.data.task).painted,
        }
        # The number tells names apart that differ in characters that no file has.
        for number, evaluation in enumerate(run.evaluations, 1)
    ]
    return {
        "key": key,
        "name": run.name,
        "title": " and ".join(dict.fromkeys(evaluation.title for evaluation in run.evaluations)),
        "facts": run.facts,
        "curves": _write_curves(run.history, run.evaluations, key, out) if run.history else [],
        "evaluations": evaluations,
    }


def _write_curves(
    history: History, evaluations: Sequence[EvaluationResults], key: str, out: Path
) -> list[dict[str, str]]:
    keys = [pair for evaluation in evaluations for pair in _score_keys(history, evaluation, len(evaluations))]
    curves = []
    for panel in panels(history, keys):
        draw = partial(draw_panel, panel=panel, last_iteration=history.iterations - 1)
        written = write_plot(out, f"{key}-{panel.name}", f"{panel.title} over the iterations", _PLOT_SIZE, draw)
        curves.append({"title": panel.title, **written._asdict()})
    return curves


def _score_keys(history: History, evaluation: EvaluationResults, num_evaluations: int) -> list[tuple[str, str]]:
    """Detectron2 logs ``bbox/AP`` for the only test set, ``<name>/bbox/AP`` for one of several."""
    several = num_evaluations > 1
    name = evaluation.name
    pairs = []
    for key in history.names():
        *parts, score = key.split("/")
        of_this = len(parts) == 2 and parts[0] == name if several else len(parts) == 1
        if of_this and score in evaluation.data.task.plotted:
            pairs.append((key, f"{score}, {name}" if several else score))
    return pairs
