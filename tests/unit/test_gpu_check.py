"""`make gpu-check`, whose every line runs without a GPU too, and which sees what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from layerscope.models import capped_attention, transformer
from layerscope.models.catalogue import FAMILIES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gpu_check(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gpu_check

    return gpu_check


def test_all_of_it_runs_on_a_cpu_in_small(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "gpu_check.py", "--device=cpu", "--small"]
    ran = subprocess.run([*command, f"--output={tmp_path}"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    content = json.loads((tmp_path / "gpu_check.json").read_text())
    assert all(check["passed"] for check in content["checks"])
    foundation = {name for name, family in FAMILIES.items() if family.foundation}
    assert {speed["model"].split()[0] for speed in content["speeds"]} == foundation
    for what in ("golden states", "other batches and orders"):
        families = {
            c["what"].split(", ")[1].split()[0].rstrip(":") for c in content["checks"] if what in c["what"]
        }
        assert families == foundation
    halved = next(check for check in content["checks"] if "halved" in check["what"])
    assert halved["measured"] >= 1
    table = (tmp_path / "gpu_check.md").read_text().splitlines()
    rows = [line for line in table if line.startswith("| ")]
    assert len(rows) == len(content["checks"]) + len(content["speeds"]) + 2


def test_a_bound_that_is_not_kept_or_not_a_number_fails(gpu_check):
    assert gpu_check.at_most("", 1.0, 1.0).passed and gpu_check.at_least("", 1.0, 1.0).passed
    for measured in (2.0, float("nan")):
        assert not gpu_check.at_most("", measured, 1.0).passed
        assert not gpu_check.at_least("", -measured, 1.0).passed


def test_states_that_are_wrong_in_any_precision_fail(gpu_check, monkeypatch):
    def slightly_wrong(attention):
        return lambda qkv, *args: attention(qkv * 1.2, *args)

    monkeypatch.setattr("layerscope.models.post_norm.attention", slightly_wrong(transformer.attention))
    monkeypatch.setattr("layerscope.models.tahoe_x1_network.attention", slightly_wrong(transformer.attention))
    monkeypatch.setattr(
        "layerscope.models.transcriptformer_network.capped_attention",
        slightly_wrong(capped_attention.capped_attention),
    )
    checks = list(gpu_check.golden_parity(torch.device("cpu")))
    assert checks and not any(check.passed for check in checks)
