"""Building blocks of models: encoder, vector field, decoder."""

from latentode.nn.decoder import GaussianDecoder
from latentode.nn.encoder import GRUEncoder
from latentode.nn.summary import Summary, summarise
from latentode.nn.vector_field import MLPField

__all__ = ["GRUEncoder", "GaussianDecoder", "MLPField", "Summary", "summarise"]
