import pickle
import re
from pathlib import Path

import pandas as pd
import pytest

from latentode import LastValue
from latentode.data import FrameError, LatentODEWarning, infer_schema

ROOT = Path(__file__).parents[2]


def test_an_error_survives_the_way_between_processes():
    error = FrameError("E-X", "what", "fix")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, str(again)) == ("E-X", "what\nFix: fix  [E-X]")
    assert isinstance(again, ValueError)


def test_the_page_explains_every_error_and_no_other():
    page = (ROOT / "docs" / "the-frame.md").read_text(encoding="utf-8")
    files = (ROOT / "latentode").rglob("*.py")
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    code = r"E-[A-Z]+(?:-[A-Z]+)?\b"
    roles = {f"E-{role}-{end}" for role in ("ID", "TIME", "TARGET") for end in ("COL", "AMBIG")}
    roles.add("E-VARIABLE-COL")
    raised = set(re.findall(f'"({code})"', source)) | roles
    assert set(re.findall(rf"^\| `({code})`", page, re.MULTILINE)) == raised


def test_a_warning_points_at_the_line_that_called_the_package():
    df = pd.DataFrame({"id": ["a", "a"], "t": [1, 2], "y": [0.1, 0.2], "x": [1.0, 2.0]})
    for call in (infer_schema, LastValue().fit):
        with pytest.warns(LatentODEWarning) as caught:
            call(df)
        assert [w.filename for w in caught] == [__file__]
    model = LastValue().fit(df[["id", "t", "y"]])
    with pytest.warns(LatentODEWarning, match="10 times") as caught:
        model.predict_interval(horizon=99)
    assert [w.filename for w in caught] == [__file__]
