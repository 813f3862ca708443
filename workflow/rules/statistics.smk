# All scores in one table, the layer to use, and the paper's numbers beside those that were reproduced.


rule gather_scores:
    input:
        script=repository("scripts/gather_scores.py"),
        scores=study.score_files("tsv"),
    output:
        table=report(
            "results/tables/scores.tsv",
            caption="../report/scores.rst",
            category="Tables",
            labels={"table": "all scores"},
        ),
        parquet="results/tables/scores.parquet",
    log:
        "logs/gather_scores.log",
    benchmark:
        "logs/benchmarks/gather_scores.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("gather_scores.py"),
        unavailable=as_json(gathering.unavailable_scores(study)),
    message:
        "Gathering the scores"
    shell:
        "python {input.script:q} --scores {input.scores} --unavailable {params.unavailable:q}"
        " --output {output.table} --parquet {output.parquet} &> {log}"


rule choose_layers:
    input:
        script=repository("scripts/choose_layers.py"),
        scores="results/tables/scores.tsv",
        resamples=study.score_files("npz"),
    output:
        layers=report(
            "results/tables/layers.tsv",
            caption="../report/layers.rst",
            category="Tables",
            labels={"table": "layer to use"},
        ),
        curves="results/tables/curves.tsv",
        shifts="results/tables/shifts.tsv",
        travel="results/tables/travel.tsv",
        ranks="results/tables/layer_ranks.tsv",
        representations=report(
            "results/tables/representations.tsv",
            caption="../report/representations.rst",
            category="Tables",
            labels={"table": "representation to use"},
        ),
    log:
        "logs/choose_layers.log",
    benchmark:
        "logs/benchmarks/choose_layers.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("choose_layers.py"),
        models=as_json(study_description(study)["models"]),
        conditions=list(study.study.conditions),
        margin=study.choice.margin,
        cells_of=as_json({name: study.cells_of(name) for name in study.study.conditions}),
    message:
        "Choosing layers"
    shell:
        "python {input.script:q} --scores {input.scores} --resamples {input.resamples}"
        " --models {params.models:q} --conditions {params.conditions:q} --output {output.layers}"
        " --curves {output.curves} --shifts {output.shifts} --margin {params.margin}"
        " --travel {output.travel} --ranks {output.ranks} --cells-of {params.cells_of:q}"
        " --representations {output.representations} &> {log}"


# Criteria that need no labels, tried out on models of which there are two thinned views: a table, and no advice.


rule compare_label_free:
    input:
        script=repository("scripts/compare_label_free.py"),
        curves="results/tables/curves.tsv",
        embeddings=gathering.label_free_embeddings(study),
    output:
        "results/tables/label_free.tsv",
    log:
        "logs/compare_label_free.log",
    benchmark:
        "logs/benchmarks/compare_label_free.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        code=code("compare_label_free.py"),
        models=as_json(study_description(study)["models"]),
        cells_of=as_json({name: study.cells_of(name) for name in study.study.conditions}),
        settings=as_json({"cells": study.geometry.cells}),
        seed=study.seeds.resampling,
    message:
        "Trying criteria without labels"
    shell:
        "python {input.script:q} --curves {input.curves} --embeddings {input.embeddings}"
        " --models {params.models:q} --cells-of {params.cells_of:q} --settings {params.settings:q}"
        " --seed {params.seed} --output {output} &> {log}"


rule compare_published:
    input:
        script=repository("scripts/compare_published.py"),
        scores="results/tables/scores.tsv",
    output:
        report(
            "results/tables/published.tsv",
            caption="../report/published.rst",
            category="Tables",
            labels={"table": "published and reproduced"},
        ),
    log:
        "logs/compare_published.log",
    benchmark:
        "logs/benchmarks/compare_published.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("compare_published.py"),
    message:
        "Comparing with the published scores"
    shell:
        "python {input.script:q} --scores {input.scores} --output {output} &> {log}"


rule gather_ceilings:
    input:
        script=repository("scripts/gather_tables.py"),
        references=gathering.ceiling_folders(study),
    output:
        "results/tables/ceilings.tsv",
    log:
        "logs/gather_ceilings.log",
    benchmark:
        "logs/benchmarks/gather_ceilings.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("gather_tables.py"),
        tables=[f"{folder}/ceilings.tsv" for folder in gathering.ceiling_folders(study)],
    message:
        "Gathering the noise ceilings"
    shell:
        "python {input.script:q} --tables {params.tables} --output {output} &> {log}"


rule answer_referee:
    input:
        script=repository("scripts/answer_referee.py"),
        scores="results/tables/scores.tsv",
        layers="results/tables/layers.tsv",
        curves="results/tables/curves.tsv",
        ceilings=gathering.ceiling_tables(study),
        summaries=gathering.summaries(study),
        resamples=gathering.first_layer_resamples(study),
    output:
        report(
            "results/tables/referee.tsv",
            caption="../report/referee.rst",
            category="Tables",
            labels={"table": "objections of a referee"},
        ),
    log:
        "logs/answer_referee.log",
    benchmark:
        "logs/benchmarks/answer_referee.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("answer_referee.py"),
        settings=described("models", "config"),
    message:
        "Answering a referee's objections"
    shell:
        "python {input.script:q} --settings {params.settings:q} --scores {input.scores}"
        " --layers {input.layers} --curves {input.curves} --ceilings {input.ceilings}"
        " --summaries {input.summaries} --resamples {input.resamples} --output {output} &> {log}"


# What the logs say of jobs that did not run this time counts as well: the table is the same for the same numbers.


rule gather_warnings:
    input:
        script=repository("scripts/gather_warnings.py"),
        scores="results/tables/scores.tsv",
        geometry=gathering.geometry_tables(study),
    output:
        report(
            "results/tables/warnings.tsv",
            caption="../report/warnings.rst",
            category="Tables",
            labels={"table": "warnings"},
        ),
    log:
        "logs/gather_warnings.log",
    benchmark:
        "logs/benchmarks/gather_warnings.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("gather_warnings.py"),
        settings=described("models", "order"),
        logs=gathering.logs_of_numbers(study),
    message:
        "Gathering the warnings"
    shell:
        "python {input.script:q} --folder logs --logs {params.logs:q} --scores {input.scores}"
        " --settings {params.settings:q} --output {output} &> {log}"
