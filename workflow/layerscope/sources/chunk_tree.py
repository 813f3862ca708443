"""Where the chunks of a dataset lie, read from HDF5's version 1 B-tree a level at a time.

HDF5 reads one node after the other, each a request that waits for the one before it; a level of the tree
is thousands of nodes whose addresses are known at once. The names in quotes are those of the HDF5 file format
specification, version 3.0, sections II.A.1, III.A.1 and IV.A.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import h5py
import numpy as np

from layerscope.sources.remote_file import RemoteFile

UNDEFINED = 2**64 - 1  # "undefined address": no chunk was written yet
LAYOUT, CONTINUATION = 0x08, 0x10  # types of header messages
CHUNKED, BEFORE_OTHER_INDICES = 2, 3  # "layout class"; the last version whose chunks are all in such a tree
CHILDREN = 64  # twice "indexed storage internal node K", which no writer of h5ad files changes
NODE_HEADER = 24


def tree_root(remote: RemoteFile, dataset: h5py.Dataset) -> int | None:
    """Address of the root of a chunked dataset's tree, 0 without chunks; None if it has another index."""
    creation = dataset.file.id.get_create_plist()
    if creation.get_sizes() != (8, 8):
        return None
    base = creation.get_userblock()
    address, _ = h5py.h5g.get_objinfo(dataset.id, b".").objno  # h5o.get_info would walk the whole tree
    for kind, body in _messages(remote, base, address):
        if kind == LAYOUT:
            version, layout = body[0], body[1]
            if version != BEFORE_OTHER_INDICES or layout != CHUNKED:
                return None
            (root,) = struct.unpack_from("<Q", body, 3)
            return 0 if root == UNDEFINED else base + root
    return None


def chunks_in_tree(
    remote: RemoteFile, dataset: h5py.Dataset, root: int, wanted: np.ndarray
) -> np.ndarray | None:
    """Row of chunks, first byte and bytes of every chunk of the ``wanted`` rows of chunks, int64.

    None where nodes are larger than HDF5 makes them; a ValueError if a node is none, or not of this dataset.
    """
    base = dataset.file.id.get_create_plist().get_userblock()
    before = np.concatenate([[0], np.cumsum(wanted)])
    nodes, level = np.array([root] if root else [], dtype=np.int64), -1
    while len(nodes) and level != 0:
        entries, used, level = _read_nodes(remote, dataset, nodes, level)
        if used.max(initial=0) > CHILDREN:
            return None
        row = (entries["offset"][..., 0] // dataset.chunks[0]).astype(np.int64)
        first, last = row[:, :-1], row[:, 1:]
        if level == 0 or dataset.ndim > 1:
            last = (first if level == 0 else last) + 1  # a row of chunks may go on in the next node
        is_used = np.arange(CHILDREN) < used[:, None]
        if (first[is_used] < 0).any() or (first[is_used] >= len(wanted)).any():
            raise ValueError(f"{dataset.name}: a chunk that lies outside of the dataset")
        first, last = np.where(is_used, first, 0), np.where(is_used, np.clip(last, 0, len(wanted)), 0)
        node, place = np.nonzero(before[last] > before[first])
        chosen = entries[node, place]
        nodes = base + chosen["child"].astype(np.int64)
        if level == 0:
            return np.column_stack([first[node, place], nodes, chosen["size"].astype(np.int64)])
    return np.zeros((0, 3), dtype=np.int64)


def _read_nodes(
    remote: RemoteFile, dataset: h5py.Dataset, nodes: np.ndarray, above: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Entries of nodes (a key and the child after it), how many of them are in use, and the nodes' level."""
    offsets = ("offset", "<u8", (dataset.ndim + 1,))
    entry = np.dtype([("size", "<u4"), ("mask", "<u4"), offsets, ("child", "<u8")])
    n_bytes = NODE_HEADER + (CHILDREN + 1) * entry.itemsize - 8  # no child after the last key
    stops = np.minimum(nodes + n_bytes, remote.size)
    if (nodes < 0).any() or (nodes >= stops).any():
        raise ValueError(f"{dataset.name}: a node of its chunks that lies beyond the end of the file")
    remote.fetch(np.column_stack([nodes, stops]), f"index of {dataset.name.lstrip('/')}")
    texts = [remote.parts.read(*span) for span in zip(nodes.tolist(), stops.tolist(), strict=True)]
    content = np.frombuffer(b"".join(text.ljust(n_bytes + 8, b"\0") for text in texts), dtype=np.uint8)
    content = content.reshape(len(nodes), n_bytes + 8)
    header = np.dtype([("signature", "S4"), ("type", "u1"), ("level", "u1"), ("used", "<u2")])
    headers = np.ascontiguousarray(content[:, : header.itemsize]).view(header)[:, 0]
    level = int(headers["level"][0])
    right = (headers["signature"] == b"TREE") & (headers["type"] == 1) & (headers["level"] == level)
    if not right.all() or above not in (-1, level + 1):
        raise ValueError(f"{dataset.name}: the index of its chunks is no tree")
    entries = np.ascontiguousarray(content[:, NODE_HEADER:]).view(entry)
    return entries, headers["used"].astype(np.int64), level


def _messages(remote: RemoteFile, base: int, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and body of the messages of an object's header, which HDF5 has read before."""
    start = _read(remote, base + address, 64)
    if start[:4] == b"OHDR":
        flags = start[5]
        size_at = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        first, size = size_at + width, int.from_bytes(start[size_at : size_at + width], "little")
        head, prefix, suffix = 4 + 2 * bool(flags & 4), 4, 4
    else:
        first, size = 16, struct.unpack_from("<I", start, 8)[0]
        head, prefix, suffix = 8, 0, 0
    blocks = [_read(remote, base + address + first, size)]
    while blocks:
        block, at = blocks.pop(0), 0
        while at + head <= len(block):
            if head == 8:
                kind, length = struct.unpack_from("<HH", block, at)
            else:
                kind, length = struct.unpack_from("<BH", block, at)
            body = block[at + head : at + head + length]
            if kind == CONTINUATION:
                where, n_bytes = struct.unpack_from("<QQ", body)
                blocks.append(_read(remote, base + where + prefix, n_bytes - prefix - suffix))
            yield kind, body
            at += head + length


def _read(remote: RemoteFile, start: int, n_bytes: int) -> bytes:
    remote.seek(start)
    return bytes(remote.read(n_bytes) or b"")
