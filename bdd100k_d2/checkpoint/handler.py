"""Names that `MODEL.WEIGHTS` takes in place of a file: each stands for a checkpoint that is made once and kept."""

import logging
from pathlib import Path
from typing import Any

from detectron2.utils.file_io import PathHandler
from iopath.common.file_io import file_lock

from ..errors import ConfigError, WeightsError

logger = logging.getLogger(__name__)


class NamedWeightsHandler(PathHandler):
    """Resolves the names behind a prefix, such as ``bdd100k://``, to local Detectron2 checkpoints.

    `place` and `make` raise `WeightsError` for an unknown name and weights that cannot be had, `ConfigError` where a
    library that they need is not installed.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix

    def place(self, name: str) -> Path:
        """Where the checkpoint of ``name`` (without the prefix) is kept, made or not."""
        raise NotImplementedError

    def make(self, name: str, checkpoint: Path, force: bool) -> None:
        """Writes the ``checkpoint`` of ``name``; ``force`` also fetches again what is here already."""
        raise NotImplementedError

    def _get_supported_prefixes(self) -> list[str]:
        return [self.prefix]

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:  # noqa: ANN401, the parent's
        self._check_kwargs(kwargs)
        name = path.removeprefix(self.prefix)
        try:
            checkpoint = self.place(name)
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            # Every process of a training asks at once; the first makes the file, the others wait for it.
            with file_lock(str(checkpoint)):
                if force or not checkpoint.is_file():
                    self.make(name, checkpoint, force)
                    logger.info("%s: written to %s", path, checkpoint)
        except (ConfigError, WeightsError) as error:
            raise WeightsError(f"{path}: {error}") from error
        return str(checkpoint)

    def _exists(self, path: str, **kwargs: Any) -> bool:  # noqa: ANN401, the parent's
        self._check_kwargs(kwargs)
        try:
            self.place(path.removeprefix(self.prefix))
        except (ConfigError, WeightsError):
            return False
        return True

    _isfile = _exists

    def _open(self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any) -> Any:  # noqa: ANN401
        self._check_kwargs(kwargs)
        if mode not in ("r", "rb"):
            raise WeightsError(f"{path}: these weights can be read only.")
        return Path(self._get_local_path(path)).open(mode, buffering)
