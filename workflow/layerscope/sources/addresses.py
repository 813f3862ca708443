"""Where a source's bytes are: the HTTPS address of a file at GEO, Hugging Face, in a bucket, or anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from layerscope.errors import ConfigError

GEO = "https://ftp.ncbi.nlm.nih.gov/geo"
GEO_FOLDERS = {"GSE": "series", "GSM": "samples", "GPL": "platforms"}
HUGGING_FACE = "https://huggingface.co"
KINDS = ("path", "url", "geo", "huggingface")
URL_CHARACTERS = "/:?#[]@!$&'()*+,;=%"
Mirror = str | Mapping[str, str] | None


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is there."""

    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Address:
    """One file elsewhere: its owners' address, the one that is asked (a mirror's), what it must have.

    Where a member of an archive is wanted, size and checksums are the archive's, ``member`` the file's own.
    """

    url: str
    fetched_from: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    member: Expected = Expected()

    @property
    def name(self) -> str:
        """File name of the address, decoded."""
        return unquote(PurePosixPath(urlsplit(self.url).path).name)


def address(source: Mapping[str, Any], through: Mirror = None) -> Address:
    """Find the address of a source, asked through a mirror (see :func:`mirrored`; as JSON text too).

    It is one of :data:`KINDS` but a path, with what is known of the file beside it; else a ConfigError.
    """
    if "geo" in source:
        url = geo_url(**source["geo"])
    elif "huggingface" in source:
        url = hugging_face_url(**source["huggingface"])
    elif "url" in source:
        url = str(source["url"])
    else:
        raise ConfigError(
            f"source: expected one of {', '.join(KINDS)}, found {', '.join(source) or 'nothing'}"
        )
    if urlsplit(url).scheme not in ("https", "http", "s3") or not urlsplit(url).netloc:
        raise ConfigError(f"source: {url!r} is no https://, http:// or s3:// address")
    size, sha256, md5 = (source.get(key) for key in ("bytes", "sha256", "md5"))
    through = read_mirror(through) if isinstance(through, str) else through
    member = Expected(source.get("member_bytes"), source.get("member_sha256"))
    return Address(https_url(url), mirrored(url, through), size, sha256, md5, member)


def geo_url(accession: str, file: str) -> str:
    """Address of a supplementary file at GEO (of ``GSE276896`` in ``series/GSE276nnn/GSE276896/suppl``)."""
    kind, number = accession[:3].upper(), accession[3:]
    if kind not in GEO_FOLDERS or not number.isdigit():
        raise ConfigError(
            f"source: geo: accession: expected GSE, GSM or GPL and a number, found {accession!r}"
        )
    return f"{GEO}/{GEO_FOLDERS[kind]}/{kind}{number[:-3]}nnn/{kind}{number}/suppl/{quote(file)}"


def hugging_face_url(repo: str, file: str, revision: str = "main") -> str:
    """Address of a file at a revision of a repository."""
    return f"{HUGGING_FACE}/{quote(repo)}/resolve/{quote(revision, safe='')}/{quote(file)}"


def https_url(url: str) -> str:
    """HTTPS address of an object in a public bucket (``s3://BUCKET/KEY``); others stay as they are."""
    parts = urlsplit(url)
    if parts.scheme != "s3":
        return url
    key = quote(unquote(parts.path), safe="/")
    if "." in parts.netloc:
        return f"https://s3.amazonaws.com/{parts.netloc}{key}"
    return f"https://{parts.netloc}.s3.amazonaws.com{key}"


def read_mirror(text: str | None) -> Mirror:
    """Read a mirror from a command line: a prefix, or JSON text of prefixes and their replacements."""
    if not text or not text.lstrip().startswith("{"):
        return text or None
    try:
        prefixes = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"mirror: not valid JSON ({error})") from error
    if not all(isinstance(value, str) for value in prefixes.values()):
        raise ConfigError("mirror: expected prefixes and what replaces them")
    return dict(prefixes)


def mirrored(url: str, through: Mirror) -> str:
    """Address to ask instead of ``url``.

    A mirror is a prefix, to which host and path are appended (``https://HOST/PATH`` becomes
    ``PREFIX/HOST/PATH``); or prefixes of addresses and what replaces them, the longest match first
    (``{"s3://": "http://127.0.0.1:5000/"}``).
    """
    if not through:
        return https_url(url)
    if isinstance(through, str):
        return f"{through.rstrip('/')}/{https_url(url).split('://', 1)[1]}"
    for prefix in sorted(through, key=len, reverse=True):
        if url.startswith(prefix):
            return through[prefix] + quote(url.removeprefix(prefix), safe=URL_CHARACTERS)
    return https_url(url)
