# The embedded study's own cells, and small models pretrained on any prepared cells.


rule simulate_cells:
    input:
        script=repository("scripts/simulate_cells.py"),
    output:
        "resources/simulated/{draw}.h5ad",
    log:
        "logs/simulate_cells/{draw}.log",
    benchmark:
        "logs/benchmarks/simulate_cells/{draw}.tsv"
    wildcard_constraints:
        draw="differentiation|perturbation|atlas|cohort",
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("simulate_cells.py"),
        settings=asks(jobs.simulation_settings),
        seed=study.seeds.simulation,
    message:
        "Simulating cells: {wildcards.draw}"
    shell:
        "python {input.script:q} --draw {wildcards.draw} --settings {params.settings:q}"
        " --seed {params.seed} --output {output} &> {log}"


rule plant_layers:
    input:
        script=repository("scripts/plant_layers.py"),
        cells="results/cells/{condition}/cells.h5ad",
    output:
        "results/embeddings/{condition}/{model}.h5ad",
    log:
        "logs/plant_layers/{condition}/{model}.log",
    benchmark:
        "logs/benchmarks/plant_layers/{condition}/{model}.tsv"
    wildcard_constraints:
        model=any_of(study.models_of_kind("planted")),
    conda:
        "../../envs/singlecell.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("plant_layers.py"),
        layers=asks(jobs.planting),
    message:
        "Planting layers in {wildcards.condition}: {wildcards.model}"
    shell:
        "python {input.script:q} --model {wildcards.model} --cells {input.cells} {params.layers:q}"
        " --output {output} &> {log}"


rule pretrain_scfoundation:
    input:
        script=repository("scripts/pretrain_model.py"),
        cells=collect("results/cells/{cells}/cells.h5ad", cells=asks(Study.pretraining_condition)),
    output:
        expand("resources/weights/{{model}}/{file}", file=jobs.PRETRAINED_FILES["scfoundation"]),
    log:
        "logs/pretrain/{model}.log",
    benchmark:
        "logs/benchmarks/pretrain/{model}.tsv"
    wildcard_constraints:
        model=any_of(study.pretrained_models("scfoundation")),
    conda:
        "../../envs/torch.yaml"
    threads: 1  # a second would be idle for half of the time, while scores wait
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        family="scfoundation",
        code=code("pretrain_model.py", "models/scfoundation.py"),
        settings=asks(jobs.pretraining_settings),
        seed=study.seeds.pretraining,
    message:
        "Pretraining a small model with scFoundation's architecture: {wildcards.model}"
    shell:
        "python {input.script:q} --family {params.family} --cells {input.cells:q}"
        " --settings {params.settings:q} --seed {params.seed} --threads {threads}"
        " --output resources/weights/{wildcards.model} &> {log}"


use rule pretrain_scfoundation as pretrain_tahoe_x1 with:
    output:
        expand("resources/weights/{{model}}/{file}", file=jobs.PRETRAINED_FILES["tahoe_x1"]),
    wildcard_constraints:
        model=any_of(study.pretrained_models("tahoe_x1")),
    params:
        family="tahoe_x1",
        code=code("pretrain_model.py", "models/tahoe_x1.py"),
        settings=asks(jobs.pretraining_settings),
        seed=study.seeds.pretraining,
    message:
        "Pretraining a small model with Tahoe-X1's architecture: {wildcards.model}"
