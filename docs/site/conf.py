"""Sphinx' settings for the documentation site, which "make docs" builds in build/docs.

The pages are the README and docs/, as they are read in the repository too; why so:
docs/decisions/documentation-site.md. A page that is in no list below is a warning, and warnings are
errors.
"""

import html
import shutil
from importlib import resources
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from chatredirect import __version__

NAVIGATION = {
    "README": {
        "To do it": [
            "docs/migration-weekend",
            "docs/front-ends",
            "docs/cmdlets",
            "docs/operations",
            "docs/two-machines",
            "docs/kubernetes",
            "docs/troubleshooting",
            "docs/page",
            "docs/metrics",
            "docs/personal-data",
            "docs/audit",
        ],
        "To look it up": [
            "docs/configuration",
            "docs/commands",
            "docs/json",
            "docs/exit-statuses",
            "docs/answers",
            "docs/leniency",
            "docs/log-events",
            "docs/lookup",
            "docs/proxy",
            "docs/pools",
            "docs/tls",
            "docs/security",
            "SECURITY",
        ],
        "To change it": [
            "docs/architecture",
            "docs/decisions/README",
            "docs/benchmarks",
            "tests/captures/README",
            "CONTRIBUTING",
            "CHANGELOG",
        ],
    },
    "docs/decisions/README": {"Decisions": ["docs/decisions/*"]},
}

project = "chatredirect"
author = "chatredirect"
version = release = __version__
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "tests/captures/README.md"]
# Folders without pages, so that Sphinx doesn't walk through them.
exclude_patterns = [".*", "benchmarks", "build", "chatredirect", "dist"]

extensions = ["myst_parser"]
# The anchors that GitHub gives headings too.
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
# "--json" in a text stays what it is.
smartquotes = False
# A block that shows a part of a file, or "…" in it, need not be whole.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"chatredirect {version}"
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False


class Diagram(Directive):
    """A block of Mermaid's, for its script in the reader's browser to draw."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The element that Mermaid's script looks for, with the text of the block."""
        text = html.escape("\n".join(self.content), quote=False)
        return [nodes.raw("", f'<pre class="mermaid">\n{text}\n</pre>', format="html")]


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the tables of contents, which the Markdown files do without."""
    for caption, entries in NAVIGATION.get(page, {}).items():
        lines = "\n".join(f"/{entry}" for entry in entries)
        options = f":hidden:\n:glob:\n:caption: {caption}"
        source[0] += f"\n\n```{{toctree}}\n{options}\n\n{lines}\n```\n"


def add_assets(app: Sphinx) -> None:
    """Copy Mermaid's script out of its package, for the pages to load it from the site itself."""
    target = Path(app.outdir) / "_static"
    target.mkdir(parents=True, exist_ok=True)
    script = resources.files("mermaidx") / "assets" / "mermaid.js"
    (target / "mermaid.js").write_bytes(script.read_bytes())


def add_diagrams_script(
    app: Sphinx, page: str, _template: str, _context: object, tree: nodes.document | None
) -> None:
    """Load Mermaid's script on the pages that have a diagram: it has 3.5 MB."""
    if tree is not None and any(
        'class="mermaid"' in raw.astext() for raw in tree.findall(nodes.raw)
    ):
        app.add_js_file("mermaid.js")
        app.add_js_file("diagrams.js")


def add_index(app: Sphinx, failure: Exception | None) -> None:
    """Give the first page the name that web servers look for, besides its own."""
    if failure is None:
        shutil.copyfile(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_directive("mermaid", Diagram)
    app.connect("source-read", add_navigation)
    app.connect("builder-inited", add_assets)
    app.connect("html-page-context", add_diagrams_script)
    app.connect("build-finished", add_index)
