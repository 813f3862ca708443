"""The script of extraction as someone types it: what cannot be done is one line in its own words."""

import json
import pickle
import re
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
import torch
from family_examples import EXAMPLES, study_of
from model_examples import all_layers, load_tensors
from scipy import sparse

import extract_layers
import sum_layers
from layerscope.errors import ConfigError, DataError, LayerscopeError, ModelError
from layerscope.models.catalogue import FAMILIES, implementation

N_CELLS = 12
FOUNDATION = [name for name, family in FAMILIES.items() if family.foundation]


def placed(name, folder):
    """A family, and a folder with a release of it and cells."""
    study_of(EXAMPLES[name], folder, N_CELLS)
    return EXAMPLES[name], folder


@pytest.fixture(scope="module", params=list(EXAMPLES))
def family(request, tmp_path_factory):
    return placed(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def scgpt(tmp_path_factory):
    return placed("scgpt", tmp_path_factory.mktemp("scgpt"))


def typed(example, folder, *options, script=extract_layers):
    """Run the script with these options; of those typed twice the last counts."""
    command = ["--family", example.family, "--device", "cpu", "--weights", str(folder / "weights")]
    command += ["--cells", str(folder / "cells.h5ad"), "--output", str(folder / "layers.h5ad")]
    settings = dict(example.settings) | dict(word.split("=", 1) for word in options if "=" in word)
    command += [word for word in options if "=" not in word and word != "--set"]
    script.main([*command, *(["--set", *(f"{k}={v}" for k, v in settings.items())] if settings else [])])
    return folder / "layers.h5ad"


def refused(example, folder, *options, error=LayerscopeError):
    """What the script says."""
    with pytest.raises(error) as caught:
        typed(example, folder, *options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "the study says" not in message
    return message


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--threads", "two"], "--threads"),
        (["--seed", "-1"], "--seed"),
        (["--token-budget", "-5"], "--token-budget"),
        (["--layers", "-2"], "--layers"),
        (["--dtype", "float64"], "--dtype"),
        (["--nonsense"], "--nonsense"),
    ],
)
@pytest.mark.parametrize("script", [extract_layers, sum_layers])
def test_an_option_that_means_nothing_is_one_line_that_names_it(scgpt, capsys, options, named, script):
    with pytest.raises(SystemExit) as left:
        typed(*scgpt, *options, script=script)
    said = capsys.readouterr().err.splitlines()
    assert left.value.code == 2
    assert len(said) == 1 and said[0].startswith("error: ") and named in said[0]


@pytest.mark.parametrize("script", [extract_layers, sum_layers])
def test_help_says_the_poolings_of_every_family_and_what_official_is(capsys, script):
    with pytest.raises(SystemExit):
        script.main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    for name in FOUNDATION:
        poolings, official = (line for line in lines if re.match(rf"  ([a-z_0-9]+, )*{name}[, ]", line))
        assert "after" in official or "decoder" in official
        kinds = [kind for kind in vars(implementation(name)).values() if getattr(kind, "family", "") == name]
        assert {pooling for kind in kinds for pooling in kind.poolings} <= set(re.findall(r"\w+", poolings))


def test_a_family_runs_with_a_pooling_that_is_chosen_and_names_all_if_another_is_asked_for(scgpt):
    example, folder = scgpt
    poolings = example.load(folder / "weights").poolings
    layers = all_layers(typed(example, folder, "--pooling", poolings[-1]))
    assert {"00", "01", "02", "official"} == set(layers)
    said = refused(example, folder, "--pooling", "median", error=ConfigError)
    assert all(pooling in said for pooling in poolings) and "--pooling" in said


def test_weights_that_are_no_folder_are_said_to_be_what_they_are(scgpt):
    example, folder = scgpt
    file = next(path for path in sorted((folder / "weights").rglob("*")) if path.is_file())
    assert "a file" in refused(example, folder, "--weights", str(file), error=ConfigError)
    absent = refused(example, folder, "--weights", str(folder / "absent"), error=ConfigError)
    assert f"--weights {folder / 'absent'}: no such folder" in absent
    (folder / "bare").mkdir()
    assert "bare" in refused(example, folder, "--weights", str(folder / "bare"), error=ModelError)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        (["--layers", "7"], ModelError, "--layers"),
        (["--shard", "3", "2"], ConfigError, "--shard 3 2"),
        (["--set", "matrix=layers/raw"], DataError, "--set matrix="),
        (["--set", "gene_column=feature"], DataError, "--set gene_column="),
        (["--set", "values=tpm"], ConfigError, "'tpm'"),
        (["--set", "max_lenght=3"], ConfigError, "--set max_lenght"),
    ],
)
def test_what_cannot_be_done_names_the_option_that_asks_for_it(scgpt, options, error, named):
    assert named in refused(*scgpt, *options, error=error)


def logged_cells(folder, counts_too):
    cells = ad.read_h5ad(folder / "cells.h5ad")
    if counts_too:
        cells.layers["counts"] = cells.X.copy()
    totals = np.maximum(np.asarray(cells.X.sum(axis=1)), 1)
    cells.X = sparse.csr_matrix(np.log1p(cells.X.multiply(1e4 / totals).toarray()))
    cells.write_h5ad(folder / "logged.h5ad")
    return str(folder / "logged.h5ad")


def test_values_that_a_model_does_not_take_are_refused_with_options_that_are_there(family):
    example, folder = family
    model = example.load(folder / "weights")
    cells = logged_cells(folder, counts_too=True)
    if model.rank_based:
        typed(example, folder, "--cells", cells)
        return
    said = refused(example, folder, "--cells", cells, error=DataError)
    assert "--set matrix=layers/counts" in said and "`" not in said
    typed(example, folder, "--cells", cells, "--set", "matrix=layers/counts")
    said = refused(example, folder, "--cells", logged_cells(folder, counts_too=False), error=DataError)
    assert ("--set values=log_normalised" in said) == ("log_normalised" in model.accepts)


def edited(change):
    """Cells that are changed in the file."""

    def write(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return write


def replaced(name, make):
    def change(file):
        content, attributes = file[name][()], dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=make(content)).attrs.update(attributes)

    return edited(change)


def shorter(table, n_names):
    """Cells whose table names fewer of them than the matrix holds."""

    def change(file):
        name = file[table].attrs["_index"]
        names = file[table][name][:n_names]
        del file[table][name]
        file[table].create_dataset(name, data=names)

    return edited(change)


def foldered(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (foldered, "a folder"),
        (lambda path: path.unlink(), "no such file"),
        (edited(lambda file: file.__delitem__("obs")), "no 'obs'"),
        (edited(lambda file: file["X"].attrs.__delitem__("shape")), "no shape"),
        (replaced("X/data", lambda data: data.astype("S4")), "no numbers"),
        (shorter("obs", N_CELLS - 2), f"names of {N_CELLS - 2} cells"),
    ],
)
def test_cells_that_are_none_are_one_line_that_names_the_file(scgpt, tmp_path, change, said):
    example, folder = scgpt
    path = tmp_path / "odd.h5ad"
    path.write_bytes((folder / "cells.h5ad").read_bytes())
    change(path)
    message = refused(example, folder, "--cells", str(path), error=DataError)
    assert said in message and "odd.h5ad" in message


ORDERS = {
    "sparse values": replaced("X/data", lambda data: data.astype(">f4")),
    "sparse indices": replaced("X/indices", lambda data: data.astype(">i4")),
}


@pytest.mark.parametrize("kind", [*ORDERS, "dense", "columns"])
def test_values_of_the_other_byte_order_are_the_same_values(scgpt, tmp_path, kind):
    example, folder = scgpt
    path = tmp_path / "big.h5ad"
    cells = ad.read_h5ad(folder / "cells.h5ad")
    cells.X = {"dense": cells.X.toarray(), "columns": sparse.csc_matrix(cells.X)}.get(kind, cells.X)
    cells.write_h5ad(path)
    name = "X" if kind == "dense" else "X/data"
    ORDERS.get(kind, replaced(name, lambda data: data.astype(">f8")))(path)
    expected = all_layers(typed(example, folder))
    for layer, matrix in all_layers(typed(example, folder, "--cells", str(path))).items():
        np.testing.assert_allclose(matrix, expected[layer], rtol=1e-5, atol=1e-6)


def test_a_folder_as_output_is_refused_before_the_run(scgpt, tmp_path):
    example, folder = scgpt
    assert "--output" in refused(example, folder, "--output", str(tmp_path), error=ConfigError)


def test_the_gene_list_of_another_name_is_asked_for_by_its_option(tmp_path):
    example, _ = placed("scfoundation", tmp_path)
    (genes,) = (tmp_path / "weights").glob("*.tsv")
    genes.rename(genes.with_name("genes.tsv"))
    assert "--set gene_list=" in refused(example, tmp_path, error=ModelError)
    typed(example, tmp_path, "--set", "gene_list=genes.tsv")


def test_a_dictionary_that_is_not_read_may_be_json_where_the_message_says_so(tmp_path):
    example, _ = placed("uce", tmp_path)
    (path,) = tmp_path.rglob("species_offsets.pkl")
    offsets = pickle.loads(path.read_bytes())
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "species_offsets.json" in refused(example, tmp_path, error=ModelError)
    path.with_suffix(".json").write_text(json.dumps(offsets))
    typed(example, tmp_path)


INSTEAD = {
    "geneformer": "model.safetensors",
    "nicheformer": "model.safetensors",
    "tahoe_x1": "model.safetensors",
    "transcriptformer": "model_weights.safetensors",
    "uce": "safetensors",
}

PICKLED = {
    "geneformer": "pytorch_model.bin",
    "nicheformer": "nicheformer.ckpt",
    "tahoe_x1": "best-model.pt",
}


def unsafe(path, tensors):
    """A checkpoint that names what is not admitted."""
    torch.save({**tensors, "made_at": Path("somewhere")}, path)


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"state_se"}))  # no checkpoint of that is read
def test_a_remedy_for_an_unsafe_checkpoint_is_one_that_there_is(name, tmp_path):
    example, _ = placed(name, tmp_path)
    path = example.load(tmp_path / "weights").weights
    pickled = PICKLED.get(name, path.name)
    unsafe(path.with_name(pickled), load_tensors(path) if name != "scfoundation" else {"cell": {}})
    if pickled != path.name:
        path.unlink()
    said = refused(example, tmp_path, error=ModelError)
    assert "--set trust_sha256=" in said
    assert INSTEAD.get(name, "") in said and (name in INSTEAD or "safetensors" not in said)


def test_proteins_that_are_not_read_are_not_to_be_trusted_where_nothing_takes_the_word(tmp_path):
    example, _ = placed("uce", tmp_path)
    (path,) = tmp_path.rglob("*.pt")
    unsafe(path, torch.load(path, weights_only=True))
    said = refused(example, tmp_path, error=ModelError)
    assert "trust_sha256" not in said and "etch it again" in said
