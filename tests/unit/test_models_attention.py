"""Attention of packed cells by the variable-length kernel of GPUs gives what attention cell by cell gives."""

import inspect
from itertools import pairwise

import pytest
import torch
import torch.nn.attention.varlen as varlen
from family_examples import EXAMPLES
from model_examples import block_of, counts, states
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from layerscope.models import transformer

SIGNATURE = inspect.signature(varlen.varlen_attn)


def stand_in(*args, **kwargs):
    """What the kernel computes, on a CPU, for calls that its signature allows and that it would take."""
    call = SIGNATURE.bind(*args, **kwargs)
    assert list(call.arguments) == ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]
    query, key, value, edges, edges_of_keys, longest, longest_of_keys = call.arguments.values()
    assert key.shape == value.shape and query.shape[1:] == key.shape[1:]
    assert query.stride(-1) == key.stride(-1) == 1 and query.shape[2] % 8 == 0
    for rows, of_cells, most in ((query, edges, longest), (key, edges_of_keys, longest_of_keys)):
        assert of_cells.dtype == torch.int32 and of_cells[0] == 0 and of_cells[-1] == len(rows)
        assert len(of_cells) == len(edges) and most == int(of_cells.diff().max())
    out = torch.empty_like(query)
    for (first, last), (start, stop) in zip(
        pairwise(edges.tolist()), pairwise(edges_of_keys.tolist()), strict=True
    ):
        cell = [query[first:last], key[start:stop], value[start:stop]]
        context = functional.scaled_dot_product_attention(*(part.transpose(0, 1) for part in cell))
        out[first:last] = context.transpose(0, 1)
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", sorted(set(EXAMPLES) - {"transcriptformer"}))
def test_the_packed_kernel_gives_what_attention_cell_by_cell_gives(family, dtype, tmp_path, monkeypatch):
    example = EXAMPLES[family]
    model = example.load(example.write(tmp_path / "release"))
    sentences = model.tokenise(block_of(counts(9, len(model.vocabulary.genes))[:-1]))
    model.set_precision(dtype)
    dense, _ = states(model, sentences)
    calls = []
    monkeypatch.setattr(transformer, "_takes_packed", lambda split: calls.append(split) or True)
    monkeypatch.setattr(varlen, "varlen_attn", stand_in)
    packed, _ = states(model, sentences)
    assert len(calls) == model.n_layers
    for one, other in zip(dense, packed, strict=True):
        scale = float(one.square().mean()) ** 0.5
        # some units in the last place of the largest values, which are several times the scale
        torch.testing.assert_close(other, one, rtol=0, atol=32 * torch.finfo(dtype).eps * scale)


@pytest.mark.parametrize(
    ("dtype", "size", "capability", "takes"),
    [
        (torch.bfloat16, 64, (8, 0), True),
        (torch.float16, 128, (9, 0), True),
        (torch.float16, 8, (12, 0), True),
        (torch.float32, 64, (9, 0), False),
        (torch.float16, 64, (7, 5), False),
        (torch.bfloat16, 4, (9, 0), False),
        (torch.bfloat16, 20, (9, 0), False),
        (torch.bfloat16, 264, (9, 0), False),
    ],
)
def test_heads_and_gpus_that_the_kernel_does_not_take_go_cell_by_cell(
    monkeypatch, dtype, size, capability, takes
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    with FakeTensorMode():
        heads = torch.empty(6, 3, 2, size, dtype=dtype, device="cuda:0")
        assert transformer._takes_packed(heads) is takes
        assert not transformer._takes_packed(torch.empty_like(heads, device="cpu"))
