"""A reference that cannot be had of a condition's cells: its folder says why, and so do all rows."""

from __future__ import annotations

from pathlib import Path

from layerscope.tables import write_scores

REASON, CEILINGS = "not_available.txt", "ceilings.tsv"


def write_reason(folder: Path, reason: str, with_ceilings: bool) -> None:
    """Put the reason in the place of all that a reference's folder holds, with an empty table of ceilings."""
    for made in folder.iterdir():
        made.unlink()
    (folder / REASON).write_text(f"{reason}\n", encoding="utf-8")
    if with_ceilings:
        write_scores(folder / CEILINGS, [])


def read_reason(folder: Path | None) -> str:
    """Why a folder holds no reference; empty where it holds one, or there is no folder."""
    if folder is None or not (folder / REASON).is_file():
        return ""
    return (folder / REASON).read_text(encoding="utf-8").strip()
