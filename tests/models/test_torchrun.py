"""A script of one's own under torchrun: ranks of one node, or of several."""

import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from latentode.models import SeriesDataModule

N_SERIES = 32
SCRIPT = """
import json, os, sys
from pathlib import Path
import lightning, torch, torch.distributed as dist
import pandas as pd
from latentode import LatentODE, SeriesDataModule
from latentode.nn import Decoder, Encoder, MLPField

class Seen(lightning.Callback):
    def on_train_start(self, trainer, module):
        self.values = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.values += batch.targets[:, 0, 0].tolist()

seen, env = Seen(), os.environ
data = SeriesDataModule(pd.read_csv("rows.csv"), target_cols="a", batch_size=4)
model = LatentODE(Encoder(1, 4, 8), MLPField(4, 8), Decoder(4, 1, 8))
trainer = lightning.Trainer(
    accelerator="cpu", strategy="ddp_find_unused_parameters_true", max_epochs=1,
    devices=int(env["LOCAL_WORLD_SIZE"]), num_nodes=int(env["GROUP_WORLD_SIZE"]),
    callbacks=[seen], logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(model, data)
weights = torch.cat([p.detach().flatten() for p in model.parameters()]).tolist()
logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
told = {"values": seen.values, "weights": weights, "logged": logged, "n": trainer.world_size}
Path(f"{trainer.global_rank}.json").write_text(json.dumps(told))
dist.barrier()
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def constants():
    """Give series each of which is told by its value."""
    return pd.DataFrame([
        {"id": s, "time": t, "a": s} for s in range(N_SERIES) for t in (0.0, 0.7, 1.1, 2.0, 3.2)
    ])


def test_ranks_share_the_series_of_an_epoch(constants):
    values = []
    for rank in range(2):
        data = SeriesDataModule(constants, target_cols="a", batch_size=4)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        values += [x for batch in data.train_dataloader() for x in batch.targets[:, 0, 0].tolist()]
    assert len(values) == len(set(values)) == N_SERIES


def launched(folder, *, n_nodes, n_per_node):
    """Start torchrun on each node, and wait for all; give what each rank told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    if sys.platform == "linux":
        env["GLOO_SOCKET_IFNAME"] = "lo"
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", str(n_nodes)),
        *("--nproc-per-node", str(n_per_node), "--master-addr", "127.0.0.1"),
        *("--master-port", str(port)),
    ]
    nodes = [
        subprocess.Popen(
            [*command, "--node-rank", str(node), "script.py"], cwd=folder, env=env,
            stderr=subprocess.PIPE, text=True,
        )
        for node in range(n_nodes)
    ]  # fmt: skip
    try:
        for node in nodes:
            _, errors = node.communicate(timeout=500)
            assert node.returncode == 0, errors
    finally:
        for node in nodes:
            node.kill()
    return [json.loads((folder / f"{i}.json").read_text()) for i in range(n_nodes * n_per_node)]


@pytest.mark.slow
@pytest.mark.parametrize(("n_nodes", "n_per_node"), [(1, 2), (2, 1)])
def test_ranks_end_with_the_same_weights_after_every_series_once(
    n_nodes, n_per_node, constants, tmp_path
):
    (tmp_path / "script.py").write_text(SCRIPT)
    constants.to_csv(tmp_path / "rows.csv", index=False)
    first, second = launched(tmp_path, n_nodes=n_nodes, n_per_node=n_per_node)
    assert first["n"] == 2
    values = first["values"] + second["values"]
    assert len(values) == len(set(values)) == N_SERIES
    assert first["weights"] == second["weights"]
    assert torch.tensor(first["weights"]).isfinite().all()
    assert first["logged"] == second["logged"]
