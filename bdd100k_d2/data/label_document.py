"""The forms of a label file, told by its keys, and the list of frames in it, unparsed."""

import re
from collections.abc import Iterable
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

import msgspec

from .coco import ABSENT, CocoDocument
from .labels import Frame, ImageSize

_LIST = re.compile(rb"\s*\[")
_NOTHING = (b"", b"null", b"[]", b"{}")


class LabelDocument(CocoDocument):
    """The keys that tell one form from another, unparsed; `ABSENT` for one that the file does not have.

    Attributes:
        name: of a file of one frame; of the first release, if there are ``frames`` too.
        frames: the JSON list of the frames; of the first release, of the only one's objects.
        config: what ``{"frames", "groups", "config"}`` says of all frames.
    """

    name: msgspec.Raw = ABSENT
    frames: msgspec.Raw = ABSENT
    config: msgspec.Raw = ABSENT
    groups: msgspec.Raw = ABSENT

    @property
    def is_first_release(self) -> bool:
        """Whether the file is ``{"name", "frames": [{"objects"}]}``."""
        return self.name is not ABSENT and self.frames is not ABSENT and not self.is_coco

    @property
    def size(self) -> ImageSize | None:
        """The size that the config states for the images of all frames."""
        if bytes(self.config)[:1] != b"{":
            return None
        return msgspec.json.decode(self.config, type=_Config).imageSize

    @property
    def says_more(self) -> bool:
        """Whether there are groups of frames, or a config says more than the size."""
        if bytes(self.groups) not in _NOTHING:
            return True
        if bytes(self.config)[:1] != b"{":
            return False
        config = msgspec.json.decode(self.config, type=dict[str, msgspec.Raw])
        return any(bytes(value) not in _NOTHING for key, value in config.items() if key != "imageSize")


class _Config(msgspec.Struct):
    imageSize: ImageSize | None = None  # noqa: N815, the field's name in the file


def open_document(content: bytes) -> LabelDocument:
    """The form of a label file; a list of frames, or one frame alone, is the ``frames`` of a document without a name.

    Raises:
        msgspec.MsgspecError: it is no JSON; so may :func:`~msgspec.json.decode` of what is in it.
    """
    if not _LIST.match(content):
        document = msgspec.json.decode(content, type=LabelDocument)
        if document.name is ABSENT or document.frames is not ABSENT or document.is_coco:
            return document
        content = b"[" + content + b"]"
    return LabelDocument(frames=msgspec.Raw(content))


class _ScalabelCategory(msgspec.Struct):
    name: str
    subcategories: "list[_ScalabelCategory] | None" = None


class _Categories(msgspec.Struct):
    categories: list[_ScalabelCategory] | None = None


def read_categories(content: bytes) -> list[str] | None:
    """The classes that the config of a label file states, the finest ones of each branch; None where it states none.

    Raises:
        msgspec.MsgspecError: it is no JSON, or states them in another way.
    """
    config = open_document(content).config
    if bytes(config)[:1] != b"{":
        return None
    names: list[str] = []

    def add(categories: Iterable[_ScalabelCategory]) -> None:
        for one in categories:
            if one.subcategories:
                add(one.subcategories)
            else:
                names.append(one.name)

    add(msgspec.json.decode(config, type=_Categories).categories or ())
    return [*dict.fromkeys(names)] or None


class FileStatement(NamedTuple):
    """What a label file says of all its frames: the size of their images, and whether more that nothing here keeps."""

    size: ImageSize | None
    more: bool


def read_statement(path: Path) -> FileStatement:
    """What a label file says of all its frames; it is not read into memory.

    Raises:
        msgspec.MsgspecError: it is no JSON in UTF-8, or states the size in another way.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if _LIST.match(content):
            return FileStatement(None, False)
        document = msgspec.json.decode(content, type=LabelDocument)
        # The memory map cannot be closed while something of it is in use, as by the traceback of an error.
        copied = LabelDocument(config=document.config.copy(), groups=document.groups.copy())
        del document
    return FileStatement(copied.size, copied.says_more)


def with_size(frames: Iterable[Frame], size: ImageSize | None) -> None:
    """Gives the frames that state no size the one of their file's config, if there is one."""
    if size is not None:
        for frame in frames:
            if frame.size is None:
                frame.size = size
