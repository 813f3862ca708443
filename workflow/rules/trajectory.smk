# Does a layer keep the order of development?


rule reference_pseudotime:
    input:
        script=repository("scripts/reference_pseudotime.py"),
        cells=asks(study.cells_file),
        baseline=asks(study.baseline_embeddings_file),
    output:
        "results/references/{condition}/{protocol}/pseudotime.tsv",
    log:
        "logs/reference_pseudotime/{condition}/{protocol}.log",
    benchmark:
        "logs/benchmarks/reference_pseudotime/{condition}/{protocol}.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        code=code("reference_pseudotime.py"),
        settings=asks(study.reference_settings_of),
    message:
        "Finding the reference pseudotime of {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script} --protocol {wildcards.protocol} --cells {input.cells}"
        " --baseline-embeddings {input.baseline} --settings {params.settings:q} --output {output} &> {log}"


rule score_trajectory:
    input:
        script=repository("scripts/score_trajectory.py"),
        embeddings=asks(study.embeddings_file),
        cells=asks(study.cells_file),
        reference="results/references/{condition}/{protocol}/pseudotime.tsv",
    output:
        scores="results/scores/trajectory/{condition}/{protocol}/{model}/layer_{layer}.tsv",
        resamples="results/scores/trajectory/{condition}/{protocol}/{model}/layer_{layer}.npz",
    log:
        "logs/score_trajectory/{condition}/{protocol}/{model}/layer_{layer}.log",
    benchmark:
        "logs/benchmarks/score_trajectory/{condition}/{protocol}/{model}/layer_{layer}.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("score_trajectory.py"),
        settings=asks(study.settings_of),
        seed=study.seeds.resampling,
    message:
        "Scoring layer {wildcards.layer} of {wildcards.model} on {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script} --protocol {wildcards.protocol} --embeddings {input.embeddings}"
        " --layer {wildcards.layer} --cells {input.cells} --reference {input.reference}"
        " --condition {wildcards.condition} --model {wildcards.model} --settings {params.settings:q}"
        " --seed {params.seed} --output {output.scores} --resamples {output.resamples} &> {log}"
