"""What tells that a file is the same as before, without reading it."""

from pathlib import Path

FileStamp = tuple[str, int, int]
"""The absolute path, the size in bytes and when the file was changed, in ns."""


def stamp_of(path: Path) -> FileStamp:
    """The stamp of a file by its absolute path; OSError where there is none."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def file_state(path: Path) -> str:
    """The stamp as a text: under the same name there may be another file by now."""
    return "{}, {} bytes, {}".format(*stamp_of(path))
