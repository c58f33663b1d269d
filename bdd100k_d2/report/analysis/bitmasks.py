"""Instances and segments against ground truth: bitmasks or run lengths -> everything that the report says of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.folders import LABEL_SUFFIXES, files_below
from ...data.labels import FrameAttributes, without_collection
from ...errors import ConfigError
from ...evaluation.files.evaluate import OPENERS, BesidePredictions, read_attributes
from ...evaluation.files.matched_frames import MatchedFrames
from ...evaluation.files.slices import Slice
from ...evaluation.toolkit_format import ToolkitScores, flat_scores, summary
from ...parallel import cores
from ...tasks import TASKS, Task
from .frames import check_arguments
from .records import Estimate
from .resampling import ROUNDS, describe_bootstrap, estimates, resample
from .slices import frame_slices
from .weighted import weighted_frames


@dataclass(frozen=True, kw_only=True)
class BitmaskAnalysis:
    """Everything that the report says of instances or segments.

    Attributes:
        headline: the scores over all classes by the names of the toolkit's summary.
        classes: by metric the scores of the classes by name.
        matched: the frames, to be compared with another run's.
        attributes: of the frames, by name; none where they are not known.
    """

    task: Task
    truth: Path
    predicted: Path
    num_frames: int
    headline: Mapping[str, Estimate]
    classes: Mapping[str, Mapping[str, Estimate]]
    bootstrap: str
    slices: Mapping[str, Slice]
    matched: MatchedFrames
    attributes: Mapping[str, FrameAttributes]


def analyse_bitmasks(
    task: Task,
    truth: Path,
    predicted: Path,
    *,
    beside: BesidePredictions = BesidePredictions(),  # noqa: B008  # a tuple that nobody can change
    attributes: Path | None = None,
    bootstrap: int = ROUNDS,
    workers: int | None = None,
) -> BitmaskAnalysis:
    """Scores instances or segments officially: folders of bitmasks, or label files with run lengths.

    ``beside`` names the file of the scores of predicted bitmasks, and the COCO file of the ids of COCO results.
    ``attributes`` is a label file with the frames' attributes, where ``truth`` has none.

    Raises:
        ConfigError: the results of ``task`` are no bitmasks, or a number is negative.
        DataError: a file cannot be read, or predictions or attributes are of other frames.
    """
    if task.form != "bitmasks":
        known = [name for name, one in TASKS.items() if one.form == "bitmasks"]
        raise ConfigError(f"no analysis of bitmasks for task {task.name!r}; there are {', '.join(known)}.")
    check_arguments(truth, predicted, None, bootstrap=bootstrap)
    workers = workers or cores()
    with without_collection():
        matched, _ = OPENERS[task.name](task, truth, predicted, beside, workers)
        source = truth if attributes is None else attributes
        known_attributes: Mapping[str, FrameAttributes] = {}
        if attributes is not None or truth.is_file() or files_below(truth, *LABEL_SUFFIXES):
            known_attributes = read_attributes(source, matched)
        weighted = weighted_frames(task, matched)
        num_frames = len(matched.names)
        official = weighted.scores(np.ones(num_frames))
        keys = [*flat_scores(official)]

        def score(weights: np.ndarray) -> np.ndarray:
            return np.array([*flat_scores(weighted.scores(weights)).values()])

        ends = resample(score, num_frames, bootstrap, workers=workers)
        found = dict(zip(keys, estimates(np.array([*flat_scores(official).values()]), ends), strict=True))
        return BitmaskAnalysis(
            task=task,
            truth=truth,
            predicted=predicted,
            num_frames=num_frames,
            # Those of all classes before those of stuff and things.
            headline={metric: found[metric, ""] for metric in sorted(summary(official), key=lambda name: "/" in name)},
            classes={metric: _of_classes(metric, value, found) for metric, value in official.items()},
            bootstrap=describe_bootstrap(bootstrap, num_frames),
            slices=frame_slices(matched, known_attributes, source),
            matched=matched,
            attributes=known_attributes,
        )


def _of_classes(
    metric: str, value: list[ToolkitScores], found: Mapping[tuple[str, str], Estimate]
) -> dict[str, Estimate]:
    return {name: found[metric, name] for name in value[0]}
