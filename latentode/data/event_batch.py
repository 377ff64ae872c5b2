"""Logs of events in a model's units, and the batches they are read in."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentode.data.event_log import EventLog
from latentode.data.scaling import difference
from latentode.nn import Events


class ScaledLog(NamedTuple):
    """A log in a model's units of time, each series from its beginning on.

    Attributes
    ----------
    offsets : Tensor of shape (S + 1,), dtype=torch.long
        Events ``offsets[i]`` up to ``offsets[i + 1]`` are those of series i.
    t : Tensor of shape (N,), dtype=torch.float64
        Times since the beginning of the series.
    kinds : Tensor of shape (N,), dtype=torch.long
        Kinds of the events.
    start, end : Tensor of shape (S,), dtype=torch.float64
        The windows.
    """

    offsets: Tensor
    t: Tensor
    kinds: Tensor
    start: Tensor
    end: Tensor

    @property
    def n_series(self) -> int:
        """Number of series S."""
        return len(self.start)

    def events(self, series: Tensor) -> Events:
        """Give some series, by their numbers (B,), as a padded batch."""
        lengths = self.offsets.diff()[series]
        place = torch.arange(int(lengths.max()))
        inside = place < lengths[:, None]
        row = (self.offsets[series][:, None] + place) * inside
        nothing = torch.zeros(len(series), len(place), dtype=torch.float64)
        if not len(self.t):
            return Events(nothing, nothing.long(), lengths, self.start[series], self.end[series])
        # Padding lies where the window ends, so that times rise.
        t = torch.where(inside, self.t[row], self.end[series][:, None])
        return Events(t, self.kinds[row] * inside, lengths, self.start[series], self.end[series])


def scale_log(log: EventLog, time_unit: float) -> ScaledLog:
    """Give a log in units of time of a length; times are subtracted exactly before that.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data import event_schema, to_event_log
    >>> df = pd.DataFrame({"id": ["a", "a"], "t": [4, 9]})
    >>> scale_log(to_event_log(df, event_schema(df), end=10), 2.0).events(torch.tensor([0])).t
    tensor([[0.0000, 2.5000]], dtype=torch.float64)
    """

    def since(times: np.ndarray, begin: np.ndarray) -> Tensor:
        return torch.tensor(difference(times, begin) / time_unit, dtype=torch.float64)

    return ScaledLog(
        torch.tensor(log.offsets),
        since(log.times, log.begin[log.row_series]),
        torch.tensor(log.kinds),
        since(log.start, log.begin),
        since(log.end, log.begin),
    )
