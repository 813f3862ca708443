"""The documentation site, made by Sphinx of the pages as they lie in the repository (``make docs``)."""

import sys
from pathlib import Path

import yaml
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

import layerscope
from layerscope.program import APP

ROOT = Path(__file__).parents[1]

project = "layerscope"
author = "The layerscope authors"
version = release = layerscope.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**",
    "config/*.md",
    "results/README.md",
]
exclude_patterns = ["docs/conf.py", "docs/notebooks"]
root_doc = "README"
myst_heading_anchors = 4

autodoc_mock_imports = ["torch"]  # three seconds, and no docstring needs it
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_rtype = False

smartquotes = False

html_theme = "furo"
html_title = f"layerscope {release}"
html_copy_source = html_show_sphinx = html_show_copyright = False

CONTENTS = {
    "Start": [
        "docs/which_layer",
        "docs/tutorials/command",
        "docs/tutorials/python",
        "docs/tutorials/workflow",
    ],
    "How to": [
        "docs/read_the_report",
        "docs/guides/your_data",
        "docs/guides/mouse_cells",
        "docs/guides/your_embeddings",
        "docs/guides/cluster",
        "docs/scale",
        "docs/run-the-paper",
        "docs/guides/add_a_model",
        "docs/guides/add_a_task",
        "docs/faq",
    ],
    "Reference": [
        "docs/reference/command",
        "docs/reference/python",
        "config/README",
        "docs/reference/catalogue",
        "results/README",
        "docs/models",
        "docs/performance",
        "CHANGELOG",
    ],
    "Explanation": [
        "docs/methods",
        "docs/methods/*",
        "docs/usual_numbers",
        "docs/embedded_study",
        "docs/architecture",
        "CONTRIBUTING",
    ],
}
"""The pages in the order of the sidebar; one that is left out is an error."""


INTERFACES = {
    "Functions": {"layerscope": "embed score recommend Layers Scores Recommendation"},
    "Models": {"layerscope.models.base": "FoundationModel Network CellBlock Sentences TokenBatch"},
    "Tasks": {
        "layerscope.tasks.base": "Task Metric",
        "layerscope.tasks.jobs": "ReferenceJob ScoringJob",
        "layerscope.tasks.scored": "Scored",
    },
}


def table(heading: str, columns: list[str], rows: dict[str, dict[str, object]]) -> str:
    """Entries of a catalogue in Markdown, by name, with some of their keys."""
    cells = [["name", *columns], ["---"] * (len(columns) + 1)]
    cells += [[f"`{name}`", *(str(entry.get(key, "")) for key in columns)] for name, entry in rows.items()]
    return "\n".join([f"\n## {heading}\n", *(f"| {' | '.join(row)} |" for row in cells), ""])


def interfaces() -> str:
    """What is called from Python, and the contracts of models and tasks, from their docstrings."""
    text = ""
    for heading, places in INTERFACES.items():
        text += f"\n## {heading}\n\n```{{eval-rst}}\n"
        for module, names in places.items():
            for name in names.split():
                kind = "autofunction" if name.islower() else "autoclass"
                text += f".. {kind}:: {module}.{name}\n" + "   :members:\n" * (kind == "autoclass")
        text += "```\n"
    return text


def catalogues() -> str:
    """All foundation models and conditions of the catalogues."""
    models = yaml.safe_load((ROOT / "config/models.yaml").read_text(encoding="utf-8"))["models"]
    conditions = yaml.safe_load((ROOT / "config/datasets.yaml").read_text(encoding="utf-8"))["conditions"]
    fetched = {name: entry for name, entry in models.items() if "fetch" in entry.get("weights", {})}
    of_models = ["title", "layers", "trained_on", "licence", "citation"]
    return table("Foundation models", of_models, fetched) + table("Conditions", ["title", "task"], conditions)


def completed(app: Sphinx, page: str, source: list[str]) -> None:
    """Add what a page need not repeat: the sidebar, options, keywords and names."""
    if page == root_doc:
        for heading, pages in CONTENTS.items():
            listed = "\n".join(f"/{name}" for name in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {heading}\n\n{listed}\n```\n"
    if page == "docs/reference/command":
        _, *verbs = APP.generate_docs(heading_level=2).split("\n### ")
        source[0] += "".join(f"\n### {verb}" for verb in verbs)
    if page == "docs/reference/python":
        source[0] += interfaces()
    if page == "docs/reference/catalogue":
        source[0] += catalogues()


def with_index(app: Sphinx, error: Exception | None) -> None:
    """Let the site's own address lead to the first page."""
    link = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">'
    (Path(app.outdir) / "index.html").write_text(link, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", completed)
    app.connect("build-finished", with_index)
