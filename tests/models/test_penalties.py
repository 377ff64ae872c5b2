"""Penalties: zero where nothing is wrong, and what they say they are where something is."""

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
from latentode.models.penalties import without_first, without_last


def draw_of(model, batch):
    return Direct()(model, batch, progress=1.0)[1]


PENALTIES = {
    "shift-start": (ShiftConsistency(2.0), "start"),
    "shift-end": (ShiftConsistency(2.0), "end"),
    "continuity": (Continuity(2.0), "rows"),
    "kinetic": (KineticEnergy(2.0), "end"),
    "jacobian": (JacobianNorm(2.0), "end"),
}
every_penalty = pytest.mark.parametrize(
    ("penalty", "anchor"), PENALTIES.values(), ids=list(PENALTIES)
)


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
    lighter = type(penalty)(0.5)
    torch.manual_seed(0)
    torch.testing.assert_close(4 * lighter(model, batch, draw), once)


@every_penalty
def test_it_lowers_in_training(penalty, anchor, build, data):
    strong = type(penalty)(100.0)
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


def test_rows_are_left_out_at_either_end(batch):
    context = batch.context
    n = (context.lengths // 2).minimum(context.lengths - 1).clamp(min=0)
    rest, (begin, end) = without_first(context, n), without_last(context, n)
    for i in range(len(n)):
        length, k = int(context.lengths[i]), int(n[i])
        if length == 0:
            continue
        assert rest.lengths[i] == begin.lengths[i] == length - k
        torch.testing.assert_close(rest.t[i, : length - k], context.t[i, k:length])
        assert torch.equal(rest.x[i, : length - k], context.x[i, k:length])
        assert not rest.mask[i, length - k :].any() and not begin.mask[i, length - k :].any()
        torch.testing.assert_close(end[i], context.t[i, length - k - 1])
        torch.testing.assert_close(begin.t[i, : length - k], context.t[i, : length - k] - end[i])
        assert (begin.t[i, length - k :] == 0).all() and (begin.t[i] <= 0).all()


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
