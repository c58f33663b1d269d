"""Published weights by name: found, downloaded, checked, converted to Detectron2's layout, and kept.

The handlers give Detectron2's `PathManager`, which resolves ``MODEL.WEIGHTS``, a Detectron2 checkpoint, so that
`DefaultPredictor` and `DetectionCheckpointer`, which know no other framework, load it.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import torch
from detectron2.config import CfgNode
from detectron2.utils.file_io import PathManager
from iopath.common.file_io import get_cache_dir

from ..atomic import atomic_path, file_digest
from ..errors import WeightsError, shown
from ..tasks import TASKS
from ..zoo.download import download, fetch_md5, is_checkpoint
from ..zoo.local_files import FOLDER_VARIABLE, LocalFile, WeightsFolder
from ..zoo.table import PREFIX, check_weights_name, suggest
from .class_names import as_kept, kept_names
from .convert import convert_file, is_foreign
from .handler import NamedWeightsHandler
from .reading import read_checkpoint, tensors_of
from .timm_weights import BackboneWeightsHandler, hub_tensors, hub_version, packaged_tensors, packaged_version

logger = logging.getLogger(__name__)

BDD100K_SERVER = "https://dl.cv.ethz.ch/bdd100k"
OPEN_MMLAB_SERVER = "https://download.openmmlab.com"
MICROSOFT_SERVER = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0"
TORCHVISION_SERVER = "https://download.pytorch.org/models"
# What Detectron2 itself resolves detectron2:// to.
_DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2/"


MIRROR_VARIABLE = "BDD100K_WEIGHTS_MIRROR"
"""The environment variable with the address of a mirror; the key ``MODEL.ZOO.MIRROR`` goes before it."""

# What the names of a Detectron2 model's tensors begin with.
_PARTS = ("backbone.", "proposal_generator.", "roi_heads.", "sem_seg_head.", "auxiliary_head.", "head.", "pixel_")

# What the keys of the last config say, before the environment.
_keys = {FOLDER_VARIABLE: "", MIRROR_VARIABLE: ""}


def use_sources(cfg: CfgNode) -> None:
    """From now on the names of published weights are looked for where ``MODEL.ZOO`` says, else the environment."""
    _keys.update({FOLDER_VARIABLE: cfg.MODEL.ZOO.FOLDER, MIRROR_VARIABLE: cfg.MODEL.ZOO.MIRROR})


def weights_folder() -> str:
    """The folder of a user's own where weights are looked for first; empty for none."""
    return _keys[FOLDER_VARIABLE] or os.environ.get(FOLDER_VARIABLE, "")


def mirror() -> str:
    """The address below which a mirror has the files as the server has them; empty for none."""
    address = (_keys[MIRROR_VARIABLE] or os.environ.get(MIRROR_VARIABLE, "")).rstrip("/")
    if address and not address.startswith(("http://", "https://", "file://")):
        raise WeightsError(
            f"{shown(address)}: no address of a mirror, which begins with https://; check {MIRROR_VARIABLE} or "
            f"MODEL.ZOO.MIRROR. A folder is given as {FOLDER_VARIABLE}."
        )
    return address


@dataclass(frozen=True)
class PublishedFile:
    """A file on a server: its path below the address, that of its md5 if published, the first digits of its sha256.

    ``short`` is another name that it may have in a user's folder, see `WeightsFolder.find`.
    """

    path: str
    md5_path: str | None = None
    sha256_start: str = ""
    short: str = ""


_CONVNEXT = "mmclassification/v0/convnext/downstream"
# The name of a file of OpenMMLab ends with the first digits of its sha256.
_OPEN_MMLAB = {
    name: PublishedFile(f"{folder}/{name}{between}-{start}.pth", sha256_start=start)
    for name, folder, between, start in (
        ("resnet50_v1c", "pretrain/third_party", "", "2cccc1ad"),
        ("resnet101_v1c", "pretrain/third_party", "", "e67eebb6"),
        ("convnext-tiny_3rdparty_32xb128-noema_in1k", _CONVNEXT, "_20220301", "795e9634"),
        ("convnext-small_3rdparty_32xb128-noema_in1k", _CONVNEXT, "_20220301", "303e75e3"),
        ("convnext-base_3rdparty_32xb128-noema_in1k", _CONVNEXT, "_20220301", "2a0ee547"),
        (
            "convnext-base_in21k-pre-3rdparty_32xb128_in1k",
            "mmclassification/v0/convnext",
            "_20220124",
            "eb2d6ada",
        ),
    )
}
_OPEN_MMLAB |= {
    f"msra/hrnetv2_w{width}": PublishedFile(f"pretrain/third_party/hrnetv2_w{width}-{start}.pth", sha256_start=start)
    for width, start in ((18, "00eb2006"), (32, "dc9eeb4f"), (40, "ed0b031c"), (48, "d2186c55"))
}
# Microsoft publishes no checksums.
_MICROSOFT = {
    name: PublishedFile(f"{name}.pth")
    for name in (
        "swin_tiny_patch4_window7_224",
        "swin_small_patch4_window7_224",
        "swin_base_patch4_window7_224",
        "swin_base_patch4_window7_224_22k",
    )
}
# torchvision's ConvNeXt and Swin, whose files end with the first digits of their sha256 too.
_TORCHVISION = {
    name: PublishedFile(f"{name}-{start}.pth", sha256_start=start)
    for name, start in (
        ("convnext_tiny", "983f1562"),
        ("convnext_small", "0c510722"),
        ("convnext_base", "6075fbad"),
        ("swin_t", "704ceda3"),
        ("swin_s", "5e29d889"),
        ("swin_b", "68c6b09e"),
    )
}


def zoo_file(name: str) -> PublishedFile:
    """Where the weights ``name``, e.g. ``det/faster_rcnn_r50_fpn_1x``, are; raises `WeightsError` if unknown."""
    task, _, stem = check_weights_name(name).partition("/")
    path = f"{task}/models/{stem}_{task}_bdd100k"
    return PublishedFile(f"{path}.pth", md5_path=f"{path}.md5", short=name)


def open_mmlab_file(name: str) -> PublishedFile:
    """Where the ImageNet weights ``name``, e.g. ``resnet50_v1c``, are; raises `WeightsError` if unknown."""
    return _known(name, _OPEN_MMLAB)


def microsoft_file(name: str) -> PublishedFile:
    """Where the ImageNet weights ``name``, e.g. ``swin_tiny_patch4_window7_224``, are; `WeightsError` if unknown."""
    return _known(name, _MICROSOFT)


def torchvision_file(name: str) -> PublishedFile:
    """Where the ImageNet weights ``name``, e.g. ``convnext_tiny``, are; raises `WeightsError` if unknown."""
    return _known(name, _TORCHVISION)


def _known(name: str, files: Mapping[str, PublishedFile]) -> PublishedFile:
    if name in files:
        return files[name]
    raise WeightsError(f"no weights of this name. {suggest(name, list(files))}")


class PublishedWeightsHandler(NamedWeightsHandler):
    """Resolves names of published weights: a file of the user's own folder, else one that is downloaded; converted.

    ``find`` is from a name without the prefix to the file, whose path is below the address ``server``, and below a
    mirror's. Folder and mirror are those of `use_sources` or of the environment.
    """

    def __init__(self, prefix: str, find: Callable[[str], PublishedFile], server: str) -> None:
        super().__init__(prefix)
        self.find = find
        self.server = server

    def place(self, name: str) -> Path:
        """Beside the downloaded file, under ``$FVCORE_CACHE``; see the parent."""
        file = self.find(name)
        raw = self._raw(file)
        if local := self._local(file):
            # Of another file, or of one that was changed, another checkpoint.
            status = local.path.stat()
            state = f"{local.path.resolve()} {status.st_size} {status.st_mtime_ns}"
            return raw.with_name(f"{raw.stem}_{hashlib.sha256(state.encode()).hexdigest()[:12]}_detectron2.pth")
        return raw.with_name(f"{raw.stem}_detectron2.pth")

    def make(self, name: str, checkpoint: Path, force: bool) -> None:
        """Converts the file of the user's folder, or one that was put here by hand, or downloads it; see the parent."""
        file = self.find(name)
        raw = self._raw(file)
        if local := self._local(file):
            logger.info("%s%s: using %s", self.prefix, name, local.path)
            local.check()
            if file.sha256_start:
                _check_sha256(local.path, file, str(local.path))
            self._convert(name, local.path, checkpoint)
        elif raw.is_file() and not force:
            logger.info("%s%s: using %s", self.prefix, name, raw)
            try:
                self._check(raw, file, str(raw), self.server)
                self._convert(name, raw, checkpoint)
            except WeightsError as error:
                address = f"{self.server}/{file.path}"
                raise WeightsError(f"{error} Remove this file, or put there what {address} publishes.") from error
        else:
            address = self._fetch(file, raw)
            try:
                self._convert(name, raw, checkpoint)
            except WeightsError as error:
                # Kept, it would be taken for a file that was put there by hand.
                raw.unlink()
                raise WeightsError(f"what {address} serves cannot be used: {error}") from error

    def _fetch(self, file: PublishedFile, raw: Path) -> str:
        """Downloads from the mirror, else from the server, to ``raw``; returns the address that it came from."""
        servers = [*filter(None, [mirror()]), self.server]
        failed = []
        for server in servers:
            address = f"{server}/{file.path}"
            try:
                with atomic_path(raw) as temporary:
                    download(address, temporary, raw.name)
                    self._check(temporary, file, address, server)
            except WeightsError as error:
                failed.append(str(error))
                logger.info("%s", error)
            else:
                return address
        raise WeightsError(
            f"{' '.join(failed)} Try again later, or fetch {self.server}/{file.path} by hand and put it at {raw}, or "
            f"into a folder of yours that {FOLDER_VARIABLE} names."
        )

    def _local(self, file: PublishedFile) -> LocalFile | None:
        folder = weights_folder()
        return WeightsFolder(folder).find(Path(file.path).stem, file.short) if folder else None

    def _convert(self, name: str, raw: Path, checkpoint: Path) -> None:
        # Whatever the file calls them, the classes of the zoo's models are those of their task.
        classes = TASKS[name.partition("/")[0]].names if self.prefix == PREFIX else ()
        content = read_checkpoint(raw)
        state = tensors_of(content)
        # A file of the user's folder may have Detectron2's names already.
        if state and not is_foreign(state) and all(key.startswith(_PARTS) for key in state):
            with atomic_path(checkpoint) as temporary:
                torch.save({"model": {**state}, **as_kept(kept_names(content))}, temporary)
        else:
            convert_file(raw, checkpoint, to="detectron2", overwrite=True, classes=classes)

    def _raw(self, file: PublishedFile) -> Path:
        return Path(get_cache_dir(), urlparse(f"{self.server}/{file.path}").path.lstrip("/"))

    def _check(self, local: Path, file: PublishedFile, subject: str, server: str) -> None:
        if not is_checkpoint(local):
            raise WeightsError(f"{subject}: no checkpoint, but a web page or another kind of file.")
        _check_sha256(local, file, subject)
        if file.md5_path is None:
            return
        expected = fetch_md5(f"{server}/{file.md5_path}")
        if expected is None:
            logger.info("%s: its md5 is not published, or cannot be fetched", local.name)
        elif (found := file_digest(local, "md5")) != expected:
            raise WeightsError(f"{subject}: its md5 is {found}, and {server}/{file.md5_path} says {expected}.")


def _check_sha256(local: Path, file: PublishedFile, subject: str) -> None:
    if file.sha256_start and not (found := file_digest(local)).startswith(file.sha256_start):
        raise WeightsError(f"{subject}: its sha256 is {found}, and has to start with {file.sha256_start}.")


def _register_handlers() -> None:
    """Makes Detectron2's `PathManager` resolve the names of published weights."""
    for handler in (
        PublishedWeightsHandler(PREFIX, zoo_file, BDD100K_SERVER),
        PublishedWeightsHandler("open-mmlab://", open_mmlab_file, OPEN_MMLAB_SERVER),
        PublishedWeightsHandler("microsoft://", microsoft_file, MICROSOFT_SERVER),
        PublishedWeightsHandler("torchvision://", torchvision_file, TORCHVISION_SERVER),
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
