"""Simulated screens, for ``calibration.py``.

Each study draws cells of perturbations in modules, their counts, and a model of several layers that see the
same cells more or less well; nothing but noise differs between studies. Scored by protocol strict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from calibration import Scenario, Study, scenarios, study_of, subject
from scipy import sparse

from layerscope.arrays import Floats
from layerscope.tasks.perturbation.design import make_design
from layerscope.tasks.perturbation.effects import count_effects
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.strict import METRIC, strict_scores
from layerscope.tasks.perturbation.strict_reference import Expression, make_reference
from layerscope.tasks.screens.sums import sum_layer

SCENARIOS = scenarios("cell labels")
SETTINGS = StrictSettings.model_construct(
    cells_per_perturbation=48, buckets=4, cell_splits=3, shuffles=0, permutations=1, resamples=500, splits=20
)
QUICK = SETTINGS.model_copy(update={"resamples": 1, "splits": 1})
SIZE = 24  # perturbations
MODULES, DIMENSIONS, GENES, CELLS, CONTROLS = 5, 8, 150, 60, 240
WIDTH = 12


@dataclass(frozen=True)
class Screen:
    """Cells of a control and of perturbations in modules, and layers that see them more or less well."""

    obs: pd.DataFrame
    counts: Floats
    hidden: Floats  # state of the cells
    view: Floats  # what a layer shows of it

    @classmethod
    def drawn(cls, random: np.random.Generator, n_perturbations: int, shuffled: bool, name: str) -> Screen:
        """Draw a screen, its labels shuffled or not; what perturbations do to genes is always the same."""
        fixed = np.random.default_rng(3)
        modules = fixed.normal(size=(MODULES, DIMENSIONS))
        program = 0.25 * fixed.normal(size=(DIMENSIONS, GENES))
        rates = fixed.gamma(1.0, 1.5, GENES)
        view = fixed.normal(size=(DIMENSIONS, WIDTH))
        strength = random.gamma(2, 0.4, (n_perturbations, 1))
        effects = modules[random.integers(0, MODULES, n_perturbations)] * strength
        owner = np.repeat(np.arange(n_perturbations + 1), [CONTROLS, *[CELLS] * n_perturbations])
        state = random.normal(size=(len(owner), DIMENSIONS))
        hidden = np.vstack([np.zeros(DIMENSIONS), effects])[owner] + state
        mean = random.lognormal(0, 0.3, (len(owner), 1)) * rates * np.exp(hidden @ program)
        counts = random.poisson(mean).astype(np.float64)
        label = random.permutation(owner) if shuffled else owner
        obs = pd.DataFrame(
            {"perturbation": [f"{name}P{one:03d}" for one in label], "is_control": label == 0},
            index=[f"{name}cell{cell}" for cell in range(len(owner))],
        )
        return cls(obs, counts, hidden, view)

    def layers(self, signals: tuple[float, ...], random: np.random.Generator) -> Iterator[Floats]:
        """Layers that see the same of a cell, more or less of it, and have noise of their own."""
        shared = 2.0 * random.normal(size=(len(self.obs), WIDTH))
        for signal in signals:
            yield signal * self.hidden @ self.view + shared + 2.0 * random.normal(size=shared.shape)


def simulate(scenario: Scenario, n_perturbations: int, settings: StrictSettings, seed: int) -> Study:
    """Draw one study and score every layer by protocol strict."""
    random = np.random.default_rng([11, SCENARIOS.index(scenario), seed])
    screen = Screen.drawn(random, n_perturbations, scenario.shuffled, f"study{seed}")
    obs = screen.obs.assign(replicate=random.integers(0, 3, len(screen.obs)).astype(str))
    design = make_design(obs, settings, seed)
    expression = Expression(sparse.csr_matrix(screen.counts), screen.counts.sum(axis=1), count_effects)
    reference = make_reference(expression, design, settings, seed)
    sums = (
        sum_layer(layer, design.groups, design.n_groups) for layer in screen.layers(scenario.signal, random)
    )
    about = subject("perturbation", seed)
    return study_of((strict_scores(of, None, reference, design, about, settings) for of in sums), METRIC)
