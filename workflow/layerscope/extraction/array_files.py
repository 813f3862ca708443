"""Arrays with a row for each cell, and the cells' names, in files of any origin: one class a format.

Nothing is executed that a file holds (pickles are refused), and of an h5ad or zarr only what is asked for is
read. Every method raises a DataError if the file is missing, damaged, or has no such array or column.
"""

from __future__ import annotations

import logging
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.cells.h5ad_file import column_names, open_h5ad, read_column, read_index
from layerscope.cells.labels import among
from layerscope.errors import ConfigError, DataError
from layerscope.files import BAD_HEADER
from layerscope.models.entries import PATTERN
from layerscope.tables import OFFICIAL

log = logging.getLogger(__name__)

UNNAMED = "one without a name"
ONLY = ""  # name of the array of a file that has one and no name for it


class ArrayFile(ABC):
    """A file of arrays; ``column`` says where in it the cells' names are."""

    def __init__(self, path: str | Path, column: str | None = None) -> None:
        self.path, self.column = Path(path), column

    @abstractmethod
    def names(self) -> list[str]:
        """Names of the arrays."""

    @abstractmethod
    def _values(self, name: str) -> Any:
        """An array, in whatever form the library gives it."""

    @abstractmethod
    def _cell_ids(self) -> Sequence[Any]:
        """Names of the cells, likewise."""

    def cell_ids(self) -> list[str]:
        """Names of the cells, in the order of the rows; a ConfigError if nothing says where they are."""
        with self._refusing():
            names = self._cell_ids()
        return [name.decode() if isinstance(name, bytes) else str(name) for name in names]

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """One array, shape ``(n_cells, width)``."""
        self.demand(name)
        with self._refusing():
            values = self._values(name)
        values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
        if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "biuf":
            which = f"array {name!r}" if name else "the array"
            raise DataError(
                f"{self.path}: {which} has the shape {values.shape} and holds {values.dtype}; expected "
                "numbers, a row for each cell"
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            return np.asarray(values, dtype=np.float32)

    def demand(self, name: str) -> None:
        """Refuse an array that the file does not have."""
        names = self.names()
        if name not in names:
            asked = f"no array {name!r}" if name else "which array? Name it under 'layers'"
            raise DataError(f"{self.path}: {asked}; {among(name, [other or UNNAMED for other in names])}")

    def _demand_column(self, columns: Sequence[str]) -> None:
        if self.column not in columns:
            raise DataError(
                f"{self.path}: no column {self.column!r} of cells' names; {among(str(self.column), columns)}"
            )

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Of what libraries raise about a file make one message."""
        try:
            yield
        except (
            OSError,
            ValueError,
            LookupError,
            EOFError,
            TypeError,
            BadZipFile,
            zlib.error,
            *BAD_HEADER,
        ) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            if "allow_pickle" in reason:
                reason = "it holds pickled objects, which are refused; save text with .astype(str)"
            raise DataError(f"{self.path}: cannot be read: {reason}") from error


class AnnDataFile(ArrayFile):
    """An h5ad: ``X``, ``obsm/NAME`` and ``layers/NAME``."""

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with open_h5ad(self.path) as file:
            yield file

    def names(self) -> list[str]:
        """Names of the arrays; ``X``, which is mostly something else, comes last."""
        with self._opened() as file:
            groups = [group for group in ("obsm", "layers") if group in file and hasattr(file[group], "keys")]
            names = [f"{group}/{name}" for group in groups for name in sorted(file[group].keys())]
            return [*names, *(["X"] if "X" in file else [])]

    def _values(self, name: str) -> Any:
        from anndata.io import read_elem

        with self._opened() as file:
            return read_elem(file[name])

    def _cell_ids(self) -> Sequence[Any]:
        with self._opened() as file:
            if "obs" not in file:
                raise DataError(f"{self.path}: no table 'obs', which names the cells; is it an AnnData?")
            if self.column is None:
                return read_index(file["obs"])
            self._demand_column(column_names(file["obs"]))
            return list(read_column(file["obs"], self.column))


class ZarrFile(AnnDataFile):
    """The same in zarr's format."""

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import zarr

        if not self.path.exists():
            raise DataError(f"{self.path}: no such file")
        with self._refusing():
            group = zarr.open_group(self.path, mode="r")
        yield group

    def _cell_ids(self) -> Sequence[Any]:
        from anndata.io import read_elem

        with self._opened() as file:
            obs = read_elem(file["obs"])
        if self.column is None:
            return list(obs.index)
        self._demand_column(list(obs.columns))
        return list(obs[self.column])


class NumpyFile(ArrayFile):
    """One array, and no names of cells."""

    def names(self) -> list[str]:
        return [ONLY]

    def _values(self, name: str) -> Any:
        return np.load(self.path, allow_pickle=False)

    def _cell_ids(self) -> Sequence[Any]:
        raise ConfigError(f"{self.path}: it names no cells; give a table of their names as 'cells'")


class NumpyArchive(ArrayFile):
    """Arrays by name, the cells' names among them."""

    def names(self) -> list[str]:
        with self._refusing(), np.load(self.path, allow_pickle=False) as arrays:
            return sorted(set(arrays.files) - {self.column})

    def _values(self, name: str) -> Any:
        with np.load(self.path, allow_pickle=False) as arrays:
            return arrays[name]

    def _cell_ids(self) -> Sequence[Any]:
        if self.column is None:
            raise ConfigError(
                f"{self.path}: what names its cells? Give an array's name as 'column', or a table as 'cells'"
            )
        with np.load(self.path, allow_pickle=False) as arrays:
            self._demand_column(arrays.files)
            return list(np.ravel(arrays[self.column]))


class TextTable(ArrayFile):
    """A table with a heading: of its columns of numbers one array."""

    def names(self) -> list[str]:
        return [ONLY]

    @cached_property
    def _table(self) -> pd.DataFrame:
        """The table, indexed by the cells' names; these stay text, whatever they look like."""
        separator = "\t" if self.path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
        columns = pd.read_csv(self.path, sep=separator, nrows=0).columns
        column = columns[0] if self.column is None else self.column
        if self.column is not None:
            self._demand_column(list(columns))
        return pd.read_csv(self.path, sep=separator, converters={column: str}).set_index(column)

    def _values(self, name: str) -> Any:
        table = self._table
        numbers = table.select_dtypes(["number", "bool"])
        if left_out := [str(column) for column in table if column not in numbers]:
            log.info("%s: columns without numbers are left out: %s", self.path, ", ".join(left_out[:20]))
        return numbers.to_numpy(dtype=np.float64)

    def _cell_ids(self) -> Sequence[Any]:
        return list(self._table.index)


class ParquetTable(TextTable):
    """The same as parquet, in which each column of lists is an array too."""

    def names(self) -> list[str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._refusing():
            fields = [field for field in pq.read_schema(self.path) if field.name != self.column]
        kinds = pa.types
        lists = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
        numbers = (kinds.is_integer, kinds.is_floating, kinds.is_boolean)
        only = [ONLY] if any(of(field.type) for field in fields for of in numbers) else []
        return [*only, *(field.name for field in fields if any(of(field.type) for of in lists))]

    @cached_property
    def _table(self) -> pd.DataFrame:
        table = pd.read_parquet(self.path)
        if self.column in (None, table.index.name) and not isinstance(table.index, pd.RangeIndex):
            return table
        if self.column is not None:
            self._demand_column(list(table.columns))
        return table.set_index(table.columns[0] if self.column is None else self.column)

    def _values(self, name: str) -> Any:
        return super()._values(name) if name == ONLY else np.stack(self._table[name].to_numpy())


class PlainNames(ArrayFile):
    """One name of a cell a line, no heading, and no arrays."""

    def names(self) -> list[str]:
        return []

    def _values(self, name: str) -> Any:
        raise KeyError(name)

    def _cell_ids(self) -> Sequence[Any]:
        return self.path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


FORMATS: dict[str, type[ArrayFile]] = {
    ".h5ad": AnnDataFile,
    ".zarr": ZarrFile,
    ".npy": NumpyFile,
    ".npz": NumpyArchive,
    ".parquet": ParquetTable,
    ".csv": TextTable,
    ".tsv": TextTable,
    ".csv.gz": TextTable,
    ".tsv.gz": TextTable,
    ".txt": PlainNames,
}


def open_arrays(path: str | Path, column: str | None = None) -> ArrayFile:
    """The file as its ending says; a ConfigError if nothing here reads such files."""
    for ending, kind in FORMATS.items():
        if str(path).lower().rstrip("/").endswith(ending):
            return kind(path, column)
    raise ConfigError(f"{path}: not a format that is read here; expected {', '.join(FORMATS)}")


def layer_places(file: ArrayFile, places: Mapping[str, str]) -> dict[str, str]:
    """Layer names, in order, to the names of their arrays, a pattern filled in; named arrays go before it.

    A DataError if one is missing, or the pattern fits none, one that is no layer, or two of one layer.
    """
    named = {layer: place for layer, place in places.items() if layer != PATTERN}
    for place in named.values():
        file.demand(place)
    fitting = _fitting(file, places[PATTERN]) if PATTERN in places else {}
    return dict(sorted((fitting | named).items(), key=lambda item: (item[0] == OFFICIAL, item[0].zfill(3))))


def _fitting(file: ArrayFile, pattern: str) -> dict[str, str]:
    """Layer names to the arrays that fit a pattern."""
    start, end = pattern.split(PATTERN)
    least = len(start) + len(end)
    names = file.names()
    fitting: dict[str, str] = {}
    for name in names:
        if not (name.startswith(start) and name.endswith(end) and len(name) > least):
            continue
        text = name[len(start) : len(name) - len(end)]
        if text != OFFICIAL and not re.fullmatch("[0-9]{1,3}", text):
            raise DataError(
                f"{file.path}: {pattern!r} fits {name!r}, but {text!r} is neither a number nor 'official'; "
                "name the arrays of the layers one by one"
            )
        layer = text if text == OFFICIAL else f"{int(text):02d}"
        if layer in fitting:
            raise DataError(f"{file.path}: {fitting[layer]!r} and {name!r} are both layer {layer}; name one")
        fitting[layer] = name
    if not fitting:
        raise DataError(f"{file.path}: no array fits {pattern!r}; {among(pattern, names)}")
    return fitting
