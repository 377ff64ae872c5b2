"""The latent ODE: encode what was observed, solve in latent space, decode at any time."""

from collections.abc import Sequence

from torch import Tensor, nn

from latentode.models.latent_model import LatentModel
from latentode.models.objectives import ELBO, Objective
from latentode.models.penalties import Penalty
from latentode.nn import (
    Decoder,
    Encoder,
    FlowedPosterior,
    MechanisticDecoder,
    MechanisticField,
    MechanisticPath,
    ODEPath,
)
from latentode.nn.latent_time import SLOWING, STEADY


class LatentODE(LatentModel):
    """A latent ODE, to be trained by a Lightning ``Trainer`` on batches of a `SeriesDataModule`.

    The encoder gives a normal distribution q over the latent state at its anchor, the vector
    field carries a state forward and backward in time from there, each series at its own times,
    and the decoder gives a distribution over the observed variables at every time asked about.
    Which values training is to tell is a matter of the data: those that follow a context for a
    forecast, hidden ones for interpolation, the context itself for the evidence lower bound of
    Chen et al. (2018).

    Parameters
    ----------
    encoder : Encoder
        Gives q(z | context).
    vector_field : Module
        dz/dt as a function of t (B,) and z (B, L); or a `MechanisticField`, which needs an encoder
        with ``anchor="start"``, and for which time runs as it does.
    decoder : Decoder or MechanisticDecoder
        Gives p(x | z).
    objective : Objective, optional
        What training minimises: `Direct`, `ELBO` or `IWAE`; by default ``ELBO(0.01)``.
    penalties : sequence of Penalty, default=()
        What it minimises beside: `ShiftConsistency`, `Continuity`, `KineticEnergy`,
        `JacobianNorm`.
    variable_weights : Tensor of shape (D,), optional
        Weights of the variables in the loss; by default all values count alike.
    context_weight : float, default=0.1
        Weight in the loss of values within the context, beside those after it.
    observation_dropout : float, default=0.1
        Share of the values of a context that each training step leaves out.
    learning_rate : float, default=0.01
        Highest learning rate of the cycle.
    weight_decay : float, default=0.01
        Decay of the weight matrices.
    speed : float, default=1.0
        Latent time that passes in a unit of time; see `ODEPath`.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances.
    step_size : float, optional
        Size of every step instead, in units of the model's time.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it.
    posterior : FlowedPosterior, optional
        A continuous normalizing flow that bends the encoder's normal distribution; by default it
        is q itself.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 5. Rubanova, Chen and Duvenaud (2019), Latent ODEs for irregularly-sampled time series.

    Examples
    --------
    >>> from latentode.nn import Decoder, Encoder, MLPField
    >>> encoder, decoder = Encoder(3, latent_size=8), Decoder(8, n_features=3)
    >>> model = LatentODE(encoder, MLPField(8), decoder, adjoint="backsolve")
    """

    path: ODEPath | MechanisticPath

    def __init__(
        self,
        encoder: Encoder,
        vector_field: nn.Module,
        decoder: Decoder | MechanisticDecoder,
        *,
        objective: Objective | None = None,
        penalties: Sequence[Penalty] = (),
        variable_weights: Tensor | None = None,
        context_weight: float = 0.1,
        observation_dropout: float = 0.1,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        speed: float = 1.0,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        step_size: float | None = None,
        adjoint: str = "auto",
        posterior: FlowedPosterior | None = None,
    ) -> None:
        is_known = isinstance(vector_field, MechanisticField)
        if is_known:
            _check_mechanistic(encoder, speed)
        path = ODEPath(
            vector_field,
            speed=speed,
            method=method,
            rtol=rtol,
            atol=atol,
            step_size=step_size,
            adjoint=adjoint,
            clock=STEADY if is_known else SLOWING,
        )
        super().__init__(
            encoder,
            MechanisticPath(path) if is_known else path,
            decoder,
            objective=objective or ELBO(0.01),
            penalties=penalties,
            variable_weights=variable_weights,
            context_weight=context_weight,
            observation_dropout=observation_dropout,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            posterior=posterior,
        )
        self.keep(
            LatentODE,
            context_weight=context_weight,
            observation_dropout=observation_dropout,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            speed=speed,
            method=method,
            rtol=rtol,
            atol=atol,
            step_size=step_size,
            adjoint=adjoint,
        )

    @property
    def vector_field(self) -> nn.Module:
        """The vector field dz/dt."""
        return self.path.field


def _check_mechanistic(encoder: Encoder, speed: float) -> None:
    if encoder.anchor != "start":
        raise ValueError(
            "a mechanism says what its state is at the first row: give the encoder anchor=start, "
            f"not {encoder.anchor}."
        )
    if speed != 1.0:
        raise ValueError(f"a mechanism has times of its own: leave speed={speed} out.")
