"""The rival without an ODE: a recurrent network that is told how far ahead a time lies."""

from collections.abc import Sequence

from torch import Tensor

from latentode.models.latent_model import LatentModel
from latentode.models.objectives import Direct, Objective
from latentode.models.penalties import Penalty
from latentode.nn import Decoder, Encoder, GRUStep


class RNN(LatentModel):
    """A GRU with gaps and masks that decodes at any time, in the same clothes as `LatentODE`.

    Parameters
    ----------
    encoder : Encoder
        Gives the state at the end of the context. What it reads of controls and of numbers that
        do not change, the step is told too.
    decoder : Decoder
        Gives p(x | z).
    objective : Objective, optional
        What training minimises; by default ``Direct()``.
    penalties : sequence of Penalty, default=()
        What it minimises beside.
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

    Examples
    --------
    >>> from latentode.nn import Decoder, Encoder
    >>> model = RNN(Encoder(3, latent_size=8), Decoder(8, n_features=3))
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        objective: Objective | None = None,
        penalties: Sequence[Penalty] = (),
        variable_weights: Tensor | None = None,
        context_weight: float = 0.1,
        observation_dropout: float = 0.1,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(
            encoder,
            GRUStep(decoder.latent_size, n_controls=encoder.n_controls, n_static=encoder.n_static),
            decoder,
            objective=objective or Direct(),
            penalties=penalties,
            variable_weights=variable_weights,
            context_weight=context_weight,
            observation_dropout=observation_dropout,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
        )
        self.keep(
            RNN,
            context_weight=context_weight,
            observation_dropout=observation_dropout,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
        )
