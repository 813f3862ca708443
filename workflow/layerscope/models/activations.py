"""Activation functions by the names that releases give them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]

NOT_OF_ONE_TENSOR = (TypeError, ValueError, RuntimeError, AssertionError, AttributeError, IndexError)
GELU_OF_TANH = partial(functional.gelu, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _clipped_gelu(x: Tensor) -> Tensor:
    return functional.gelu(x).clamp(-10, 10)


def _squared_relu(x: Tensor) -> Tensor:
    return functional.relu(x).square()


def _identity(x: Tensor) -> Tensor:
    return x


def _laplace(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf((x - 0.707107) / (0.282095 * 2**0.5)))


# names of Hugging Face's transformers that PyTorch has not, or has for something else; and relu, in place
NAMED: Mapping[str, Activation] = {
    "relu": partial(functional.relu, inplace=True),
    "swish": functional.silu,
    "gelu_new": GELU_OF_TANH,
    "gelu_fast": GELU_OF_TANH,
    "gelu_accurate": GELU_OF_TANH,
    "gelu_pytorch_tanh": GELU_OF_TANH,
    "gelu_python_tanh": GELU_OF_TANH,
    "gelu_tanh": GELU_OF_TANH,
    "gelu_python": functional.gelu,
    "gelu_10": _clipped_gelu,
    "quick_gelu": _quick_gelu,
    "relu2": _squared_relu,
    "laplace": _laplace,
    "linear": _identity,
}


def activation_of(name: str) -> Activation:
    """The function of that name: of :data:`NAMED`, else PyTorch's, else its module; KeyError if none is."""
    for spelling in (name, name.lower()):
        if spelling in NAMED:
            return NAMED[spelling]
        function, module = getattr(functional, spelling, None), getattr(nn, spelling, None)
        if callable(function) and not isinstance(function, type):
            return cast(Activation, function)
        if isinstance(module, type) and issubclass(module, nn.Module):
            return module().eval()
    raise KeyError(name)


def is_elementwise(name: str) -> bool:
    """Whether the function of that name gives each number of a tensor a number, whatever else is in it.

    What mixes the numbers of a row, draws at random or has weights of its own is no activation.
    """
    x = torch.linspace(-3, 3, 60, device="cpu").view(4, 15)
    try:
        with warnings.catch_warnings(action="ignore"):
            function = activation_of(name)
            row_by_row, alone = function(x.clone()), function(x.view(-1, 1).clone())
    except (KeyError, *NOT_OF_ONE_TENSOR):
        return False
    if isinstance(function, nn.Module) and any(True for _ in function.parameters()):
        return False
    same_shape = isinstance(row_by_row, Tensor) and row_by_row.shape == x.shape
    return same_shape and torch.allclose(row_by_row, alone.view_as(x))
