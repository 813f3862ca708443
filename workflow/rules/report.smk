# The page a person reads.


rule write_report:
    input:
        script=repository("scripts/write_report.py"),
        scores="results/tables/scores.tsv",
        layers="results/tables/layers.tsv",
        representations="results/tables/representations.tsv",
        published="results/tables/published.tsv",
        summaries=gathering.summaries(study),
        figures=gathering.figures(study, "svg"),
        tables=gathering.shown_tables(study),
        referee="results/tables/referee.tsv",
        warnings="results/tables/warnings.tsv",
        behind=[
            "results/tables/scores.parquet",
            "results/tables/curves.tsv",
            *gathering.geometry_tables(study, "alignment"),
        ],
    output:
        "results/report.html",
    log:
        "logs/write_report.log",
    benchmark:
        "logs/benchmarks/write_report.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        code=code("write_report.py"),
        settings=as_json(study_description(study)),
    message:
        "Writing the report"
    shell:
        "python {input.script:q} --settings {params.settings:q} --scores {input.scores}"
        " --layers {input.layers} --published {input.published} --summaries {input.summaries}"
        " --figures {input.figures} --tables {input.tables} --referee {input.referee}"
        " --representations {input.representations} --warnings {input.warnings} --behind {input.behind} --output {output} &> {log}"


onsuccess:
    logger.info(summary_of_run(complete=True), extra={"summary": True})


onerror:
    logger.info(summary_of_run(complete=False), extra={"summary": True})
