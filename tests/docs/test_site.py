"""The documentation site: it is built without a warning, whole, and from this machine alone."""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mermaidx
import pytest

from tests.installed.readme import ROOT

#: What a browser loads by itself, or a reader by a click.
LOADED = {
    *(("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("embed", "src")),
    *(("link", "href"), ("object", "data"), ("use", "href"), ("image", "href")),
}


@dataclass(slots=True)
class Page:
    """What a page of the site refers to, and what can be referred to in it."""

    loaded: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


def read(path: Path) -> Page:
    page = Page()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if (tag, name) in LOADED:
                    page.loaded.append(value or "")
                elif (tag, name) == ("a", "href"):
                    page.links.append(value or "")
                elif name == "id":
                    page.anchors.add(value or "")

    Reader().feed(path.read_text(encoding="utf-8"))
    return page


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does it, somewhere else."""
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going"]
    where = ["-c", ROOT / "docs/site", "-d", out.with_name("doctrees"), source, out]
    return subprocess.run(
        [*command, *where], check=False, cwd=ROOT, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "out"
    built = build(ROOT, out)
    assert built.returncode == 0, built.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: read(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_there(site: Path) -> None:
    sources = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    names = [path.relative_to(ROOT).with_suffix(".html") for path in sources]
    assert len(names) > 20
    assert not [name for name in names if not (site / name).is_file()]
    first = site / "index.html"
    assert first.read_text() == (site / "README.html").read_text()
    # Every page can be reached from the first one's navigation, the decisions through theirs.
    reached = {(site / unquote(urlsplit(link).path)).resolve() for link in read(first).links}
    assert {site / name for name in names[1:] if "decisions" not in name.parts} <= reached


def test_links_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    """Files and anchors; what Sphinx has checked of the Markdown, and the theme's own links."""
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors | {""} if target in pages else set()
            known = unquote(parts.fragment) in anchors if anchors else target.is_file()
            if not known:
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert not wrong


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    """Scripts, styles, fonts and images are the site's own files."""
    for path, page in pages.items():
        assert page.loaded, path
        for link in page.loaded:
            parts = urlsplit(link)
            assert not parts.scheme or parts.scheme == "data", f"{path.name} loads {link}"
            assert not parts.netloc, f"{path.name} loads {link}"
            assert (path.parent / unquote(parts.path)).is_file() or not parts.path, link
    styles, scripts = list(site.rglob("*.css")), list(site.rglob("*.js"))
    assert site / "_static/mermaid.js" in scripts
    for path in (*styles, *pages):
        text = path.read_text(encoding="utf-8")
        elsewhere = re.findall(r"""(?:url\(|@import)\s*["']?\s*(?:https?:)?//[^)"']*""", text)
        assert not elsewhere, f"{path.name}: {elsewhere}"
    # Scripts name other hosts in comments and messages; these are ways to load something.
    loads = (
        r"""(?:\bimport|\bfrom|importScripts|fetch|\.src)\s*[(=]?\s*["'`](?:https?:)?//[^"'`]*"""
    )
    networks = r"//[a-z.]*(?:cdn|unpkg|esm\.sh|googleapis|gstatic)[a-z.]*/[^\"'` ]*"
    for path in (*scripts, *pages):
        text = path.read_text(encoding="utf-8")
        found = re.findall(f"{loads}|{networks}", text)
        assert not found, f"{path.name}: {found}"


def diagrams() -> list[tuple[str, str]]:
    """The diagrams of all pages."""
    return [
        (path.name, block)
        for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
        for block in re.findall(r"(?ms)^```mermaid\n(.*?)^```$", path.read_text(encoding="utf-8"))
    ]


def test_diagrams_can_be_drawn(site: Path) -> None:
    """By the script that a page with a diagram loads, and no other page."""
    there = diagrams()
    assert {"README.md", "migration-weekend.md", "troubleshooting.md"} <= {
        name for name, _ in there
    }
    for name, block in there:
        assert "<svg" in mermaidx.render(block).svg(), name
    with pytest.raises(RuntimeError, match="Parse error"):
        mermaidx.render("flowchart LR\n    a --- b ??? c\n").svg()
    page = read(site / "docs/troubleshooting.html")
    assert [link for link in page.loaded if "mermaid.js" in link or "diagrams.js" in link]
    assert not [link for link in read(site / "docs/tls.html").loaded if "mermaid" in link]


def test_a_faulty_page_fails(tmp_path: Path) -> None:
    """A link and an anchor that lead nowhere, and a page that is in no list."""
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    (source / "README.md").write_text(
        "# Title\n\n[file](docs/gone.md)\n[own](#gone)\n"
        "[other](docs/tls.md#gone)\n[good](docs/tls.md#good)\n"
    )
    (source / "docs/tls.md").write_text("# TLS\n\n## Good\n")
    (source / "docs/new.md").write_text("# New\n")
    built = build(source, tmp_path / "out")
    assert built.returncode != 0
    for said in (
        r"README\.md:3: WARNING: .*docs/gone\.md",
        r"README\.md:3: WARNING: .*'#?gone'",
        r"README\.md:3: WARNING: .*tls.*gone",
        r"new\.md: WARNING: document isn't included in any toctree",
    ):
        assert re.search(said, built.stderr), f"{said}\n{built.stderr}"
    assert "good" not in built.stderr
