"""Whole files from elsewhere: resumed after any break, checked, and never fetched twice."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerscope.errors import SourceError
from layerscope.sources.addresses import Address
from layerscope.sources.archives import extract_member, gunzip
from layerscope.sources.disk import demand_space, said_plainly
from layerscope.sources.manifest import md5, read_manifest, sha256, write_manifest
from layerscope.sources.partial import Partial
from layerscope.sources.progress import Progress, size
from layerscope.sources.transport import Answer, ChangedError, Patience, TransientError, Transport

LOG = logging.getLogger(__name__)
MOST_CHANGES = 3


def download(
    address: Address,
    output: str | Path,
    transport: Transport | None = None,
    patience: Patience | None = None,
    member: str | None = None,
) -> dict[str, Any]:
    """Fetch a file, whole or not at all, unless it is there and right.

    A file that ends in ``.gz`` is decompressed if ``output`` does not. What has come when a download breaks
    is kept under a hidden name beside ``output``, and the next call goes on from there.

    Parameters
    ----------
    address
        Where the file is, and what it must have.
    output
        Where it goes.
    transport, patience
        How it comes.
    member
        Name of the one file to take out of the archive that the address leads to.

    Returns
    -------
    The manifest, which is also kept beside ``output``.

    Raises
    ------
    SourceError
        If the file cannot be had, is not what it must be, or does not fit on the disk.
    """
    output = Path(output)
    known = _already_right(address, output, member)
    if known is not None:
        LOG.info("%s: already there", output.name)
        return known
    with said_plainly(output):
        part = Partial(output, address.fetched_from)
        headers = _fetch_right(address, part, transport or Transport(), patience or Patience())
        fetched = {"fetched_bytes": part.size, "fetched_sha256": sha256(part.path)}
        _put_in_place(address, part, output, member)
        version = part.version
        part.discard()
        return write_manifest(
            output,
            address.url,
            member=member,
            fetched_from=address.fetched_from if address.fetched_from != address.url else None,
            etag=version.etag if version else None,
            last_modified=version.modified if version else None,
            revision=headers.get("x-repo-commit"),
            **fetched,
        )


def _already_right(address: Address, output: Path, member: str | None) -> dict[str, Any] | None:
    """The manifest of a file that need not be fetched; ``None`` if it must be."""
    if not output.is_file():
        return None
    known = read_manifest(output)
    if known.get("url") == address.url and known.get("member") == member:
        expected = address.sha256 or known.get("fetched_sha256")
        same = known.get("fetched_sha256") == expected and known.get("bytes") == output.stat().st_size
        return known if same and sha256(output) == known.get("sha256") else None
    if address.sha256 and not member and sha256(output) == address.sha256:
        return write_manifest(output, address.url, fetched_sha256=address.sha256)
    return None


def _fetch_right(
    address: Address, part: Partial, transport: Transport, patience: Patience
) -> Mapping[str, str]:
    for second in (False, True):
        headers = _fetch(address, part, transport, patience)
        wrong = _wrong(address, part, headers)
        if not wrong:
            return headers
        part.discard()
        if second:
            raise SourceError(f"{address.fetched_from}: {wrong}; fetched twice, and nothing of it is kept")
        LOG.warning("%s: %s; fetching it once more", address.name, wrong)
    raise AssertionError


def _fetch(address: Address, part: Partial, transport: Transport, patience: Patience) -> Mapping[str, str]:
    """Go on until all bytes are there."""
    headers: Mapping[str, str] = {}
    changes, most = 0, part.size
    while not part.complete:
        try:
            start = part.size if part.version is not None else 0
            with transport.open(address.fetched_from, start, None, part.version) as answer:
                headers = answer.headers
                _receive(address, part, answer, start)
            if part.version is not None and part.version.size is None:
                return headers
        except TransientError as error:
            LOG.warning("%s", error)
            if part.size > most:
                most = part.size
                patience.progressed()
            patience.failed(error, address.fetched_from)
        except ChangedError as error:
            changes += 1
            part.discard()
            if changes >= MOST_CHANGES:
                raise SourceError(f"{error}: it changed {changes} times while it was fetched") from error
            LOG.warning("%s; starting over", error)
    return headers


def _receive(address: Address, part: Partial, answer: Answer, start: int) -> None:
    if part.version is not None and not part.version.same(answer.version):
        raise ChangedError(f"{address.fetched_from}: the file changed while it was fetched")
    if answer.start not in (0, start):
        raise TransientError(
            f"{address.fetched_from}: asked from byte {start:,}, answered from {answer.start:,}"
        )
    total = answer.version.size
    if address.size is not None and total is not None and total != address.size:
        raise SourceError(
            f"{address.fetched_from}: the study says {address.size:,} bytes, the server has {total:,}"
        )
    if part.version is None or answer.start < start:
        part.begin(answer.version)
    elif start:
        LOG.info("%s: going on after %s", address.name, size(start))
    if total is not None:
        demand_space(part.path, total - part.size)
    progress = Progress(address.name, total, part.size)
    with part.path.open("ab") as stream:
        for piece in answer.pieces():
            stream.write(piece)
            progress.advance(len(piece))
    if total is not None and part.size > total:
        part.discard()
        raise TransientError(f"{address.fetched_from}: more bytes came than the file has")


def _wrong(address: Address, part: Partial, headers: Mapping[str, str]) -> str:
    """Say what is wrong with the bytes that came; ``""`` if nothing shows."""
    if address.size is not None and part.size != address.size:
        return f"the study says {address.size:,} bytes, {part.size:,} came"
    if address.md5 and md5(part.path) != address.md5:
        return f"expected the MD5 {address.md5}, found {md5(part.path)}"
    expected = address.sha256 or _linked_sha256(headers)
    if expected:
        found = sha256(part.path)
        return "" if found == expected else f"expected the SHA-256 {expected}, found {found}"
    etag = part.version.etag.strip('"') if part.version else ""
    if "x-amz-request-id" in headers and re.fullmatch(r"[0-9a-f]{32}", etag):
        found = md5(part.path)
        encrypted = headers.get("x-amz-server-side-encryption", "AES256") != "AES256"
        return "" if found == etag or encrypted else f"expected the MD5 {etag}, found {found}"
    return ""


def _linked_sha256(headers: Mapping[str, str]) -> str:
    """SHA-256 that Hugging Face gives for a large file; ``""`` elsewhere."""
    found = headers.get("x-linked-etag", "").strip('"')
    return found if re.fullmatch(r"[0-9a-f]{64}", found) else ""


def _put_in_place(address: Address, part: Partial, output: Path, member: str | None) -> None:
    if member is not None:
        extract_member(part.path, member, output)
    elif address.name.endswith(".gz") and output.suffix != ".gz":
        gunzip(part.path, output)
    else:
        part.path.replace(output)
