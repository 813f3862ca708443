"""Columns of a file of cells find their genes, and say why where they do not."""

import numpy as np
import pytest

from layerscope.errors import DataError, ModelError
from layerscope.models.vocabulary import Vocabulary, match_genes

SYMBOLS = Vocabulary(("TP53", "GATA1", "CD34", "MYC"), "genes.tsv")
ENSEMBL = Vocabulary(tuple(f"ENSG{i:011d}" for i in range(4)), "vocab.json")


def match(vocabulary, column=None, **names):
    return match_genes(vocabulary, names, path="cells.h5ad", column=column)


def test_the_vocabulary_itself_says_whether_it_is_ensembl():
    assert (SYMBOLS.identifiers, ENSEMBL.identifiers) == ("symbol", "ensembl")


@pytest.mark.parametrize(
    ("vocabulary", "names", "index", "rate", "coverage"),
    [
        (ENSEMBL, ["ENSG00000000002.14", "ENSG00000000000", "ENSG00000000009.1"], [2, 0, -1], 2 / 3, 0.5),
        (SYMBOLS, ["gata1", "GATA1", "TP53 ", "CD34", "MYC"], [-1, 1, -1, 2, 3], 0.6, 0.75),
    ],
)
def test_ensembl_ids_match_with_any_version_and_symbols_exactly(vocabulary, names, index, rate, coverage):
    matched = match(vocabulary, var_names=names)
    assert matched.index.tolist() == index
    assert (matched.rate, matched.coverage) == (pytest.approx(rate), coverage)


def test_the_first_column_of_a_repeated_gene_is_remembered():
    matched = match(SYMBOLS, var_names=["MYC", "CD34", "MYC"])
    np.testing.assert_array_equal(matched.index, [3, 2, 3])
    np.testing.assert_array_equal(matched.gene_columns, [-1, -1, 1, 0])


def test_the_standard_column_of_the_right_kind_comes_first_then_what_knows_most():
    names = {"var_names": ["TP53", "CD34"], "symbol": ["TP53", "x"], "other": ["MYC", "CD34"]}
    assert match(SYMBOLS, **names).column == "symbol"
    names["symbol"] = ["x", "y"]
    assert match(SYMBOLS, **names).column == "var_names"
    assert match(ENSEMBL, var_names=["a"], gene_ids=["ENSG00000000001"]).column == "gene_ids"
    assert match(SYMBOLS, column="other", **names).column == "other"


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are():
    with pytest.raises(DataError, match=r"'symbols'.*var_names"):
        match(SYMBOLS, column="symbols", var_names=["TP53"], symbol=["TP53"])


@pytest.mark.parametrize(
    ("vocabulary", "names", "cause"),
    [
        (SYMBOLS, ["Tp53", "Gata1", "Cd34", "MYC", "Zfp1"], "mouse symbols"),
        (SYMBOLS, [*(f"ENSG{i:011d}" for i in range(5)), "MYC"], "Ensembl ids where symbols are needed"),
        (ENSEMBL, ["TP53", "GATA1", "ENSG00000000001"], "no Ensembl ids"),
        (ENSEMBL, [*(f"ENSMUSG{i:011d}" for i in range(3)), "ENSG00000000001"], "another species"),
        (SYMBOLS, ["AAA", "BBB", "MYC"], "wrong column"),
    ],
)
def test_a_low_match_rate_names_the_likely_cause(vocabulary, names, cause):
    matched = match(vocabulary, var_names=names)
    assert matched.rate < 0.5
    assert cause in matched.warning and "cells.h5ad: 1 of" in matched.warning
    assert match(SYMBOLS, var_names=["TP53", "CD34", "x"]).warning == ""


def test_no_match_at_all_is_an_error_with_the_cause():
    with pytest.raises(DataError, match=r"0 of 2 .*mouse"):
        match(SYMBOLS, var_names=["Tp53", "Gata1"])


def test_a_vocabulary_without_genes_or_with_repeats_is_refused():
    with pytest.raises(ModelError, match="holds no gene"):
        Vocabulary((), "genes.tsv")
    with pytest.raises(ModelError, match=r"twice .*MYC"):
        Vocabulary(("MYC", "CD34", "MYC"), "genes.tsv")


def test_a_table_of_names_decides_alone_what_is_known():
    names = {"ENSG00000000009": "ENSG00000000001", "ENSG00000000002": "ENSG00000000002", "x": "y"}
    vocabulary = Vocabulary(ENSEMBL.genes, "tokens.pkl", names, ignore_case=True)
    matched = match(
        vocabulary,
        var_names=["ensg00000000009.3", "ENSG00000000001", "ENSG00000000002", "ENSG00000000009", "x"],
    )
    np.testing.assert_array_equal(matched.index, [1, -1, 2, 1, -1])
    np.testing.assert_array_equal(matched.n_columns, [0, 2, 1, 0])
