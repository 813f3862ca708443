"""Mouse cells over the human orthologs of their genes."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from cell_files import prepared, write_h5ad

from layerscope.cells.canonical import provenance
from layerscope.cells.fit import fit
from layerscope.cells.orthologs import OrthologTable
from layerscope.errors import ConfigError, DataError
from layerscope.models.catalogue import FAMILIES
from layerscope.tables import read_table

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
# Trp53 one to one; Klk1b1 and Klk1b3 to one human gene; Cyp2d9 to two
PAIRS = (
    ("TP53", "Trp53"),
    ("KLK1", "Klk1b1"),
    ("KLK1", "Klk1b3"),
    ("CYP2D6", "Cyp2d9"),
    ("CYP2D7", "Cyp2d9"),
)
HUMAN = {name: f"ENSG{i:011d}" for i, name in enumerate(("TP53", "KLK1", "CYP2D6", "CYP2D7", "ACTB"))}
MOUSE = {name: f"ENSMUSG{i:011d}" for i, name in enumerate(("Trp53", "Klk1b1", "Klk1b3", "Cyp2d9", "Actb"))}
KIND = {"TP53": "one2one", "KLK1": "one2many", "CYP2D6": "one2many", "CYP2D7": "one2many"}


def symbols(path: Path) -> Path:
    rows = "\n".join(f"{mouse}\t{human}" for human, mouse in PAIRS)
    path.write_bytes(gzip.compress(f"Mouse gene name\tHuman gene name\n{rows}\n".encode()))
    return path


def ids(path: Path) -> Path:
    path.write_text("\n".join(["human,mouse", *(f"{HUMAN[h]}.3,{MOUSE[m]}" for h, m in PAIRS)]) + "\n")
    return path


def biomart(path: Path) -> Path:
    header = "Gene stable ID\tGene name\tMouse gene stable ID\tMouse gene name\tMouse homology type\t"
    header += "%id. target Mouse gene identical to query gene"
    rows = [f"{HUMAN[h]}\t{h}\t{MOUSE[m]}\t{m}\tortholog_{KIND[h]}\t91" for h, m in PAIRS]
    path.write_text("\n".join([header, *rows, "ENSG00000009999\tNONE1\t\t\t\t"]) + "\n")
    return path


def biomart_of_mouse(path: Path) -> Path:
    header = "ensembl_gene_id\texternal_gene_name\thsapiens_homolog_ensembl_gene\t"
    header += "hsapiens_homolog_associated_gene_name\thsapiens_homolog_orthology_type"
    rows = [f"{MOUSE[m]}\t{m}\t{HUMAN[h]}\t{h}\tortholog_{KIND[h]}" for h, m in PAIRS]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def hcop(path: Path) -> Path:
    header = (
        "human_entrez_gene human_ensembl_gene hgnc_id human_name human_symbol human_chr human_assert_ids "
    )
    header += (
        "mouse_entrez_gene mouse_ensembl_gene mgi_id mouse_name mouse_symbol mouse_chr mouse_assert_ids "
    )
    header = f"{header}support".replace(" ", "\t")
    rows = [
        f"1\t{HUMAN[h]}\tHGNC:1\ta name\t{h}\t1\t-\t2\t{MOUSE[m]}\tMGI:1\ta name\t{m}\t1\t-\tNCBI,Ensembl,OMA"
        for h, m in PAIRS
    ]
    weak = f"1\t{HUMAN['ACTB']}\t-\t-\tACTB\t1\t-\t2\t{MOUSE['Trp53']}\t-\t-\tTrp53\t1\t-\tOMA"
    path.write_text("\n".join([header, *rows, weak]) + "\n")
    return path


TABLES = {
    "symbols": (symbols, "s.tsv.gz"),
    "ids": (ids, "i.csv"),
    "biomart": (biomart, "b.txt"),
    "biomart_of_mouse": (biomart_of_mouse, "m.tsv"),
    "hcop": (hcop, "h.txt"),
}


def mouse_genes(kind: str) -> pd.DataFrame:
    return pd.DataFrame({kind: list(MOUSE if kind == "symbol" else MOUSE.values())}, index=list(MOUSE))


@pytest.mark.parametrize("layout", TABLES)
@pytest.mark.parametrize(
    ("policy", "expected"), [("one_to_one", {"TP53": [0]}), ("sum", {"TP53": [0], "KLK1": [1, 2]})]
)
def test_tables_of_each_layout_give_the_same_pairs(
    tmp_path: Path, layout: str, policy: Any, expected: Any
) -> None:
    write, name = TABLES[layout]
    table = OrthologTable.read(write(tmp_path / name))
    for kind in set(table.pairs) & {"symbol", "ensembl_id"}:
        var, mapping, sentence = table.map(mouse_genes(kind), policy)
        if "symbol" in var:
            assert var["symbol"].tolist() == list(expected)
        if "ensembl_id" in var:
            assert var["ensembl_id"].tolist() == [HUMAN[human] for human in expected]
        assert [np.flatnonzero(column).tolist() for column in mapping.toarray().T] == list(expected.values())
        assert "of 5 genes" in sentence and ("symbols" if kind == "symbol" else "Ensembl ids") in sentence


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gene\tfunction\nTP53\tx\n", "human and of another"),
        ("human_symbol\thuman_gene_name\nA\tB\n", "human and of another"),
        ("human\tmouse\nTP53\tTrp53\n", "by symbols, the cells by"),
        (f"human\tmouse\nENSG{1:011d}\tENSMUSG{77:011d}\n", "none of the 5 genes"),
    ],
)
def test_tables_of_something_else_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.tsv").write_text(content)
    with pytest.raises(DataError, match=message):
        OrthologTable.read(tmp_path / "t.tsv").map(mouse_genes("ensembl_id"), "one_to_one")


def mouse_cells(path: Path, of_trp53: int, n_cells: int = 20) -> np.ndarray:
    means = np.outer(np.linspace(0.5, 2, n_cells), [of_trp53, 4, 4, 4, 4])
    values = np.random.default_rng(0).poisson(means).astype(np.float32)
    write_h5ad(path, values, list(MOUSE))
    return values


@pytest.mark.parametrize(("policy", "columns"), [("one_to_one", [[0]]), ("sum", [[0], [1, 2]])])
def test_counts_of_orthologs_are_in_the_cells_and_their_share_in_summary_and_provenance(
    tmp_path: Path, policy: str, columns: list[list[int]]
) -> None:
    values = mouse_cells(tmp_path / "a.h5ad", of_trp53=30)
    table = str(biomart(tmp_path / "b.tsv"))
    cells = prepared(tmp_path / "a.h5ad", tmp_path, orthologs={"table": table, "policy": policy})
    expected = np.column_stack([values[:, genes].sum(axis=1) for genes in columns])
    np.testing.assert_array_equal(cells.X.toarray(), expected)
    share = expected.sum() / values.sum()
    about = provenance(cells)
    assert about["orthologs"]["share_of_counts"] == pytest.approx(share, abs=1e-4)
    assert about["organism"] == "human"
    table = read_table(tmp_path / "summary.tsv", text=("threshold", "remark"))
    row = table[table["filter"] == "orthologs"].iloc[0]
    assert (row["threshold"], row["genes_before"], row["genes_after"]) == (policy, 5, len(columns))
    assert row["remark"].startswith(f"{share:.1%} of the counts")


def test_a_small_share_of_the_counts_is_warned_of_and_a_tiny_one_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"orthologs": {"table": str(symbols(tmp_path / "s.tsv.gz"))}}
    values = mouse_cells(tmp_path / "a.h5ad", of_trp53=8)
    assert 0.2 < values[:, 0].sum() / values.sum() < 0.5
    prepared(tmp_path / "a.h5ad", tmp_path, **settings)
    assert any(record.levelname == "WARNING" and "ortholog" in record.message for record in caplog.records)
    mouse_cells(tmp_path / "a.h5ad", of_trp53=1)
    with pytest.raises(DataError, match=r"20% .*Mend"):
        prepared(tmp_path / "a.h5ad", tmp_path, **settings)


def test_logarithms_are_not_added_up(tmp_path: Path) -> None:
    mouse_cells(tmp_path / "a.h5ad", of_trp53=5)
    orthologs = {"table": str(symbols(tmp_path / "s.tsv.gz")), "policy": "sum"}
    with pytest.raises(ConfigError, match="logarithms"):
        prepared(tmp_path / "a.h5ad", tmp_path, values="log_normalised", orthologs=orthologs)


def test_real_mouse_cells_keep_most_of_their_counts() -> None:
    path, cells = SHARED / "human_mouse_one_to_one.tsv.gz", SHARED / "paul15_counts_240.h5ad"
    if not path.is_file() or not cells.is_file():
        pytest.skip("needs ../shared/data, which is not part of the repository")
    mice = anndata.read_h5ad(cells)
    var = pd.DataFrame({"symbol": list(mice.var_names)}, index=mice.var_names)
    human, mapping, _ = OrthologTable.read(path).map(var, "one_to_one")
    assert len(human) == 202
    assert (mice.X @ mapping).sum() / mice.X.sum() == pytest.approx(0.88, abs=0.01)


@pytest.mark.parametrize("family", [name for name, entry in FAMILIES.items() if entry.foundation])
def test_mouse_cells_by_symbols_go_to_every_model_as_they_are_or_over_orthologs(family: str) -> None:
    mouse = pd.DataFrame({"symbol": [f"{name}{k}" for name in ("Actb", "Gapdh", "Cd3e") for k in range(20)]})
    way = fit(FAMILIES[family], "counts", mouse)
    assert not way.lacks
    assert way.orthologs == ("" if family in ("uce", "scconcept") else "hcop_mouse")
