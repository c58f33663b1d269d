"""The check of data sets by their names in Detectron2's catalogs, or of those that a config trains and tests with."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError, DataError, did_you_mean, shown
from ...parallel import cores, readers
from ..dataset_task import dataset_task
from ..datasets import load_images
from ..image_names import image_stem
from ..own_dataset import register_config_datasets
from ..register import locate
from ..slices import base_of_slice, is_own, is_registered_here, slice_frames
from .dataset import check_dataset
from .images import catch_messages
from .leaks import ImageSet
from .own import OwnCheck
from .report import Findings, Report, Severity, without_path
from .statistics import Statistics

if TYPE_CHECKING:
    from detectron2.config import CfgNode


# What metadata calls images and labels, ours and those of Detectron2's functions of registration.
_PLACES = (
    *("image_root", "label_path", "attributes_file"),
    *("json_file", "panoptic_json", "panoptic_root", "sem_seg_root"),
)


def config_datasets(cfg: "CfgNode") -> list[list[str]]:
    """The names in ``DATASETS.TRAIN`` and in ``DATASETS.TEST``, for :func:`check_datasets`, once all are registered.

    Raises:
        ConfigError: there is none; and what :func:`~bdd100k_d2.data.own_dataset.register_config_datasets` raises.
    """
    register_config_datasets(cfg)
    splits = [[*cfg.DATASETS.TRAIN], [*cfg.DATASETS.TEST]]
    if not any(splits):
        raise ConfigError("the config has no data set in DATASETS.TRAIN or DATASETS.TEST; name those to check.")
    return splits


def places_of(splits: Sequence[Sequence[str]]) -> list[Path]:
    """The images and labels of data sets, as far as they are there: nothing is to be written into or over these."""
    from detectron2.data import MetadataCatalog

    names = {name for split in splits for name in split}
    found = (MetadataCatalog.get(name).get(key, None) for name in names for key in _PLACES)
    return [Path(place) for place in dict.fromkeys(found) if place is not None and Path(place).exists()]


def check_datasets(
    train: Sequence[str],
    *tests: Sequence[str],
    root: str | Path | None = None,
    fast: bool = False,
    workers: int | None = None,
    statistics: Statistics | None = None,
) -> Report:
    """Checks data sets that are registered, of one's own, slices of them and BDD100K's; nothing is written.

    ``check_datasets(["mine_train"], ["mine_val"], ["mine_test"])``: each argument has the names of a split, and an
    image that two of the splits have, by its path or its content, is a finding. Of a slice of one's own data its
    frames are checked, of one of BDD100K's the whole data set, as :func:`~bdd100k_d2.data.check.dataset.check_dataset`
    does. Data sets that others registered, and those in COCO's panoptic form, are named
    and not checked.

    Args:
        train: the names of those that are trained on; none of them may be without labels.
        tests: the names of those that are evaluated on.
        root: where BDD100K's data sets are registered; default as in training.
        fast: look only whether the images and masks are there and not empty; labels are read all the same.
        workers: processes that read images; default: all cores. A script of your own needs a ``__main__`` guard.
        statistics: is filled with what the labels hold, by the names of the data sets.

    Raises:
        ConfigError: a name is that of no data set.
        DataError: the folder ``bdd100k`` of data sets of BDD100K is not there.
    """
    splits = [[*dict.fromkeys(split)] for split in (train, *tests)]
    names = [*dict.fromkeys(name for split in splits for name in split)]
    for name in names:
        _check_known(name)
    statistics = Statistics() if statistics is None else statistics
    bases = {name: base_of_slice(name) for name in names}
    official = [*dict.fromkeys(base for base in bases.values() if is_registered_here(base))]
    own = [name for name in names if is_own(bases[name]) and _has_task(bases[name])]
    facts, findings = [], []
    if official:
        report = check_dataset(root, (), fast, workers, statistics=statistics, names=official)
        facts, findings = report.datasets, report.findings
    check = OwnCheck(own, train, statistics)
    others = [name for name in names if name not in own and bases[name] not in official]
    check.findings.add("data set that is not checked", Path("DatasetCatalog"), *others)
    check.read_labels()
    if own:
        images = {name: check.images_of(name) for name in own}
        images |= {name: one for name in names if (one := _official_images(name, bases[name], root, check.findings))}
        with nullcontext() if fast else readers(workers or cores(), catch_messages) as pool:
            check.read_images(pool)
            check.find_repeated([[images[name] for name in split if name in images] for split in splits], pool)
    facts += check.sum_up()
    check.try_loading(fast)
    findings += check.findings.sorted()
    severities = list(Severity)
    return Report(str(Path.cwd()), fast, facts, sorted(findings, key=lambda one: severities.index(one.severity)))


def _check_known(name: str) -> None:
    from detectron2.data import DatasetCatalog

    if name not in DatasetCatalog.list():
        hint = did_you_mean(name, DatasetCatalog.list(), most=1)
        raise ConfigError(
            f"no data set {shown(repr(name))} is registered; check the name, or register it, in a config by "
            f"DATASETS.OWN.{hint and f' {hint}'}"
        )


def _has_task(name: str) -> bool:
    """Whether metadata tell a task, without which nobody knows what the labels are, as in COCO's panoptic form."""
    from detectron2.data import MetadataCatalog

    return dataset_task(MetadataCatalog.get(name)) is not None


def _official_images(name: str, base: str, root: str | Path | None, findings: Findings) -> ImageSet | None:
    """The images of a data set of BDD100K or a slice of one; None of others, and where they are not there."""
    if not is_registered_here(base):
        return None
    folder = locate(base, root).present().images
    try:
        stems = slice_frames(name)
        found = [Path(one["file_name"]) for one in load_images(folder)]
    except DataError as error:
        findings.add("data set that cannot be loaded", folder, f"{name}: {without_path(error, folder)}")
        return None
    chosen = {path.name: path for path in found if stems is None or image_stem(path.name) in stems}
    return ImageSet(name, folder, chosen)
