"""Naive rules for events: intensities that can be written down, to compare learned ones with."""

import torch
from torch import Tensor

from latentode.nn.event_reader import Events
from latentode.nn.point_process import Likelihood, gaps_of


def constant_rate(events: Events, rates: Tensor) -> Likelihood:
    """Give the likelihood of a homogeneous Poisson process.

    Parameters
    ----------
    events : Events
        Events of B series.
    rates : Tensor of shape (K,)
        Events of each kind per unit of time.

    Returns
    -------
    Likelihood
        Its parts.

    Examples
    --------
    >>> t, kinds = torch.tensor([[0.5, 2.0]]), torch.zeros(1, 2, dtype=torch.long)
    >>> events = Events(t, kinds, torch.tensor([2]), torch.zeros(1), torch.tensor([3.0]))
    >>> constant_rate(events, torch.tensor([2.0])).log_prob  # 2 log 2 - 2 * 3
    tensor([-4.6137])
    """
    _, until, since = gaps_of(events)
    log_rate = rates.log()[events.kinds] * events.told()
    return Likelihood(log_rate, rates.sum() * (until - since))


def running_rate(events: Events, rates: Tensor) -> Likelihood:
    """Give the likelihood of a Poisson process with a rate of its own for each series.

    The rate is not known before: at any time it is one event more than came so far, over the time
    since the beginning and that of one event at the given rates. That is the posterior mean of a
    rate that is exponentially distributed around the given one.

    Parameters
    ----------
    events : Events
        Events of B series.
    rates : Tensor of shape (K,)
        Events of each kind per unit of time, over all series.

    Returns
    -------
    Likelihood
        Its parts.

    Examples
    --------
    >>> t, kinds = torch.tensor([[1.0]]), torch.zeros(1, 1, dtype=torch.long)
    >>> events = Events(t, kinds, torch.tensor([1]), torch.zeros(1), torch.tensor([1.0]))
    >>> running_rate(events, torch.tensor([1.0])).log_prob  # log(1 / 2) - log(2)
    tensor([-1.3863])
    """
    _, until, since = gaps_of(events)
    prior = 1 / rates.sum()
    n_before = 1 + torch.arange(since.shape[1], device=since.device)
    compensator = n_before * torch.log((prior + until) / (prior + since))
    log_total = torch.log(n_before[:-1] / (prior + events.t))
    log_share = (rates / rates.sum()).log()[events.kinds]
    return Likelihood((log_total + log_share) * events.told(), compensator)
