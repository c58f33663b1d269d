"""Slices: data sets of some frames of another one, such as the images taken at night, or a share of them.

A slice reads nothing when it is registered. Its frames are chosen when it is loaded or evaluated: by the attributes
``weather``, ``scene`` and ``timeofday`` in a label file, where the frames without an attribute are in none of its
slices, and by a `Selection`.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, DataError, shown
from .categories import SCENE, TIME_OF_DAY, WEATHER
from .folders import file_stamp, label_files
from .image_names import frame_names, image_stem
from .labels import FrameAttributes, attributes_of
from .selection import Selection, record_stem, selection
from .vintages import read_labels

if TYPE_CHECKING:
    from detectron2.config import CfgNode

logger = logging.getLogger(__name__)

FRAME_ATTRIBUTES = {"weather": WEATHER, "scene": SCENE, "timeofday": TIME_OF_DAY}
"""The values that each attribute of a frame has."""

# Every attribute has the value "undefined", so only those names need the attribute's.
KNOWN_SLICES = {
    f"undefined_{attribute}" if value == "undefined" else value.replace(" ", "_").replace("/", "_"): (attribute, value)
    for attribute, values in FRAME_ATTRIBUTES.items()
    for value in values
}
"""What the names that are always registered have after ``bdd100k_<task>_<split>_``, and the attribute and its value."""

# Results go into a folder of the name.
_NAME = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,200}")


OWN = "is_own"
"""The field of the metadata of the data sets that users register by ``register_dataset``."""


# The last are files of all frames, by which Detectron2's evaluators would score a slice.
_NOT_INHERITED = {"name", "registered_as", "slice_selection", OWN, "json_file", "panoptic_json", "panoptic_root"}


def check_dataset_name(name: object, what: str) -> None:
    """Raises ConfigError for a name of more than letters, digits and ``_.-``, which becomes that of a folder."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{what} {shown(repr(name))}: a name has up to 200 letters, digits and _.- alone; rename it.")


def is_registered_here(name: str) -> bool:
    """Whether a data set is one of BDD100K, or a slice by attributes of one, as this package has registered it."""
    # Who copies the metadata has the name of what it is a copy of.
    return bool(_field(name, "registered_as") == name)


def is_own(name: str) -> bool:
    """Whether a data set is one that a user registered by a function of this package, such as ``register_dataset``."""
    return bool(_field(name, OWN))


# What loads each data set that this package has registered.
_loaders: dict[str, Callable[[], list[dict[str, Any]]]] = {}


def _field(name: str, key: str) -> Any:  # noqa: ANN401, whatever metadata holds
    """What the metadata of a data set says of it, if its records are those that this package has registered.

    None otherwise: who registers records of their own often gives them a copy of other metadata, which is of others.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog

    # To ask for the metadata of an unknown name makes it known.
    if name not in MetadataCatalog.list() or name not in DatasetCatalog.list():
        return None
    return MetadataCatalog.get(name).get(key, None) if DatasetCatalog[name] is _loaders.get(name) else None


def register_slice(
    name: str,
    base: str,
    attributes_file: str | Path | None = None,
    *,
    names: Iterable[str] | str | Path | None = None,
    first: int | None = None,
    share: float | None = None,
    fold: tuple[int, int] | None = None,
    seed: int = 0,
    **attributes: Any,  # noqa: ANN401, checked below
) -> None:
    """Registers some frames of a data set, for training or evaluation; reads nothing.

    ``register_slice("night_rain", "bdd100k_det_val", timeofday="night", weather=("rainy", "snowy"))`` has the frames
    whose every attribute has one of the values that are given for it, ``register_slice("some", "bdd100k_det_val",
    share=0.2, seed=3)`` a fifth of all frames. Of what is given together each frame has to meet all; ``share``,
    ``fold`` and ``first`` are taken, in this order, of the frames that meet the rest. A slice of the same name is
    replaced; after ``register_all(root)`` a slice is one of the data at the new root.

    Args:
        name: of the new data set, in Detectron2's catalogs.
        base: a registered data set; a slice of a slice has frames of that alone.
        attributes_file: a label file with the frames' attributes, or a folder of them; default: the labels of ``base``
            or, of masks, the released label files of the same frames.
        names: of frames, with or without folder and ending, or the path of a file of them: a JSON list, else text with
            one per line.
        first: so many frames, in the order of ``base``.
        share: a part of the frames, such as 0.2, rounded, and one frame at least. Which they are depends on their names
            and ``seed`` alone, not on their order.
        fold: (k, n), part k of 0 to n - 1 of the n parts that the frames are dealt out to in the order of a share.
        seed: of ``share`` and ``fold``.
        attributes: ``weather``, ``scene`` and ``timeofday``, a value or several of them.

    Raises:
        ConfigError: ``base`` is not registered, ``name`` is and is no slice, or is none of a folder, or an attribute or
            value does not exist.
    """
    from detectron2.data import DatasetCatalog

    check_dataset_name(name, "slice")
    if base not in DatasetCatalog.list():
        raise ConfigError(
            f"slice {name}: no data set {shown(repr(base))} is registered; register it first, BDD100K by "
            "bdd100k_d2.register_all."
        )
    if name in DatasetCatalog.list() and slice_of(name) is None:
        raise ConfigError(f"slice {name}: a data set of that name is registered; choose another name.")
    if name == base or name in _bases(base):
        raise ConfigError(f"slice {name}: would be a slice of itself; choose another name.")
    chosen = selection(f"slice {name}", names, first, share, fold, seed)
    wanted = {attribute: _values(name, attribute, given) for attribute, given in attributes.items()}
    if not wanted and chosen is None:
        known = ", ".join(FRAME_ATTRIBUTES)
        raise ConfigError(f"slice {name}: name an attribute, of {known}, or give names, first, share or fold.")
    is_official = is_registered_here(base) and chosen is None
    fields = _inherited(base)
    if slice_of(base) is not None and chosen is None and _selection_of(base) is None:
        base, inherited = fields["slice_of"], fields["slice_attributes"]
        for attribute in inherited.keys() & wanted.keys():
            raise ConfigError(f"slice {name}: its base is a slice by {attribute} already; name another attribute.")
        wanted |= inherited
    if attributes_file is not None:
        fields["attributes_file"] = str(attributes_file)
    fields |= {"slice_of": base, "slice_attributes": wanted}
    if chosen is not None:
        fields["slice_selection"] = chosen
    replace_dataset(name, partial(_load, name), fields, is_official=is_official)


def register_config_slices(cfg: "CfgNode") -> None:
    """Registers the slices that ``DATASETS.SLICES`` of a config describes, in order; reads nothing.

    Each is a mapping of the arguments of :func:`register_slice`, in YAML such as
    ``{name: wet_night, base: bdd100k_det_val, timeofday: night, weather: [rainy, snowy]}``.

    Raises:
        ConfigError: an entry without a name or a base, or one that :func:`register_slice` refuses.
    """
    rows = cfg.DATASETS.SLICES
    if not isinstance(rows, list | tuple):
        raise ConfigError(f"DATASETS.SLICES: {shown(repr(rows))} is no list of slices; write [] for none.")
    for row in rows:
        if not isinstance(row, Mapping) or not all(isinstance(row.get(key), str) for key in ("name", "base")):
            raise ConfigError(
                f"DATASETS.SLICES: {shown(repr(row))} is no slice; write each as {{name: wet_night, base: "
                "bdd100k_det_val, timeofday: night, weather: [rainy, snowy]}."
            )
        register_slice(**{str(key): value for key, value in row.items()})


def register_known_slices(bases: Sequence[str], kept: Collection[str] = ()) -> None:
    """Registers the `KNOWN_SLICES` of each of ``bases``, but for names to be ``kept``, and all other slices anew."""
    renew_slices()
    for base in bases:
        for suffix, (attribute, value) in KNOWN_SLICES.items():
            if f"{base}_{suffix}" not in kept:
                wanted: dict[str, Any] = {attribute: value}
                register_slice(f"{base}_{suffix}", base, **wanted)


def renew_slices(bases: Collection[str] | None = None) -> None:
    """Registers all slices, or those of ``bases`` alone, anew on what their base is now."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    found = {name: _bases(name) for name in MetadataCatalog.list() if slice_of(name) in DatasetCatalog.list()}
    # A slice of a slice comes after that.
    for name in sorted(found, key=lambda name: len(found[name])):
        if bases is None or found[name][-1] in bases:
            old = MetadataCatalog.get(name)
            chosen = (_selection_of(name) or Selection())._asdict()
            register_slice(name, old.slice_of, old.get("attributes_file", None), **chosen, **old.slice_attributes)


def slice_frames(name: str) -> frozenset[str] | None:
    """The stems of the frames of a registered slice; None for a data set that is none. DataError without a frame.

    Those of a slice by attributes are all frames of its label file that have them, of any other those of its records.
    """
    base = slice_of(name)
    if base is None:
        return None
    if _selection_of(name) is None and slice_of(base) is None:
        return _with_attributes(name)
    return frozenset(record_stem(record) for record in _load(name))


def _with_attributes(name: str) -> frozenset[str]:
    """The stems of the frames with the attributes of a slice."""
    from detectron2.data import MetadataCatalog

    metadata = MetadataCatalog.get(name)
    wanted, source = metadata.slice_attributes, _source(name)
    attributes = _attributes(source, _state(source))
    stems = frozenset(
        image_stem(frame)
        for frame, of_frame in attributes.items()
        if all(getattr(of_frame, attribute) in values for attribute, values in wanted.items())
    )
    if not stems:
        there = Counter(tuple(getattr(one, attribute) for attribute in wanted) for one in attributes.values())
        having = ", ".join(f"{' and '.join(map(str, values))} ({count:,})" for values, count in there.most_common(8))
        given = " and ".join(f"{attribute} {' or '.join(values)}" for attribute, values in wanted.items())
        reason = "none of its frames has attributes, so give register_slice an attributes_file whose frames have."
        reason = f"its frames have {having}." if having else reason
        raise DataError(f"{source}: no frame has {given}, so {name} is empty; {reason}")
    return stems


@lru_cache(maxsize=4)
def _attributes(source: Path, state: int) -> dict[str, FrameAttributes]:
    """The frames' attributes; kept, because a slice is loaded, then evaluated, and often is one of several."""
    frames = read_labels(source).frames
    for frame, name in zip(frames, frame_names(frame.name for frame in frames), strict=True):
        frame.name = name
    return attributes_of(frames)


def _state(source: Path) -> int:
    """What changes when one of the label files that are read of a file or folder is written, added or removed."""
    try:
        files = label_files(source)
    except (DataError, OSError):
        # Whoever reads it says what is wrong.
        files = []
    return hash(tuple((os.fspath(file), *file_stamp(file)) for file in files))


def slice_of(name: str) -> str | None:
    """The name of what a data set is a slice of; None for one that is no slice."""
    base: str | None = _field(name, "slice_of")
    return base


def base_of_slice(name: str) -> str:
    """The data set that a slice, or a slice of a slice, is of in the end; else the name itself."""
    return [name, *_bases(name)][-1]


def _bases(name: str) -> list[str]:
    """What a slice is of, what that is a slice of, and so on; empty for a data set that is no slice."""
    base = slice_of(name)
    return [] if base is None else [base, *_bases(base)]


def _selection_of(name: str) -> Selection | None:
    found: Selection | None = _field(name, "slice_selection")
    return found


def _values(name: str, attribute: str, given: Any) -> tuple[str, ...]:  # noqa: ANN401, checked here
    if attribute not in FRAME_ATTRIBUTES:
        known = ", ".join(FRAME_ATTRIBUTES)
        raise ConfigError(f"slice {name}: frames have no attribute {shown(attribute)!r}, but {known}.")
    values = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    unknown = [value for value in values if value not in FRAME_ATTRIBUTES[attribute]]
    if unknown or not values:
        what = f"{attribute} is never {shown(repr(unknown[0]))}" if unknown else f"no value of {attribute} is given"
        raise ConfigError(f"slice {name}: {what}; there are {', '.join(FRAME_ATTRIBUTES[attribute])}.")
    return values


def replace_dataset(
    name: str, load: Callable[[], list[dict[str, Any]]], fields: dict[str, Any], *, is_official: bool = True
) -> None:
    """Registers a data set with its metadata in place of an earlier one; an official one has ``registered_as``."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    # Metadata refuses to change a value, so what an earlier registration left goes first. What a script asked for
    # before there was any, and holds, has no more than its name, and is filled.
    if name in DatasetCatalog.list():
        DatasetCatalog.remove(name)
    if name in MetadataCatalog.list() and MetadataCatalog.get(name).as_dict().keys() - {"name"}:
        MetadataCatalog.remove(name)
    DatasetCatalog.register(name, load)
    _loaders[name] = load
    MetadataCatalog.get(name).set(**fields | ({"registered_as": name} if is_official else {}))


def _inherited(base: str) -> dict[str, Any]:
    """The metadata of a data set that its slices have too."""
    from detectron2.data import MetadataCatalog

    return {key: value for key, value in MetadataCatalog.get(base).as_dict().items() if key not in _NOT_INHERITED}


def _load(name: str) -> list[dict[str, Any]]:
    from detectron2.data import DatasetCatalog, MetadataCatalog

    metadata = MetadataCatalog.get(name)
    base, chosen = metadata.slice_of, metadata.get("slice_selection", None) or Selection()
    records = DatasetCatalog.get(base)
    # Detectron2 learns the classes of a COCO file when it reads it.
    metadata.set(**{key: value for key, value in _inherited(base).items() if metadata.get(key, None) is None})
    found = chosen.named(records, name)
    if metadata.slice_attributes:
        stems = _with_attributes(name)
        if len({record_stem(record) for record in found}) < len(found):
            raise DataError(f"{name}: frames of {base} have one name, by which attributes cannot be told; rename them.")
        found = [record for record in found if record_stem(record) in stems]
        if not found:
            some = base if chosen.names is None else "the named ones"
            message = f"{name}: none of the {len(stems):,} frames with its attributes is in {some}, so it is empty."
            raise DataError(message)
    found = [*chosen.part(found)]
    if not found:
        raise DataError(f"{name}: has no frame, as {base} has too few for fold {chosen.fold}; give fewer folds.")
    logger.info("%s: %d of the %d frames of %s.", name, len(found), len(records), base)
    return found


def _source(name: str) -> Path:
    from detectron2.data import MetadataCatalog

    metadata = MetadataCatalog.get(name)
    chosen = metadata.get("attributes_file", None)
    if chosen is not None:
        return Path(chosen)
    # A data set that users register themselves has no other files than its labels.
    labels = metadata.get("label_path", None)
    files = [Path(path) for path in metadata.get("attribute_files", () if labels is None else (labels,))]
    found = next((path for path in files if path.exists()), None)
    if found is None:
        raise DataError(
            f"{name}: the attributes of its frames are in none of {', '.join(map(str, files)) or 'its files'}; put the "
            "label file there or give register_slice an attributes_file."
        )
    return found
