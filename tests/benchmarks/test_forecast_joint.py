"""Likelihoods of variables that are measured together, compared."""

import forecast_joint


def test_it_prints_a_row_for_each_likelihood(capsys):
    forecast_joint.main(quick=True)
    printed = capsys.readouterr().out
    for likelihood in forecast_joint.LIKELIHOODS:
        assert f"| ring | {likelihood} |" in printed
    assert "nan" not in printed
