"""Where in an HDF5 file the rows of a dataset lie, whatever its layout."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from layerscope.errors import SourceError
from layerscope.sources.chunk_tree import chunks_in_tree, tree_root
from layerscope.sources.remote_file import RemoteFile

LOG = logging.getLogger(__name__)
CHUNK_CACHE = 1 << 26
REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("object", "<u4")])  # to text of variable length
HEAP_HEAD = 1 << 12  # what HDF5 reads of a collection before it knows its size
NEAR_HEAP, LARGEST_HEAP = 1 << 16, 1 << 24


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


def fetch_values(remote: RemoteFile, datasets: Sequence[h5py.Dataset], name: str) -> None:
    """Fetch all values of datasets with many requests at once, and the text that they refer to.

    Text of variable length lies in heaps of some kilobytes, which HDF5 would fetch one after the other; it
    still does where the references to them are compressed.
    """
    arrays = [dataset for dataset in datasets if dataset.ndim]
    if not arrays:
        return
    ranges = [row_ranges(array, np.array([0]), np.array([len(array)]), remote) for array in arrays]
    remote.fetch(np.concatenate(ranges), name)
    heaps = [np.zeros(0, dtype=np.int64)]  # addresses of the collections of text
    for array, spans in zip(arrays, ranges, strict=True):
        text = h5py.check_string_dtype(array.dtype)
        if text is not None and text.length is None and not is_filtered(array):
            content = b"".join(remote.parts.read(*span) for span in spans.tolist())
            used = np.frombuffer(content, REFERENCE, len(content) // REFERENCE.itemsize)
            heaps.append(used["heap"][used["length"] > 0].astype(np.int64))
    _fetch_heaps(remote, np.unique(np.concatenate(heaps)), arrays[0].file.userblock_size, name)


def _fetch_heaps(remote: RemoteFile, addresses: np.ndarray, base: int, name: str) -> None:
    """Fetch collections of text: as far as the next one, or their heads if that is far, then what is left."""
    starts = base + addresses[(addresses > 0) & (addresses < remote.size - base - HEAP_HEAD)]
    to_next = np.diff(starts, append=remote.size)
    stops = np.minimum(starts + np.where(to_next <= NEAR_HEAP, to_next, HEAP_HEAD), remote.size)
    remote.fetch(np.column_stack([starts, stops]), name)
    heads = [remote.parts.read(start, start + 16) for start in starts.tolist()]
    sizes = [int.from_bytes(head[8:], "little") if head[:4] == b"GCOL" else 0 for head in heads]
    ends = starts + np.array([min(size, LARGEST_HEAP) for size in sizes], dtype=np.int64)
    more = (ends > stops) & (ends <= remote.size)
    remote.fetch(np.column_stack([stops, ends])[more], name)


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
        The file of the dataset: its index of chunks is then fetched with many requests at once, where it is
        of the kind that writers of h5ad files use. Without it, HDF5 reads the index itself.

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
    if not len(firsts):
        return np.zeros((0, 2), dtype=np.int64)
    if dataset.chunks is not None:
        return chunk_ranges(dataset, firsts, lasts, remote)
    offset = dataset.id.get_offset()
    if offset is None:
        return np.zeros((0, 2), dtype=np.int64)
    row = dataset.id.get_storage_size() // dataset.shape[0]  # of text, that of the references to it
    return np.column_stack([offset + firsts * row, offset + lasts * row]).astype(np.int64)


def chunk_ranges(
    dataset: h5py.Dataset, firsts: np.ndarray, lasts: np.ndarray, remote: RemoteFile | None
) -> np.ndarray:
    """Ranges of chunks that hold the spans: whole chunks where they have filters, else the spans alone."""
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
    begin, bytes_of_row = chunks[chunk, 1], chunks[chunk, 2] // height
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
    """Chunks of any index in one pass over it, which a query of HDF5 for one chunk takes as well."""
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
