# A model runs once per condition and yields all its layers in one file.


rule extract_layers:
    input:
        script=repository("scripts/extract_layers.py"),
        cells="results/cells/{condition}/cells.h5ad",
        weights=asks(jobs.weight_files),
    output:
        "results/embeddings/{condition}/{model}.h5ad",
    log:
        "logs/extract_layers/{condition}/{model}.log",
    benchmark:
        "logs/benchmarks/extract_layers/{condition}/{model}.tsv"
    wildcard_constraints:
        model=any_of(study.models_of_kind("network") if study.extraction.shards == 1 else []),
    conda:
        "../../envs/torch.yaml"
    threads: asks(jobs.extraction_threads)
    resources:
        mem_mb=growing(8000),
        runtime=720,
        gpu=1,
    params:
        code=code_of_model("extract_layers.py"),
        options=asks(jobs.extraction_options),
    message:
        "Extracting every layer of {wildcards.model} for {wildcards.condition}"
    shell:
        "python {input.script:q} --model {wildcards.model} {params.options:q} --cells {input.cells}"
        " --threads {threads} --output {output} &> {log}"


# A large condition may be shared among jobs (`extraction: shards`): a stretch of its cells each, then joined.


use rule extract_layers as extract_shard with:
    output:
        temp("results/shards/{condition}/{model}/{shard}-of-{shards}.h5ad"),
    log:
        "logs/extract_shard/{condition}/{model}/{shard}-of-{shards}.log",
    benchmark:
        "logs/benchmarks/extract_shard/{condition}/{model}/{shard}-of-{shards}.tsv"
    wildcard_constraints:
        model=any_of(study.models_of_kind("network")),
    message:
        "Extracting every layer of {wildcards.model} for {wildcards.condition}, part {wildcards.shard} of {wildcards.shards}"


rule merge_shards:
    input:
        script=repository("scripts/merge_shards.py"),
        shards=expand(
            "results/shards/{{condition}}/{{model}}/{number}-of-{count}.h5ad",
            number=range(1, study.extraction.shards + 1),
            count=study.extraction.shards,
        ),
    output:
        "results/embeddings/{condition}/{model}.h5ad",
    log:
        "logs/merge_shards/{condition}/{model}.log",
    benchmark:
        "logs/benchmarks/merge_shards/{condition}/{model}.tsv"
    wildcard_constraints:
        model=any_of(study.models_of_kind("network") if study.extraction.shards > 1 else []),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=120,
    params:
        code=code("merge_shards.py"),
    message:
        "Joining the parts of {wildcards.model} for {wildcards.condition}"
    shell:
        "python {input.script:q} --shards {input.shards} --output {output} &> {log}"


# For screens too large to store (`extraction: keep: sums`): sums over groups of cells, and no cell.


rule sum_layers:
    input:
        script=repository("scripts/sum_layers.py"),
        cells="results/cells/{condition}/cells.h5ad",
        reference=branch(
            "strict" in study.protocols("perturbation"),
            then="results/references/{condition}/strict",
            otherwise=[],
        ),
        weights=asks(jobs.weight_files),
    output:
        "results/sums/{condition}/{model}.h5",
    log:
        "logs/sum_layers/{condition}/{model}.log",
    benchmark:
        "logs/benchmarks/sum_layers/{condition}/{model}.tsv"
    wildcard_constraints:
        model=any_of(study.models_of_kind("network")),
    conda:
        "../../envs/torch.yaml"
    threads: asks(jobs.extraction_threads)
    resources:
        mem_mb=growing(8000),
        runtime=720,
        gpu=1,
    params:
        code=code_of_model("sum_layers.py"),
        options=asks(jobs.sums_options),
    message:
        "Summing every layer of {wildcards.model} over the cells of {wildcards.condition}"
    shell:
        "python {input.script:q} --model {wildcards.model} {params.options:q} --cells {input.cells}"
        " --reference {input.reference} --threads {threads} --output {output} &> {log}"


rule compute_baseline:
    input:
        script=repository("scripts/compute_baseline.py"),
        cells="results/cells/{condition}/cells.h5ad",
    output:
        "results/embeddings/{condition}/{model}.h5ad",
    log:
        "logs/compute_baseline/{condition}/{model}.log",
    benchmark:
        "logs/benchmarks/compute_baseline/{condition}/{model}.tsv"
    wildcard_constraints:
        model=any_of(study.models_of_kind("baseline")),
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=60,
    params:
        code=code("compute_baseline.py"),
        baseline=asks(Study.family),
        settings=asks(jobs.baseline_settings),
        seed=study.seeds.baselines,
    message:
        "Computing the baseline {wildcards.model} for {wildcards.condition}"
    shell:
        "python {input.script:q} --baseline {params.baseline} --cells {input.cells}"
        " --settings {params.settings:q} --seed {params.seed} --output {output} &> {log}"


# What the user brings (models of family `stored`): matched to the prepared cells by name.


rule import_embeddings:
    input:
        script=repository("scripts/import_embeddings.py"),
        cells="results/cells/{condition}/cells.h5ad",
        source=asks(jobs.stored_files),
    output:
        "results/embeddings/{condition}/{model}.h5ad",
    log:
        "logs/import_embeddings/{condition}/{model}.log",
    benchmark:
        "logs/benchmarks/import_embeddings/{condition}/{model}.tsv"
    wildcard_constraints:
        model=any_of(study.models_of_kind("stored")),
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=60,
    params:
        code=code("import_embeddings.py"),
        source=asks(Study.stored_source),
        layers=asks(Study.stored_layers),
        limits=asks(jobs.stored_limits),
    message:
        "Matching the embeddings {wildcards.model} to the cells of {wildcards.condition}"
    shell:
        "python {input.script:q} --model {wildcards.model} --cells {input.cells} --source {params.source:q}"
        " --layers {params.layers:q} {params.limits:q} --output {output} &> {log}"


rule export_layer:
    input:
        script=repository("scripts/export_layer.py"),
        embeddings="results/embeddings/{condition}/{model}.h5ad",
        cells="results/cells/{condition}/cells.h5ad",
    output:
        "results/embeddings/{condition}/{model}/layer_{layer}.h5ad",
    log:
        "logs/export_layer/{condition}/{model}/layer_{layer}.log",
    benchmark:
        "logs/benchmarks/export_layer/{condition}/{model}/layer_{layer}.tsv"
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=15,
    params:
        code=code("export_layer.py"),
    message:
        "Writing layer {wildcards.layer} of {wildcards.model} for {wildcards.condition}, ready for scanpy"
    shell:
        "python {input.script:q} --embeddings {input.embeddings} --cells {input.cells}"
        " --layer {wildcards.layer} --output {output} &> {log}"
