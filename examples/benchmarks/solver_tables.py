"""Tables of results, for the terminal and for a page of the documentation."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Table(NamedTuple):
    """Cells by rows, the name of the variant first, and sentences to stand below."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


def markdown(table: Table) -> str:
    """Give a table as aligned Markdown, which is as easily read in a terminal."""
    widths = [max(map(len, cells)) for cells in zip(table.columns, *table.rows, strict=True)]
    rule = ("-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:]))
    lines = [_line(cells, widths) for cells in (table.columns, rule, *table.rows)]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return " | ".join(["| " + cells[0].ljust(widths[0]), *padded[1:]]) + " |"


def put_into_page(path: Path, name: str, text: str) -> None:
    """Put a text between the marks of its name on a page, or at the end of it."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    block = f"{begin}\n\n{text}\n\n{end}"
    marked = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if marked.search(page):
        page = marked.sub(lambda match: block, page)
    else:
        page = f"{page}\n{block}\n".lstrip()
    path.write_text(page, encoding="utf-8")


def milliseconds(seconds: float) -> str:
    """Give milliseconds to three digits."""
    ms = 1e3 * seconds
    return f"{ms:.2f}" if ms < 9.995 else f"{ms:.1f}" if ms < 99.95 else f"{ms:.0f}"


def ratio(one: float, other: float | None) -> str:
    """Give how many times another number one is, to two digits or three."""
    if other is None:
        return "–"
    x = one / other
    return f"{x:.3f}" if x < 0.0995 else f"{x:.2f}" if x < 9.995 else f"{x:.3g}"
