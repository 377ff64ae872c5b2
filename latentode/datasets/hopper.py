"""The falling hopper of Rubanova et al. (2019), simulated by MuJoCo, which is optional."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from latentode.datasets.frames import long_frame
from latentode.solvers.checks import check_sizes, check_whole

if TYPE_CHECKING:
    from types import ModuleType

    from mujoco import MjModel

JOINTS = ("rootx", "rootz", "rooty", "waist", "hip", "knee", "ankle")
_MISSING = (
    "the hopper of dm_control is simulated by MuJoCo, and one of them is not installed.\n"
    'Fix: python -m pip install "latentode[hopper]"'
)


def make_hopper(
    n_series: int = 10_000, *, n_times: int = 200, random_state: int = 123
) -> pd.DataFrame:
    """Give falls of a hopping robot: positions and velocities of its seven joints.

    It starts a little above the ground at a random position with random velocities, and falls:
    nothing moves it. The first two positions are drawn from U(0, 0.5), the other five from
    U(-2, 2), and all velocities from U(-5, 5). Every step of the simulation is a row: sample rows
    of it for irregular series.

    Parameters
    ----------
    n_series : int, default=10000
        Number of falls.
    n_times : int, default=200
        Steps of each.
    random_state : int, default=123
        Seed; 123 is that of the authors' code.

    Returns
    -------
    DataFrame of shape (n_series * n_times, 16)
        Columns ``id`` and ``time`` (seconds), then positions (``rootx``, ``rootz``, ``rooty``,
        ``waist``, ``hip``, ``knee`` and ``ankle``; metres the first two, radians the others), and
        velocities of the same, such as ``waist_velocity``.

    Raises
    ------
    ImportError
        MuJoCo or dm_control is not installed.
    ValueError
        If a number is out of its range.

    References
    ----------
    Rubanova, Chen and Duvenaud (2019), Latent ODEs for irregularly-sampled time series, section
    4.2. Tassa et al. (2018), DeepMind Control Suite.

    Examples
    --------
    >>> from latentode.datasets import make_hopper
    >>> make_hopper(3, n_times=100).shape  # doctest: +SKIP
    (300, 16)
    """
    check_sizes(n_series=n_series, n_times=n_times)
    check_whole("random_state", random_state, least=0)
    mujoco = _mujoco()
    model = mujoco.MjModel.from_xml_path(str(_body()))
    draws = np.random.RandomState(random_state)
    falls = np.stack([_fall(mujoco, model, n_times, draws) for _ in range(n_series)])
    names = [*JOINTS, *(f"{joint}_velocity" for joint in JOINTS)]
    return long_frame(model.opt.timestep * np.arange(n_times), falls, names=names)


def _mujoco() -> "ModuleType":
    try:
        import mujoco
    except ImportError as error:
        raise ImportError(_MISSING) from error
    return mujoco


def _body() -> Path:
    """Give the file that describes the hopper, without an import of what draws it."""
    found = find_spec("dm_control")
    if found is None or not found.submodule_search_locations:
        raise ImportError(_MISSING)
    return Path(found.submodule_search_locations[0]) / "suite" / "hopper.xml"


def _fall(
    mujoco: "ModuleType", model: "MjModel", n_times: int, draws: np.random.RandomState
) -> np.ndarray:
    state = mujoco.MjData(model)
    state.qpos[:2] = draws.uniform(0, 0.5, size=2)
    state.qpos[2:] = draws.uniform(-2, 2, size=len(JOINTS) - 2)
    state.qvel[:] = draws.uniform(-5, 5, size=len(JOINTS))
    rows = []
    for _ in range(n_times):
        rows.append(np.concatenate([state.qpos, state.qvel]).astype(np.float32))
        mujoco.mj_step(model, state)
    return np.stack(rows)
