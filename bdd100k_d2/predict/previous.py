"""What an earlier run left in the output folder: told by its record, and removed by nothing else than its record."""

from collections.abc import Iterator
from pathlib import Path

from ..atomic import check_writable
from ..errors import OutputError
from ..evaluation.results import mask_path
from .frame_result import PIXEL_FOLDERS
from .inputs import RESULT_FOLDERS, InputImages, InputVideo
from .journal import FILE_NAME, Settings, read_lines, read_settings

_LISTS = {"det": "det.json", "ins_seg": "score.json"}


def video_name(source: InputImages | InputVideo) -> str | None:
    """The name of the annotated video; None for images."""
    return f"{source.stem}.mp4" if isinstance(source, InputVideo) else None


def check_folder(folder: Path, task: str, source: InputImages | InputVideo, resume: bool, overwrite: bool) -> None:
    """Checks that a run may write into ``folder``, which is made.

    Raises:
        DataError: the record is not that of a run.
        OutputError: it cannot be written, results would replace the input or what no run has written, or there are
            results and the user said neither ``resume`` nor ``overwrite``.
    """
    _check_input(folder, source)
    video, record = video_name(source), folder / FILE_NAME
    places = [folder / name for name in (*sorted(_LISTS.values()), *RESULT_FOLDERS, *([video] if video else []))]
    found = [path for path in places if path.exists()]
    if record.exists():
        earlier = read_settings(record)
        if not (resume or overwrite):
            raise OutputError(
                f"{record}: the results of an earlier run are there; give --resume to go on with it, --overwrite to "
                "replace them, or choose another output folder."
            )
        own = {_LISTS.get(earlier.task), earlier.video}
        foreign = [path for path in found if path.name in (_LISTS.get(task), video) and path.name not in own]
        if foreign:
            raise OutputError(
                f"{foreign[0]} is there, but not of the run that {FILE_NAME} tells of; choose another output folder."
            )
    elif found:
        raise OutputError(
            f"{found[0]} is there, but no {FILE_NAME}, which a run would have written with it; choose another "
            "output folder."
        )
    check_writable(folder, "choose another one")


def _check_input(folder: Path, source: InputImages | InputVideo) -> None:
    if isinstance(source, InputImages):
        results = {(folder / name).resolve() for name in RESULT_FOLDERS}
        for parent in dict.fromkeys(path.parent for path in source.paths.values()):
            if parent.resolve() in results:
                raise OutputError(f"{parent}: images of the input are where results go; choose another output folder.")
    elif not source.is_camera:
        target = folder / video_name(source)
        if target.exists() and target.samefile(source.source):
            raise OutputError(f"{target}: the annotated video would replace the video; choose another output folder.")


def remove_results(folder: Path) -> None:
    """Removes the files of the run that the record in ``folder`` tells of, but the record, and no others.

    Raises:
        OutputError: one cannot be removed.
    """
    record = folder / FILE_NAME
    if not record.exists():
        return
    try:
        # All names before the first file: a damaged record removes nothing.
        for path in list(_results(folder, read_settings(record), record)):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be removed ({error.strerror}).") from error


def _results(folder: Path, settings: Settings, record: Path) -> Iterator[Path]:
    for name in (_LISTS.get(settings.task), settings.video):
        if name is not None:
            yield folder / name
    for line, _, _ in read_lines(record):
        if settings.task in PIXEL_FOLDERS:
            yield mask_path(folder / PIXEL_FOLDERS[settings.task], line.name)
        if settings.overlay and settings.video is None:
            yield mask_path(folder / "overlays", line.name).with_suffix(".jpg")
