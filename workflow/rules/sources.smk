# Bytes from elsewhere: one job per file.


rule fetch_weights:
    input:
        script=repository("scripts/fetch_file.py"),
    output:
        "resources/weights/{model}/{file}",
    log:
        "logs/fetch_weights/{model}/{file}.log",
    benchmark:
        "logs/benchmarks/fetch_weights/{model}/{file}.tsv"
    wildcard_constraints:
        model=any_of(study.fetched_models()),
    retries: 2
    conda:
        "../../envs/sources.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=720,
        downloads=1,
    params:
        code=code("fetch_file.py"),
        settings=asks(jobs.weights_source),
    message:
        "Fetching {wildcards.file} of {wildcards.model}"
    shell:
        "python {input.script:q} --settings {params.settings:q} --output {output:q}"
        ' --mirror "$LAYERSCOPE_MIRROR" &> {log:q}'


use rule fetch_weights as fetch_dataset with:
    output:
        "resources/{dataset}/{file}",
    log:
        "logs/fetch_dataset/{dataset}/{file}.log",
    benchmark:
        "logs/benchmarks/fetch_dataset/{dataset}/{file}.tsv"
    wildcard_constraints:
        dataset=any_of(study.datasets_from("url", "geo", "huggingface")),
    params:
        code=code("fetch_file.py"),
        settings=asks(jobs.dataset_source),
    message:
        "Fetching {wildcards.file} of {wildcards.dataset}"


use rule fetch_weights as fetch_gene_names with:
    output:
        "resources/gene_names/{names}/{file}",
    log:
        "logs/fetch_gene_names/{names}/{file}.log",
    benchmark:
        "logs/benchmarks/fetch_gene_names/{names}/{file}.tsv"
    wildcard_constraints:
        names=any_of(study.gene_names),
    params:
        code=code("fetch_file.py"),
        settings=asks(jobs.gene_names_source),
    message:
        "Fetching the table of gene names {wildcards.names}"


rule slice_cells:
    input:
        script=repository("scripts/slice_cells.py"),
    output:
        cells="resources/{dataset}/slice.h5ad",
        choice="resources/{dataset}/choice.tsv",
    log:
        "logs/slice_cells/{dataset}.log",
    benchmark:
        "logs/benchmarks/slice_cells/{dataset}.tsv"
    wildcard_constraints:
        dataset=any_of(study.datasets_from("slice")),
    retries: 2
    conda:
        "../../envs/sources.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=720,
        downloads=1,
    params:
        code=code("slice_cells.py"),
        settings=asks(jobs.slice_settings),
    message:
        "Fetching the chosen cells of {wildcards.dataset}, and no others"
    shell:
        "python {input.script:q} --settings {params.settings:q} --output {output.cells:q}"
        " --choice {output.choice:q}"
        ' --mirror "$LAYERSCOPE_MIRROR" &> {log:q}'
