"""Decoders: from the latent state to a distribution over the observed variables."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from latentode.nn.context import Context
from latentode.nn.controls import NO_INPUTS, Inputs, chosen_inputs
from latentode.nn.joint import FlowLikelihood
from latentode.nn.likelihood import LIKELIHOODS, Likelihood
from latentode.nn.precision import widened
from latentode.nn.rules import Fading, Interpolating
from latentode.nn.variables import VariableTokens, check_attended
from latentode.nn.where import Where, everywhere
from latentode.solvers.checks import check_choice, check_part, check_sizes, check_whole

Rule = Fading | Interpolating
RULES: dict[str, type[Rule]] = {"fading": Fading, "interpolating": Interpolating}
HEADS = ("linear", "mlp", "variable")
FAMILIES = (*LIKELIHOODS, "flow")


class Head(Protocol):
    """Give the numbers of a likelihood from latent states."""

    def read(self, context: Context) -> Tensor | None:
        """Give what the head needs to know of a context."""
        ...

    def __call__(self, z: Tensor, local: Tensor, known: Tensor | None, where: Where) -> Tensor:
        """Give the numbers (..., K) of the values asked.

        From states z (B, P, L), what is local to each time (B, P, F), and what was read.
        """
        ...


class Known(NamedTuple):
    """What a decoder knows of a context, beside the latent state."""

    rule: Any
    head: Tensor | None
    inputs: Inputs = NO_INPUTS


class Decoder(nn.Module):
    """Map latent states to a distribution for each observed variable.

    A rule says what is known of a variable at a time, such as its last value, fading; the latent
    state adds to that, and says how certain it is.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    n_features : int
        Observed variables D.
    hidden_size : int, default=32
        Width of the head's hidden layers, where it has any.
    likelihood : str or Module, default="gaussian"
        Family of the distribution: "gaussian", "student-t", "quantiles", or a module like
        `Gaussian`; or "flow", a `FlowLikelihood`, for values that depend on each other.
    head : {"linear", "mlp", "variable"}, default="linear"
        How numbers are read off the latent state: by a linear map, by a network for all variables
        at once, or by one network that is told the variable and what is known of it. Only the
        last computes no more than the values asked.
    rule : {"fading", "interpolating"} or None, default="fading"
        Where to start: see `Fading` for forecasts and `Interpolating` for what lies between
        observations. None reads all off the latent state, as in Chen et al. (2018).
    n_attention : int, default=0
        Layers of attention across variables, in the head "variable".
    dropout : float, default=0.0
        Share of the head's hidden features that each training step leaves out.
    n_controls, n_static : int, default=0
        Controls, and numbers that do not change in a series, that the head reads at the times
        asked as it reads the latent state.

    Examples
    --------
    >>> import torch
    >>> decoder = Decoder(latent_size=3, n_features=2, rule=None)
    >>> x = torch.zeros(1, 1, 2)
    >>> known = decoder.read(Context(torch.zeros(1, 1), x, x > 0, torch.tensor([0])))
    >>> decoder(torch.zeros(1, 4, 3), torch.zeros(1, 4), known).mean.shape
    torch.Size([1, 4, 2])
    """

    def __init__(
        self,
        latent_size: int,
        n_features: int,
        hidden_size: int = 32,
        *,
        likelihood: str | Likelihood | FlowLikelihood = "gaussian",
        head: str = "linear",
        rule: str | None = "fading",
        n_attention: int = 0,
        dropout: float = 0.0,
        n_controls: int = 0,
        n_static: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(latent_size=latent_size, n_features=n_features, hidden_size=hidden_size)
        check_whole("n_attention", n_attention, least=0)
        check_part("dropout", dropout)
        check_whole("n_controls", n_controls, least=0)
        check_whole("n_static", n_static, least=0)
        self.latent_size = latent_size
        self.n_controls = n_controls
        self.n_static = n_static
        self.n_features = n_features
        if rule is not None:
            check_choice("rule", rule, RULES)
        self.rule: Rule | None = None if rule is None else RULES[rule](n_features)
        n_local = 0 if self.rule is None else self.rule.n_local
        n_read = latent_size + n_controls + n_static
        self.likelihood = _likelihood(likelihood, n_features, n_read)
        sizes = n_read, n_local, hidden_size, n_features, self.likelihood.n_parameters
        check_choice("head", head, HEADS)
        if n_attention and head != "variable":
            raise ValueError(f"n_attention={n_attention} is for head=variable, not {head}.")
        if n_attention:
            check_attended("hidden_size", hidden_size)
        if head == "variable":
            self.head: Head = VariableHead(*sizes, n_attention=n_attention, dropout=dropout)
        else:
            self.head = SharedHead(*sizes, is_linear=head == "linear", dropout=dropout)
        # What interpolation leaves to the latent state vanishes at an observation, or nearly so.
        slack = nn.Parameter(torch.full((n_features,), 0.1))
        self.slack = slack if rule == "interpolating" else None

    def read(self, context: Context) -> Known:
        """Give what the decoder knows of a context, once for all times and draws."""
        rule = None if self.rule is None else self.rule.read(context)
        inputs = chosen_inputs(
            context.inputs,
            n_controls=self.n_controls,
            n_static=self.n_static,
            reader="the decoder",
        )
        return Known(rule, self.head.read(context), inputs)

    def forward(
        self,
        z: Tensor,
        ts: Tensor,
        known: Known,
        where: Where | None = None,
        noise: Tensor | None = None,
    ) -> Distribution:
        """Give p(x | z) for the values asked, or for all of them, of batch shape (B, P, D).

        From states z (B, P, L) at times ts (B, P) since the end of the context, what was read of
        it, and the known standard deviation of a measurement, if there is one.
        """
        if where is None:
            where = everywhere(ts, self.n_features)
        local = ts.new_zeros(*ts.shape, 0)
        if self.rule is not None:
            local = self.rule.local(known.rule, ts)
        told = known.inputs.at(ts)
        states = torch.cat([z, *told], dim=-1) if told else z
        raw = widened(self.head(states, local, known.head, where))
        if self.rule is not None:
            location = raw[..., 0]
            if self.slack is None:
                location = location + self.rule(known.rule, ts, where)
            else:
                assert isinstance(self.rule, Interpolating)
                x, between = self.rule.line(known.rule, ts, where)
                location = location * (between + self.slack[where.variable]) + x
            raw = torch.cat([location[..., None], raw[..., 1:]], dim=-1)
        if isinstance(self.likelihood, FlowLikelihood):
            if noise is not None:
                raise ValueError("known noise needs a Gaussian or StudentTNoise likelihood.")
            return self.likelihood(raw, states, where)
        p: Distribution = self.likelihood(raw, where.variable, noise)
        return p


class SharedHead(nn.Module):
    """One map from the latent state to the numbers of all variables."""

    def __init__(
        self,
        latent_size: int,
        n_local: int,
        hidden_size: int,
        n_features: int,
        n_parameters: int,
        *,
        is_linear: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        width, layers = latent_size, list[nn.Module]()
        if not is_linear:
            layers = [
                nn.Linear(latent_size + n_local, hidden_size),
                nn.SiLU(),
                nn.Dropout(dropout),
            ]
            width = hidden_size
        out = nn.Linear(width, n_features * n_parameters)
        with torch.no_grad():  # what the latent state has to add is small at first
            out.weight.mul_(0.3)
            out.bias.mul_(0.3)
        self.layers = nn.Sequential(*layers, out)
        self.is_linear = is_linear
        self.n_parameters = n_parameters

    def read(self, context: Context) -> None:
        """Need nothing."""

    def forward(self, z: Tensor, local: Tensor, known: None, where: Where) -> Tensor:
        """Give the numbers (..., K) of the values asked."""
        features = z if self.is_linear else torch.cat([z, local], dim=-1)
        raw = self.layers(features).unflatten(-1, (-1, self.n_parameters))
        return where.pick(raw)


class VariableHead(nn.Module):
    """One network for the numbers of a value, told which variable and what is known of it."""

    def __init__(
        self,
        latent_size: int,
        n_local: int,
        hidden_size: int,
        n_features: int,
        n_parameters: int,
        *,
        n_attention: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.tokens = VariableTokens(n_features, hidden_size, n_layers=n_attention)
        self.of_time = nn.Linear(latent_size + n_local, hidden_size)
        self.direct = nn.Linear(latent_size, n_features * n_parameters)
        nn.init.normal_(self.direct.weight, std=0.02)
        nn.init.zeros_(self.direct.bias)
        out = nn.Linear(hidden_size, n_parameters)
        with torch.no_grad():  # a forecast begins near the rule
            out.weight.mul_(0.1)
            out.bias.mul_(0.1)
        self.layers = nn.Sequential(
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, hidden_size),
            nn.SiLU(),
            out,
        )
        self.n_parameters = n_parameters

    def read(self, context: Context) -> Tensor:
        """Give what is known of each variable, (B, D, H)."""
        tokens: Tensor = self.tokens(context)
        return tokens

    def forward(self, z: Tensor, local: Tensor, known: Tensor, where: Where) -> Tensor:
        """Give the numbers (..., K) of the values asked."""
        series, time, variable = where
        # Sums of parts that were mapped before they were spread over the values asked.
        at_time = self.of_time(torch.cat([z, local], dim=-1))
        hidden = at_time[series, time] + known[series, variable]
        direct = self.direct(z).unflatten(-1, (-1, self.n_parameters))
        return self.layers(hidden) + direct[series, time, variable]


def _likelihood(
    likelihood: str | Likelihood | FlowLikelihood, n_features: int, n_read: int
) -> Likelihood | FlowLikelihood:
    if isinstance(likelihood, FlowLikelihood) and likelihood.flow.told_size != n_read:
        raise ValueError(
            f"the decoder reads {n_read} numbers of a time, but its likelihood is told "
            f"{likelihood.flow.told_size}.\nFix: FlowLikelihood({n_features}, {n_read})"
        )
    if not isinstance(likelihood, str):
        return likelihood
    check_choice("likelihood", likelihood, FAMILIES)
    if likelihood == "flow":
        return FlowLikelihood(n_features, n_read)
    made: Likelihood = LIKELIHOODS[likelihood](n_features)
    return made
