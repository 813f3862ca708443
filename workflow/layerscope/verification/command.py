"""The command that compares a release at hand with all that is published of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from layerscope import layout
from layerscope.doors.models import cache_folder
from layerscope.errors import ConfigError, ModelError
from layerscope.installation import repository
from layerscope.models.entries import FoundationModel, ModelEntry
from layerscope.settings import STUDY, demand_known, explain
from layerscope.study.file import read_study
from layerscope.verification.checks import Check, table, write_table

if TYPE_CHECKING:
    from layerscope.extraction.job import Extraction
    from layerscope.verification.embeddings import Place

MODELS = repository() / "config" / "models.yaml"
DOWNLOADS = Path("resources/verification")


def verify_model(
    model: str,
    /,
    *,
    weights: Path | None = None,
    cells: int = 20,
    device: Literal["cpu", "cuda", "auto"] = "auto",
    output: Path | None = None,
    models: Path | None = None,
    downloads: Path | None = None,
    mirror: str | None = None,
) -> None:
    """Compare the weights of a model at hand with all that is published of them.

    Parameters
    ----------
    model
        Its name in the catalogue.
    weights
        Their folder; by default resources/weights/MODEL, or else the cache.
    cells
        How many of the published cells to run; 0 for none.
    device
        Where to run them.
    output
        A table with tabs to write besides.
    models
        The catalogue; by default that of the repository.
    downloads
        Folder of published cells and embeddings; by default resources/verification/MODEL.
    mirror
        Prefix to put before every address, or JSON text of prefixes and what replaces them.
    """
    if cells < 0:
        raise ConfigError(f"--cells {cells}: expected 0 or more")
    entry = read_entry(models or MODELS, model)
    fetched, cached = Path(layout.weights(model)), cache_folder() / "weights" / model
    folder = weights or (cached if cached.is_dir() and not fetched.is_dir() else fetched)
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: no such folder; name that of the weights of {model} with --weights, or fetch them"
        )
    from layerscope.extraction.job import Extraction
    from layerscope.verification.embeddings import Place
    from layerscope.verification.release import file_checks

    checks = file_checks(entry.weights.fetch or {}, folder)
    if any(check.result == "differs" for check in checks):  # such files are not run
        checks.append(Check(check="counts, ids and embeddings", source="", result="not checked"))
    else:
        place = Place(weights=folder, downloads=downloads or DOWNLOADS / model, mirror=mirror)
        job = Extraction(family=entry.family, name=model, layers=entry.layers, device=device)
        checks += [*_counts(entry, folder), *_embeddings(entry, job, place, cells)]
    print(table(checks))
    if output is not None:
        write_table(checks, output)
    wrong = [check.check for check in checks if check.result == "differs"]
    if wrong:
        raise ModelError(f"{model}: {len(wrong)} of {len(checks)} checks differ: {', '.join(wrong)}")


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


def _counts(entry: FoundationModel, folder: Path) -> list[Check]:
    from layerscope.models.catalogue import implementation
    from layerscope.models.settings import STREAM_SETTINGS, Settings
    from layerscope.verification.release import count_checks

    options = {name: value for name, value in entry.set.items() if name not in STREAM_SETTINGS}
    model = implementation(entry.family).load(folder, Settings(options, entry.family))
    if entry.published is None:
        return [Check(check="counts and ids", source="", result="not published")]
    return count_checks(model, entry.layers, entry.published)


def _embeddings(entry: FoundationModel, job: Extraction, place: Place, n_cells: int) -> list[Check]:
    from layerscope.verification.embeddings import embedding_checks

    sets = entry.published.embeddings if entry.published else ()
    if not sets:
        return [Check(check="embeddings", source="", result="not published")]
    if n_cells == 0:
        return [Check(check="embeddings", source=each.source, result="not checked") for each in sets]
    checks = []
    for number, each in enumerate(sets, 1):
        its_job = replace(job, settings={**entry.set, **each.set})
        its_place = replace(place, downloads=place.downloads / str(number))
        checks += embedding_checks(each, its_job, its_place, n_cells)
    return checks
