"""The whole check: labels, then the images they need, then masks beside their images."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

from ...errors import DataError
from ...parallel import cores, readers
from ...tasks import TASKS, SplitCounts
from ..datasets import MASKS_WITHOUT_IMAGE
from ..folders import holds
from ..image_names import image_stem, images_by_stem
from ..labels import HEIGHT, WIDTH, Frame
from ..register import Split, all_splits, data_folder, locate
from .boxes import check_det, read_det
from .images import catch_messages, file_sizes, image_sizes, missing_content, verify_images
from .masks import MaskFolder, check_masks, check_run_lengths, find_empty, list_mask_folder, match_masks
from .official import IMAGES_WITHOUT_LABELS
from .report import Findings, Report, SplitFacts
from .statistics import Statistics
from .vintages import compare_vintages, other_labels

_Size = tuple[int, int]
_RELEASED_SIZE = (WIDTH, HEIGHT)
_UNUSABLE = "split that cannot be used"


def check_dataset(
    root: str | Path | None = None,
    tasks: Sequence[str] = (),
    fast: bool = False,
    workers: int | None = None,
    released: Mapping[str, Mapping[str, SplitCounts]] | None = None,
    statistics: Statistics | None = None,
    names: Sequence[str] = (),
) -> Report:
    """Checks a copy of the data; nothing is written.

    Args:
        root: the folder that holds ``bdd100k/``; default as in training.
        tasks: to check, whose training and validation data then have to be there; default: what is there.
        fast: look only whether the images and masks are there and not empty; labels are read all the same.
        workers: processes that read images; default: all cores. A script of your own needs a ``__main__`` guard.
        released: how many images and frames there are to be, by task and split; default: as in the release.
        statistics: is filled with what the labels hold.
        names: of data sets, which then have to be there and are checked alone; their statistics are under their names.

    Raises:
        DataError: there is no folder ``bdd100k``, or a task does not exist.
    """
    root = data_folder(root).parent
    for task in tasks:
        if task not in TASKS:
            raise DataError(f"no task {task!r}; there are {', '.join(TASKS)}.")
    if not (root / "bdd100k").is_dir():
        raise DataError(f"{root}: no folder bdd100k in it; give the folder that holds it, see datasets/README.md.")
    released = {name: task.counts for name, task in TASKS.items()} if released is None else released
    check = _Check(root, released, Statistics() if statistics is None else statistics, by_name=bool(names))
    rows = [
        locate(row.name, root).present()
        for row in all_splits()
        if (row.name in names if names else row.task in (tasks or TASKS))
    ]
    labelled = {row.task for row in rows if _has_labels(row)}
    usable = {row.task for row in rows if _has_labels(row) and image_sizes(row.images)}
    for row in rows:
        check.split(row, bool(names) or row.task in tasks, row.task in labelled, row.task in usable)
    if fast:
        check.find_empty()
    else:
        with readers(workers or cores(), catch_messages) as pool:
            check.read_images(pool)
            check.read_masks(pool)
    return Report(str(root), fast, check.facts, check.findings.sorted())


def _has_labels(row: Split) -> bool:
    return row.labels is not None and row.labels.exists()


class _Check:
    def __init__(
        self, root: Path, released: Mapping[str, Mapping[str, SplitCounts]], statistics: Statistics, by_name: bool
    ) -> None:
        self.facts: list[SplitFacts] = []
        self.findings = Findings()
        self._root, self._released, self._statistics, self._by_name = root, released, statistics, by_name
        self._files: dict[Path, dict[str, int]] = {}
        # Of the images that labels need the size (width, height) they have to have; None for any.
        self._needed: dict[Path, dict[str, _Size | None]] = {}
        self._sizes: dict[Path, dict[str, _Size]] = {}
        self._masks: list[tuple[Split, MaskFolder, list[str]]] = []

    def split(self, row: Split, asked: bool, labelled: bool, usable: bool) -> None:
        """Takes up a data set, as it is on the disk: lists its images, reads its label file; masks are read later.

        ``asked`` says that its task was named, ``labelled`` that a split of the task has labels, ``usable`` that one
        has labels and images; who lacks the other one may not want it.
        """
        task, released, labels = TASKS[row.task], self._released[row.task][row.split], row.labels
        listed = row.images in self._files
        files = self._files.setdefault(row.images, image_sizes(row.images))
        facts = SplitFacts(
            row.name, str(row.images), None if labels is None else str(labels), len(files), released.images
        )
        self.facts.append(facts)
        present = labels is not None and labels.exists()
        if not files and labels is not None and (present or asked):
            self.findings.add("no images" if asked or not usable else _UNUSABLE, row.images, row.name)
        if files and not listed:
            self._compare(len(files), released.images, "images", row.images)
            self._find_leaks(row.images)
        if labels is None:
            return
        if not present:
            if asked or labelled:
                self.findings.add("no labels" if asked else _UNUSABLE, labels, row.name)
            return
        facts.released_frames = released.frames
        needed = self._needed.setdefault(row.images, {})
        if task.form == "boxes":
            self._boxes(row, labels, facts, needed)
        elif task.form == "bitmasks" and not holds(labels, ".png"):
            frames, content = check_run_lengths(task, labels, self.findings)
            self._statistics.add_content(row.task, self._key(row), content)
            facts.frames, facts.objects = len(frames), int(content.sum())
            self._need(frames, needed, row, labels)
        else:
            masks = list_mask_folder(labels, self.findings)
            facts.frames = len(masks.files)
            names = images_by_stem(files)
            stems = match_masks(masks, {*names}, self.findings) if files else []
            expected = None if task.form == "bitmasks" else _RELEASED_SIZE
            for stem in stems:
                needed[names[stem]] = needed.get(names[stem]) or expected
            self._masks.append((row, masks, stems))
        if facts.frames is not None:
            self._compare(facts.frames, released.frames, "frames", labels)

    def _key(self, row: Split) -> str:
        """What the statistics of a split stand under."""
        return row.name if self._by_name else row.split

    def _boxes(self, row: Split, path: Path, facts: SplitFacts, needed: dict[str, _Size | None]) -> None:
        labels = read_det(path, self.findings)
        if labels is None:
            return
        check_det(labels, TASKS[row.task], row.split, self.findings)
        compare_vintages(labels, other_labels(self._root / "bdd100k", row.split, path), self.findings)
        frames = labels.boxes.frames
        facts.frames, facts.objects, facts.vintage = len(frames), len(labels.boxes.labels), labels.vintage.value
        self._statistics.add_boxes(self._key(row), labels.boxes)
        self._need(frames, needed, row, path)

    def _need(self, frames: Sequence[Frame], needed: dict[str, _Size | None], row: Split, labels: Path) -> None:
        """Notes the images of a label file; finds those that are missing and those that no frame is of."""
        files = self._files[row.images]
        missing = [frame.name for frame in frames if frame.name not in files] if files else []
        if missing:
            # An image in another ending beside a .jpg counts where a label file names it.
            there = file_sizes(row.images)
            files |= {name: there[name] for name in missing if name in there}
            missing = [name for name in missing if name not in there]
        # The loader leaves these out, of run lengths; of boxes there are none such.
        boxes = TASKS[row.task].form == "boxes"
        known = [] if boxes else [name for name in missing if image_stem(name) in MASKS_WITHOUT_IMAGE]
        self.findings.add("missing image", row.images, *(name for name in missing if name not in known))
        self.findings.add("mask without image, as released", row.images, *known)
        for frame in frames:
            height, width = frame.height_width
            needed[frame.name] = (width, height)
        named = {frame.name for frame in frames}
        without = [name for name in files if name not in named]
        released = boxes and row.split == "train" and len(without) == IMAGES_WITHOUT_LABELS
        self.findings.add("image without labels" + (", as released" if released else ""), labels, *without)

    def _compare(self, found: int, released: int | None, what: str, place: Path) -> None:
        if released is not None and found != released:
            kind = "incomplete" if found < released else "more than released"
            self.findings.add(kind, place, f"{found:,} {what}, released {released:,}")

    def _find_leaks(self, folder: Path) -> None:
        """Finds images that another split of the same set has too."""
        for other, files in self._files.items():
            if other != folder and other.parent == folder.parent:
                both = sorted(files.keys() & self._files[folder].keys())
                self.findings.add("frame in two splits", folder, *(f"{name}, also in {other.name}" for name in both))

    def find_empty(self) -> None:
        """Finds the files that hold nothing; reads none."""
        for folder, files in self._files.items():
            for name, size in files.items():
                self._unreadable(folder, name, missing_content(size))
        for _, masks, stems in self._masks:
            find_empty(masks, stems, self.findings)

    def read_images(self, pool: Executor) -> None:
        """Reads every image of every folder once."""
        for folder, files in self._files.items():
            sizes = self._sizes.setdefault(folder, {})
            verdicts = verify_images([str(folder / name) for name in files], pool)
            for name, verdict in zip(files, verdicts, strict=True):
                self._unreadable(folder, name, verdict.unreadable)
                if verdict.damaged is not None:
                    self.findings.add("damaged image", folder, f"{name}: {verdict.damaged}")
                if verdict.after:
                    self.findings.add("bytes after the image's end", folder, f"{name}: {verdict.after:,} bytes")
                if verdict.size is not None:
                    sizes[image_stem(name)] = verdict.size
                    self._check_size(folder, name, verdict.size)

    def _unreadable(self, folder: Path, name: str, why: str | None) -> None:
        if why is not None:
            needed = name in self._needed.get(folder, {})
            kind = "unreadable image" if needed else "unreadable image, not trained on"
            self.findings.add(kind, folder, f"{name}: {why}")

    def _check_size(self, folder: Path, name: str, size: _Size) -> None:
        expected = self._needed.get(folder, {}).get(name, _RELEASED_SIZE)
        if expected is not None and size != expected:
            kind = "image of another size" + ("" if name in self._needed.get(folder, {}) else ", not trained on")
            self.findings.add(kind, folder, f"{name}: {size[0]}x{size[1]}, not {expected[0]}x{expected[1]}")

    def read_masks(self, pool: Executor) -> None:
        """Reads the masks of every data set that has some."""
        for row, masks, stems in self._masks:
            sizes = self._sizes.get(row.images, {})
            content = check_masks(TASKS[row.task], masks, stems, sizes, pool, self.findings).sum(axis=0)
            self._statistics.add_content(row.task, self._key(row), content)
            if TASKS[row.task].form == "bitmasks":
                facts = next(facts for facts in self.facts if facts.name == row.name)
                facts.objects = int(content.sum())
