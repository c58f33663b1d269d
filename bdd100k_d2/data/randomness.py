"""Random numbers by what they are for: each draw is seeded by the run's seed and its place, not by what came before."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What numbers are drawn for. The values are part of what a seed stands for: never change one."""

    INITIAL_VALUES = 0
    SUBSET = 1
    ORDER = 2
    AUGMENTATION = 3
    REPLACEMENT = 4
    STEP = 5


def generator(seed: int, purpose: Purpose, *place: int) -> np.random.RandomState:
    """A generator for one place of a run; NumPy keeps the numbers of this kind the same in all its releases."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence((seed, purpose, *place))))


def seed_generators(seed: int, purpose: Purpose, *place: int) -> None:
    """Seeds the global generators of Python, NumPy and PyTorch, on the GPUs too."""
    torch.manual_seed(_seed_host(seed, purpose, *place))


@contextmanager
def given_back(gpus: bool = False) -> Iterator[None]:
    """After it, the global generators of Python, NumPy and PyTorch go on as if nothing had been drawn or seeded in it.

    Those of the GPUs do so if ``gpus`` are asked for and there are some.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    # A process that was forked from one that used the GPUs has none.
    has_gpus = gpus and torch.cuda.is_available() and not torch.cuda._is_in_bad_fork()
    on_gpus = torch.cuda.get_rng_state_all() if has_gpus else []
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.cuda.set_rng_state_all(on_gpus)


@contextmanager
def drawing(seed: int, purpose: Purpose, *place: int) -> Iterator[None]:
    """Inside it, the global generators of Python, NumPy and of PyTorch on the CPU draw for one place of a run.

    Afterwards they, from which Detectron2's augmentations draw, go on as if nothing had been drawn.
    """
    with given_back():
        # Not `torch.manual_seed`, which would seed the GPUs as well.
        torch.default_generator.manual_seed(_seed_host(seed, purpose, *place))
        yield


def _seed_host(seed: int, purpose: Purpose, *place: int) -> int:
    """Seeds Python and NumPy, and returns the seed for PyTorch."""
    for_python, for_torch, for_numpy = np.random.SeedSequence((seed, purpose, *place)).spawn(3)
    random.seed(int(for_python.generate_state(1, np.uint64)[0]))
    np.random.seed(for_numpy.generate_state(4))
    return int(for_torch.generate_state(1, np.uint64)[0])
