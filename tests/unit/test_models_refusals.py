"""A release that is damaged, or of another network or tokeniser, is told by its file, for every family."""

import pickle
import re

import numpy as np
import pytest
import torch
from family_examples import EXAMPLES
from model_examples import change_tensors, restate

from layerscope.errors import ConfigError, ModelError


def stating(**values):
    """Other values in a JSON or YAML file; None takes a key away."""
    return lambda path: restate(path, **values)


def network(**values):
    """What TranscriptFormer's configuration says of the network."""
    return stating(model={"model_config": values})


def data(**values):
    """What it says of the cells."""
    return stating(model={"data_config": values})


def training(**values):
    """What scConcept's configuration says of the cells that it was trained on."""
    return stating(datamodule={"dataset": {"train": values}})


def holding(change):
    """Other tensors in a file of weights."""
    return lambda path: change_tensors(path, change)


def with_tensor(name, tensor):
    """A tensor of another shape or type, or one more."""
    return holding(lambda tensors: tensors.update({name: tensor}))


def without(name):
    """A tensor that is missing."""
    return holding(lambda tensors: tensors.pop(name))


def checkpoint(change):
    """Another content of a PyTorch file."""

    def damage(path):
        held = torch.load(path, weights_only=True)
        torch.save(change(held) or held, path)

    return damage


def pickled(change):
    """Another dictionary in a pickle."""
    return lambda path: path.write_bytes(pickle.dumps(change(pickle.loads(path.read_bytes()))))


def written(content):
    """Another content: bytes, or what a function makes of the text."""
    return lambda path: path.write_bytes(
        content if isinstance(content, bytes) else content(path.read_text()).encode()
    )


def saved(means):
    return lambda path: np.save(path, means)


FIRST = "ENSG00000000000"
QUERY = "bert.encoder.layer.1.attention.self.query.weight"
TABLE = "gene_embeddings.embedding.weight"
BIAS = "transformer_encoder.layers.1.self_attn.in_proj_bias"
TOKENS, MEDIANS, NAMES = (
    f"{kind}_gcX.pkl" for kind in ("token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict")
)
GENES, MEANS = "OS_scRNA_gene_index.19264.tsv", "dissociated_mean_script.npy"

REFUSALS = {
    "geneformer": [
        ("config.json", stating(num_hidden_layers=3), "says num_hidden_layers = 3, the tensors 2"),
        ("config.json", stating(layer_norm_eps=None), "it has no 'layer_norm_eps'"),
        ("config.json", stating(pad_token_id="none"), "invalid literal"),
        ("config.json", stating(model_type="roberta"), "model_type is 'roberta'"),
        ("config.json", stating(num_attention_heads=0), "0 heads"),
        ("config.json", stating(num_attention_heads=-2), "-2 heads"),
        ("config.json", stating(num_attention_heads=3), "3 heads do not divide a width of 16"),
        ("config.json", stating(max_position_embeddings=30), "position_embeddings.weight has shape"),
        (
            "model.safetensors",
            with_tensor(QUERY, torch.ones(16, 8)),
            rf"{QUERY} has shape \(16, 8\), .* \(16, 16\)",
        ),
        ("model.safetensors", with_tensor("classifier.weight", torch.ones(2, 16)), "fine-tuned to classify"),
        (TOKENS, pickled(lambda d: {**d, FIRST: 99}), "do not count from 0 to 43, each once"),
        (TOKENS, pickled(lambda d: {k.replace("<eos>", "<EOS>"): d[k] for k in d}), "one of <cls> and <eos>"),
        (MEDIANS, pickled(lambda d: {**d, FIRST: 0.0}), f"1 genes .* no median above zero.*{FIRST}"),
        (MEDIANS, pickled(lambda d: {k: d[k] for k in d if k != FIRST}), f"1 genes .* such as {FIRST}"),
        (NAMES, pickled(lambda d: {**d, FIRST: 3}), "names what is no text"),
    ],
    "scgpt": [
        ("args.json", stating(nlayers=4), "says nlayers = 4, the tensors 2"),
        ("args.json", stating(embsize=8), r"has shape \(43, 16\), args.json .* \(43, 8\)"),
        ("args.json", stating(n_bins=None), "it has no 'n_bins'"),
        ("args.json", stating(pad_value="two"), "could not convert"),
        ("args.json", stating(input_emb_style="category"), "input_emb_style is 'category'"),
        ("args.json", stating(DSBN=True), "DSBN is True"),
        ("args.json", stating(nheads=3), "3 heads"),
        ("vocab.json", stating(EXTRA=43), "has 44 tokens, .* 43"),
        ("vocab.json", stating(G3=1), "two tokens share an id"),
        ("vocab.json", stating(G3=77), "do not count from 0 to 42"),
        ("vocab.json", stating(G3="0"), "the id of 'G3' is '0', not a whole number"),
        ("best_model.pt", with_tensor(BIAS, torch.ones(48)), f"{BIAS} and another spelling"),
        ("best_model.pt", with_tensor("dsbn.bns.0.weight", torch.ones(1)), "dsbn.bns.0.weight: fine-tuned"),
        ("best_model.pt", checkpoint(lambda t: {"model": t}), "expected tensors by name"),
    ],
    "tahoe_x1": [
        ("model_config.yml", stating(n_layers=4), "says n_layers = 4, the tensors 2"),
        ("model_config.yml", stating(norm_scheme="post"), "norm_scheme is 'post'"),
        ("model_config.yml", stating(use_glu=True), "use_glu is True"),
        ("model_config.yml", stating(n_heads=3, attn_config={"kv_nheads": 3}), "3 heads"),
        ("model_config.yml", stating(cell_emb_style="avg-pool"), "cell_emb_style is 'avg-pool'"),
        ("model_config.yml", stating(attn_config={"qk_ln": True}), "qk_ln is True"),
        ("model_config.yml", stating(attn_config={"kv_nheads": 1}), "kv_nheads is 1"),
        ("model_config.yml", stating(norm_config={"norm_type": "rmsnorm"}), "norm_type is 'rmsnorm'"),
        ("model_config.yml", stating(expansion_ratio=3), "expansion_ratio = 48, the tensors 64"),
        ("collator_config.yml", stating(right_binning=True), "other bins"),
    ],
    "transcriptformer": [
        ("config.json", data(sort_genes=True), "sort_genes is True"),
        ("config.json", data(normalize_to_scale=10000), "normalize_to_scale is 10000"),
        ("config.json", data(filter_to_vocabs=False), "filter_to_vocabs is False"),
        ("config.json", data(aux_cols=["platform", "b"]), "has one such token, or none"),
        ("config.json", data(special_tokens=["[PAD]"]), "the table of genes has 44 rows"),
        ("config.json", data(gene_pad_token="[NO]"), r"\[NO\] is not among the special"),
        ("config.json", data(aux_pad_token="none"), "with 'none' among them"),
        ("config.json", data(esm2_mappings=["pan.h5"]), "pan.h5: .* is missing"),
        ("config.json", data(clip_counts=-1), "clip_counts = -1"),
        ("config.json", network(seq_len="long"), "seq_len is 'long', not a number"),
        ("config.json", network(num_layers=4), "says num_layers = 4, the tensors 2"),
        ("config.json", network(attn_bias=True), "linears.0.bias"),
        ("config.json", network(num_heads=3), "3 heads"),
        ("config.json", written(b"{}"), "it has no 'model'"),
        ("vocabs/b_gene.h5", written(b"\x89HDF\r\n\x1a\n"), "not a vocabulary of genes"),
        ("vocabs/platform_vocab.json", written(b'{"n/a": "0"}'), "mapping of assays to rows"),
        ("vocabs/platform_vocab.json", written(b'{"n/a": 4}'), "gives 'n/a' the row 4"),
        ("model_weights.pt", without("aux_embeddings.platform.weight"), "no 'aux_embeddings"),
        ("model_weights.pt", without(TABLE), f"it has no '{TABLE}'"),
        ("model_weights.pt", with_tensor(TABLE, torch.ones(60, 12)), "has 60 rows, but there are 4 special"),
    ],
    "uce": [
        ("2layer_model.torch", without("pe_embedding.weight"), "no 'pe_embedding.weight'"),
        ("species_offsets.pkl", pickled(lambda d: {"human": print}), "wants to import builtins.print"),
        ("species_offsets.pkl", pickled(lambda d: {"human": "x"}), "is 'x', not a number"),
        ("species_chrom.csv", written(b"a,b\n1,2\n"), "it has no 'species'"),
    ],
    "scconcept": [
        ("config.yaml", stating(model={"input_encoding": "value"}), "input_encoding is 'value'"),
        ("config.yaml", stating(model={"norm_scheme": "sandwich"}), "norm_scheme is 'sandwich'"),
        ("config.yaml", stating(model={"activation": "softmax"}), "activation 'softmax'"),
        ("config.yaml", stating(model={"num_head": 5}), "5 heads do not divide"),
        ("config.yaml", stating(model={"nlayers": 3}), "nlayers = 3, the tensors 2"),
        ("config.yaml", stating(model={"dim_hid": "x"}), "not a configuration of scConcept"),
        ("config.yaml", stating(model={"dim_gene_embs": 21}), "the configuration asks for"),
        ("config.yaml", stating(datamodule={"normalization": "bins"}), "normalization is 'bins'"),
        ("config.yaml", training(max_tokens=64), "max_length=65.*24 positions"),
        ("config.yaml", training(max_tokens="${x.y}"), "not a configuration of scConcept"),
        ("config.yaml", training(gene_sampling_strategy="last"), "gene_sampling_strategy is 'last'"),
        (
            "model.ckpt",
            with_tensor("positional_encoder.pe", torch.ones(1, 9, 16)),
            r"pe has shape \(1, 9, 16\)",
        ),
        ("model.ckpt", holding(lambda t: t.update(cls_embedding="x")), "weights under state_dict or model"),
        ("gene_mappings/hsapiens.csv", written(lambda text: text[:700]), "cut off|not a table"),
        ("gene_mappings/hsapiens.csv", written(lambda text: text.replace("<cls>", "<x>")), "no '<cls>'"),
        ("gene_mappings/hsapiens.csv", written(lambda text: text.replace(",3\n", ",4\n")), "share an id"),
        ("gene_mappings/hsapiens.csv", written(lambda text: text.replace("token", "x", 1)), "no 'token'"),
        ("gene_mappings/hsapiens.csv", written(lambda text: text.replace(",3\n", ",x\n")), "not a table of"),
    ],
    "state_se": [
        ("config.yaml", stating(model={"counts": False}), r"model\.counts is False"),
        ("config.yaml", stating(model={"emsize": 8}), r"model\.emsize = 8, the tensors 16"),
        ("config.yaml", stating(model={"nhead": 3}), "3 heads"),
        ("config.yaml", stating(model={"d_hid": "${x}"}), "not a configuration of State Embedding"),
        ("config.yaml", stating(embeddings={"current": "c"}), "it has no 'c'"),
        ("config.yaml", stating(embeddings={"current": "a"}), r"vector of G\d+ is \(12,\).* asks for 5"),
        ("config.yaml", stating(dataset={"pad_length": 1}), "pad_length is 1"),
        ("config.yaml", written(b"a: ["), "not valid YAML"),
        ("protein_embeddings.pt", checkpoint(lambda p: list(p.values())), "expected tensors by name"),
        ("protein_embeddings.pt", lambda path: torch.save({}, path), "holds no protein embedding"),
        (
            "model.safetensors",
            with_tensor("encoder.0.bias", torch.zeros(16)),
            "another spelling of encoder.0.bias",
        ),
        ("model.safetensors", without("bin_encoder.weight"), "it has no 'bin_encoder.weight'"),
    ],
    "nicheformer": [
        ("config.json", stating(learnable_pe=False), "learnable_pe is False"),
        ("config.json", stating(dim_model=8), "dim_model = 8, the tensors 16"),
        ("config.json", stating(n_tokens=None), "it has no 'n_tokens'"),
        ("config.json", stating(nheads=3), "3 heads"),
        ("vocab.json", stating(ENSG99=2000), "tokens up to 2000"),
        ("vocab.json", stating(ENSG99="x"), "not a whole number"),
        (MEANS, saved(np.ones(7)), r"holds float64 \(7,\)"),
        (MEANS, saved(np.full(40, np.inf)), "infinite means"),
        (MEANS, written(b"\x93NUMPY\x01\x00"), "not a whole NumPy file"),
        ("model.h5ad", written(b"\x89HDF\r\n\x1a\n" + bytes(90)), "not a whole h5ad"),
        (
            "model.safetensors",
            holding(lambda t: t.update({n: t[n].long() for n in t if "norm1.bias" in n})),
            "holds int64",
        ),
        ("model.safetensors", without("nicheformer.embeddings.weight"), "no 'embeddings"),
    ],
    "scfoundation": [
        (
            "models.ckpt",
            checkpoint(lambda held: held["cell"]["config"]["model_config"]["mae_autobin"].update(bin_num=99)),
            "bin_num",
        ),
        ("models.ckpt", checkpoint(lambda held: {"rde": held["cell"]}), "no sub-model 'cell'; it holds rde"),
        ("models.ckpt", checkpoint(lambda held: {"cell": {}}), "expected config and state_dict"),
        (
            "models.ckpt",
            checkpoint(
                lambda held: held["cell"]["config"]["model_config"]["mae_autobin"]["encoder"].update(heads=3)
            ),
            "3 heads",
        ),
        (GENES, written(b"gene_name\tindex\nTP53\tone\n"), "not a gene list"),
        (GENES, written(b"gene_name\nTP53\n"), "it has no 'index'"),
        (GENES, written(b"gene_name\tindex\nTP53\t1\n"), "must count from 0"),
        (GENES, written(b"gene_name\tindex\nG0\t0\nG1\t1\n"), "2 genes, but .* positions for 40"),
    ],
}


@pytest.mark.parametrize(
    ("family", "file", "damage", "message"),
    [(family, *case) for family, cases in REFUSALS.items() for case in cases],
)
def test_what_is_damaged_or_another_network_or_tokeniser_is_told_by_its_file(
    tmp_path, family, file, damage, message
):
    example = EXAMPLES[family]
    release = example.write(tmp_path / "model")
    damage(release / file)
    with pytest.raises((ModelError, ConfigError), match=message) as refused:
        example.load(release)
    endings = "json|ya?ml|safetensors|pt|ckpt|torch|pkl|h5|h5ad|csv|tsv|npy"
    assert re.search(rf"\w\.({endings})\b", str(refused.value)), "no file is named"


def test_every_family_has_its_refusals():
    assert set(REFUSALS) == set(EXAMPLES)
