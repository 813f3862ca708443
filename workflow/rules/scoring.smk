# What layers are compared with, and how well each does: the same two rules for every task.


rule make_reference:
    input:
        script=repository("scripts/make_reference.py"),
        cells=collect("results/cells/{cells}/cells.h5ad", cells=asks(Study.cells_of)),
        baseline=asks(jobs.reference_baseline),
    output:
        directory("results/references/{condition}/{protocol}"),
    log:
        "logs/make_reference/{condition}/{protocol}.log",
    benchmark:
        "logs/benchmarks/make_reference/{condition}/{protocol}.tsv"
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=120,
    params:
        code=code_of_task("make_reference.py"),
        task=asks(Study.task),
        settings=asks(jobs.reference_settings),
        seed=asks(jobs.reference_seed),
    message:
        "Making the reference of {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script:q} --task {params.task} --protocol {wildcards.protocol}"
        " --condition {wildcards.condition} --cells {input.cells} --baseline {input.baseline}"
        " --settings {params.settings:q} --seed {params.seed} --threads {threads} --output {output} &> {log}"


rule score_layer:
    input:
        script=repository("scripts/score_layer.py"),
        embeddings=asks(jobs.layers_file),
        cells=collect("results/cells/{cells}/obs.parquet", cells=asks(Study.cells_of)),
        reference=asks(jobs.reference_folder),
    output:
        scores="results/scores/{task}/{condition}/{protocol}/{model}/layer_{layer}.tsv",
        resamples="results/scores/{task}/{condition}/{protocol}/{model}/layer_{layer}.npz",
    log:
        "logs/score_layer/{task}/{condition}/{protocol}/{model}/layer_{layer}.log",
    benchmark:
        "logs/benchmarks/score_layer/{task}/{condition}/{protocol}/{model}/layer_{layer}.tsv"
    wildcard_constraints:
        task=any_of(TASKS),
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        code=code_of_task("score_layer.py"),
        settings=asks(jobs.score_settings),
        seed=study.seeds.resampling,
    message:
        "Scoring layer {wildcards.layer} of {wildcards.model} on {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script:q} --task {wildcards.task} --protocol {wildcards.protocol}"
        " --condition {wildcards.condition} --model {wildcards.model} --layer {wildcards.layer}"
        " --embeddings {input.embeddings} --cells {input.cells} --reference {input.reference}"
        " --settings {params.settings:q} --seed {params.seed}"
        " --output {output.scores} --resamples {output.resamples} &> {log}"
