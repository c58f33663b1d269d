"""Submissions of pan_seg as one JSON list of frames with run lengths."""

from collections.abc import Collection

import msgspec

from ...data.categories import names
from ...data.labels import RLE
from ...data.rle import check_rle, overlap
from ...errors import DataError
from .boxes import one_json
from .finding import Finding
from .members import Members, extra_files
from .records import read_records


class _Segment(msgspec.Struct, gc=False):
    category: str
    rle: RLE
    id: str | int | None = None


def check_panoptic_list(members: Members, frames: Collection[str], size: tuple[int, int]) -> list[Finding]:
    """Checks the list of segments; arguments as of ``check_submission``."""
    file = one_json(members, "pan_seg.json")
    findings = extra_files(members, [file])
    known = {*names("pan_seg")}
    for frame, labels in read_records(members, file, frames, _Segment, findings):
        masks = []
        for label in labels:
            where = f"label {label.id} ({label.category})"
            if label.category not in known:
                findings.append(Finding("category", file, frame, f"{where}: no class of pan_seg"))
            try:
                masks.append(check_rle(label.rle, size, where))
            except DataError as error:
                findings.append(Finding("run lengths", file, frame, str(error)))
        if overlap(masks):
            text = "segments overlap, for which the official tool scores none of the frame"
            findings.append(Finding("overlap", file, frame, text))
    return findings
