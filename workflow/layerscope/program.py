"""The command ``layerscope``: its verbs hand over to the functions that rules and Python call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from layerscope import __version__, command_line
from layerscope.errors import ConfigError

Device = Literal["auto", "cpu", "cuda"]
Word = Annotated[str, Parameter(allow_leading_hyphen=True)]
EXAMPLES = """Examples:
  layerscope check cells.h5ad
  layerscope init cells.h5ad --models geneformer_v2_104m --accept-licence
  layerscope run study.yaml -n
  layerscope run study.yaml

Ends with 0, or with 1 and one or two lines that say what to mend."""
APP = App(
    name="layerscope",
    help="Which layer of a single-cell foundation model to use, and how sure that answer is.",
    help_format="plaintext",
    help_epilogue=EXAMPLES,
    version=__version__,
    default_parameter=Parameter(negative=(), consume_multiple=True, show_default=command_line.shown_default),
    result_action="return_value",
)
APP.register_install_completion_command()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; exit status 0, or 1 for what the user has to mend."""
    try:
        command_line.run(lambda: _run(argv))
    except KeyboardInterrupt:
        sys.exit(130)


def _run(argv: Sequence[str] | None) -> None:
    try:
        chosen, bound, _ = APP.parse_args(argv, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise ConfigError(f"{' '.join(str(error).split())} (--help lists what there is)") from None
    status = chosen(*bound.args, **bound.kwargs)
    if isinstance(status, int) and status:
        sys.exit(status)


def examples(*lines: str) -> str:
    """Examples, as they stand below a verb's help."""
    return "\n".join(["Examples:", *(f"  layerscope {line}" for line in lines)])


def verb(*lines: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a verb of the command, with examples below its help."""
    return APP.command(help_epilogue=examples(*lines))


@verb("check cells.h5ad", "check filtered_feature_bc_matrix/")
def check(file: Path, /) -> None:
    """Say what a file of cells holds, and which tasks and models can use it.

    Parameters
    ----------
    file
        An h5ad file, a zarr store, a 10x folder or .h5 file.
    """
    from layerscope.cells.check import check as described
    from layerscope.models.catalogue import FAMILIES

    print(described(file, FAMILIES))


@verb(
    "init cells.h5ad",
    "init cells.h5ad --models geneformer_v2_104m scgpt --accept-licence --max-cells 5000",
    "init cells.h5ad --task label --columns cell_type=disease donor=patient",
    "init screen.h5ad --task perturbation --control NTC safe",
)
def init(
    file: Path,
    /,
    *,
    task: Sequence[str] = (),
    models: Sequence[str] = (),
    output: Path = Path("study.yaml"),
    columns: Sequence[str] = (),
    control: Sequence[str] = (),
    root: Sequence[str] = (),
    max_cells: int | None = None,
    accept_licence: bool = False,
) -> None:
    """Write a complete study of a file of cells, ready for `layerscope run`.

    Parameters
    ----------
    file
        An h5ad file, a zarr store, a 10x folder or .h5 file.
    task
        One or several; by default the likeliest that the file allows (layerscope tasks).
    models
        Foundation models (layerscope models); their untrained twins, the usual baselines and the embeddings
        of the file are added.
    output
        The study's file.
    columns
        Which column is what, if the guess is wrong: cell_type=disease donor=patient.
    control
        Labels of the perturbation that mean untreated.
    root
        Where a trajectory begins: cell_type=HSC.
    max_cells
        Keep so many cells at most.
    accept_licence
        You have read and accept the licences of the models.
    """
    from layerscope.cells.describe import describe
    from layerscope.doors.draft import Wishes, draft
    from layerscope.doors.studies import study_of
    from layerscope.models.settings import assignments

    if output.exists():
        raise ConfigError(f"{output}: there is such a file already; name another with --output")
    wishes = Wishes(
        tasks=task,
        models=models,
        columns=assignments(columns, "--columns"),
        control=control,
        root=assignments(root, "--root"),
        accept_licence=accept_licence,
        max_cells=max_cells,
    )
    written = draft(describe(file), wishes)
    study = study_of(written.study)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(written.text, encoding="utf-8")
    print(f"{output}: {', '.join(study.study.conditions)}; models {', '.join(study.study.models)}")
    print("\n".join([*written.remarks, *_cost(study), f"Run it: layerscope run {output}"]))


@verb(
    "run study.yaml -n",
    "run study.yaml",
    "run study.yaml --cores 8 --resources gpu=1",
    "run study.yaml --report report.zip",
)
def run(study: Path, /, *arguments: Word) -> int:
    """Run a study in the current folder, where its results go.

    Parameters
    ----------
    study
        Its file; paths in it are relative to the current folder.
    arguments
        Snakemake's own, such as -n (plan only, with what it will cost) or --cores 8 (by default all).
    """
    from layerscope.doors import studies

    planned = studies.read(study)
    status = studies.snakemake(study, arguments)
    if not status and studies.is_dry(arguments):
        print("\n".join(_cost(planned)))
    return status


def _cost(study: Any) -> list[str]:
    from layerscope.doors.cost import cost_lines, measured
    from layerscope.doors.studies import model_runs

    runs = model_runs(study)
    return cost_lines(runs, measured(study.extraction.device)) if runs else []


@verb(
    "embed cells.h5ad geneformer_v2_104m --accept-licence -n",
    "embed cells.h5ad scgpt --accept-licence --output layers.h5ad --device cuda",
    "embed cells.h5ad geneformer --weights Geneformer-V2-104M/ --layers 06 07 official",
)
def embed(
    file: Path,
    model: str,
    /,
    *,
    output: Path | None = None,
    layers: Sequence[str] = (),
    weights: Path | None = None,
    accept_licence: bool = False,
    device: Device = "auto",
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    store: Literal["float32", "float16"] = "float32",
    threads: int = 0,
    max_cells: int | None = None,
    gene_names: str | None = None,
    set: Sequence[str] = (),
    dry_run: Annotated[bool, Parameter(alias="-n")] = False,
) -> None:
    """Run a model over the cells of a file and keep its layers; says first what it will cost.

    Parameters
    ----------
    file
        An h5ad file.
    model
        Its name (layerscope models); with --weights also a family.
    output
        The layers' file, CELLS_MODEL.h5ad by default; an interrupted call goes on from there.
    layers
        By default all: 00 (what enters the first block), 01 ..., official.
    weights
        A release folder, in place of the cache.
    accept_licence
        You have read and accept the licence of the weights; nothing is fetched without.
    device
        Where to compute.
    dtype
        Of the computation.
    store
        Of the stored layers.
    threads
        0 for PyTorch's default.
    max_cells
        Take so many cells at most.
    gene_names
        Table of symbols and Ensembl ids, where the file has one of them and the model needs the other: a
        file, or hgnc, which is fetched.
    set
        What a dataset of a study may say of the cells: matrix=layers/counts values=counts.
    dry_run
        Only say what it will cost.
    """
    from layerscope.doors import terminal

    output = output or Path(f"{file.name.removesuffix('.h5ad')}_{model}.h5ad")
    options: dict[str, Any] = {"output": output, "layers": list(layers) or "all"}
    options |= {"accept_licence": accept_licence, "threads": threads}
    options |= {"device": device, "dtype": dtype, "store": store}
    chosen = {"weights": weights, "max_cells": max_cells, "gene_names": gene_names}
    options |= {name: value for name, value in chosen.items() if value is not None}
    print(terminal.embed(file, model, options | terminal.keywords(set, "--set"), dry_run))


@verb(
    "score cells.h5ad layers.h5ad X_scVI --task label --label disease --group donor",
    "score screen.h5ad layers.h5ad --task perturbation --set perturbation=target control=NTC guide=sgRNA",
)
def score(
    file: Path,
    /,
    *layers: str,
    task: str,
    protocol: str = "strict",
    label: str | None = None,
    group: str | None = None,
    set: Sequence[str] = (),
    output: Path | None = None,
    seed: int = 1,
    threads: int = 1,
) -> None:
    """Score layers by a task, and say which to use.

    Parameters
    ----------
    file
        The cells: an h5ad file.
    layers
        Files of layerscope embed or of a study, and names of arrays in the file's obsm.
    task
        Its name (layerscope tasks).
    protocol
        One of the task's.
    label
        Column of the labels, in task label.
    group
        Column that keeps cells together, in task label: the donor.
    set
        Any setting of the task or of the cells: resamples=200 matrix=raw donor=patient.
    output
        A table with tabs for the score rows.
    seed
        Of all that is drawn.
    threads
        To compute with.
    """
    from layerscope.doors import terminal

    if not layers:
        raise ConfigError("score: name what to score: a file of layers, or arrays in obsm")
    options: dict[str, Any] = {"protocol": protocol, "seed": seed, "threads": threads}
    options |= {name: column for name, column in (("label", label), ("group", group)) if column is not None}
    print(terminal.score(file, layers, task, options | terminal.keywords(set, "--set"), output))


@verb("models")
def models() -> None:
    """List the models: layers, width, size, licence, what they need, and whether their weights are here."""
    from layerscope.doors.catalogues import models_table

    print(models_table())


@verb("tasks")
def tasks() -> None:
    """List the tasks: what each asks, which columns it needs, and how it is scored."""
    from layerscope.doors.catalogues import tasks_table

    print(tasks_table())


APP.command(
    "layerscope.verification.command:verify_model",
    name="verify",
    help="Compare the weights of a model at hand with all that is published of them.",
    help_epilogue=examples("verify geneformer_v2_104m", "verify scgpt --weights scGPT_human/ --cells 0"),
)
