"""The notebooks run from start to end, one for each way to begin."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from processes import run_python

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "docs/notebooks").glob("*.ipynb"))}
ENDS = {
    "own_embeddings": "assert choice.verdict == 'use_layer' and choice.table['model'].tolist() == ['X_pca']",
    "all_layers": "assert f'scfoundation_layer_{best}' in adata.obsm and len(choice) == 1",
    "screen": "assert choice.representations['model'].iloc[-1] == 'qc_only'",
}
"""What must hold at the end of each."""


def test_every_notebook_is_run() -> None:
    assert NOTEBOOKS.keys() == ENDS.keys()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_start_to_end(name: str, tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    nbformat.validate(notebook)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    run_python("-c", "\n".join([*cells, ENDS[name]]), folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
