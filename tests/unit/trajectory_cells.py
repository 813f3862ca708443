"""Cells along a bent line, sampled at three times, with clones: for the tests of the trajectory protocols."""

import numpy as np
import pandas as pd

from layerscope.tables import Subject

N_CELLS = 400


def subject(protocol, **changes):
    """What the rows of a scored layer are about."""
    about = {"condition": "blood", "model": "m", "layer": "01", "depth": 0.0, "task": "trajectory", "seed": 3}
    return Subject(**about | {"protocol": protocol} | changes)


def cells(seed=0, clone_size=4):
    """The cells' table: a cell's position on the line decides its time; clones sit together."""
    random = np.random.default_rng(seed)
    position = np.sort(random.random(N_CELLS))
    time = np.clip((3 * (position + 0.15 * random.normal(size=N_CELLS))).astype(int), 0, 2)
    labels = np.array(["Day3", "Day10", "Day17"])
    obs = pd.DataFrame(
        {
            "time": pd.Categorical(labels[time], categories=labels, ordered=True),
            "batch": pd.Categorical(np.where(random.random(N_CELLS) < 0.5, "one", "two")),
            "is_root": position < 0.1,
            "true_pseudotime": position,
        },
        index=[f"cell{number:03d}" for number in range(N_CELLS)],
    )
    clones = random.permutation(N_CELLS) // clone_size
    obs["clone"] = pd.Categorical([f"clone{number:03d}" if number < 80 else "" for number in clones])
    fate = np.array(["left", "right"])[clones % 2]
    obs["cell_type"] = pd.Categorical(np.where(obs["is_root"], "stem", np.where(time == 0, "early", fate)))
    return obs, clones % 2


def layer(obs, fate, noise=0.1, fate_strength=0.0, seed=1):
    """An embedding that follows the line, and in two more dimensions tells the fate."""
    random = np.random.default_rng(seed)
    position = obs["true_pseudotime"].to_numpy()
    path = np.cos(np.outer(position, random.normal(size=20)) * 3 + random.normal(size=20))
    towards = fate_strength * np.outer(2 * fate - 1, [1, -1])
    return (np.hstack([path, towards]) + noise * random.normal(size=(len(obs), 22))).astype(np.float32)
