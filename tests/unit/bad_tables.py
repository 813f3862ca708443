"""Tables of scores, bootstrap values and settings with one thing wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bad_embeddings import cut
from bad_ground import BUILDERS, Options, bad

from layerscope.tables import Score, write_resamples, write_scores


def rows(metric: str = "spearman") -> list[Score]:
    """Scores of a model of two layers."""
    about = {"condition": "c", "model": "m", "task": "trajectory", "protocol": "paper", "metric": metric}
    return [
        Score(**about, layer=f"{layer:02d}", depth=0.0, estimate=0.5, ci_low=0.4, ci_high=0.6, n_cells=100)
        for layer in (1, 2)
    ]


def resampled(at: Path, sizes: tuple[int, int]) -> list[Path]:
    """Scores, and bootstrap values of so many resamples of each layer."""
    write_scores(at / "scores.tsv", rows())
    folder = at / "trajectory" / "c" / "paper" / "m"
    folder.mkdir(parents=True)
    paths = [folder / f"layer_{layer:02d}.npz" for layer in (1, 2)]
    for path, size in zip(paths, sizes, strict=True):
        write_resamples(path, {"spearman": np.linspace(0.4, 0.6, size)})
    return paths


BUILDERS |= {
    "scores_empty": lambda at: (at / "scores.tsv").write_bytes(b""),
    "resamples_of_other_numbers": lambda at: {"resamples": resampled(at, (100, 50))},
    "settings_broken": lambda at: {"text": '{"neighbours": 15'},
    "settings_file_missing": lambda at: {"text": "absent.yaml"},
}


@bad
def scores_cut_in_a_number(at: Path) -> None:
    write_scores(at / "scores.tsv", rows())
    content = (at / "scores.tsv").read_bytes()
    (at / "scores.tsv").write_bytes(content[: content.rindex(b"0.6") + 2])


@bad
def scores_of_words(at: Path) -> None:
    write_scores(at / "scores.tsv", rows())
    text = (at / "scores.tsv").read_text(encoding="utf-8")
    (at / "scores.tsv").write_text(text.replace("0.5", "good", 1), encoding="utf-8")


@bad
def resamples_truncated(at: Path) -> Options:
    paths = resampled(at, (100, 100))
    cut(paths[0])
    return {"resamples": paths}
