"""What is wrong with a copy of the data, and whether training survives it: a table to read, and JSON to process."""

import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import msgspec
from tabulate import tabulate

from ...atomic import write_atomic
from ...errors import shown

_SHOWN = 2
"""Examples of what breaks nothing in the report for people; the JSON has all that are kept."""

_LONGEST_EXAMPLE = 1000
"""Characters of an example."""

EXAMPLES = 5
"""Of each finding so many are named; the rest is counted."""


class Severity(str, Enum):
    """How much a finding matters."""

    BREAKS = "breaks training"
    """A training, or an evaluation in it, ends with an error."""
    WARNING = "look at it"
    """Training runs, perhaps not on what you think."""
    NOTE = "known"
    """So it was released, or so it is meant."""


class Kind(NamedTuple):
    """A sort of finding: how much it matters, and what to do."""

    severity: Severity
    remedy: str


_B, _W, _N = Severity
_AGAIN = "Download it again."
_MEND = "Mend or remove the label."

FINDING_KINDS: dict[str, Kind] = {
    "no images": Kind(_B, "Unpack the images there; datasets/README.md has the layout."),
    "no labels": Kind(_B, "Unpack the labels there; datasets/README.md has the layout."),
    "unusable label file": Kind(_B, "Download or write it again."),
    "bad frame name": Kind(_B, "Images lie directly in the folder; mend the name in the label file."),
    "missing image": Kind(_B, "Unpack the archive of the images again."),
    "unreadable image": Kind(_B, "Download it again, or set INPUT.SKIP_UNREADABLE True to train without it."),
    "image of another size": Kind(_B, "Its labels are for another size; take the released image."),
    "unknown category": Kind(_B, "Rename it to a class or an alias of data/categories.py, or remove the label."),
    "degenerate box": Kind(_B, _MEND),
    "box outside of the image": Kind(_B, _MEND),
    "unreadable mask": Kind(_B, _AGAIN),
    "bad mask ids": Kind(_B, "Is it a mask of another task, or a colour map? " + _AGAIN),
    "mask of another size": Kind(_B, "Masks have the size of their image. " + _AGAIN),
    "mask without image": Kind(_B, "Unpack the archive of the images again, or remove the mask."),
    "two masks of a frame": Kind(_B, "Remove one of the two."),
    "bad run lengths": Kind(_B, "Write the label again."),
    "split that cannot be used": Kind(_W, "Unpack the rest of it, if you mean to use it."),
    "incomplete": Kind(_W, "Unpack the archives again, if the whole release is meant to be there."),
    "more than released": Kind(_W, "Is something else mixed in?"),
    "other counts than released": Kind(_W, "The labels were changed, or are of another release."),
    "not det_20": Kind(_W, "The labels of other releases train well; scores are not comparable with det_20's."),
    "unusable label file, not trained on": Kind(_W, "It was to be compared with the labels that are used. " + _AGAIN),
    "unreadable image, not trained on": Kind(_W, _AGAIN),
    "damaged image": Kind(_W, "Training takes it with wrong pixels. " + _AGAIN),
    "image of another size, not trained on": Kind(_W, "The released images are 1280x720."),
    "image without labels": Kind(_W, "It is left out, in training and in evaluation."),
    "image without mask": Kind(_W, "It is left out, in training and in evaluation."),
    "mask without any label": Kind(_W, "All of it is ignored; a batch of only such masks has no loss."),
    "label without a box": Kind(_W, "It is left out, in training and in evaluation; give boxes (box2d)."),
    "labels without a mask": Kind(_W, "They are left out; give run lengths or bitmasks, not polygons."),
    "box beyond the border": Kind(_W, "It is clipped to the image, unless INPUT.CLIP_BOXES is False."),
    "duplicate box": Kind(_W, "One of the two counts as missed in an evaluation."),
    "box of two classes": Kind(_W, "One of the two is wrong."),
    "small box": Kind(_W, "Less than 3 pixels wide or high; hardly to be found, and so counted as missed."),
    "unknown attribute value": Kind(_W, "The frame is in no slice by that attribute."),
    "vintages disagree": Kind(_W, "Train and evaluate on one of the two; scores on them are not comparable."),
    "frame in two splits": Kind(_W, "Scores on frames that were trained on mean little."),
    "frame without objects": Kind(_N, "Training leaves it out, evaluation keeps it."),
    "frame without attributes": Kind(_N, "It is in no slice."),
    "bytes after the image's end": Kind(_N, "Training reads the image before them, by the slower decoder."),
    "image without labels, as released": Kind(_N, "137 training images were never labelled."),
    "image without mask, as released": Kind(_N, "Left out."),
    "mask without image, as released": Kind(_N, "Left out of training; counted as missed, as officially."),
}
"""Every kind of finding."""


class Finding(msgspec.Struct):
    """All findings of a kind in one place, a file or folder; ``examples`` are the first.

    Kinds are the keys of `FINDING_KINDS`, or of the table of data of one's own.
    """

    kind: str
    severity: Severity
    place: str
    count: int
    examples: list[str]
    remedy: str


def without_path(error: Exception, path: str | Path) -> str:
    """The message of an error about ``path``, which a finding has as its place, without it."""
    return str(error).removeprefix(f"{path}: ")


class Findings:
    """Collects findings of ``kinds``, counted by kind and place."""

    def __init__(self, kinds: Mapping[str, Kind] = FINDING_KINDS) -> None:
        self._kinds = kinds
        self._found: dict[tuple[str, str], Finding] = {}

    def add(self, kind: str, place: Path, *examples: str, count: int | None = None) -> None:
        """Adds findings of a kind, if any; ``count`` says how many there are where ``examples`` are not all.

        Examples may hold names of files, which may be no text.
        """
        count = len(examples) if count is None else count
        if not count:
            return
        severity, remedy = self._kinds[kind]
        found = self._found.setdefault((kind, str(place)), Finding(kind, severity, str(place), 0, [], remedy))
        found.count += count
        found.examples += [shown(example, _LONGEST_EXAMPLE) for example in examples[: EXAMPLES - len(found.examples)]]

    def found_in(self, *places: Path) -> list[Finding]:
        """What was found in one of ``places`` so far."""
        wanted = {str(place) for place in places}
        return [one for one in self._found.values() if one.place in wanted]

    def sorted(self) -> list[Finding]:
        """All that were found; what breaks training first."""
        order = list(self._kinds)
        return sorted(self._found.values(), key=lambda finding: (order.index(finding.kind), finding.place))


class SplitFacts(msgspec.Struct):
    """What is there of a data set, beside what the release has; None where that is not known or nothing is there.

    ``labels`` is None of a split without public labels, ``objects`` counts boxes or instances, and ``pictures`` images:
    the JSON file's key has always been that. ``vintage`` of data of one's own is their format.
    """

    name: str
    images: str
    labels: str | None
    pictures: int
    released_pictures: int | None
    frames: int | None = None
    released_frames: int | None = None
    objects: int | None = None
    vintage: str | None = None


class Report(msgspec.Struct):
    """What was found at a root, what breaks training first; with ``fast`` no image and no mask was read."""

    root: str
    fast: bool
    datasets: list[SplitFacts]
    findings: list[Finding]

    @property
    def breaks_training(self) -> bool:
        """Whether a training on this data would end with an error."""
        return any(finding.severity is Severity.BREAKS for finding in self.findings)

    def text(self) -> str:
        """The report for people: what is there, what is wrong, and what that means."""
        rows = [
            [
                facts.name,
                _of(facts.pictures, facts.released_pictures),
                "-" if facts.labels is None else _of(facts.frames, facts.released_frames),
                "-" if facts.objects is None else f"{facts.objects:,}",
                facts.vintage or "",
            ]
            for facts in self.datasets
        ]
        own = all(facts.released_pictures is None for facts in self.datasets)
        headers = ("data set", "images", "with labels", "objects", "format" if own and self.datasets else "vintage")
        parts = [tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right", "right", "left"))]
        for severity in Severity:
            found = [finding for finding in self.findings if finding.severity is severity]
            # What is to be done of a kind is another thing in data of one's own.
            kinds = dict.fromkeys((finding.kind, finding.remedy) for finding in found)
            lines = [_lines([one for one in found if (one.kind, one.remedy) == kind], self.root) for kind in kinds]
            if lines:
                parts.append("\n".join([severity.value.upper(), *lines]))
        return "\n\n".join([*parts, self._conclusion()])

    def _conclusion(self) -> str:
        read = "Images and masks were not read (--fast)." if self.fast else "Every image and mask was read."
        broken = sum(finding.severity is Severity.BREAKS for finding in self.findings)
        if broken:
            return f"{read} Training would break: mend the {broken} finding{'s' if broken > 1 else ''} at the top."
        return f"{read} Nothing breaks training." if self.findings else f"{read} Nothing was found."


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Writes a report as JSON, with ``breaks_training`` beside its fields; OutputError where that fails."""
    document = msgspec.to_builtins(report) | {"breaks_training": report.breaks_training}
    write_atomic(path, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def _of(found: int | None, released: int | None) -> str:
    if found is None:
        return "none"
    return f"{found:,}" if released is None else f"{found:,} of {released:,}"


def _lines(findings: list[Finding], root: str) -> str:
    """All findings of a kind: what to do, then one line per place, below it the examples of what breaks training."""
    lines = [f"* {findings[0].kind}: {sum(finding.count for finding in findings):,}. {findings[0].remedy}"]
    for finding in findings:
        place, examples = finding.place.removeprefix(f"{root}/"), finding.examples
        if finding.count == len(examples) == 1:
            lines.append(f"    {place}: {examples[0]}")
            continue
        if finding.severity is not Severity.BREAKS:
            lines.append(f"    {place}: {finding.count:,}, such as {'; '.join(examples[:_SHOWN])}")
            continue
        lines += [f"    {place}: {finding.count:,}", *(f"        {example}" for example in examples)]
        if finding.count > len(examples):
            lines.append("        ...")
    return "\n".join(lines)
