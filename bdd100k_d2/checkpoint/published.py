"""Published weights by name: found, downloaded, checked, converted to Detectron2's layout, and kept.

The handlers give Detectron2's `PathManager`, which resolves ``MODEL.WEIGHTS``, a Detectron2 checkpoint, so that
`DefaultPredictor` and `DetectionCheckpointer`, which know no other framework, load it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from detectron2.utils.file_io import PathManager
from iopath.common.file_io import get_cache_dir

from ..atomic import atomic_path, file_digest
from ..errors import WeightsError
from ..tasks import TASKS
from ..zoo.download import download, fetch_md5, is_checkpoint
from ..zoo.table import PREFIX, check_weights_name, suggest
from .convert import convert_file
from .handler import NamedWeightsHandler
from .timm_weights import BackboneWeightsHandler, hub_tensors, hub_version, packaged_tensors, packaged_version

logger = logging.getLogger(__name__)

BDD100K_SERVER = "https://dl.cv.ethz.ch/bdd100k"
OPEN_MMLAB_SERVER = "https://download.openmmlab.com/pretrain/third_party"
# What Detectron2 itself resolves detectron2:// to.
_DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2/"


@dataclass(frozen=True)
class PublishedFile:
    """A file on a server: its path below the address, that of its md5 if published, the first digits of its sha256."""

    path: str
    md5_path: str | None = None
    sha256_start: str = ""


# The name of a file of OpenMMLab ends with the first digits of its sha256.
_OPEN_MMLAB = {
    f"resnet{depth}_v1c": PublishedFile(f"resnet{depth}_v1c-{start}.pth", sha256_start=start)
    for depth, start in ((50, "2cccc1ad"), (101, "e67eebb6"))
}


def zoo_file(name: str) -> PublishedFile:
    """Where the weights ``name``, e.g. ``det/faster_rcnn_r50_fpn_1x``, are; raises `WeightsError` if unknown."""
    task, _, stem = check_weights_name(name).partition("/")
    path = f"{task}/models/{stem}_{task}_bdd100k"
    return PublishedFile(f"{path}.pth", md5_path=f"{path}.md5")


def open_mmlab_file(name: str) -> PublishedFile:
    """Where the ImageNet weights ``name``, e.g. ``resnet50_v1c``, are; raises `WeightsError` if unknown."""
    if name in _OPEN_MMLAB:
        return _OPEN_MMLAB[name]
    raise WeightsError(f"no weights of this name. {suggest(name, list(_OPEN_MMLAB))}")


class PublishedWeightsHandler(NamedWeightsHandler):
    """Resolves names of published weights, which are downloaded and converted.

    ``find`` is from a name without the prefix to the file, whose path is below the address ``server``.
    """

    def __init__(self, prefix: str, find: Callable[[str], PublishedFile], server: str) -> None:
        super().__init__(prefix)
        self.find = find
        self.server = server

    def place(self, name: str) -> Path:
        """Beside the downloaded file, under ``$FVCORE_CACHE``; see the parent."""
        raw = self._raw(self.find(name))
        return raw.with_name(f"{raw.stem}_detectron2.pth")

    def make(self, name: str, checkpoint: Path, force: bool) -> None:
        """Downloads and converts, or converts what was put there by hand; see the parent."""
        file = self.find(name)
        raw, address = self._raw(file), f"{self.server}/{file.path}"
        if raw.is_file() and not force:
            logger.info("%s%s: using %s", self.prefix, name, raw)
            try:
                self._check(raw, file, str(raw))
                self._convert(name, raw, checkpoint)
            except WeightsError as error:
                raise WeightsError(f"{error} Remove this file, or put there what {address} publishes.") from error
            return
        try:
            with atomic_path(raw) as temporary:
                download(address, temporary, raw.name)
                self._check(temporary, file, address)
        except WeightsError as error:
            raise WeightsError(f"{error} Try again later, or fetch {address} by hand and put it at {raw}.") from error
        try:
            self._convert(name, raw, checkpoint)
        except WeightsError as error:
            # Kept, it would be taken for a file that was put there by hand.
            raw.unlink()
            raise WeightsError(f"what {address} serves cannot be used: {error}") from error

    def _convert(self, name: str, raw: Path, checkpoint: Path) -> None:
        # Whatever the file calls them, the classes of the zoo's models are those of their task.
        classes = TASKS[name.partition("/")[0]].names if self.prefix == PREFIX else ()
        convert_file(raw, checkpoint, to="detectron2", overwrite=True, classes=classes)

    def _raw(self, file: PublishedFile) -> Path:
        return Path(get_cache_dir(), urlparse(f"{self.server}/{file.path}").path.lstrip("/"))

    def _check(self, local: Path, file: PublishedFile, subject: str) -> None:
        if not is_checkpoint(local):
            raise WeightsError(f"{subject}: no checkpoint, but a web page or another kind of file.")
        if file.sha256_start and not (found := file_digest(local)).startswith(file.sha256_start):
            raise WeightsError(f"{subject}: its sha256 is {found}, and has to start with {file.sha256_start}.")
        if file.md5_path is None:
            return
        expected = fetch_md5(f"{self.server}/{file.md5_path}")
        if expected is None:
            logger.info("%s: its md5 is not published, or cannot be fetched", local.name)
        elif (found := file_digest(local, "md5")) != expected:
            raise WeightsError(f"{subject}: its md5 is {found}, and {self.server}/{file.md5_path} says {expected}.")


def _register_handlers() -> None:
    """Makes Detectron2's `PathManager` resolve the names of published weights."""
    for handler in (
        PublishedWeightsHandler(PREFIX, zoo_file, BDD100K_SERVER),
        PublishedWeightsHandler("open-mmlab://", open_mmlab_file, OPEN_MMLAB_SERVER),
        BackboneWeightsHandler("pip://", packaged_tensors, packaged_version),
        BackboneWeightsHandler("timm://", hub_tensors, hub_version),
    ):
        PathManager.register_handler(handler)


def local_path(address: str) -> str:
    """The local file of a path, or of an address that Detectron2 resolves, which is fetched first.

    Raises `WeightsError` if it cannot be fetched, or no published weights have this name.
    """
    try:
        return str(PathManager.get_local_path(address))
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{address}: the weights cannot be fetched ({error}). Fetch "
            f"{address.replace('detectron2://', _DETECTRON2, 1)} by hand and give the file's path, as MODEL.WEIGHTS or "
            "on the command line; or train from random weights with MODEL.WEIGHTS ''."
        ) from error


_register_handlers()
