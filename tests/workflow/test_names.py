"""Names from data and configuration are never commands, and never paths unchecked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from test_rules import rules
from workflow_study import ROOT, Checkout

PLACEHOLDER = re.compile(r"\{(\w+)(?:\.(\w+))?(:q)?[^}]*\}")
# what may stand in a command as it is: numbers, words of a list, and text that was quoted where it was made
SAFE = {
    "params.tables": "paths of checked names",
    "params.task": "a word of a list in the schema",
    "params.margin": "a number",
    "params.models": "names that the schema checks",
    "params.family": "a word of the rule",
    "params.baseline": "a word of a list in the schema",
    "params.seed": "a number",
}
# paths of these are made of checked names and fixed words alone; others can be a user's own and are quoted
OWN_PATHS = {"input.source", "input.gene_names", "input.cells:pretrain"}
CHECKED = {"condition", "model", "protocol", "layer"}
HOSTILE = ["../../x", "$(touch hit)", "a; touch hit", "`touch hit`", "q'u\"o te", "{wildcards}"]


def shell_of(body: str) -> str:
    command = body.split("    shell:\n", 1)[1]
    return "".join(line for line in command.splitlines(keepends=True) if line.startswith("        "))


@pytest.mark.parametrize(("name", "body"), rules(), ids=[name for name, _ in rules()])
def test_what_a_rule_puts_into_its_command_is_quoted_or_cannot_hurt(name: str, body: str) -> None:
    for kind, key, quoted in PLACEHOLDER.findall(shell_of(body)):
        place = f"{kind}.{key}"
        if kind == "params":
            assert quoted or place in SAFE, f"{name}: {place} is not quoted"
        if kind == "wildcards":
            own = re.search(rf"wildcard_constraints:\n(?:\s+\w+=.*\n)*\s+{key}=", body)
            assert key in CHECKED or own, f"{name}: the wildcard {key} may be anything"
        if place in OWN_PATHS:
            assert quoted, f"{name}: {place} may be any path"


def test_wildcards_are_names_that_the_configuration_checked() -> None:
    text = (ROOT / "workflow" / "Snakefile").read_text(encoding="utf-8")
    constraints = text.split("wildcard_constraints:\n", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"^    (\w+)=", constraints, re.MULTILINE)) == CHECKED


def write_hostile(folder: Path) -> dict[str, Any]:
    """A screen whose file, columns and labels look like commands and paths, and its study."""
    random = np.random.default_rng(0)
    targets = np.repeat(HOSTILE, 20)
    obs = pd.DataFrame({"$(touch hit) target": targets}, index=[f"cell{i}" for i in range(len(targets))])
    cells = anndata.AnnData(
        sparse.csr_matrix(random.poisson(2.0, (len(obs), 30)).astype(np.float32)), obs=obs
    )
    cells.var_names = [f"GENE{i}" for i in range(30)]
    path = "my cells; $(touch hit) 'x'.h5ad"
    cells.write_h5ad(folder / path)
    return {
        "study": {"title": "'; touch hit; '", "conditions": ["mine"], "models": ["hvg_pca"]},
        "datasets": {
            "mine": {
                "kind": "h5ad",
                "source": {"path": path},
                "values": "counts",
                "columns": {"perturbation": "$(touch hit) target"},
                "control": ["$(touch hit)"],
            }
        },
        "conditions": {"mine": {"dataset": "mine", "task": "perturbation"}},
        "quality": {"min_genes_per_cell": 1},
    }


def test_names_that_look_like_commands_and_paths_come_through_as_data(checkout: Checkout) -> None:
    name = checkout.write_config("mine.yaml", write_hostile(checkout.folder))
    before = {path.name for path in checkout.folder.parent.iterdir()}
    target = "results/cells/mine/cells.h5ad"
    run = checkout.snakemake(target, "--configfile", name)
    assert run.returncode == 0, run.stdout
    cells = anndata.read_h5ad(checkout.folder / target)
    assert cells.obs["perturbation"].value_counts().to_dict() == dict.fromkeys(HOSTILE, 20)
    assert set(cells.obs.loc[cells.obs["is_control"], "perturbation"]) == {"$(touch hit)"}
    assert "my cells; $(touch hit) 'x'.h5ad" in json.loads(cells.uns["layerscope"])["source"]
    assert not list(checkout.folder.rglob("hit"))
    assert {path.name for path in checkout.folder.parent.iterdir()} == before


@pytest.mark.parametrize(
    "target",
    [
        "results/cells/$(touch hit)/cells.h5ad",
        "results/scores/perturbation/mine/paper/hvg_pca/layer_$(touch hit).tsv",
    ],
)
def test_a_target_with_a_command_in_it_is_nothing_that_can_be_made(checkout: Checkout, target: str) -> None:
    run = checkout.snakemake("--dry-run", target)
    assert run.returncode != 0
    assert "MissingRuleException" in run.stdout
    assert "Traceback" not in run.stdout
    assert not list(checkout.folder.rglob("hit"))
