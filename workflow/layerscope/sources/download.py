"""Whole files from elsewhere: resumed after any break, checked, and not fetched twice."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import requests
from tqdm import tqdm

from layerscope.errors import SourceError
from layerscope.files import locked, whole
from layerscope.sources.addresses import Address
from layerscope.sources.archives import DamagedError, extract_member, gunzip
from layerscope.sources.manifest import is_unchanged, md5, read_manifest, sha256, write_manifest
from layerscope.sources.transport import (
    Answer,
    ChangedError,
    Retries,
    TransientError,
    Version,
    http_session,
    open_url,
)

LOG = logging.getLogger(__name__)
PIECE = 1 << 14  # what is lost of a body when its connection breaks


def download(
    address: Address,
    output: str | Path,
    retries: Retries | None = None,
    member: str | None = None,
    together: Sequence[str] = (),
) -> dict[str, Any]:
    """Fetch a file, whole or not at all, unless it is there and right; returns its manifest.

    A file that ends in ``.gz`` is decompressed if ``output`` does not, and of an archive one ``member`` is
    taken out; ``together`` names all files beside ``output`` that come out of one archive, which one process
    at a time fetches and which is kept until all of them are there. What has come when a download breaks is
    kept under a hidden name beside ``output``, and the next call goes on from there. Where another file came
    before, and no checksum is known, a warning says so. Raises SourceError if the file cannot be had, or is
    not what it must be.
    """
    output = Path(output)
    manifest = already_there([address], output, member)
    if manifest is not None:
        return manifest
    before = read_manifest(output)
    archive = output.with_name(address.name) if len(together) > 1 else output
    lock = archive.with_name(f".download.{archive.name}.lock")
    with locked(lock) if archive != output else nullcontext():
        try:
            part = Partial(archive, address.fetched_from)
            about = _fetched(address, part, retries or Retries())
            _put_in_place(address, part.path, output, member)
            if all(output.with_name(name).is_file() for name in together):
                part.discard()
        except DamagedError as error:
            part.discard()
            raise SourceError(f"{address.fetched_from}: {error}; nothing of it is kept") from error
        except OSError as error:
            error.filename = error.filename or str(output)  # a full disk, say, for the message
            raise
    digest = sha256(output)
    another = _another_file(before, address, output, digest)
    return write_manifest(output, address.url, digest, member=member, before=another, **about)


def _fetched(address: Address, part: Partial, retries: Retries) -> dict[str, Any]:
    """Fetch what is missing of a file and compare it with what is known of it; for its manifest."""
    headers = _fetch(address, part, retries)
    digest, version = sha256(part.path), part.version
    _demand_right(address, part, digest, headers)
    return {
        "fetched_from": address.fetched_from if address.fetched_from != address.url else None,
        "etag": version.etag if version else None,
        "last_modified": version.modified if version else None,
        "revision": headers.get("x-repo-commit"),
        "fetched_bytes": part.size,
        "fetched_sha256": digest,
    }


def already_there(
    addresses: Sequence[Address], output: Path, member: str | None = None
) -> dict[str, Any] | None:
    """Manifest of a file that need not be fetched from any of its addresses; ``None`` if it must be."""
    if not output.is_file():
        return None
    manifest = read_manifest(output)
    for address in addresses:
        if manifest.get("url") == address.url and manifest.get("member") == member:
            known, key = address.member.sha256, "sha256"
            if not known:
                known, key = address.sha256, "fetched_sha256"
            if known not in (None, manifest.get(key)) or not is_unchanged(output, manifest):
                return None
            LOG.info("%s: already there", output.name)
            return manifest
    for address in addresses:
        expected = address.member.sha256 if member else address.sha256
        if expected and sha256(output) == expected:
            LOG.info("%s: already there", output.name)
            return write_manifest(
                output, address.url, member=member, fetched_sha256=None if member else expected
            )
    return None


def _another_file(
    before: Mapping[str, Any], address: Address, output: Path, digest: str
) -> dict[str, Any] | None:
    """What was there before, if it was another file; a warning says so unless the study pins the file."""
    earlier = before.get("sha256")
    if earlier is None or digest == earlier:
        return None
    if not (address.sha256 or address.md5 or address.member.sha256):
        LOG.warning(
            "%s: another file than before: SHA-256 %s from %s, on %s %s from %s. What was computed with the "
            "one is not comparable with what is computed with the other",
            *(output.name, digest, address.url, before.get("date"), earlier, before.get("url")),
        )
    return {key: before[key] for key in ("url", "sha256", "revision", "date") if key in before}


def _fetch(address: Address, part: Partial, retries: Retries) -> Mapping[str, str]:
    """Fetch what is missing of a file; returns the headers of the last answer, and of its redirects."""
    headers: dict[str, str] = {}
    farthest = part.size
    with http_session() as session:
        while not part.complete:
            try:
                wanted = {"Range": f"bytes={part.size}-"} | part.version.if_range if part.version else {}
                with open_url(session, address.fetched_from, wanted) as (answer, response):
                    for step in (*response.history, response):
                        headers |= {name.lower(): value for name, value in step.headers.items()}
                    _receive(address, part, answer, response)
                if answer.version.size is None:
                    break
            except ChangedError as error:
                part.discard()
                retries.wait(error)
            except TransientError as error:
                if part.size > farthest:
                    farthest = part.size
                    retries.reset()
                retries.wait(error)
    return headers


def _receive(address: Address, part: Partial, answer: Answer, response: requests.Response) -> None:
    """Append the body of an answer to what has come, or start anew where the server sends all of it."""
    total = answer.version.size
    if part.version is not None and not part.version.may_be(answer.version):
        raise ChangedError(address.fetched_from)
    if answer.start not in (0, part.size):
        raise TransientError(f"{address.fetched_from}: another range came than was asked for")
    if address.size is not None and total is not None and total != address.size:
        raise SourceError(
            f"{address.fetched_from}: the study says {address.size:,} bytes, the server has {total:,}"
        )
    if part.version is None or answer.start < part.size:
        part.begin(answer.version)
    missing, free = (total or 0) - part.size, shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise SourceError(
            f"{part.path.parent}: {missing:,} bytes are needed and {free:,} are free on this disk"
        )
    with (
        part.path.open("ab") as stream,
        tqdm(
            desc=address.name, total=total, initial=part.size, unit="B", unit_scale=True, mininterval=10
        ) as progress,
    ):
        for piece in response.iter_content(PIECE):
            stream.write(piece)
            progress.update(len(piece))


def _demand_right(address: Address, part: Partial, digest: str, headers: Mapping[str, str]) -> None:
    """Compare size and checksums with the study's, or with the server's; discard what is wrong."""
    problem = ""
    etag = part.version.etag.strip('"') if part.version else ""
    encrypted = headers.get("x-amz-server-side-encryption", "AES256") != "AES256"
    is_s3_md5 = "x-amz-request-id" in headers and re.fullmatch("[0-9a-f]{32}", etag) and not encrypted
    linked = headers.get("x-linked-etag", "").strip('"')  # Hugging Face's SHA-256 of a large file
    expected_sha256 = address.sha256 or (linked if re.fullmatch("[0-9a-f]{64}", linked) else "")
    expected_md5 = address.md5 or (etag if is_s3_md5 and not expected_sha256 else "")
    if address.size not in (None, part.size):
        problem = f"the study says {address.size:,} bytes, {part.size:,} came"
    elif expected_sha256 and digest != expected_sha256:
        problem = f"expected the SHA-256 {expected_sha256}, found {digest}"
    elif expected_md5 and md5(part.path) != expected_md5:
        problem = f"expected the MD5 {expected_md5}, found {md5(part.path)}"
    if problem:
        part.discard()
        raise SourceError(
            f"{address.fetched_from}: {problem}; nothing of it is kept. Run again, or correct it"
        )


def _put_in_place(address: Address, path: Path, output: Path, member: str | None) -> None:
    if member is not None:
        extract_member(path, member, output, address.member)
    elif address.name.endswith(".gz") and output.suffix != ".gz":
        gunzip(path, output)
    else:
        path.replace(output)


class Partial:
    """``.download.NAME`` beside the file that will be, and a journal that names its address and version."""

    def __init__(self, output: Path, url: str) -> None:
        self.path = output.with_name(f".download.{output.name}")
        self._journal = output.with_name(f".download.{output.name}.json")
        self._url = url
        output.parent.mkdir(parents=True, exist_ok=True)
        self.version = self._journaled_version()
        if self.version is None:
            self.discard()

    def _journaled_version(self) -> Version | None:
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            same = journal["url"] == self._url and self.path.is_file()
            return Version(**journal["version"]) if same else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.version is not None else 0

    @property
    def complete(self) -> bool:
        """Whether all have come; False where the size of the file is unknown."""
        return self.version is not None and self.size == self.version.size

    def begin(self, version: Version) -> None:
        """Start with the first byte of a version."""
        self.discard()
        self.path.touch()
        with whole(self._journal) as scratch:
            scratch.write_text(json.dumps({"url": self._url, "version": asdict(version)}), encoding="utf-8")
        self.version = version

    def discard(self) -> None:
        """Delete what has come."""
        self.version = None
        self.path.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)
