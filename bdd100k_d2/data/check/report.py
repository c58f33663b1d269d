"""The result of a check: a table to read, and JSON to process."""

import os
from pathlib import Path

import msgspec
from tabulate import tabulate

from ...atomic import write_atomic
from ...errors import DataError
from .finding import Finding, Severity

_SHOWN = 2
"""Examples of what breaks nothing in the report for people; the JSON has all that are kept."""


class SplitFacts(msgspec.Struct):
    """What is there of a data set, beside what the release has; None where that is not known or nothing is there.

    Attributes:
        name: as it is registered.
        images: the folder of images.
        labels: the label file or the folder of masks; None for a split without public labels.
        pictures: images in the folder; the key that the JSON file has always had.
        released_pictures: in the release.
        frames: that have labels, or masks.
        released_frames: in the release.
        objects: boxes, or instances; of masks None.
        vintage: of detection labels.
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
    """What was found at a root.

    Attributes:
        root: the folder that holds ``bdd100k/``.
        fast: no image and no mask was read.
        datasets: that were looked at.
        findings: what breaks training first.
    """

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
        headers = ("data set", "images", "with labels", "objects", "vintage")
        parts = [tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right", "right", "left"))]
        for severity in Severity:
            found = [finding for finding in self.findings if finding.severity is severity]
            kinds = dict.fromkeys(finding.kind for finding in found)
            lines = [_lines([one for one in found if one.kind == kind], self.root) for kind in kinds]
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
    """Writes a report as JSON, with ``breaks_training`` beside its fields.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    document = msgspec.to_builtins(report) | {"breaks_training": report.breaks_training}
    write_atomic(path, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def read_report(path: str | os.PathLike[str]) -> Report:
    """Reads what :func:`write_report` wrote.

    Raises:
        DataError: not such a file.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(f"{path}: not a report of tools/check_dataset.py ({error}); write it again.") from error


def _of(found: int | None, released: int | None) -> str:
    if found is None:
        return "none"
    return f"{found:,}" if released is None else f"{found:,} of {released:,}"


def _lines(findings: list[Finding], root: str) -> str:
    """All findings of a kind: what to do once, then a line a place; below it the examples of what breaks training."""
    lines = [f"* {findings[0].kind}: {sum(finding.count for finding in findings):,}. {findings[0].remedy}"]
    for finding in findings:
        place, shown = finding.place.removeprefix(f"{root}/"), finding.examples
        if finding.count == len(shown) == 1:
            lines.append(f"    {place}: {shown[0]}")
            continue
        if finding.severity is not Severity.BREAKS:
            shown = "; ".join(shown[:_SHOWN])
            lines.append(f"    {place}: {finding.count:,}, such as {shown}")
            continue
        lines += [f"    {place}: {finding.count:,}", *(f"        {example}" for example in shown)]
        if finding.count > len(shown):
            lines.append("        ...")
    return "\n".join(lines)
