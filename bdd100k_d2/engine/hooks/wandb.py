"""Logging to Weights & Biases."""

import importlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.utils.events import EventWriter, get_event_storage

from ...atomic import write_atomic
from ...errors import ConfigError


class WandbWriter(EventWriter):
    """Writes scalars and pictures to a run of Weights & Biases, which a resumed training goes on with."""

    def __init__(self, cfg: CfgNode, start_iteration: int) -> None:
        """Starts the run, or from an iteration after the first goes on with the one of the output folder.

        Raises:
            ConfigError: wandb is not installed.
        """
        try:
            wandb = importlib.import_module("wandb")
        except ImportError as error:
            raise ConfigError(
                "WANDB.ENABLED is True, but wandb cannot be imported: pip install 'bdd100k_d2[wandb]', or set it False."
            ) from error
        self._picture = wandb.Image
        id_path = Path(cfg.OUTPUT_DIR) / "wandb_run.txt"
        known = id_path.read_text(encoding="utf-8").strip() if start_iteration and id_path.exists() else None
        self._run: Any = wandb.init(
            project=cfg.WANDB.PROJECT,
            name=cfg.WANDB.NAME or None,
            dir=cfg.OUTPUT_DIR,
            id=known,
            resume="allow",
            config=yaml.safe_load(cfg.dump()),
        )
        write_atomic(id_path, f"{self._run.id}\n")
        self._last = start_iteration - 1

    def write(self) -> None:
        """Sends what is new since the last call."""
        storage = get_event_storage()
        new: dict[int, dict[str, Any]] = defaultdict(dict)
        for name, (value, iteration) in storage.latest_with_smoothing_hint(20).items():
            if iteration > self._last:
                new[iteration][name] = value
        # Before TensorBoard's writer, which clears them. Channels first, as that one wants them.
        for name, picture, iteration in storage._vis_data:
            new[iteration][name] = self._picture(picture.transpose(1, 2, 0))
        for iteration in sorted(new):
            self._run.log(new[iteration], step=iteration)
        self._last = max(new, default=self._last)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()
