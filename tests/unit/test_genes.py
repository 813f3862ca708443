"""Gene identifiers."""

import pandas as pd
import pytest

from layerscope.cells.genes import are_ensembl, identify, is_mitochondrial, organism, strip_version
from layerscope.errors import DataError

HUMAN = ["TP53", "MT-ND1", "HLA-A", "C1orf112", "AL627309.1", "CD3E"]
MOUSE = ["Trp53", "mt-Nd1", "H2-K1", "0610009L18Rik", "Actb", "Cd3e"]
ENSEMBL = ["ENSG00000141510.17", "ENSG00000198888", "ENSG00000182378.14_PAR_Y"]


def test_versions_are_stripped_and_nothing_else():
    stripped = ["ENSG00000141510", "ENSG00000198888", "ENSG00000182378_PAR_Y", "AL627309.1"]
    assert [strip_version(name) for name in [*ENSEMBL, "AL627309.1"]] == stripped


@pytest.mark.parametrize(
    ("columns", "species"),
    [
        ({"symbol": HUMAN}, "human"),
        ({"symbol": MOUSE}, "mouse"),
        ({"ensembl_id": ["ENSMUSG00000059552", "ENSMUSG00000064341"]}, "mouse"),
        ({"ensembl_id": ["ENSG00000141510"], "symbol": ["TP53"]}, "human"),
        ({"symbol": ["1", "2", "3"]}, "unknown"),
        ({"ensembl_id": ["ENSMUSG00000059552"], "symbol": ["TP53"]}, "unknown"),
    ],
)
def test_species_are_told_apart(columns, species):
    assert organism(pd.DataFrame(columns)) == species


def test_mitochondrial_genes_are_found_in_both_cases():
    for symbols in (HUMAN, MOUSE):
        assert list(is_mitochondrial(pd.DataFrame({"symbol": symbols}))) == [False, True, *[False] * 4]
    assert is_mitochondrial(pd.DataFrame({"ensembl_id": ENSEMBL})) is None


def test_symbols_and_ensembl_ids_are_recognised_without_being_told():
    table = identify(ENSEMBL, pd.DataFrame({"gene_name": ["TP53", "MT-ND1", "ASMTL"]}), {}, "f")
    assert list(table["symbol"]) == ["TP53", "MT-ND1", "ASMTL"]
    assert list(table["ensembl_id"]) == [strip_version(name) for name in ENSEMBL]
    assert list(table.index) == list(table["ensembl_id"])
    table = identify(["TP53", "TP53"], pd.DataFrame({"gene_ids": ENSEMBL[:2]}), {}, "f")
    assert list(table.index) == ["TP53", "TP53-1"]
    assert list(table["symbol"]) == ["TP53", "TP53"]
    assert list(table["ensembl_id"]) == ["ENSG00000141510", "ENSG00000198888"]


def test_what_the_study_says_goes_first():
    var = pd.DataFrame({"gene_name": ["a", "b"], "alias": ["TP53", "MT-ND1"]})
    assert list(identify(["x", "y"], var, {"symbol": "alias"}, "f")["symbol"]) == ["TP53", "MT-ND1"]
    assert list(identify(ENSEMBL[:2], var, {"symbol": None}, "f").columns) == ["ensembl_id"]


@pytest.mark.parametrize(
    ("index", "mapping", "words"),
    [
        (["x", "y"], {"symbol": "gene_names"}, "did you mean 'gene_name'"),
        (["x", "y"], {"ensembl_id": "gene_name"}, "names such as TP53"),
        (ENSEMBL[:2], {"symbol": "index"}, "names such as ENSG"),
    ],
)
def test_wrong_columns_are_refused(index, mapping, words):
    with pytest.raises(DataError, match=words):
        identify(index, pd.DataFrame({"gene_name": ["TP53", "MT-ND1"]}), mapping, "f")


def test_a_few_odd_names_do_not_decide():
    assert are_ensembl([*ENSEMBL, "GFP"])
    assert not are_ensembl([*HUMAN, "ENSG00000141510"])
    assert not are_ensembl([])
