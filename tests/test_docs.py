"""Every Python block of the documentation runs, and every link inside it leads somewhere."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = {DOCS / "reference.md", DOCS / "gallery.md"}  # by docs/conf.py, out of code
PAGES = [
    *ROOT.glob("README.md"),
    *sorted(set(DOCS.rglob("*.md")) - WRITTEN),
    *sorted(ROOT.glob("datasets/*/card.md")),
]
FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"")


class Block(NamedTuple):
    """A fenced block of a page; `line` is where its first line stands."""

    page: Path
    line: int
    language: str
    code: str


def blocks_of(page):
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start(3)) + 1
        yield Block(page, line, match[2].strip(), textwrap.dedent(match[3]))


def place(value):
    if isinstance(value, Block):
        return f"{value.page.relative_to(ROOT)}:{value.line}"
    return str(value.relative_to(ROOT))


def anchors(page):
    """Give the anchors that GitHub makes of a page's headings."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    for heading in re.findall(r"^#+ +(.*?) *$", prose, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(page):
    """Give the targets of a page's links that stay inside the repository."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    for found in LINK.findall(prose):
        target = found[0] or found[1]
        if not re.match(r"[a-z]+:", target):
            yield target


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
every_page = pytest.mark.parametrize("page", PAGES, ids=place)
every_python_block = pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "python"], ids=place
)


@every_python_block
def test_a_block_runs_by_itself_and_leaves_only_files_it_names(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Blank lines before the code make a traceback show the line of the page.
    padded = "\n" * (block.line - 1) + block.code
    exec(compile(padded, str(block.page), "exec"), {"__name__": "__main__"})
    left = {path.name for path in tmp_path.iterdir()}
    assert {name for name in left if name not in block.code} == set()


@pytest.mark.parametrize("block", BLOCKS, ids=place)
def test_python_is_fenced_so_that_it_runs(block):
    first = re.split(r"[\s{,]", block.language.lower())[0]
    if first in {"python", "py", "python3", "pycon"}:
        assert block.language == "python", "fence it as ```python, or as ```text if it cannot run"


@every_page
def test_links_lead_somewhere(page):
    for target in links(page):
        file, _, anchor = target.partition("#")
        destination = (page.parent / file).resolve() if file else page
        assert destination.exists(), f"{target} does not exist"
        assert destination.is_relative_to(ROOT), f"{target} is outside the repository"
        if anchor:
            assert anchor in anchors(destination), f"{target}: no such heading"


@every_page
def test_fences_are_closed(page):
    assert len(re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)) % 2 == 0


def test_the_index_leads_to_every_page():
    index = DOCS / "README.md"
    reached = {(DOCS / target.partition("#")[0]).resolve() for target in links(index)}
    for page in set(DOCS.rglob("*.md")) - WRITTEN:
        if page not in {index, DOCS / "index.md"}:  # the latter leads through the site
            assert {page, *page.parents} & (reached - {DOCS, ROOT}), f"{place(page)} is not listed"
