"""Dictionaries that releases ship as pickles or JSON, read without running what is in them."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import ModelError
from layerscope.models.weights import DAMAGED, present, read_json

NUMBER = re.compile(r"[<>|=]?([biuf]\d{1,2})")
ORDERS = ("<", ">", "|", "=")


class _Dtype:
    """Stands for ``numpy.dtype`` while a pickle is read: the type of one plain number, and nothing else."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        matched = NUMBER.fullmatch(str(code))
        if matched is None:
            raise pickle.UnpicklingError(f"a NumPy type {code!r}, where plain numbers are expected")
        self.code, self.order = matched[1], "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ORDERS:
            raise pickle.UnpicklingError(f"a NumPy byte order {state[1]!r}")
        self.order = state[1]


def _scalar(dtype: _Dtype, content: bytes) -> int | float | bool:
    """Stands for ``numpy.core.multiarray.scalar``: a plain number of Python."""
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
        raise pickle.UnpicklingError("a NumPy scalar that is not a plain number")
    number: int | float | bool = np.frombuffer(content, dtype=dtype.order + dtype.code).item()
    return number


ADMITTED: Mapping[str, Callable[..., Any]] = {
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}


class _PlainUnpickler(pickle.Unpickler):
    """Admits plain containers, text and numbers; of NumPy, scalars."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """The stand-in for what a pickle wants to import."""
        wanted = f"{module}.{name}"
        if wanted not in ADMITTED:
            raise pickle.UnpicklingError(f"it wants to import {wanted}")
        return ADMITTED[wanted]


def read_dictionary(path: Path, what: str) -> dict[str, Any]:
    """Read a dictionary from text to plain values, a pickle or (by its suffix) JSON.

    Of a pickle nothing is imported: NumPy's scalars, as releases hold them, become numbers of Python;
    anything else is refused.
    """
    if path.suffix == ".json":
        return read_json(path, what)
    content = present(path, what).read_bytes()
    try:
        dictionary = _PlainUnpickler(io.BytesIO(content)).load()
    except DAMAGED as error:
        raise ModelError(
            f"{path}: {what} was not read: {error}. Only plain dictionaries are; fetch it again, or write it "
            f"as JSON, to {path.with_suffix('.json').name}"
        ) from error
    if not isinstance(dictionary, dict) or not all(isinstance(name, str) for name in dictionary):
        raise ModelError(f"{path}: {what} is not a dictionary of names")
    return dictionary
