"""A model that hardly sees the cells is told of next to what is recommended."""

import numpy as np
import pandas as pd
import pytest
from family_examples import EXAMPLES, N_GENES
from model_examples import counts, run_extraction, write_h5ad

from layerscope.extraction.embeddings_file import read_provenance
from layerscope.report.cautions import KEYS, cautions
from layerscope.tables import SCORE_COLUMNS

CONDITIONS = {
    "conditions": {
        "a": {"cells": "a"},
        "types_of_a": {"cells": "a"},
        "b": {"cells": "b"},
        "c": {"cells": "c"},
    }
}

NOTHING_SCORED = pd.DataFrame(columns=SCORE_COLUMNS), pd.DataFrame(columns=[*KEYS, "use", "best_layer"])


def test_layers_in_which_cells_are_alike_and_vocabularies_that_hold_few_counts_are_told_of():
    geometry = pd.DataFrame(
        {
            "condition": ["a"] * 4 + ["b", "c"],
            "model": ["one"] * 4 + ["two", "two"],
            "layer": ["00", "01", "02", "03", "01", "00"],  # the last is what enters the first block
            "anisotropy": [0.991, 0.999, 0.99, 0.5, np.nan, 1.0],
        }
    )
    warned = pd.DataFrame(
        {
            "of": ["a, one", "b, two, 1-of-2", "b, two", "a"],
            "warning": [
                "34% of the counts are of genes that the model knows",
                "12% of the counts are of genes that the model knows",
                "12% of the counts are of genes that the model knows",
                "something else",
            ],
        }
    )
    said = cautions(CONDITIONS, *NOTHING_SCORED, geometry, warned)
    assert set(said) == {("a", "one"), ("types_of_a", "one"), ("b", "two")}
    assert said["a", "one"] == said["types_of_a", "one"]
    assert "34% of the counts" in said["a", "one"][0] and "layers 0-1" in said["a", "one"][1]
    assert said["b", "two"] == ("12% of the counts are of genes that the model knows.",)
    assert cautions(CONDITIONS, *NOTHING_SCORED) == {}


@pytest.mark.parametrize(("n_unknown", "warns"), [(5, False), (200, True)])
def test_a_vocabulary_that_holds_few_of_the_counts_is_warned_of(tmp_path, caplog, n_unknown, warns):
    example = EXAMPLES["geneformer"]
    known = counts(20, N_GENES)
    matrix = np.hstack([known, np.random.default_rng(0).poisson(1.0, (20, n_unknown))])
    genes = [*example.genes, *(f"ENSG{9_000_000_000 + i:011d}" for i in range(n_unknown))]
    cells = write_h5ad(tmp_path / "cells.h5ad", matrix, genes)
    output = run_extraction(example.write(tmp_path / "w"), cells, tmp_path / "o.h5ad", "geneformer")
    share = known.sum() / matrix.sum()
    assert read_provenance(output)["share_of_counts_known"] == pytest.approx(share, abs=1e-4)
    assert (
        any(f"{share:.0%} of the counts" in record.message for record in caplog.records)
        is warns
        is bool(share < 0.5)
    )
