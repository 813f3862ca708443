"""How often does the default study find what was planted? Draws of its cells, and of planted layers in them.

    python benchmarks/planted.py --draws 20 --output planted.tsv

Conditions, protocols and sizes are those of ``config/config.yaml``, but for conditions whose cells are not
simulated. Per draw the simulation and the noise of the planted layers have other seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import pandas as pd  # noqa: E402

from layerscope import layout  # noqa: E402
from layerscope.cells.obs import read_obs  # noqa: E402
from layerscope.cells.prepare import prepare  # noqa: E402
from layerscope.demo.planting import plant_layers  # noqa: E402
from layerscope.demo.simulation import write_simulation  # noqa: E402
from layerscope.doors.studies import read  # noqa: E402
from layerscope.models.baselines import compute_baseline  # noqa: E402
from layerscope.models.entries import PlantedModel  # noqa: E402
from layerscope.statistics.evidence import Model  # noqa: E402
from layerscope.statistics.layer_choice import choose_layers  # noqa: E402
from layerscope.study import jobs  # noqa: E402
from layerscope.study.runs import Study  # noqa: E402
from layerscope.tables import write_table  # noqa: E402
from layerscope.tasks.catalogue import TASKS  # noqa: E402
from layerscope.tasks.jobs import ScoringJob, make_reference, score  # noqa: E402


def draw(study: Study, seed: int, folder: Path) -> pd.DataFrame:
    """Rows of ``layers.tsv`` of the planted models in one draw of the study's cells."""
    planted = {name: entry for name, entry in study.models.items() if isinstance(entry, PlantedModel)}
    runs = [(condition, model) for condition, model in study.runs() if model in planted]
    rows, resamples = [], {}
    for condition in dict.fromkeys(condition for condition, _ in runs):
        references = prepared(study, condition, seed, folder)
        cells, task = folder / f"{condition}.h5ad", study.task(condition)
        obs = read_obs(cells)
        for number, model in enumerate(model for of, model in runs if of == condition):
            layers, entry = folder / f"{condition}-{model}.h5ad", planted[model]
            of_draw = len(planted) * seed + number
            plant_layers(
                model=model, cells=cells, layers=entry.layers, peak=entry.peak, seed=of_draw, output=layers
            )
            for protocol, reference in references.items():
                settings = TASKS[task].settings_of(protocol, jobs.score_settings(study, condition, protocol))
                for layer in entry.layer_names:
                    job = ScoringJob(
                        protocol=protocol,
                        settings=settings,
                        condition=condition,
                        model=model,
                        layer=layer,
                        embeddings=layers,
                        obs=obs,
                        reference=reference,
                        seed=seed,
                    )
                    scored = score(task, job)
                    rows += [vars(row) for row in scored.rows]
                    resamples[task, condition, protocol, model, layer] = scored.resamples
    models = {name: Model(name, "foundation", entry.layers) for name, entry in planted.items()}
    return choose_layers(pd.DataFrame(rows), resamples, models).layers


def prepared(study: Study, condition: str, seed: int, folder: Path) -> dict[str, Path]:
    """Simulate and prepare the cells of a condition; the reference of each protocol."""
    source, cells = str(study.dataset(condition).source.simulate), folder / f"{condition}.h5ad"
    simulated, baseline = folder / f"{source}-simulated.h5ad", folder / f"{condition}-baseline.h5ad"
    if not simulated.exists():
        write_simulation(source, jobs.simulation_settings(study, source), seed, simulated)
    prepare([simulated], jobs.cells_settings(study, condition), condition, cells, folder / "summary.tsv")
    task, references = study.task(condition), {}
    if TASKS[task].baseline:
        compute_baseline(TASKS[task].baseline, cells, baseline, {}, seed)
    for protocol in study.protocols(task):
        references[protocol] = folder / f"{condition}-{protocol}"
        make_reference(
            task=task,
            protocol=protocol,
            condition=condition,
            cells=cells,
            settings=jobs.reference_settings(study, condition, protocol),
            output=references[protocol],
            baseline=[baseline] if TASKS[task].baseline else [],
            seed=jobs.reference_seed(study, condition, protocol),
        )
    return references


def main() -> None:
    """Draw, count and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--draws", type=int, default=20)
    p.add_argument("--config", default=ROOT / "config" / "config.yaml", type=Path)
    p.add_argument("--output", type=Path)
    args = p.parse_args()
    study, parts = read(args.config), []
    for seed in range(1, args.draws + 1):
        with TemporaryDirectory() as folder:
            layers = draw(study, seed, Path(folder))
        parts.append(layers)
        print(f"draw {seed} of {args.draws}", file=sys.stderr, flush=True)
    drawn = pd.concat(parts, ignore_index=True)
    peaks = {
        name: layout.layer_names(entry.peak)[-2]
        for name, entry in study.models.items()
        if isinstance(entry, PlantedModel) and entry.peak
    }
    drawn["claims a layer"] = drawn["verdict"] == "use_layer"
    drawn["the peak"] = drawn["claims a layer"] & (drawn["use"] == drawn["model"].map(peaks))
    of = ["model", "condition", "protocol"]
    table = drawn.groupby(of, sort=False)[["claims a layer", "the peak"]].sum().reset_index()
    table.insert(len(of), "draws", args.draws)
    print(table.to_string(index=False))
    if args.output:
        write_table(args.output, table)


if __name__ == "__main__":
    main()
