"""The check of users' own data sets: labels, then the images they need, then masks, then what is there twice."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import ConfigError, DataError, shown
from ..convert.image_sizes import images_below
from ..image_names import image_stem
from ..labels import Frame
from ..slices import slice_frames
from .images import Verdict, missing_content, verify_images
from .leaks import ImageSet, find_leaks, find_repeated, identities
from .masks import check_masks, find_empty
from .own_kinds import OWN_FINDING_KINDS
from .own_labels import OwnLabels, OwnSource, read_own, source_of, told
from .own_objects import check_own_objects, objects_by_class, table_of
from .report import Findings, Severity, SplitFacts
from .statistics import Statistics

# Labels that were not read may be of the classes that the others lack.
_MAY_HIDE = {"unreadable mask", "bad mask ids", "unusable label file", "bad run lengths"}


class OwnCheck:
    """Checks data sets together, each label file and each image once, whatever slices there are of them."""

    def __init__(self, names: Sequence[str], trained: Sequence[str], statistics: Statistics) -> None:
        self.findings = Findings(OWN_FINDING_KINDS)
        self._names, self._trained, self._statistics = names, trained, statistics
        # What a name is of, and of a slice its frames; of what is named as a whole all frames are checked.
        self._base = {name: base_of_slice(name) for name in names}
        self._stems: dict[str, frozenset[str] | None] = {}
        # Slices whose frames nobody knows, because their base cannot be loaded: it is checked as a whole.
        self._unknown: set[str] = set()
        for name in names:
            self._take_frames(name)
        self._sources = {base: source_of(base) for base in dict.fromkeys(self._base.values())}
        self._labels: dict[str, OwnLabels] = {}
        self._content: dict[str, dict[str, np.ndarray]] = {}

    def read_labels(self) -> None:
        """Reads the labels of all data sets, and finds what is wrong with them."""
        used: set[Path] = set()
        for base, source in self._sources.items():
            labels = read_own(source, self.findings)
            if labels is None:
                continue
            used.update(labels.images.values())
            wanted = [self._stems[name] for name in self._names if self._base[name] == base]
            if None not in wanted:
                stems = frozenset[str]().union(*(one for one in wanted if one is not None))
                labels = _only(labels, stems)
            self._labels[base] = labels
            if labels.masks is None:
                check_own_objects(source, labels, self.findings)
        for folder in dict.fromkeys(self._sources[base].images for base, one in self._labels.items() if one.images):
            self._find_unused(folder, used)

    def _find_unused(self, folder: Path, used: set[Path]) -> None:
        """Finds the images below a folder that no labels are of."""
        masks = all(one.masks is not None for base, one in self._labels.items() if self._sources[base].images == folder)
        unused = [path for paths in images_below(folder).values() for path in paths if path not in used]
        names = sorted(os.path.relpath(path, folder) for path in unused)
        self.findings.add("image without mask" if masks else "image without labels", folder, *names)

    def read_images(self, pool: Executor | None) -> None:
        """Reads the images that labels are of; without a pool looks only whether they are empty."""
        needed: dict[Path, tuple[Path, str]] = {}
        for base, labels in self._labels.items():
            for name, path in labels.images.items():
                needed.setdefault(path, (self._sources[base].images, name))
        verdicts = _quick(needed) if pool is None else verify_images([str(path) for path in needed], pool)
        sizes: dict[Path, tuple[int, int]] = {}
        for (path, (folder, name)), verdict in zip(needed.items(), verdicts, strict=True):
            if verdict.unreadable is not None:
                self.findings.add("unreadable image", folder, f"{name}: {verdict.unreadable}")
            if verdict.damaged is not None:
                self.findings.add("damaged image", folder, f"{name}: {verdict.damaged}")
            if verdict.after:
                self.findings.add("bytes after the image's end", folder, f"{name}: {verdict.after:,} bytes")
            if verdict.size is not None:
                sizes[path] = verdict.size
        for base, labels in self._labels.items():
            for name, size in labels.stated.items():
                found = sizes.get(labels.images.get(name, Path()), size)
                if found != size:
                    text = "{}: {}x{}, in its labels {}x{}".format(name, *found, *size)
                    self.findings.add("image of another size", self._sources[base].images, text)
            self._read_masks(base, sizes, pool)

    def _read_masks(self, base: str, sizes: Mapping[Path, tuple[int, int]], pool: Executor | None) -> None:
        labels, source = self._labels[base], self._sources[base]
        if labels.masks is None:
            return
        images = {image_stem(name): path for name, path in labels.images.items()}
        stems = [stem for stem in map(_stem, labels.frames) if stem in images]
        if pool is None:
            find_empty(labels.masks, stems, self.findings)
            return
        of_images = {stem: sizes[images[stem]] for stem in stems if images[stem] in sizes}
        content = check_masks(source.task, labels.masks, stems, of_images, pool, self.findings)
        self._content[base] = dict(zip(stems, content, strict=True))

    def find_repeated(self, splits: Sequence[Sequence[ImageSet]], pool: Executor | None) -> None:
        """Finds images that are there twice, and those that are in two of ``splits``."""
        sources = [ImageSet(base, self._sources[base].images, one.images) for base, one in self._labels.items()]
        same = identities([*sources, *(one for split in splits for one in split)], pool)
        for one in sources:
            find_repeated(one, same, self.findings)
        find_leaks(splits, same, self.findings)

    def images_of(self, name: str) -> ImageSet:
        """The images of a data set, as far as they are there."""
        base, labels = self._base[name], self._labels.get(self._base[name])
        stems = self._stems[name]
        there = {} if labels is None or name in self._unknown else labels.images
        chosen = {frame: path for frame, path in there.items() if stems is None or image_stem(frame) in stems}
        return ImageSet(name, self._sources[base].images, chosen)

    def sum_up(self) -> list[SplitFacts]:
        """What each data set has, by class too: finds the classes without a label, and fills the statistics."""
        facts = []
        for name in self._names:
            source, labels = self._sources[self._base[name]], self._labels.get(self._base[name])
            there = SplitFacts(name, str(source.images), str(source.labels), len(self.images_of(name).images), None)
            facts.append(there)
            if labels is not None:
                there.vintage = labels.format
            if labels is not None and name not in self._unknown:
                self._count(name, source, _only(labels, self._stems[name]), there)
        return facts

    def _count(self, name: str, source: OwnSource, labels: OwnLabels, facts: SplitFacts) -> None:
        task, stats = source.task, self._statistics
        facts.frames = len(labels.frames)
        if labels.masks is None:
            content = objects_by_class(labels.frames, task)
            if task.form == "boxes":
                stats.add_boxes(name, table_of([one for one in labels.frames if one.size is not None], task), task)
            else:
                stats.add_content(task.name, name, content, task)
        else:
            rows = self._content.get(self._base[name])
            if rows is None:
                # Masks were not read.
                return
            content = np.zeros(task.num_classes, np.int64)
            for stem in map(_stem, labels.frames):
                content += rows.get(stem, 0)
            stats.add_content(task.name, name, content, task)
        if task.form != "masks":
            facts.objects = int(content.sum())
        if not _MAY_HIDE.isdisjoint(one.kind for one in self.findings.found_in(source.labels)):
            return
        if not content.any():
            kind = "training data without a label" if name in self._trained else "data without a label"
            self.findings.add(kind, source.labels, name)
        else:
            without = [one for one, count in zip(task.names, content.tolist(), strict=True) if not count]
            self.findings.add("class without a label", source.labels, *(f"{shown(one)}, in {name}" for one in without))

    def try_loading(self, fast: bool) -> None:
        """Loads what nothing was found in that breaks training: what loading refuses is found in any case."""
        from detectron2.data import DatasetCatalog

        for name in self._names:
            source, labels = self._sources[self._base[name]], self._labels.get(self._base[name])
            reads_all = labels is not None and labels.format == "bitmasks"
            found = self.findings.found_in(source.labels, source.images)
            if any(one.severity is Severity.BREAKS for one in found) or (fast and reads_all):
                continue
            try:
                with _told_once():
                    DatasetCatalog.get(name)
            except (DataError, ConfigError) as error:
                self.findings.add(
                    "data set that cannot be loaded", source.labels, f"{name}: {told(error, source.labels)}"
                )

    def _take_frames(self, name: str) -> None:
        """Notes the frames of a slice; to load it says later why it cannot be."""
        self._stems[name] = None
        try:
            with _told_once():
                self._stems[name] = slice_frames(name)
        except (DataError, ConfigError):
            self._unknown.add(name)


def base_of_slice(name: str) -> str:
    """The data set that a slice, or a slice of a slice, is of in the end; else the name itself."""
    from detectron2.data import MetadataCatalog

    base = MetadataCatalog.get(name).get("slice_of", None)
    return name if base is None else base_of_slice(base)


def _only(labels: OwnLabels, stems: frozenset[str] | None) -> OwnLabels:
    """The labels of the frames ``stems`` alone; None for all."""
    if stems is None:
        return labels
    frames = [frame for frame in labels.frames if _stem(frame) in stems]
    names = {frame.name for frame in frames}
    images = {name: path for name, path in labels.images.items() if name in names}
    return labels._replace(frames=frames, images=images, stated={k: v for k, v in labels.stated.items() if k in names})


def _stem(frame: Frame) -> str:
    return image_stem(frame.name)


def _quick(paths: Mapping[Path, object]) -> Iterator[Verdict]:
    """Whether files hold anything."""
    for path in paths:
        yield Verdict(None, missing_content(path.stat().st_size if path.exists() else -1))


@contextmanager
def _told_once() -> Iterator[None]:
    """Keeps back the warnings of loading, which those of the check's own reading were."""
    logger = logging.getLogger("bdd100k_d2")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
