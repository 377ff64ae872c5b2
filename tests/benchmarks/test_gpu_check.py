"""The check of a GPU compares with the CPU where there is one, and says so where there is none."""

import gpu_check
import torch


def test_it_compares_or_says_that_there_is_nothing_to_compare_with(capsys):
    gpu_check.main(quick=True)
    printed = capsys.readouterr().out
    expected = "kvaerno3" if torch.cuda.is_available() else "no GPU is here"
    assert expected in printed
