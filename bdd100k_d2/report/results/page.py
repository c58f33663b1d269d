"""The one call behind ``tools/report.py det``: two paths and a folder of images -> a page in a folder."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from markupsafe import Markup

from ...data.coco_results import is_results
from ...errors import ConfigError
from ...evaluation.files.evaluate import BesidePredictions
from ...evaluation.own_classes import task_of_classes
from ...parallel import cores
from ...tasks import Task
from ..analysis import differences
from ..analysis.bitmasks import BitmaskAnalysis, analyse_bitmasks
from ..analysis.detection import analyse_detection
from ..analysis.detection_records import DetectionFrame
from ..analysis.differences import Comparison, compare_frames
from ..analysis.frames import most_changed
from ..analysis.records import Analysis
from ..analysis.resampling import ROUNDS
from ..analysis.segmentation import SegmentationFrame, analyse_segmentation
from ..html import check_page_folder, new_page, write_page
from ..page_images import GalleryImages
from .bitmasks import bitmask_content
from .detection import detection_content
from .script_data import ScriptData, box_gallery, mask_gallery
from .segmentation import segmentation_content
from .tables import Content

logger = logging.getLogger(__name__)

# As many worst frames as an analysis of masks has, so that those which changed most are among them.
_EVERY_FRAME = 10**9

_Analysed = Analysis | BitmaskAnalysis

_CHANGED = "The {:,} frames that are worst, or that got most better or most worse against the baseline."


class PageOptions(NamedTuple):
    """How a report is made.

    Attributes:
        score_threshold: of detections that count as errors, and where the slider of the gallery stands first.
        max_frames: worst frames in the gallery.
        max_frames_each: worst frames of each class, error type and slice; of a comparison, ten times as many frames
            that got better and that got worse.
        bootstrap: rounds, of which the intervals are made; 0 for none. Without it `ROUNDS` of a run's own scores, and
            those of `differences` for the differences to a baseline.
        attributes: a label file with the frames' attributes, where masks are compared.
        workers: processes or threads; all cores without it.
        image_ids: the COCO file of the image ids of detections that are COCO results.
        score_file: the scores of predicted bitmasks, and ``baseline_score_file`` those of the baseline's.
        classes: own classes, in the order of their ids; labels of others are left out.
    """

    score_threshold: float = 0.3
    max_frames: int = 60
    max_frames_each: int = 4
    bootstrap: int | None = None
    attributes: Path | None = None
    workers: int | None = None
    image_ids: Path | None = None
    classes: Sequence[str] | None = None
    score_file: Path | None = None
    baseline_score_file: Path | None = None

    @property
    def rounds(self) -> int:
        """Of the intervals of a run's scores."""
        return ROUNDS if self.bootstrap is None else self.bootstrap

    @property
    def compared_rounds(self) -> int:
        """Of the intervals of differences."""
        return differences.DRAWS if self.bootstrap is None else self.bootstrap


_DEFAULTS = PageOptions()


class _Inputs(NamedTuple):
    """What is read, and how."""

    task: Task
    truth: Path
    predicted: Path
    images: Path | None
    baseline: Path | None
    options: PageOptions


class _Made(NamedTuple):
    """What the template shows of the scores and above the gallery, and what the script reads, None for no gallery."""

    content: Content
    gallery_notes: list[str]
    data: ScriptData | None


def _compare(inputs: _Inputs, run: _Analysed, baseline: _Analysed | None) -> Comparison | None:
    if baseline is None:
        return None
    rounds, workers = inputs.options.compared_rounds, inputs.options.workers or cores()
    return compare_frames(inputs.task, run.matched, baseline.matched, run.attributes, rounds, workers)


def _detection(inputs: _Inputs, out: Path, images: GalleryImages) -> _Made:
    options = inputs.options
    analyse = partial(
        analyse_detection,
        inputs.truth,
        score_threshold=options.score_threshold,
        bootstrap=options.rounds,
        workers=options.workers,
        task=inputs.task,
    )
    most, each, other = options.max_frames, options.max_frames_each, None
    frames: list[tuple[DetectionFrame, ...]]
    if inputs.baseline is None:
        analysis = analyse(inputs.predicted, inputs.images, worst=most, worst_each=each, image_ids=options.image_ids)
        frames = [(frame,) for frame in analysis.worst]
    else:
        # One of the two may be frames with labels, which need no ids.
        runs = (inputs.predicted, inputs.baseline)
        of_results = [is_results(run) for run in runs]
        ids = [options.image_ids if own or not any(of_results) else None for own in of_results]
        analysis = analyse(inputs.predicted, inputs.images, worst=0, worst_each=0, image_ids=ids[0])
        other = analyse(inputs.baseline, worst=0, worst_each=0, image_ids=ids[1])
        names = most_changed(analysis.frame_errors, other.frame_errors, most, 10 * each)
        # Both runs with all their boxes, for at another threshold the slider asks for other errors.
        frames = list(zip(analysis.frames(names), other.frames(names), strict=True))
    return _Made(
        detection_content(analysis, other, _compare(inputs, analysis, other), out),
        [_CHANGED.format(len(frames)) if other else analysis.ranking],
        box_gallery(inputs.task, frames, other is not None, images, options.score_threshold),
    )


def _segmentation(inputs: _Inputs, out: Path, images: GalleryImages) -> _Made:
    options = inputs.options
    analyse = partial(
        analyse_segmentation,
        inputs.task,
        inputs.truth,
        attributes=options.attributes,
        bootstrap=options.rounds,
        worst=_EVERY_FRAME if inputs.baseline else options.max_frames,
        worst_each=options.max_frames_each,
        workers=options.workers,
    )
    analysis = analyse(inputs.predicted, inputs.images)
    other = analyse(inputs.baseline) if inputs.baseline else None
    frames: list[tuple[SegmentationFrame, ...]] = [(frame,) for frame in analysis.worst]
    if other:
        run, before = ({frame.name: frame for frame in one.worst} for one in (analysis, other))
        badness = ({name: 100 - frame.score for name, frame in one.items()} for one in (run, before))
        names = most_changed(next(badness), next(badness), options.max_frames, 10 * options.max_frames_each)
        frames = [(run[name], before[name]) for name in names]
    notes = [_CHANGED.format(len(frames)) if other else analysis.ranking]
    missing = sum(one.predicted is None for runs in frames for one in runs)
    if missing:
        have = "has" if missing == 1 else "have"
        notes.append(f"{missing:,} of these frames {have} no prediction; all their pixels count as wrong.")
    return _Made(
        segmentation_content(analysis, other, _compare(inputs, analysis, other), out),
        notes,
        mask_gallery(inputs.task, frames, other is not None, images),
    )


def _bitmasks(inputs: _Inputs, out: Path, _: GalleryImages) -> _Made:
    options = inputs.options
    analyse = partial(
        analyse_bitmasks,
        inputs.task,
        inputs.truth,
        attributes=options.attributes,
        bootstrap=options.rounds,
        workers=options.workers,
    )
    if inputs.baseline is not None and options.score_file is not None and options.baseline_score_file is None:
        raise ConfigError(
            f"{inputs.baseline}: the bitmasks of the baseline need the file of their scores too; give it with "
            "--baseline-score-file."
        )
    analysis = analyse(inputs.predicted, beside=BesidePredictions(options.score_file, options.image_ids))
    other = None
    if inputs.baseline is not None:
        other = analyse(inputs.baseline, beside=BesidePredictions(options.baseline_score_file, options.image_ids))
    return _Made(bitmask_content(analysis, other, _compare(inputs, analysis, other), out), [], None)


class ResultsView(NamedTuple):
    """The page about the results of a task.

    ``make`` reads the inputs, and writes plots below the page's folder and the images of the gallery, which ``script``
    draws; None for no gallery.
    """

    title: str
    script: str | None
    make: Callable[[_Inputs, Path, GalleryImages], _Made]


VIEWS = {
    "det": ResultsView("detection report", "results_det.js", _detection),
    "sem_seg": ResultsView("segmentation report", "results_seg.js", _segmentation),
    "drivable": ResultsView("drivable area report", "results_seg.js", _segmentation),
    "ins_seg": ResultsView("instance segmentation report", None, _bitmasks),
    "pan_seg": ResultsView("panoptic segmentation report", None, _bitmasks),
}
"""By task; those whose results are bitmasks show no frames."""


def write_results_page(
    task: str,
    truth: Path,
    predicted: Path,
    out: Path,
    images: Path | None = None,
    baseline: Path | None = None,
    options: PageOptions = _DEFAULTS,
) -> Path:
    """Writes ``out/index.html`` and ``out/assets``, which refer to nothing outside of ``out``; returns the page's path.

    An older report is replaced, with its images and plots. Ground truth, predictions and those of a ``baseline``, to
    compare with, are label files of any vintage or folders of masks, as the task has it. Without a folder of ``images``
    the gallery shows boxes and masks alone.

    Raises:
        ConfigError: ``task`` has no view, or an option is out of its range.
        DataError: a file cannot be used; the message names it with the frame and the remedy.
        OutputError: a file cannot be written, or ``out`` is a folder that is to be read or has another page.
    """
    if task not in VIEWS:
        raise ConfigError(f"no report of {task!r}; there are {', '.join(VIEWS)}.")
    beside = (options.attributes, options.image_ids, options.score_file, options.baseline_score_file)
    inputs = (truth, predicted, images, baseline, *beside)
    check_page_folder(out, [path for path in inputs if path is not None])
    view, with_classes = VIEWS[task], task_of_classes(task, options.classes)
    with new_page(out) as folder:
        gallery = GalleryImages(folder)
        made = view.make(_Inputs(with_classes, truth, predicted, images, baseline, options), folder, gallery)
        page = {
            **made.content,
            "task": task,
            "title": view.title,
            **_run_names(predicted, baseline),
            "gallery_notes": [*made.gallery_notes, *_image_notes(gallery, images)],
            "data": None if made.data is None else as_script_data(made.data),
        }
        scripts = ("sort.js",) if view.script is None else ("sort.js", "results.js", view.script)
        write_page(folder, "results.html", scripts, page=page)
    return out / "index.html"


def _run_names(predicted: Path, baseline: Path | None) -> dict[str, str | None]:
    """What the runs are called: by their files, and where these are called alike by the folders that differ."""
    paths = [path.resolve().with_suffix("") for path in (predicted, baseline) if path is not None]
    num_parts = 1
    if paths[0] != paths[-1]:
        while paths[0].parts[-num_parts:] == paths[-1].parts[-num_parts:]:
            num_parts += 1
    shown = ["/".join(path.parts[-num_parts:]) for path in paths]
    return {"name": shown[0], "baseline": shown[1] if baseline else None}


def _image_notes(gallery: GalleryImages, images: Path | None) -> list[str]:
    if images is None:
        return ["No folder of images was given (--images), so none are shown."]
    if gallery.unreadable:
        logger.warning("%s: %d images are damaged, and not shown.", images, gallery.unreadable)
    return [
        f"{number:,} {'frame has' if number == 1 else 'frames have'} {what} in {images}."
        for number, what in ((gallery.missing, "no image"), (gallery.unreadable, "a damaged image"))
        if number
    ]


def as_script_data(value: ScriptData) -> Markup:
    """JSON that ends no script element, whatever names are in it."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
