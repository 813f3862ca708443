"""What is said of costs is arithmetic of cells, tokens, operations and the measured rate."""

from __future__ import annotations

import pytest

from layerscope.doors.cost import EFFICIENCY, Machine, ModelRun, cost_lines, hours, how_long, measured
from layerscope.models.network_size import NetworkSize, operations

SIZE = NetworkSize(width=256, feed_forward=512, max_tokens=100)
CPU = Machine("cpu", 4, 1e11)


def a_run(**changes: object) -> ModelRun:
    given = {"name": "m", "network": SIZE, "layers": 6, "n_cells": 1000, "genes_detected": [50, 400]}
    return ModelRun(**(given | changes))  # type: ignore[arg-type]


def test_operations_are_those_of_the_sampled_cells_times_the_number_of_cells():
    one, other = (operations(256, 512, 6, tokens) for tokens in (50, 100))
    assert a_run().operations == pytest.approx(1000 * (one + other) / 2)
    assert a_run(n_cells=2000).operations == pytest.approx(2 * a_run().operations)
    assert a_run(max_length=50).operations == pytest.approx(1000 * one)


def test_disk_is_that_of_all_layers_and_the_official_embedding():
    assert a_run().disk == 1000 * 4 * (7 * 256 + 256)
    assert a_run(bytes_per_number=2).disk == a_run().disk / 2
    wide = SIZE.model_copy(update={"official_width": 1024})
    assert a_run(network=wide).disk == 1000 * 4 * (7 * 256 + 1024)


def test_time_is_operations_over_the_rate_that_extraction_reaches():
    assert how_long(7200 * 1e11 * EFFICIENCY["cpu"], CPU) == hours(7200, CPU)
    assert hours(7200, CPU) == "2.0 h (8.0 CPU-hours)"
    assert hours(7200, Machine("cuda", 4, 1e13)) == "2.0 h (2.0 GPU-hours)"


def test_the_rate_of_this_machine_is_measured():
    machine = measured("cpu")
    assert machine.threads >= 1
    assert 1e8 < machine.operations_per_second < 1e15


def test_without_the_gpu_that_a_study_asks_for_operations_are_told_and_no_time():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    machine = measured("cuda")
    lines = cost_lines([a_run(n_cells=10**9), a_run()], machine)
    assert "no GPU" in lines[1] and "TFLOP" in lines[2] and "TFLOP" in lines[-1]
    assert "hours" not in " ".join(lines)


def test_what_cannot_be_estimated_is_said_and_counts_nothing():
    lines = cost_lines([a_run(), a_run(name="n", network=None), a_run(name="o", unknown="no cells yet")], CPU)
    assert any("n: not estimated" in line for line in lines)
    assert any("o: not estimated" in line for line in lines)
    assert a_run(network=None).operations == 0
    alone = cost_lines([a_run(download=None)], CPU)
    assert "download not stated" in alone[-1]
