"""How Sphinx builds the docs: `make docs`, every warning being an error."""

from poolscope import __version__

project = "poolscope"
copyright = "poolscope's authors, MIT"  # noqa: A001 - Sphinx's name for it
release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["source"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"poolscope {release}"
html_copy_source = False
pygments_style = "default"
