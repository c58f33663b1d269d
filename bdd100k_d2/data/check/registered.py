"""The check of data sets by their names in Detectron2's catalogs, or of those that a config trains and tests with."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError, DataError, did_you_mean, shown
from ...parallel import cores, readers
from ..convert.image_sizes import images_below
from ..own_dataset import register_config_datasets
from ..register import locate
from ..slices import OWN, is_registered_here, slice_frames
from .dataset import check_dataset
from .images import catch_messages
from .leaks import ImageSet
from .own import OwnCheck, base_of_slice
from .report import Findings, Report, Severity, without_path
from .statistics import Statistics

if TYPE_CHECKING:
    from detectron2.config import CfgNode


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
    """The images and labels of data sets, as far as they are there: nothing is to be written into these."""
    from detectron2.data import MetadataCatalog

    names = {name for split in splits for name in split}
    found = (MetadataCatalog.get(name).get(key, None) for name in names for key in ("image_root", "label_path"))
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
    does. Data sets that others registered are named and not checked.

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
    own = [name for name in names if _is_own(bases[name])]
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


def _is_own(base: str) -> bool:
    from detectron2.data import MetadataCatalog

    return bool(MetadataCatalog.get(base).get(OWN, False))


def _official_images(name: str, base: str, root: str | Path | None, findings: Findings) -> ImageSet | None:
    """The images of a data set of BDD100K or a slice of one; None of others, and where they are not there."""
    if not is_registered_here(base):
        return None
    folder = locate(base, root).present().images
    try:
        stems = slice_frames(name)
        found = images_below(folder)
    except DataError as error:
        findings.add("data set that cannot be loaded", folder, f"{name}: {without_path(error, folder)}")
        return None
    chosen = {path.name: path for stem, paths in found.items() for path in paths if stems is None or stem in stems}
    return ImageSet(name, folder, chosen)
