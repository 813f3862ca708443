"""What a model costs follows from the sizes of its entry, before any weight is there."""

from pathlib import Path

import pytest

from layerscope.models.network_size import NetworkSize, operations
from layerscope.verification.command import read_entry

MODELS = Path(__file__).parents[2] / "config" / "models.yaml"


def test_operations_are_those_of_the_products_that_a_block_makes():
    width, wide, tokens, heads = 32, 64, 10, 4
    per_head = width // heads
    shapes = [(tokens, width, width)] * 4 + [(tokens, width, wide), (tokens, wide, width)]
    shapes += [(tokens, per_head, tokens), (tokens, tokens, per_head)] * heads
    counted = sum(2 * rows * inner * columns for rows, inner, columns in shapes)
    assert operations(width, wide, 3, tokens) == 3 * counted


def test_tokens_follow_from_genes_up_to_what_the_model_takes():
    size = NetworkSize(width=8, feed_forward=16, max_tokens=100)
    assert [size.tokens_of(n) for n in (5, 100, 4000)] == [5, 100, 100]
    assert [size.tokens_of(n, max_length=50) for n in (5, 100, 4000)] == [5, 50, 50]
    fixed = NetworkSize(width=8, feed_forward=16, max_tokens=100, tokens=70)
    assert [fixed.tokens_of(n) for n in (5, 4000)] == [70, 70]
    causal = NetworkSize(width=8, feed_forward=16, max_tokens=100, causal=True)
    assert size.operations(2, 50) - causal.operations(2, 50) == 2 * 2 * 50**2 * 8


@pytest.mark.parametrize(
    ("model", "gflop"),
    [
        ("scfoundation", 452),
        ("tahoe_x1_70m", 230),
        ("geneformer_v2_104m", 518),
        ("transcriptformer_sapiens", 1410),
    ],
)
def test_the_catalogue_states_the_sizes_that_were_measured(model, gflop):
    entry = read_entry(MODELS, model)
    assert entry.network is not None
    cells = [entry.network.operations(entry.layers, tokens) for tokens in range(1524, 2221, 20)]
    mean = sum(cells) / len(cells) / 1e9
    assert mean == pytest.approx(gflop, rel=0.25)
