"""Configuration of the documentation; built with ``sphinx-build -W``, without the network."""

import sys
from pathlib import Path

import mlopt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "mlopt"
author = "the mlopt developers"
copyright = "2026, the mlopt developers"
version = release = mlopt.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_design",
    "changelog",
    "feature_families",
    "rate_table",
    "target_table",
    "ufuncs",
]
exclude_patterns = ["_build", "_extensions", "_templates"]
templates_path = ["_templates"]
default_role = "code"
highlight_language = "none"
nitpicky = False

autosummary_generate = True
autosummary_imported_members = True
autodoc_docstring_signature = False
autodoc_typehints = "none"
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = f"mlopt {version}"
html_static_path = ["_static"]
html_css_files = ["mlopt.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "install": [], "quickstart": [], "targets": [], "rates": [], "changelog": []}
html_show_sourcelink = False
