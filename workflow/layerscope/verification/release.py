"""The files of a release, and the counts and ids that they hold."""

from __future__ import annotations

from pathlib import Path

from layerscope.models.base import FoundationModel
from layerscope.models.integrity import digest
from layerscope.models.published import Published
from layerscope.sources.manifest import read_manifest
from layerscope.sources.settings import RemoteFile
from layerscope.verification.checks import Check, equal

PUBLISHED = "published checksum"


def file_checks(files: dict[str, RemoteFile], folder: Path) -> list[Check]:
    """Compare each file with its published checksum, or with that of its first fetch."""
    return [_file_check(name, source, find_file(folder, name, source)) for name, source in files.items()]


def find_file(folder: Path, name: str, source: RemoteFile) -> Path:
    """A file in a folder of fetched weights, or in a copy of the release with its own folders."""
    inside = [place for place in (source.member, source.huggingface and source.huggingface.file) if place]
    return next((folder / place for place in inside if (folder / place).is_file()), folder / name)


def _file_check(name: str, source: RemoteFile, path: Path) -> Check:
    what = f"SHA-256 of {name}"
    if not path.is_file():
        return Check(check=what, source=str(path.parent), expected="the file", found="none", result="differs")
    if source.known_sha256:
        return equal(what, PUBLISHED, source.known_sha256, digest(path))
    manifest = read_manifest(path)
    if "sha256" in manifest:
        return equal(what, f"first fetch, {manifest.get('date', '')}", manifest["sha256"], digest(path))
    return Check(check=what, source="", found=digest(path), result="not published")


def count_checks(model: FoundationModel, layers: int, published: Published) -> list[Check]:
    """Compare counts and ids with those published; counts that are not published are left out."""
    table, rows = model.gene_table()
    n_parameters = sum(tensor.numel() for tensor in model.module.state_dict().values())
    counts = {
        "rows of the table of genes": (published.vocabulary, len(table)),
        "genes": (published.genes, len(model.vocabulary.genes)),
        "parameters": (published.parameters, n_parameters),
    }
    checks = [equal("layers", "the study", layers, model.n_layers)]
    source = published.source or "the study"
    for what, (expected, here) in counts.items():
        if expected is not None:
            checks.append(equal(what, source, expected, here))
    for token, expected in published.special.items():
        checks.append(equal(f"id of {token}", source, expected, model.special_tokens.get(token, "none")))
    for gene, expected in published.tokens.items():
        place = model.vocabulary.place(gene)
        checks.append(equal(f"id of {gene}", source, expected, int(rows[place]) if place >= 0 else "none"))
    return checks
