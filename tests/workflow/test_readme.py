"""What the README and the guides promise: their links, names and commands."""

from __future__ import annotations

import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse
from workflow_study import ROOT, Checkout

import check_cells

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])


def names_in_row(first: str) -> set[str]:
    """Names in code type in the table row that starts with ``first``."""
    row = next(line for line in README.splitlines() if line.startswith(f"| {first} |"))
    return set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_models_are_those_of_the_configuration() -> None:
    models = yaml.safe_load((ROOT / "config/models.yaml").read_text(encoding="utf-8"))["models"]
    own = {name for name, entry in models.items() if entry.get("layers") and not name.startswith("embedded_")}
    assert names_in_row("foundation") == own
    assert names_in_row("baselines") == {
        name for name, entry in models.items() if "family" in entry and not entry.get("layers")
    }
    controls = {entry["control"] for entry in models.values() if "control" in entry}
    assert controls <= names_in_row("controls of each")


def test_the_conditions_are_those_of_the_configuration() -> None:
    conditions = yaml.safe_load((ROOT / "config/datasets.yaml").read_text(encoding="utf-8"))["conditions"]
    with_task = {name for name, entry in conditions.items() if "task" in entry}
    rows = ("simulated, with known truth", "cord blood with LARRY barcodes, GSE276896")
    rows += ("genome-scale CRISPRi screen in CD4+ T cells, donor 1",)
    assert set().union(*map(names_in_row, rows)) == with_task


def test_the_commands_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    targets = set(re.findall(r"^(?:    |\|? ?`)make ([a-z-]+)", text, flags=re.MULTILINE))
    assert {"run", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_the_readmes_own_study_and_commands_work(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout.folder / "my_cells.h5ad"
    counts = np.random.default_rng(0).poisson(0.8, (60, 20)).astype(np.float32)
    obs = pd.DataFrame({"target": ["non-targeting", "TP53", "MYC"] * 20}, index=[f"c{i}" for i in range(60)])
    obs["guide_id"] = obs["target"] + "_" + pd.Series(np.arange(60) // 30, obs.index).astype(str)
    genes = pd.DataFrame(index=[f"GENE{i}" for i in range(20)])
    anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=genes).write_h5ad(path)
    check_cells.main([str(path)])
    assert "perturbation" in capsys.readouterr().out
    (study,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    (checkout.folder / "my_study.yaml").write_text(study, encoding="utf-8")
    jobs = checkout.jobs("--configfile", "my_study.yaml")
    assert jobs["prepare_cells"] == 1
    assert jobs["extract_layers"] == 1
    (layer,) = re.findall(r"results/embeddings/my_cells/\w+/layer_\d+\.h5ad", README)
    assert checkout.jobs(layer, "--configfile", "my_study.yaml")["export_layer"] == 1
