"""What is wrong with a submission, and the report of it."""

from collections.abc import Iterable
from typing import NamedTuple


class Finding(NamedTuple):
    """Something that the evaluation server would refuse or score in another way than meant.

    Attributes:
        kind: groups findings of a sort, such as "missing frame".
        file: the file that is wrong, by its path in the folder or zip.
        frame: the name of the image, None where the whole file is meant.
        text: what is wrong with it and the remedy.
    """

    kind: str
    file: str
    frame: str | None
    text: str


def describe(findings: Iterable[Finding], shown: int = 5) -> str:
    """A paragraph for each kind of finding with its number and the first ``shown`` of them; "" for none."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    lines = []
    for kind, of_kind in kinds.items():
        lines.append(f"{kind}: {len(of_kind):,}")
        for finding in of_kind[:shown]:
            frame = "" if finding.frame is None else f"frame {finding.frame}: "
            lines.append(f"  {finding.file}: {frame}{finding.text}")
        if len(of_kind) > shown:
            lines.append(f"  and {len(of_kind) - shown:,} more")
    return "\n".join(lines)
