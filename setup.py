"""The wheel: the package, and in its folder ``repository`` all that Snakemake needs to run the workflow.

The rest is in ``pyproject.toml``. The package travels twice: rules that run in conda environments import it
from beside the Snakefile, and must not see other packages of the environment that Snakemake runs in. The
logger is found by Snakemake, by the name of its package.
"""

from setuptools import find_packages, setup

PACKAGES = find_packages(
    "workflow", include=["layerscope", "layerscope.*", "snakemake_logger_plugin_layerscope"]
)
OF_PACKAGE = ["py.typed", *(f"**/*.{suffix}" for suffix in ("pyi", "html", "css", "js", "json", "tsv"))]
CARRIED = "layerscope.repository"
FOLDERS = {
    "": ["Snakefile"],
    "workflow": ["Snakefile", "rules/*.smk", "report/*.rst", "profiles/*/*.yaml", "schemas/*.yaml"],
    "config": ["*.yaml", "README.md"],
    "scripts": [],
    "envs": ["*.yaml"],
}
"""Folders of the repository that are carried, and their files that are no modules."""


def carried(name: str) -> str:
    """Name that a folder of the repository has in the wheel, as a package."""
    return f"{CARRIED}.{name}" if name else CARRIED


setup(
    script_name="setup.py",  # so that it is not taken for a module of the folder in which it lies
    include_package_data=False,
    packages=[*PACKAGES, *map(carried, FOLDERS), *(carried(f"workflow.{package}") for package in PACKAGES)],
    package_dir={"": "workflow"} | {carried(folder): folder or "." for folder in FOLDERS},
    package_data={"layerscope": OF_PACKAGE, carried("workflow.layerscope"): OF_PACKAGE}
    | {carried(folder): files for folder, files in FOLDERS.items()},
)
