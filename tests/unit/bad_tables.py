"""Tables of scores, bootstrap values and settings with one thing wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from bad_embeddings import cut
from bad_ground import Options, bad

from layerscope.tables import Score, write_resamples, write_scores, write_table

# --- tables of scores ---------------------------------------------------------------------------------------


def rows(metric: str = "spearman") -> list[Score]:
    """Scores of a model of two layers."""
    about = {"condition": "c", "model": "m", "task": "trajectory", "protocol": "paper", "metric": metric}
    return [
        Score(**about, layer=f"{layer:02d}", depth=0.0, estimate=0.5, ci_low=0.4, ci_high=0.6, n_cells=100)
        for layer in (1, 2)
    ]


@bad
def scores_missing(at: Path) -> None:
    (at / "scores.tsv").unlink(missing_ok=True)


@bad
def scores_empty(at: Path) -> None:
    (at / "scores.tsv").write_bytes(b"")


@bad
def scores_cut_in_a_number(at: Path) -> None:
    write_scores(at / "scores.tsv", rows())
    content = (at / "scores.tsv").read_bytes()
    (at / "scores.tsv").write_bytes(content[: content.rindex(b"0.6") + 2])


@bad
def scores_of_other_columns(at: Path) -> None:
    write_table(at / "scores.tsv", pd.DataFrame({"model": ["m"], "score": [0.5]}))


@bad
def scores_of_too_many_fields(at: Path) -> None:
    write_scores(at / "scores.tsv", rows())
    with (at / "scores.tsv").open("a", encoding="utf-8") as stream:
        stream.write("\t" * 40 + "\n")


@bad
def scores_of_words(at: Path) -> None:
    write_scores(at / "scores.tsv", rows())
    text = (at / "scores.tsv").read_text(encoding="utf-8")
    (at / "scores.tsv").write_text(text.replace("0.5", "good", 1), encoding="utf-8")


@bad
def scores_binary(at: Path) -> None:
    (at / "scores.tsv").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe\x00" * 20)


@bad
def scores_twice(at: Path) -> Options:
    write_scores(at / "scores.tsv", rows())
    write_scores(at / "again.tsv", rows())
    return {"scores": [at / "scores.tsv", at / "again.tsv"]}


@bad
def scores_of_no_status(at: Path) -> None:
    write_scores(at / "scores.tsv", rows())
    text = (at / "scores.tsv").read_text(encoding="utf-8")
    (at / "scores.tsv").write_text(text.replace("\tok\t", "\tfine\t"), encoding="utf-8")


@bad
def scores_to_choose_from_cut(at: Path) -> None:
    scores_cut_in_a_number(at)


@bad
def models_of_no_kind(at: Path) -> Options:
    write_scores(at / "scores.tsv", rows())
    return {"models": json.dumps({"m": {"layers": 2}})}


@bad
def models_are_a_list(at: Path) -> Options:
    write_scores(at / "scores.tsv", rows())
    return {"models": "[]"}


def resampled(at: Path, sizes: tuple[int, int]) -> list[Path]:
    write_scores(at / "scores.tsv", rows())
    folder = at / "trajectory" / "c" / "paper" / "m"
    folder.mkdir(parents=True)
    paths = [folder / f"layer_{layer:02d}.npz" for layer in (1, 2)]
    for path, size in zip(paths, sizes, strict=True):
        write_resamples(path, {"spearman": np.linspace(0.4, 0.6, size)})
    return paths


@bad
def resamples_truncated(at: Path) -> Options:
    paths = resampled(at, (100, 100))
    cut(paths[0])
    return {"resamples": paths}


@bad
def resamples_missing(at: Path) -> Options:
    paths = resampled(at, (100, 100))
    paths[1].unlink()
    return {"resamples": paths}


@bad
def resamples_of_other_numbers(at: Path) -> Options:
    return {"resamples": resampled(at, (100, 50))}


# --- settings -----------------------------------------------------------------------------------------------


@bad
def settings_list(at: Path) -> Options:
    return {"text": "[1, 2]"}


@bad
def settings_broken(at: Path) -> Options:
    return {"text": '{"neighbours": 15'}


@bad
def settings_file_missing(at: Path) -> Options:
    return {"text": "absent.yaml"}


@bad
def settings_file_binary(at: Path) -> Options:
    (at / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    return {"text": "mine.yaml"}


@bad
def settings_very_long(at: Path) -> Options:
    return {"text": "x" * 100_000}


@bad
def settings_unknown_key(at: Path) -> Options:
    return {"settings": '{"neighbors": 15}'}


@bad
def settings_zero_neighbours(at: Path) -> Options:
    return {"settings": '{"neighbours": 0}'}


@bad
def settings_too_many_neighbours(at: Path) -> Options:
    return {"settings": json.dumps({"neighbours": 500, "resamples": 100, "halvings": 4, "splits": 5})}


@bad
def settings_unknown_quality(at: Path) -> Options:
    return {"input": at / "screen.h5ad", "settings": {"quality": {"min_genes": 5}}}


@bad
def settings_text_for_number(at: Path) -> Options:
    return {"input": at / "screen.h5ad", "settings": {"quality": {"min_genes_per_cell": "five"}}}


@bad
def settings_nan_for_number(at: Path) -> Options:
    return {"input": at / "screen.h5ad", "settings": {"quality": {"max_mitochondrial_percent": float("nan")}}}


@bad
def settings_list_for_mapping(at: Path) -> Options:
    return {"input": at / "screen.h5ad", "settings": {"columns": ["target"]}}
