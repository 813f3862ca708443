"""``pip install .``: the wheel holds the package and the workflow, and works far from the repository."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest
from processes import run_python
from program_cells import patients

ROOT = Path(__file__).parents[2]
OLDEST_SETUPTOOLS = 77
TRAVELS = ("Snakefile", "workflow", "config", "scripts", "envs")
STAYS = {"scripts/layerscope"}  # a link, for scripts that are run by hand


def build(kind: str, source: Path, output: Path) -> Path:
    """Build a distribution with the setuptools that is installed; the network is not needed."""
    call = f"from setuptools import build_meta; build_meta.build_{kind}({str(output)!r})"
    subprocess.run([sys.executable, "-c", call], cwd=source, check=True, capture_output=True)
    (made,) = output.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def files_of_repository() -> list[str]:
    """What a fresh clone would hold, and new files."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the unpacked source distribution."""
    installed = version("setuptools")
    if int(installed.partition(".")[0]) < OLDEST_SETUPTOOLS:
        pytest.skip(
            f"building needs setuptools {OLDEST_SETUPTOOLS}, which pip would fetch; here is {installed}"
        )
    folder = tmp_path_factory.mktemp("build")
    for name in files_of_repository():
        if not name.startswith(("tests/", "benchmarks/")) and name not in STAYS:
            target = folder / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    with tarfile.open(build("sdist", folder / "clone", folder)) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.glob("layerscope-*/")
    return build("wheel", unpacked, folder)


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_the_package_and_the_whole_workflow(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    files = set(files_of_repository()) - STAYS
    package = {name for name in files if re.match(r"workflow/(layerscope|snakemake_logger_\w+)/", name)}
    travels = {name for name in files if name.split("/")[0] in TRAVELS}
    assert package and travels
    assert not {name.removeprefix("workflow/") for name in package} - inside
    assert not {f"layerscope/repository/{name}" for name in travels} - inside
    others = {name for name in inside if ".dist-info/" not in name}
    assert len(others) == len(package) + len(travels)


def test_the_installed_package_knows_the_models(site: Path, tmp_path: Path) -> None:
    call = "import layerscope; print(layerscope.__file__); from layerscope.doors.models import entries; "
    call += "print('geneformer_v2_104m' in entries())"
    lines = run_python("-c", call, folder=tmp_path, packages=site).splitlines()
    assert lines == [f"{site}/layerscope/__init__.py", "True"]


def test_the_installed_workflow_plans_the_embedded_study(site: Path, tmp_path: Path) -> None:
    snakefile = str(site / "layerscope/repository/Snakefile")
    words = ["-m", "snakemake", "--snakefile", snakefile, "--cores", "1", "--dry-run", "--quiet", "rules"]
    planned = run_python(*words, folder=tmp_path, packages=site)
    assert "score_layer" in planned and "write_report" in planned


def test_the_installed_command_plans_the_study_that_it_writes(site: Path, tmp_path: Path) -> None:
    patients(tmp_path / "pbmc.h5ad")
    entry_points = next(site.glob("*.dist-info")) / "entry_points.txt"
    assert "layerscope = layerscope.program:main" in entry_points.read_text()
    installed = {"folder": tmp_path, "packages": site}
    run_python("-m", "layerscope", "init", "pbmc.h5ad", **installed)
    planned = run_python("-m", "layerscope", "run", "study.yaml", "-n", "--quiet", "rules", **installed)
    assert "import_embeddings" in planned and "write_report" in planned
