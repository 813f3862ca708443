"""A table of tokens: each that occurs is worked out once, and on a CPU the rest stays in the file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_examples import tokens_of
from torch import nn

from layerscope.errors import ModelError
from layerscope.models.base import TokenBatch, pack
from layerscope.models.token_table import TokenTable
from layerscope.models.weights import load_strictly, read_checkpoint

N_TOKENS, WIDTH = 60, 24


class Network(nn.Module):
    def __init__(self, n_tokens=N_TOKENS, width=WIDTH):
        super().__init__()
        self.table = TokenTable(n_tokens, width)
        self.linear = nn.Linear(width, 8)
        self.seen = 0

    def forward(self, ids):
        batch = TokenBatch(tokens={"ids": ids}, cells={}, offsets=np.array([0, len(ids)]))
        return self.table(batch, self.project)

    def project(self, vectors):
        self.seen += len(vectors)
        return torch.tanh(self.linear(vectors))


def network():
    torch.manual_seed(0)
    made = Network()
    with torch.no_grad():
        made.table.weight.normal_()
    return made


def test_each_distinct_token_of_a_batch_is_worked_out_once():
    model = network()
    with torch.no_grad():
        out = model(torch.tensor([5, 2, 2, 3]))
        assert model.seen == 3
        assert torch.equal(out[1], out[2]) and not torch.equal(out[0], out[1])


def test_rows_dealt_out_anew_go_with_their_tokens_even_after_a_run():
    model = network()
    with torch.no_grad():
        before = model(torch.arange(N_TOKENS))
        model.table.rows[:] = torch.roll(torch.arange(N_TOKENS), 1)
        assert torch.equal(model(torch.arange(N_TOKENS)), torch.roll(before, 1, 0))


def test_the_table_goes_to_the_device_of_the_network_and_is_no_part_of_a_file_besides():
    model = network().to("meta")
    assert model.table.weight.is_meta and model.table.rows.is_meta
    assert set(model.state_dict()) == {"table.weight", "linear.weight", "linear.bias"}


def mapped_bytes(path: Path) -> int:
    """Bytes of a file that are in this process's memory, by the kernel's account."""
    n_bytes, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0] and len(words) >= 5:
            inside = line.endswith(str(path))
        elif inside and words[0] == "Rss:":
            n_bytes += 1024 * int(words[1])
    return n_bytes


def test_only_the_rows_of_tokens_that_occur_are_read_into_memory(tmp_path):
    n_tokens, width = 40_000, 256
    path = tmp_path / "large.torch"
    held = {"table.weight": torch.ones(n_tokens, width), "linear.weight": torch.ones(8, width)}
    torch.save({**held, "linear.bias": torch.zeros(8)}, path)
    with torch.device("meta"):
        model = Network(n_tokens, width)
    load_strictly(model, read_checkpoint(path), ignored=(), path=path)
    model.eval().to("cpu")
    with torch.inference_mode():
        model(torch.arange(3000, 4000))
    assert path.stat().st_size > 40e6
    assert 1e6 < mapped_bytes(path) < 3e6


@pytest.mark.parametrize("place", [0, 5_000_000, -1])
def test_a_number_anywhere_in_the_table_that_is_not_finite_is_refused(tmp_path, place):
    path = tmp_path / "large.torch"
    table = torch.ones(40_000, 256)
    table.reshape(-1)[place] = torch.nan
    held = {"linear.weight": torch.ones(8, 256), "linear.bias": torch.zeros(8), "table.weight": table}
    torch.save(held, path)
    with torch.device("meta"):
        model = Network(40_000, 256)
    with pytest.raises(ModelError, match=r"table\.weight .*1 of"):
        load_strictly(model, read_checkpoint(path), ignored=(), path=path)


def test_a_batch_names_its_distinct_ids_and_needs_none_where_a_model_has_no_such_column():
    sentences = tokens_of(np.array([7, 2, 7, 7]), np.ones(4), np.array([0, 1, 4]))
    distinct, place = pack(sentences, np.array([1, 0])).distinct_ids
    assert (distinct.tolist(), place.tolist()) == ([2, 7], [0, 1, 1, 1])
    without = replace(sentences, tokens={"genes": sentences.tokens["ids"]})
    assert pack(without).tokens["genes"].tolist() == [7, 2, 7, 7]
