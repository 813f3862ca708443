"""Genes are told from other features and other genomes, and their names from ids that are none."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from layerscope.cells.gene_table import GeneTable, gene_table
from layerscope.cells.settings import Reading
from layerscope.errors import ConfigError, DataError

SYMBOLS = ["TP53", "CD3E", "MT-ND1", "ACTB"]
IDS = [f"ENSG{i:011d}" for i in range(4)]


def table(names: list[str], **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.Index(names, dtype=object))


def genes(features: pd.DataFrame, **settings: Any) -> GeneTable:
    return gene_table(features, Reading.read(settings), "f")


@pytest.mark.parametrize("column", ["feature_types", "feature_type", "Feature.Type", "modality", "type"])
@pytest.mark.parametrize(
    ("gene", "other"),
    [
        ("Gene Expression", "Antibody Capture"),
        ("gene", "CRISPR Guide Capture"),
        ("RNA", "ADT"),
        ("GEX", "odd"),
    ],
)
def test_features_of_other_types_are_left_out_and_said(column, gene, other):
    features = table([*SYMBOLS[:2], "CD4-A0072", *SYMBOLS[2:], "g1"])
    features[column] = pd.Categorical([gene, gene, other, "", gene, other])
    read = genes(features)
    assert read.var["symbol"].tolist() == SYMBOLS
    assert read.columns is not None and read.columns.tolist() == [0, 1, 3, 4]
    assert f"{other} (2)" in read.remarks[0]
    assert read.doubts == []


def test_biotypes_of_genes_are_no_types_of_features():
    for column, types in (
        ("feature_type", ["protein_coding", "lncRNA"] * 2),
        ("type", ["gene", "pseudogene"] * 2),
    ):
        read = genes(table(SYMBOLS, **{column: types}))
        assert read.columns is None and len(read.var) == 4


def test_a_file_of_antibodies_alone_is_refused():
    with pytest.raises(DataError, match="no feature"):
        genes(table(["CD3", "CD4"], feature_types=["Antibody Capture"] * 2))


@pytest.mark.parametrize(
    "name",
    [
        "CD19_TotalSeqC",
        "HTO_1",
        "Hashtag3",
        "adt_CD4",
        "CD45RA",
        "CD8",
        "CMO301",
        "IgG1-isotype",
        "CD4-A0072",
    ],
)
def test_names_of_antibodies_and_hashtags_among_genes_are_warned_of(name):
    assert name in genes(table([*SYMBOLS, name])).doubts[0]
    assert name in genes(table([*IDS, "x"], gene_name=[*SYMBOLS, name])).doubts[0]
    assert genes(table(["CD4", "CD19", "HASPIN", "ADTRP", "CD8A", "LMO2", "ANTXR1"])).doubts == []


@pytest.mark.parametrize(
    ("human", "mouse"),
    [("GRCh38_", "mm10_"), ("GRCh38_", "mm10___"), ("hg19-", "mm10---"), ("HUMAN_", "MOUSE_")],
)
def test_of_several_genomes_one_is_chosen_and_the_prefix_stripped(human, mouse):
    names = [*(human + name for name in SYMBOLS), *(mouse + name.capitalize() for name in SYMBOLS)]
    ids = [*(human + gene for gene in IDS), *(mouse + gene.replace("ENSG", "ENSMUSG") for gene in IDS)]
    features = table(names, gene_ids=ids)
    wanted, other = human.rstrip("_-"), mouse.rstrip("_-")
    with pytest.raises(ConfigError, match=rf"{wanted} \(4\), {other} \(4\).*`genome: {wanted}`"):
        genes(features)
    read = genes(features, genome=wanted.lower())
    assert read.var["symbol"].tolist() == SYMBOLS
    assert read.var["ensembl_id"].tolist() == IDS
    assert f"{other} (4)" in read.remarks[0]
    with pytest.raises(ConfigError, match="genome 'rn6'"):
        genes(features, genome="rn6")


def test_genomes_are_told_by_a_column_or_by_ensembl_ids_without_prefix():
    mixed = table([*SYMBOLS, *map(str.capitalize, SYMBOLS)], genome=["GRCh38"] * 4 + ["mm10"] * 4)
    assert genes(mixed, genome="GRCh38").var["symbol"].tolist() == SYMBOLS
    ids = table([*IDS, *(name.replace("ENSG", "ENSMUSG") for name in IDS)])
    assert genes(ids, genome="human").var["ensembl_id"].tolist() == IDS
    with pytest.raises(ConfigError, match=r"human \(4\), mouse \(4\)"):
        genes(ids)


def test_the_prefix_of_the_only_genome_is_stripped_and_said():
    read = genes(table([f"GRCh38_{name}" for name in SYMBOLS]))
    assert (read.var.index.tolist(), read.columns) == (SYMBOLS, None)
    assert "GRCh38_TP53" in read.remarks[0]


def test_names_that_only_look_like_prefixed_stay():
    names = ["HLA_A", "MT-ND1", "mm10_x", "A_1"]
    assert genes(table(names)).var["symbol"].tolist() == names


@pytest.mark.parametrize("ids", [SYMBOLS, ["1", "2", "3", "4"], ["WBGene00000001"] * 4])
def test_ids_that_are_no_ensembl_ids_are_left_out_and_said(ids):
    read = genes(table(SYMBOLS, ensembl_id=ids, symbol=SYMBOLS))
    assert read.var.columns.tolist() == ["symbol"]
    assert "ensembl_id" in read.remarks[0] and "no Ensembl ids" in read.remarks[0]


@pytest.mark.parametrize(
    "ids", [["7157", "916", "4535", "60"], ["FBgn0000001", "FBgn0000002", "FBgn0000003", "x"]]
)
def test_symbols_stand_in_a_column_where_the_index_holds_ids_of_another_kind(ids):
    assert genes(table(ids, gene_symbols=SYMBOLS)).var["symbol"].tolist() == SYMBOLS
    assert genes(table(ids)).var["symbol"].tolist() == ids


def test_a_column_that_the_user_names_is_held_to_its_word():
    with pytest.raises(DataError, match="not hold Ensembl"):
        genes(table(SYMBOLS, ids=SYMBOLS), genes={"ensembl_id": "ids"})
