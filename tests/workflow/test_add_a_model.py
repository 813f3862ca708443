"""The guide docs/guides/add_a_model.md, followed step by step: a model is added, run, and taken away."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import anndata
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from workflow_study import FINAL, ROOT, STUDY, Checkout

GUIDE = ROOT / "docs/guides/add_a_model.md"
CONDITION = "simulated_Stim48hr"
WIDTH, LAYERS = 8, 3


def blocks(language: str) -> list[str]:
    """The guide's pieces of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def extended(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the finished study to which the guide's model was added."""
    folder = tmp_path_factory.mktemp("extended") / "study"
    shutil.copytree(finished.folder, folder, symlinks=True)
    (line,) = blocks("python")
    models = folder / "workflow/layerscope/models"
    shutil.copy(GUIDE.with_name("gene_vectors.py"), models)
    catalogue = models / "catalogue.py"
    text = catalogue.read_text(encoding="utf-8")
    catalogue.write_text(text.replace('    "hvg_pca":', line + '    "hvg_pca":'), encoding="utf-8")
    write_release(folder / "my_vectors", folder / f"results/cells/{CONDITION}/cells.h5ad")
    checkout = Checkout(folder)
    study = STUDY["study"] | {"models": [*STUDY["study"]["models"], "my_vectors"]}
    (entry,) = blocks("yaml")
    checkout.write_config("extended.yaml", STUDY | {"study": study} | yaml.safe_load(entry))
    return checkout


def write_release(folder: Path, cells: Path) -> None:
    """Random gene vectors for the genes of a file of cells."""
    folder.mkdir()
    genes = anndata.read_h5ad(cells, backed="r").var_names
    (folder / "genes.txt").write_text("\n".join(genes) + "\n", encoding="utf-8")
    draw = torch.Generator().manual_seed(0)
    tensors = {"genes.weight": torch.randn(len(genes), WIDTH, generator=draw)}
    for layer in range(LAYERS):
        tensors[f"blocks.{layer}.weight"] = torch.randn(WIDTH, WIDTH, generator=draw)
        tensors[f"blocks.{layer}.bias"] = torch.randn(WIDTH, generator=draw)
    save_file(tensors, folder / "weights.safetensors")


def test_the_example_is_short() -> None:
    assert len(GUIDE.with_name("gene_vectors.py").read_text(encoding="utf-8").splitlines()) <= 100


def test_only_the_new_models_jobs_and_the_final_tables_would_run(extended: Checkout) -> None:
    n_scores = LAYERS + 2
    own = {"fetch_weights": 2, "extract_layers": 2}
    own |= {"score_layer": 2 * n_scores}
    geometry = {"describe_geometry": 2, "compare_layers": 2}
    geometry |= {"gather_geometry": 1, "compare_with_baselines": 1}
    assert extended.jobs("--configfile", "extended.yaml") == own | geometry | FINAL


def test_its_layers_are_what_the_file_says(extended: Checkout) -> None:
    target = f"results/embeddings/{CONDITION}/my_vectors.h5ad"
    run = extended.snakemake(target, "--configfile", "extended.yaml")
    assert run.returncode == 0, run.stdout[-4000:]
    found = anndata.read_h5ad(extended.folder / target)
    cells = anndata.read_h5ad(extended.folder / f"results/cells/{CONDITION}/cells.h5ad")
    counts = cells.X[0].toarray()[0]
    from safetensors.numpy import load_file

    tensors = load_file(extended.folder / "my_vectors/weights.safetensors")
    x = tensors["genes.weight"][counts > 0] * np.log1p(counts[counts > 0])[:, None]
    for layer in range(LAYERS + 1):
        if layer:
            block = f"blocks.{layer - 1}"
            x = x + np.maximum(x @ tensors[f"{block}.weight"].T + tensors[f"{block}.bias"], 0)
        np.testing.assert_allclose(found.obsm[f"layer_{layer:02d}"][0], x.mean(axis=0), rtol=1e-3, atol=1e-4)


def test_without_it_nothing_is_left_to_be_done(extended: Checkout) -> None:
    models = extended.folder / "workflow/layerscope/models"
    original = (ROOT / "workflow/layerscope/models/catalogue.py").read_bytes()
    (models / "gene_vectors.py").unlink()
    (models / "catalogue.py").write_bytes(original)
    assert extended.jobs("--configfile", "study.yaml") == {}
