"""Weights are read without running what is in them."""

import collections
import datetime
import os
import pickle
import subprocess
import sys

import pytest
import torch
from model_examples import SCFOUNDATION, write_tahoe_x1
from torch import nn

from layerscope.errors import ModelError
from layerscope.models.weights import load_strictly, read_checkpoint, read_safetensors
from layerscope.sources.manifest import sha256


class Payload:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    ("save", "words"),
    [
        (torch.save, r"import (io|_io)\.open.*trust_sha256="),
        (lambda held, path: path.write_bytes(pickle.dumps(held["payload"])), "not read"),
    ],
    ids=["archive", "old pickle"],
)
def test_a_file_that_wants_to_import_something_is_refused_with_the_list_and_the_remedy(tmp_path, save, words):
    path, victim = tmp_path / "models.ckpt", tmp_path / "written"
    save({"weights": torch.ones(2), "payload": Payload(victim)}, path)
    with pytest.raises(ModelError, match=words) as refused:
        read_checkpoint(path)
    assert not victim.exists()
    assert ("trust" in words) <= (sha256(path) in str(refused.value))


def test_opting_in_needs_the_checksum_of_the_file(tmp_path):
    path = tmp_path / "models.ckpt"
    torch.save({"made": datetime.datetime(2024, 1, 1), "counts": collections.Counter("aab")}, path)
    with pytest.raises(ModelError, match=r"datetime\.datetime"):
        read_checkpoint(path)
    with pytest.raises(ModelError, match="vouched"):
        read_checkpoint(path, trusted_sha256="0" * 64)
    assert read_checkpoint(path, trusted_sha256=sha256(path).upper())["counts"]["a"] == 2


def test_types_that_are_known_to_be_harmless_can_be_admitted(tmp_path):
    path = tmp_path / "best-model.pt"
    torch.save({"took": datetime.timedelta(seconds=3)}, path)
    assert read_checkpoint(path, allowed=[datetime.timedelta])["took"].seconds == 3


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    folder = write_tahoe_x1(tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="whole safetensors"):
        read_safetensors(path)
    cut = tmp_path / "models.ckpt"
    cut.write_bytes((SCFOUNDATION / "models.ckpt").read_bytes()[:5000])
    with pytest.raises(ModelError, match="whole PyTorch"):
        read_checkpoint(cut)


def test_weights_in_half_precision_are_taken_as_float32():
    module = nn.Linear(2, 3)
    held = {"weight": torch.ones(3, 2, dtype=torch.bfloat16), "bias": torch.zeros(3)}
    load_strictly(module, held, ignored=(), path="model.safetensors")
    assert module.weight.dtype == torch.float32


def test_a_network_is_built_without_the_compiler_of_torch() -> None:
    code = (
        "import sys, torch; from pathlib import Path; from layerscope.models.weights import *; "
        "held = Checkpoint(weights=Path('x'), config=(2, 3), tensors={'weight': torch.ones(2, 3)}); "
        "load_network(lambda sizes: torch.nn.Embedding(*sizes), held, ()); "
        "print('torch._dynamo' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (process.returncode, process.stdout.strip()) == (0, "False"), process.stderr
