"""The probabilities that quantiles are asked for."""

from collections.abc import Sequence


def probabilities(quantiles: Sequence[float]) -> list[float]:
    """Give the probabilities asked, or refuse what is none.

    >>> probabilities((0.1, 0.9))
    [0.1, 0.9]
    """
    if isinstance(quantiles, int | float):
        raise TypeError(f"quantiles must be a list of numbers: [{quantiles}].")
    levels = [float(level) for level in quantiles]
    if not levels:
        raise ValueError("quantiles is empty: give at least one.")
    for level in levels:
        if not 0 < level < 1:
            raise ValueError(f"quantile {level} must be above 0 and below 1.")
        if levels.count(level) > 1:
            raise ValueError(f"quantile {level} is asked more than once.")
    return levels
