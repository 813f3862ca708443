"""What a column of the cells' table may be: a guess by its name, and by labels that look like controls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from layerscope.cells.controls import control_labels
from layerscope.cells.labels import shortened, text, words_for_missing
from layerscope.cells.readers.columns import are_codes
from layerscope.cells.settings import TRUTH_PREFIX
from layerscope.cells.time_labels import Order, order_times

MIN_LABELS, MAX_LABELS, MIN_CLONES = 2, 60, 20
NAMES: tuple[tuple[str, str], ...] = (
    ("time", r"time|day|hour|minute|week|month|stage|hpf|^tp$"),
    ("perturbation", r"perturb|target|^condition$|^gene(_?(name|symbol))?$"),
    ("perturbation", r"drug|compound|product|treatment|^stim|agent|^(ko|kd)$|knock"),
    ("guide", r"guide|sg_?rna|sg_?id|grna|protospacer|feature_call|element"),
    ("clone", r"clon|barcode|lineage|larry"),
    ("cell_type", r"cell_?type|annot|label|state|def_lab"),
    ("cell_type", r"cluster|leiden|louvain|^(active_)?ident$|(sub)?class$|phenotype|population"),
    ("replicate", r"^rep"),
    ("donor", r"donor|patient|subject|individual|participant|^(mouse|animal)(_?id)?$"),
    ("batch", r"batch|sample|lane|library|gem_?group"),
    ("batch", r"channel|technology|chemistry|platform|assay|^run$|pool|plate|orig_?ident|^dataset$|^study$"),
)
"""Standard columns and what their names hold, the likelier of several first."""
NO_LABELS = re.compile(r"type$|class$|dose|umi|count|^n_|num|raw$|^total", re.I)
"""Names of columns that say something about a perturbation or guide, and do not name it."""
CLUSTERS = re.compile(r"cluster|leiden|louvain|ident$", re.I)
"""Names of columns whose labels are numbers by nature."""
MANY_LABELS = ("clone", "guide", "perturbation")


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the cells' table: how many cells have each label, and what it may be.

    ``rank`` is low where the guess is good; ``times`` orders the labels if they may be times; ``words`` are
    those that count as missing, with the cells of each; ``labels`` has a label for each
    cell, but for numbers.
    """

    name: str
    sizes: pd.Series
    numeric: bool
    guess: str
    rank: int
    controls: tuple[str, ...]
    words: dict[str, int]
    times: Order
    labels: pd.Series

    def line(self) -> str:
        """The column in one line."""
        guess = f"  [{self.guess}?]" if self.guess else ""
        if self.numeric:
            return f"{self.name}: numbers{guess}"
        many = len(self.sizes) > 6
        largest = self.sizes.iloc[: 4 if many else 6].items()
        shown = ", ".join(f"{shortened(label)} ({size:,})" for label, size in largest) or "empty"
        shown = f"{len(self.sizes):,} labels: {shown} ..." if many else shown
        if self.words:
            words = ", ".join(f"{word} ({size:,})" for word, size in self.words.items())
            shown += f"; missing: {words} (`not_missing` takes them as labels)"
        named = self.guess in ("cell_type", "perturbation") and not CLUSTERS.search(self.name)
        if named and are_codes(list(map(str, self.sizes.index))):
            shown += "; codes without labels?"
        return f"{self.name}: {shown}{guess}"


def guess_column(name: str, values: pd.Series) -> Column:
    """Guess what a column may be."""
    labels = pd.Series(text(values))
    sizes = labels[labels != ""].value_counts()
    is_measured = values.dtype.kind == "f" and not values.dropna().mod(1).eq(0).all()
    many = len(sizes) > MAX_LABELS and not re.search("clon|guide", name, re.I)
    numeric = is_measured or (values.dtype.kind in "iuf" and many)
    controls = (
        tuple(control_labels(map(str, sizes.index))) if len(sizes) >= MIN_LABELS and not numeric else ()
    )
    by_cell = labels.iloc[:0] if numeric else labels.astype("category")
    guess, rank = _guess(name, sizes, numeric, controls)
    times, listed = Order([]), []
    if guess == "time":
        if isinstance(values.dtype, pd.CategoricalDtype):
            listed = [label for label in text(pd.Series(values.cat.categories)) if label in sizes.index]
        is_ordered = bool(listed) and bool(values.cat.ordered)
        times = Order(listed) if is_ordered else order_times(map(str, sizes.index), listed)
    return Column(name, sizes, numeric, guess, rank, controls, words_for_missing(values), times, by_cell)


def first(columns: Iterable[Column], standard: str) -> Column | None:
    """The likeliest column: that of the standard name, else the one with controls, else the best name."""
    guessed = [column for column in columns if column.guess == standard]
    wants_controls = standard == "perturbation"
    guessed.sort(key=lambda c: (c.name != standard, wants_controls and not c.controls, c.rank))
    return guessed[0] if guessed else None


def _guess(name: str, sizes: pd.Series, numeric: bool, controls: Sequence[str]) -> tuple[str, int]:
    if name.startswith(TRUTH_PREFIX):
        return "", len(NAMES)
    if numeric:
        is_pseudotime = re.search(r"pseudo_?time|dpt", name, re.I)
        return ("reference_pseudotime", 0) if is_pseudotime else ("", len(NAMES))
    if len(sizes) < MIN_LABELS:
        return "", len(NAMES)
    plain = re.sub(r"\W+", "_", name)
    for rank, (standard, pattern) in enumerate(NAMES):
        if re.search(pattern, plain, re.I) and _fits(standard, plain, sizes):
            return standard, rank
    return ("perturbation" if controls and len(sizes) > 1 else ""), len(NAMES)


def _fits(standard: str, name: str, sizes: pd.Series) -> bool:
    """Whether a column has as many labels as a standard column would, and is no measure of it."""
    if standard in ("perturbation", "guide") and NO_LABELS.search(name):
        return False
    if standard == "clone":
        return len(sizes) >= MIN_CLONES and sizes.iloc[0] > 1
    return len(sizes) <= MAX_LABELS or standard in MANY_LABELS
