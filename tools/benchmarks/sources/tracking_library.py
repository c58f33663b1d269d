"""ByteTrack of the package trackers on detections of a file; run by an environment that has it, not by this one.

Its tracker knows no classes, so each class also gets one of its own.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import supervision
from trackers import ByteTrackTracker


class PerClass:
    """A tracker for each class, with numbers of its own."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.trackers: dict[int, Any] = {}

    def update(self, found: supervision.Detections) -> supervision.Detections:
        parts = []
        for k in {*found.class_id.tolist(), *self.trackers}:
            part = self.trackers.setdefault(k, self.make()).update(found[found.class_id == k])
            if len(part):
                part.tracker_id = np.where(part.tracker_id >= 0, 100 * part.tracker_id + k, -1)
                parts.append(part)
        return supervision.Detections.merge(parts) if parts else supervision.Detections.empty()


def track(detections: dict[str, list[dict[str, list[Any]]]], make: Callable[[], Any]) -> tuple[dict[str, Any], float]:
    """The detections with ids, in the order in which the tracker gives them, and the processor's seconds."""
    tracked: dict[str, Any] = {}
    seconds = 0.0
    for video, frames in detections.items():
        tracker = make()
        for frame in frames:
            found = supervision.Detections(
                xyxy=np.array(frame["boxes"], np.float32).reshape(-1, 4),
                confidence=np.array(frame["scores"], np.float32),
                class_id=np.array(frame["classes"], int),
            )
            start = time.process_time()
            result = tracker.update(found)
            seconds += time.process_time() - start
            columns = (result.xyxy, result.confidence, result.class_id, result.tracker_id)
            values = [[] if not len(result) else column.tolist() for column in columns]
            tracked.setdefault(video, []).append(dict(zip(("boxes", "scores", "classes", "ids"), values, strict=True)))
    return tracked, seconds


def main() -> None:
    detections, thresholds = json.loads(Path(sys.argv[1]).read_text())
    makers = {"trackers, as it comes": ByteTrackTracker}
    for sure, new in thresholds:

        def make(sure: float = sure, new: float = new) -> ByteTrackTracker:
            return ByteTrackTracker(high_conf_det_threshold=sure, track_activation_threshold=new)

        makers[f"trackers, {sure} and {new}"] = make
        makers[f"trackers by class, {sure} and {new}"] = lambda make=make: PerClass(make)
    results = [(name, *track(detections, make)) for name, make in makers.items()]
    Path(sys.argv[2]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
