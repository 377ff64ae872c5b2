"""How the site is made of pages and docstrings: python -m sphinx -W docs build/docs."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from gallery import write_gallery  # noqa: E402
from reference import is_foreign, write_reference  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

from latentode import __version__  # noqa: E402

project = "latentode"
author = "the latentode developers"
release = version = __version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
root_doc = "index"
templates_path = ["_templates"]
exclude_patterns = ["README.md"]  # the index of the repository; that of the site is index.md
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"latentode {release}"

default_role = "py:obj"
autosummary_generate = True
autodoc_typehints = "none"  # the sections of the docstrings say them in words
numpydoc_show_class_members = False

# Written anew each time, from the code and the examples, and kept out of the repository.
write_reference(HERE / "reference.md")
write_gallery(HERE / "gallery.md", HERE.parent / "examples")


def setup(app: Sphinx) -> None:
    """Leave out what torch, Lightning and scikit-learn say of their own methods."""
    app.connect("autodoc-skip-member", is_foreign)
