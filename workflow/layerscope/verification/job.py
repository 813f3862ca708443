"""Compare a release at hand with all that is published of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from layerscope import layout
from layerscope.errors import ConfigError, ModelError
from layerscope.models.entries import FoundationModel, ModelEntry
from layerscope.settings import STUDY, demand_known, explain
from layerscope.study_file import read_study
from layerscope.verification.checks import Check

DOWNLOADS = Path("resources/verification")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What to verify, and how."""

    model: str
    models: Path  # a file with the entry of the model, such as config/models.yaml
    weights: Path | None = None  # by default where the workflow fetches them to
    downloads: Path | None = None  # where published cells and embeddings go
    n_cells: int = 20  # of those published; 0 runs none
    device: str = "auto"
    mirror: str | None = None


def read_entry(models: Path, model: str) -> FoundationModel:
    """The entry of a model that has a release; a ConfigError for any other name."""
    entries = read_study(models).get("models") or {}
    demand_known(model, entries, str(models), "model")
    try:
        entry = TypeAdapter(ModelEntry).validate_python(entries[model], context=STUDY)
    except ValidationError as error:
        raise ConfigError(explain(error, f"{models}: models: {model}")) from None
    if not isinstance(entry, FoundationModel) or entry.weights.fetch is None:
        raise ConfigError(
            f"{model}: no release to verify: its weights are not fetched; name a foundation model of {models}"
        )
    return entry


def verify(job: Verification) -> Iterator[Check]:
    """Yield what is compared: files, then counts and ids, then embeddings; files that differ do not run."""
    if job.n_cells < 0:
        raise ConfigError(f"--cells {job.n_cells}: expected 0 or more")
    entry = read_entry(job.models, job.model)
    folder = job.weights or Path(layout.weights(job.model))
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: no such folder; name that of the weights of {job.model} with --weights, or fetch them"
        )
    from layerscope.verification.release import file_checks

    files = file_checks(entry.weights.fetch or {}, folder)
    yield from files
    if any(check.result == "differs" for check in files):
        yield Check(check="counts, ids and embeddings", source="", result="not checked")
        return
    yield from _counts(job, entry, folder)
    yield from _embeddings(job, entry, folder)


def _counts(job: Verification, entry: FoundationModel, folder: Path) -> Iterator[Check]:
    from layerscope.models.catalogue import implementation
    from layerscope.models.settings import STREAM_SETTINGS, Settings
    from layerscope.verification.release import count_checks

    options = {name: value for name, value in entry.set.items() if name not in STREAM_SETTINGS}
    model = implementation(entry.family).load(folder, Settings(options, entry.family))
    if entry.published is None:
        yield Check(check="counts and ids", source="", result="not published")
    else:
        yield from count_checks(model, entry.layers, entry.published)


def _embeddings(job: Verification, entry: FoundationModel, folder: Path) -> Iterator[Check]:
    from layerscope.extraction.job import Extraction
    from layerscope.verification.embeddings import Place, embedding_checks

    sets = entry.published.embeddings if entry.published else ()
    if not sets:
        yield Check(check="embeddings", source="", result="not published")
    if job.n_cells == 0:
        yield from (Check(check="embeddings", source=each.source, result="not checked") for each in sets)
        return
    downloads = job.downloads or DOWNLOADS / job.model
    for number, each in enumerate(sets, 1):
        place = Place(weights=folder, downloads=downloads / str(number), mirror=job.mirror)
        extraction = Extraction(
            family=entry.family,
            name=job.model,
            layers=entry.layers,
            device=job.device,
            settings={**entry.set, **each.set},
        )
        yield from embedding_checks(each, extraction, place, job.n_cells)
