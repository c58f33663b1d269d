"""``metrics.json`` of a run that is resumed: no iteration twice."""

import json
import logging
from pathlib import Path

from ...atomic import write_atomic

logger = logging.getLogger(__name__)


def drop_repeated(path: Path, start_iteration: int) -> None:
    """Removes from a ``metrics.json`` the iterations that a run resumed at ``start_iteration`` does again.

    A line that was cut off goes too, or the next would be written onto its end. The scores that the end of a shorter
    training wrote under its iteration count, which is ``start_iteration`` if it is then trained longer, stay.

    Raises:
        OutputError: the file cannot be rewritten; it is then as it was.
    """
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if _is_before(line, start_iteration)]
    if len(kept) < len(lines):
        write_atomic(path, "".join(kept))
        logger.info("%s: %d lines of iterations that are repeated were removed.", path, len(lines) - len(kept))


def _is_before(line: str, start: int) -> bool:
    try:
        record = json.loads(line)
        iteration = record["iteration"]
        return line.endswith("\n") and (iteration < start or (iteration == start and "total_loss" not in record))
    except (ValueError, TypeError, LookupError):
        return False
