"""The site is built of pages, docstrings and examples, without a warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import latentode
from latentode import LatentODEForecaster

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("furo", reason="needs the extra docs")
    pytest.importorskip("myst_parser", reason="needs the extra docs")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d"]
    folders = [str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "site")]
    run = subprocess.run([*command, *folders], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")

    forecaster = tmp_path / "site" / "reference" / "latentode.LatentODEForecaster.html"
    text = forecaster.read_text(encoding="utf-8")
    for method in ("fit", "predict", "calibrate", "save"):
        assert hasattr(LatentODEForecaster, method)
        assert f"LatentODEForecaster.{method}" in text
    gallery = (tmp_path / "site" / "gallery.html").read_text(encoding="utf-8")
    assert [name for name in EXAMPLES if name not in gallery] == []


def test_every_page_has_a_place_on_the_site():
    docs = ROOT / "docs"
    listed = set(re.findall(r"^[a-z-]+$", (docs / "index.md").read_text(), re.MULTILINE))
    pages = {page.stem for page in docs.glob("*.md")}
    assert pages - {"index", "README"} <= listed
    assert listed - pages <= {"reference", "gallery"}  # written when the site is built


def test_no_page_of_the_site_leads_to_one_that_is_not_there():
    docs = ROOT / "docs"
    for page in {*docs.glob("*.md")} - {docs / "README.md"}:
        links = re.findall(r"\]\(([^)\s#:]+\.md)", page.read_text(encoding="utf-8"))
        assert [link for link in links if "README" in link or link.startswith("..")] == []


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == latentode.__version__
    assert citation["license"] == "MIT"
    assert len(citation["references"]) == 2
