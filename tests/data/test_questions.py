"""Questions: rows of one panel, asked from those of another."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import (
    Scaler,
    drop_empty_rows,
    infer_schema,
    question_batches,
    to_panel,
)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    return pd.concat(
        [
            pd.DataFrame({"id": i, "time": np.sort(rng.uniform(0, 9, n)), "u": rng.normal(size=n)})
            for i, n in enumerate(rng.integers(2, 9, 400))
        ],
        ignore_index=True,
    )


def questions(frame, is_read, is_asked, *, max_rows=512):
    schema = infer_schema(frame)
    whole = to_panel(frame, schema)
    read, asked = (
        drop_empty_rows(to_panel(frame.assign(u=frame.u.where(part)), schema))
        for part in (is_read, is_asked)
    )
    return question_batches(read, asked, Scaler.fit(whole, whole), max_rows=max_rows), asked


def n_before(frame):
    return frame.groupby("id").cumcount()


def test_every_row_is_asked_once_in_several_batches(frame):
    is_read = n_before(frame) < 2
    batches, asked = questions(frame, is_read, ~is_read)
    assert len(batches) > 1
    assert sum(int(batch.targets_mask.sum()) for batch in batches) == len(asked.times)
    assert sum(len(batch.t) for batch in batches) == int((np.diff(asked.offsets) > 0).sum())
    for batch in batches:
        assert batch.lengths.tolist() == [2] * len(batch.t)
        assert (batch.ts[batch.targets_mask[..., 0]] > 0).all()


def test_a_question_does_not_depend_on_the_other_series(frame):
    frame = frame[frame.id < 5]
    schema, panel = infer_schema(frame), to_panel(frame, infer_schema(frame))
    scaler = Scaler.fit(panel, panel)

    def ask(part):
        read, asked = (
            to_panel(rows, schema)
            for rows in (part[n_before(part) < 2], part[n_before(part) >= 2])
        )
        return question_batches(read, asked, scaler, max_rows=9)

    (together,) = ask(frame)
    alone = [batch for i in range(5) for batch in ask(frame[frame.id == i])]
    times = torch.cat([batch.ts[batch.targets_mask[..., 0]] for batch in alone])
    assert torch.equal(times.sort().values, together.ts[together.targets_mask[..., 0]].sort()[0])


def test_where_nothing_is_asked_there_is_no_batch(frame):
    nothing = pd.Series(False, frame.index)
    assert questions(frame, ~nothing, nothing)[0] == []
