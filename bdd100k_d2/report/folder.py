"""The folder of a page: whether the page may be written there, and what an older page left in it."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..atomic import output_errors
from ..errors import OutputError

GENERATOR = "bdd100k_d2 report"
"""What a page says of itself, by which a later one knows that it may take its place."""

# Texts of the data are escaped wherever they stand, so that none of them can end in such a quote.
_ASSET = re.compile(r'"(assets/[A-Za-z0-9_-]+\.(?:jpg|png|svg))"')


def check_folder(out: Path, inputs: list[Path]) -> None:
    """Holds that a page in ``out`` overwrites neither what it reads nor what is somebody else's.

    Raises:
        OutputError: it would.
    """
    written = (out.resolve(), (out / "assets").resolve())
    for path in inputs:
        if path.resolve() in written:
            raise OutputError(f"{path}: the page would be written among the data that it reads; choose another --out.")
    page = out / "index.html"
    if page.exists() and f'content="{GENERATOR}"' not in _read(page):
        raise OutputError(f"{page}: is no page of a report, and is not replaced; choose another --out or remove it.")


@contextmanager
def new_page(out: Path) -> Iterator[Path]:
    """Yields a temporary folder, whose ``index.html`` and ``assets`` are moved to ``out`` when the page is whole.

    What an older page there showed is removed, and no other file. After an exception while the page is made, ``out`` is
    as it was: the older page with its images, or no folder.

    Raises:
        OutputError: a file cannot be written or removed.
    """
    page = out / "index.html"
    old = set(_ASSET.findall(_read(page))) if page.exists() else set()
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    temporary = None
    try:
        with output_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            # Beside the page, for a move to another disk is none; with a name that no other process has.
            temporary = Path(tempfile.mkdtemp(prefix=".page-", dir=out))
            (temporary / "assets").mkdir()
        # Errors in here may be of the data that is read, and are not said of the page.
        yield temporary
        with output_errors(out):
            new = {f"assets/{path.name}" for path in (temporary / "assets").iterdir()}
            (out / "assets").mkdir(exist_ok=True)
            # The page comes last, so that it never names what is not there.
            for name in (*sorted(new), "index.html"):
                (temporary / name).replace(out / name)
            for name in old - new:
                (out / name).unlink(missing_ok=True)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        for folder in made:
            # Those with a page in them stay.
            with suppress(OSError):
                folder.rmdir()


def _read(page: Path) -> str:
    try:
        return page.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(f"{page}: cannot be read ({error.strerror}); choose another --out.") from error
