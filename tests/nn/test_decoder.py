"""The decoder, and the rule that its forecasts start from."""

import pytest
import torch

from latentode.nn import GaussianDecoder, MLPField, Summary
from latentode.nn.decoder import Residual


def known(last=2.0, age=0.0, mean=1.0, count=3.0):
    return Summary(*(torch.full((1, 1), value) for value in (last, age, mean, count, 0.0)))


def test_the_residual_fades_with_distance_in_both_directions():
    residual = Residual(1)
    ts = torch.tensor([[0.0, 1.0, 5.0, 100.0]])
    values = residual(ts, known()).flatten()
    assert (values.diff() < 0).all()
    assert values[-1] < 1e-2
    torch.testing.assert_close(residual(-ts, known()).flatten(), values)


def test_the_residual_follows_its_formula():
    residual = Residual(1)
    rates = [torch.nn.functional.softplus(torch.tensor(r)).item() for r in (-2.0, -2.0)]
    half = torch.nn.functional.softplus(torch.tensor(1.0)).item()
    last = 0.2 * 2.0 * torch.tensor(-rates[0] * (0.7 + 0.4)).exp()
    mean = 0.7 * 3 / (3 + half) * torch.tensor(-rates[1] * 0.7).exp()
    value = residual(torch.tensor([[0.7]]), known(age=0.4))
    assert value.item() == pytest.approx((last + mean).item(), rel=1e-6)


def test_nothing_known_leaves_the_latent_state_alone():
    decoder = GaussianDecoder(4, 1)
    z, ts = torch.randn(1, 2, 4), torch.tensor([[0.5, 1.0]])
    nothing = known(last=0.0, age=2.0, mean=0.0, count=0.0)
    torch.testing.assert_close(decoder(z, ts, nothing).mean, decoder.head(z)[..., :1])


def test_the_spread_is_positive_whatever_the_state():
    decoder = GaussianDecoder(4, 2, residual=False)
    assert (decoder(torch.full((1, 1, 4), -1e4), torch.zeros(1, 1), None).stddev >= 0.05).all()


def test_a_residual_needs_a_summary():
    with pytest.raises(ValueError, match="needs a summary"):
        GaussianDecoder(4, 2)(torch.zeros(1, 1, 4), torch.zeros(1, 1), None)


def test_the_field_does_not_change_with_time():
    field, z = MLPField(3), torch.randn(5, 3)
    assert torch.equal(field(torch.zeros(5), z), field(torch.full((5,), 1e6), z))
