# Figures from tables.


rule plot_scores:
    input:
        script=repository("scripts/plot_scores.py"),
        scores="results/tables/scores.tsv",
        layers="results/tables/layers.tsv",
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
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=code("plot_scores.py"),
        settings=as_json({"models": model_descriptions(), "conditions": condition_descriptions()}),
    message:
        "Drawing the scores of task {wildcards.task} ({wildcards.protocol})"
    shell:
        "python {input.script} --task {wildcards.task} --protocol {wildcards.protocol}"
        " --scores {input.scores} --layers {input.layers} --settings {params.settings:q}"
        " --output {output.svg} {output.png} {output.pdf} &> {log}"
