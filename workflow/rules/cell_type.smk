# Does a layer tell cell types apart, in donors that the probe has not seen?


rule score_cell_type:
    input:
        script=repository("scripts/score_cell_type.py"),
        embeddings=asks(study.embeddings_file),
        cells=asks(study.cells_file),
    output:
        scores="results/scores/cell_type/{condition}/{protocol}/{model}/layer_{layer}.tsv",
        resamples="results/scores/cell_type/{condition}/{protocol}/{model}/layer_{layer}.npz",
    log:
        "logs/score_cell_type/{condition}/{protocol}/{model}/layer_{layer}.log",
    benchmark:
        "logs/benchmarks/score_cell_type/{condition}/{protocol}/{model}/layer_{layer}.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("score_cell_type.py"),
        settings=asks(study.settings_of),
        seed=study.seeds.resampling,
    message:
        "Scoring layer {wildcards.layer} of {wildcards.model} on {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script} --protocol {wildcards.protocol} --embeddings {input.embeddings}"
        " --layer {wildcards.layer} --cells {input.cells} --condition {wildcards.condition}"
        " --model {wildcards.model} --settings {params.settings:q} --seed {params.seed}"
        " --output {output.scores} --resamples {output.resamples} &> {log}"
