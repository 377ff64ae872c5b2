"""Building blocks of models: encoders, vector fields, latent paths, decoders, likelihoods."""

from latentode.nn.context import Context
from latentode.nn.controls import Controls, Inputs
from latentode.nn.decoder import FAMILIES, Decoder
from latentode.nn.drawn import Drawn
from latentode.nn.driven import DrivenField
from latentode.nn.encoder import Encoder
from latentode.nn.event_reader import Events, GRUEventReader, with_events_after
from latentode.nn.event_rules import constant_rate, running_rate
from latentode.nn.flow import ContinuousFlow, FlowDistribution
from latentode.nn.flow_fields import FlowField, PlanarField
from latentode.nn.flow_rates import Carried, Costs
from latentode.nn.intensity import Intensity, SlowingField
from latentode.nn.joint import FlowLikelihood, Joint
from latentode.nn.joint_flow import JointFlow
from latentode.nn.likelihood import (
    LIKELIHOODS,
    Gaussian,
    QuantileDistribution,
    Quantiles,
    StudentTNoise,
)
from latentode.nn.mechanism import Mechanism, Units
from latentode.nn.mechanistic import MechanisticDecoder, MechanisticField, MechanisticPath
from latentode.nn.mixture import Mixture
from latentode.nn.ode_block import ODEBlock, ResidualBlock
from latentode.nn.path import EulerStep, GRUStep, ODEPath
from latentode.nn.point_process import Likelihood, PointProcess, Waited
from latentode.nn.posterior import POSTERIORS, FlowedPosterior
from latentode.nn.readers import GRUDReader, GRUReader, ODERNNReader, TimeAttentionReader
from latentode.nn.rules import Fading, Interpolating
from latentode.nn.simulation import Simulated, simulate
from latentode.nn.summary import Summary, summarise
from latentode.nn.variables import VariableTokens
from latentode.nn.vector_field import GatedField, MLPField, OscillatorField, SecondOrderField
from latentode.nn.where import Where, everywhere

__all__ = [
    "FAMILIES",
    "LIKELIHOODS",
    "POSTERIORS",
    "Carried",
    "Context",
    "ContinuousFlow",
    "Controls",
    "Costs",
    "Decoder",
    "Drawn",
    "DrivenField",
    "Encoder",
    "EulerStep",
    "Events",
    "Fading",
    "FlowDistribution",
    "FlowField",
    "FlowLikelihood",
    "FlowedPosterior",
    "GRUDReader",
    "GRUEventReader",
    "GRUReader",
    "GRUStep",
    "GatedField",
    "Gaussian",
    "Inputs",
    "Intensity",
    "Interpolating",
    "Joint",
    "JointFlow",
    "Likelihood",
    "MLPField",
    "Mechanism",
    "MechanisticDecoder",
    "MechanisticField",
    "MechanisticPath",
    "Mixture",
    "ODEBlock",
    "ODEPath",
    "ODERNNReader",
    "OscillatorField",
    "PlanarField",
    "PointProcess",
    "QuantileDistribution",
    "Quantiles",
    "ResidualBlock",
    "SecondOrderField",
    "Simulated",
    "SlowingField",
    "StudentTNoise",
    "Summary",
    "TimeAttentionReader",
    "Units",
    "VariableTokens",
    "Waited",
    "Where",
    "constant_rate",
    "everywhere",
    "running_rate",
    "simulate",
    "summarise",
    "with_events_after",
]
