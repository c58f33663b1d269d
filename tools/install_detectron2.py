"""Installs Detectron2 v0.6 into the environment that runs this file, changed so that it works on current PyTorch.

    python tools/install_detectron2.py               # install, unless a Detectron2 that imports is already there
    python tools/install_detectron2.py --force       # replace the one that is there
    python tools/install_detectron2.py --wheel DIR   # only write the wheel, for machines without a network

Detectron2 publishes no wheel for current PyTorch. The distribution `pb1-detectron2` 0.6 is the source of its release
without the C++ files. pip fetches it and checks its hash; the changes of `detectron2_patches.py` are applied, each of
which must fit; the result is built into a pure-Python wheel named `detectron2` and installed with its dependencies.
torch, torchvision, setuptools and wheel must be there first. uv installs when it is in the environment, else pip.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from detectron2_patches import NEW_FILES, PATCHES, Patch

RELEASE = "0.6"
SOURCE = f"pb1-detectron2=={RELEASE}"
SHA256 = "5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29"
NEEDED = ("torch", "torchvision", "setuptools", "wheel")

# The distribution's version has the local part that detectron2.__version__ lacks, but it is the version of what was
# imported only if both lie in the same place.
PROBE = """
import importlib.metadata
from pathlib import Path

import detectron2.data, detectron2.engine, detectron2.modeling

location, version = Path(detectron2.__file__).parent, detectron2.__version__
for distribution in importlib.metadata.distributions(name="detectron2"):
    if Path(distribution.locate_file("detectron2")) == location:
        version = distribution.version
print(version)
print(location)
"""


class InstallError(Exception):
    """Detectron2 could not be installed; the message says what to do."""


class Installed(NamedTuple):
    """A Detectron2 that imports: its version (with the local part of a build by this tool) and its folder."""

    version: str
    location: str


def build_version() -> str:
    """Returns the version of the wheel: 0.6 and a digest of the changes, so that other changes make another version."""
    digest = hashlib.sha256(repr((PATCHES, sorted(NEW_FILES.items()))).encode()).hexdigest()
    return f"{RELEASE}+pure{digest[:8]}"


def find_installed() -> tuple[Installed | None, str]:
    """Imports Detectron2 in a process of its own.

    Returns:
        What was found, or None; and the last line of the error if it does not import, empty if there is none installed.
    """
    # From an empty folder: a source tree called detectron2 in the current one is not what is installed.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode == 0:
        version, location = done.stdout.strip().splitlines()[-2:]
        return Installed(version, location), ""
    error = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"
    return None, "" if error == "ModuleNotFoundError: No module named 'detectron2'" else error


def check_needed() -> None:
    """Raises an InstallError if something is missing from the environment; it names the command that adds it."""
    if importlib.util.find_spec("pip") is None:
        raise InstallError(f"pip is missing from this environment. Add it: {sys.executable} -m ensurepip --upgrade")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        names = " ".join(missing)
        raise InstallError(f"missing: {names}. Install first: {sys.executable} -m pip install {names}")


def run(*command: str, cwd: Path | None = None) -> None:
    """Runs a command, with its output on stderr only if it fails.

    Raises:
        InstallError: the command failed.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, check=False)
    if done.returncode:
        raise InstallError(f"{done.stdout.rstrip()}\nfailed with status {done.returncode}: {shlex.join(command)}")


def pip(*arguments: str, cwd: Path | None = None) -> None:
    """Runs the environment's pip."""
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, cwd=cwd)


def fetch_source(folder: Path, sha256: str = SHA256) -> Path:
    """Downloads the source into `folder`, hash checked, and unpacks it there.

    Returns:
        The unpacked tree.

    Raises:
        InstallError: the source cannot be fetched, or has another hash.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{SOURCE} --hash=sha256:{sha256}\n", encoding="utf-8")
    # Without build isolation, because the metadata step imports torch. pip takes it only after the hash was right.
    pip(
        *("download", "--quiet", "--no-deps", "--no-build-isolation", "--no-binary", "pb1-detectron2"),
        *("--require-hashes", "--requirement", str(requirements), "--dest", str(folder)),
    )
    (archive,) = folder.glob("pb1*.tar.gz")
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
        else:  # Python before 3.10.12; the hash already says which file this is
            tar.extractall(folder)
    return folder / f"pb1-detectron2-{RELEASE}"


def apply_patches(tree: Path, patches: tuple[Patch, ...] = PATCHES) -> None:
    """Changes the files of `tree`.

    Raises:
        InstallError: a file or its old text is not there as often as the table says, which names both.
    """
    for patch in patches:
        path = tree / patch.file
        if not path.is_file():
            raise InstallError(f"patch does not fit: no file {patch.file} (reason of the patch: {patch.reason})")
        text = path.read_text(encoding="utf-8")
        if text.count(patch.old) != patch.count:
            raise InstallError(
                f"patch does not fit: {patch.file} holds this text {text.count(patch.old)} times, not {patch.count}:\n"
                f"{patch.old}\n(reason of the patch: {patch.reason})"
            )
        path.write_text(text.replace(patch.old, patch.new), encoding="utf-8")


def build_wheel(folder: Path) -> Path:
    """Downloads, patches and builds in `folder`.

    Returns:
        The wheel.
    """
    print(f"Fetching {SOURCE} ...", flush=True)
    tree = fetch_source(folder)
    apply_patches(tree)
    for name, text in NEW_FILES.items():
        (tree / name).write_text(text.replace("@VERSION@", build_version()), encoding="utf-8")
    print(f"Building detectron2 {build_version()} with {len(PATCHES)} patches ...", flush=True)
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(tree))
    (wheel,) = folder.glob("detectron2-*.whl")
    return wheel


def install(wheel: Path) -> None:
    """Installs the wheel over any Detectron2 that is there, and its dependencies beside it."""
    if importlib.util.find_spec("uv") is not None:
        print("Installing with uv ...", flush=True)
        uv_install = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable)
        try:
            run(*uv_install, "--reinstall-package", "detectron2", str(wheel))
            return
        except InstallError as error:  # uv reads no pip configuration, so pip may succeed where a mirror is set there
            print(error, file=sys.stderr)
    print("Installing with pip ...", flush=True)
    pip("install", "--quiet", str(wheel))
    # pip keeps an installed distribution of the same version, whatever is in it.
    pip("install", "--quiet", "--no-deps", "--force-reinstall", str(wheel))


def keep_installed() -> bool:
    """Returns whether a Detectron2 that imports is there and stays; says which, or why it is replaced."""
    found, error = find_installed()
    if found is None:
        if error:
            print(f"The installed Detectron2 does not import: {error}")
        return False
    if found.version.startswith(f"{RELEASE}+pure") and found.version != build_version():
        print(f"Detectron2 {found.version} was built by this tool with other patches: replacing it.")
        return False
    print(f"Detectron2 {found.version} is installed and imports: {found.location}")
    return True


def write_wheel(folder: Path) -> None:
    """Builds the wheel and puts it into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="detectron2-") as scratch:
        wheel = build_wheel(Path(scratch))
        partial = folder / f".{wheel.name}.part"
        shutil.copyfile(wheel, partial)
        partial.replace(folder / wheel.name)
    print(f"Wrote {folder / wheel.name}")


def install_here() -> None:
    """Builds the wheel, installs it, and checks that the result imports."""
    with tempfile.TemporaryDirectory(prefix="detectron2-") as scratch:
        install(build_wheel(Path(scratch)))
    found, error = find_installed()
    if found is None:
        raise InstallError(f"Detectron2 was installed but does not import: {error or 'not found'}")
    print(f"Installed Detectron2 {found.version}: {found.location}")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Returns the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--force", action="store_true", help="install also where a Detectron2 already imports")
    parser.add_argument("--wheel", type=Path, metavar="DIR", help="write the wheel into DIR and install nothing")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 0 or 1."""
    options = parse_arguments(arguments)
    try:
        if options.wheel:
            check_needed()
            write_wheel(options.wheel)
        elif options.force or not keep_installed():
            check_needed()
            install_here()
    except (InstallError, OSError) as error:
        print(f"install_detectron2: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
