# Does a layer keep which perturbations act alike?


rule sum_pseudobulk:
    input:
        script=repository("scripts/sum_pseudobulk.py"),
        cells="results/cells/{condition}/cells.h5ad",
    output:
        "results/references/{condition}/{protocol}/pseudobulk.h5ad",
    log:
        "logs/sum_pseudobulk/{condition}/{protocol}.log",
    benchmark:
        "logs/benchmarks/sum_pseudobulk/{condition}/{protocol}.tsv"
    wildcard_constraints:
        protocol="paper",
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        code=code("sum_pseudobulk.py"),
        settings=asks(study.reference_settings_of),
    message:
        "Summing pseudobulks of {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script} --cells {input.cells} --settings {params.settings:q} --output {output} &> {log}"


rule differential_expression:
    input:
        script=repository("scripts/differential_expression.py"),
        pseudobulk="results/references/{condition}/{protocol}/pseudobulk.h5ad",
    output:
        "results/references/{condition}/{protocol}/profiles.h5ad",
    log:
        "logs/differential_expression/{condition}/{protocol}.log",
    benchmark:
        "logs/benchmarks/differential_expression/{condition}/{protocol}.tsv"
    wildcard_constraints:
        protocol="paper",
    conda:
        "../../envs/singlecell.yaml"
    threads: 2
    resources:
        mem_mb=growing(6000),
        runtime=120,
    params:
        code=code("differential_expression.py"),
        settings=asks(study.reference_settings_of),
    message:
        "Testing differential expression in {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script} --pseudobulk {input.pseudobulk} --settings {params.settings:q}"
        " --threads {threads} --output {output} &> {log}"


rule perturbation_similarity:
    input:
        script=repository("scripts/perturbation_similarity.py"),
        profiles="results/references/{condition}/{protocol}/profiles.h5ad",
    output:
        "results/references/{condition}/{protocol}/similarity.npz",
    log:
        "logs/perturbation_similarity/{condition}/{protocol}.log",
    benchmark:
        "logs/benchmarks/perturbation_similarity/{condition}/{protocol}.tsv"
    wildcard_constraints:
        protocol="paper",
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("perturbation_similarity.py"),
    message:
        "Comparing the effects of perturbations in {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script} --profiles {input.profiles} --output {output} &> {log}"


rule design_splits:
    input:
        script=repository("scripts/design_splits.py"),
        cells="results/cells/{condition}/cells.h5ad",
    output:
        "results/references/{condition}/{protocol}/design.npz",
    log:
        "logs/design_splits/{condition}/{protocol}.log",
    benchmark:
        "logs/benchmarks/design_splits/{condition}/{protocol}.tsv"
    wildcard_constraints:
        protocol="strict",
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("design_splits.py"),
        settings=asks(study.reference_settings_of),
        seed=study.seeds.resampling,
    message:
        "Dealing the cells of {wildcards.condition} into disjoint halves"
    shell:
        "python {input.script} --cells {input.cells} --settings {params.settings:q}"
        " --seed {params.seed} --output {output} &> {log}"


rule reference_perturbation:
    input:
        script=repository("scripts/reference_perturbation.py"),
        cells="results/cells/{condition}/cells.h5ad",
        design=asks(study.design_file),
    output:
        similarity="results/references/{condition}/{protocol}/similarity.npz",
        ceilings="results/references/{condition}/{protocol}/ceilings.tsv",
    log:
        "logs/reference_perturbation/{condition}/{protocol}.log",
    benchmark:
        "logs/benchmarks/reference_perturbation/{condition}/{protocol}.tsv"
    wildcard_constraints:
        protocol="released|strict",
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=120,
    params:
        code=code("reference_perturbation.py"),
        settings=asks(study.reference_settings_of),
        design=optional("--design", "design"),
        seed=study.seeds.resampling,
    message:
        "Comparing the effects of perturbations in {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script} --protocol {wildcards.protocol} --cells {input.cells} {params.design}"
        " --condition {wildcards.condition} --settings {params.settings:q} --seed {params.seed}"
        " --output {output.similarity} --ceilings {output.ceilings} &> {log}"


rule score_perturbation:
    input:
        script=repository("scripts/score_perturbation.py"),
        embeddings=asks(study.layers_file),
        cells="results/cells/{condition}/cells.h5ad",
        reference="results/references/{condition}/{protocol}/similarity.npz",
        design=asks(study.design_file),
    output:
        scores="results/scores/perturbation/{condition}/{protocol}/{model}/layer_{layer}.tsv",
        resamples="results/scores/perturbation/{condition}/{protocol}/{model}/layer_{layer}.npz",
    log:
        "logs/score_perturbation/{condition}/{protocol}/{model}/layer_{layer}.log",
    benchmark:
        "logs/benchmarks/score_perturbation/{condition}/{protocol}/{model}/layer_{layer}.tsv"
    conda:
        "../../envs/scores.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("score_perturbation.py"),
        settings=asks(study.settings_of),
        design=optional("--design", "design"),
        seed=study.seeds.resampling,
    message:
        "Scoring layer {wildcards.layer} of {wildcards.model} on {wildcards.condition} ({wildcards.protocol})"
    shell:
        "python {input.script} --protocol {wildcards.protocol} --embeddings {input.embeddings}"
        " --layer {wildcards.layer} --cells {input.cells} --reference {input.reference}"
        " {params.design} --condition {wildcards.condition} --model {wildcards.model} --settings {params.settings:q}"
        " --seed {params.seed} --output {output.scores} --resamples {output.resamples} &> {log}"
