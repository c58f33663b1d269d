"""The training loader: any batch of a run, with the same content for any number of workers."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.build import trivial_batch_collator
from detectron2.data.common import DatasetFromList
from detectron2.data.samplers import RepeatFactorTrainingSampler
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset

from ..errors import ConfigError, DataError, UnreadableError
from ..parallel import give_back_freed_memory, loader_workers
from .augmentation import crops_by_class
from .class_frequency import check_repeat_threshold, frames_classes, repeat_factors
from .combining_mapper import CombiningMapper, combines
from .copy_paste_mapper import CopyPasteMapper
from .image_files import image_size
from .mapper import BDD100KDatasetMapper
from .objects_by_class import ObjectChoice, ObjectsByClass
from .randomness import Purpose, drawing, generator
from .sampler import Sample, TrainingBatchSampler
from .training_records import training_records
from .workers import lost_worker, outlive_signals

logger = logging.getLogger(__name__)

_SAMPLERS = ("TrainingSampler", "RepeatFactorTrainingSampler", "RandomSubsetTrainingSampler")

# What replaces an unreadable image may be unreadable too; so many in a row are no accident.
_ATTEMPTS = 10

_SKIPPED = "skipped"


class TrainLoader:
    """Endless batches of mapped records from iteration ``start_iter`` on; :meth:`restart` moves to another.

    Batch k is a function of the seed and k: which records it holds (`TrainingBatchSampler`), and the augmentations'
    draws, which are seeded for each sample of each epoch and not for each worker.

    An iterator reads nothing and starts no worker before its first batch is asked for: Detectron2 v0.6 makes the
    iterator before it loads the checkpoint that says where to start.

    Args:
        dataset: records in Detectron2's dataset format, by index.
        mapper: turns a record into a model input; for None, as for an unreadable image if ``skip_unreadable``, another
            record takes the place.
        order: makes the order of batches from a seed.
        objects: the choice among the objects of the records that are trained with, for a `CopyPasteMapper`.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        mapper: Callable[[dict[str, Any]], dict[str, Any] | None],
        order: Callable[[int], TrainingBatchSampler],
        *,
        seed: int,
        start_iter: int = 0,
        num_workers: int = 0,
        skip_unreadable: bool = False,
        objects: Callable[[np.ndarray], ObjectChoice] | None = None,
    ) -> None:
        self._objects = objects
        self.seed, self.start_iter, self.num_workers = seed, start_iter, num_workers
        # File name -> how often it was skipped.
        self.skipped: Counter[str] = Counter()
        self._dataset, self._mapper, self._order, self._skip_unreadable = dataset, mapper, order, skip_unreadable
        self._restarts = 0

    def restart(self, seed: int, start_iter: int) -> None:
        """Goes on at batch ``start_iter`` of the run of ``seed``; iterators that there are follow."""
        self.seed, self.start_iter = seed, start_iter
        self._restarts += 1

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        while True:
            restarts = self._restarts
            batches = iter(self._build())
            while restarts == self._restarts:
                try:
                    batch = next(batches)
                except (EOFError, ConnectionError) as error:
                    # A worker ended before its batch was taken out of the memory that they share.
                    raise lost_worker() from error
                self._report_skipped(batch)
                yield batch
            # Its workers end before the new ones start.
            del batches

    def _build(self) -> DataLoader[Any]:
        order = self._order(self.seed)
        return DataLoader(
            _Samples(self._dataset, self._mapper, order, self._skip_unreadable, self._objects),
            batch_sampler=_batches(order, self.start_iter),
            num_workers=self.num_workers,
            collate_fn=trivial_batch_collator,
            worker_init_fn=outlive_signals,
            # It draws a seed for the workers, which would otherwise come from the generator that the model uses.
            generator=torch.Generator(),
        )

    def _report_skipped(self, batch: list[dict[str, Any]]) -> None:
        for sample in batch:
            for file_name, reason in sample.pop(_SKIPPED, ()):
                self.skipped[file_name] += 1
                message = "%s Another one was taken in its place; %d so far, %d files."
                logger.warning(message, reason, self.skipped.total(), len(self.skipped))


def _batches(order: TrainingBatchSampler, start: int) -> Iterator[list[Sample]]:
    """This process's share of each batch, as Detectron2's samplers deal them out."""
    for number in count(start):
        yield order.batch(number)[comm.get_rank() :: comm.get_world_size()]


class _Samples(Dataset[Any]):
    """Mapped samples; where one cannot be had, of another record that is trained with."""

    def __init__(
        self,
        dataset: Dataset[Any],
        mapper: Callable[..., Any],
        order: TrainingBatchSampler,
        skip_unreadable: bool,
        objects: Callable[[np.ndarray], ObjectChoice] | None,
    ) -> None:
        self.dataset, self.mapper, self.skip_unreadable = dataset, mapper, skip_unreadable
        self.seed, self.spare = order.seed, order.indices
        self.objects = None if objects is None else objects(order.indices)

    def __getitem__(self, sample: Sample) -> dict[str, Any]:
        skipped: list[tuple[str, str]] = []
        for index in self._candidates(sample):
            record = self.dataset[index]
            reason = f"{record['file_name']}: the mapper leaves it out."
            try:
                with drawing(self.seed, Purpose.AUGMENTATION, sample.epoch, index, sample.copy):
                    result = self._map(record, sample.epoch)
            except UnreadableError as error:
                if not self.skip_unreadable:
                    raise
                result, reason = None, str(error)
            if result is not None:
                return {**result, _SKIPPED: skipped} if skipped else result
            # Of several images that are combined, another may be the one that cannot be read.
            is_combined = isinstance(self.mapper, CombiningMapper | CopyPasteMapper)
            skipped.append((reason.partition(": ")[0] if is_combined else record["file_name"], reason))
        raise DataError(f"{len(skipped)} images drawn one after the other cannot be used, the last: {reason}")

    def _map(self, record: dict[str, Any], epoch: int) -> dict[str, Any] | None:
        others: tuple[Any, ...] = (self._draw, epoch) if isinstance(self.mapper, CombiningMapper) else ()
        if isinstance(self.mapper, CopyPasteMapper) and self.objects is not None:
            others = (self._draw_object,)
        result: dict[str, Any] | None = self.mapper(record, *others)
        return result

    def _draw_object(self) -> tuple[dict[str, Any], int] | None:
        assert self.objects is not None, "they are drawn for a CopyPasteMapper"
        place = self.objects.draw()
        return None if place is None else (self.dataset[place.record], place.annotation)

    def _draw(self) -> dict[str, Any]:
        record: dict[str, Any] = self.dataset[int(self.spare[np.random.randint(len(self.spare))])]
        return record

    def _candidates(self, sample: Sample) -> Iterator[int]:
        yield sample.index
        random = generator(self.seed, Purpose.REPLACEMENT, *sample)
        for _ in range(_ATTEMPTS - 1):
            yield int(random.choice(self.spare))


def build_train_loader(
    cfg: CfgNode, seed: int, start_iter: int = 0, mapper: Callable[[dict[str, Any]], Any] | None = None
) -> TrainLoader:
    """The loader of the config's training sets: the records that Detectron2's own loader takes, in exact order.

    ``seed`` is 0 or more, the same in all processes; ``mapper`` is in place of a `BDD100KDatasetMapper`, or of a
    `CombiningMapper` where images are combined, or of a `CopyPasteMapper`.

    Raises:
        ConfigError: the batch cannot be dealt out to the processes, there is no such sampler, or the model cannot be
            trained on the records, as `training_records` says.
    """
    if cfg.SOLVER.IMS_PER_BATCH < 1 or cfg.SOLVER.IMS_PER_BATCH % comm.get_world_size():
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH is {cfg.SOLVER.IMS_PER_BATCH}: it has to be a multiple of the number of processes, "
            f"{comm.get_world_size()}."
        )
    records = training_records(cfg)
    # Of masks it takes a while to know.
    classes = cache(partial(frames_classes, records))
    choice = _choice(cfg, records, classes)
    if mapper is None:
        weights = repeat_factors(classes(), cfg.DATALOADER.REPEAT_THRESHOLD) if crops_by_class(cfg) else None
        mapper = _mapper_class(cfg)(cfg, is_train=True, class_weights=weights)
    found = ObjectsByClass(records, cfg.MODEL.MASK_ON) if isinstance(mapper, CopyPasteMapper) else None
    objects = None if found is None else partial(found.among, threshold=cfg.DATALOADER.REPEAT_THRESHOLD)
    dataset = DatasetFromList(records, copy=False) if isinstance(records, list) else records
    # The records themselves go; in the workers they would stay as freed memory, as large as the dataset that is kept.
    del records, classes
    give_back_freed_memory()

    def order(seed: int) -> TrainingBatchSampler:
        return TrainingBatchSampler(seed, cfg.SOLVER.IMS_PER_BATCH, len(dataset), **choice)

    return TrainLoader(
        dataset,
        mapper,
        order,
        seed=seed,
        start_iter=start_iter,
        num_workers=num_workers(cfg),
        skip_unreadable=cfg.INPUT.SKIP_UNREADABLE,
        objects=objects,
    )


def num_workers(cfg: CfgNode) -> int:
    """``DATALOADER.NUM_WORKERS``; -1 gives each process its share of this machine's cores, at most 16."""
    asked: int = cfg.DATALOADER.NUM_WORKERS
    if asked < -1:
        raise ConfigError(f"DATALOADER.NUM_WORKERS is {asked}; -1 follows the cores.")
    return loader_workers(comm.get_local_size()) if asked < 0 else asked


def _mapper_class(cfg: CfgNode) -> type[BDD100KDatasetMapper]:
    pastes: bool = cfg.INPUT.COPY_PASTE.ENABLED
    found: type[BDD100KDatasetMapper] = CopyPasteMapper if pastes else BDD100KDatasetMapper
    return CombiningMapper if combines(cfg) and not pastes else found


def _choice(cfg: CfgNode, records: Sequence[dict[str, Any]], classes: Callable[[], list[set[int]]]) -> dict[str, Any]:
    """What a `TrainingBatchSampler` takes: the sampler's choice of records, and their groups.

    ``classes`` tells those of each record, which is asked for where records have masks alone.
    """
    keys = cfg.DATALOADER
    if keys.SAMPLER_TRAIN not in _SAMPLERS:
        raise ConfigError(f"DATALOADER.SAMPLER_TRAIN is {keys.SAMPLER_TRAIN!r}; there are {', '.join(_SAMPLERS)}.")
    choice: dict[str, Any] = {}
    if keys.SAMPLER_TRAIN == "RepeatFactorTrainingSampler":
        threshold, labelled = keys.REPEAT_THRESHOLD, records
        check_repeat_threshold(threshold)
        if any("annotations" not in records[i] for i in range(len(records))):
            labelled = [{"annotations": [{"category_id": k} for k in of_frame]} for of_frame in classes()]
        factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(labelled, threshold)
        choice["repeat_factors"] = factors.numpy().astype(np.float64)
    if keys.SAMPLER_TRAIN == "RandomSubsetTrainingSampler":
        choice["subset"] = keys.RANDOM_SUBSET_RATIO
    if keys.ASPECT_RATIO_GROUPING:
        choice["groups"] = np.array([_is_wide(records[i]) for i in range(len(records))])
    return choice


def _is_wide(record: dict[str, Any]) -> bool:
    """Whether an image is wider than high, by its record, else by its header."""
    if "width" in record:
        return bool(record["width"] > record["height"])
    try:
        height, width = image_size(Path(record["file_name"]))
    except UnreadableError:
        # Whoever reads it says what is wrong, or takes another.
        return False
    return width > height
