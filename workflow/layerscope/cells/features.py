"""Which features are genes: a matrix may hold antibodies, guides, hashtags or peaks beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from layerscope.cells.labels import text
from layerscope.errors import DataError

TYPE_COLUMN = re.compile(
    r"(feature|library|assay)[\W_]*(types?|biotypes?|class|kind)|types?|modalit(y|ies)", re.I
)
GENES = re.compile(
    r"genes?|gene[\W_]*expression|gex|m?rna|rna[\W_]*expression|expression|transcript(s|ome)?", re.I
)
GENE_EXPRESSION = re.compile(r"gene[\W_]*expression|gex|m?rna|rna[\W_]*expression", re.I)
OTHERS = re.compile(
    r"(antibody|antigen|crispr|guide|multiplexing|hashtag|custom|protein|peaks?|atac|vdj|spike|ercc|beam|adt|hto|cmo"
    r"|sgrnas?|grnas?|proteins|surface).*",
    re.I,
)
"""Types of other features. Biotypes of genes (``protein_coding``) are neither."""
NO_GENE = re.compile(
    r"TotalSeq|isotype|non[-_ ]?targeting|hash[-_ ]?tag|^hash\d|^sgRNA|^anti[-_ ]|^ERCC-\d{5}$"
    r"|^(HTO|ADT|CMO)[-_. ]?\d+|^(adt|prot|hto|antibody)[-_]"
    r"|[-_. ](ADT|HTO|prot|protein|sgRNA|gRNA|A0\d{3})$"
    r"|^(?-i:CD(3|8|11[abc]|16|20|25|45|45R|45R[ABO]|56|62L|123|127))$",
    re.I,
)
"""Names of antibodies, hashtags and guides that no gene has."""


def feature_types(var: pd.DataFrame) -> np.ndarray | None:
    """Type of each feature ("" where unknown), if a column of ``var`` tells genes from others."""
    for column in var.columns:
        if not TYPE_COLUMN.fullmatch(str(column).strip()):
            continue
        types = text(var[column])
        if any(GENES.fullmatch(name) or _is_other(name) for name in set(types)):
            return types
    return None


def are_genes(types: Iterable[str], where: str) -> tuple[np.ndarray, str]:
    """Which features are genes by their types (a DataError if none is), and a sentence on the others."""
    types = list(types)
    plain = any(GENE_EXPRESSION.fullmatch(name) for name in types)  # then all else is no gene, whatever it is
    others = Counter(
        name for name in types if _is_other(name) or (plain and name and not GENES.fullmatch(name))
    )
    genes = np.array([name not in others for name in types], dtype=bool)
    if not genes.any():
        raise DataError(f"{where}: no feature is a gene; there are {counted(others)}")
    sentence = f"{sum(others.values()):,} features that are no genes left out: {counted(others)}"
    return genes, sentence if others else ""


def suspects(names: Iterable[str]) -> list[str]:
    """Names that look like hashtags, antibodies or guides."""
    return [name for name in names if NO_GENE.search(name)]


def _is_other(name: str) -> bool:
    return bool(OTHERS.fullmatch(name)) and not re.fullmatch(r"protein[\W_]*coding.*", name, re.I)


def counted(sizes: Counter[str]) -> str:
    """Types, or genomes, with their numbers of features."""
    return ", ".join(f"{name} ({size:,})" for name, size in sizes.most_common())
