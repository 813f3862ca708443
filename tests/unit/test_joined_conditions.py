"""Prepared cells of several conditions as one dataset: two states, two data sets or two species."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from cell_files import write_h5ad
from study_configs import read

from layerscope.cells.canonical import read_cells
from layerscope.cells.orthologs import OrthologTable
from layerscope.cells.prepare import prepare
from layerscope.errors import ConfigError
from layerscope.study import jobs
from layerscope.study.runs import Study

GENES = 30


def write(path: Path, genes: list[str], name: str) -> Path:
    counts = np.random.default_rng(0).poisson(2.0, (20, len(genes)))
    ids = [f"{name}{k}" for k in range(20)]
    return write_h5ad(path, counts, genes, ids, obs={"cell_type": ["a", "b"] * 10})


def prepared(folder: Path, name: str, inputs: list[Path], **settings: object) -> anndata.AnnData:
    prepare(inputs, settings, name, folder / f"{name}.h5ad", folder / f"{name}.tsv")
    return read_cells(folder / f"{name}.h5ad")


def pairs(folder: Path) -> str:
    lines = ["human\tmouse", *(f"GENE{k}\tGene{k}" for k in range(GENES))]
    (folder / "pairs.tsv").write_text("\n".join(lines))
    return str(folder / "pairs.tsv")


def test_cells_of_two_species_stand_in_one_table_and_tell_their_condition(tmp_path: Path) -> None:
    human = write(tmp_path / "h.h5ad", [f"GENE{k}" for k in range(5, GENES)], "h")
    mouse = write(tmp_path / "m.h5ad", [f"Gene{k}" for k in range(GENES)], "m")
    prepared(tmp_path, "human", [human])
    of_mouse = prepared(tmp_path, "mouse", [mouse], orthologs={"table": pairs(tmp_path)})
    files = [tmp_path / "human.h5ad", tmp_path / "mouse.h5ad"]
    both = prepared(tmp_path, "both", files, labels=["condition"], genes={"symbol": "symbol"})
    assert both.obs["condition"].value_counts().to_dict() == {"human": 20, "mouse": 20}
    assert set(both.var_names) == {f"GENE{k}" for k in range(5, GENES)}
    assert np.array_equal(both.X[20:].toarray(), of_mouse[:, both.var_names].X.toarray())


def test_genes_matched_at_random_keep_their_number_and_lose_their_partners(tmp_path: Path) -> None:
    table = OrthologTable.read(pairs(tmp_path))
    var = pd.DataFrame(
        {"symbol": [f"Gene{k}" for k in range(GENES)]}, index=[f"Gene{k}" for k in range(GENES)]
    )
    true, dealt = (of.map(var, "one_to_one") for of in (table, table.shuffled(1)))
    assert len(true[0]) == len(dealt[0]) == GENES
    assert set(true[0].index) == set(dealt[0].index)
    partners = [of[0].index[of[1].indices].tolist() for of in (true, dealt)]
    assert partners[0] == [f"GENE{k}" for k in range(GENES)]
    assert sum(one == other for one, other in zip(*partners, strict=True)) < GENES / 3
    assert table.shuffled(1).pairs.equals(table.shuffled(1).pairs)
    assert not table.shuffled(1).pairs.equals(table.shuffled(2).pairs)


def study(source: dict[str, object]) -> Study:
    config = read("models.yaml", "datasets.yaml")
    dataset = {"kind": "h5ad", "values": "counts", "labels": ["condition"], "source": source}
    transfer = {"column": "condition", "from": "simulated_ages", "to": "simulated_differentiation"}
    config["datasets"]["both"] = dataset
    config["conditions"]["across"] = {"dataset": "both", "task": "label", "settings": {"transfer": transfer}}
    config["study"] = {"title": "both", "conditions": ["across"], "models": ["hvg_pca"]}
    return Study.read(config)


def test_a_dataset_may_be_the_prepared_cells_of_conditions() -> None:
    made = study({"conditions": ["simulated_ages", "simulated_differentiation"]})
    assert jobs.source_file(made, "across") == [
        "results/cells/simulated_ages/cells.h5ad",
        "results/cells/simulated_differentiation/cells.h5ad",
    ]


@pytest.mark.parametrize(
    ("parts", "named"),
    [(["simulated_ages", "simulated_agse"], "did you mean"), (["simulated_ages", "across"], "itself")],
)
def test_conditions_that_cannot_be_joined_are_named(parts: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        study({"conditions": parts})
