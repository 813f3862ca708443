"""Each rule's conda environment holds what its script imports, at the version that requirements.txt pins."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow/layerscope"
RULE = r"^(?:use )?rule (\w+)(?: as (\w+))?"
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))

# what is imported under another name than it is installed under
INSTALLED_AS = {
    "jinja2": "jinja2",
    "skdim": "scikit-dimension",
    "sklearn": "scikit-learn",
    "torch": "pytorch",
    "yaml": "pyyaml",
}
ON_PYPI = {"pytorch": "torch", "huggingface_hub": "huggingface-hub"}
# what every script starts with
EVERYWHERE = {"pydantic", "cyclopts"}
# methods of pandas that import a package of their own
BY_METHOD = {"read_parquet": "pyarrow", "to_parquet": "pyarrow"}


def environment(name: str) -> dict[str, str]:
    """Package to version, empty where the environment leaves it open."""
    listed: list[str] = []
    for entry in yaml.safe_load((ROOT / "envs" / name).read_text(encoding="utf-8"))["dependencies"]:
        listed += entry["pip"] if isinstance(entry, dict) else [entry]
    pairs = [re.split(r"\s*={1,2}\s*", entry.strip(), maxsplit=1) for entry in listed]
    return {name.lower(): (version[0] if version else "") for name, *version in pairs}


def rules() -> Iterator[tuple[str, str, str]]:
    """Rule, script and environment of every rule; one made of another has those of the other, or its own."""
    for path in RULES:
        found: dict[str, list[str]] = {}
        for body in re.split(r"\n(?=(?:use )?rule )", path.read_text(encoding="utf-8")):
            if name := re.search(RULE, body, re.M):
                own = [re.search(part, body) for part in (r"scripts/(\w+\.py)", r'envs/(\w+\.yaml)"')]
                other = found.get(name[1], ["", ""])
                found[name[2] or name[1]] = [
                    of[1] if of else instead for of, instead in zip(own, other, strict=True)
                ]
        for rule, (script, env) in found.items():
            yield rule, script, env


@cache
def imported_by(path: Path) -> frozenset[str]:
    """Modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and node.attr in BY_METHOD:
            found.add(BY_METHOD[node.attr])
    return frozenset(found)


def module_file(module: str) -> Path | None:
    """File of a module of the package."""
    base = PACKAGE.parent / Path(*module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def needed(script: Path) -> set[str]:
    """Packages that a script imports, itself or through the modules of the package that it uses."""
    packages: set[str] = set()
    waiting, seen = [script], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in imported_by(path):
            top = module.split(".")[0]
            if top == "layerscope":
                file = module_file(module)
                waiting += [file] if file else []
            elif top not in sys.stdlib_module_names:
                packages.add(INSTALLED_AS.get(top, top))
    return packages | EVERYWHERE


RULES_WITH_SCRIPTS = list(rules())


def test_every_rule_is_looked_at():
    heads = [head for path in RULES for head in re.findall(RULE, path.read_text(encoding="utf-8"), re.M)]
    assert len(heads) >= 30
    assert {rule for rule, script, env in RULES_WITH_SCRIPTS if script and env} == {
        renamed or name for name, renamed in heads
    }


@pytest.mark.parametrize(("rule", "script", "env"), RULES_WITH_SCRIPTS, ids=lambda value: str(value))
def test_what_a_rule_imports_is_in_its_environment(rule, script, env):
    missing = needed(ROOT / "scripts" / script) - set(environment(env))
    assert not missing, f"{rule}: envs/{env} lacks {', '.join(sorted(missing))}"


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.name)
def test_versions_are_those_of_the_pinned_requirements(path):
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8").lower()
    pinned = dict(re.findall(r"^([a-z0-9._-]+)(?:\[.*?\])?==(\S+)", text, re.M))
    for package, version in environment(path.name).items():
        if version and package not in ("python", "pip"):
            assert pinned[ON_PYPI.get(package, package)] == version, package
