"""What the profile for SLURM does with a job: by what the job asks for, not by the name of its rule."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "workflow/profiles/slurm"
RULES = {
    name: body
    for path in (ROOT / "workflow/rules").glob("*.smk")
    for name, body in re.findall(
        r"^rule (\w+):\n((?:[ \n].*\n?)*)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
}


@pytest.mark.parametrize("name", RULES)
def test_jobs_that_run_a_model_go_to_the_gpu_partition_and_no_others(name: str) -> None:
    profile = yaml.safe_load((PROFILE / "config.yaml").read_text(encoding="utf-8"))
    partitions = read_partition_file(PROFILE / profile["slurm-partition-config"])
    asked = dict(re.findall(r"^        (gpu|runtime)=(\d+),", RULES[name], re.MULTILINE))
    job = SimpleNamespace(
        name=name, threads=1, resources=profile["default-resources"] | {k: int(v) for k, v in asked.items()}
    )
    runs_a_model = "--device" in RULES[name] or "_options)" in RULES[name]
    assert "slurm_partition" not in job.resources
    assert get_best_partition(partitions, job, logging.getLogger()) == ("gpu" if runs_a_model else "cpu")


def test_layers_are_extracted_in_one_piece_in_shards_or_summed() -> None:
    assert {name for name, body in RULES.items() if "gpu=1" in body} == {"extract_layers", "sum_layers"}
    text = (ROOT / "workflow/rules/extraction.smk").read_text(encoding="utf-8")
    assert "use rule extract_layers as extract_shard with:" in text


@pytest.mark.parametrize("place", ["docs", "workflow/profiles"])
def test_rules_that_are_named_exist(place: str) -> None:
    derived = re.compile(r"^use rule \w+ as (\w+)", re.MULTILINE)
    rules = {
        name for path in (ROOT / "workflow/rules").glob("*.smk") for name in derived.findall(path.read_text())
    }
    for path in [*(ROOT / place).rglob("*.md"), *(ROOT / place).rglob("*.yaml")]:
        for named in re.findall(r"--until((?: [a-z]+_[a-z_]+)+)", path.read_text(encoding="utf-8")):
            assert set(named.split()) <= rules | set(RULES), f"{path}: {named}"
