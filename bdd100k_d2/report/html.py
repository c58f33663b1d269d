"""How a page comes to be: its template filled in, and the folder that it is written to.

The templates escape every text and load nothing from elsewhere.
"""

import base64
import hashlib
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ..atomic import output_errors, write_atomic
from ..errors import DataError, OutputError
from ..inside import inside, refuse_overwriting
from ..lock import locked
from ..regular_file import check_regular_file

# What a page says of itself, by which a later one of its kind knows that it may take its place.
_GENERATOR = re.compile(r'content="bdd100k_d2 ([a-z]+)"')
_FOLDER = resources.files(__package__).joinpath("templates")
# Texts of the data are escaped wherever they stand, so that none of them can end in such a quote.
_ASSET = re.compile(r'"(assets/[A-Za-z0-9_-]+\.(?:jpg|png|svg|csv|md))"')
# What there is in the folder of a page that is made, temporary files too.
_PART = re.compile(r"assets|index\.html|assets/[A-Za-z0-9_-]+\.(?:jpg|png|svg|csv|md)|(?:assets/)?\.[^/]+\.\d+\.tmp")
_UNFINISHED = ".page-"
# In seconds since anything came into such a folder: where there are no locks, another process may be making its page.
_ABANDONED = 3600.0


def write_page(folder: Path, template: str, scripts: Sequence[str], kind: str = "report", **values: object) -> None:
    """Fills in a template of ``report/templates`` and writes ``folder/index.html``.

    The page's content security policy names its code, the files ``scripts``, by a hash. So text from a label file could
    run nothing and ask for nothing even if it came into the page unescaped.

    A page is replaced by one of its ``kind`` alone, a word.

    Raises:
        OutputError: the file cannot be written.
    """
    environment = Environment(
        loader=FunctionLoader(_read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: "-" if value is None or math.isnan(value) else f"{value:.1f}"
    environment.filters["rgb"] = lambda color: "rgb({}, {}, {})".format(*color)
    code = "\n" + "\n".join(_read_template(script) for script in scripts)
    code_hash = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    text = environment.get_template(template).render(
        code=Markup(code), code_hash=code_hash, generator=f"bdd100k_d2 {kind}", **values
    )
    write_atomic(folder / "index.html", text)


def _read_template(name: str) -> str:
    return _FOLDER.joinpath(name).read_text(encoding="utf-8")


def check_page_folder(out: Path, inputs: Sequence[Path] = (), kind: str = "report") -> None:
    """Checks that a page in ``out`` overwrites neither what it reads nor what is somebody else's.

    Raises:
        OutputError: ``out`` is or lies in one of ``inputs``, has a page of another ``kind``, or ``assets`` elsewhere.
    """
    # In which all of the page but its index lies, which is of a page or new.
    refuse_overwriting(_assets(out), inputs)
    _check_page(out / "index.html", kind)


def _assets(out: Path) -> Path:
    try:
        return inside(out, "assets")
    except DataError as error:
        raise OutputError(str(error)) from None


def _check_page(page: Path, kind: str | None) -> None:
    if page.exists() and _kind_of(page) != kind:
        what = "a report" if kind == "report" else kind
        raise OutputError(f"{page}: is no page of {what}, and is not replaced; choose another --out or remove it.")


def _kind_of(page: Path) -> str | None:
    found = _GENERATOR.search(_read_page(page))
    return found[1] if found else None


@contextmanager
def new_page(out: Path) -> Iterator[Path]:
    """Yields a temporary folder, whose ``index.html`` and ``assets`` are moved to ``out`` when the page is whole.

    What an older page there showed is removed, and no other file is removed or replaced. After an exception while the
    page is made, ``out`` is as it was: the older page with its images, or no folder.

    Raises:
        OutputError: a file cannot be written or removed, or is there and no older page's; or another page is made.
    """
    # And not of ``out``, where the training that the page is about may write.
    with locked(_assets(out)):
        temporary = None
        try:
            with output_errors(out):
                _remove_unfinished(out)
                # Beside the page, for a move to another disk is none; with a name that no other process has.
                temporary = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=out))
                (temporary / "assets").mkdir()
            # Errors in here may be of the data that is read, and are not said of the page.
            yield temporary
            with output_errors(out):
                _publish(temporary, out)
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)


def _remove_unfinished(out: Path) -> None:
    """Removes the folders of pages that killed processes left, but none that holds anything else."""
    for folder in out.glob(f"{_UNFINISHED}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        changed = max(path.lstat().st_mtime for path in (folder, *folder.rglob("assets")))
        is_page = all(_PART.fullmatch(path.relative_to(folder).as_posix()) for path in folder.rglob("*"))
        if is_page and time.time() - changed > _ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)


def _publish(made: Path, out: Path) -> None:
    page = out / "index.html"
    _check_page(page, _kind_of(made / "index.html"))
    old = set(_ASSET.findall(_read_page(page))) if page.exists() else set()
    new = {f"assets/{path.name}" for path in (made / "assets").iterdir()}
    foreign = next((name for name in sorted(new - old) if os.path.lexists(out / name)), None)
    if foreign is not None:
        raise OutputError(f"{out / foreign}: is there, and of no page; choose another --out or remove it.")
    # The page comes last, so that it never names what is not there.
    for name in (*sorted(new), "index.html"):
        (made / name).replace(out / name)
    for name in old - new:
        (out / name).unlink(missing_ok=True)


def _read_page(page: Path) -> str:
    try:
        check_regular_file(page)
        return page.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(f"{page}: cannot be read ({error.strerror}); choose another --out.") from error
