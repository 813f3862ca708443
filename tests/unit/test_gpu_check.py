"""`make gpu-check`, whose every line runs without a GPU too, and which sees what is wrong."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from layerscope.models import capped_attention, encoder
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
        names = [check["what"].split(", ")[1] for check in content["checks"] if what in check["what"]]
        assert {name.split()[0].rstrip(":") for name in names} == foundation
    halved = next(check for check in content["checks"] if "halved" in check["what"])
    assert halved["measured"] >= 1
    table = (tmp_path / "gpu_check.md").read_text().splitlines()
    rows = [line for line in table if line.startswith("| ")]
    assert len(rows) == len(content["checks"]) + len(content["speeds"]) + 2


def test_host_work_is_measured_with_a_network_that_returns_at_once():
    command = [sys.executable, ROOT / "benchmarks" / "host_work.py", "--cells=40", "--genes=300"]
    ran = subprocess.run([*command, "--family", "uce"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    words = ran.stdout.splitlines()[1].split()
    assert words[:2] == ["uce", "33layer"]
    rate, layers = float(words[words.index("cells/s") - 1]), int(words[words.index("KiB") - 1])
    assert rate > 0 and layers == 35 * 1280 * 4 / 1024


def test_what_only_a_gpu_runs_asks_it_the_right_things(gpu_check, monkeypatch):
    import gpu_engine

    fractions, waits = [], []
    gpu, memory = torch.device("cuda", 0), SimpleNamespace(total_memory=100 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", fractions.append)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 5 << 30)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(1))
    gpu_check.reset_peak(gpu)
    with gpu_engine.too_little_memory(gpu, gpu_check.peak(gpu)):
        assert fractions == [pytest.approx(0.03)]
    assert fractions[1:] == [1.0]
    assert gpu_check.timed(lambda: None, gpu, 0.0)[1] == 1 and len(waits) == 2
    sizes = dict(gpu_check.sizes(small=False))
    assert all(gpu_check.fits(size, gpu) for size in sizes.values())
    memory.total_memory = 12 << 30
    assert [name for name, size in sizes.items() if not gpu_check.fits(size, gpu)] == ["tahoe_x1 3b"]


def test_cells_that_depend_on_their_batch_or_their_place_in_it_fail(gpu_check):
    name, size = next(gpu_check.sizes(small=True))
    network, cpu = size.drawn(), torch.device("cpu")
    assert gpu_check.tolerance(name, network, size, cpu).passed
    whole = network.layers
    for depends in (lambda batch: batch.n_cells, lambda batch: batch.ids[0]):
        network.layers = lambda batch, depends=depends: (
            (layer, hidden * (1 + 1e-4 * int(depends(batch)))) for layer, hidden in whole(batch)
        )
        assert not gpu_check.tolerance(name, network, size, cpu).passed


def test_cells_at_real_size_fill_batches_and_are_no_longer_than_the_model_takes(gpu_check):
    for name, size in gpu_check.sizes(small=False):
        lengths = gpu_check.lengths_of(name, size, small=False)
        assert lengths.sum() > gpu_check.TOKEN_BUDGET["cuda"] and lengths.max() <= size.longest
        assert (np.diff(lengths) <= 0).all()
        if name.startswith("uce"):
            assert set(lengths) == {1070}


def test_a_bound_that_is_not_kept_or_not_a_number_fails(gpu_check):
    assert gpu_check.at_most("", 1.0, 1.0).passed and gpu_check.at_least("", 1.0, 1.0).passed
    for measured in (2.0, float("nan")):
        assert not gpu_check.at_most("", measured, 1.0).passed
        assert not gpu_check.at_least("", -measured, 1.0).passed


def test_states_that_are_wrong_in_any_precision_fail(gpu_check, monkeypatch):
    def slightly_wrong(attention):
        return lambda qkv, *args: attention(qkv * 1.2, *args)

    monkeypatch.setattr(encoder, "attention", slightly_wrong(encoder.attention))
    monkeypatch.setattr(
        "layerscope.models.transcriptformer_network.capped_attention",
        slightly_wrong(capped_attention.capped_attention),
    )
    checks = list(gpu_check.golden_parity(torch.device("cpu")))
    assert checks and not any(check.passed for check in checks)
