"""`layerscope init`: the study that it writes is complete, or it says which one thing is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import yaml
from program_cells import ENSEMBL, HUMAN, N_CELLS, development, patients, screen, write

from layerscope import program
from layerscope.cells.prepare import prepare
from layerscope.cells.settings import Recovery
from layerscope.doors import studies
from layerscope.study import jobs
from layerscope.study.runs import Study
from scanpy_cells import pbmc68k

BASELINES = {"hvg_pca", "rank_normal_pca", "hellinger_svd", "log_all_genes", "qc_only"}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))


def init(*words: object) -> Study:
    """The study that is written; its cells can be prepared as it says."""
    Path("prepared").mkdir(exist_ok=True)
    program.main(["init", *map(str, words)])
    study = studies.read("study.yaml")
    for condition in study.study.conditions:
        names = jobs.gene_names_file(study, condition)
        here = [name for name in names if Path(name).exists()]
        prepare(
            [jobs.source_file(study, condition)],
            jobs.cells_settings(study, condition),
            condition,
            f"prepared/{condition}.h5ad",
            f"prepared/{condition}.tsv",
            here[0] if here else None,
        )
    return study


def written() -> dict[str, Any]:
    """The file as a user reads it."""
    content: dict[str, Any] = yaml.safe_load(Path("study.yaml").read_text(encoding="utf-8"))
    return content


def test_blood_of_patients_is_asked_for_its_types_with_all_that_the_file_brings(capsys):
    patients(Path("pbmc of 12.h5ad"))
    study = init("pbmc of 12.h5ad")
    assert study.study.conditions == ("pbmc_of_12",)
    assert study.task("pbmc_of_12") == "label"
    assert set(study.study.models) == BASELINES | {"X_scVI", "X_pca", "mine_layer"}
    assert study.layers("X_scVI") == ["official"]
    assert study.layers("mine_layer") == ["00", "01", "02"]
    assert written()["datasets"]["pbmc_of_12"]["columns"] == {"cell_type": "annotation", "donor": "patient"}
    assert "guess" in Path("study.yaml").read_text()
    said = capsys.readouterr().out
    assert "disease (" in said and "settings: {column: disease}" in said
    assert "--models" in said and "scgpt" in said and "run study.yaml" in said


@pytest.mark.parametrize(
    "name", ["cord_blood.h5ad", "cord.h5ad", "simulated_Rest.h5ad", "été, #1.h5ad", "...h5ad"]
)
def test_a_file_of_any_name_gets_names_that_are_free_and_fit_into_paths(name):
    patients(Path(name))
    study = init(name)
    (condition,) = study.study.conditions
    assert jobs.source_file(study, condition) == name
    assert set(written()["datasets"]) == {study.dataset_name(condition)}


def test_models_come_with_their_untrained_twins_names_of_genes_and_licences():
    patients(Path("pbmc.h5ad"))
    models = ["scgpt", "geneformer_v1_10m"]
    program.main(["init", "pbmc.h5ad", "--models", *models, "--accept-licence", "--output", "with.yaml"])
    study = studies.read("with.yaml")
    assert set(models) | {f"{model}_untrained_1" for model in models} | BASELINES <= set(study.study.models)
    assert study.accepted_licences == tuple(models)
    assert study.dataset("pbmc").gene_names == "hgnc"
    program.main(["init", "pbmc.h5ad", "--models", "scgpt", "hvg_pca", "--accept-licence"])
    study = studies.read("study.yaml")
    assert study.dataset("pbmc").gene_names is None
    assert BASELINES & set(study.study.models) == {"hvg_pca"}


def test_mouse_cells_are_taken_over_their_orthologs_where_a_model_knows_human_genes_alone(capsys):
    patients(Path("mice.h5ad"), [name.capitalize() for name in HUMAN])
    program.main(["init", "mice.h5ad", "--models", "uce_4layer", "hvg_pca"])
    assert studies.read("study.yaml").dataset("mice").orthologs is None
    program.main(["init", "mice.h5ad", "--models", "scgpt", "geneformer_v1_10m", "--output", "b.yaml"])
    orthologs = studies.read("b.yaml").dataset("mice").orthologs
    assert orthologs is not None and orthologs.table == "hcop_mouse"
    assert "scgpt, geneformer_v1_10m" in capsys.readouterr().out
    program.main(["check", "mice.h5ad"])
    said = capsys.readouterr().out
    assert "geneformer: yes, with `orthologs: {table: hcop_mouse}`" in said and "uce: yes\n" in said


def test_without_the_licence_the_one_thing_that_is_needed_is_said(capsys):
    patients(Path("pbmc.h5ad"))
    study = init("pbmc.h5ad", "--models", "scgpt")
    assert study.accepted_licences == ()
    for text in (capsys.readouterr().out, Path("study.yaml").read_text()):
        assert "accepted_licences: [scgpt]" in text and "none stated" in text


def test_any_column_may_be_the_labels():
    patients(Path("pbmc.h5ad"))
    study = init("pbmc.h5ad", "--task", "label", "--columns", "cell_type=disease", "--max-cells", "100")
    assert study.dataset("pbmc").columns["cell_type"] == "disease"
    cells = anndata.read_h5ad("pbmc.h5ad")
    prepared = anndata.read_h5ad(f"prepared/{study.study.conditions[0]}.h5ad")
    assert len(cells) == N_CELLS and len(prepared) == 100
    assert set(prepared.obs["cell_type"]) == {"sick", "healthy"}


@pytest.mark.parametrize(
    ("guides", "words", "task", "protocol"),
    [
        (True, [], "perturbation", "strict"),
        (False, [], "perturbation", "paper"),
        (True, ["--task", "response"], "response", "strict"),
    ],
)
def test_a_screen_is_asked_for_its_perturbations(guides, words, task, protocol):
    screen(Path("screen.h5ad"), guides)
    study = init("screen.h5ad", *words)
    assert study.tasks() == [task]
    assert study.protocols(task) == (protocol,)
    assert study.dataset("screen").control == ("non-targeting",)


def test_a_treatment_beside_types_is_no_screen_and_a_screen_beside_types_is_one():
    types = {"cell_type": ["B", "T"] * (N_CELLS // 2), "day": ["d0", "d4"] * (N_CELLS // 2)}
    write(Path("kang.h5ad"), types | {"stim": ["ctrl", "IFN", "ctrl"] * (N_CELLS // 3)})
    study = init("kang.h5ad")
    assert study.tasks() == ["label"]
    assert not {"root", "time_order"} & set(written()["datasets"]["kang"])
    Path("study.yaml").unlink()
    many = [f"G{i % 6}" if i % 6 else "control" for i in range(N_CELLS)]
    write(Path("norman.h5ad"), types | {"perturbation": many})
    assert init("norman.h5ad").tasks() == ["perturbation"]


def test_a_control_that_cannot_be_guessed_is_asked_for_and_taken():
    screen(Path("screen.h5ad"), control="plasmid 7")
    with pytest.raises(SystemExit, match=r"--control LABEL.*plasmid 7"):
        init("screen.h5ad", "--task", "perturbation")
    assert not Path("study.yaml").exists()
    with pytest.raises(SystemExit, match=r"'plasmid'.*plasmid 7"):
        init("screen.h5ad", "--task", "perturbation", "--control", "plasmid")
    study = init("screen.h5ad", "--task", "perturbation", "--control", "plasmid 7")
    assert study.dataset("screen").control == ("plasmid 7",)


def test_days_are_a_trajectory_from_the_first_of_them():
    development(Path("days.h5ad"))
    study = init("days.h5ad")
    assert study.tasks() == ["trajectory"]
    assert study.dataset("days").root == {"time": ("d0",)}
    Path("study.yaml").unlink()
    write(Path("waves.h5ad"), {"wave": np.repeat(["d10", "d4", "d0", "d10"], N_CELLS // 4)})
    study = init("waves.h5ad", "--columns", "time=wave", "--task", "trajectory")
    assert study.dataset("waves").root == {"time": ("d0",)}


def test_a_root_is_asked_for_and_taken_and_several_tasks_share_a_study():
    patients(Path("pbmc.h5ad"))
    with pytest.raises(SystemExit, match=r"--root cell_type=type"):
        init("pbmc.h5ad", "--task", "trajectory")
    with pytest.raises(SystemExit, match=r"type 9.*type 0"):
        init("pbmc.h5ad", "--task", "trajectory", "--root", "cell_type=type 9")
    study = init("pbmc.h5ad", "--task", "trajectory", "label", "--root", "cell_type=type 3")
    assert study.study.conditions == ("pbmc_trajectory", "pbmc_label")
    assert study.dataset("pbmc_trajectory").root == {"cell_type": ("type 3",)}


def test_a_model_that_cannot_take_the_cells_is_refused_with_the_remedy():
    write(Path("a.h5ad"), {"cell_type": ["a", "b"] * (N_CELLS // 2)}, [f"at1g{i}" for i in range(60)])
    with pytest.raises(SystemExit, match=r"v1_10m.*\{ensembl_id: COLUMN"):
        init("a.h5ad", "--models", "geneformer_v1_10m")
    write(Path("b.h5ad"), {"cell_type": ["a", "b"] * (N_CELLS // 2)}, ENSEMBL)
    assert init("b.h5ad", "--models", "geneformer_v1_10m").dataset("b").gene_names is None


def test_a_file_that_cannot_be_a_study_is_told_why():
    patients(Path("a.h5ad"))
    cells = anndata.read_h5ad("a.h5ad")
    cells.X = np.random.default_rng(0).normal(size=cells.shape).astype(np.float32)
    cells.write_h5ad("a.h5ad")
    with pytest.raises(SystemExit, match=r"a\.h5ad: .*layerscope check"):
        init("a.h5ad")
    write(Path("b.h5ad"), {"quality": np.linspace(0, 1, N_CELLS)})
    with pytest.raises(SystemExit, match=r"--columns cell_type=COLUMN.*quality"):
        init("b.h5ad")


def test_no_file_is_overwritten():
    patients(Path("pbmc.h5ad"))
    init("pbmc.h5ad")
    before = Path("study.yaml").read_bytes()
    with pytest.raises(SystemExit, match=r"study.yaml.*--output"):
        init("pbmc.h5ad")
    assert Path("study.yaml").read_bytes() == before


def test_rounded_values_of_an_old_file_become_counts():
    study = init(pbmc68k())
    (condition,) = study.study.conditions
    assert study.dataset(condition).recover_counts == Recovery(total="n_counts", decimals=3)
    assert study.dataset(condition).columns == {"cell_type": "bulk_labels"}
    counts = anndata.read_h5ad(f"prepared/{condition}.h5ad").X
    assert counts.shape == (700, 765)
    assert (counts.data % 1 == 0).all()
    assert counts.max() == 259
