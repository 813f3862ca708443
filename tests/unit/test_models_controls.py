"""The controls differ from the trained model in what they should, and in nothing else."""

import numpy as np
import pytest
import torch
from model_examples import TAHOE_3B, load_scfoundation, load_tahoe_x1

from layerscope.errors import ConfigError
from layerscope.models.base import CellBlock
from layerscope.models.catalogue import FAMILIES, family, implementation
from layerscope.models.controls import apply_control, permute_values


def test_untrained_norms_are_neutral_and_fingerprints_of_drugs_stay():
    model = load_tahoe_x1(TAHOE_3B)
    drugs = model.module.chem_encoder.embedding.weight.clone()
    apply_control(model, "untrained", 0)
    assert torch.equal(model.module.chem_encoder.embedding.weight, drugs)
    assert torch.equal(model.module.transformer_encoder.norm.weight, torch.ones(16))
    assert torch.equal(model.module.transformer_encoder.norm.bias, torch.zeros(16))


def test_untrained_matrices_have_the_scale_of_their_initialisation():
    model = load_scfoundation()
    apply_control(model, "untrained", 0)
    block = model.module.stack[0]
    width = 32
    assert float(block.linear1.weight.detach().abs().max()) <= width**-0.5
    assert float(block.self_attn.in_proj_weight.detach().abs().max()) <= (6 / (4 * width)) ** 0.5
    assert float(model.module.pos_emb.weight.detach().std()) == pytest.approx(1, abs=0.1)


def block(names=("a", "b", "c"), n_genes=40):
    """Cells that express every second, third, ... gene, the more the later the gene."""
    genes = [np.arange(0, n_genes, step + 2) for step in range(len(names))]
    return CellBlock(
        cell_ids=list(names),
        offsets=np.cumsum([0, *map(len, genes)]),
        genes=np.concatenate(genes),
        values=np.concatenate(genes) + 1.0,
        totals=np.array([float((of_cell + 1).sum()) for of_cell in genes]),
        gene_columns=np.arange(n_genes),
        n_columns=np.ones(n_genes, dtype=np.int64),
    )


def by_cell(block):
    return {
        name: block.values[block.offsets[at] : block.offsets[at + 1]]
        for at, name in enumerate(block.cell_ids)
    }


def test_permuted_values_stay_in_their_cell_and_on_its_expressed_genes():
    before = block()
    after = permute_values(before, 1)
    np.testing.assert_array_equal(after.genes, before.genes)
    np.testing.assert_array_equal(after.totals, before.totals)
    for name, values in by_cell(before).items():
        np.testing.assert_array_equal(np.sort(by_cell(after)[name]), values)
        assert (by_cell(after)[name] != values).mean() > 0.7


def test_permuted_values_depend_on_the_cell_and_the_seed_alone():
    together = by_cell(permute_values(block(), 1))
    alone = block(("a",))
    np.testing.assert_array_equal(by_cell(permute_values(alone, 1))["a"], together["a"])
    assert (by_cell(permute_values(alone, 2))["a"] != together["a"]).any()
    assert (by_cell(permute_values(block(("z",)), 1))["z"] != together["a"]).any()


def test_every_gene_gets_every_value_equally_often():
    cells = [f"cell {i}" for i in range(4000)]
    of_one = block(("a",), n_genes=8)
    same = CellBlock(
        cell_ids=cells,
        offsets=np.arange(len(cells) + 1) * 4,
        genes=np.tile(of_one.genes, len(cells)),
        values=np.tile(of_one.values, len(cells)),
        totals=np.repeat(of_one.totals, len(cells)),
        gene_columns=of_one.gene_columns,
        n_columns=of_one.n_columns,
    )
    permuted = permute_values(same, 0).values.reshape(-1, 4)
    shares = [[(permuted[:, gene] == value).mean() for value in of_one.values] for gene in range(4)]
    np.testing.assert_allclose(shares, 0.25, atol=0.03)


def test_a_control_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="choose one of untrained, gene_permuted"):
        apply_control(load_scfoundation(), "shuffled", 0)


def test_the_catalogue_knows_its_families():
    foundation = [name for name, family in FAMILIES.items() if family.foundation]
    assert {"scfoundation", "tahoe_x1", "scgpt", "geneformer"} <= set(foundation)
    for name in foundation:
        assert callable(implementation(name).load)
    with pytest.raises(ConfigError, match="model family 'esm' is not known"):
        family("esm")
    with pytest.raises(ConfigError, match="is a baseline"):
        implementation("hvg_pca")
