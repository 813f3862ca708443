"""Labels of cells that nothing was done to, told word by word: a combination with a target is none."""

from __future__ import annotations

import re
from collections.abc import Iterable

COMBINED = re.compile(r"[+|;,&]|\band\b|_AND_", re.I)  # what joins several perturbations in one label
CONTROL = re.compile(
    r"(sg|si|sh)?(controls?|ctrls?|ctl|nt|ntc|ntcs|negctrl|negcontrol|nontarget\w*|safetarget\w*|safeharbou?r|scrambled?|scrmbl|scr"
    r"|vehicles?|veh|dmso|pbs|saline|mock|sham|placebo|untreated|unperturbed|unstim\w*|uninfected|wt|wildtype"
    r"|emptyvector|luciferase|lacz|intergenic|medium|nc|negcon)(g|sg)?"
)
"""Words of which one alone makes a control."""
BESIDE = re.compile(
    r"neg|negative|solvent|tf|only|cells?|guides?|sg|sgrnas?|grnas?|sirnas?|shrnas?|g|sh|si|rep|treated|samples?|pool"
    r"|group|percent|v|um|nm|mm|h|hr|t|human|mouse"
)
"""Words that say nothing of a target, beside numbers."""
JOINED: tuple[tuple[str, str], ...] = (
    (r"non?[\W_]*target", "nontarget"),
    (r"safe[\W_]*target", "safetarget"),
    (r"safe[\W_]*harb", "safeharb"),
    (r"un[\W_]+(treated|stim|infected|perturbed)", r"un\1"),
    (r"wild[\W_]*type", "wildtype"),
    (r"empty[\W_]*vector", "emptyvector"),
    (r"no[\W_]*(treatment|drug|stim\w*|perturbation)", "untreated"),
    (r"non[\W_]*(treated|stim\w*|infected)", "untreated"),
)
"""Words that are written as one, as two, or with a hyphen."""


def is_control(label: str) -> bool:
    """Whether a whole label looks like a control: ``NT``, ``non-targeting_2``, ``vehicle (DMSO)``."""
    parts = [part for part in COMBINED.split(label) if part.strip()]
    return bool(parts) and all(_is_control(part) for part in parts)


def control_labels(labels: Iterable[str]) -> list[str]:
    """Those of the labels that look like controls, in their order."""
    return [label for label in labels if is_control(label)]


def _is_control(part: str) -> bool:
    text = part.casefold()
    for pattern, word in JOINED:
        text = re.sub(pattern, word, text)
    words = re.findall(r"[^\W\d_]+", text)
    named = [word for word in words if CONTROL.fullmatch(word)]
    if re.search(r"\bwt\d", text):  # WT1 is a gene
        return False
    return bool(named) and all(word in named or BESIDE.fullmatch(word) for word in words)
