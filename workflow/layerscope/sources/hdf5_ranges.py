"""Where in an HDF5 file the rows of a dataset lie, whatever its layout."""

from __future__ import annotations

import itertools

import h5py
import numpy as np

from layerscope.errors import SourceError
from layerscope.sources.remote_file import RemoteFile

CHUNK_CACHE = 1 << 26


def open_hdf5(remote: RemoteFile) -> h5py.File:
    """Open a remote HDF5 file for reading.

    HDF5's sieve buffer is turned off (it would read around every small part), and its cache of decompressed
    chunks made large enough that none is decompressed twice by rows that are read in order.

    Raises
    ------
    SourceError
        If the file is not HDF5.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_WEAK)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, remote)
    access.set_sieve_buf_size(0)
    access.set_cache(0, 1009, CHUNK_CACHE, 1.0)
    try:
        return h5py.File(h5py.h5f.open(remote.url.encode(), h5py.h5f.ACC_RDONLY, fapl=access))
    except OSError as error:
        raise SourceError(f"{remote.url}: not an HDF5 file ({error})") from error


def row_ranges(dataset: h5py.Dataset, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Byte ranges of a file that hold rows of a dataset.

    Parameters
    ----------
    dataset
        Contiguous or chunked, compressed or not, of any number of dimensions.
    firsts, lasts
        First row and the row after the last of each wanted span, shape ``(n_spans,)``.

    Returns
    -------
    First byte and the byte after the last, shape ``(n_ranges, 2)``, int64: one range per span of a contiguous
    dataset, one per chunk that a span touches of a chunked one. Empty for data that lie in the file's header.

    Raises
    ------
    SourceError
        If the data lie in other files.
    """
    wanted = lasts > firsts
    firsts, lasts = np.asarray(firsts)[wanted], np.asarray(lasts)[wanted]
    if dataset.is_virtual or dataset.external:
        raise SourceError(f"{dataset.name}: its values lie in other files, which cannot be sliced from here")
    if dataset.chunks is not None:
        return chunk_ranges(dataset, firsts, lasts)
    offset = dataset.id.get_offset()
    if offset is None:
        return np.zeros((0, 2), dtype=np.int64)
    row = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    return np.column_stack([offset + firsts * row, offset + lasts * row]).astype(np.int64)


def chunk_ranges(dataset: h5py.Dataset, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Ranges of the whole chunks that hold the spans; HDF5 reads its index of chunks for each of them."""
    height = dataset.chunks[0]
    first, last = firsts // height, (lasts - 1) // height + 1
    # a chunk row is touched where more spans have begun than ended
    n_chunks = -(-dataset.shape[0] // height)
    change = np.bincount(first, minlength=n_chunks + 1) - np.bincount(last, minlength=n_chunks + 1)
    touched = np.flatnonzero(np.cumsum(change)[:n_chunks] > 0)
    columns = [
        range(0, size, chunk) for size, chunk in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)
    ]
    ranges = []
    for number in touched.tolist():
        for corner in itertools.product(*columns):
            chunk = dataset.id.get_chunk_info_by_coord((number * height, *corner))
            if chunk.byte_offset is not None:
                ranges.append((chunk.byte_offset, chunk.byte_offset + chunk.size))
    return np.array(ranges, dtype=np.int64).reshape(-1, 2)
