"""Building blocks of models: encoders, vector fields, latent paths, decoders, likelihoods."""

from latentode.nn.context import Context
from latentode.nn.controls import Controls, Inputs
from latentode.nn.decoder import Decoder
from latentode.nn.driven import DrivenField
from latentode.nn.encoder import Encoder
from latentode.nn.flow import ContinuousFlow, FlowDistribution
from latentode.nn.flow_fields import FlowField, PlanarField
from latentode.nn.flow_rates import Carried, Costs
from latentode.nn.likelihood import (
    LIKELIHOODS,
    Gaussian,
    QuantileDistribution,
    Quantiles,
    StudentTNoise,
)
from latentode.nn.mixture import Mixture
from latentode.nn.ode_block import ODEBlock, ResidualBlock
from latentode.nn.path import EulerStep, GRUStep, ODEPath
from latentode.nn.posterior import POSTERIORS, FlowedPosterior
from latentode.nn.readers import GRUDReader, GRUReader, ODERNNReader, TimeAttentionReader
from latentode.nn.rules import Fading, Interpolating
from latentode.nn.summary import Summary, summarise
from latentode.nn.variables import VariableTokens
from latentode.nn.vector_field import GatedField, MLPField, OscillatorField, SecondOrderField
from latentode.nn.where import Where, everywhere

__all__ = [
    "LIKELIHOODS",
    "POSTERIORS",
    "Carried",
    "Context",
    "ContinuousFlow",
    "Controls",
    "Costs",
    "Decoder",
    "DrivenField",
    "Encoder",
    "EulerStep",
    "Fading",
    "FlowDistribution",
    "FlowField",
    "FlowedPosterior",
    "GRUDReader",
    "GRUReader",
    "GRUStep",
    "GatedField",
    "Gaussian",
    "Inputs",
    "Interpolating",
    "MLPField",
    "Mixture",
    "ODEBlock",
    "ODEPath",
    "ODERNNReader",
    "OscillatorField",
    "PlanarField",
    "QuantileDistribution",
    "Quantiles",
    "ResidualBlock",
    "SecondOrderField",
    "StudentTNoise",
    "Summary",
    "TimeAttentionReader",
    "VariableTokens",
    "Where",
    "everywhere",
    "summarise",
]
