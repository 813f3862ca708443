"""A pass stays on its device, shown without a GPU: on PyTorch's ``meta`` device, and as CUDA in fake tensors.

Neither holds numbers, so that whatever asks for one in the middle of a pass fails: ``.item()``, ``nonzero``,
a boolean index, ``.cpu()``. So do a tensor made on the host and types that do not fit.
"""

import weakref
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from family_examples import EXAMPLES, study_of
from model_examples import (
    GENEFORMER_V1,
    TAHOE_3B,
    block_of,
    counts,
    load_geneformer,
    load_scfoundation,
    load_tahoe_x1,
)
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transcriptformer_examples import load_transcriptformer

from layerscope.extraction.engine import Engine
from layerscope.models.base import pack

META, CUDA = torch.device("meta"), torch.device("cuda", 0)
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
aten = torch.ops.aten
ABOUT_NO_NUMBERS = {aten.lift_fresh.default, torch.ops.prim.device.default}
CONVERTING = {aten._to_copy.default, aten.copy_.default, aten.cat.default}


class OnlyOn(TorchDispatchMode):
    """Fails at an operation that takes or gives a tensor elsewhere than on a device, or mixes types.

    What is sent to the device without being waited for is the exception, and types that are converted.
    """

    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = operation(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
        elsewhere = {str(tensor.device) for tensor in tensors} - {str(self.device)}
        is_sent = kwargs.get("non_blocking") and kwargs.get("device") == self.device
        if elsewhere and not is_sent and operation not in ABOUT_NO_NUMBERS:
            raise AssertionError(f"{operation} on {', '.join(elsewhere)}")
        types = {leaf.dtype for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        mixed = [dtype for dtype in types if dtype.is_floating_point]
        if len(mixed) > 1 and torch.Tag.pointwise not in operation.tags and operation not in CONVERTING:
            raise AssertionError(f"{operation} of {mixed}")
        return out


class PlainIndices(TorchFunctionMode):
    """Indices as the operations that they are: PyTorch without CUDA refuses ``[]`` of fake CUDA tensors."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is not Tensor.__getitem__:
            return function(*args, **(kwargs or {}))
        tensor, index = args
        dim = 0
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, int):
                tensor = tensor.select(dim, part)
                continue
            if part is None:
                tensor = tensor.unsqueeze(dim)
            elif isinstance(part, slice):
                start, stop, step = part.indices(tensor.shape[dim])
                tensor = aten.slice(tensor, dim, start, stop, step)
            else:
                tensor = tensor.index_select(dim, part.nonzero()[:, 0] if part.dtype == torch.bool else part)
            dim += 1
        return tensor


@pytest.fixture(autouse=True)
def modern_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))


@contextmanager
def devoid_of_numbers(device):
    """Tensors on the device have shapes and types alone."""
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if device == CUDA:
            stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
            if not torch.backends.cuda.is_built():
                stack.enter_context(PlainIndices())
        yield


# what the examples of the families lack: drugs, sentences without special tokens, a cap on scores
GOLDEN_MODELS = {
    "tahoe_x1 with drugs": lambda: load_tahoe_x1(TAHOE_3B, chemistry="on"),
    "geneformer V1": lambda: load_geneformer(GENEFORMER_V1),
    "scfoundation, maximum": lambda: load_scfoundation(official="max"),
    "transcriptformer with cap": load_transcriptformer,
}


@pytest.fixture(params=[*EXAMPLES, *GOLDEN_MODELS])
def model(request, tmp_path):
    if request.param in GOLDEN_MODELS:
        return GOLDEN_MODELS[request.param]()
    example = EXAMPLES[request.param]
    return example.load(example.write(tmp_path / "release"))


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("device", [META, CUDA], ids=str)
def test_a_pass_stays_on_its_device(model, device, dtype):
    obs = {"drug": np.array(["Talc"] * 6)}
    sentences = model.tokenise(block_of(counts(7, len(model.vocabulary.genes))[:-1], obs=obs))
    model.set_precision(dtype)
    model.module.eval()
    with devoid_of_numbers(device):
        model.module.to(device)
        with OnlyOn(device):
            batch = pack(sentences, np.arange(5), device=device)
            for layer, hidden in model.layers(batch):
                assert (hidden.shape, hidden.dtype) == ((len(batch.ids), model.hidden_size), torch.float32)
                for pooling in model.poolings:
                    pooled = model.pool(hidden, batch, pooling)
                    assert (pooled.shape, pooled.dtype) == ((5, model.widths(pooling)[0]), torch.float32)
                if layer == model.official_layer:
                    official = model.official(hidden, batch)
                    assert (official.shape, official.dtype) == ((5, model.widths("")[1]), torch.float32)
                    assert official.device == device


MISTAKES = {
    "one number": lambda x: x.sum().item(),
    "all numbers": lambda x: x.tolist(),
    "nonzero": lambda x: x.nonzero(),
    "boolean index": lambda x: x[x[:, 0] > 0],
    "distinct numbers": torch.unique,
    "to the host": lambda x: x.cpu(),
    "sum with the host's": lambda x: x + torch.ones(4),
    "the host's index": lambda x: x.index_select(0, torch.zeros(2, dtype=torch.int64)),
    "waited for": lambda x: torch.from_numpy(np.ones(4)).to(x.device),
    "made on the host": lambda x: torch.linspace(0, 1, 5),
    "another type": lambda x: x @ torch.ones(4, 4, dtype=torch.float16, device=x.device),
    "norm of another type": lambda x: functional.layer_norm(x, (4,), x[0].half(), x[0].half()),
}


@pytest.mark.parametrize("device", [META, CUDA], ids=str)
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_what_waits_or_leaves_the_device_or_does_not_fit_would_be_seen(device, mistake):
    with devoid_of_numbers(device):
        x = torch.empty(3, 4, device=device)
        with OnlyOn(device), pytest.raises((AssertionError, RuntimeError, NotImplementedError)):
            mistake(x)


def test_tensors_of_a_pass_that_ran_out_of_memory_are_gone_before_the_next_batch(tmp_path, monkeypatch):
    """An error holds the tensors of the functions that it went through, until it is gone itself."""
    whole, of_failed_pass, alive_when_emptied = Engine._forward, [], []

    def forward(self, window, cells):
        large = torch.zeros(3)
        if window.sentences.lengths[cells].sum() > 200:
            of_failed_pass.append(weakref.ref(large))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, window, cells)

    monkeypatch.setattr(Engine, "_forward", forward)
    monkeypatch.setattr(
        torch.cuda,
        "empty_cache",
        lambda: alive_when_emptied.append(sum(reference() is not None for reference in of_failed_pass)),
    )
    study_of(EXAMPLES["scfoundation"], tmp_path).extract(token_budget=350)
    assert alive_when_emptied == [0] * len(of_failed_pass) and of_failed_pass
