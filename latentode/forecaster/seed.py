"""The seed of a training or of draws."""

import zlib
from collections.abc import Hashable

import numpy as np
from sklearn.utils import check_random_state


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Give a seed; without a random state one from the system, not from numpy's global one."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return int(check_random_state(random_state).randint(2**31 - 1))


def own_generator(seed: int, key: Hashable) -> np.random.Generator:
    """Give a generator that depends on the seed and on a series, and on nothing else."""
    name = f"{type(key).__name__} {key}"
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
