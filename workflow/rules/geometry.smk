# The shape of every layer, beside its scores.


rule describe_geometry:
    input:
        script=repository("scripts/describe_geometry.py"),
        embeddings="results/embeddings/{condition}/{model}.h5ad",
    output:
        "results/geometry/{condition}/{model}/geometry.tsv",
    log:
        "logs/describe_geometry/{condition}/{model}.log",
    benchmark:
        "logs/benchmarks/describe_geometry/{condition}/{model}.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("describe_geometry.py"),
        settings=as_json({"cells": study.geometry.cells}),
        seed=study.seeds.resampling,
    message:
        "Describing the shape of the layers of {wildcards.model} on {wildcards.condition}"
    shell:
        "python {input.script:q} --embeddings {input.embeddings} --condition {wildcards.condition}"
        " --model {wildcards.model} --settings {params.settings:q} --seed {params.seed}"
        " --output {output} &> {log}"


use rule describe_geometry as compare_layers with:
    input:
        script=repository("scripts/compare_layers.py"),
        embeddings="results/embeddings/{condition}/{model}.h5ad",
    output:
        "results/geometry/{condition}/{model}/alignment.tsv",
    log:
        "logs/compare_layers/{condition}/{model}.log",
    benchmark:
        "logs/benchmarks/compare_layers/{condition}/{model}.tsv"
    params:
        code=code("compare_layers.py"),
        settings=as_json({"alignment_cells": study.geometry.alignment_cells}),
        seed=study.seeds.resampling,
    message:
        "Comparing the layers of {wildcards.model} with each other on {wildcards.condition}"


# One job for all, so that another baseline compares no model's layers with each other again.


rule compare_with_baselines:
    input:
        script=repository("scripts/compare_with_baselines.py"),
        tables=gathering.geometry_files(study, "alignment"),
        embeddings=gathering.described_embeddings(study),
        baselines=gathering.baselines_beside(study),
    output:
        "results/tables/alignment.tsv",
    log:
        "logs/compare_with_baselines.log",
    benchmark:
        "logs/benchmarks/compare_with_baselines.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        code=code("compare_with_baselines.py"),
        settings=as_json({"alignment_cells": study.geometry.alignment_cells}),
        seed=study.seeds.resampling,
    message:
        "Comparing layers with the baselines"
    shell:
        "python {input.script:q} --tables {input.tables} --embeddings {input.embeddings}"
        " --baselines {input.baselines} --settings {params.settings:q} --seed {params.seed}"
        " --output {output} &> {log}"


rule gather_geometry:
    input:
        script=repository("scripts/gather_tables.py"),
        tables=gathering.geometry_files(study, "geometry"),
    output:
        "results/tables/geometry.tsv",
    log:
        "logs/gather_geometry.log",
    benchmark:
        "logs/benchmarks/gather_geometry.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("gather_tables.py"),
    message:
        "Gathering the geometry of layers"
    shell:
        "python {input.script:q} --tables {input.tables} --output {output} &> {log}"
