# Functions only: how the configuration becomes the inputs and parameters of rules.

import ast
import hashlib
import json
import os
import re
import shlex
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from snakemake.exceptions import WorkflowError

WORKFLOW = Path(workflow.current_basedir).parent
PACKAGE = WORKFLOW / "layerscope"
sys.path.insert(0, str(WORKFLOW))

import layerscope
from layerscope import study, study_file
from layerscope.errors import ConfigError
from layerscope.models.catalogue import FAMILIES

# models whose scores stand in the paper's tables
PUBLISHED_MODELS = {"scfoundation", "tahoe_x1_1b"}

# what a model's entry sets of how it is run
MODEL_SETTINGS = ("family", "layers", "control", "of", "seed", "pooling", "set", "settings")

# files that each architecture's pretraining writes: those of its release
PRETRAINED_FILES = {
    "scfoundation": ["models.ckpt", "OS_scRNA_gene_index.19264.tsv", "provenance.json"],
    "tahoe_x1": [
        "model.safetensors",
        "model_config.yml",
        "collator_config.yml",
        "vocab.json",
        "provenance.json",
    ],
}


def shell_prefix(mirror):
    """Scripts import the package from beside the Snakefile, in whatever environment they run.

    Without conda, they run with the Python that runs Snakemake, activated or not. The mirror of downloads is
    passed on here, not as a parameter of jobs: another mirror must fetch nothing again.
    """
    methods = workflow.deployment_settings.deployment_method
    in_conda = any(method.name == "CONDA" for method in methods)
    python = "" if in_conda else f"export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; "
    mirror = shlex.quote(mirror if isinstance(mirror, str) else as_json(mirror))
    package = shlex.quote(str(WORKFLOW))
    exports = f"set -euo pipefail; export PYTHONPATH={package} LAYERSCOPE_MIRROR={mirror}; {python}"
    return exports.replace("{", "{{").replace("}", "}}")


def repository(path):
    """Path of a file of the repository, relative to the working directory where Snakemake runs."""
    return os.path.relpath(WORKFLOW.parent / path)


def completed(config):
    """The configuration, checked and with its defaults filled in."""
    try:
        for file in workflow.configfiles:
            study_file.read_study(file)
        return study.complete(config, WORKFLOW / "schemas" / "config.schema.yaml")
    except ConfigError as error:
        raise WorkflowError(f"configuration: {error}") from None


@cache
def imported(file):
    """Files of the package that a Python file imports, itself included, followed to the end."""
    found, waiting = set(), [Path(file)]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("layerscope"):
                place = WORKFLOW.joinpath(*node.module.split("."))
                waiting += [place.with_suffix(".py")] + [place / f"{name.name}.py" for name in node.names]
    # the list of families grows with every model, and must re-run none of the others
    return found - {PACKAGE / "models" / "catalogue.py"}


def code(script, *chosen):
    """Digest of all code of the package that a script runs: editing it re-runs those steps and no others.

    ``chosen`` are modules that the script imports by name at run time, such as a model's.
    """
    starts = [WORKFLOW.parent / "scripts" / script, *(PACKAGE / module for module in chosen)]
    modules = set().union(*map(imported, starts))
    data = {
        file
        for module in modules
        for file in module.parent.rglob("*")
        if file.suffix in {".html", ".css", ".js", ".tsv"}
    }
    files = sorted(modules | data)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def growing(megabytes):
    """Memory of a job: what the first attempt asks for, and as much again with every further attempt."""

    def mem_mb(wildcards, attempt):
        return megabytes * attempt

    return mem_mb


def any_of(names):
    """Wildcard constraint that matches these names and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


def as_json(settings):
    """Settings as one line of text that is the same for the same content."""
    return json.dumps(settings, sort_keys=True)


# --- models ---------------------------------------------------------------------------------------------------


def models_by_weights(origin, family=None):
    """Models whose weights come from ``pretrain`` or ``fetch``, of one family or of all."""
    return [
        name
        for name, entry in config["models"].items()
        if origin in entry.get("weights", {}) and family in (None, entry["family"])
    ]


def foundation_models():
    """Models that have layers: foundation models and their controls."""
    return [name for name in config["models"] if not study.is_baseline(config, name)]


def baselines():
    return [name for name in config["models"] if study.is_baseline(config, name)]


def simulation_settings(wildcards):
    return as_json(config["simulation"][wildcards.draw])


def pretraining_settings(wildcards):
    return as_json(config["pretraining"] | {"layers": config["models"][wildcards.model]["layers"]})


def baseline_family(wildcards):
    return study.family(config, wildcards.model)


def baseline_settings(wildcards):
    return as_json(config["models"][wildcards.model].get("settings", {}))


def pretraining_cells(wildcards):
    return f"results/cells/{config['models'][wildcards.model]['weights']['pretrain']['cells']}/cells.h5ad"


def weight_files(wildcards):
    """The files of the weights that a model runs with."""
    trained = study.trained_model(config, wildcards.model)
    weights = config["models"][trained]["weights"]
    names = (
        PRETRAINED_FILES[study.family(config, trained)] if "pretrain" in weights else list(weights["fetch"])
    )
    return [f"resources/weights/{trained}/{name}" for name in names]


def extraction_code(wildcards):
    return code("extract_layers.py", f"models/{study.family(config, wildcards.model)}.py")


def sums_code(wildcards):
    return code("sum_layers.py", f"models/{study.family(config, wildcards.model)}.py")


def design_of_sums(wildcards):
    """Which cells sums are taken of for protocol strict, if that is to be scored."""
    if "strict" not in config["study"]["protocols"]["perturbation"]:
        return []
    return f"results/references/{wildcards.condition}/strict/design.npz"


def option_of_sums(wildcards):
    design = design_of_sums(wildcards)
    return f"--design {design}" if design else ""


def layers_file(wildcards):
    """What holds a model's layers: its cells' embeddings, or sums over groups of them."""
    kind, suffix = (
        ("sums", "h5")
        if study.keeps_sums(config, wildcards.condition, wildcards.model)
        else ("embeddings", "h5ad")
    )
    return f"results/{kind}/{wildcards.condition}/{wildcards.model}.{suffix}"


def extraction_threads(wildcards):
    """Small models run fastest one thread each; results do not depend on it."""
    trained = config["models"][study.trained_model(config, wildcards.model)]
    return 1 if "pretrain" in trained["weights"] else 8


def extraction_options(wildcards):
    """The model's own settings as command-line options."""
    trained = study.trained_model(config, wildcards.model)
    entry, control = config["models"][trained], config["models"][wildcards.model]
    options = ["--family", entry["family"], "--weights", f"resources/weights/{trained}"]
    options += ["--layers", str(entry["layers"])]
    if "pooling" in entry:
        options += ["--pooling", entry["pooling"]]
    for key, value in sorted(entry.get("set", {}).items()):
        options += ["--set", f"{key}={value}"]
    if "control" in control:
        options += ["--control", control["control"], "--control-seed", str(control["seed"])]
    if "shard" in wildcards.keys():
        options += ["--shard", wildcards.shard, wildcards.shards]
    return shlex.join(options)


def in_shards():
    """Whether several jobs share the extraction of a condition by a model."""
    return config["extraction"]["shards"] > 1


def shard_files(wildcards):
    """The parts of an embeddings file, first to last."""
    folder, count = f"results/shards/{wildcards.condition}/{wildcards.model}", config["extraction"]["shards"]
    return [f"{folder}/{number}-of-{count}.h5ad" for number in range(1, count + 1)]


# --- sources --------------------------------------------------------------------------------------------------


def datasets_by_source(*kinds):
    """Datasets whose cells come from one of these kinds of source."""
    return [name for name, entry in config["datasets"].items() if set(kinds) & set(entry["source"])]


def weights_source(wildcards):
    """Where a file of weights is, and whether its licence has been accepted."""
    entry = config["models"][wildcards.model]
    licence = {
        "licence": entry.get("licence", ""),
        "accepted": wildcards.model in config["accepted_licences"],
    }
    return as_json(entry["weights"]["fetch"][wildcards.file] | licence | {"model": wildcards.model})


def dataset_source(wildcards):
    return as_json(config["datasets"][wildcards.dataset]["source"])


def gene_names_source(wildcards):
    return as_json(config["gene_names"][wildcards.names])


def slice_settings(wildcards):
    """Where a large file is, and which of its cells the conditions of the dataset ask for."""
    entry = config["datasets"][wildcards.dataset]
    reading = ("kind", "columns", "control", "genes", "matrix")
    settings = {key: entry[key] for key in reading if key in entry}
    selections = [
        condition.get("selection", {})
        for condition in config["conditions"].values()
        if condition["dataset"] == wildcards.dataset and "cells_of" not in condition
    ]
    return as_json(
        settings
        | {
            "url": entry["source"]["slice"],
            "dataset": wildcards.dataset,
            "selection": (selections or [{}])[0] | {"seed": config["seeds"]["selection"]},
        }
    )


# --- cells ----------------------------------------------------------------------------------------------------


def source_file(wildcards):
    """The file that the cells of a condition are read from."""
    name = config["conditions"][wildcards.condition]["dataset"]
    source = config["datasets"][name]["source"]
    if "simulate" in source:
        return f"resources/simulated/{source['simulate']}.h5ad"
    if "path" in source:
        return source["path"]
    if "slice" in source:
        return f"resources/{name}/slice.h5ad"
    return f"resources/{name}/{remote_name(source)}"


def remote_name(source):
    """Name that a remote file gets here; a gzipped h5ad is decompressed while it is fetched."""
    address = source.get("url") or source.get("geo", source.get("huggingface"))["file"]
    name = os.path.basename(address)
    return name.removesuffix(".gz") if name.endswith(".h5ad.gz") else name


def gene_names(wildcards):
    """The table of gene names that a condition's dataset asks for, if it does."""
    name = study.dataset(config, wildcards.condition).get("gene_names")
    if name is None:
        return []
    source = config["gene_names"][name]
    return source.get("path", f"resources/gene_names/{name}/{remote_name(source)}")


def gene_names_option(wildcards):
    names = gene_names(wildcards)
    return shlex.join(["--gene-names", names]) if names else ""


def cells_settings(wildcards):
    """What a reader needs to know to make a condition's cells, and nothing else."""
    condition = config["conditions"][wildcards.condition]
    dataset = study.dataset(config, wildcards.condition)
    elsewhere = {"title", "citation", "licence", "source", "gene_names"}
    settings = {key: value for key, value in dataset.items() if key not in elsewhere}
    settings |= {key: condition[key] for key in ("task", "subset", "exclude") if key in condition}
    settings["dataset"] = condition["dataset"]
    settings["quality"] = config["quality"] | condition.get("quality", {})
    if "selection" in condition:
        settings["selection"] = condition["selection"] | {"seed": config["seeds"]["selection"]}
    return as_json(settings)


# --- scores ---------------------------------------------------------------------------------------------------


def trajectory_settings(wildcards):
    return as_json(config["trajectory"][wildcards.protocol] | config["resampling"])


def trajectory_reference_settings(wildcards):
    """What a reference depends on: not on how scores are resampled."""
    return as_json(config["trajectory"][wildcards.protocol])


def cell_type_settings(wildcards):
    return as_json(config["cell_type"][wildcards.protocol] | config["resampling"])


def cells_file(wildcards):
    """The cells that a condition is scored on: its own, or those of the condition that it names."""
    return f"results/cells/{study.cells_of(config, wildcards.condition)}/cells.h5ad"


def embeddings_file(wildcards):
    """A model's layers of the cells that a condition is scored on."""
    return f"results/embeddings/{study.cells_of(config, wildcards.condition)}/{wildcards.model}.h5ad"


def baseline_embeddings_file(wildcards):
    """What a reference pseudotime is computed from, where it has to be computed."""
    return f"results/embeddings/{study.cells_of(config, wildcards.condition)}/hvg_pca.h5ad"


def perturbation_settings(wildcards):
    return as_json(config["perturbation"][wildcards.protocol] | config["resampling"])


def perturbation_reference_settings(wildcards):
    """What a reference depends on: not on how scores are resampled."""
    return as_json(config["perturbation"][wildcards.protocol])


def design_of_splits(wildcards):
    """Which cells form which half: needed where the matrices come from disjoint cells."""
    if wildcards.protocol != "strict":
        return []
    return f"results/references/{wildcards.condition}/strict/design.npz"


def design_option(wildcards):
    design = design_of_splits(wildcards)
    return f"--design {design}" if design else ""


def score_files(suffix):
    """One file per condition, protocol, model and layer of the study."""
    return [
        f"results/scores/{task}/{condition}/{protocol}/{model}/layer_{layer}.{suffix}"
        for condition, model in study.runs(config)
        for task in [study.task(config, condition)]
        for protocol in config["study"]["protocols"][task]
        for layer in study.layers(config, model)
    ]


def unavailable_scores():
    return as_json(
        [
            row | {"protocol": protocol}
            for row in study.unavailable(config)
            for protocol in config["study"]["protocols"][row["task"]]
        ]
    )


def studied_tasks():
    return sorted({study.task(config, condition) for condition in config["study"]["conditions"]})


def figure_files(*suffixes):
    scores = [
        f"{task}_{protocol}" for task in studied_tasks() for protocol in config["study"]["protocols"][task]
    ]
    return [
        f"results/figures/{figure}.{suffix}"
        for figure in [*scores, "layer_choice", *geometry_figures(), *published_figures()]
        for suffix in suffixes or ("svg", "png", "pdf")
    ]


def geometry_figures():
    return ["geometry", "alignment"] if described_runs() else []


def published_figures():
    """The comparison with the paper is drawn where something of the study was published."""
    return ["published"] if PUBLISHED_MODELS & set(config["study"]["models"]) else []


def summary_files():
    conditions = [study.cells_of(config, condition) for condition in config["study"]["conditions"]]
    return [f"results/cells/{condition}/summary.tsv" for condition in dict.fromkeys(conditions)]


def described_runs():
    """Pairs of condition and model whose layers have a shape to describe: where their cells are kept.

    Of several seeds of a control, the first is enough.
    """
    described = [
        (study.cells_of(config, condition), model)
        for condition, model in study.runs(config)
        if config["geometry"]["run"]
        and not study.is_baseline(config, model)
        and not study.is_repetition(config, model)
        and not study.keeps_sums(config, condition, model)
    ]
    return list(dict.fromkeys(described))


def geometry_files(kind):
    """One table per condition and model of the study."""
    return [f"results/geometry/{condition}/{model}/{kind}.tsv" for condition, model in described_runs()]


def described_embeddings():
    """The layers that have a shape to describe, in the order of their tables."""
    return [f"results/embeddings/{condition}/{model}.h5ad" for condition, model in described_runs()]


def baselines_beside():
    """The study's baselines of the cells of which layers have a shape."""
    conditions = {condition for condition, _ in described_runs()}
    files = [
        f"results/embeddings/{study.cells_of(config, condition)}/{model}.h5ad"
        for condition, model in study.runs(config)
        if study.is_baseline(config, model) and study.cells_of(config, condition) in conditions
    ]
    return list(dict.fromkeys(files))


def further_tables():
    """Tables that the report shows as they are."""
    geometry = ["results/tables/geometry.tsv"] if described_runs() else []
    return ["results/tables/shifts.tsv", *ceiling_tables(), *geometry]


def ceiling_files():
    """Noise ceilings of each condition that has any: protocol strict of the perturbation task."""
    return [
        f"results/references/{condition}/strict/ceilings.tsv"
        for condition in config["study"]["conditions"]
        if study.task(config, condition) == "perturbation"
        and "strict" in config["study"]["protocols"]["perturbation"]
    ]


def ceiling_tables():
    return ["results/tables/ceilings.tsv"] if ceiling_files() else []


def ceilings_option():
    return f"--ceilings {ceiling_tables()[0]}" if ceiling_tables() else ""


def geometry_tables():
    """What is made last of the shape of layers."""
    return ["results/tables/geometry.tsv", *alignment_tables()] if described_runs() else []


def alignment_tables():
    return ["results/tables/alignment.tsv"] if described_runs() else []


def trained_on(model):
    """What a model's weights were trained on, in words."""
    trained = config["models"][study.trained_model(config, model)]
    cells = trained.get("weights", {}).get("pretrain", {}).get("cells")
    return f"pretrained here on {cells}" if cells else trained.get("trained_on", "")


def model_descriptions():
    """What figures and report say of each model of the study."""
    return {
        model: {
            "kind": (
                "baseline"
                if study.is_baseline(config, model)
                else "control" if "control" in config["models"][model] else "foundation"
            ),
            "family": study.family(config, model),
            "control": config["models"][model].get("control"),
            "of": config["models"][model].get("of"),
            "layers": config["models"][study.trained_model(config, model)].get("layers", 0),
            "title": config["models"][model].get("title", model),
            "licence": config["models"][study.trained_model(config, model)].get("licence", ""),
            "citation": config["models"][study.trained_model(config, model)].get("citation", ""),
            "trained_on": trained_on(model),
        }
        for model in config["study"]["models"]
    }


def condition_descriptions():
    """What figures and report say of each condition of the study."""
    return {
        condition: {
            "title": config["conditions"][condition].get("title", condition),
            "task": study.task(config, condition),
            "dataset": config["conditions"][condition]["dataset"],
            "dataset_title": study.dataset(config, condition).get("title", ""),
            "citation": study.dataset(config, condition).get("citation", ""),
            "licence": study.dataset(config, condition).get("licence", ""),
            "simulated": study.is_simulated(config, condition),
        }
        for condition in config["study"]["conditions"]
    }


def figure_settings():
    """What figures say beside the tables."""
    return {
        "title": config["study"]["title"],
        "order": config["study"]["conditions"],
        "conditions": condition_descriptions(),
        "models": model_descriptions(),
    }


def studied_settings():
    """What the numbers of the study depend on beside its conditions, models and seeds."""
    kinds = ("quality", "extraction", "pretraining", "resampling", "geometry", *studied_tasks())
    return {kind: config[kind] for kind in kinds}


def printed_settings():
    """The configuration that the report prints: what was studied and how, with the defaults of all keys.

    The title is no setting: it heads the page, and another one changes no table.
    """
    studied = {key: value for key, value in config["study"].items() if key != "title"}
    conditions = {name: config["conditions"][name] for name in config["study"]["conditions"]}
    models = {
        name: {key: value for key, value in config["models"][name].items() if key in MODEL_SETTINGS}
        for name in config["study"]["models"]
    }
    return {"study": studied, "conditions": conditions, "models": models} | studied_settings()


def first_layer_resamples():
    """Bootstrap values of the first layers whose loss to an ablation of the input is stated."""
    ablations = {name for name in config["study"]["models"] if is_ablation(name)}
    wanted = ablations | {config["models"][name]["of"] for name in ablations}
    return [
        f"results/scores/perturbation/{condition}/{protocol}/{model}/layer_01.npz"
        for condition, model in study.runs(config)
        if study.task(config, condition) == "perturbation" and model in wanted
        for protocol in config["study"]["protocols"]["perturbation"]
    ]


def is_ablation(model):
    return config["models"][model].get("control") == "values_permuted"


def referee_settings():
    """What the objections of a referee are answered with beside the tables."""
    return {"models": model_descriptions(), "config": printed_settings()}


def warning_settings():
    """What tells which warnings the scores imply."""
    return {"models": model_descriptions(), "order": config["study"]["conditions"]}


def report_settings():
    """What the report says beside the tables."""
    return figure_settings() | {
        "config": printed_settings(),
        "seeds": config["seeds"],
        "versions": package_versions(),
    }


def package_versions():
    """Versions of the packages that the numbers depend on, where they are installed beside Snakemake."""
    names = ("layerscope", "snakemake", "torch", "scanpy", "anndata", "pydeseq2", "numpy", "scipy", "pandas")
    found = {distribution.metadata["Name"]: distribution.version for distribution in metadata.distributions()}
    return {"layerscope": layerscope.__version__} | {name: found[name] for name in names if name in found}
