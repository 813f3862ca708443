"""What a study says about one file, carried out: link it if it is here, fetch it if it is not."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerscope.errors import ConfigError, SourceError
from layerscope.files import refuse_overwriting
from layerscope.sources.addresses import KINDS, Expected, address
from layerscope.sources.archives import extract_member
from layerscope.sources.cache import named_cache, weights_folder
from layerscope.sources.download import already_there, download
from layerscope.sources.manifest import manifest_path, md5, sha256, write_manifest
from layerscope.sources.transport import ATTEMPTS, FIRST_WAIT, NoSuchFileError, Retries

LOG = logging.getLogger(__name__)

CHECKED = ("bytes", "sha256", "md5", "member", "member_bytes", "member_sha256")
KNOWN = (*KINDS, "alternatives", *CHECKED, "together", "licence", "accepted", "model", "mirror")


def fetch(
    settings: Mapping[str, Any],
    output: str | Path,
    mirror: str | None = None,
    attempts: int = ATTEMPTS,
    wait: float = FIRST_WAIT,
) -> None:
    """Put the file that a source names where a rule wants it.

    Parameters
    ----------
    settings
        One of ``path``, ``url``, ``geo``, ``huggingface``; ``alternatives``, other places of the same bytes,
        asked in this order where the first does not give the file; ``bytes``, ``sha256`` and ``md5``, which
        are checked; ``member``, the file to take out of an archive, and its ``member_bytes`` and
        ``member_sha256``; ``together``, names of all files beside the output that come out of one archive,
        which is then fetched once; and for weights ``model``, ``licence`` and whether it has been
        ``accepted``.
    output
        The file to make. A local ``path`` is linked to, not copied, unless it is the archive of a ``member``;
        so are weights that are fetched into the cache, where ``$LAYERSCOPE_CACHE`` names one.
    mirror
        Prefix to put before every address, or JSON text of prefixes and what replaces them; ``mirror`` in the
        settings does the same.
    attempts
        Failures in a row after which to give up.
    wait
        Seconds before the second attempt.
    """
    unknown = sorted(set(settings) - set(KNOWN))
    if unknown:
        raise ConfigError(f"source: unknown key {unknown[0]!r}; there are {', '.join(KNOWN)}")
    if "path" in settings:
        _link(Path(settings["path"]), Path(output), settings)
        return
    if not settings.get("accepted", True):
        name, licence = settings.get("model", "this model"), settings.get("licence") or "not stated"
        raise ConfigError(
            f"{name}: its weights come under this licence: {licence}. If you accept it, add {name!r} to "
            "accepted_licences in the config; nothing was fetched"
        )
    cache = named_cache()
    if cache is not None and "model" in settings:
        with weights_folder(cache, settings["model"]) as folder:
            source = {key: value for key, value in settings.items() if key != "model"}
            fetch(source, folder / Path(output).name, mirror, attempts, wait)
        _link(folder / Path(output).name, Path(output), {})
        return
    through, output = mirror or settings.get("mirror"), Path(output)
    places = _places(settings)
    if already_there([address(place, through) for place in places], output, settings.get("member")):
        return
    failures: list[SourceError] = []
    for place in places:
        try:
            _download(place, output, through, Retries(attempts, wait))
            return
        except SourceError as error:
            failures.append(error)
            if len(failures) < len(places):
                LOG.warning("%s. Asking the next of %d addresses", error, len(places))
    raise failures[0] if len(failures) == 1 else SourceError("; ".join(map(str, failures)))


def _places(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The source, and the same file at each of its alternatives."""
    checks = {key: settings[key] for key in (*CHECKED, "together") if key in settings}
    return [dict(settings), *(checks | dict(place) for place in settings.get("alternatives", ()))]


def _download(source: Mapping[str, Any], output: Path, through: str | None, retries: Retries) -> None:
    member, together = source.get("member"), source.get("together", ())
    try:
        download(address(source, through), output, retries, member, together)
    except NoSuchFileError as error:
        respelt = _other_spelling(source)
        if respelt is None:
            raise
        LOG.warning("%s. GEO may keep it as %s; asking for that", error, respelt["geo"]["file"])
        try:
            download(address(respelt, through), output, retries, member, together)
        except NoSuchFileError:
            raise error from None


def _other_spelling(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same file at GEO, compressed or not, where nothing pins which of the two."""
    if "geo" not in settings or {"bytes", "sha256", "md5"} & set(settings):
        return None
    file = str(settings["geo"]["file"])
    renamed = file.removesuffix(".gz") if file.endswith(".gz") else f"{file}.gz"
    return {**settings, "geo": {**settings["geo"], "file": renamed}}


def _link(path: Path, output: Path, settings: Mapping[str, Any]) -> None:
    """Link to a local file after its size and checksums are compared, or take a member out of it."""
    if not path.is_file():
        raise SourceError(f"source: path: there is no file {str(path)!r}")
    size = path.stat().st_size
    if settings.get("bytes") not in (None, size):
        raise SourceError(f"{path}: expected {settings['bytes']:,} bytes, found {size:,}")
    for name, digest in (("sha256", sha256), ("md5", md5)):
        if name in settings and digest(path) != settings[name]:
            raise SourceError(f"{path}: expected the {name} {settings[name]}, found {digest(path)}")
    member, known = settings.get("member"), settings.get("sha256")
    if member is not None:
        refuse_overwriting(output, path)
        known = settings.get("member_sha256")
        extract_member(path, member, output, Expected(settings.get("member_bytes"), known))
    elif output.resolve() != path.resolve():
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)
        output.symlink_to(path.absolute())
    if output.absolute() == path.absolute():
        return
    manifest_path(output).unlink(missing_ok=True)  # of what was fetched in its place before
    if known:
        write_manifest(output, str(path), member=member)
