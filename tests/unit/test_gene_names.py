"""The other name of a gene, from a table in HGNC's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cell_files import write_h5ad

import prepare_cells
from layerscope.cells.canonical import provenance, read_cells
from layerscope.cells.gene_names import GeneNames
from layerscope.cells.obs import read_obs
from layerscope.errors import DataError

TABLE = """hgnc_id\tsymbol\tname\tprev_symbol\tensembl_gene_id
HGNC:1\tTP53\ttumor protein\t\tENSG00000141510
HGNC:2\tSEPTIN2\t"a name, quoted"\tSEPT2|NEDD5\tENSG00000168385
HGNC:3\tMARCHF1\t\tMARCH1|SHARED\tENSG00000145416
HGNC:4\tCD3E\t\tSHARED\tENSG00000198851.5
HGNC:5\tNOID\t\tOLD1\t
HGNC:6\tMT-ND1\t\tTP53\tENSG00000198888
HGNC:7\tTWICE\t\t\tENSG00000000007
HGNC:8\tTWICE\t\t\tENSG00000000008
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "hgnc_complete_set.txt"
    path.write_text(TABLE, encoding="utf-8")
    return path


def ids_of(table: Path, *symbols: str) -> list[str]:
    var = pd.DataFrame({"symbol": symbols}, index=list(symbols))
    return GeneNames.read(table).complete(var)[0]["ensembl_id"].tolist()


def test_a_symbol_of_today_has_its_gene_and_an_earlier_one_the_gene_that_alone_had_it(table):
    assert ids_of(table, "TP53", "SEPT2", "CD3E") == ["ENSG00000141510", "ENSG00000168385", "ENSG00000198851"]
    assert ids_of(table, "SHARED", "NOID", "TWICE", "tp53", "TP53") == ["", "", "", "", "ENSG00000141510"]


def test_a_gene_is_not_counted_under_two_symbols(table):
    assert ids_of(table, "SEPT2", "SEPTIN2") == ["", "ENSG00000168385"]


def test_ensembl_ids_get_symbols(table):
    var = pd.DataFrame({"ensembl_id": ["ENSG00000198888", "ENSG00000099999"]}, index=["a", "b"])
    completed, said = GeneNames.read(table).complete(var)
    assert completed["symbol"].tolist() == ["MT-ND1", ""]
    assert said == "symbols of 1 of 2 genes from hgnc_complete_set.txt"


def test_what_has_both_names_stays_as_it_is(table):
    var = pd.DataFrame({"symbol": ["X"], "ensembl_id": ["ENSG00000000001"]}, index=["X"])
    assert GeneNames.read(table).complete(var) == (var, "")


def test_a_table_of_something_else_is_refused(table, tmp_path):
    with pytest.raises(DataError, match=r"2 genes.*'Trp53'.*species"):
        ids_of(table, "Trp53", "Cd3e")
    other = tmp_path / "other.tsv"
    other.write_text("gene\tid\nTP53\t1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.tsv.*'symbol'"):
        GeneNames.read(other)


def test_prepared_cells_carry_both_names(table, tmp_path):
    symbols = ["TP53", "SEPT2", "CD3E", "MT-ND1", "LINC9"]
    source = write_h5ad(tmp_path / "a.h5ad", np.random.default_rng(0).poisson(2.0, (20, 5)), symbols)
    arguments = ["--input", str(source), "--settings", "{}", "--condition", "toy"]
    outputs = ["--output", str(tmp_path / "cells.h5ad"), "--summary", str(tmp_path / "summary.tsv")]
    outputs += ["--obs", str(tmp_path / "obs.parquet")]
    prepare_cells.main([*arguments, *outputs, "--gene-names", str(table)])
    assert list(read_obs(tmp_path / "obs.parquet").index) == [f"cell{i}" for i in range(20)]
    made = read_cells(tmp_path / "cells.h5ad")
    assert made.var["symbol"].tolist() == symbols
    assert made.var["ensembl_id"].tolist()[1:3] == ["ENSG00000168385", "ENSG00000198851"]
    assert made.var["ensembl_id"].tolist()[4] == ""
    assert "Ensembl ids of 4 of 5" in str(provenance(made)["seen"])
