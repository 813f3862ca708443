"""Where in an HDF5 file the rows of a dataset lie, whatever its layout."""

from __future__ import annotations

import logging
from typing import Any

import h5py
import numpy as np

from layerscope.errors import SourceError
from layerscope.sources.chunk_tree import chunks_in_tree, tree_root
from layerscope.sources.remote_file import RemoteFile

LOG = logging.getLogger(__name__)
CHUNK_CACHE = 1 << 26


def open_hdf5(remote: RemoteFile) -> h5py.File:
    """Open a remote HDF5 file for reading.

    HDF5's sieve buffer and its cache of chunks are turned off: they would read around every small part. See
    :func:`hold_chunks` for chunks that are compressed. Raises SourceError if the file is not HDF5.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_WEAK)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, remote)
    access.set_sieve_buf_size(0)
    access.set_cache(0, 0, 0, 1.0)
    try:
        return h5py.File(h5py.h5f.open(remote.url.encode(), h5py.h5f.ACC_RDONLY, fapl=access))
    except OSError as error:
        raise SourceError(f"{remote.url}: not an HDF5 file ({error})") from error


def hold_chunks(file: h5py.File, name: str) -> h5py.Dataset:
    """Open a dataset so that its decompressed chunks are kept while rows are read in order.

    HDF5 shares them with every other handle of the dataset that is opened while this one is open.
    """
    if not is_filtered(file[name]):
        return file[name]
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(1009, CHUNK_CACHE, 1.0)
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))


def is_filtered(dataset: h5py.Dataset) -> bool:
    """Whether a chunk must be read whole, because it is compressed or carries a checksum."""
    n_filters: int = dataset.id.get_create_plist().get_nfilters()
    return n_filters > 0


def row_ranges(
    dataset: h5py.Dataset, firsts: np.ndarray, lasts: np.ndarray, remote: RemoteFile | None = None
) -> np.ndarray:
    """Byte ranges of a file that hold spans of rows of a dataset.

    Parameters
    ----------
    dataset
        Of any layout and number of dimensions; its data must lie in this file, else SourceError is raised.
    firsts, lasts
        First row and the row after the last of each span, shape ``(n_spans,)``.
    remote
        The file of the dataset: its index of chunks is then fetched with many requests at once, where it is of
        the kind that writers of h5ad files use. Without it, HDF5 reads the index itself.

    Returns
    -------
    First byte and the byte after the last, shape ``(n_ranges, 2)``, int64: one range per span of a contiguous
    dataset, one per span and chunk of a chunked one without filters, one per chunk that a span touches of one
    with filters. Empty for data that lie in the file's header.
    """
    wanted = lasts > firsts
    firsts, lasts = np.asarray(firsts)[wanted], np.asarray(lasts)[wanted]
    if dataset.is_virtual or dataset.external:
        raise SourceError(f"{dataset.name}: its values lie in other files, which cannot be sliced from here")
    if dataset.chunks is not None:
        return chunk_ranges(dataset, firsts, lasts, remote)
    offset = dataset.id.get_offset()
    if offset is None:
        return np.zeros((0, 2), dtype=np.int64)
    row = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    return np.column_stack([offset + firsts * row, offset + lasts * row]).astype(np.int64)


def chunk_ranges(
    dataset: h5py.Dataset, firsts: np.ndarray, lasts: np.ndarray, remote: RemoteFile | None
) -> np.ndarray:
    """Ranges of the chunks that hold the spans: the whole of those with filters, of others the spans alone."""
    height = dataset.chunks[0]
    first, last = firsts // height, (lasts - 1) // height + 1
    # a row of chunks is touched where more spans have begun than ended
    n_rows = -(-dataset.shape[0] // height)
    change = np.bincount(first, minlength=n_rows + 1) - np.bincount(last, minlength=n_rows + 1)
    chunks = find_chunks(dataset, np.cumsum(change)[:n_rows] > 0, remote)
    if is_filtered(dataset):
        return np.column_stack([chunks[:, 1], chunks[:, 1] + chunks[:, 2]])
    # every span in every row of chunks that it touches, then every chunk of that row
    span, row = _expanded(first, last)
    start = np.maximum(firsts[span] - row * height, 0)
    stop = np.minimum(lasts[span] - row * height, height)
    lowest, highest = (np.searchsorted(chunks[:, 0], row, side) for side in ("left", "right"))
    part, chunk = _expanded(lowest, highest)
    bytes_of_row = dataset.dtype.itemsize * int(np.prod(dataset.chunks[1:], dtype=np.int64))
    begin = chunks[chunk, 1]
    return np.column_stack([begin + start[part] * bytes_of_row, begin + stop[part] * bytes_of_row])


def find_chunks(dataset: h5py.Dataset, wanted: np.ndarray, remote: RemoteFile | None) -> np.ndarray:
    """Row of chunks, first byte and bytes of each chunk in ``wanted`` rows of chunks, by row."""
    chunks = None
    if remote is not None:
        root = tree_root(remote, dataset)
        chunks = None if root is None else chunks_in_tree(remote, dataset, root, wanted)
        if chunks is None:
            LOG.info("%s: HDF5 itself reads the index of its chunks, one node after the other", dataset.name)
    if chunks is None:
        chunks = _chunks_from_hdf5(dataset, wanted)
    return chunks[np.argsort(chunks[:, 0], kind="stable")]


def _chunks_from_hdf5(dataset: h5py.Dataset, wanted: np.ndarray) -> np.ndarray:
    """Chunks of an index of any kind, in one pass over it: a query of HDF5 for one chunk passes over it too."""
    chunks = []

    def note(chunk: Any) -> None:
        row = chunk.chunk_offset[0] // dataset.chunks[0]
        if wanted[row] and chunk.byte_offset is not None:
            chunks.append((row, chunk.byte_offset, chunk.size))

    if dataset.id.get_num_chunks():
        dataset.id.chunk_iter(note)
    return np.array(chunks, dtype=np.int64).reshape(-1, 3)


def _expanded(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each pair all numbers from its first to before its last: the pair, and the number."""
    lengths = last - first
    pair = np.repeat(np.arange(len(first)), lengths)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return pair, first[pair] + within
