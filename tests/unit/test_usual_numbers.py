"""The usual numbers for labels that mean nothing, of measured cells, where their files are at hand."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".." / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the folder of small real data sets is not at {DATA}"
)


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that makes the table of docs/usual_numbers.md."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import usual_numbers

    return usual_numbers


def test_cells_that_are_decoded_from_themselves_need_no_labels(usual: ModuleType) -> None:
    cells, layer = usual.k562(DATA)
    labels = cells.obs["perturbation"].to_numpy(dtype=object)
    shuffled = np.random.default_rng(0).permutation(labels)
    true, twin = (usual.decoded_from_themselves(cells, layer, of) for of in (labels, shuffled))
    assert true == pytest.approx(0.972, abs=0.005)
    assert twin == pytest.approx(true, abs=0.003)


def test_likeness_of_neighbours_times_does_not_see_their_order(usual: ModuleType) -> None:
    cells, layer = usual.worm(DATA)
    minutes = cells.obs["minutes"].to_numpy()
    in_order = usual.sequential_ordering(layer, minutes)
    assert in_order == pytest.approx(0.714, abs=0.01)
    assert usual.sequential_ordering(layer, -minutes) == pytest.approx(in_order, abs=1e-9)
    out_of_order = np.select([minutes == 300, minutes == 400], [400, 300], 500.0)
    assert usual.sequential_ordering(layer, out_of_order) == pytest.approx(0.70, abs=0.01)
    row = usual.scores(cells, layer, "time", time="minutes", batch="batch").loc["tau"]
    assert row["status"] == "undefined" and "4 batches" in row["reason"]


def test_random_folds_of_cells_predict_a_label_that_means_nothing(usual: ModuleType) -> None:
    cells, layer = usual.glioblastoma(DATA)
    donors = cells.obs["donor"].astype(str).to_numpy()
    dealt = usual.dealt_to_donors(donors)[0]
    assert usual.probe_f1(layer, dealt) > 0.9
    assert usual.probe_f1(layer, dealt, donors) < 0.45
