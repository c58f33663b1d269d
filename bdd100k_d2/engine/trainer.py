"""Detectron2's trainer with the package's data, schedules, evaluators and checks of weights."""

import logging
import weakref
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader
from detectron2.engine import AMPTrainer, DefaultTrainer, HookBase, SimpleTrainer, TrainerBase, hooks
from detectron2.evaluation import DatasetEvaluator, verify_results
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from detectron2.utils.logger import setup_logger
from fvcore.nn.precise_bn import get_bn_modules
from torch import nn

from ..atomic import disk_errors_explained
from ..checkpoint.class_names import refusal, remember, remembered
from ..checkpoint.loading import load_weights
from ..checkpoint.published import use_sources
from ..checkpoint.saving import TrainingCheckpointer
from ..config import with_keys
from ..data.loader import TrainLoader, build_train_loader, num_workers
from ..data.mapper import BDD100KDatasetMapper
from ..data.randomness import Purpose, given_back, seed_generators
from ..data.workers import lost_workers_explained
from ..errors import ConfigError
from ..evaluation.evaluators import build_evaluator
from ..modeling.norms import adapt_sync_norms
from .class_agreement import check_classes, check_evaluators
from .hooks.best_checkpoint import BestCheckpointer
from .hooks.ema import UpdateAverage, WeightAverage
from .hooks.evaluation import MissedEvaluation, PeriodicEvaluation, PreciseBN
from .hooks.finite import NonFiniteGuard
from .hooks.prediction_images import PredictionImages
from .hooks.record import RunRecord
from .hooks.stopping import EarlyStopping, StopTraining
from .hooks.termination import Termination
from .hooks.val_loss import ValidationLoss
from .hooks.writers import WriteEvents, build_writers, shows_images
from .parallel import parallel_model, share_buffers, unwrapped
from .precision import BFloat16Training, accelerate, is_in_bfloat16
from .refused_keys import refuse_ignored_keys
from .resumed_state import check_loss_scale, check_numbers, check_optimizer, place_in_schedule
from .solver import build_optimizer, build_schedule, scale_to_processes

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """A `DefaultTrainer` that trains and scores BDD100K's tasks from a config, scaled to the processes there are.

    What iteration k draws is a function of the seed, k and the process's rank, and the samples of its batch are one of
    the seed and k, so that a run that was stopped and resumed is the run that was not. The global generators, which it
    seeds for that, are given back: what a script draws does not depend on trainings and evaluations before it.

    Attributes:
        last_batch: the model's input in the last step; None before the first.
        seed: of the run, in all processes: ``SEED``, or what was drawn where that is -1, or the resumed checkpoint's.
    """

    last_batch: list[dict[str, Any]] | None = None

    def __init__(self, cfg: CfgNode) -> None:
        self._classes = check_classes(cfg, cfg.DATASETS.TRAIN, cfg.DATASETS.TEST)
        # A trainer of users' own may have evaluators of its own.
        if type(self).build_evaluator is Trainer.build_evaluator:
            check_evaluators(cfg.DATASETS.TEST)
        cfg = self.auto_scale_workers(cfg, comm.get_world_size())
        self._seed_is_drawn = cfg.SEED < 0
        if self._seed_is_drawn:
            cfg = with_keys(cfg, "SEED", int(comm.shared_random_seed()))
        self.seed: int = cfg.SEED
        with given_back(gpus=True):
            seed_generators(self.seed, Purpose.INITIAL_VALUES)
            # `DefaultTrainer`'s constructor cannot train in several processes on the CPU; this is what it builds.
            TrainerBase.__init__(self)
            if not logging.getLogger("detectron2").isEnabledFor(logging.INFO):
                setup_logger()
            model = self.build_model(cfg)
            remember(model, self._classes)
            optimizer = self.build_optimizer(cfg, model)
            loader = self.build_train_loader(cfg)
            in_bfloat16 = is_in_bfloat16(cfg)
            self._bfloat16 = BFloat16Training(model) if in_bfloat16 else None
            model = parallel_model(cfg, model)
            scales_losses = cfg.SOLVER.AMP.ENABLED and not in_bfloat16
            self._trainer = (AMPTrainer if scales_losses else SimpleTrainer)(model, loader, optimizer)
            self.scheduler = self.build_lr_scheduler(cfg, optimizer)
            what_to_keep = {"keep": cfg.SOLVER.CHECKPOINT_KEEP, "classes": self._classes}
            trainer = weakref.proxy(self)
            self.checkpointer = TrainingCheckpointer(model, cfg.OUTPUT_DIR, **what_to_keep, trainer=trainer)
            self.start_iter = 0
            self.max_iter = cfg.SOLVER.MAX_ITER
            self.cfg = cfg
            self.register_hooks([*self.build_hooks(), Termination(self.checkpointer)])
        logger.info("The run's seed is %d%s.", self.seed, ", drawn because SEED is -1" if self._seed_is_drawn else "")

    # What the config names, under Detectron2's names.
    auto_scale_workers = staticmethod(scale_to_processes)
    build_optimizer = staticmethod(build_optimizer)
    build_lr_scheduler = staticmethod(build_schedule)
    build_evaluator = staticmethod(build_evaluator)

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Detectron2's model, for the processes there are and as fast as the config allows, see `accelerate`.

        Training and evaluation begin here: raises `ConfigError` for a key that would be ignored. A subclass that has
        Detectron2's ``test_with_TTA`` does what ``TEST.AUG`` asks for.
        """
        refuse_ignored_keys(cfg, but=("TEST.AUG.ENABLED",) if hasattr(cls, "test_with_TTA") else ())
        use_sources(cfg)
        model = super().build_model(cfg)
        adapt_sync_norms(model)
        return accelerate(cfg, model, cfg.SOLVER.AMP.ENABLED)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Iterable[Any]:
        """The training sets' images with the recipes' augmentations, in the order that ``cfg.SEED`` gives."""
        return build_train_loader(cfg, comm.shared_random_seed() if cfg.SEED < 0 else cfg.SEED)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Iterable[Any]:
        """Detectron2's test loader, with one image per batch."""
        mapper = BDD100KDatasetMapper(cfg, is_train=False)
        return build_detection_test_loader(cfg, dataset_name, mapper=mapper, num_workers=num_workers(cfg))

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators: list[DatasetEvaluator] | None = None) -> dict[str, Any]:
        """Detectron2's evaluation of the model of the first process, which is the one that is saved.

        Raises:
            ConfigError: the model and the test sets have other classes, or a test set has no evaluator.
        """
        classes = check_classes(cfg, (), cfg.DATASETS.TEST)
        if problem := refusal(remembered(unwrapped(model)), classes):
            raise ConfigError(f"DATASETS.TEST: {problem}")
        # Before frames are predicted: those of the first test set are, before the evaluator of the next one is made.
        if evaluators is None and len(cfg.DATASETS.TEST) > 1 and cls.build_evaluator is Trainer.build_evaluator:
            check_evaluators(cfg.DATASETS.TEST)
        share_buffers(model)
        # A loader draws a seed for its workers.
        with given_back(gpus=True):
            return super().test(cfg, model, evaluators)

    def resume_or_load(self, resume: bool = True) -> None:
        """Continues from the last whole checkpoint of the output folder, or starts from ``MODEL.WEIGHTS``.

        Raises:
            WeightsError: the weights cannot be used, or all checkpoints are damaged, or of another config.
        """
        if resume and self.checkpointer.resume() is not None:
            # The checkpoint holds the iteration that was finished.
            self.start_iter = self.iter + 1
            if isinstance(self.data_loader, TrainLoader):
                self.data_loader.restart(self.seed, self.start_iter)
            else:
                name = type(self.data_loader).__name__
                logger.warning("%s cannot go on where the run stopped; the images start over in a new order.", name)
        else:
            load_weights(self.model, self.cfg.MODEL.WEIGHTS, classes=self._classes)

    def build_hooks(self) -> list[HookBase]:
        """Detectron2's hooks in Detectron2's order, and between them those that the config asks for.

        What guards the weights comes before what saves them; what judges an evaluation, after it; the writers are last,
        so that they write what the others measured. Raises `ConfigError` if a hook cannot work with its keys.
        """
        cfg, checkpointer, model = self.cfg, self.checkpointer, unwrapped(self.model)
        test, folder = cfg.TEST, Path(cfg.OUTPUT_DIR)
        average = None
        built = [hooks.IterationTimer(), NonFiniteGuard(cfg), hooks.LRScheduler()]
        if cfg.MODEL.EMA.ENABLED:
            average = WeightAverage(model, cfg.MODEL.EMA.DECAY, cfg.MODEL.EMA.WARMUP)
            checkpointer.add_checkpointable("ema", average)
            built.append(UpdateAverage(average, folder, self._classes))
        if test.PRECISE_BN.ENABLED and get_bn_modules(self.model):
            # Its loader is a second one beside the training's.
            loader = self.build_train_loader(with_keys(cfg, "DATALOADER.NUM_WORKERS", 0))
            built.append(PreciseBN(test.EVAL_PERIOD, self.model, loader, test.PRECISE_BN.NUM_ITER))
        if comm.is_main_process():
            built += [RunRecord(), hooks.PeriodicCheckpointer(checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD)]
        before = len(built)
        if test.VAL_LOSS.PERIOD > 0:
            built.append(PeriodicEvaluation(test.VAL_LOSS.PERIOD, ValidationLoss(cfg, model)))
        built.append(PeriodicEvaluation(test.EVAL_PERIOD, partial(self._evaluate, average)))
        if cfg.SOLVER.BEST_METRIC and comm.is_main_process():
            best = (cfg.SOLVER.BEST_METRIC, cfg.SOLVER.BEST_MODE)
            built.append(BestCheckpointer(test.EVAL_PERIOD, checkpointer, *best))
        if test.NUM_PICTURES > 0 and cfg.DATASETS.TEST and shows_images(cfg):
            built.append(PeriodicEvaluation(test.EVAL_PERIOD, PredictionImages(cfg, model)))
        if test.EARLY_STOPPING.METRIC:
            built.append(EarlyStopping(cfg, checkpointer))
        periods = (test.EVAL_PERIOD, test.VAL_LOSS.PERIOD)
        built.append(MissedEvaluation(built[before:], periods, folder, checkpointer))
        return [*built, WriteEvents([], period=20)]

    def _evaluate(self, average: WeightAverage | None) -> dict[str, Any]:
        """The scores of the weights, and of their average as ``ema``, with its files in ``OUTPUT_DIR/ema``."""
        results = self.test(self.cfg, self.model)
        if average is not None:
            cfg = with_keys(self.cfg, "OUTPUT_DIR", str(Path(self.cfg.OUTPUT_DIR) / "ema"))
            with average.applied():
                results = {**results, "ema": self.test(cfg, self.model)}
        self._last_eval_results = results
        return results

    def before_train(self) -> None:
        """Lets all hooks, also those that were registered since, begin: the writers as the last but what ends the run.

        What a user's hook measures is so written in its iteration, and saved before a signal ends the training.
        """
        self._hooks.sort(key=lambda hook: (isinstance(hook, Termination), isinstance(hook, hooks.PeriodicWriter)))
        super().before_train()

    def build_writers(self) -> list[EventWriter]:
        """Where the training is logged to; called when it starts, in the main process."""
        return build_writers(self.cfg, self.start_iter, self.max_iter)

    def train(self) -> dict[str, Any] | None:
        """Trains to the last iteration, or until a hook raises `StopTraining`.

        Returns the scores of the last evaluation if ``TEST.EXPECTED_RESULTS`` names some, in the main process.

        Raises:
            TrainingError: a loss or the gradient is not a finite number.
            OutputError: a file cannot be written.
            LostProcessError: a process of the loader is gone.
            SystemExit: SIGTERM or SIGINT came, and the run was saved.
        """
        try:
            with given_back(gpus=True), disk_errors_explained(self.cfg.OUTPUT_DIR), lost_workers_explained():
                return super().train()
        except StopTraining:
            if self.cfg.TEST.EXPECTED_RESULTS and comm.is_main_process():
                verify_results(self.cfg, self._last_eval_results)
                return self._last_eval_results
            return None

    def run_step(self) -> None:
        """One iteration. What the model draws in it does not depend on the iterations before."""
        seed_generators(self.seed, Purpose.STEP, self.iter, comm.get_rank())
        super().run_step()

    def state_dict(self) -> dict[str, Any]:
        """The iteration, the hooks' state, the optimizer's and AMP's, the run's seed, batch and precision.

        Detectron2 v0.6 leaves the optimizer's and AMP's out, later versions have them under the same name.
        """
        own = {"seed": self.seed, "batch": self.cfg.SOLVER.IMS_PER_BATCH}
        if self._bfloat16 is not None:
            own["bfloat16"] = self._bfloat16.enabled
        return {**super().state_dict(), "_trainer": self._trainer.state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the state and the seed of the run, but with the learning rate of the config.

        Raises `ConfigError` if the run had batches of another size, and `WeightsError` for a state that is none.
        """
        check_numbers(state_dict)
        hooks = dict(state_dict.get("hooks", {}))
        if "LRScheduler" in hooks:
            hooks["LRScheduler"] = place_in_schedule(hooks["LRScheduler"], state_dict["iteration"])
        batch = self.cfg.SOLVER.IMS_PER_BATCH
        if state_dict.get("batch", batch) != batch:
            raise ConfigError(
                f"The run had batches of {state_dict['batch']} images, now they are {batch}: its iterations and its "
                f"place in the data mean something else. Go on with {state_dict['batch']}; on another number of "
                "processes add SOLVER.REFERENCE_WORLD_SIZE 0 and the run's own batch, rate and iterations, which are "
                "in its config.yaml. Or start a new run from the weights, with MODEL.WEIGHTS and without --resume."
            )
        rates = [group["initial_lr"] for group in self.optimizer.param_groups]
        TrainerBase.load_state_dict(self, {**state_dict, "hooks": hooks})
        if "_trainer" in state_dict:
            check_loss_scale(state_dict["_trainer"])
            self._trainer.load_state_dict(state_dict["_trainer"])
            check_optimizer(self.optimizer)
        else:
            logger.warning("The checkpoint holds no state of the optimizer: momentum and AMP's scale start anew.")
        self._set_rates(rates)
        if self._bfloat16 is not None and "bfloat16" in state_dict:
            self._bfloat16.go_on(state_dict["bfloat16"])
        if "seed" not in state_dict:
            logger.warning(
                "The checkpoint holds no seed: it was written by Detectron2 or by an earlier version. The images go "
                "on in an order of seed %d, not in the one of the run so far.",
                self.seed,
            )
            return
        if state_dict["seed"] != self.seed:
            (logger.info if self._seed_is_drawn else logger.warning)(
                "The run goes on with its own seed, %d, instead of %d.", state_dict["seed"], self.seed
            )
        self.seed = state_dict["seed"]

    def _set_rates(self, rates: Sequence[float]) -> None:
        """Goes on with the config's rates, of each of the optimizer's groups, where the checkpoint has others."""
        groups = self.optimizer.param_groups
        before = [group["initial_lr"] for group in groups]
        if before == list(rates):
            return
        logger.warning("The learning rate is %g of what it was: SOLVER.BASE_LR has changed.", rates[0] / before[0])
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] *= rate / group["initial_lr"]
            group["initial_lr"] = rate
