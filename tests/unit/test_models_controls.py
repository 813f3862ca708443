"""The controls differ from the trained model in what they should, and in nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_examples import TAHOE_3B, block_of, load_scfoundation, load_tahoe_x1

from layerscope.errors import ConfigError, DataError
from layerscope.models.catalogue import FAMILIES, family, implementation
from layerscope.models.controls import apply_control, permute_values, thin


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
    genes, step = np.arange(n_genes), np.arange(len(names))[:, None] + 2
    return block_of(np.where(genes % step == 0, genes + 1, 0), names)


def by_cell(block):
    return {name: block.values[block.entries(cell)] for cell, name in enumerate(block.cell_ids)}


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
    values = np.array([1, 3, 5, 7])
    same = block_of(np.tile(values, (4000, 1)), [f"cell {i}" for i in range(4000)])
    permuted = permute_values(same, 0).values.reshape(-1, 4)
    shares = [[(permuted[:, gene] == value).mean() for value in values] for gene in range(4)]
    np.testing.assert_allclose(shares, 0.25, atol=0.03)


def deep(cells=("a", "b", "c"), n_genes=300):
    """Cells of counts of 8 to 12, and ten times their sum in genes that the model does not know."""
    rows = [np.random.default_rng(len(cell)).integers(8, 13, n_genes) for cell in cells]
    dense = np.array(rows, dtype=np.float64)
    return replace(block_of(dense, list(cells)), totals=11 * dense.sum(axis=1))


def test_thinning_keeps_half_of_a_cells_molecules_and_no_gene_without_one():
    before = deep()
    after = thin(before, 1)
    for cell in range(3):
        kept = dict(zip(after.genes[after.entries(cell)], after.values[after.entries(cell)], strict=True))
        had = dict(zip(before.genes[before.entries(cell)], before.values[before.entries(cell)], strict=True))
        assert all(1 <= kept[gene] <= had[gene] for gene in kept)
        assert sum(kept.values()) / sum(had.values()) == pytest.approx(0.5, abs=0.04)
        assert after.totals[cell] / before.totals[cell] == pytest.approx(0.5, abs=0.02)
        assert after.totals[cell] >= sum(kept.values())
    once = replace(before, values=np.ones(len(before.values)), totals=np.full(3, 300.0))
    assert thin(once, 1).offsets[-1] == pytest.approx(450, abs=60)
    assert (thin(once, 1).values == 1).all()


def test_what_thinning_keeps_depends_on_the_cell_and_the_seed_alone():
    together, alone = thin(deep(), 1), thin(deep(("b",)), 1)
    np.testing.assert_array_equal(together.values[together.entries(1)], alone.values)
    assert together.totals[1] == alone.totals[0]
    assert thin(deep(("b",)), 2).totals[0] != alone.totals[0]
    other = thin(deep(("z",)), 1)
    assert other.values[:100].tolist() != alone.values[:100].tolist()


def test_molecules_are_drawn_by_chance_of_each():
    """The spread of a binomial number, n / 4, and views of two seeds that keep apart: no correlation."""
    cells = [f"cell {number}" for number in range(2000)]
    same = block_of(np.full((2000, 2), 10.0), cells)
    one, two = (np.zeros((2000, 2)) for _ in range(2))
    for view, seed in ((one, 1), (two, 2)):
        thinned = thin(same, seed)
        view[thinned.cells, thinned.genes] = thinned.values
    assert one.mean() == pytest.approx(5, abs=0.1)
    assert one.var() == pytest.approx(2.5, rel=0.1)
    assert abs(np.corrcoef(one[:, 0], two[:, 0])[0, 1]) < 0.08
    assert abs(np.corrcoef(one[:, 0], one[:, 1])[0, 1]) < 0.08


@pytest.mark.parametrize(
    "change", [{"log_normalised": True}, {"values": np.full(900, 0.5)}, {"totals": np.full(3, 1e6 + 0.5)}]
)
def test_only_whole_counts_can_be_thinned(change):
    with pytest.raises(DataError, match="whole counts"):
        thin(replace(deep(), **change), 1)


def test_a_control_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="untrained, gene_permuted"):
        apply_control(load_scfoundation(), "shuffled", 0)


def test_the_catalogue_knows_its_families():
    foundation = [name for name, family in FAMILIES.items() if family.foundation]
    assert {"scfoundation", "tahoe_x1", "scgpt", "geneformer"} <= set(foundation)
    for name in foundation:
        assert callable(implementation(name).load)
    with pytest.raises(ConfigError, match="family 'esm'"):
        family("esm")
    with pytest.raises(ConfigError, match="is a baseline"):
        implementation("hvg_pca")
