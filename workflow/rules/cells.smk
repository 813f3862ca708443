# Cells are prepared once per condition, whatever models look at them.


rule prepare_cells:
    input:
        script=repository("scripts/prepare_cells.py"),
        source=asks(jobs.source_file),
        gene_names=asks(jobs.gene_names_file),
        orthologs=asks(jobs.orthologs_file),
    output:
        cells="results/cells/{condition}/cells.h5ad",
        obs="results/cells/{condition}/obs.parquet",
        summary="results/cells/{condition}/summary.tsv",
    log:
        "logs/prepare_cells/{condition}.log",
    benchmark:
        "logs/benchmarks/prepare_cells/{condition}.tsv"
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        code=code("prepare_cells.py"),
        settings=asks(jobs.cells_settings),
    message:
        "Preparing the cells of {wildcards.condition}"
    shell:
        "python {input.script:q} --input {input.source:q} --settings {params.settings:q} --gene-names {input.gene_names:q}"
        " --condition {wildcards.condition} --output {output.cells} --obs {output.obs} --summary {output.summary} &> {log}"
