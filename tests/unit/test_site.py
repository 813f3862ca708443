"""The documentation as a site: built strictly, and complete without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import layerscope

ROOT = Path(__file__).parents[2]
OPTIONS = ["--quiet", "--fail-on-warning", "--keep-going", "-c", "docs"]
FETCHED = r"""(?:src|<link[^>]*href)=["'](?:https?:)?//|url\(["']?(?:https?:)?//|@import"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; a warning, such as a broken link or a page in no list, is an error."""
    folder = tmp_path_factory.mktemp("site")
    places = ["-d", str(folder / "doctrees"), ".", str(folder / "html")]
    ran = subprocess.run(
        [Path(sys.executable).with_name("sphinx-build"), *OPTIONS, *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    return folder / "html"


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    files = [path for suffix in ("html", "css") for path in site.rglob(f"*.{suffix}")]
    assert len(files) > 30
    assert not [path for path in files if re.search(FETCHED, path.read_text(encoding="utf-8"))]


def test_its_address_leads_to_the_first_page(site: Path) -> None:
    (page,) = re.findall(r"url=(\S+?)\"", (site / "index.html").read_text(encoding="utf-8"))
    assert "Which layer" in (site / page).read_text(encoding="utf-8")


def test_every_function_and_verb_is_explained(site: Path) -> None:
    functions = (site / "docs/reference/python.html").read_text(encoding="utf-8")
    for name in layerscope.DOORS:
        assert f'id="layerscope.{name}"' in functions, name
    verbs = (site / "docs/reference/command.html").read_text(encoding="utf-8")
    for words in ("layerscope init [OPTIONS] FILE", "--accept-licence", "--max-cells", "--label"):
        assert words in verbs


def test_every_name_of_the_catalogues_is_listed(site: Path) -> None:
    page = (site / "docs/reference/catalogue.html").read_text(encoding="utf-8")
    for name in ("scgpt", "state_se_600m", "simulated_Rest", "cord_blood", "Rosen et al. 2023"):
        assert name in page


def test_no_path_of_the_building_machine_is_in_it(site: Path) -> None:
    assert not [path for path in site.rglob("*.html") if str(ROOT) in path.read_text(encoding="utf-8")]
