"""The evaluators of instance and panoptic segmentation: one bitmask per image, written and compared."""

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.utils import comm

from ...data.bitmasks import Bitmask, decode_bitmask, empty_bitmask
from ...data.image_names import image_name
from ...data.labels import write_frames
from .. import prediction_files
from ..files.instances import matched_bitmasks
from ..files.matched_frames import match_frames
from ..files.panoptic import matched_segments
from ..metrics.instances import FrameMatches, match_instances
from ..metrics.panoptic import PanopticCounts, bitmask_counts
from .base import DatasetScores, OfficialEvaluator, Records, as_result
from .coco_results import instance_rows, write_instances, write_segments, write_segments_png
from .records import BitmaskRecords, frame_name, frame_stem
from .truth import BitmaskTruth

logger = logging.getLogger(__name__)


class BitmaskEvaluator(OfficialEvaluator):
    """Writes ``bitmasks/`` and scores them by the server's rules for bitmasks, also where the labels are run lengths.

    ``truth`` is the ground truth, read image by image; None for a split without public labels.
    """

    def __init__(self, dataset_name: str, output_dir: str | os.PathLike[str] | None = None) -> None:
        super().__init__(dataset_name, output_dir)
        self.truth: BitmaskTruth | BitmaskRecords | None = None
        if self.label_path is not None:
            self.truth = BitmaskTruth(self.label_path, self.task, self.frames)
        elif self.records is not None and self.is_scored:
            self.truth = BitmaskRecords(self.records, self.task, dataset_name)

    def write(self, pixels: np.ndarray, name: str) -> tuple[Bitmask, Bitmask] | None:
        """Writes the bitmask (H, W, 4) uint8 of an image.

        Returns:
            Ground truth and prediction to be compared; None for a split without public labels.

        Raises:
            DataError: the ground truth is missing or unreadable, or has another size.
            OutputError: the bitmask cannot be written.
        """
        path = prediction_files.mask_path(self._folder, name)
        if self.output_dir is not None:
            prediction_files.write_mask(pixels, path)
        if self.truth is None:
            return None
        return self.truth.read(name, pixels.shape[:2]), decode_bitmask(pixels, path)

    @property
    def _folder(self) -> Path:
        """Where the bitmasks are or, for messages, where they would be."""
        return Path(f"predictions for {self.dataset_name}") if self.output_dir is None else self.output_dir / "bitmasks"

    def warn_of_overlaps(self, gathered: Iterable[Mapping[str, int]]) -> None:
        """Counts, in one warning, the objects that lost pixels to smaller ones: `lost` of each process, and of here."""
        of_frame = {name: count for rank in (*gathered, self.lost()) for name, count in rank.items()}
        if lost := sum(of_frame.values()):
            logger.warning(
                "%s: %d objects overlap smaller ones, which keep the pixels: a bitmask gives each pixel to one object.",
                self.source,
                lost,
            )

    def lost(self) -> dict[str, int]:
        """The objects of records that lost pixels to smaller ones, by frame, as far as this process has read them."""
        return self.truth.lost if isinstance(self.truth, BitmaskRecords) else {}

    def missing(
        self, truth: BitmaskTruth | BitmaskRecords, predicted: Collection[str]
    ) -> Iterator[tuple[str, Bitmask, Bitmask]]:
        """Yields the image, ground truth and empty prediction of each frame that is not in ``predicted``, image names.

        Officially such a frame counts; two of the released bitmasks have no image.
        """
        stems = {frame_stem(name) for name in predicted}
        for stem in match_frames(truth.stems, stems, truth.path, self._folder):
            if stem not in stems:
                bitmask = truth.read(stem)
                yield image_name(stem), bitmask, empty_bitmask(bitmask)


class BDD100KInsSegEvaluator(BitmaskEvaluator):
    """Writes ``bitmasks/`` and ``score.json`` and scores them with COCO's twelve scores."""

    task_name = "ins_seg"

    def _forget(self) -> None:
        self._scores: dict[str, np.ndarray] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._matches: dict[str, FrameMatches] = {}

    def process(self, inputs: Records, outputs: Records) -> None:
        """Writes and matches the ``instances`` of each image: ``pred_masks`` (N, H, W) at the original size.

        It raises the errors of :meth:`check_predicted` and :meth:`write`.
        """
        for one, output in zip(inputs, outputs, strict=True):
            name = frame_name(one)
            instances = output["instances"].to("cpu")
            self.check_predicted(instances, name)
            scores = instances.scores.numpy().astype(np.float64)
            masks, classes = instances.pred_masks.numpy(), instances.pred_classes.numpy()
            pixels, kept = prediction_files.instance_bitmask(masks, scores, classes)
            self._scores[name] = scores[kept]
            if self.with_coco_results:
                self._rows[name] = instance_rows(decode_bitmask(pixels, name), scores[kept])
            pair = self.write(pixels, name)
            if pair is not None:
                self._matches[name] = match_instances(*pair, np.arange(len(kept)), scores[kept], len(self.names))

    def evaluate(self) -> DatasetScores | None:
        """Gathers, writes and scores.

        Returns:
            On the main process ``{"segm": {...}}`` in percent: COCO's twelve scores, "AP-<class>" for each class; empty
            for a dataset without labels. None elsewhere.
        """
        gathered = comm.gather((self._scores, self._matches, self._rows, self.lost()))
        if not comm.is_main_process():
            return None
        scores = {name: each for rank, *_ in gathered for name, each in rank.items()}
        self.check_any(scores)
        if self.output_dir is not None:
            lines = (prediction_files.scored_frame(name, scores[name]) for name in sorted(scores))
            write_frames(lines, self.output_dir / "score.json")
            logger.info("The predicted bitmasks and score.json are in %s", self.output_dir)
            if self.with_coco_results:
                rows = {name: each for _, _, rank, _ in gathered for name, each in rank.items()}
                write_instances(self, rows, self.output_dir)
        if self.truth is None:
            return self.no_scores(scores)
        matches = {name: match for _, rank, *_ in gathered for name, match in rank.items()}
        for name, truth, empty in self.missing(self.truth, scores):
            matches[name] = match_instances(truth, empty, np.zeros(0, np.int64), np.zeros(0), len(self.names))
        self.warn_of_overlaps(lost for *_, lost in gathered)
        matched = matched_bitmasks(sorted(matches), [matches[name] for name in sorted(matches)], self.task)
        return self.report("segm", matched.toolkit_scores(), matched.extra_metrics(), "AP")

    def scores_of_nothing(self) -> DatasetScores:
        """As `OfficialEvaluator` says."""
        return as_result("segm", matched_bitmasks([], [], self.task).toolkit_scores(), {}, "AP")


class BDD100KPanSegEvaluator(BitmaskEvaluator):
    """Writes ``bitmasks/`` and scores them with the panoptic quality."""

    task_name = "pan_seg"

    def _forget(self) -> None:
        self._counts: dict[str, PanopticCounts | None] = {}
        self._segments: dict[str, list[dict[str, int]]] = {}

    def process(self, inputs: Records, outputs: Records) -> None:
        """Writes and counts the ``panoptic_seg`` of each image: (H, W) segment ids, and what the segments are.

        It raises the errors of :meth:`check_predicted` and :meth:`write`.
        """
        for one, output in zip(inputs, outputs, strict=True):
            name = frame_name(one)
            self.check_predicted(output["panoptic_seg"], name)
            segments, infos = output["panoptic_seg"]
            classes = prediction_files.segment_classes(infos, self.task)
            pixels = prediction_files.panoptic_bitmask(segments.cpu().numpy(), classes, self.task)
            pair = self.write(pixels, name)
            if self.with_coco_results and self.output_dir is not None:
                self._segments[name] = write_segments_png(decode_bitmask(pixels, name), name, self.output_dir)
            self._counts[name] = None if pair is None else bitmask_counts(*pair, len(self.names))

    def evaluate(self) -> DatasetScores | None:
        """Gathers and scores.

        Returns:
            On the main process ``{"panoptic_seg": {...}}``: "PQ", "SQ", "RQ" in percent and "N", each also for "/STUFF"
            and "/THING", and "PQ-<class>" for each class; empty for a dataset without labels. None elsewhere.
        """
        gathered = comm.gather((self._counts, self._segments, self.lost()))
        if not comm.is_main_process():
            return None
        counts = {name: each for rank, *_ in gathered for name, each in rank.items()}
        self.check_any(counts)
        if self.output_dir is not None:
            logger.info("The predicted bitmasks are in %s", self._folder)
            if self.with_coco_results:
                segments = {name: each for _, rank, _ in gathered for name, each in rank.items()}
                write_segments(self, segments, self.output_dir)
        if self.truth is None:
            return self.no_scores(counts)
        for name, truth, empty in self.missing(self.truth, counts):
            counts[name] = bitmask_counts(truth, empty, len(self.names))
        self.warn_of_overlaps(lost for *_, lost in gathered)
        matched = matched_segments(sorted(counts), [counts[name] for name in sorted(counts)], "N", self.task)
        return self.report("panoptic_seg", matched.toolkit_scores(), matched.extra_metrics(), "PQ")

    def scores_of_nothing(self) -> DatasetScores:
        """As `OfficialEvaluator` says."""
        return as_result("panoptic_seg", matched_segments([], [], "N", self.task).toolkit_scores(), {}, "PQ")
