"""The page of the examples: what each does, and its code."""

import ast
from pathlib import Path


def write_gallery(path: Path, examples: Path) -> None:
    """Write the page; an example with a picture in docs/images of its own name shows it."""
    parts = [_part(path.parent, script) for script in sorted(examples.glob("*.py"))]
    head = "# Examples\n\nThe scripts of `examples/`. Each runs in the test suite.\n\n"
    path.write_text(head + "\n".join(parts), encoding="utf-8")


def _part(docs: Path, script: Path) -> str:
    code = script.read_text(encoding="utf-8")
    first, _, rest = (ast.get_docstring(ast.parse(code)) or "").partition("\n")
    picture = docs / "images" / f"{script.stem}.png"
    shown = f"\n![{first}](images/{picture.name})\n" if picture.exists() else ""
    include = f"```{{literalinclude}} ../examples/{script.name}\n:language: python\n```\n"
    return f"## {script.name}\n\n**{first}**\n{rest}\n{shown}\n{include}"
