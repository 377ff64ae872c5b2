"""Reading a long frame is measured on what all peers read alike."""

import frame_ingest
import numpy as np
import pytest


def test_the_script_prints_its_table(capsys):
    frame_ingest.main(quick=True, arguments=["--only", "latentode*"])
    printed = capsys.readouterr().out
    assert "| latentode |" in printed
    assert "2,000 shuffled rows of 80 series" in printed


@pytest.mark.filterwarnings("ignore")  # the peers' own
@pytest.mark.parametrize("ids", ["str", "int"])
@pytest.mark.parametrize("peer", frame_ingest.READERS)
def test_every_reader_gives_the_same_numbers(peer, ids):
    pytest.importorskip(peer.split(maxsplit=1)[0])
    df = frame_ingest.irregular_frame(300, ids)
    read = frame_ingest.READERS[peer](df)
    sorted_rows = df.sort_values(["id", "ds"])[frame_ingest.TARGETS]
    np.testing.assert_allclose(read, sorted_rows, rtol=1e-6)
