"""Golden and small random UCE releases, and cells for them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model_examples import GOLDEN, arrays, dense_counts, over_vocabulary

from layerscope.models import uce
from layerscope.models.base import CellBlock
from layerscope.models.settings import Settings
from layerscope.models.uce_network import UCEConfig, UCEEncoder

SETS = sorted(path.parent for path in (GOLDEN / "uce").glob("*/golden.npz"))
DRAW_SEED = "draw_seed"


def golden(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a golden set."""
    return arrays(folder / "golden.npz")


def constants(expected: dict[str, np.ndarray]) -> dict[str, Any]:
    """What a golden set was made with and no file of the release holds."""
    return {
        "nhead": int(expected["nhead"]),
        "sample_size": int(expected["sample_size"]),
        "species": str(expected["species"]),
    }


def load_uce(folder: Path = SETS[0], seed: int = 0, **settings: Any) -> uce.UCE:
    """A UCE model; the first golden one by default."""
    named = constants(golden(folder)) if (folder / "golden.npz").is_file() else SMALL
    return uce.load(folder, Settings({**named, **settings}, "uce"), seed)


def golden_block(model: uce.UCE, expected: dict[str, np.ndarray]) -> CellBlock:
    """Golden counts over the vocabulary, with the seed of the owners' draws."""
    matrix = dense_counts(expected)
    seeds = int(expected["draw_seed"]) + np.arange(len(matrix))
    return over_vocabulary(matrix, expected["input_genes"], model.vocabulary, obs={DRAW_SEED: seeds})


SMALL = {"nhead": 2, "sample_size": 12}


def write_uce(
    folder: Path, n_genes: int = 40, hidden: int = 16, token_width: int = 12, n_positions: int = 24
) -> Path:
    """A small random UCE release of one species and four chromosomes; genes are G0, G1 ... in any order."""
    draw = np.random.default_rng(5)
    first, offset = 9, 9 + n_genes + 3
    config = UCEConfig(
        n_tokens=offset + 4,
        token_width=token_width,
        hidden_size=hidden,
        n_layers=2,
        heads=2,
        feed_forward=3 * hidden,
        n_positions=n_positions,
        decoder=(hidden + 4, hidden, hidden - 2, hidden - 1),
    )
    encoder = UCEEncoder.fresh(config, 7)
    with torch.no_grad():
        table = torch.from_numpy(draw.normal(size=(config.n_tokens, token_width)).astype(np.float32))
        encoder.pe_embedding.weight.copy_(table)
        encoder.pos_encoder.pe.copy_(
            torch.randn(encoder.pos_encoder.pe.shape, generator=torch.manual_seed(1))
        )
    (folder / "protein_embeddings").mkdir(parents=True)
    torch.save(encoder.state_dict(), folder / "2layer_model.torch")
    names = [f"G{i}" for i in draw.permutation(n_genes)]
    vectors = {name: table[first + i].clone() for i, name in enumerate(names)}
    torch.save(vectors, folder / "protein_embeddings" / "Homo_sapiens.GRCh38.ESM2.pt")
    (folder / "species_offsets.pkl").write_bytes(pickle.dumps({"human": first}))
    rows = [f"{name},{'12XM'[draw.integers(4)]},{draw.integers(1000)},human\n" for name in names]
    rows[:4] = [f"{name},{'12XM'[i]},{i},human\n" for i, name in enumerate(names[:4])]
    (folder / "species_chrom.csv").write_text("".join(["gene_symbol,chromosome,start,species\n", *rows]))
    return folder
