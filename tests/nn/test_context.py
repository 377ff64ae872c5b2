"""What is said of each row of a context."""

import torch

from latentode.nn.context import ages, kept_rows, reverse, row_features


def test_ages_do_not_look_ahead(contexts):
    context = contexts.series(9)
    whole = ages(context.t, context.mask)
    torch.testing.assert_close(ages(context.t[:, :5], context.mask[:, :5]), whole[:, :5])


def test_ages_are_the_times_since_the_last_observation(contexts):
    context = contexts.series(9)
    t, mask = context.t[0], context.mask[0]
    for i in range(9):
        for d in range(3):
            seen = [float(t[j]) for j in range(i) if mask[j, d]]
            expected = min(float(t[i]) - seen[-1], 2.0) if seen else 2.0
            assert abs(float(ages(context.t, context.mask)[0, i, d]) - expected) < 1e-5


def test_waves_have_whole_periods_in_a_unit_of_time(contexts):
    context = contexts.series(5)
    waves = row_features(context, n_frequencies=2)[..., -4:]
    sooner = contexts.series(5)
    object.__setattr__(sooner, "t", context.t - 1)
    torch.testing.assert_close(
        row_features(sooner, n_frequencies=2)[..., -4:], waves, rtol=0, atol=1e-4
    )


def test_reversing_twice_is_no_change(contexts):
    rows, lengths = torch.randn(2, 5, 3), torch.tensor([5, 3])
    back = reverse(reverse(rows, lengths), lengths)
    torch.testing.assert_close(back[0], rows[0])
    torch.testing.assert_close(back[1, :3], rows[1, :3])


def test_a_summary_is_computed_once(contexts):
    context = contexts.series(5)
    assert context.summary is context.summary


def test_keeping_every_row_changes_nothing(contexts):
    whole = contexts.together([contexts.series(4), contexts.nothing(), contexts.series(2)])
    less, end = kept_rows(whole, torch.ones_like(whole.t).bool())
    assert torch.equal(end, torch.zeros(3))
    assert less.lengths.tolist() == [4, 0, 2]
    for name in ("t", "x", "mask", "read"):
        assert torch.equal(getattr(less, name), getattr(whole, name)[:, :4])


def test_a_series_of_which_nothing_is_kept_is_empty(contexts):
    less, end = kept_rows(contexts.series(4), torch.zeros(1, 4).bool())
    assert less.lengths.tolist() == [0] and end.tolist() == [0.0]
    assert not less.mask.any() and not less.x.any() and not less.t.any()
