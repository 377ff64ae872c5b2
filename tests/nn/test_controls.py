"""Controls are functions of time: held or linear, and integrals of either."""

import pytest
import torch

from latentode.nn.controls import HOLDS, Controls, Inputs, chosen_inputs

every_kind = pytest.mark.parametrize("kind", HOLDS)


def random_controls(kind, n_series=3, n_knots=6, n_controls=2):
    t = torch.rand(n_series, n_knots).double().cumsum(1) - 2
    return Controls(t, torch.randn(n_series, n_knots, n_controls).double(), kind)


@every_kind
def test_a_control_is_its_value_at_a_knot(kind):
    controls = random_controls(kind)
    torch.testing.assert_close(controls.at(controls.t), controls.values)


@every_kind
def test_it_stays_level_outside_its_knots(kind):
    controls = random_controls(kind)
    ts = torch.tensor([[-1e6, 1e6]]).double().expand(3, -1)
    torch.testing.assert_close(controls.at(ts), controls.values[:, [0, -1]])


def test_a_held_control_jumps_at_its_knot_and_a_linear_one_does_not():
    t, values = torch.tensor([[0.0, 1.0]]), torch.tensor([[[2.0], [4.0]]])
    ts = torch.tensor([[1.0 - 1e-5, 1.0]])
    assert Controls(t, values).at(ts)[0, :, 0].tolist() == [2.0, 4.0]
    line = Controls(t, values, "linear").at(ts)[0, :, 0]
    torch.testing.assert_close(line, torch.tensor([4.0, 4.0]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_time_that_is_a_knot_but_for_rounding_is_one(dtype):
    t = torch.tensor([[-3.0, 1 / 3, 40 / 7]], dtype=dtype)
    just_before = torch.nextafter(t, torch.tensor(-9.0, dtype=dtype))
    controls = Controls(t, torch.randn(1, 3, 2, dtype=dtype))
    assert torch.equal(controls.at(just_before), controls.values)


@every_kind
def test_padding_repeats_the_last_knot_and_changes_nothing(kind):
    controls = random_controls(kind)
    padded = Controls(
        torch.cat([controls.t, controls.t[:, -1:].expand(-1, 4)], 1),
        torch.cat([controls.values, controls.values[:, -1:].expand(-1, 4, -1)], 1),
        kind,
    )
    ts = torch.empty(3, 50).double().uniform_(-3, 5)
    assert torch.equal(padded.at(ts), controls.at(ts))
    torch.testing.assert_close(padded.amount(ts), controls.amount(ts))


@every_kind
def test_the_amount_is_the_integral(kind):
    controls = random_controls(kind)
    start, end = torch.full((3, 1), -3.0).double(), torch.full((3, 1), 4.0).double()
    n = 70_000
    middles = -3 + 7 * (torch.arange(n).double() + 0.5) / n
    mean = controls.at(middles.expand(3, -1)).mean(dim=1, keepdim=True)
    amount = controls.amount(end) - controls.amount(start)
    torch.testing.assert_close(amount, 7 * mean, rtol=0, atol=1e-3)


def test_later_controls_are_the_same_ones_later():
    controls = random_controls("linear")
    by, ts = torch.tensor([0.5, -1.0, 3.0]).double(), torch.randn(3, 9).double()
    torch.testing.assert_close(controls.shifted(by).at(ts + by[:, None]), controls.at(ts))


def test_a_change_is_another_value_than_before():
    values = torch.tensor([[[1.0, 5.0], [1.0, 5.0], [1.0, 6.0], [2.0, 6.0]]])
    controls = Controls(torch.arange(4.0)[None], values)
    assert controls.changes().tolist() == [[False, False, True, True]]


def test_a_part_of_a_model_gets_what_it_reads_and_no_more():
    inputs = Inputs(random_controls("previous"), torch.ones(3, 4))
    assert not chosen_inputs(inputs, n_controls=0, n_static=0, reader="x").exist()
    assert chosen_inputs(inputs, n_controls=2, n_static=0, reader="x").static is None
    message = "the decoder reads n_static=3, and the context has 4: make it with n_static=4"
    with pytest.raises(ValueError, match=message):
        chosen_inputs(inputs, n_controls=2, n_static=3, reader="the decoder")
    with pytest.raises(ValueError, match="n_controls=1, and the context has 0"):
        chosen_inputs(Inputs(), n_controls=1, n_static=0, reader="the decoder")


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (Controls(torch.zeros(1, 2), torch.zeros(1, 2, 1), "cubic"), "interpolation=cubic is not"),
        (Controls(torch.zeros(1, 3), torch.zeros(1, 2, 1)), r"not \(1, 3\) and \(1, 2, 1\)"),
        (Controls(torch.zeros(1, 0), torch.zeros(1, 0, 1)), "with one knot or more"),
    ],
)
def test_controls_that_do_not_go_together_are_refused(controls, message):
    with pytest.raises(ValueError, match=message):
        controls.check()
