"""What the README and the tutorials promise: their links, names, commands and code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse
from workflow_study import ROOT, Checkout, blood

from layerscope import __version__
from layerscope.program import main

PLACES = ("*.md", "docs/**/*.md", "config/*.md", "results/*.md")
PAGES = sorted(path for place in PLACES for path in ROOT.glob(place))
README = (ROOT / "README.md").read_text(encoding="utf-8")
CATALOGUE = (ROOT / "docs/reference/catalogue.md").read_text(encoding="utf-8")
TUTORIALS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/tutorials").glob("*.md")}


def names_in_row(first: str) -> set[str]:
    """Names in code type in the table row of the catalogue that starts with ``first``."""
    row = next(line for line in CATALOGUE.splitlines() if line.startswith(f"| {first} |"))
    return set(re.findall(r"`(\w+)`", row))


def code(page: str, language: str) -> list[str]:
    """A page's pieces of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def commands(page: str, program: str) -> list[list[str]]:
    """Lines of a page that call a program, in words."""
    lines = re.findall(rf"^    {program} (.+)$", page, flags=re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_models_are_those_of_the_configuration() -> None:
    models = yaml.safe_load((ROOT / "config/models.yaml").read_text(encoding="utf-8"))["models"]
    fetched = {name: entry for name, entry in models.items() if entry.get("weights", {}).get("fetch")}
    titles = next(line for line in CATALOGUE.splitlines() if line.startswith("| foundation |"))
    titles = titles.split("|")[2].split("(")[0].split(", ")
    assert all(
        any(entry["title"].startswith(title.strip()) for title in titles) for entry in fetched.values()
    )
    assert names_in_row("baselines") == {
        name for name, entry in models.items() if "family" in entry and not entry.get("layers")
    }
    controls = {entry["control"] for entry in models.values() if "control" in entry}
    assert controls <= names_in_row("controls of each")


def test_the_commands_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    targets = set(re.findall(r"^(?:    |\|? ?`)make ([a-z-]+)", text, flags=re.MULTILINE))
    assert {"run", "test", "docs"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


@pytest.mark.parametrize("page", ["README", "command"])
def test_the_door_of_the_command(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = README if page == "README" else TUTORIALS["command"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    blood(tmp_path / "my_cells.h5ad")
    for words in commands(text, "python"):
        subprocess.run([sys.executable, *words], check=True)
    lines = commands(text, "layerscope")
    assert {"check", "init", "run"} <= {words[0] for words in lines}
    for words in lines:
        main([*words, "-n"] if words[0] == "run" and "-n" not in words else words)
    assert "label: possible" in capsys.readouterr().out
    assert yaml.safe_load((tmp_path / "study.yaml").read_text(encoding="utf-8"))["study"]["models"]


def test_the_door_of_python() -> None:
    (snippet,) = code(README, "python")
    *statements, last = snippet.strip().splitlines()
    names = {"adata": blood()}
    exec("\n".join(statements), names)
    assert eval(last, names) == "use_layer"


def test_the_tutorial_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    snippets, names = "\n".join(code(TUTORIALS["python"], "python")), {}
    exec(snippets, names)
    promised = re.findall(r"# (\w+)$", snippets, flags=re.MULTILINE)
    assert capsys.readouterr().out.split() == promised == ["use_layer", "prefer_baseline"]
    (shown,) = code(TUTORIALS["python"], "text")
    without_numbers = re.compile(r"\d\.\d+")
    assert without_numbers.sub("", str(names["choice"])).strip() == without_numbers.sub("", shown).strip()


def test_the_door_of_the_workflow(checkout: Checkout) -> None:
    counts = np.random.default_rng(0).poisson(0.8, (60, 20)).astype(np.float32)
    obs = pd.DataFrame({"target": ["non-targeting", "TP53", "MYC"] * 20}, index=[f"c{i}" for i in range(60)])
    obs["guide_id"] = obs["target"] + "_" + pd.Series(np.arange(60) // 30, obs.index).astype(str)
    genes = pd.DataFrame(index=[f"GENE{i}" for i in range(20)])
    anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=genes).write_h5ad(
        checkout.folder / "my_cells.h5ad"
    )
    (study,) = code(TUTORIALS["workflow"], "yaml")
    (checkout.folder / "my_study.yaml").write_text(study, encoding="utf-8")
    one_layer, planned, _ = commands(TUTORIALS["workflow"], "snakemake")
    jobs = checkout.jobs(*planned)
    assert jobs["prepare_cells"] == 1 and jobs["extract_layers"] == 1
    assert checkout.jobs(*one_layer)["export_layer"] == 1


def test_the_version_stands_in_one_place_and_its_citation_agrees() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (latest, date), *_ = re.findall(
        r"^## ([\d.]+) \((.+)\)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert cited["version"] == latest == __version__
    assert cited["date-released"] == date
