# Figures from tables.


rule plot_scores:
    input:
        script=repository("scripts/plot_scores.py"),
        scores="results/tables/scores.tsv",
        layers="results/tables/layers.tsv",
        ceilings=gathering.ceiling_tables(study),
        representations="results/tables/representations.tsv",
    output:
        svg="results/figures/{task}_{protocol}.svg",
        png=report(
            "results/figures/{task}_{protocol}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"task": "{task}", "protocol": "{protocol}"},
        ),
        pdf="results/figures/{task}_{protocol}.pdf",
    log:
        "logs/plot_scores/{task}_{protocol}.log",
    benchmark:
        "logs/benchmarks/plot_scores/{task}_{protocol}.tsv"
    wildcard_constraints:
        task=any_of(study.tasks()),
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("plot_scores.py"),
        settings=described("title", "order", "conditions", "models"),
    message:
        "Drawing the scores of task {wildcards.task} ({wildcards.protocol})"
    shell:
        "python {input.script:q} --task {wildcards.task} --protocol {wildcards.protocol}"
        " --scores {input.scores} --layers {input.layers} --ceilings {input.ceilings}"
        " --representations {input.representations}"
        " --settings {params.settings:q} --output {output.svg} {output.png} {output.pdf} &> {log}"


rule plot_layer_choice:
    input:
        script=repository("scripts/plot_layer_choice.py"),
        layers="results/tables/layers.tsv",
    output:
        svg="results/figures/layer_choice.svg",
        png=report(
            "results/figures/layer_choice.png",
            caption="../report/layers.rst",
            category="Figures",
            labels={"task": "all", "protocol": "all"},
        ),
        pdf="results/figures/layer_choice.pdf",
    log:
        "logs/plot_layer_choice.log",
    benchmark:
        "logs/benchmarks/plot_layer_choice.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("plot_layer_choice.py"),
        settings=described("title", "order", "conditions", "models"),
    message:
        "Drawing which layers cannot be told from the best"
    shell:
        "python {input.script:q} --layers {input.layers} --settings {params.settings:q}"
        " --output {output.svg} {output.png} {output.pdf} &> {log}"


# One job and one condition for the whole study: which is known from the layer choice alone.


rule plot_layer_maps:
    input:
        script=repository("scripts/plot_layer_maps.py"),
        layers="results/tables/layers.tsv",
        embeddings=gathering.mapped_embeddings(study),
        obs=gathering.mapped_cells(study),
    output:
        svg="results/figures/layer_maps.svg",
        png=report(
            "results/figures/layer_maps.png",
            caption="../report/layer_maps.rst",
            category="Figures",
            labels={"task": "all", "protocol": "all"},
        ),
        pdf="results/figures/layer_maps.pdf",
    log:
        "logs/plot_layer_maps.log",
    benchmark:
        "logs/benchmarks/plot_layer_maps.tsv"
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=15,
    params:
        code=code("plot_layer_maps.py"),
        settings=described("title", "order", "conditions", "models"),
        seed=study.seeds.resampling,
    message:
        "Drawing the cells by the chosen and the final layer"
    shell:
        "python {input.script:q} --layers {input.layers} --embeddings {input.embeddings} --obs {input.obs}"
        " --settings {params.settings:q} --seed {params.seed}"
        " --output {output.svg} {output.png} {output.pdf} &> {log}"


rule plot_published:
    input:
        script=repository("scripts/plot_published.py"),
        published="results/tables/published.tsv",
    output:
        svg="results/figures/published.svg",
        png=report(
            "results/figures/published.png",
            caption="../report/published.rst",
            category="Figures",
            labels={"task": "all", "protocol": "paper"},
        ),
        pdf="results/figures/published.pdf",
    log:
        "logs/plot_published.log",
    benchmark:
        "logs/benchmarks/plot_published.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("plot_published.py"),
        settings=described("title", "order", "conditions", "models"),
    message:
        "Drawing published beside reproduced scores"
    shell:
        "python {input.script:q} --published {input.published} --settings {params.settings:q}"
        " --output {output.svg} {output.png} {output.pdf} &> {log}"


rule plot_geometry:
    input:
        script=repository("scripts/plot_geometry.py"),
        table="results/tables/{figure}.tsv",
    output:
        svg="results/figures/{figure}.svg",
        png=report(
            "results/figures/{figure}.png",
            caption="../report/geometry.rst",
            category="Figures",
            labels={"task": "all", "protocol": "{figure}"},
        ),
        pdf="results/figures/{figure}.pdf",
    log:
        "logs/plot_geometry/{figure}.log",
    benchmark:
        "logs/benchmarks/plot_geometry/{figure}.tsv"
    wildcard_constraints:
        figure="geometry|alignment",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("plot_geometry.py"),
        settings=described("title", "order", "conditions", "models"),
    message:
        "Drawing the {wildcards.figure} of layers"
    shell:
        "python {input.script:q} --figure {wildcards.figure} --table {input.table}"
        " --settings {params.settings:q} --output {output.svg} {output.png} {output.pdf} &> {log}"
