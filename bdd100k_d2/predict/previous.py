"""What an earlier run left in the output folder: told by its record, and removed by nothing else than its record."""

from collections.abc import Iterator
from pathlib import Path

from ..atomic import check_writable
from ..errors import OutputError
from ..tasks import TASKS
from .inputs import RESULT_FOLDERS, InputImages, InputVideo
from .journal import FILE_NAME, read_lines, read_settings
from .outputs import frame_paths


def check_output_folder(
    folder: Path, task: str, source: InputImages | InputVideo, resume: bool, overwrite: bool
) -> None:
    """Makes ``folder``, and checks that a run may write into it.

    Raises:
        DataError: the record is not that of a run.
        OutputError: the folder cannot be written, results would replace the input or what no run has written, or there
            are results and the user said neither ``resume`` nor ``overwrite``.
    """
    _check_input(folder, source)
    record = folder / FILE_NAME
    video = source.annotated_name if isinstance(source, InputVideo) else None
    lists = sorted(one.result_list for one in TASKS.values() if one.result_list)
    places = [folder / name for name in (*lists, *RESULT_FOLDERS, *([video] if video else []))]
    found = [path for path in places if path.exists()]
    if record.exists():
        earlier = read_settings(record)
        if not (resume or overwrite):
            raise OutputError(
                f"{record}: the results of an earlier run are there; give --resume to go on with it, --overwrite to "
                "replace them, or choose another output folder."
            )
        own = (TASKS[earlier.task].result_list, earlier.video)
        foreign = [path for path in found if path.name in (TASKS[task].result_list, video) and path.name not in own]
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
    elif not isinstance(source.source, int):
        target = folder / source.annotated_name
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
        for path in list(_results(record)):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be removed ({error.strerror}).") from error


def _results(record: Path) -> Iterator[Path]:
    folder, settings = record.parent, read_settings(record)
    yield from (folder / name for name in (TASKS[settings.task].result_list, settings.video) if name is not None)
    for line, _ in read_lines(record):
        yield from (path for path in frame_paths(folder, settings, line.name) if path is not None)
