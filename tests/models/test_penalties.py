"""Penalties: zero where nothing is wrong, and what they say they are where something is."""

import copy
from types import SimpleNamespace

import pytest
import torch

from latentode.models import (
    Continuity,
    Direct,
    JacobianNorm,
    KineticEnergy,
    ShiftConsistency,
    train,
)
from latentode.models.objectives import Draw
from latentode.models.penalties import part_of
from latentode.nn import ODEPath
from latentode.nn.context import row_at


def draw_of(model, batch):
    return Direct()(model, batch, progress=1.0)[1]


PENALTIES = {
    "shift-start": (ShiftConsistency(2.0), "start"),
    "shift-end": (ShiftConsistency(2.0), "end"),
    "shift-start-far": (ShiftConsistency(2.0, far=0.5), "start"),
    "shift-end-far": (ShiftConsistency(2.0, far=0.5), "end"),
    "continuity": (Continuity(2.0), "rows"),
    "kinetic": (KineticEnergy(2.0), "end"),
    "jacobian": (JacobianNorm(2.0), "end"),
}
every_penalty = pytest.mark.parametrize(
    ("penalty", "anchor"), PENALTIES.values(), ids=list(PENALTIES)
)


def weighing(penalty, weight):
    """Give the same penalty with another weight."""
    other = copy.copy(penalty)
    other.weight = weight
    return other


@every_penalty
def test_a_penalty_is_positive_and_differentiable(penalty, anchor, build, batch):
    model = build(anchor, rule=None)
    value = penalty(model, batch, draw_of(model, batch))
    assert value.dim() == 0 and value > 0
    value.backward()
    assert any(p.grad is not None and p.grad.any() for p in model.path.field.parameters())


@every_penalty
def test_its_weight_is_a_factor(penalty, anchor, build, batch):
    model = build(anchor, rule=None)
    draw = draw_of(model, batch)
    torch.manual_seed(0)
    once = penalty(model, batch, draw)
    lighter = weighing(penalty, 0.5)
    torch.manual_seed(0)
    torch.testing.assert_close(4 * lighter(model, batch, draw), once)


@every_penalty
def test_it_lowers_in_training(penalty, anchor, build, data):
    strong = weighing(penalty, 100.0)
    values = []
    for penalties in ((), (strong,)):
        model = build(anchor, rule=None, objective=Direct(), penalties=penalties)
        train(model, data, max_epochs=5, patience=None, accelerator="cpu", label=None)
        batch = next(iter(data.val_dataloader()))
        torch.manual_seed(0)
        values.append(float(strong(model, batch, draw_of(model, batch)).detach()))
    assert values[1] < values[0]


def test_a_field_at_rest_has_no_energy(build, batch):
    model = build()
    for p in model.path.field.parameters():
        torch.nn.init.zeros_(p)
    torch.nn.init.constant_(model.path.field.damping, -100.0)
    draw = draw_of(model, batch)
    assert KineticEnergy()(model, batch, draw) == 0
    assert JacobianNorm()(model, batch, draw) < 1e-12


def test_the_norm_of_a_jacobian_is_right_on_average(build, batch):
    model = build()
    draw, field = draw_of(model, batch), model.path.field
    values = torch.stack([JacobianNorm(1.0)(model, batch, draw).detach() for _ in range(300)])
    z = draw.zs.detach().flatten(0, 1)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda z: field(None, z[None])[0]))(z).detach()
    expected = jacobian.square().sum((1, 2)).mean() / z.shape[1]
    assert float(values.mean()) == pytest.approx(float(expected), rel=0.05)


def test_a_path_through_its_own_states_is_continuous(build, batch):
    model = build("rows", rule=None)
    context = batch.context
    start = torch.randn(len(batch.t), 1, 4)
    z0 = model.path(start[:, 0], context.t[:, 0], context.t)
    draw = Draw(None, z0, z0)
    assert Continuity(1.0)(model, batch, draw) < 1e-5


def test_leaving_out_no_row_is_consistent(build, batch):
    for anchor in ("start", "end"):
        model = build(anchor, rule=None).eval()
        value = ShiftConsistency(1.0, most=0.0)(model, batch, draw_of(model, batch))
        assert value < 1e-10


def test_rows_are_left_out_at_both_ends(batch):
    context = batch.context
    first, last = context.lengths // 4, context.lengths - context.lengths // 3
    part, end = part_of(context, first, last)
    for i, (j, k) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        assert part.lengths[i] == k - j
        if j == k:
            continue
        torch.testing.assert_close(end[i], context.t[i, k - 1])
        torch.testing.assert_close(part.t[i, : k - j], context.t[i, j:k] - end[i])
        assert torch.equal(part.x[i, : k - j], context.x[i, j:k])
        assert not part.mask[i, k - j :].any()
        assert (part.t[i, k - j :] == 0).all() and (part.t[i] <= 0).all()


class Pace(torch.nn.Module):
    """A field that moves every state alike."""

    def __init__(self, pace):
        super().__init__()
        self.pace = pace

    def forward(self, t, z):
        return torch.full_like(z, self.pace)


class Clock(torch.nn.Module):
    """An encoder of series whose values are their times: its state is the time where it stands."""

    def __init__(self, anchor):
        super().__init__()
        self.anchor = anchor

    def forward(self, part):
        row = 0 * part.lengths if self.anchor == "start" else (part.lengths - 1).clamp(min=0)
        return SimpleNamespace(mean=row_at(part.x, row)[:, :1])


@pytest.mark.parametrize("anchor", ["start", "end"])
@pytest.mark.parametrize("far", [0.0, 0.9])
def test_a_part_is_compared_where_its_state_stands(anchor, far, build, batch):
    times = batch.t[..., None].expand_as(batch.x)
    batch = batch._replace(x=times, scores=times, mask=torch.ones_like(batch.mask))
    model, draws = build(anchor, rule=None), []
    model.encoder = Clock(anchor)
    draw = Draw(None, model.encoder(batch.context).mean, None)
    for pace in (1.0, 0.5):
        model.path = ODEPath(Pace(pace))
        draws.append(float(ShiftConsistency(1.0, most=0.9, far=far)(model, batch, draw)))
    assert draws[0] < 1e-9
    assert draws[1] > 1e-4


@pytest.mark.parametrize(
    ("penalty", "anchor", "message"),
    [
        (ShiftConsistency(), "rows", "for anchors start and end, not rows"),
        (Continuity(), "end", "for anchor=rows, not end"),
    ],
)
def test_a_penalty_that_does_not_apply_is_refused(penalty, anchor, message, build, batch):
    model = build(anchor, rule=None)
    with pytest.raises(ValueError, match=message):
        penalty(model, batch, draw_of(model, batch))


def test_without_a_field_there_is_none_to_penalise(build, batch):
    model = build(rnn=True)
    with pytest.raises(TypeError, match="GRUStep has no vector field"):
        KineticEnergy()(model, batch, draw_of(model, batch))


@pytest.mark.parametrize(
    ("penalty", "anchor", "message"),
    [
        (ShiftConsistency(), "rows", "for anchors start and end, not rows: leave it out"),
        (Continuity(), "start", "for anchor=rows, not start: leave it out"),
    ],
)
def test_no_model_is_made_with_a_penalty_that_is_not_for_it(penalty, anchor, message, build):
    with pytest.raises(ValueError, match=message):
        build(anchor, rule=None, penalties=[penalty])


@pytest.mark.parametrize("penalty", [KineticEnergy(), JacobianNorm()])
def test_no_model_without_a_field_is_made_with_a_penalty_on_it(penalty, build):
    with pytest.raises(TypeError, match="GRUStep has no vector field to penalise: leave the"):
        build(rnn=True, penalties=[penalty])


def test_a_function_may_be_a_penalty(build, data):
    model = build(penalties=[lambda model, batch, draw: draw.zs.square().mean()])
    train(model, data, max_epochs=1, patience=None, accelerator="cpu", label=None)


@pytest.mark.parametrize("penalty", [ShiftConsistency, Continuity, KineticEnergy, JacobianNorm])
def test_a_negative_weight_is_refused(penalty):
    with pytest.raises(ValueError, match=r"weight=-0\.1 must be a number of at least 0"):
        penalty(-0.1)


def test_no_more_than_all_rows_are_left_out():
    with pytest.raises(ValueError, match=r"most=1\.5 must be at least 0 and at most 1"):
        ShiftConsistency(most=1.5)
    with pytest.raises(ValueError, match=r"far=-0\.5 must be at least 0 and at most 1"):
        ShiftConsistency(far=-0.5)
