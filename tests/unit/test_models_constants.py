"""Constants that a release states are those that its network computes with: activations, scales, norms."""

import math
import shutil

import numpy as np
import pytest
import torch
import yaml
from family_examples import EXAMPLES
from model_examples import TAHOE_3B, block_of, counts, load_tahoe_x1, restate, states, tokens_of_cell
from safetensors.torch import load_file, save_file
from torch.nn import functional

from layerscope.errors import ConfigError, ModelError
from layerscope.models.activations import activation_of, is_elementwise
from layerscope.models.tahoe_x1_files import GENE_NORM, VALUE_NORM

X = torch.linspace(-4, 4, 81)
ROOT = math.sqrt(2 / math.pi)
CUBIC = 0.5 * X * (1 + torch.tanh(ROOT * (X + 0.044715 * X**3)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", X.clamp(min=0)),
        ("gelu", X * 0.5 * (1 + torch.erf(X / math.sqrt(2)))),
        ("SiLU", X * torch.sigmoid(X)),
        ("gelu_new", CUBIC),
        ("quick_gelu", X * torch.sigmoid(1.702 * X)),
        ("mish", X * torch.tanh(torch.log1p(torch.exp(X)))),
        ("leaky_relu", torch.where(X > 0, X, 0.01 * X)),
        ("relu2", X.clamp(min=0) ** 2),
        ("linear", X),
    ],
)
def test_a_name_means_what_pytorch_or_hugging_face_mean_by_it(name, expected):
    assert is_elementwise(name)
    torch.testing.assert_close(activation_of(name)(X.clone()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["no_such", "", "softmax", "glu", "prelu", "PReLU", "dropout", "Tensor", 3])
def test_what_mixes_numbers_draws_them_or_has_weights_is_no_activation(name):
    assert not is_elementwise(name)


def network(**values):
    """What TranscriptFormer's configuration says of the network."""
    return {"model": {"model_config": values}}


def tahoe(folder, file="model_config.yml", **values):
    """Tahoe-X1 with another configuration."""
    return restate(EXAMPLES["tahoe_x1"].write(folder) / file, **values)


# where a release states its activations
ACTIVATIONS = {
    "geneformer": ("config.json", lambda name: {"hidden_act": name}),
    "transcriptformer": ("config.json", lambda name: network(activation=name)),
    "tahoe_x1": (
        "model_config.yml",
        lambda name: {"transformer_activation": name, "expression_encoder": {"activation": name}},
    ),
}


def last_layer(model):
    cells = counts(6, len(model.vocabulary.genes))[:5]
    stages, _ = states(model, model.tokenise(block_of(cells)))
    return stages[-1].numpy()


@pytest.mark.parametrize("family", ACTIVATIONS)
def test_a_family_computes_with_the_activation_that_its_release_states(tmp_path, family):
    example, (name, values) = EXAMPLES[family], ACTIVATIONS[family]
    folder = example.write(tmp_path / "model")

    def restated(activation):
        restate(folder / name, **values(activation))
        return example.load(folder)

    model = restated("silu")
    states_of = {"silu": last_layer(model)}
    for part in model.module.modules():
        if getattr(part, "activation", None) is functional.silu:
            part.activation = torch.nn.Mish()
    states_of["mish by hand"] = last_layer(model)
    for activation in ("mish", "swish"):
        states_of[activation] = last_layer(restated(activation))
    np.testing.assert_allclose(states_of["swish"], states_of["silu"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(states_of["mish"], states_of["mish by hand"], rtol=1e-5, atol=1e-5)
    assert np.abs(states_of["mish"] - states_of["silu"]).max() > 1e-3
    with pytest.raises(ModelError, match=rf"{name}: activation 'prelu'"):
        restated("prelu")


@pytest.mark.parametrize(
    ("stated", "change", "differs"),
    [
        ({"softmax_scale": 0.5 * 8**-0.5}, lambda qkv: qkv[:16].mul_(0.5), True),
        ({"clip_qkv": 1e-30}, torch.Tensor.zero_, True),
        ({"clip_qkv": 1e6}, lambda qkv: qkv, False),
    ],
)
def test_the_scale_of_scores_and_the_cut_of_projections_are_those_that_are_stated(
    tmp_path, stated, change, differs
):
    """Half the scale is what queries of half the size give; a cut to zero leaves nothing of attention."""
    ours = last_layer(load_tahoe_x1(tahoe(tmp_path / "a", attn_config=stated)))
    release = tahoe(tmp_path / "b")
    usual = last_layer(load_tahoe_x1(release))
    tensors = load_file(release / "model.safetensors")
    for name, tensor in tensors.items():
        if "Wqkv" in name:
            change(tensor)
    save_file(tensors, release / "model.safetensors")
    np.testing.assert_allclose(ours, last_layer(load_tahoe_x1(release)), rtol=1e-4, atol=1e-5)
    assert (np.abs(ours - usual).max() > 1e-3) is np.bool_(differs)


@pytest.mark.parametrize("stated", [{"use_norm": False}, {}])
def test_encoders_without_norms_are_what_their_tensors_say(tmp_path, stated):
    release = tahoe(tmp_path / "a")
    path = release / "model_config.yml"
    config = yaml.safe_load(path.read_text())
    del config["gene_encoder"]["use_norm"], config["expression_encoder"]["use_norm"]
    config["gene_encoder"] |= stated
    config["expression_encoder"] |= stated
    path.write_text(yaml.safe_dump(config))
    tensors = load_file(release / "model.safetensors")
    norms = {GENE_NORM, VALUE_NORM} | {name.replace("weight", "bias") for name in (GENE_NORM, VALUE_NORM)}
    rest = {name: tensor for name, tensor in tensors.items() if name.removeprefix("model.") not in norms}
    assert len(rest) == len(tensors) - 4
    save_file(rest, release / "model.safetensors")
    model = load_tahoe_x1(release)
    sentences = model.tokenise(block_of(counts(2, 40)[:1]))
    (first, *_), _ = states(model, sentences)
    ids, values = (torch.as_tensor(sentences.tokens[name]) for name in ("ids", "values"))
    held = {name.removeprefix("model."): tensor for name, tensor in rest.items()}
    encoder = {name.removeprefix("expression_encoder."): tensor for name, tensor in held.items()}
    hidden = functional.relu(values[:, None] * encoder["linear1.weight"].T + encoder["linear1.bias"])
    expected = hidden @ encoder["linear2.weight"].T + encoder["linear2.bias"]
    expected = expected + held["gene_encoder.embedding.weight"][ids]
    torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-5)


def test_a_long_cell_loses_its_last_genes_where_the_release_draws_none(tmp_path):
    model = load_tahoe_x1(tahoe(tmp_path / "a", "collator_config.yml", sampling=False, max_length=6))
    columns = np.arange(40)[::-1]
    tokens = model.tokenise(block_of(np.ones((1, 40)), gene_columns=columns))
    first_columns = model.gene_ids[np.isin(columns, range(5))]
    assert tokens_of_cell(tokens, 0)[1:].tolist() == sorted(first_columns.tolist())


def test_norms_of_another_name_and_ratios_with_a_fraction_are_taken(tmp_path):
    path = shutil.copytree(TAHOE_3B, tmp_path / "model") / "model_config.yml"
    norm = {"norm_type": "Low_Precision_LayerNorm", "eps": 0.5}
    folder = restate(path, norm_config=norm, expansion_ratio=4.0)
    assert load_tahoe_x1(folder).module.config.norm_eps == 0.5


@pytest.mark.parametrize(
    ("family", "name", "key"),
    [("scgpt", "args.json", "n_bins"), ("tahoe_x1", "collator_config.yml", "num_bins")],
)
def test_bins_are_two_at_least(tmp_path, family, name, key):
    example = EXAMPLES[family]
    path = example.write(tmp_path / "model") / name
    for number in (3, 7):
        model = example.load(restate(path, **{key: number}))
        sentences = model.tokenise(block_of(counts(6, len(model.vocabulary.genes))[:5]))
        bins = sentences.tokens["values"][sentences.tokens["ids"] != model.opening[0]]
        assert {1, number - 1} <= set(bins.tolist()) <= set(range(1, number))
    with pytest.raises(ModelError, match=rf"{name}: .*1 bins"):
        example.load(restate(path, **{key: 1}))


@pytest.mark.parametrize(
    ("family", "setting"),
    [
        ("uce", {"nhead": 0}),
        ("transcriptformer", {"clip_counts": math.nan}),
        ("transcriptformer", {"min_expressed_genes": -1}),
        ("scfoundation", {"tgthighres": "tinf"}),
        ("scgpt", {"max_length": 10**30}),
    ],
)
def test_numbers_that_cannot_be_are_told_by_their_setting(tmp_path, family, setting):
    example = EXAMPLES[family]
    ((name, _),) = setting.items()
    with pytest.raises(ConfigError, match=f"--set {name}="):
        example.load(example.write(tmp_path / "model"), **setting)
