# Functions only: which logs the numbers of a study come from, and what is said at the end of a run.

from collections import Counter


def logs_of_numbers():
    """Logs, in folder ``logs``, of the jobs that the study's numbers come from, in the order of the study."""
    runs = study.runs(config)
    tasks = {condition: study.task(config, condition) for condition in config["study"]["conditions"]}
    trained = {study.trained_model(config, model) for _, model in runs}
    pretrained = sorted(trained & set(models_by_weights("pretrain")))
    corpora = [config["models"][model]["weights"]["pretrain"]["cells"] for model in pretrained]
    extracted = list(dict.fromkeys([*extractions(runs), *needed_baselines(tasks)]))
    scored = [path.removeprefix("results/scores/") for path in score_files("log")]
    cells = [study.cells_of(config, condition) for condition in tasks]
    logs = [
        *[f"prepare_cells/{condition}" for condition in dict.fromkeys([*corpora, *cells])],
        *[f"pretrain/{model}" for model in pretrained],
        *extracted,
        *[
            f"make_reference/{condition}/{protocol}"
            for condition, task in tasks.items()
            if TASKS[task].has_reference
            for protocol in config["study"]["protocols"][task]
        ],
        *[f"score_layer/{path.removesuffix('.log')}" for path in scored],
        *[
            f"{step}/{condition}/{model}"
            for condition, model in described_runs()
            for step in ("describe_geometry", "compare_layers")
        ],
        *(["compare_with_baselines"] if described_runs() else []),
    ]
    return [f"{log}.log" for log in logs]


def extractions(runs):
    """Logs of the jobs that make a model's layers of a condition's cells, without the suffix."""
    shards = config["extraction"]["shards"]
    for condition, model in runs:
        cells = f"{study.cells_of(config, condition)}/{model}"
        if study.is_baseline(config, model):
            yield f"compute_baseline/{cells}"
        elif study.keeps_sums(config, condition, model):
            yield f"sum_layers/{cells}"
        elif in_shards():
            yield from [f"extract_shard/{cells}/{number}-of-{shards}" for number in range(1, shards + 1)]
            yield f"merge_shards/{cells}"
        else:
            yield f"extract_layers/{cells}"


def needed_baselines(tasks):
    """Logs of the baseline that references, and maps of layers, are computed from, scored or not."""
    pairs = {(condition, "hvg_pca") for condition, _ in described_runs()}
    pairs |= {
        (study.cells_of(config, condition), TASKS[task].baseline)
        for condition, task in tasks.items()
        if TASKS[task].baseline
    }
    return [f"compute_baseline/{condition}/{baseline}" for condition, baseline in sorted(pairs)]


def summary_of_run(complete):
    """What ran, what was up to date, what is missing, and where the results are, in a few lines."""
    jobs = [job for job in workflow.dag.jobs if job.rule.name != "all"]
    ran = Counter(job.rule.name for job in jobs if workflow.dag.finished(job))
    left = Counter(job.rule.name for job in jobs if not workflow.dag.noneedrun_finished(job))
    current = len(jobs) - ran.total() - left.total()
    lines = [f"{'Done' if complete else 'Not complete'}. Jobs that ran: {in_words(ran)}."]
    lines += [f"Up to date, so skipped: {current:,} jobs."] if current else []
    if not complete:
        lines += [
            f"Jobs that failed, or wait for one that did: {in_words(left)}.",
            "The reason stands above, and in the log that is named there. What has run is kept: mend it and run"
            " the same command again.",
        ]
        return "\n".join(lines)
    skipped = study.unavailable(config)
    if skipped:
        lines.append(
            f"Not possible, so skipped: {len(skipped)} of the pairs of condition and model (the reasons are in"
            " results/tables/scores.tsv)."
        )
    made = {path for job in jobs for path in job.output}
    if "results/tables/warnings.tsv" in made:
        rows = len(Path("results/tables/warnings.tsv").read_text(encoding="utf-8").splitlines()) - 1
        lines.append(f"Warnings: {rows}, all in results/tables/warnings.tsv.")
    if "results/report.html" in made:
        lines.append("The report is results/report.html; the tables are in results/tables.")
    return "\n".join(lines)


def in_words(counts):
    """Numbers of jobs by rule: ``12 (10 score trajectory, 2 plot scores)``."""
    named = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.most_common())
    return f"{counts.total():,} ({named})" if counts else "none"
