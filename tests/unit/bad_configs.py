"""Configurations with one thing wrong."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from bad_ground import BUILDERS

STUDY: dict[str, Any] = {
    "study": {"title": "Mine", "conditions": ["mine"], "models": ["hvg_pca"]},
    "datasets": {"mine": {"kind": "h5ad", "source": {"path": "screen.h5ad"}, "values": "counts"}},
    "conditions": {"mine": {"dataset": "mine", "task": "perturbation"}},
}
HOSTILE = {
    "condition": {"shell": "$(touch x)", "newline": "abc\n", "long": "x" * 101},
    "model": {"unicode": "модель", "path": "../x"},
}


def setting(name: str, *place: object) -> None:
    """Register the study with one key set to something else: the keys down to it, then the value."""

    def build(at: Path) -> None:
        config = copy.deepcopy(STUDY)
        *parents, last, value = place
        part: Any = config
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = value
        (at / "mine.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")

    BUILDERS[name] = build


def text(name: str, content: str | bytes | None) -> None:
    """Register a file of some content, or none."""

    def build(at: Path) -> None:
        if content is not None:
            (at / "mine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())

    BUILDERS[name] = build


text("config_missing", None)
text("config_empty", "# nothing yet\n")
text("config_list", "- study\n- models\n")
text("config_not_yaml", "study: {title: [\n")
text("config_binary", b"\x89HDF\r\n\x1a\n\xff\xfe")
text("config_python_object", "study: !!python/object/apply:os.system ['touch x']\n")
text("config_key_twice", yaml.safe_dump(STUDY) + "study: {title: another}\n")

setting("config_unknown_key", "studdy", {})
setting("config_text_for_mapping", "study", "all of them")
setting("config_no_resamples", "resampling", "resamples", 0)
setting("config_unknown_model", "study", "models", ["hvg_pka"])
setting("config_missing_file", "datasets", "mine", "source", {"path": "../absent.h5ad"})
setting(
    "config_two_sources", "datasets", "mine", "source", {"path": "screen.h5ad", "url": "https://a.org/b.h5ad"}
)
setting("config_unknown_matrix", "datasets", "mine", "matrix", "Y")
setting(
    "config_control_of_nothing", "models", "hvg_pca", {"control": "untrained", "of": "nothing", "seed": 1}
)
setting("config_mirror_list", "mirror", ["https://a.org"])
setting("config_address_leaves_folder", "datasets", "mine", "source", {"url": "https://a.org/.."})
setting(
    "config_weights_leave_folder",
    "models",
    "new",
    {"family": "scgpt", "layers": 2, "weights": {"fetch": {"../../x": {"url": "https://a.org/x"}}}},
)
for kind, entry in {"condition": {"dataset": "mine"}, "model": {"family": "hvg_pca"}}.items():
    for hostile, named in HOSTILE[kind].items():
        setting(f"config_{kind}_named_{hostile}", f"{kind}s", named, entry)
