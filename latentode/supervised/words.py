"""Errors of frames in the words of another estimator than the forecaster."""

import contextlib
from collections.abc import Iterator

from latentode.data import FrameError

# What a forecaster calls its columns, and what one that tells something of whole series does.
_WORDS = {
    "target_cols": "feature_cols",
    "target column": "feature column",
    "column of numbers to forecast": "column of numbers to read",
    "a target in fit": "a feature in fit",
    "could each be the target": "could each be the feature",
}


@contextlib.contextmanager
def in_words_of(estimator: object) -> Iterator[None]:
    """Name an estimator and its parameters in the errors of frames, so that fixes can be pasted.

    Examples
    --------
    >>> with in_words_of("any text"):
    ...     raise FrameError("E-EMPTY", "no time.", "LatentODEForecaster(target_cols='y')")
    Traceback (most recent call last):
    latentode.data.errors.FrameError: no time.
    Fix: str(feature_cols='y')  [E-EMPTY]
    """
    try:
        yield
    except FrameError as error:
        what, fix = (_reworded(text) for text in (error.what, error.fix))
        name = type(estimator).__name__
        fix = fix.replace("LatentODEForecaster(", f"{name}(")
        raise FrameError(error.code, what, fix) from None


def _reworded(text: str) -> str:
    for word, other in _WORDS.items():
        text = text.replace(word, other)
    return text
